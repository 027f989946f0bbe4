"""One file over HTTP, into a `.part` file from which a broken download goes on."""

from __future__ import annotations

import http.client
import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import IO, Any

from nwp import __version__
from nwp.errors import BadInput

Progress = Callable[[int, int | None], None]
"""Told how many bytes are there, and of how many (None when the server does not say)."""

TIMEOUT = 30.0
"""Seconds without a byte after which a server counts as gone."""
MOST = 4 << 30
"""Bytes of one download."""

_PIECE = 1 << 18
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)$")


def download(url: str, target: Path, progress: Progress) -> None:
    """Fetch a URL to a file; what a `.part` file beside it holds is not fetched again.

    A server that can't go on in the middle sends all again. BadInput when it can't be reached,
    answers with an error or stops half-way; the `.part` file then stays for the next time.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    have = part.stat().st_size if part.exists() else 0
    try:
        answer = _opened(url, have)
        if answer.status == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            answer.close()  # the part is no part of what is there now
            have, answer = 0, _opened(url, 0)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _failed(url, error) from error
    with closing(answer):
        if answer.status not in (http.HTTPStatus.OK, http.HTTPStatus.PARTIAL_CONTENT):
            raise _failed(url, f"the server answers {answer.status} {answer.reason}")
        start, whole = _place(answer)
        if start not in (0, have):
            raise _failed(url, "the server sends another part than the one asked for")
        with part.open("ab" if start else "wb") as file:
            _copy(url, answer, file, start, whole, progress)
    part.replace(target)


def _opened(url: str, have: int) -> Any:
    """The server's answer, be it a good one or not."""
    import urllib.error
    import urllib.request

    headers = {"User-Agent": f"nwp/{__version__}", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        return error


def _place(answer: Any) -> tuple[int, int | None]:
    """Where in the file the answer begins, and how long the whole file is, if that is said."""
    if answer.status == http.HTTPStatus.PARTIAL_CONTENT:
        match = _CONTENT_RANGE.match(answer.headers.get("Content-Range", ""))
        if match is None:
            return -1, None
        return int(match[1]), int(match[2]) if match[2] != "*" else None
    length = answer.headers.get("Content-Length", "")
    return 0, int(length) if length.isdecimal() else None


def _copy(
    url: str, answer: Any, file: IO[bytes], have: int, whole: int | None, progress: Progress
) -> None:
    progress(have, whole)
    while True:
        try:
            piece = answer.read(_PIECE)
        except (OSError, http.client.HTTPException) as error:
            raise _failed(url, error) from error
        if not piece:
            break
        file.write(piece)
        have += len(piece)
        progress(have, whole)
        if have > MOST:
            raise _failed(url, f"the server sends over {MOST >> 30} GiB")
    if whole is not None and have != whole:
        raise _failed(url, f"the server stopped after {have:,} of {whole:,} bytes")


def _failed(url: str, why: object) -> BadInput:
    reason = getattr(why, "reason", why)
    return BadInput(
        f"cannot download {url}: {reason or type(why).__name__}",
        f"Try again (it goes on where it stopped), or fetch {url} by other means "
        "and name the file with --archive FILE.",
    )
