"""A Google Drive for tests: an HTTP server on this machine that answers what syft asks of the real one.

What the real client libraries send and receive goes over real sockets. It knows accounts by their
tokens, checks rights on files and the folders above them, gives listings by pages, takes uploads at
once or by parts, and fails when it is told to.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import httplib2

FOLDER = "application/vnd.google-apps.folder"
_ROLES = ("reader", "writer", "owner")
_DEFAULT = ("kind", "id", "name", "mimeType")


@dataclass
class File:
    """One file or folder; rights by e-mail address."""

    id: str
    name: str
    mime: str
    parents: list[str]
    rights: dict[str, str]
    content: bytes = b""
    time: str = "2026-01-01T00:00:00.000Z"
    since: int = 0  # the request before which no listing has it

    @property
    def owner(self) -> str:
        return next(email for email, role in self.rights.items() if role == "owner")

    def about(self) -> dict[str, Any]:
        found = {
            "kind": "drive#file",
            "id": self.id,
            "name": self.name,
            "mimeType": self.mime,
            "parents": self.parents,
            "owners": [{"emailAddress": self.owner}],
            "modifiedTime": self.time,
        }
        return found if self.mime == FOLDER else {**found, "size": str(len(self.content))}


@dataclass
class Fault:
    """Something that goes wrong: for requests whose "METHOD /path" matches, so many times."""

    match: re.Pattern[str]
    times: int
    status: int = 0
    reason: str = ""
    how: str = ""  # "reset", "truncated", "slow", "html" or "message only"


class Refused(Exception):
    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


@dataclass
class FakeDrive:
    """The service; `page` is the most entries that a page of a listing has, `lag` the requests until a
    new file is in listings."""

    page: int = 1000
    lag: int = 0
    files: dict[str, File] = field(default_factory=dict)
    access: dict[str, str] = field(default_factory=dict)  # access token to account
    refresh: dict[str, str] = field(default_factory=dict)  # refresh token to account
    codes: dict[str, str] = field(default_factory=dict)  # code of a consent to account
    faults: list[Fault] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    sent: int = 0  # bytes of contents
    mails: list[tuple[str, str]] = field(default_factory=list)  # who was told of what
    uploads: dict[str, tuple[str, dict[str, Any], str, bytearray]] = field(default_factory=dict)
    root: str = ""
    numbers: int = 0
    https: list[Any] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)
    over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> FakeDrive:
        handler = type("Handler", (_Handler,), {"drive": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.root = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for http in self.https:
            http.close()
        self.server.shutdown()
        self.server.server_close()

    def number(self, what: str) -> str:
        self.numbers += 1
        return f"{what}-{self.numbers:08d}"

    def token(self, folder: Path, email: str) -> Path:
        """A token file of an account, whose first access token has ended."""
        refresh = self.number("refresh")
        self.refresh[refresh] = email
        path = folder / f"{email}.json"
        about = {
            "token": "ended",
            "refresh_token": refresh,
            "token_uri": "https://oauth2.googleapis.com/token",
            "client_id": "c",
            "client_secret": "s",
            "scopes": ["https://www.googleapis.com/auth/drive"],
        }
        path.write_text(json.dumps(about))
        return path

    def fail(
        self, match: str = "", times: int = 1, status: int = 0, reason: str = "", how: str = ""
    ) -> None:
        """Let requests fail; `match` is a pattern of "METHOD /path"."""
        self.faults.append(Fault(re.compile(match), times, status, reason, how))

    def http(self) -> Any:
        """A connection to the network of which Google's hosts are this server."""
        self.https.append(_Redirected(self.root))
        return self.https[-1]

    # ----------------------------------------------------------------------------------- rights

    def role(self, email: str, file: File) -> int:
        """0 for none, else 1 to 3 for reader, writer and owner; folders hand theirs down."""
        own = _ROLES.index(file.rights[email]) + 1 if email in file.rights else 0
        above = [self.role(email, self.files[p]) for p in file.parents if p in self.files]
        return max([own, *(min(role, 2) for role in above)])

    def find(self, email: str, identity: str, least: int = 1) -> File:
        file = self.files.get(identity)
        role = self.role(email, file) if file else 0
        if not file or not role:
            raise Refused(404, "notFound")
        if role < least:
            raise Refused(403, "insufficientFilePermissions")
        return file

    # ---------------------------------------------------------------------------------- answers

    def list(self, email: str, asked: dict[str, str]) -> dict[str, Any]:
        tests = [_clause(part, email) for part in asked.get("q", "").split(" and ") if part]
        there = [f for f in self.files.values() if f.since <= len(self.requests)]
        mine = [f for f in there if self.role(email, f)]
        found = [f for f in mine if all(test(f) for test in tests)]
        if asked.get("orderBy") == "name desc":
            found.sort(key=lambda file: file.name, reverse=True)
        begin, fields = int(asked.get("pageToken", 0)), asked.get("fields", "")
        end = begin + min(self.page, int(asked.get("pageSize", 100)))
        inner = re.search(r"files\(([^)]*)\)", fields)
        names = [n.strip() for n in inner[1].split(",")] if inner else list(_DEFAULT)
        answer: dict[str, Any] = {"files": [_some(f.about(), names) for f in found[begin:end]]}
        if end < len(found) and (not fields or "nextPageToken" in fields):
            answer["nextPageToken"] = str(end)
        return answer

    def create(self, email: str, body: dict[str, Any], content: bytes, mime: str) -> File:
        parents = body.get("parents", [])
        for parent in parents:
            self.find(email, parent, 2)
        mime = body.get("mimeType", mime)
        file = File(self.number("file"), body["name"], mime, parents, {email: "owner"}, content)
        file.since = len(self.requests) + self.lag if self.lag else 0
        self.files[file.id] = file
        return file

    def update(
        self, email: str, identity: str, body: dict[str, Any], content: bytes | None
    ) -> File:
        file = self.find(email, identity, 2)
        file.name = body.get("name", file.name)
        file.content = file.content if content is None else content
        return file


