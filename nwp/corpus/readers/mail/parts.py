"""The text of a mail: which of its parts is what was written, and what that says as plain text."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.message import Message as Mime

from nwp.corpus.lines import clean, decode
from nwp.corpus.readers.mail.html import html_text

MAX_DEPTH = 20
"""Parts within parts; what lies deeper is not looked at."""
MAX_PARTS = 1000
_MAX_VALUE = 4000  # characters of a header's value
_MAX_HEADERS = 1 << 20

_BLANK = re.compile(rb"\A\r?\n|\n\r?\n")
_BASE64 = re.compile(rb"[A-Za-z0-9+/=\s]*")
_SNIFFED = re.compile(rb"\A\s*--([^\s-][^\r\n]{0,69})\r?\nContent-", re.IGNORECASE)
_WIDER = {
    "iso8859-1": "cp1252",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "big5": "cp950",
}
"""What is in truth written under the name of a smaller set of characters."""
_NO_CHARSETS = frozenset({"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape"})


@dataclass(frozen=True)
class Part:
    """A mail or a part of one: headers by lower-cased name (each name's first), and its body."""

    headers: Mapping[str, str]
    body: bytes

    @property
    def mime(self) -> Mime:
        """Its headers of MIME alone, as the email package reads them; its body as the payload."""
        mime = Mime()
        for name in ("content-type", "content-transfer-encoding", "content-disposition"):
            if value := self.headers.get(name):
                mime[name] = value
        return mime


def read_part(raw: bytes) -> Part:
    """Headers and body, parted by the first empty line."""
    blank = _BLANK.search(raw)
    head, body = (raw[: blank.start()], raw[blank.end() :]) if blank else (raw, b"")
    return Part(_headers(head[:_MAX_HEADERS]), body)


def _headers(block: bytes) -> dict[str, str]:
    found: dict[bytes, list[bytes]] = {}
    value: list[bytes] | None = None
    for line in block.split(b"\n"):
        if line[:1] in (b" ", b"\t"):
            if value is not None and len(value) < 200:
                value.append(line.strip())
            continue
        name, colon, rest = line.partition(b":")
        value = [rest.strip()] if colon else None
        if value is not None:
            found.setdefault(name.strip().lower(), value)
    return {
        decode(name): clean(decode(b" ".join(lines)[:_MAX_VALUE])) for name, lines in found.items()
    }


def text_of(part: Part, depth: int = 0) -> str:
    """What was written: the plain text, or else the HTML as such; "" when it has neither.

    Attachments, appointments and mails that were attached or collected are no part of it.
    """
    mime = part.mime
    kind = mime.get_content_type()
    if depth > MAX_DEPTH or kind == "multipart/digest" or _attached(mime):
        return ""
    if mime.get_content_maintype() == "multipart":
        if boundary := _boundary(mime, part.body):
            parts = map(read_part, _pieces(part.body, boundary))
            return _chosen(parts, depth) if kind.endswith("/alternative") else _all(parts, depth)
    elif kind not in ("text/plain", "text/html", "text/markdown"):
        return ""
    text = clean(_decoded(mime, part.body))
    if kind == "text/html":
        return html_text(text)
    if _parameter(mime, "format") == "flowed":
        return unflowed(text, glue=_parameter(mime, "delsp") == "yes")
    return text


def _all(parts: Iterator[Part], depth: int) -> str:
    return "\n".join(filter(None, (text_of(part, depth + 1) for part in parts)))


def _chosen(parts: Iterator[Part], depth: int) -> str:
    """Of several forms of one text the plain one, or else the last (the richest)."""
    last = ""
    for part in parts:
        text = text_of(part, depth + 1)
        if text.strip():
            if part.mime.get_content_type() == "text/plain":
                return text
            last = text
    return last


def _attached(mime: Mime) -> bool:
    try:
        return mime.get_content_disposition() == "attachment" or bool(mime.get_filename())
    except (LookupError, TypeError, ValueError):
        return True


def _parameter(mime: Mime, name: str) -> str:
    """A parameter of the content type, lower-cased; "" where it has none, or a broken one."""
    try:
        value = mime.get_param(name, "")
    except (LookupError, TypeError, ValueError):
        return ""
    return (value if isinstance(value, str) else value[2]).strip().lower()


def _boundary(mime: Mime, body: bytes) -> bytes:
    """What parts the pieces; where the header lacks it or errs, what the body begins with."""
    try:
        boundary = (mime.get_boundary() or "").encode()
    except (LookupError, TypeError, ValueError):
        boundary = b""
    if boundary and b"--" + boundary in body:
        return boundary
    found = _SNIFFED.match(body)
    return found[1].rstrip() if found else b""


def _pieces(body: bytes, boundary: bytes) -> Iterator[bytes]:
    """What lies between the lines of a boundary; the last one is ended by the body's end too."""
    mark, start, count = b"--" + boundary, -1, 0
    at = body.find(mark)
    while at >= 0 and count < MAX_PARTS:
        end = body.find(b"\n", at)
        end = len(body) if end < 0 else end + 1
        rest = body[at + len(mark) : end].strip()
        if (at == 0 or body[at - 1 : at] == b"\n") and rest in (b"", b"--"):
            if start >= 0:
                yield body[start:at].removesuffix(b"\n").removesuffix(b"\r")
                count += 1
            start = end if not rest else -1
        at = body.find(mark, at + len(mark))
    if start >= 0 and count < MAX_PARTS:
        yield body[start:]


def _decoded(mime: Mime, body: bytes) -> str:
    """The text of a part, out of its transfer encoding and its charset."""
    coding = str(mime.get("content-transfer-encoding", "")).strip().lower()
    if coding == "base64":  # a list may have put its own plain footer behind it
        found = _BASE64.match(body)
        body = found[0] if found else b""
    if coding in ("base64", "quoted-printable"):
        mime.replace_header("content-transfer-encoding", coding)
        mime.set_payload(body.decode("ascii", "surrogateescape"))
        payload = mime.get_payload(decode=True)
        body = payload if isinstance(payload, bytes) else b""
    return in_charset(body, _parameter(mime, "charset"))


def in_charset(raw: bytes, name: str) -> str:
    """Read as its charset says where that can be; else as UTF-8 or as bytes that all mean something."""
    try:
        charset = codecs.lookup(name).name if name else "utf-8"
        charset = "utf-8" if charset in _NO_CHARSETS else _WIDER.get(charset, charset)
        return raw.decode(charset)
    except UnicodeError:
        pass
    except (LookupError, ValueError):
        charset = "utf-8"
    if charset in ("utf-8", "ascii", "cp1252"):
        return "\n".join(map(decode, raw.split(b"\n")))
    try:
        return raw.decode("utf-8")
    except UnicodeError:
        return raw.decode(charset, "replace")


def unflowed(text: str, glue: bool = False) -> str:
    """Lines of format=flowed as the paragraphs they were (RFC 3676); `glue` drops the space between."""
    lines: list[list[str]] = []
    going, last = False, 0
    for line in text.split("\n"):
        body = line.lstrip(">")
        depth = len(line) - len(body)
        body = body.removeprefix(" ")
        sign = body == "-- "
        if going and depth == last and not sign:
            lines[-1].append(body)
        else:
            lines.append([">" * depth + " " * bool(depth), body])
        going, last = body.endswith(" ") and not sign, depth
        if going and glue:
            lines[-1][-1] = body[:-1]
    return "\n".join(map("".join, lines))
