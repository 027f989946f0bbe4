"""Google Drive below syft: an account's token, downloads with a bound, what its failures mean.

Syft repeats what Drive asks to repeat (429, 5xx, broken connections: three times, after 1, 2 and 4
seconds); downloads and deletions here do, too. What still fails is told as a `TransportError`.
"""

from __future__ import annotations

import contextlib
import errno
import http.client
import io
import json
import socket
import ssl
import sys
import time
import webbrowser
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import httplib2
from google.auth.exceptions import GoogleAuthError, RefreshError
from google.auth.exceptions import TransportError as AuthTransportError
from google.oauth2.credentials import Credentials
from google_auth_oauthlib.flow import InstalledAppFlow, WSGITimeoutError
from googleapiclient.errors import HttpError
from googleapiclient.http import MediaIoBaseDownload
from oauthlib.oauth2 import OAuth2Error

from nwp.errors import BadInput, BadMessage, BadSettings, Gone, NwpError, TransportError
from nwp.files import write_atomic

SCOPE = "https://www.googleapis.com/auth/drive"
_CHUNK = 8 << 20  # bytes of a download that are asked for at once
_TRIES = 4
_GONE = (404, 410)
_NO_BYTES = ("fileNotDownloadable", "cannotDownloadAbusiveFile", "cannotDownloadFile")
_NO_WAY = (errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL)
_OFFLINE = (
    httplib2.HttpLib2Error,
    http.client.HTTPException,
    AuthTransportError,
    ConnectionError,
    TimeoutError,
    socket.gaierror,
    ssl.SSLError,
)
_NEW_TOKEN = "Make a new token with `nwp worker drive-token`."

# Shows a person a question, and gives back what they type.
Ask = Callable[[str], str]


# ----------------------------------------------------------------------------------------- tokens


def make_token(
    credentials: Path, out: Path, *, ask: Ask | None = None, seconds: float = 300
) -> None:
    """Let a person permit the use of their Drive in a browser, and write the token to `out` (mode 0600).

    `credentials` is the file of an OAuth client of the kind "desktop", made in the person's own
    Google Cloud project. Where no browser can be opened, `ask` shows the address and takes the one
    that the browser ended at; by default at the terminal. BadInput for a file that is none such,
    BadSettings where nobody answers (within `seconds`) or the permission is not what was asked for.
    """
    flow = _flow(credentials)
    consent = {"access_type": "offline", "prompt": "consent"}  # else no token that lasts
    try:
        try:
            with contextlib.redirect_stdout(sys.stderr):  # it prints the address
                flow.run_local_server(host="127.0.0.1", port=0, timeout_seconds=seconds, **consent)
        except webbrowser.Error:
            _paste(flow, ask or _ask_at_terminal, consent)
        token = flow.credentials
    except WSGITimeoutError as error:
        raise BadSettings(
            f"nobody has permitted the use of a Drive within {seconds:.0f} s", "Try again."
        ) from error
    except (OAuth2Error, Warning, ValueError) as error:  # Warning: another scope was permitted
        raise BadSettings(
            f"no token came of it: {_plain(error)}",
            "Permit the use of the Drive with all boxes ticked, with the account that is meant.",
        ) from error
    except OSError as error:
        raise TransportError(
            f"Google can't be reached: {_plain(error)}", "Check the network, and try again."
        ) from error
    if not token.refresh_token:
        raise BadSettings(
            "the token would end within the hour",
            "Take nwp's permission away at myaccount.google.com, and make the token again.",
        )
    write_atomic(out, token.to_json(), mode=0o600)


def _flow(credentials: Path) -> Any:
    hint = "Download the file of an OAuth client of the kind Desktop app (docs/drive.md)."
    try:
        config = json.loads(credentials.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"{credentials}: {error.strerror}", hint) from error
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{credentials} is not JSON", hint) from error
    if not isinstance(config, dict) or "installed" not in config:
        raise BadInput(f"{credentials} is not of an OAuth client for desktops", hint)
    try:
        return InstalledAppFlow.from_client_config(config, [SCOPE])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"{credentials} is not of an OAuth client: {error}", hint) from error


def _paste(flow: Any, ask: Ask, consent: dict[str, str]) -> None:
    """Without a browser here: one elsewhere ends at an address that it can't open, with the code in it."""
    flow.redirect_uri = "http://127.0.0.1:1"
    address, state = flow.authorization_url(**consent)
    answer = ask(
        f"Open this address in a browser:\n\n  {address}\n\nand permit the use of the Drive. The page"
        " that follows can't be shown. Paste its address here: "
    )
    asked = parse_qs(urlparse(answer.strip()).query)
    if asked.get("state") != [state] or "code" not in asked:
        raise ValueError("that is not the address at which the browser ended")
    flow.fetch_token(code=asked["code"][0])


def _ask_at_terminal(question: str) -> str:
    if not sys.stdin or not sys.stdin.isatty():
        raise BadSettings(
            "no browser can be opened here, and there is no terminal to ask at",
            "Make the token on a machine with a browser, and copy the file.",
        )
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline()


def read_token(path: Path) -> Any:
    """The credentials in a token file. BadInput when it is none."""
    try:
        return Credentials.from_authorized_user_file(str(path), [SCOPE])  # type: ignore[no-untyped-call]
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}", _NEW_TOKEN) from error
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise BadInput(f"{path} is not a token for Google Drive", _NEW_TOKEN) from error


def check_account(found: str, email: str) -> None:
    """BadSettings when a token is of another account than the one meant."""
    if found.lower() != email.lower():
        raise BadSettings(
            f"the token is of {found}, not of {email}",
            "Give the address of the account, or make a token with the other account.",
        )


