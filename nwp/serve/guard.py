"""Who may ask: an ASGI layer around everything, which also sets the headers of every answer.

A page of another site, open in the same browser, can send requests here too. It is kept out by three
checks: `Host` must be an address or a name that this server goes by (a foreign name that was pointed
at this address, DNS rebinding, is not), `Origin` must be this server, and what the browser itself says
of the request (`Sec-Fetch-Site`) must be no other site.
"""

from __future__ import annotations

import hmac
import ipaddress
import sys
import traceback
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nwp.serve.answers import Refusal

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """Lets through to `app` who may ask. `names` are the hosts this server goes by, besides addresses.

    With a token, everything under /v1 needs it as `Authorization: Bearer TOKEN`.
    """

    def __init__(self, app: ASGIApp, names: Collection[str], token: str | None) -> None:
        self._app = app
        self._names = frozenset(name.lower() for name in names)
        self._token = None if token is None else token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check, pass on, and answer what goes wrong without telling anybody what was typed."""
        if scope["type"] != "http":
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        try:
            self._check(scope["path"], Headers(scope=scope))
            await self._app(scope, receive, guarded)
        except Refusal as refusal:
            await refusal.response()(scope, receive, guarded)
        except (
            Exception
        ) as error:  # has been answered; an error's own words may hold what was typed
            where = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{where.filename}:{where.lineno}"
            print(f"nwp: {type(error).__name__} at {place}", file=sys.stderr)

    def _check(self, path: str, headers: Headers) -> None:
        host = headers.get("host", "")
        if not self._goes_by(host):
            raise Refusal(
                421,
                "refused",
                "this server does not go by that name",
                "Use the address that `nwp serve` printed.",
            )
        origin = headers.get("origin")
        foreign = origin is not None and urlsplit(origin).netloc.lower() != host.lower()
        # Following a link to the page is no request that the other site could read or steer.
        followed = headers.get("sec-fetch-mode") == "navigate" and path == "/"
        elsewhere = headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
        if foreign or (elsewhere and not followed):
            raise Refusal(
                403,
                "refused",
                "pages of other sites may not ask",
                "Ask from the page of `nwp serve`, or from a program of your own.",
            )
        if self._token is not None and path.startswith("/v1/"):
            kind, _, given = headers.get("authorization", "").partition(" ")
            # Header values are latin-1 by the book; bytes are compared, in constant time.
            right = hmac.compare_digest(given.strip().encode("latin-1"), self._token)
            if kind.lower() != "bearer" or not right:
                raise Refusal(
                    401,
                    "unauthorized",
                    "the token is missing or wrong",
                    "Send the header `Authorization: Bearer TOKEN`, with the one that "
                    "`nwp serve` printed or was given.",
                )

    def _goes_by(self, host: str) -> bool:
        """Is this one of our names, or an address? A name can be rebound, an address can't."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
            ipaddress.ip_address(name)
        except ValueError:
            return host.rpartition(":")[0].lower() in self._names or host.lower() in self._names
        return True