def _some(about: dict[str, Any], names: list[str]) -> dict[str, Any]:
    return {name: about[name] for name in names if name in about}


def _clause(part: str, me: str) -> Callable[[File], bool]:
    """One condition of a query. `name contains` compares words, the last of them by its beginning."""
    part = part.strip()
    if part == "trashed=false":
        return lambda file: True
    if match := re.fullmatch(r"(not )?'([^']*)' in owners", part):
        no, who = bool(match[1]), me if match[2] == "me" else match[2]
        return lambda file: (file.owner == who) is not no
    if match := re.fullmatch(r"'([^']*)' in parents", part):
        parent = match[1]
        return lambda file: parent in file.parents
    if match := re.fullmatch(r"mimeType ?= ?'([^']*)'", part):
        mime = match[1]
        return lambda file: file.mime == mime
    if match := re.fullmatch(r"name ?= ?'([^']*)'", part):
        name = match[1]
        return lambda file: file.name == name
    if match := re.fullmatch(r"name contains '([^']*)'", part):
        words = re.findall(r"\w+", match[1])
        return lambda file: _has(re.findall(r"\w+", file.name), words)
    raise Refused(400, "invalid")


def _has(there: list[str], words: list[str]) -> bool:
    last = len(words) - 1
    return any(
        there[i : i + last] == words[:last] and there[i + last].startswith(words[last])
        for i in range(len(there) - last)
    )


