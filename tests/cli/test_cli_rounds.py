"""Who takes part in a round, as it is typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import ROUNDS, TINY, Nwp, bundle_bytes

from nwp.cli.progress import Rounds
from nwp.federated.state import RoundReport, RunState

SMALL = (*TINY, *ROUNDS, "--workers", "6")


@pytest.fixture
def reports(monkeypatch: pytest.MonkeyPatch) -> list[RoundReport]:
    """The reports of all rounds that this process runs."""
    seen: list[RoundReport] = []
    told = Rounds.round_done

    def look(self: Rounds, state: RunState) -> None:
        seen.append(state.history[-1])
        told(self, state)

    monkeypatch.setattr(Rounds, "round_done", look)
    return seen


def about(folder: str) -> Any:
    return json.loads((Path(folder) / "settings.json").read_text())["about"]["training"]


def test_the_usual_settings_spelled_out_change_no_byte(
    nwp: Nwp, corpus: Path, bundle: Path
) -> None:
    spelled = (
        *("--sampling", "uniform", "--availability", 1, "--cycle", 1, "--over-select", 0),
        *("--time-limit", 0, "--minimum", 0, "--stragglers", 0),
    )
    result = nwp("train", corpus, "--out", "m", *TINY, *ROUNDS, *spelled, "--json").result()

    assert {key: result[key] for key in ("late", "abandoned", "waited")} == {
        "late": 0,
        "abandoned": 0,
        "waited": 0.0,
    }
    mine, theirs = bundle_bytes(Path("m")), bundle_bytes(bundle)
    for name in ("model.safetensors", "vocabulary.json"):
        assert mine[name] == theirs[name]
    assert about("m") == about(str(bundle))
    assert "participation" not in about("m")


@pytest.mark.slow
def test_sampling_by_size(nwp: Nwp, corpus: Path, reports: list[RoundReport]) -> None:
    result = nwp("train", corpus, "--out", "m", *SMALL, "--sampling", "size", "--json").result()

    assert result["rounds"] == 4
    assert [(report.users, report.words) for report in reports] == [(4, 0)] * 4
    assert set(json.loads(Path("m/run/sizes.json").read_text())["words"]) == {
        f"worker-{i}" for i in range(1, 7)
    }
    assert about("m")["participation"]["sampling"] == "size"


def test_sampling_by_size_from_a_bundle_needs_no_survey(
    nwp: Nwp, corpus: Path, bundle: Path, reports: list[RoundReport]
) -> None:
    options = ("--from", bundle, "--sampling", "size", "--rounds", 2, "--cohort", 9)
    nwp("train", corpus, "--out", "m", *options, "--processes", 1, "--json").result()

    assert [report.users for report in reports] == [9, 9]  # draws, of six users


@pytest.mark.slow
def test_sampling_each_by_itself(nwp: Nwp, corpus: Path, reports: list[RoundReport]) -> None:
    options = ("--sampling", "poisson", "--cohort", 1, "--rounds", 8, "--seed", 2)
    done = nwp("train", corpus, "--out", "m", *SMALL, *options, "--json")

    assert done.result()["abandoned"] == 0
    users = [report.users for report in reports]
    assert min(users) == 0
    assert len(set(users)) > 1
    first_empty = users.index(0) + 1
    line = next(s for s in done.err.splitlines() if s.startswith(f"round {first_empty}/"))
    assert "nobody could take part, no update" in line


def test_users_out_of_reach(nwp: Nwp, corpus: Path, reports: list[RoundReport]) -> None:
    options = ("--availability", 0.5, "--cohort", 6)
    nwp("train", corpus, "--out", "m", *SMALL, *options, "--json").result()

    users = [report.users for report in reports]
    assert 4 < sum(users) < 20  # of 24 with everybody in reach
    assert len(set(users)) > 1


@pytest.mark.slow
def test_users_in_a_cycle(nwp: Nwp, corpus: Path, reports: list[RoundReport]) -> None:
    nwp("train", corpus, "--out", "m", *SMALL, "--cycle", 3, "--json").result()

    assert [report.users for report in reports] == [2, 2, 2, 2]


@pytest.mark.slow
def test_over_selection(nwp: Nwp, corpus: Path, reports: list[RoundReport]) -> None:
    options = ("--over-select", 0.5, "--stragglers", 0.5)
    done = nwp("train", corpus, "--out", "m", *SMALL, *options)

    assert done.code == 0
    assert [(report.users, report.late) for report in reports] == [(4, 2)] * 4
    assert "round 1/4: not validated yet; 4 users, 2 late, " in done.err
    assert "answers of 8 users came too late; " in done.out
    assert " simulated seconds waited" in done.out
    assert all(report.waited > 0 for report in reports)


@pytest.mark.slow
def test_over_selection_where_all_answer_at_once_drops_by_lot(
    nwp: Nwp, corpus: Path, reports: list[RoundReport]
) -> None:
    result = nwp("train", corpus, "--out", "m", *SMALL, "--over-select", 0.5, "--json").result()

    assert [(report.users, report.late) for report in reports] == [(4, 2)] * 4
    assert (result["late"], result["waited"]) == (8, 0.0)


def test_a_time_limit_and_a_minimum(nwp: Nwp, corpus: Path, reports: list[RoundReport]) -> None:
    options = ("--stragglers", 1, "--time-limit", 0.08, "--minimum", 3, "--rounds", 10)
    done = nwp("train", corpus, "--out", "m", *SMALL, *options, "--json")

    result = done.result()
    abandoned = [report for report in reports if report.abandoned]
    assert result["abandoned"] == len(abandoned)
    assert 0 < len(abandoned) < 10
    assert result["late"] == sum(report.late for report in reports) > 0
    assert all(report.users >= 3 for report in reports if not report.abandoned)
    assert all(report.waited <= 0.08 for report in reports)
    assert "abandoned: " in done.err
    assert "users answered in time, at least 3 must" in done.err


def test_a_run_of_which_nothing_comes_stops_and_says_why(nwp: Nwp, corpus: Path) -> None:
    options = ("--stragglers", 0.1, "--time-limit", 0.0001, "--rounds", 30, "--validate-every", 30)
    said = nwp("train", corpus, "--out", "m", *TINY, *options, "--json").error("no-quorum")

    assert "10 rounds in a row were abandoned" in said
    assert "wait longer" in said
    assert json.loads(Path("m/run/state.json").read_text()) == {"round": 10}


ODD = (
    *("--stragglers", "0.7", "--over-select", "0.5", "--time-limit", "0.2", "--minimum", "2"),
    *("--sampling", "poisson", "--availability", "0.9", "--workers", "3"),
)


@pytest.mark.slow
def test_processes_and_a_resume_change_no_byte(
    nwp: Nwp, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nwp("train", corpus, "--out", "a", *TINY, *ROUNDS, *ODD, "--json").result()
    nwp("train", corpus, "--out", "b", *TINY, *ROUNDS, *ODD, "--processes=2", "--json").result()
    told = Rounds.round_done

    def stop(self: Rounds, state: RunState) -> None:
        told(self, state)
        if state.number == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Rounds, "round_done", stop)
        assert nwp("train", corpus, "--out", "c", *TINY, *ROUNDS, *ODD, "--json").code == 130
    resumed = nwp("train", corpus, "--out", "c", *TINY, *ROUNDS, *ODD, "--resume", "--json")

    assert resumed.result()["resumed_from"] == 2
    assert bundle_bytes(Path("a")) == bundle_bytes(Path("b")) == bundle_bytes(Path("c"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--sampling", "best"), "no sampling 'best'"),
        (("--availability", 0), "availability must be above 0"),
        (("--sampling", "size", "--cycle", 2), "within reach"),
        (("--sampling", "size", "--weights", "words"), "Use --weights equal"),
        (("--sampling", "size", "--algorithm", "scaffold"), "Sample uniformly"),
        (("--time-limit", 5), "all answers come at once would do nothing"),
        (("--stragglers", 11), "a sigma from 0 to 10"),
        (("--minimum", 5), "5 users at least in a round of 4"),
        (("--cycle", 7), "6 users can't be dealt to 7 groups"),
    ],
    ids=str,
)
def test_settings_that_can_not_be_are_refused(
    nwp: Nwp, corpus: Path, options: tuple[object, ...], message: str
) -> None:
    said = nwp("train", corpus, "--out", "m", *TINY, *options, "--json").error("bad-settings")

    assert message in said
