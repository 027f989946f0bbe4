"""HTML of a mail as plain text: lines where a reader sees lines, without what was quoted."""

from __future__ import annotations

import re
from typing import Any

MAX_HTML = 2_000_000
"""Characters; the rest of a longer one is not read."""
_MAX_OPEN = 3000  # elements within elements: parsing takes the square of it
_MAX_STYLED = 100

QUOTE_MARK = "> "
"""The line that stands for what was quoted there."""
_REST_MARK = "-----Original Message-----"  # from here on all is quoted

_STYLING = re.compile(
    r"<(/?)(?:a|b|big|code|em|font|i|nobr|s|small|strike|strong|tt|u)\b[^<>]*+>", re.IGNORECASE
)
_TAG = re.compile(r"<(/?)([A-Za-z][^\s/<>]*+)[^<>]*+>")


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_SELF_CLOSED = _set(
    "area base br col dd dt embed hr img input li link meta o:p option p tbody td th thead tr wbr"
)
_OUT = _set("head iframe noscript object script style svg template textarea title")
_BLOCKS = _set(
    "address article aside blockquote body center dd div dl dt fieldset footer form h1 h2 h3 h4 h5 "
    "h6 header hr li main nav ol p pre section table tbody tfoot thead tr ul"
)
_MARKED = _set("blockquote div span table p hr a section")
_QUOTES = _set("moz-cite-prefix protonmail_quote yahoo_quoted")
_SIGNATURES = _set(
    "gmail_signature gmail_signature_prefix moz-signature protonmail_signature_block "
    "signature x_signature applemailsignature ms-outlook-mobile-signature"
)
_RESTS = _set("divrplyfwdmsg x_divrplyfwdmsg appendonsend outlookmessageheader zwchr")
_HIDDEN = re.compile(r"display\s*:\s*none", re.IGNORECASE)
_UNFRAMED = re.compile(r"border(?:-left)?\s*:\s*(?:none|0)", re.IGNORECASE)
_SPACES = re.compile(r"[ \t\r\n\f]+")


def html_text(html: str) -> str:
    """The text of a mail's HTML; a line `QUOTE_MARK` where something was quoted.

    "" for one whose elements lie so deep in each other that no mail program wrote it.
    """
    from selectolax.lexbor import LexborHTMLParser

    html = html[:MAX_HTML]
    if _depth(_STYLING, html) > _MAX_STYLED:  # they make no lines, and unclosed ones much work
        html = _STYLING.sub("", html)
    if _depth(_TAG, html) > _MAX_OPEN:
        return ""
    body = LexborHTMLParser(html).body
    return "" if body is None else _Lines().of(body)


def _depth(tags: re.Pattern[str], html: str) -> int:
    """How many elements are open at once, at most."""
    depth = most = 0
    for tag in tags.finditer(html):
        if tags is _TAG and (tag[0][-2] == "/" or tag[2].lower() in _SELF_CLOSED):
            continue
        depth += -1 if tag[1] else 1
        depth = max(depth, 0)
        most = max(most, depth)
    return most


class _Lines:
    """Lines of text as they come up while the elements are walked."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._line: list[str] = []

    def of(self, body: Any) -> str:
        waiting: list[tuple[Any, bool, bool]] = [(body, False, False)]
        while waiting:
            node, left, kept = waiting.pop()
            tag = node.tag
            if left:
                self._end()
            elif tag == "-text":
                self._say(node.text_content or "", kept)
            elif tag == "br":
                self._break()
            elif tag not in _OUT and self._enters(node, tag):
                kept = kept or tag == "pre"
                if tag in _BLOCKS:
                    self._end()
                    waiting.append((node, True, kept))
                waiting.extend((child, False, kept) for child in reversed(_children(node)))
        self._end()
        return "\n".join(self._lines)

    def _enters(self, node: Any, tag: str) -> bool:
        """Whether what an element holds was written here; else leaves the mark that stands for it."""
        if tag in ("td", "th"):
            self._line.append(" ")
        if tag not in _MARKED:
            return True
        marks = node.attributes
        style = marks.get("style") or ""
        names = {*(marks.get("class") or "").lower().split(), (marks.get("id") or "").lower()}
        if names & _SIGNATURES or _HIDDEN.search(style):
            return False
        if names & _RESTS:
            self._alone(_REST_MARK)
            return False
        if "gmail_attr" in names and _in_quote(node):
            return False
        if (
            names & _QUOTES
            or (tag == "blockquote" and not _indented(marks, style))
            or ("gmail_quote" in names and node.css_first("blockquote") is None)
        ):
            self._alone(QUOTE_MARK)
            return False
        return True

    def _say(self, text: str, kept: bool) -> None:
        if not kept:
            self._line.append(_SPACES.sub(" ", text))
            return
        first, *others = text.split("\n")
        self._line.append(first)
        for other in others:
            self._break()
            self._line.append(other)

    def _alone(self, line: str) -> None:
        self._end()
        self._lines.append(line)

    def _break(self) -> None:
        self._lines.append(_SPACES.sub(" ", "".join(self._line).replace("\xa0", " ")).strip())
        self._line = []

    def _end(self) -> None:
        """The end of a block: of a line, if there is one."""
        text = "".join(self._line)
        if text.strip() or "\xa0" in text:
            self._break()
        self._line = []


def _children(node: Any) -> list[Any]:
    found = []
    child = node.child
    while child is not None:
        found.append(child)
        child = child.next
    return found


def _in_quote(node: Any) -> bool:
    """Whether the line "… wrote:" has its quote as an element beside it."""
    parent = node.parent
    return parent is not None and parent.css_first("blockquote") is not None


def _indented(marks: dict[str, str | None], style: str) -> bool:
    """A blockquote that only indents: what the writer's own button for that makes."""
    return bool(_UNFRAMED.search(style)) and not any(
        marks.get(m) for m in ("class", "type", "cite")
    )
