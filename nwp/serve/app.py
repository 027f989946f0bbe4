"""The routes: suggestions, the list of models, health, the description of all of it, and the page."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from nwp.report.colors import DARK, LIGHT, variables
from nwp.serve.answers import MAX_BODY, Asked, Refusal, as_json, read_asked, read_sent
from nwp.serve.guard import Guard
from nwp.serve.models import Learns, Served, Sessions
from nwp.serve.openapi import description

# Requests that may wait for their turn; one takes a fraction of a millisecond, at worst a few hundred.
MAX_WAITING = 32
# For the whole body: who sends one by the drop gives its place to others.
BODY_SECONDS = 10.0

_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_FILES = ("page.css", "page.js", "composing.js", "theme.js", "icon.svg")


def make_app(
    models: Mapping[str, Served],
    token: str | None = None,
    names: Collection[str] = ("localhost",),
) -> ASGIApp:
    """The application; `models` by name, the first answers when none is named.

    One thread computes. `names` are the host names that requests may be sent to (`nwp.serve.guard`).
    """
    sessions = Sessions(models)
    # One: a key is less work than handing it to a second thread would save.
    pool = ThreadPoolExecutor(1, "suggest")
    waiting = 0
    learning = [name for name, served in models.items() if served.learns]

    def compute(asked: Asked) -> dict[str, Any]:
        start = time.perf_counter()
        words = sessions.of(asked.session, asked.model).suggest(asked.text, asked.k)
        return {
            "context": asked.text,
            "suggestions": [{"word": s.word, "probability": s.probability} for s in words],
            "milliseconds": round(1000 * (time.perf_counter() - start), 3),
        }

    def learn(sent: Asked) -> dict[str, Any]:
        suggester = sessions.of(sent.session, sent.model)
        assert isinstance(suggester, Learns)
        suggester.learn(sent.text)
        return {"learnt": True}

    async def in_turn(work: Callable[[], Awaitable[dict[str, Any]]]) -> Response:
        nonlocal waiting
        if waiting >= MAX_WAITING:
            raise Refusal(503, "busy", "too many requests at once", "Try again in a second.")
        waiting += 1
        try:
            return as_json(await work())
        finally:
            waiting -= 1

    async def suggest(request: Request) -> Response:
        async def work() -> dict[str, Any]:
            asked = read_asked(await _body(request), models)
            return await asyncio.get_running_loop().run_in_executor(pool, compute, asked)

        return await in_turn(work)

    async def sent(request: Request) -> Response:
        async def work() -> dict[str, Any]:
            message = read_sent(await _body(request), learning)
            return await asyncio.get_running_loop().run_in_executor(pool, learn, message)

        return await in_turn(work)

    async def list_models(request: Request) -> Response:
        rows = [
            {"name": name, "about": served.about, "learns": served.learns}
            for name, served in models.items()
        ]
        return as_json({"models": rows})

    async def health(request: Request) -> Response:
        return as_json({"status": "ok"})

    async def openapi(request: Request) -> Response:
        return as_json(description(list(models), token is not None, learns=bool(learning)))

    routes = [
        Route("/v1/suggest", suggest, methods=["POST"]),
        *([Route("/v1/learn", sent, methods=["POST"])] if learning else []),
        Route("/v1/models", list_models),
        Route("/healthz", health),
        Route("/openapi.json", openapi),
        Route("/", _file("page.html")),
        *(Route(f"/{name}", _file(name)) for name in _FILES),
    ]
    handlers = {HTTPException: _not_here, Refusal: _refused, Exception: _failed}
    return Guard(Starlette(routes=routes, exception_handlers=handlers), names, token)


async def _body(request: Request) -> bytes:
    """The body, within its limits of kind, size and time."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":  # also: no other site can send this without asking first
        hint = "Send the header `Content-Type: application/json`."
        raise Refusal(415, "bad-input", "the body is not said to be JSON", hint)
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.stream():
                body += part
                if len(body) > MAX_BODY:
                    hint = "Send the end of the text: only the last 2,000 characters are read."
                    raise Refusal(
                        413, "bad-input", f"the body has more than {MAX_BODY:,} bytes", hint
                    )
    except TimeoutError:
        hint = "Send the body right after the head."
        raise Refusal(408, "bad-input", "the body took too long", hint) from None
    except ClientDisconnect:
        raise Refusal(400, "bad-input", "the client has gone", "") from None
    return bytes(body)


def _file(name: str) -> Callable[[Request], Awaitable[Response]]:
    """A file of the page, read once; the colours are those of the report."""
    data = (files("nwp.serve") / "page" / name).read_bytes()
    if name == "page.css":
        data = _colors().encode() + data
    kind = _TYPES[name.rpartition(".")[2]]

    async def answer(request: Request) -> Response:
        return Response(data, media_type=f"{kind}; charset=utf-8")

    return answer


def _colors() -> str:
    light, dark = variables(LIGHT), variables(DARK)
    return (
        f":root{{color-scheme:light;{light}}}\n"
        f"@media(prefers-color-scheme:dark){{:root:not([data-theme=light])"
        f"{{color-scheme:dark;{dark}}}}}\n"
        f":root[data-theme=dark]{{color-scheme:dark;{dark}}}\n"
    )


async def _refused(request: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, Refusal)
    return refusal.response()


async def _failed(request: Request, error: Exception) -> Response:
    """A defect; it goes on to the guard, which tells where."""
    hint = "The server's terminal says where. This is a defect of nwp: please report it."
    return Refusal(500, "internal", "no answer could be made", hint).response()


async def _not_here(request: Request, error: Exception) -> Response:
    """No such address, or not this method."""
    status = error.status_code if isinstance(error, HTTPException) else 404
    message = "no such address" if status == 404 else "not with this method"
    response = Refusal(
        status, "not-found", message, "/openapi.json lists what there is."
    ).response()
    if isinstance(error, HTTPException):
        response.headers.update(error.headers or {})
    return response
