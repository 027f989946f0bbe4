"""A ledger tells what left, in order; whoever changes it is found out."""

from __future__ import annotations

import errno
import hashlib
import itertools
import json
import math
import os
import stat
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nwp.errors import BadInput
from nwp.federated.parcel import Envelope
from nwp.workers.entries import NONE_BEFORE, read_entries
from nwp.workers.ledger import Entry, Ledger

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def asked(number: int, phase: str = "train", job: str = "job") -> Envelope:
    return Envelope("ask", job, phase, number)


def message_of(number: int) -> bytes:
    return f"answer {number}".encode()


def ticking() -> Callable[[], datetime]:
    times: Iterator[int] = itertools.count()
    return lambda: START + timedelta(seconds=next(times))


def filled(path: Path, count: int = 4, **more: Any) -> Ledger:
    """A ledger of some answers."""
    ledger = Ledger(path, clock=ticking(), **more)
    for number in range(1, count + 1):
        ledger.write(asked(number), message_of(number), to="server", request=f"{number:064x}")
    return ledger


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().split(b"\n")[:-1]


# ------------------------------------------------------------------------------------------ entries


def test_an_entry_tells_what_left_and_when(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl", clock=lambda: START)
    entry = ledger.write(asked(3), b"update", to="server", request="ab" * 32, norm=2.5, epsilon=0.5)
    sha256 = hashlib.sha256(b"update").hexdigest()
    told = (1, "2026-03-01T12:00:00.000000Z", "server", "answer", "job", "train", 3, 6, sha256)
    assert tuple(vars(entry).values())[:-1] == (*told, "ab" * 32, 2.5, 0.5, NONE_BEFORE)
    assert ledger.entries == [entry] == Ledger(ledger.path).entries
    assert ledger.head == entry.hash
    assert ledger.path.stat().st_mode & 0o777 == 0o600


def test_hashes_are_of_the_rest_as_canonical_json_and_of_the_line_before(tmp_path: Path) -> None:
    ledger = filled(tmp_path / "ledger.jsonl")
    head = NONE_BEFORE
    for line in lines_of(ledger.path):
        content = json.loads(line)
        own = content.pop("hash")
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        assert own == hashlib.sha256(text.encode()).hexdigest()
        assert content["prev"] == head
        head = own
    assert ledger.head == head


def test_an_empty_ledger_has_nothing(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "none" / "ledger.jsonl")
    assert (ledger.entries, ledger.head, ledger.verify()) == ([], NONE_BEFORE, 0)
    assert ledger.epsilon_spent() == 0
    assert not ledger.path.exists()


def test_only_answers_count_as_answered(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    for kind in ("refuse", "hello", "decision", "receipt"):
        assert ledger.write(Envelope(kind, "job", "train", 1), b"no").kind == kind
    assert not ledger.has(asked(1))
    assert ledger.summary("job") == {"answers": {}, "bytes": 0}
    first = ledger.write(asked(1), b"yes")
    ledger.write(asked(1), b"yes once more")
    assert ledger.answer_to(asked(1)) == first == Ledger(ledger.path).answer_to(asked(1))
    assert ledger.answer_to(asked(2)) is ledger.answer_to(asked(1, "validate")) is None
    assert ledger.rounds_on(datetime.now().date()) == 1


def test_what_is_no_entry_is_not_written(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    for wrong in ({"norm": math.nan}, {"norm": math.inf}, {"norm": -1.0}, {"epsilon": -0.1}):
        with pytest.raises(ValueError, match="0 or above"):
            ledger.write(asked(1), b"", **wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="kind"):
        ledger.write(Envelope("gossip", "job", "train", 1), b"")
    assert not ledger.path.exists()


def test_a_long_name_in_a_refused_request_fills_no_disk(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    entry = ledger.write(Envelope("refuse", "\ud800" * 10_000, "x" * 10_000, 1), b"no")
    assert (len(entry.job), len(entry.phase)) == (200, 200)
    assert Ledger(ledger.path).verify() == 1


def test_a_job_is_summed_up(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    for phase, number, job in (("train", 1, "a"), ("train", 2, "a"), ("validate", 2, "a")):
        ledger.write(asked(number, phase, job), b"1234")
    ledger.write(asked(1, job="b"), b"12")
    assert ledger.summary("a") == {"answers": {"train": 2, "validate": 1}, "bytes": 12}
    assert ledger.summary("c") == {"answers": {}, "bytes": 0}


def test_privacy_spent_is_added_up(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    for number in range(10):
        ledger.write(asked(number, "evaluate"), b"", epsilon=0.1)
    assert ledger.epsilon_spent() == 1.0 == Ledger(ledger.path).epsilon_spent()


# --------------------------------------------------------------------------------------------- time


def test_rounds_are_counted_by_the_day_of_the_owner(tmp_path: Path) -> None:
    times = iter(
        datetime(2026, 3, *when, tzinfo=UTC)
        for when in ((1, 22, 59), (1, 23, 0), (1, 23, 0), (2, 22, 59, 59), (2, 23, 0))
    )
    ledger = Ledger(tmp_path / "ledger.jsonl", clock=lambda: next(times))
    for number, phase in ((1, "train"), (2, "train"), (2, "validate"), (3, "train"), (4, "train")):
        ledger.write(asked(number, phase), b"")
    zone = timezone(timedelta(hours=1))  # there, 23:00 UTC is midnight
    assert [ledger.rounds_on(date(2026, 3, day), zone) for day in (1, 2, 3, 4)] == [1, 2, 1, 0]
    assert ledger.rounds_on(date(2026, 3, 2), zone, besides=asked(3, "validate")) == 1
    assert ledger.rounds_on(date(2026, 3, 2), zone, besides=asked(9)) == 2
    assert [ledger.rounds_on(date(2026, 3, day), UTC) for day in (1, 2)] == [2, 2]


def test_a_clock_that_jumps_breaks_nothing(tmp_path: Path) -> None:
    times = iter([START, START.replace(year=2027), START.replace(year=1999), START])
    ledger = Ledger(tmp_path / "ledger.jsonl", clock=lambda: next(times))
    for number in range(1, 5):
        ledger.write(asked(number), b"")
    again = Ledger(ledger.path)
    assert [e.n for e in again.entries] == [e.round for e in again.entries] == [1, 2, 3, 4]
    assert [e.time[:4] for e in again.entries] == ["2026", "2027", "1999", "2026"]
    assert again.verify() == 4
    assert again.rounds_on(START.date(), UTC) == 2


# ---------------------------------------------------------------------------------------- tampering


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    return filled(tmp_path_factory.mktemp("good") / "ledger.jsonl", 6)


def first_break(lines: list[bytes], path: Path) -> int | None:
    """The line that reading names, or None when it finds nothing wrong."""
    raw = b"".join(line + b"\n" for line in lines)
    try:
        read_entries(raw, path)
    except BadInput as error:
        assert error.hint
        return int(error.message.split("at line ")[1].split(":")[0])
    return None


@given(st.data())
def test_a_changed_byte_is_found_in_its_line(good: Ledger, data: st.DataObject) -> None:
    lines = lines_of(good.path)
    at = data.draw(st.integers(0, len(lines) - 1))
    place = data.draw(st.integers(0, len(lines[at]) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda b: b not in (lines[at][place], 10)))
    changed = bytearray(lines[at])
    changed[place] = byte
    assert first_break([*lines[:at], bytes(changed), *lines[at + 1 :]], good.path) == at + 1


@given(st.data())
def test_a_changed_entry_is_found_also_when_its_own_hash_is_made_to_fit(
    good: Ledger, data: st.DataObject
) -> None:
    lines = lines_of(good.path)
    at = data.draw(st.integers(0, len(lines) - 2))
    content = json.loads(lines[at])
    del content["hash"]
    name, value = data.draw(
        st.sampled_from(
            [("round", 99), ("bytes", 0), ("to", "else"), ("job", ""), ("norm", 1.0), ("n", 9)]
        )
    )
    content[name] = value
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    content["hash"] = hashlib.sha256(text.encode()).hexdigest()
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    found = first_break([*lines[:at], text.encode(), *lines[at + 1 :]], good.path)
    assert found == (at + 1 if name == "n" else at + 2)


@given(st.data())
def test_a_removed_line_is_found(good: Ledger, data: st.DataObject) -> None:
    lines = lines_of(good.path)
    at = data.draw(st.integers(0, len(lines) - 2))
    assert first_break([*lines[:at], *lines[at + 1 :]], good.path) == at + 1


@given(st.data())
def test_swapped_lines_are_found(good: Ledger, data: st.DataObject) -> None:
    lines = lines_of(good.path)
    one, other = sorted(
        data.draw(st.lists(st.integers(0, len(lines) - 1), min_size=2, max_size=2, unique=True))
    )
    lines[one], lines[other] = lines[other], lines[one]
    assert first_break(lines, good.path) == one + 1


@given(st.data())
def test_an_inserted_line_is_found(good: Ledger, data: st.DataObject) -> None:
    lines = lines_of(good.path)
    at = data.draw(st.integers(0, len(lines)))
    new = data.draw(
        st.sampled_from(lines) | st.binary(max_size=40).filter(lambda b: b"\n" not in b)
    )
    found = first_break([*lines[:at], new, *lines[at:]], good.path)
    # A copy of the line itself, put before it, is told from it only by the one that follows.
    assert found == (at + 2 if at < len(lines) and new == lines[at] else at + 1)


def test_what_is_no_entry_is_named_by_its_line(good: Ledger) -> None:
    lines = lines_of(good.path)
    content = json.loads(lines[1])
    wrong: list[Any] = [
        [],
        7,
        {},
        {**content, "more": 1},
        {**content, "n": "2"},
        {**content, "norm": math.inf},
        {**content, "epsilon": 0},
        {**content, "kind": "gossip"},
        {**content, "to": None},
        {k: v for k, v in content.items() if k != "norm"},
    ]
    raw = [json.dumps(each, sort_keys=True, separators=(",", ":")).encode() for each in wrong]
    raw += [b"", b"\xff", b"[" * 100_000, lines[1] + b" ", lines[1].replace(b'"n":2', b'"n": 2')]
    for line in raw:
        assert first_break([lines[0], line, *lines[2:]], good.path) == 2, line[:80]


def test_a_broken_ledger_is_not_opened(tmp_path: Path) -> None:
    path = filled(tmp_path / "ledger.jsonl").path
    lines = lines_of(path)
    path.write_bytes(b"".join(line + b"\n" for line in (lines[0], *lines[2:])))
    with pytest.raises(BadInput, match=r"ledger\.jsonl is broken at line 2"):
        Ledger(path)


def test_verify_reads_the_file_anew(tmp_path: Path) -> None:
    ledger = filled(tmp_path / "ledger.jsonl")
    assert ledger.verify() == 4
    lines = lines_of(ledger.path)
    ledger.path.write_bytes(b"\n".join(lines[:2]) + b"\n")
    with pytest.raises(BadInput, match="line 3: this line and what followed are gone"):
        ledger.verify()
    ledger.path.unlink()
    with pytest.raises(BadInput, match="line 1"):
        ledger.verify()
    filled(ledger.path).write(asked(9), b"another past")
    assert ledger.verify() == 5
    ledger.path.unlink()
    Ledger(ledger.path, clock=lambda: START.replace(year=2000)).write(asked(1), b"")
    with pytest.raises(BadInput, match="line 1: it is another"):
        ledger.verify()


def test_a_head_written_down_shows_that_last_lines_are_gone(tmp_path: Path) -> None:
    ledger = filled(tmp_path / "ledger.jsonl")
    known = ledger.head
    ledger.write(asked(9), b"")
    assert ledger.verify(known) == 5
    lines = lines_of(ledger.path)
    ledger.path.write_bytes(b"\n".join(lines[:3]) + b"\n")
    cut = Ledger(ledger.path)
    assert cut.verify() == cut.verify(NONE_BEFORE) == 3
    with pytest.raises(BadInput, match=r"no line of .* has the hash"):
        cut.verify(known)


# -------------------------------------------------------------------------------- torn, full, shared


@pytest.mark.parametrize("whole", [0, 3])
@pytest.mark.parametrize("left", [1, 50, -1])
def test_a_torn_last_line_is_no_entry_and_the_next_takes_its_place(
    tmp_path: Path, whole: int, left: int
) -> None:
    path = filled(tmp_path / "ledger.jsonl").path
    lines = lines_of(path)
    torn = b"".join(line + b"\n" for line in lines[:whole]) + lines[whole][:left]
    path.write_bytes(torn)
    ledger = Ledger(path)
    assert len(ledger.entries) == ledger.verify() == whole
    assert path.read_bytes() == torn, "who only reads changes nothing"
    ledger.write(asked(9), b"nine")
    assert [e.round for e in Ledger(path).entries] == [*range(1, whole + 1), 9]


def test_a_full_disk_enters_nothing_and_is_gone_on_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = filled(tmp_path / "ledger.jsonl")
    write = os.write

    def half(handle: int, data: Any) -> int:
        if len(data) < 100:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(handle, data[: len(data) // 2])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", half)
        for _ in range(2):
            with pytest.raises(OSError, match="No space") as error:
                ledger.write(asked(5), b"five")
            assert error.value.filename == str(ledger.path)
    assert not ledger.has(asked(5))
    assert Ledger(ledger.path).verify() == ledger.verify() == 4
    ledger.write(asked(6), b"six")
    assert [e.round for e in Ledger(ledger.path).entries] == [1, 2, 3, 4, 6]


def test_an_entry_that_may_not_be_on_disk_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = filled(tmp_path / "ledger.jsonl")

    def broken(handle: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", broken)
        with pytest.raises(OSError, match="Input/output"):
            ledger.write(asked(5), b"five")
    ledger.write(asked(6), b"six")
    assert [e.round for e in Ledger(ledger.path).entries] == [1, 2, 3, 4, 6]


def test_each_entry_is_on_disk_before_write_returns_by_one_fsync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = filled(tmp_path / "ledger.jsonl")
    seen: list[bytes] = []
    monkeypatch.setattr(os, "fsync", lambda handle: seen.append(ledger.path.read_bytes()))
    entry = ledger.write(asked(5), b"five")
    assert len(seen) == 1
    assert json.loads(seen[0].splitlines()[-1]) == vars(entry)


def test_two_writers_do_not_mix(tmp_path: Path) -> None:
    one = filled(tmp_path / "ledger.jsonl")
    other = Ledger(one.path)
    other.write(asked(5), b"five")
    with pytest.raises(BadInput, match="somebody else writes"):
        one.write(asked(5), b"five")
    assert Ledger(one.path).verify() == 5


# -------------------------------------------------------------------------------------------- keeping


def test_messages_are_kept_for_their_owner_alone(tmp_path: Path) -> None:
    keep = tmp_path / "sent" / "kept"
    ledger = filled(tmp_path / "ledger.jsonl", keep=keep)
    assert sorted(p.name for p in keep.iterdir()) == [f"{n}.parcel" for n in range(1, 5)]
    assert keep.stat().st_mode & 0o777 == 0o700
    for n in range(1, 5):
        assert ledger.message(n) == message_of(n)
        assert stat.S_IMODE((keep / f"{n}.parcel").stat().st_mode) == 0o600
    again = Ledger(ledger.path, keep=keep)
    entry = again.answer_to(asked(2))
    assert entry and again.message(entry.n) == message_of(2)


def test_the_oldest_messages_are_dropped(tmp_path: Path) -> None:
    keep = tmp_path / "kept"
    ledger = filled(tmp_path / "ledger.jsonl", keep=keep, most_kept_bytes=3 * len(message_of(1)))
    assert sorted(p.name for p in keep.iterdir()) == ["2.parcel", "3.parcel", "4.parcel"]
    with pytest.raises(BadInput, match="entry 1 was not kept, or was dropped") as error:
        ledger.message(1)
    assert "SHA-256" in error.value.hint
    again = Ledger(ledger.path, keep=keep, most_kept_bytes=3 * len(message_of(1)))
    again.write(asked(5), message_of(5))
    assert sorted(p.name for p in keep.iterdir()) == ["3.parcel", "4.parcel", "5.parcel"]
    again.write(asked(6), b"x" * 1000)
    assert len(list(keep.iterdir())) == 3, (
        "one that is larger than all that may be kept is not kept"
    )
    again.write(asked(7), b"x")
    assert sorted(p.name for p in keep.iterdir()) == ["4.parcel", "5.parcel", "7.parcel"]
    assert again.message(7) == b"x"


def test_a_kept_message_that_is_another_is_not_given_out(tmp_path: Path) -> None:
    ledger = filled(tmp_path / "ledger.jsonl", keep=tmp_path / "kept")
    (tmp_path / "kept" / "2.parcel").write_bytes(b"answer 3")
    with pytest.raises(BadInput, match=r"2\.parcel is not the message that left"):
        ledger.message(2)
    for n in (0, -1, 5):
        with pytest.raises(BadInput, match=f"no entry {n}"):
            ledger.message(n)
    with pytest.raises(BadInput, match="was not kept"):
        Ledger(ledger.path).message(1)


def test_what_a_killed_process_was_about_to_send_is_not_kept(tmp_path: Path) -> None:
    keep = tmp_path / "kept"
    path = filled(tmp_path / "ledger.jsonl", keep=keep).path
    (keep / "5.parcel").write_bytes(b"never left")
    (keep / ".5.parcel.abc.partial").write_bytes(b"half")
    (keep / "notes.parcel").write_bytes(b"the owner's")
    ledger = Ledger(path, keep=keep)
    ledger.write(asked(5), b"five")
    assert ledger.message(5) == b"five"
    assert {p.name for p in keep.iterdir()} == {
        "notes.parcel",
        *(f"{n}.parcel" for n in range(1, 6)),
    }


def test_a_message_that_can_not_be_kept_is_not_entered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = filled(tmp_path / "ledger.jsonl", keep=tmp_path / "kept")

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "kept")

    with monkeypatch.context() as patch:
        patch.setattr("nwp.workers.ledger.write_atomic", full)
        with pytest.raises(OSError, match="No space"):
            ledger.write(asked(5), b"five")
    assert Ledger(ledger.path).verify() == 4
    entry: Entry = ledger.write(asked(5), b"five")
    assert ledger.message(entry.n) == b"five"
