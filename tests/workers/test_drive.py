"""Google Drive: what goes wrong there, and tokens. Against a fake that real client libraries ask."""

from __future__ import annotations

import io
import json
import socket
import stat
import sys
import threading
import time
import webbrowser
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse
from urllib.request import urlopen

import pytest
from fake_drive import FakeDrive, drive_for

from nwp.errors import BadInput, BadMessage, BadSettings, Gone, NwpError, TransportError
from nwp.workers import drive as drive_module
from nwp.workers.adapter import clients, drives, peers
from nwp.workers.channel import PREFIX, Channel

SERVER, OWNER = "server@lab.example", "owner@home.example"


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits between tries, none of which is waited for."""
    found: list[float] = []
    monkeypatch.setattr(time, "sleep", found.append)
    return found


@pytest.fixture
def drive(monkeypatch: pytest.MonkeyPatch, waits: list[float]) -> Iterator[FakeDrive]:
    with drive_for(monkeypatch) as drive:
        yield drive


class Opened:
    """A server and an owner who know each other on a Drive."""

    def __init__(self, folder: Path, drive: FakeDrive) -> None:
        self.folder, self.drive = folder, drive
        self.server, self.owner = self.open(SERVER), self.open(OWNER)
        peers.invite(self.server, OWNER)
        peers.accept(self.owner, SERVER)
        peers.find_peers(self.server)
        self.here, self.there = Channel(self.server), Channel(self.owner)

    def open(self, email: str) -> Any:
        way = drives.on_drive(email, self.drive.token(self.folder, email))
        return clients.open_client(email, self.folder / email / "box", way, owner=email == OWNER)

    def sent(self) -> str:
        self.here.send(OWNER, "x", b"content")
        return self.there.names(SERVER)["x"]


@pytest.fixture
def opened(tmp_path: Path, drive: FakeDrive) -> Opened:
    return Opened(tmp_path, drive)


# --------------------------------------------------------------------------------------- failures


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 429, "reason": "rateLimitExceeded"},
        {"status": 500, "reason": "internalError"},
        {"status": 503, "reason": "backendError"},
        {"status": 403, "reason": "userRateLimitExceeded"},
        {"how": "reset"},
    ],
    ids=lambda fault: fault.get("reason") or fault["how"],
)
def test_what_drive_asks_to_repeat_is_repeated(
    opened: Opened, waits: list[float], fault: dict[str, Any]
) -> None:
    for match in ("POST /(resumable/)?upload", "PUT /", "GET /drive/v3/files$", "GET /.*files/"):
        opened.drive.fail(match, times=1, **fault)
    identity = opened.sent()
    assert opened.there.receive(SERVER, identity)[0] == b"content"
    opened.drive.fail("DELETE", times=1, **fault)
    opened.here.clear(OWNER)
    assert opened.there.names(SERVER) == {}
    assert len(waits) >= 4


def test_an_answer_cut_short_is_asked_for_again(opened: Opened) -> None:
    identity = opened.sent()
    opened.drive.fail(f"files/{identity}", times=2, how="truncated")
    assert opened.there.receive(SERVER, identity)[0] == b"content"


CASES: dict[str, tuple[dict[str, Any], str, str]] = {
    "rate": ({"status": 429, "reason": "rateLimitExceeded"}, "busy", "Wait"),
    "server": ({"status": 500, "reason": "internalError"}, "busy", "Wait"),
    "day": ({"status": 403, "reason": "dailyLimitExceeded"}, "limit", "wait a day"),
    "quota": ({"status": 403, "reason": "storageQuotaExceeded"}, "full", "Free some space"),
    "off": ({"status": 403, "reason": "accessNotConfigured"}, "API is off", "Turn it on"),
    "shared": ({"status": 403, "reason": "insufficientFilePermissions"}, "refuses", "addresses"),
    "gone": ({"status": 404, "reason": "notFound"}, "gone", "invite and accept again"),
    "query": ({"status": 400, "reason": "invalid"}, "refuses", "addresses"),
    "reset": ({"how": "reset"}, "can't be reached", "network"),
    "truncated": ({"how": "truncated"}, "can't be reached", "network"),
    "html": ({"status": 403, "how": "html"}, "refuses", "addresses"),
    "text": ({"status": 403, "how": "message only"}, "refuses", "addresses"),
    "token": ({"status": 401, "reason": "authError"}, "does not take the token", "drive-token"),
}


@pytest.mark.parametrize("call", ["names", "send", "receive", "clear", "find_peers", "invite"])
def test_what_fails_for_good_is_told_with_what_to_do(opened: Opened, call: str) -> None:
    identity = opened.sent()
    for case, (fault, words, hint) in CASES.items():
        if case == "truncated" and call in ("send", "invite"):
            continue  # the fake does not cut answers to uploads short
        calls = {
            "names": lambda: opened.there.names(SERVER),
            "send": lambda: opened.there.send(SERVER, "y", b"content"),
            "receive": lambda: opened.there.receive(SERVER, identity),
            "clear": lambda: opened.here.clear(OWNER),
            "find_peers": lambda: peers.find_peers(opened.server),
            "invite": lambda case=case: peers.invite(opened.server, f"{case}@home.example"),
        }
        opened.drive.fail("/drive/v3/", times=50, **fault)
        with pytest.raises(NwpError) as found:
            calls[call]()
        opened.drive.faults.clear()
        if (case, call) == ("gone", "receive"):
            assert type(found.value) is Gone
            continue
        assert type(found.value) is TransportError, case
        assert words in found.value.message, case
        assert hint in found.value.hint, case
        assert found.value.message.isprintable(), case


def test_a_failure_of_the_network_forgets_no_peer(opened: Opened) -> None:
    """Syft takes a list of peers that it can't read for an empty one, and writes that."""
    (listed,) = (
        f for f in opened.drive.files.values() if f.name == "SYFT_peers.json" and f.owner == SERVER
    )
    before = json.loads(listed.content)
    opened.drive.fail(f"GET /drive/v3/files/{listed.id}", times=50, how="reset")
    with pytest.raises(TransportError):
        peers.find_peers(opened.server)
    opened.drive.faults.clear()
    peers.invite(opened.server, "another@home.example")
    peers.find_peers(opened.server)
    assert json.loads(listed.content)[OWNER] == before[OWNER]
    assert peers.fingerprint(opened.server, OWNER) == peers.fingerprint(opened.owner)


