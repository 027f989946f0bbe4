"""Requests checked and answered in JSON: limits, refusals and their form."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

# Only the last 1,000 to 2,000 characters are read; a client need not cut its text to that.
MAX_TEXT = 10_000
# A character takes up to twelve bytes in JSON: two escapes of six.
MAX_BODY = 12 * MAX_TEXT + 1_000
MAX_K = 100
MAX_SESSION = 64


class Refusal(Exception):
    """A request that is not answered: HTTP status, kind, message and hint; never what was typed."""

    def __init__(self, status: int, kind: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.status = status
        self.error = {"kind": kind, "message": message, "hint": hint}

    def response(self) -> Response:
        """As JSON, `{"error": {"kind", "message", "hint"}}`."""
        extra = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": "1"}}
        return as_json({"error": self.error}, self.status, extra.get(self.status, {}))


def as_json(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A response of JSON in UTF-8."""
    data = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    return Response(data, status, headers, "application/json")


@dataclass(frozen=True)
class Asked:
    """A request for suggestions that is within all limits."""

    text: str
    k: int
    model: str
    session: str


def read_asked(body: bytes, models: Collection[str]) -> Asked:
    """What a body of JSON asks for; Refusal 400 when it is no JSON, 422 for what is out of limits."""
    given = _object(body, ("text", "k", "model", "session"))
    asked = Asked(
        _text(given, "Send its end: only the last 2,000 characters are read."),
        given.get("k", 3),
        given.get("model", next(iter(models))),
        given.get("session", ""),
    )
    if type(asked.k) is not int or not 1 <= asked.k <= MAX_K:
        raise _unfit(f'"k" is no whole number from 1 to {MAX_K}')
    if not isinstance(asked.model, str) or asked.model not in models:
        raise Refusal(422, "bad-input", '"model" is none of those served', _among(models))
    if not isinstance(asked.session, str) or len(asked.session) > MAX_SESSION:
        raise _unfit(f'"session" is no string of at most {MAX_SESSION} characters')
    return asked


def read_sent(body: bytes, models: Collection[str]) -> Asked:
    """A message that was sent, for the first of `models` to learn from; Refusal as from `read_asked`."""
    given = _object(body, ("text", "session"))
    text = _text(given, "Send it in parts.")
    session = given.get("session", "")
    if not isinstance(session, str) or len(session) > MAX_SESSION:
        raise _unfit(f'"session" is no string of at most {MAX_SESSION} characters')
    return Asked(text, 0, next(iter(models)), session)


def _object(body: bytes, known: tuple[str, ...]) -> dict[str, Any]:
    """The body's JSON object, which has known keys alone."""
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        raise Refusal(400, "bad-input", "the body is no JSON", _LIKE) from None
    if not isinstance(given, dict):
        raise _unfit("the body is no JSON object")
    if unknown := sorted(set(given) - set(known)):
        raise _unfit(f"{unknown[0][:40]!a} is no key that is known")
    return given


def _text(given: Mapping[str, Any], hint: str) -> str:
    text = given.get("text")
    if not isinstance(text, str):
        raise _unfit('"text" is missing, or no string')
    if len(text) > MAX_TEXT:
        raise Refusal(422, "bad-input", f'"text" has more than {MAX_TEXT:,} characters', hint)
    if any("\ud800" <= c <= "\udfff" for c in text):
        raise _unfit('"text" holds half a character (a lone surrogate)')
    return text


_LIKE = 'For example: {"text": "see you ", "k": 3}. /openapi.json has all of it.'


def _unfit(message: str) -> Refusal:
    return Refusal(422, "bad-input", message, _LIKE)


def _among(models: Collection[str]) -> str:
    return f"There {'is' if len(models) == 1 else 'are'} {', '.join(models)}."
