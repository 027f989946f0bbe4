"""Asks an ASGI application in this process, without a socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp, Message

HERE = "127.0.0.1:8697"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def error(self, status: int, kind: str) -> str:
        """Message and hint of a refusal of this status and kind."""
        assert self.status == status, self
        assert self.headers["content-type"] == "application/json"
        found = self.json()
        assert set(found) == {"error"}
        assert set(found["error"]) == {"kind", "message", "hint"}
        assert found["error"]["kind"] == kind
        return f"{found['error']['message']} | {found['error']['hint']}"


def ask(
    app: ASGIApp,
    path: str,
    body: bytes | Sequence[bytes] | None = None,
    method: str | None = None,
    **headers: str,
) -> Answer:
    """One request; header names with _ for -. A body of several parts comes part by part."""
    return asyncio.run(asking(app, path, body, method, **headers))


async def asking(
    app: ASGIApp,
    path: str,
    body: bytes | Sequence[bytes] | None = None,
    method: str | None = None,
    **headers: str,
) -> Answer:
    parts = [body] if isinstance(body, bytes) else list(body or [b""])
    given = {"host": HERE} | {name.replace("_", "-"): value for name, value in headers.items()}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method or ("GET" if body is None else "POST"),
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(n.encode(), v.encode("latin-1")) for n, v in given.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8697),
    }
    sent: list[Message] = []
    coming = iter(parts)
    left = len(parts)

    async def receive() -> Message:
        nonlocal left
        left -= 1
        return {"type": "http.request", "body": next(coming), "more_body": left > 0}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    start, *rest = sent
    heads = {n.decode().lower(): v.decode() for n, v in start["headers"]}
    return Answer(start["status"], heads, b"".join(m.get("body", b"") for m in rest))


def suggest(app: ASGIApp, content: Any, **headers: str) -> Answer:
    """POST /v1/suggest with some JSON."""
    body = json.dumps(content).encode()
    return ask(app, "/v1/suggest", body, content_type="application/json", **headers)