@pytest.mark.parametrize("lag", [1, 2, 3, 5, 8, 13, 21])
def test_listings_that_lag_only_take_longer(tmp_path: Path, drive: FakeDrive, lag: int) -> None:
    """What was just made is not in the next listings: nothing is made twice that must be one."""
    drive.lag = lag
    token = {email: drive.token(tmp_path, email) for email in (SERVER, OWNER)}
    server, owner = (
        clients.open_client(e, tmp_path / e / "box", drives.on_drive(e, token[e]), owner=e == OWNER)
        for e in (SERVER, OWNER)
    )
    for _ in range(40):
        peers.invite(server, OWNER)
        if peers.accept(owner, SERVER):
            peers.find_peers(server)
        if peers.fingerprint(server, OWNER):
            break
    assert peers.fingerprint(server, OWNER) == peers.fingerprint(owner)
    assert peers.fingerprint(owner, SERVER) == peers.fingerprint(server)
    for kind in ("SyftBox", "SYFT_peers.json", "syft_encryption_bundles"):
        mine = [f.owner for f in drive.files.values() if f.name.partition("#")[0] == kind]
        assert sorted(mine) == [OWNER, SERVER], kind
    folders = [f.name for f in drive.files.values() if f.name.startswith("syft_datasite#")]
    assert len(folders) == len(set(folders)) == 4


