"""The interface described in OpenAPI 3.1, for programs that make clients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nwp import __version__
from nwp.serve.answers import MAX_BODY, MAX_K, MAX_SESSION, MAX_TEXT


def description(models: Sequence[str], with_token: bool, *, learns: bool = False) -> dict[str, Any]:
    """The whole interface; `models` are the names that may be asked, the first is the default. With
    `learns` one of them takes messages that were sent."""
    found: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "nwp",
            "version": __version__,
            "description": "Next-word suggestions. Nothing that is sent is logged or kept on disk"
            + (", but what /v1/learn counts of it." if learns else "."),
        },
        "paths": {
            "/v1/suggest": {"post": _suggest(models)},
            "/v1/models": {"get": _get("The models that may be asked", "Models")},
            "/healthz": {"get": _get("Is the server there?", "Health")},
        },
        "components": {"schemas": _SCHEMAS},
    }
    if learns:
        found["paths"]["/v1/learn"] = {"post": _learn()}
        found["components"]["schemas"] = _SCHEMAS | {"Learnt": _object(learnt={"const": True})}
    if with_token:
        found["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        for path in [path for path in found["paths"] if path.startswith("/v1/")]:
            for operation in found["paths"][path].values():
                operation["security"] = [{"token": []}]
    return found


def _suggest(models: Sequence[str]) -> dict[str, Any]:
    asked = {
        "type": "object",
        "required": ["text"],
        "additionalProperties": False,
        "properties": {
            "text": {"type": "string", "maxLength": MAX_TEXT, "description": "Typed so far."},
            "k": {"type": "integer", "minimum": 1, "maximum": MAX_K, "default": 3},
            "model": {"type": "string", "enum": list(models), "default": models[0]},
            "session": {
                "type": "string",
                "maxLength": MAX_SESSION,
                "default": "",
                "description": "One for each text that is being typed; makes answers faster.",
            },
        },
    }
    return {
        "summary": "Complete or follow a text",
        "description": "A text that ends in a word has that word completed; else the next is suggested.",
        "requestBody": {"required": True, "content": {"application/json": {"schema": asked}}},
        "responses": {
            "200": _answer("The words, best first", "Suggestions"),
            **{status: _answer(what, "Error") for status, what in (_OF_BODIES | _ALWAYS).items()},
        },
    }


def _learn() -> dict[str, Any]:
    sent = {
        "type": "object",
        "required": ["text"],
        "additionalProperties": False,
        "properties": {
            "text": {"type": "string", "maxLength": MAX_TEXT, "description": "A whole message."},
            "session": {"type": "string", "maxLength": MAX_SESSION, "default": ""},
        },
    }
    return {
        "summary": "Learn from a message that was sent",
        "description": "Its words are counted in the person's own file, on the server's machine.",
        "requestBody": {"required": True, "content": {"application/json": {"schema": sent}}},
        "responses": {
            "200": _answer("It is counted", "Learnt"),
            **{status: _answer(what, "Error") for status, what in (_OF_BODIES | _ALWAYS).items()},
        },
    }


_OF_BODIES = {
    "400": "no JSON",
    "408": "the body took too long",
    "413": f"more than {MAX_BODY:,} bytes",
    "415": "not said to be JSON",
    "422": "out of limits",
    "503": "too many requests at once",
}


# What any request may be answered.
_ALWAYS = {
    "401": "the token is missing or wrong",
    "403": "from a page of another site",
    "421": "sent to a name that is not this server's",
}


def _get(summary: str, schema: str) -> dict[str, Any]:
    refused = {status: _answer(what, "Error") for status, what in _ALWAYS.items()}
    return {"summary": summary, "responses": {"200": _answer(summary, schema), **refused}}


def _answer(what: str, schema: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {"description": what, "content": content}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": properties}


_STRING = {"type": "string"}
_SCHEMAS = {
    "Suggestions": _object(
        context=_STRING,
        suggestions={
            "type": "array",
            "items": _object(
                word=_STRING,
                probability={
                    "type": "number",
                    "minimum": 0,
                    "maximum": 1,
                    "description": "Among the vocabulary's words that start with what is typed.",
                },
            ),
        },
        milliseconds={"type": "number", "description": "Of computing, without the way."},
    ),
    "Models": _object(
        models={
            "type": "array",
            "items": _object(name=_STRING, about=_STRING, learns={"type": "boolean"}),
        }
    ),
    "Health": _object(status={"const": "ok"}),
    "Error": _object(error=_object(kind=_STRING, message=_STRING, hint=_STRING)),
}
