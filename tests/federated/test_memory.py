"""A worker's memory against a dictionary of all that was ever written, and against kills."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nwp.errors import BadInput, BadMessage
from nwp.federated import memory as module
from nwp.federated.memory import BACK, Memory
from nwp.federated.parcel import Parcel

JOB = "a" * 64


def at(folder: Path, number: int, job: str = JOB) -> Memory:
    return Memory(folder / "owner", job, number)


def values(*numbers: float) -> np.ndarray:
    return np.array(numbers, np.float32)


def files(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.rglob("*.safetensors"))


def begun(folder: Path, number: int, job: str = JOB) -> Memory:
    found = at(folder, number, job)
    found.begin(first=True)
    return found


def test_a_later_round_reads_to_the_bit_what_an_earlier_one_kept(tmp_path):
    odd = np.array([0.1, -0.0, 1e-45, 3.4e38], np.float32)
    begun(tmp_path, 1).keep("variate", "ann", odd)
    found = begun(tmp_path, 5).kept("variate", "ann")
    assert found.dtype == np.float32
    assert found.tobytes() == odd.tobytes()


def test_what_was_never_kept_is_none(tmp_path):
    assert begun(tmp_path, 1).kept("variate", "ann") is None
    begun(tmp_path, 1).keep("variate", "ann", values(1))
    later = begun(tmp_path, 2)
    assert later.kept("variate", "bob") is None
    assert later.kept("error", "ann") is None
    assert begun(tmp_path, 2, "b" * 64).kept("variate", "ann") is None


def test_a_round_reads_nothing_of_its_own_and_writes_over_it(tmp_path):
    begun(tmp_path, 1).keep("variate", "ann", values(1))
    second = begun(tmp_path, 2)
    for written in (values(2), values(3)):
        assert second.kept("variate", "ann").tolist() == [1]
        second.keep("variate", "ann", written)
    assert second.kept("variate", "ann").tolist() == [1]
    assert begun(tmp_path, 3).kept("variate", "ann").tolist() == [3]


@pytest.mark.parametrize("user", ["", "a/b", "../../x", "ä" * 400, "a\nb", "ann", "Ann", "ann "])
def test_any_users_id_is_a_place_of_its_own_inside_the_folder(tmp_path, user):
    begun(tmp_path, 1).keep("variate", user, values(7))
    later = begun(tmp_path, 2)
    assert later.kept("variate", user).tolist() == [7]
    assert later.kept("variate", user + "x") is None
    assert {p.name for p in tmp_path.iterdir()} == {"owner"}


Kept = dict[tuple[str, str], dict[int, list[float]]]


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(st.data())
def test_whatever_is_begun_again_memory_is_as_a_table_of_all_rounds(tmp_path_factory, data):
    """Random rounds, some of them given up and begun again up to BACK rounds earlier."""
    folder = tmp_path_factory.mktemp("m")
    table: Kept = {}
    number = reached = 1
    for step in range(data.draw(st.integers(1, 14))):
        memory = begun(folder, number)
        for versions in table.values():
            for later in [n for n in versions if n >= number]:
                del versions[later]
        for user in "abc":
            for name in ("variate", "error"):
                versions = table.setdefault((name, user), {})
                expected = versions[max(versions)] if versions else None
                found = memory.kept(name, user)
                assert (found if found is None else found.tolist()) == expected
        for user in data.draw(st.sets(st.sampled_from("abc"))):
            for name in ("variate", "error"):
                memory.keep(name, user, values(step, number))
                table[name, user][number] = [step, number]
        at(folder, number).begin(first=False)  # a second phase changes nothing
        reached = max(reached, number)
        number = data.draw(st.integers(max(1, reached - BACK), number + 1))


def test_superseded_versions_are_removed(tmp_path):
    for number in range(1, 10):
        memory = begun(tmp_path, number)
        memory.keep("variate", "often", values(number))
        if number == 1:
            memory.keep("variate", "once", values(1))
    begun(tmp_path, 30)
    assert files(tmp_path) == ["1.safetensors", "9.safetensors"]
    later = at(tmp_path, 31)
    assert later.kept("variate", "often").tolist() == [9]
    assert later.kept("variate", "once").tolist() == [1]


def test_no_more_versions_than_rounds_that_can_be_begun_again(tmp_path):
    for number in range(1, 12):
        memory = begun(tmp_path, number)
        memory.keep("variate", "ann", values(number))
        assert len(files(tmp_path)) <= BACK + 2


def test_a_round_too_far_back_is_refused_not_answered_wrongly(tmp_path):
    for number in range(1, 9):
        begun(tmp_path, number).keep("variate", "ann", values(number))
    assert begun(tmp_path, 8 - BACK).kept("variate", "ann").tolist() == [8 - BACK - 1]
    with pytest.raises(BadInput, match="goes back to round") as error:
        begun(tmp_path, 8 - BACK - 1)
    assert error.value.hint


def test_a_user_left_out_when_a_round_is_begun_again_has_not_kept_it(tmp_path):
    begun(tmp_path, 1).keep("variate", "ann", values(1))
    begun(tmp_path, 2).keep("variate", "ann", values(2))
    begun(tmp_path, 3).keep("variate", "ann", values(3))
    begun(tmp_path, 2)
    assert begun(tmp_path, 4).kept("variate", "ann").tolist() == [1]


def test_a_later_phase_leaves_what_the_first_has_kept(tmp_path):
    begun(tmp_path, 1).keep("variate", "ann", values(1))
    at(tmp_path, 1).begin(first=False)
    assert begun(tmp_path, 2).kept("variate", "ann").tolist() == [1]


def test_memory_goes_to_another_process_and_works_there(tmp_path):
    again: Memory = pickle.loads(pickle.dumps(at(tmp_path, 3)))
    again.keep("variate", "ann", values(1))
    assert at(tmp_path, 4).kept("variate", "ann").tolist() == [1]


def test_only_the_owner_can_look_in(tmp_path):
    memory = begun(tmp_path, 1)
    memory.keep("variate", "ann", values(1))
    memory.remember(Parcel({"a": 1}))
    assert memory.folder.stat().st_mode & 0o777 == 0o700
    written = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert len(written) == 3
    assert {p.stat().st_mode & 0o777 for p in written} == {0o600}
    assert "ann" not in " ".join(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*"))


def test_nothing_is_made_before_something_is_kept(tmp_path):
    memory = begun(tmp_path, 1)
    assert memory.kept("variate", "ann") is None
    assert memory.recall() == Parcel()
    memory.forget()
    assert list(tmp_path.iterdir()) == []


def test_a_job_forgets_its_own_memory_alone(tmp_path):
    for job in (JOB, "b" * 64):
        begun(tmp_path, 1, job).keep("variate", "ann", values(1))
        at(tmp_path, 1, job).remember(Parcel({"a": 1}))
    at(tmp_path, 2).forget()
    assert begun(tmp_path, 2).kept("variate", "ann") is None
    assert at(tmp_path, 1).recall() == Parcel()
    assert at(tmp_path, 1, "b" * 64).recall() == Parcel({"a": 1})
    assert begun(tmp_path, 2, "b" * 64).kept("variate", "ann").tolist() == [1]


def test_what_is_remembered_is_of_one_round_and_goes_with_it(tmp_path):
    parcel = Parcel({"words": 7}, {"sum": np.ones(2)})
    first = begun(tmp_path, 1)
    first.remember(parcel)
    at(tmp_path, 1).begin(first=False)
    assert at(tmp_path, 1).recall().arrays["sum"].tolist() == [1, 1]
    assert begun(tmp_path, 1).recall() == Parcel()  # begun again
    first.remember(parcel)
    assert begun(tmp_path, 2).recall() == Parcel()
    assert files(tmp_path) == []


class Killed(Exception):
    pass


@pytest.mark.parametrize("killed_at", range(12))
def test_a_kill_at_any_change_on_disk_changes_nothing(tmp_path, monkeypatch, killed_at):
    """The k-th change of round 5 does not happen; the round is begun again, then round 6."""

    def play(folder: Path, number: int) -> list[list[float]]:
        memory, seen = begun(folder, number), []
        for user in ("ann", "bob"):
            old = memory.kept("variate", user)
            seen.append([] if old is None else old.tolist())
            memory.keep("variate", user, values(number, *(old if old is not None else [])[:1]))
        return seen

    whole = [play(tmp_path / "whole", number) for number in range(1, 8)]
    cut = [play(tmp_path / "cut", number) for number in range(1, 5)]
    left = iter(range(killed_at))

    def counted(act: Callable[..., Any]) -> Callable[..., Any]:
        def acting(*arguments: Any, **more: Any) -> Any:
            if next(left, None) is None:
                raise Killed
            return act(*arguments, **more)

        return acting

    with monkeypatch.context() as patched:
        patched.setattr(module, "write_atomic", counted(module.write_atomic))
        patched.setattr(module.os, "write", counted(module.os.write))
        patched.setattr(Path, "unlink", counted(Path.unlink))
        try:
            play(tmp_path / "cut", 5)
        except Killed:
            pass
        else:
            assert killed_at > 4  # else the test tests nothing
    cut += [play(tmp_path / "cut", number) for number in range(5, 8)]
    assert cut == whole
    assert files(tmp_path / "cut") == files(tmp_path / "whole")


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda old: b"",
    "half": lambda old: old[: len(old) // 2],
    "longer": lambda old: old + b"\0",
    "another job": lambda old: old.replace(b"a" * 64, b"b" * 64),
    "another round": lambda old: old.replace(b'round\\": 1', b'round\\": 2'),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damage_is_told(tmp_path, damage):
    begun(tmp_path, 1).keep("variate", "ann", values(1, 2))
    (path,) = tmp_path.rglob("*.safetensors")
    data = path.read_bytes()
    assert damage(data) != data
    path.write_bytes(damage(data))
    with pytest.raises(BadInput, match="memory is damaged") as error:
        begun(tmp_path, 2).kept("variate", "ann")
    assert error.value.hint


def test_what_is_no_array_of_finite_float32_is_not_kept(tmp_path):
    for wrong in (values(np.nan), values(np.inf), np.ones(2), np.ones((2, 2), np.float32)):
        with pytest.raises(BadMessage):
            begun(tmp_path, 1).keep("variate", "ann", wrong)
    assert begun(tmp_path, 2).kept("variate", "ann") is None


def test_jobs_that_begin_alike_are_told_apart(tmp_path):
    other = JOB[:-1] + "b"
    begun(tmp_path, 1).keep("variate", "ann", values(1))
    with pytest.raises(BadInput, match="another job"):
        begun(tmp_path, 2, other).kept("variate", "ann")
    assert replace(at(tmp_path, 2)).kept("variate", "ann").tolist() == [1]
