"""From an address to a server that listens until it is told to stop."""

from __future__ import annotations

import ipaddress
import secrets
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import uvicorn
from starlette.types import ASGIApp

from nwp.errors import BadInput, BadSettings
from nwp.files import reason
from nwp.serve.app import make_app
from nwp.serve.models import Served

_SHORTEST_TOKEN = 16
# Open connections; beyond these uvicorn itself turns clients away.
_CONNECTIONS = 256


@dataclass(frozen=True)
class Address:
    """Where a server listens. `token` is what /v1 asks for; None: nothing, on loopback only."""

    url: str
    token: str | None

    @property
    def page(self) -> str:
        """The page's address with the token behind a #, which browsers do not send."""
        return self.url if self.token is None else f"{self.url}#token={self.token}"


def serve(
    models: Mapping[str, Served],
    host: str,
    port: int,
    token: str | None,
    ready: Callable[[Address], None],
) -> None:
    """Listen and answer until SIGINT (KeyboardInterrupt is raised then) or SIGTERM.

    Where others than this machine can reach `host`, a token is made when none is given. `port` 0 picks a
    free one. `ready` is told the address once it listens. BadInput when the address can't be had,
    BadSettings for a token that is too short or can't be sent.
    """
    if token is not None:
        _check_token(token)
    listening, alone = _listen(host, port)
    with listening:
        if token is None and not alone:
            token = secrets.token_urlsafe(24)
        names = {host, "localhost"} if alone else {host, "localhost", socket.gethostname()}
        shown = _reached_at(listening, host)
        address = Address(f"http://{shown}:{listening.getsockname()[1]}/", token)
        server = _Server(_settings(make_app(models, token, names)), lambda: ready(address))
        server.run(sockets=[listening])


def _check_token(token: str) -> None:
    if len(token) < _SHORTEST_TOKEN:
        raise BadSettings(
            f"the token is shorter than {_SHORTEST_TOKEN} characters",
            "Leave --token out, and one is made where it is needed.",
        )
    if not all("!" <= c <= "~" for c in token):
        raise BadSettings(
            "the token holds a space, or a character outside ASCII", "Use letters and digits."
        )


def _listen(host: str, port: int) -> tuple[socket.socket, bool]:
    """A socket that is bound, and whether this machine alone can reach it."""
    if not host:
        raise BadInput("no host is given", "Use 127.0.0.1, or 0.0.0.0 for all addresses.")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise BadInput(
            f"the host {host} is not known", "Use an address of this machine, such as 127.0.0.1."
        ) from error
    family, kind, protocol, _, address = found[0]
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(128)
    except OSError as error:
        listening.close()
        raise BadInput(
            f"port {port} of {host} can't be had: {error.strerror or reason(error)}",
            "Name another with --port; --port 0 takes one that is free.",
        ) from error
    return listening, ipaddress.ip_address(listening.getsockname()[0]).is_loopback


def _reached_at(listening: socket.socket, host: str) -> str:
    """The host as it stands in an address; for "all addresses", the one that others see."""
    bound = ipaddress.ip_address(listening.getsockname()[0])
    if not bound.is_unspecified:
        return f"[{host}]" if ":" in host else host
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # chooses a route; nothing is sent
            return str(probe.getsockname()[0])
        except OSError:
            return socket.gethostname()


def _settings(app: ASGIApp) -> uvicorn.Config:
    """No logs (they would tell who asks and when), no guesses about proxies, plain asyncio."""
    return uvicorn.Config(
        app,
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level="critical",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=_CONNECTIONS,
        timeout_keep_alive=60,
        timeout_graceful_shutdown=2,
    )


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()
