"""A participant's folder: its names, its transport, whose key is trusted, and one process at a time."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from nwp.errors import BadInput, BadSettings, NwpError, Refused
from nwp.workers.parties import (
    Party,
    alone,
    is_at_work,
    is_party,
    plain,
    read_party,
    same_fingerprint,
    short,
    split_transport,
)

KEY, OTHER = "0123456789abcdef" * 4, "fedcba9876543210" * 4


def owner(folder: Path, fingerprint: str = "") -> Party:
    return Party(folder, "ada@home.example", "folder:/mnt/us", "kajsa@lab.example", fingerprint)


@pytest.mark.parametrize(
    "email", ["a@b", "ada.k@home.example", "ada+nwp@home-1.example", "A1@X.example"]
)
def test_names_are_e_mail_addresses(tmp_path: Path, email: str) -> None:
    assert Party(tmp_path, email, "folder:/x").email == email


@pytest.mark.parametrize(
    "email",
    [
        *("ada", "@home", "ada@", "ada k@home", "ada_k@home", "a@b@c", "ada@home\n", "../a@b"),
        *("a/b@c", "a" * 65 + "@b", "a@" + "b" * 191, "ädä@home"),
    ],
)
def test_what_is_no_address_is_told(tmp_path: Path, email: str) -> None:
    with pytest.raises(BadSettings, match="no e-mail address"):
        Party(tmp_path, email, "folder:/x")
    with pytest.raises(BadSettings, match="no e-mail address"):
        Party(tmp_path, "a@b", "folder:/x", email)


def test_transports_are_a_kind_and_a_place() -> None:
    assert split_transport("folder:/mnt/us") == ("folder", Path("/mnt/us"))
    assert split_transport("drive:a:b.json") == ("drive", Path("a:b.json"))
    assert split_transport("folder:~/us")[1] == Path.home() / "us"


@pytest.mark.parametrize("text", ["", "folder", "folder:", ":x", "/mnt/us", "ftp:/x", "Folder:/x"])
def test_what_is_no_transport_is_told(text: str) -> None:
    with pytest.raises(BadSettings, match="no transport") as told:
        split_transport(text)
    assert "folder:PATH" in told.value.hint


def test_a_party_is_read_as_it_was_saved_and_closed_to_others(tmp_path: Path) -> None:
    party = owner(tmp_path / "new" / "home", KEY)
    assert not is_party(party.folder)
    party.save()

    assert read_party(party.folder) == party
    assert party.is_owner
    assert is_party(party.folder)
    assert stat.S_IMODE(party.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((party.folder / "party.json").stat().st_mode) == 0o600


def test_a_folder_that_was_open_is_closed(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    owner(tmp_path).save()

    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(NwpError, match="can't be written"):
        owner(tmp_path / "home").save()
    tmp_path.chmod(0o700)


def test_where_there_is_no_party_it_says_how_to_begin(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no worker's or server's folder") as told:
        read_party(tmp_path)
    assert "nwp worker init" in told.value.hint


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"[]", b"null", b"7", b"\xff\xfe", b"{}", b'{"email": "a@b"}'),
        b'{"email": 5, "transport": "folder:/x"}',
        b'{"email": "a@b", "transport": 5}',
        b'{"email": "a@b", "transport": "folder:/x", "server": ["c@d"]}',
        b'{"email": "a@b", "transport": "folder:/x", "more": 1}',
        b'{"email": "no address", "transport": "folder:/x"}',
    ],
)
def test_damaged_settings_of_a_party_are_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "party.json").write_bytes(content)

    with pytest.raises(BadInput):
        read_party(tmp_path)


def test_a_server_is_no_owner_and_an_owner_no_server(tmp_path: Path) -> None:
    owner(tmp_path / "ada").save()
    Party(tmp_path / "kajsa", "kajsa@lab.example", "folder:/x").save()

    assert read_party(tmp_path / "ada", owner=True).is_owner
    assert not read_party(tmp_path / "kajsa", owner=False).is_owner
    with pytest.raises(BadInput, match="a worker's folder, not a server's"):
        read_party(tmp_path / "ada", owner=False)
    with pytest.raises(BadInput, match="a server's folder, not a worker's"):
        read_party(tmp_path / "kajsa", owner=True)


@pytest.mark.parametrize("kind", ["folder", "drive"])
def test_a_transport_that_is_not_there_is_told(tmp_path: Path, kind: str) -> None:
    with pytest.raises(BadInput, match="is not there"):
        Party(tmp_path, "ada@home.example", f"{kind}:{tmp_path / 'nowhere'}").connect()


# ------------------------------------------------------------------------------------------- keys


def test_a_key_that_is_seen_for_the_first_time_is_kept(tmp_path: Path) -> None:
    party = owner(tmp_path)
    party.save()

    assert party.hold_to(KEY).fingerprint == KEY
    assert read_party(tmp_path).fingerprint == KEY
    assert party.hold_to("") is party


def test_another_key_than_before_is_refused(tmp_path: Path) -> None:
    party = owner(tmp_path, KEY)
    party.save()

    assert party.hold_to(KEY.upper()) is party
    with pytest.raises(Refused, match=r"the key of kajsa@lab\.example") as told:
        party.hold_to(OTHER)
    assert short(OTHER) in told.value.message
    assert "by phone" in told.value.hint
    assert read_party(tmp_path).fingerprint == KEY


def test_fingerprints_are_read_as_people_write_them() -> None:
    assert short(KEY) == "0123 4567 89ab cdef 0123 4567 89ab cdef"
    assert plain(f" {short(KEY).upper()}\n") == KEY[:32]
    for told in (KEY, short(KEY), KEY.upper(), short(KEY).replace(" ", "")):
        assert same_fingerprint(told, KEY)
    for told in ("", KEY[:31], short(OTHER), KEY + "0", KEY[:32] + "f"):
        assert not same_fingerprint(told, KEY)


# ------------------------------------------------------------------------------------ one process


def test_one_process_at_a_time_holds_a_folder(tmp_path: Path) -> None:
    assert not is_at_work(tmp_path)
    with alone(tmp_path):
        assert is_at_work(tmp_path)
        with pytest.raises(BadInput, match="another process is at work"), alone(tmp_path):
            raise AssertionError("two at a time")
    assert not is_at_work(tmp_path)
    with alone(tmp_path):
        pass


def test_who_only_asks_does_not_keep_anybody_from_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = alone(tmp_path)
    asking.__enter__()
    monkeypatch.setattr(
        "nwp.workers.parties.time.sleep", lambda _: asking.__exit__(None, None, None)
    )

    with alone(tmp_path):
        assert is_at_work(tmp_path)