# ------------------------------------------------------------------------------------------ files


class LargePages:
    """A Drive service whose listings have 1000 entries a page unless told otherwise: syft reads one
    page of requests only, and 100 are those of 50 peers."""

    def __init__(self, service: Any) -> None:
        self._service = service

    def __getattr__(self, name: str) -> Any:
        return getattr(self._service, name)

    def files(self) -> Any:
        """The files, by listings of large pages."""
        files = self._service.files()
        plain = files.list
        files.list = lambda **query: plain(**{"pageSize": 1000, **query})
        return files


def download(service: Any, file_id: str, most: int) -> bytes:
    """A file's content, of which at most `most` + 1 bytes are fetched whatever is said of its size.

    BadMessage when it is larger, has gone, or is nothing that has bytes (a document, a shortcut).
    """
    content = io.BytesIO()
    request = service.files().get_media(fileId=file_id)
    reader = MediaIoBaseDownload(content, request, chunksize=min(_CHUNK, most + 1))
    done, size = False, 0
    try:
        while not done:
            status, done = _next_chunk(reader)
            before, size = size, content.tell()
            if max(size, status.total_size or 0) > most:
                raise too_large(most)
            if not done and size == before:
                raise TransportError("Drive sends a file without an end", "Try again later.")
            reader._chunksize = min(_CHUNK, most + 1 - size)  # it has no other way to ask for less
    except HttpError as error:
        if error.resp.status in _GONE or _reason(error) in _NO_BYTES:
            raise gone() from error
        raise
    return content.getvalue()


def _next_chunk(reader: Any) -> tuple[Any, bool]:
    """The next part of a download. Answers cut short are asked for again, which the reader does not."""
    for number in range(_TRIES):
        try:
            status, done = reader.next_chunk(num_retries=_TRIES - 1)
            return status, done
        except http.client.HTTPException:
            if number == _TRIES - 1:
                raise
            time.sleep(2**number)
    raise AssertionError


def delete(service: Any, file_id: str) -> None:
    """Delete a file of one's own; nothing happens when it has gone already."""
    try:
        service.files().delete(fileId=file_id).execute(num_retries=_TRIES - 1)
    except HttpError as error:
        if error.resp.status not in _GONE:
            raise


def gone() -> Gone:
    """For a message that was listed and can't be read any more."""
    return Gone("a message has gone, or is no file that can be read")


def too_large(most: int) -> BadMessage:
    """For a message of more bytes than are read."""
    return BadMessage(f"a message of more than {most} bytes, which are the most that are read")


# --------------------------------------------------------------------------------------- failures


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Tells failures of the network, the token and Drive itself as a `TransportError`."""
    try:
        yield
    except NwpError:
        raise
    except Exception as error:
        if meant := trouble(error):
            raise meant from error
        raise


def trouble(error: BaseException) -> TransportError | None:
    """What an error, or one that it came of, says of the network or of Drive; None when nothing.

    What it came of is looked at, too, because syft fails while it looks at some of Drive's answers.
    """
    seen: list[BaseException] = []
    at: BaseException | None = error
    while at is not None and at not in seen:
        if meant := _trouble(at):
            return meant
        seen.append(at)
        at = at.__cause__ or at.__context__
    return None


def _trouble(error: BaseException) -> TransportError | None:
    if isinstance(error, HttpError):
        return _refused(error)
    offline = isinstance(error, OSError) and error.errno in _NO_WAY
    if offline or isinstance(error, _OFFLINE):
        return TransportError(
            f"Google Drive can't be reached: {_plain(error)}",
            "Check the network; what was begun can be tried again.",
        )
    if isinstance(error, RefreshError) and error.retryable:
        return TransportError(f"Google is busy: {_plain(error)}", "Try again in a minute.")
    if isinstance(error, GoogleAuthError):
        return TransportError(f"Google does not take the token: {_plain(error)}", _NEW_TOKEN)
    return None


def _refused(error: HttpError) -> TransportError:
    """What Drive says where it does not do what was asked."""
    status, reason, words = error.resp.status, _reason(error), _plain(error.reason)
    if status == 401:
        return TransportError(f"Google does not take the token: {words}", _NEW_TOKEN)
    if status == 429 or status >= 500 or "atelimit" in reason.lower():
        return TransportError(
            f"Google Drive is busy ({status} {reason}): {words}",
            "Wait some minutes, and try again. A daily limit ends with the day.",
        )
    if "quota" in reason.lower() or "limit" in reason.lower():
        return TransportError(
            f"Google Drive is full or at a limit ({reason}): {words}",
            "Free some space on this Drive, its bin too, or wait a day.",
        )
    if reason in ("accessNotConfigured", "SERVICE_DISABLED"):
        return TransportError(
            f"the Drive API is off: {words}", "Turn it on in the project (docs/drive.md)."
        )
    if status in _GONE:
        return TransportError(
            "a file or folder on Drive has gone, or is not shared any more",
            "Start again; if it stays so, invite and accept again.",
        )
    return TransportError(
        f"Google Drive refuses ({status} {reason}): {words}",
        "Check the addresses, and that each is that of a Google account.",
    )


def _reason(error: HttpError) -> str:
    """Drive's own short word for why."""
    details = error.error_details
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict) and isinstance(detail.get("reason"), str):
            return str(detail["reason"])
    return ""


def _plain(said: object) -> str:
    """Others' words on one line, without what a terminal would obey."""
    text = " ".join(str(said).split()) or type(said).__name__
    return "".join(c for c in text if c.isprintable())[:200]