def test_a_slow_drive_is_given_up(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    for http in opened.drive.https:
        http.__dict__["timeout"] = 0.05
        http.close()
    identity = opened.sent()
    opened.drive.fail(identity, times=50, how="slow")
    with pytest.raises(TransportError, match="can't be reached"):
        opened.there.receive(SERVER, identity)


def test_an_access_token_that_ends_is_renewed_and_a_revoked_one_is_told(opened: Opened) -> None:
    identity = opened.sent()
    opened.drive.access.clear()
    assert opened.there.receive(SERVER, identity)[0] == b"content"
    opened.drive.access.clear()
    opened.drive.refresh.clear()
    with pytest.raises(TransportError, match=r"does not take the token: .*revoked") as found:
        opened.there.receive(SERVER, identity)
    assert "nwp worker drive-token" in found.value.hint


def test_no_network_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", nowhere)
    token = FakeDrive().token(tmp_path, OWNER)
    with pytest.raises(TransportError, match="can't be reached: Unable to find the server"):
        clients.open_client(OWNER, tmp_path / "box", drives.on_drive(OWNER, token), owner=True)


def test_clearing_what_goes_meanwhile_is_no_error(opened: Opened) -> None:
    identity = opened.sent()
    opened.drive.fail(f"DELETE /drive/v3/files/{identity}", status=404, reason="notFound")
    opened.here.clear(OWNER)


# ------------------------------------------------------------------------------- what others write


def test_a_document_a_shortcut_or_a_folder_is_no_message(opened: Opened) -> None:
    opened.sent()
    (message,) = (f for f in opened.drive.files.values() if f.name == f"{PREFIX}x")
    for kind in ("document", "shortcut", "folder"):
        message.mime = f"application/vnd.google-apps.{kind}"
        with pytest.raises(BadMessage):
            opened.there.receive(SERVER, message.id)


def test_a_message_that_says_less_than_its_size_is_not_fetched_beyond_the_bound(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Listings and headers name a size of 1; the bytes do not end."""
    identity = opened.sent()
    monkeypatch.setattr(drive_module, "_CHUNK", 1000)
    asked: list[str] = []

    def endless(_: Any, __: str, ___: str, *, headers: dict[str, str]) -> Any:
        asked.append(headers["range"])
        first, last = (int(n) for n in headers["range"].removeprefix("bytes=").split("-"))
        response = drive_module.httplib2.Response(
            {"status": "206", "content-range": f"bytes {first}-{last}/1"}
        )
        return response, bytes(last - first + 1)

    for http in opened.drive.https:
        monkeypatch.setattr(
            type(http), "request", lambda s, u, m, **k: endless(s, u, m, headers=k["headers"])
        )
    with pytest.raises(BadMessage, match="more than 2500 bytes"):
        drive_module.download(opened.there._drive.drive_service, identity, 2500)
    assert asked == ["bytes=0-999", "bytes=1000-1999", "bytes=2000-2500"]


def test_others_get_nothing_that_is_not_shared(opened: Opened) -> None:
    identity = opened.sent()
    third = drives.on_drive(
        "third@else.example", opened.drive.token(opened.folder, "third@else.example")
    )
    client = clients.open_client(
        "third@else.example", opened.folder / "3" / "box", third, owner=False
    )
    with pytest.raises(Gone, match="has gone"):
        Channel(client).receive(SERVER, identity)
    readable = [
        f.name for f in opened.drive.files.values() if opened.drive.role("third@else.example", f)
    ]
    assert sorted(name.split("#")[0] for name in readable) == [
        "0.10.0",
        "SYFT_version.json",
        "SyftBox",
    ]


def test_more_peers_than_a_page_of_a_hundred_are_known(opened: Opened) -> None:
    """Syft reads one page of requests, in which each peer has two folders."""
    for i in range(120):
        for box in ("inbox", "outbox"):
            name = f"syft_datasite#0.10.0#{SERVER}#{box}#o{i}@home.example"
            rights = {f"o{i}@home.example": "owner", SERVER: "writer"}
            identity = opened.drive.number("folder")
            mime = "application/vnd.google-apps.folder"
            opened.drive.files[identity] = type(next(iter(opened.drive.files.values())))(
                identity, name, mime, [], rights
            )
    peers._look_for(opened.server, [f"o{i}@home.example" for i in range(120)])
    (connection,) = opened.server.peer_manager.connection_router.connections
    assert len(connection.get_peer_requests()) == 120


def test_opening_a_client_and_looking_for_peers_asks_drive_few_questions(opened: Opened) -> None:
    """All parts of a client share a connection and its access token."""
    opened.drive.requests.clear()
    opened.open(OWNER)
    assert opened.drive.requests.count("POST /token") == 1
    assert len(opened.drive.requests) <= 9
    opened.drive.requests.clear()
    peers.find_peers(opened.server)
    assert opened.drive.requests.count("POST /token") == 0
    assert len(opened.drive.requests) <= 6


# ----------------------------------------------------------------------------------------- tokens


def test_a_token_of_another_account_is_refused(tmp_path: Path, drive: FakeDrive) -> None:
    way = drives.on_drive(SERVER, drive.token(tmp_path, OWNER))
    with pytest.raises(BadSettings, match=f"is of {OWNER}, not of {SERVER}"):
        clients.open_client(SERVER, tmp_path / "box", way, owner=False)
    assert drive.files == {}


@pytest.mark.parametrize("content", [None, b"", b"{}", b"[]", b"null", b"\xff", b"[" * 100_000])
def test_what_is_no_token_is_bad_input(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "token.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadInput) as found:
        clients.open_client(OWNER, tmp_path / "box", drives.on_drive(OWNER, path), owner=True)
    assert "drive-token" in found.value.hint


class Consent:
    """A person at a browser, who permits what is asked for, and Google's answer to that."""

    def __init__(self, drive: FakeDrive, account: str) -> None:
        self.drive, self.account = drive, account
        self.asked: dict[str, str] = {}

    def permit(self, address: str) -> str:
        """The address at which the browser ends."""
        self.asked = {name: v[0] for name, v in parse_qs(urlparse(address).query).items()}
        code = self.drive.number("code")
        self.drive.codes[code] = self.account
        return f"{self.asked['redirect_uri']}?state={self.asked['state']}&code={code}"

    def open(self, address: str, **_: Any) -> bool:
        where = self.permit(address)
        threading.Thread(target=lambda: urlopen(where).read(), daemon=True).start()
        return True


@pytest.fixture
def consent(drive: FakeDrive, monkeypatch: pytest.MonkeyPatch) -> Consent:
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")  # the fake has no certificate
    consent = Consent(drive, OWNER)
    monkeypatch.setattr(webbrowser, "get", lambda _=None: consent)
    return consent


@pytest.fixture
def credentials(tmp_path: Path, drive: FakeDrive) -> Path:
    path = tmp_path / "credentials.json"
    client = {
        "client_id": "c",
        "client_secret": "s",
        "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "token_uri": f"{drive.root}/token",
    }
    path.write_text(json.dumps({"installed": client}))
    return path


def no_browser(_: Any = None) -> Any:
    raise webbrowser.Error("could not locate runnable browser")


def usable(path: Path, drive: FakeDrive) -> bool:
    """Does the token open a client? Its address is Google's again."""
    about = json.loads(path.read_text())
    path.write_text(json.dumps({**about, "token_uri": "https://oauth2.googleapis.com/token"}))
    box = path.parent / "box"
    return bool(clients.open_client(OWNER, box, drives.on_drive(OWNER, path), owner=True))


def test_a_token_is_made_in_the_browser(
    tmp_path: Path,
    credentials: Path,
    consent: Consent,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "token.json"
    drive_module.make_token(credentials, out)
    assert consent.asked["scope"] == "https://www.googleapis.com/auth/drive"
    assert (consent.asked["access_type"], consent.asked["prompt"]) == ("offline", "consent")
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert capsys.readouterr().out == ""
    assert usable(out, consent.drive)


def test_a_token_is_made_with_a_browser_elsewhere(
    tmp_path: Path, credentials: Path, consent: Consent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webbrowser, "get", no_browser)

    def ask(question: str) -> str:
        (address,) = (word for word in question.split() if word.startswith("https://"))
        return f"  {consent.permit(address)}\n"

    out = tmp_path / "token.json"
    drive_module.make_token(credentials, out, ask=ask)
    assert usable(out, consent.drive)


@pytest.mark.parametrize("answer", ["", "a code", "http://127.0.0.1:1/?state=other&code=c"])
def test_an_answer_that_is_not_to_the_question_makes_no_token(
    tmp_path: Path, credentials: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    monkeypatch.setattr(webbrowser, "get", no_browser)
    with pytest.raises(BadSettings, match="no token came of it"):
        drive_module.make_token(credentials, tmp_path / "token.json", ask=lambda _: answer)
    assert not (tmp_path / "token.json").exists()


def test_without_a_browser_or_a_terminal_nobody_waits(
    tmp_path: Path, credentials: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webbrowser, "get", no_browser)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    with pytest.raises(BadSettings, match="no terminal to ask at"):
        drive_module.make_token(credentials, tmp_path / "token.json")


def test_a_consent_that_nobody_gives(
    tmp_path: Path, credentials: Path, consent: Consent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consent, "open", lambda *_, **__: True)
    with pytest.raises(BadSettings, match="nobody has permitted"):
        drive_module.make_token(credentials, tmp_path / "token.json", seconds=0.02)


def test_a_consent_that_is_refused_or_revoked(
    tmp_path: Path, credentials: Path, consent: Consent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webbrowser, "get", no_browser)
    out = tmp_path / "token.json"

    def refuse(question: str) -> str:
        return consent.permit(question.split()[6]).replace("code-", "other-")

    with pytest.raises(BadSettings, match="no token came of it"):
        drive_module.make_token(credentials, out, ask=refuse)
    assert not out.exists()


@pytest.mark.parametrize(
    "content", [None, b"", b"[]", b"{}", b'{"web": {}}', b'{"installed": {}}', b'{"installed": 5}']
)
def test_what_is_no_desktop_client_is_bad_input(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "credentials.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadInput) as found:
        drive_module.make_token(path, tmp_path / "token.json")
    assert "Desktop app" in found.value.hint