class _Handler(BaseHTTPRequestHandler):
    drive: FakeDrive
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):  # the base class asks for a method by the request's
            return self._handle
        raise AttributeError(name)

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        url = urlparse(self.path)
        asked = {name: values[0] for name, values in parse_qs(url.query).items()}
        line = f"{self.command} {url.path}"
        with self.drive.lock:
            self.drive.requests.append(line)
            fault = next((f for f in self.drive.faults if f.times and f.match.search(line)), None)
            if fault:
                fault.times -= 1
        if fault and fault.how != "truncated":
            self._fail(fault)
            return
        try:
            with self.drive.lock:
                self._answer(url.path, asked, body, bool(fault))
        except Refused as refused:
            self._refuse(refused.status, refused.reason)

    def _fail(self, fault: Fault) -> None:
        if fault.how == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
        elif fault.how == "slow":
            self.drive.over.wait(30)
            self.close_connection = True
        elif fault.how == "html":
            self._send(fault.status, {"content-type": "text/html"}, b"<html>no\x1b[31m</html>")
        elif fault.how == "message only":
            body = json.dumps({"error": {"code": fault.status, "message": "no"}}).encode()
            self._send(fault.status, {"content-type": "application/json"}, body)
        else:
            self._refuse(fault.status, fault.reason)

    def _refuse(self, status: int, reason: str) -> None:
        about = {"domain": "global", "reason": reason, "message": f"said of {reason}"}
        error = {"code": status, "message": f"said of {reason}", "errors": [about]}
        body = json.dumps({"error": error}).encode()
        self._send(status, {"content-type": "application/json; charset=UTF-8"}, body)

    def _send(self, status: int, headers: dict[str, str], body: bytes, cut: bool = False) -> None:
        with contextlib.suppress(OSError):
            self.send_response(status)
            for name, value in {**headers, "content-length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if cut else body)
            self.wfile.flush()
        if cut:
            self.close_connection = True

    def _tell(self, about: dict[str, Any], cut: bool = False) -> None:
        body = json.dumps(about).encode()
        self._send(200, {"content-type": "application/json"}, body, cut)

    def _answer(self, path: str, asked: dict[str, str], body: bytes, cut: bool) -> None:  # noqa: PLR0912
        drive = self.drive
        if path == "/token":
            self._token({name: v[0] for name, v in parse_qs(body.decode()).items()})
            return
        bearer = self.headers.get("authorization", "").removeprefix("Bearer ")
        email = drive.access.get(bearer)
        if email is None:
            raise Refused(401, "authError")
        if path.startswith(("/upload/", "/resumable/upload/")):
            self._upload(email, path, asked, body)
            return
        if path == "/drive/v3/about":
            self._tell({"user": {"emailAddress": email}})
            return
        names = [n.strip() for n in asked.get("fields", ",".join(_DEFAULT)).split(",")]
        told = json.loads(body) if body else {}
        identity, _, rest = path.removeprefix("/drive/v3/files").strip("/").partition("/")
        match self.command, rest:
            case "GET", "" if not identity:
                self._tell(drive.list(email, asked), cut)
            case "GET", "" if asked.get("alt") == "media":
                self._media(drive.find(email, identity), cut)
            case "GET", "":
                self._tell(_some(drive.find(email, identity).about(), names))
            case "POST", "" if not identity:
                self._tell(_some(drive.create(email, told, b"", "").about(), names))
            case "PATCH", "":
                self._tell(_some(drive.update(email, identity, told, None).about(), names))
            case "DELETE", "":
                drive.find(email, identity, 3)
                del drive.files[identity]
                self._send(204, {}, b"")
            case "GET", "permissions":
                rights = drive.find(email, identity, 2).rights
                self._tell({"permissions": [{"emailAddress": e} for e in rights]})
            case "POST", "permissions":
                drive.find(email, identity, 2).rights[told["emailAddress"]] = told["role"]
                if asked.get("sendNotificationEmail") == "true":
                    drive.mails.append((told["emailAddress"], drive.files[identity].name))
                self._tell({"id": "permission", **told})
            case _:
                raise Refused(400, "badRequest")

    def _token(self, told: dict[str, str]) -> None:
        drive = self.drive
        given = drive.codes if told.get("grant_type") == "authorization_code" else drive.refresh
        email = given.get(told.get("code") or told.get("refresh_token") or "")
        if email is None:
            about = {"error": "invalid_grant", "error_description": "Token has been revoked."}
            self._send(400, {"content-type": "application/json"}, json.dumps(about).encode())
            return
        access = drive.number("access")
        drive.access[access] = email
        scope = "https://www.googleapis.com/auth/drive"
        answer = {"access_token": access, "expires_in": 3600, "token_type": "Bearer"}
        if given is drive.codes:
            refresh = drive.number("refresh")
            drive.refresh[refresh] = email
            answer["refresh_token"] = refresh
        self._tell({**answer, "scope": scope})

    def _media(self, file: File, cut: bool) -> None:
        if file.mime.startswith("application/vnd.google-apps."):
            raise Refused(403, "fileNotDownloadable")
        size, span = len(file.content), self.headers.get("range")
        if not span:
            self._send(200, {}, file.content, cut)
            return
        first, last = (int(n) for n in span.removeprefix("bytes=").split("-"))
        if first >= size:
            self._send(416, {"content-range": f"bytes */{size}"}, b"")
            return
        part = file.content[first : last + 1]
        self.drive.sent += len(part)
        about = f"bytes {first}-{first + len(part) - 1}/{size}"
        self._send(206, {"content-range": about}, part, cut)

    def _upload(self, email: str, path: str, asked: dict[str, str], body: bytes) -> None:
        drive = self.drive
        identity = path.partition("/drive/v3/files")[2].strip("/")
        if upload := asked.get("upload_id"):
            self._part(upload, body)
        elif asked.get("uploadType") == "resumable":
            mime = self.headers.get("x-upload-content-type", "")
            told = json.loads(body) if body else {}
            upload = drive.number("upload")
            drive.uploads[upload] = (identity, {**told, "_by": email}, mime, bytearray())
            where = f"https://www.googleapis.com{path}?uploadType=resumable&upload_id={upload}"
            self._send(200, {"location": where}, b"")
        elif asked.get("uploadType") == "multipart":
            kind = self.headers["content-type"].encode()
            parts: Any = BytesParser().parsebytes(b"content-type: " + kind + b"\r\n\r\n" + body)
            first, second = parts.get_payload()
            content = second.get_payload(decode=True)
            told = json.loads(first.get_payload())
            self._keep(email, identity, told, content, second.get_content_type())
        else:
            raise Refused(400, "badRequest")

    def _part(self, upload: str, body: bytes) -> None:
        if upload not in self.drive.uploads:
            raise Refused(404, "notFound")
        identity, told, mime, got = self.drive.uploads[upload]
        span = self.headers.get("content-range", f"bytes 0-{len(body) - 1}/{len(body)}")
        place, _, total = span.removeprefix("bytes ").partition("/")
        if place != "*":
            got[int(place.partition("-")[0]) :] = body
        if total == "*" or len(got) < int(total):
            so_far = {"range": f"bytes=0-{len(got) - 1}"} if got else {}
            self._send(308, so_far, b"")
            return
        email = told["_by"]
        self._keep(email, identity, told, bytes(got), mime)

    def _keep(self, email: str, identity: str, told: Any, content: bytes, mime: str) -> None:
        if identity:
            file = self.drive.update(email, identity, told, content)
        else:
            file = self.drive.create(email, told, content, mime)
        self._tell(file.about())


class _Redirected(httplib2.Http):  # type: ignore[misc]
    """Asks the fake where Google's hosts are meant. It waits half a second, whatever others set."""

    def __init__(self, root: str) -> None:
        super().__init__(timeout=0.5)
        self.root = root
        self.redirect_codes = self.redirect_codes - {308}  # means "go on" in uploads

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, 0.5 if name == "timeout" else value)

    def request(self, uri: str, *args: Any, **more: Any) -> Any:
        host = urlparse(uri)
        assert host.scheme == "https"
        assert host.hostname in ("www.googleapis.com", "oauth2.googleapis.com"), uri
        return super().request(uri.replace(f"https://{host.netloc}", self.root), *args, **more)


@contextlib.contextmanager
def drive_for(patch: Any) -> Iterator[FakeDrive]:
    """A fake Drive that syft's connections reach instead of Google's, without waits between tries."""
    with FakeDrive() as drive:
        where = "syft.sync.connections.drive.gdrive_transport.build_http"
        patch.setattr(where, drive.http)
        yield drive
