from __future__ import annotations

import fcntl
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from command_line import BUNDLE, FEW, ROUNDS, TINY, Nwp, bundle_bytes, files_in, write_corpus
from safetensors.numpy import load_file

from nwp.cli.progress import Rounds
from nwp.federated.state import RunState


def test_training_prints_its_result_and_writes_a_bundle(nwp: Nwp, corpus: Path) -> None:
    done = nwp("train", corpus, "--out", "m", *TINY, *ROUNDS, "--workers", 2, "--json")

    result = done.result()
    assert {k: result[k] for k in ("model", "rounds", "resumed_from", "workers", "users")} == {
        "model": "m",
        "rounds": 4,
        "resumed_from": None,
        "workers": 2,
        "users": 6,
    }
    assert result["seconds"] > 0
    assert set(result["valid"]) == {"perplexity", "top1", "top3"}
    assert 1 < result["valid"]["perplexity"] < 500
    assert 0 <= result["valid"]["top1"] <= result["valid"]["top3"] <= 1
    assert result["bytes_up"] > 0
    assert result["bytes_down"] > 0
    assert {path.name for path in Path("m").iterdir()} == {*BUNDLE, "run"}
    assert json.loads(Path("m/run/state.json").read_text()) == {"round": 4}
    assert (
        json.loads(Path("m/settings.json").read_text())["about"]["valid"]["perplexity"]
        == (result["valid"]["perplexity"])
    )


def test_progress_is_told_on_standard_error_round_by_round(nwp: Nwp, corpus: Path) -> None:
    done = nwp("train", corpus, "--out", "m", *TINY, *ROUNDS, "--json")

    told = [line.split(":")[0] for line in done.err.splitlines() if line.startswith("round ")]
    assert told == ["round 1/4", "round 2/4", "round 3/4", "round 4/4"]


def test_without_json_the_result_is_in_words_and_names_what_comes_next(
    nwp: Nwp, corpus: Path
) -> None:
    done = nwp("train", corpus, "--out", "[b]m", *TINY, *ROUNDS)

    assert done.code == 0
    assert done.out.startswith("[b]m: 4 rounds over 6 users in ")  # brackets are no markup
    assert f"nwp evaluate {corpus} --model '[b]m'" in done.out


def test_the_state_file_names_each_round_when_it_is_durable(
    nwp: Nwp, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def look(self: Rounds, state: RunState) -> None:
        names = {path.name for path in Path("m/run").iterdir()}
        seen.append(json.loads(Path("m/run/state.json").read_text()))
        assert f"round-{state.number}.safetensors" in names
        assert not any(name.startswith(".") for name in names)

    monkeypatch.setattr(Rounds, "round_done", look)
    nwp("train", corpus, "--out", "m", *TINY, *ROUNDS)

    assert seen == [{"round": 1}, {"round": 2}, {"round": 3}, {"round": 4}]


def test_the_same_command_twice_gives_the_same_bytes_wherever_it_writes(
    nwp: Nwp, corpus: Path, bundle: Path
) -> None:
    nwp("train", corpus, "--out", "elsewhere", *TINY, *ROUNDS)

    assert bundle_bytes(Path("elsewhere")) == bundle_bytes(bundle)


def test_another_seed_gives_other_weights(nwp: Nwp, corpus: Path, bundle: Path) -> None:
    nwp("train", corpus, "--out", "m", *TINY, *ROUNDS, "--seed", 1)

    mine, theirs = bundle_bytes(Path("m")), bundle_bytes(bundle)
    assert mine["model.safetensors"] != theirs["model.safetensors"]
    assert mine["vocabulary.json"] == theirs["vocabulary.json"]


@pytest.mark.slow
def test_the_number_of_processes_changes_no_byte(nwp: Nwp, corpus: Path, bundle: Path) -> None:
    result = nwp("train", corpus, "--out", "m", *TINY, *ROUNDS, "--processes=2", "--json").result()

    assert result["rounds"] == 4
    assert bundle_bytes(Path("m")) == bundle_bytes(bundle)


def test_an_existing_run_is_refused_and_left_as_it_is(
    nwp: Nwp, corpus: Path, bundle: Path, own_place: Path
) -> None:
    shutil.copytree(bundle, "m")
    before = files_in(own_place)

    said = nwp("train", corpus, "--out", "m", *TINY, *ROUNDS, "--json").error("bad-input")

    assert "already holds a training run" in said
    assert "--resume" in said
    assert "--force" in said
    assert files_in(own_place) == before


def test_force_begins_anew(nwp: Nwp, corpus: Path, bundle: Path) -> None:
    shutil.copytree(bundle, "m")

    again = nwp("train", corpus, "--out", "m", *TINY, "--rounds", 2, "--force", "--json").result()

    assert (again["rounds"], again["resumed_from"]) == (2, None)
    assert sorted(path.name for path in Path("m/run").iterdir()) == [
        *("fingerprint", "metrics.csv", "result.json"),
        *("round-1.safetensors", "round-2.safetensors", "state.json"),
    ]
    assert json.loads(Path("m/settings.json").read_text())["about"]["training"]["rounds"] == 2


def test_force_replaces_a_bundle_whose_run_is_gone(nwp: Nwp, corpus: Path, bundle: Path) -> None:
    shutil.copytree(bundle, "m", ignore=shutil.ignore_patterns("run"))

    nwp("train", corpus, "--out", "m", *TINY, *ROUNDS, "--force", "--json").result()

    assert json.loads(Path("m/run/state.json").read_text()) == {"round": 4}


def test_a_forced_run_that_cannot_begin_leaves_the_old_one(
    nwp: Nwp, corpus: Path, bundle: Path, own_place: Path
) -> None:
    shutil.copytree(bundle, "m")
    before = files_in(own_place)

    done = nwp("train", corpus, "--out", "m", *TINY, *ROUNDS, "--force", "--workers", 7, "--json")

    done.error("bad-settings")
    assert files_in(own_place) == before


@pytest.mark.parametrize("flag", [(), ("--force",), ("--resume",)], ids=["", "force", "resume"])
def test_a_folder_with_something_else_in_it_is_never_written_into(
    nwp: Nwp, corpus: Path, own_place: Path, flag: tuple[str, ...]
) -> None:
    Path("project/run").mkdir(parents=True)
    Path("project/README.md").write_text("mine")
    Path("project/run/script.sh").write_text("mine")
    before = files_in(own_place)

    said = nwp("train", corpus, "--out", "project", *TINY, *flag, "--json").error("bad-input")

    assert "no training run" in said
    assert files_in(own_place) == before


@pytest.mark.parametrize("flag", [(), ("--force",), ("--resume",)], ids=["", "force", "resume"])
def test_out_that_is_a_file_is_refused(nwp: Nwp, corpus: Path, flag: tuple[str, ...]) -> None:
    Path("m").write_text("mine")

    said = nwp("train", corpus, "--out", "m", *TINY, *flag, "--json").error("bad-input")

    assert "m is a file" in said
    assert Path("m").read_text() == "mine"


def test_an_empty_folder_will_do(nwp: Nwp, corpus: Path) -> None:
    Path("m").mkdir()

    assert nwp("train", corpus, "--out", "m", *TINY, *ROUNDS, "--json").result()["rounds"] == 4


def test_resuming_a_finished_run_prints_the_same_result_again(
    nwp: Nwp, corpus: Path, own_place: Path
) -> None:
    words = ("train", corpus, "--out", "m", *TINY, *ROUNDS, "--json")
    first = nwp(*words)
    before = files_in(own_place)

    again = nwp(*words, "--resume")

    assert again.result() == first.result()
    assert files_in(own_place) == before


def test_resume_where_nothing_is_begins(nwp: Nwp, corpus: Path) -> None:
    done = nwp("train", corpus, "--out", "m", *TINY, *ROUNDS, "--resume", "--json")

    assert done.result()["resumed_from"] is None


@pytest.mark.parametrize(
    "other",
    [("--seed", "9"), ("--rounds", "5"), ("--hidden", "9"), ("--held-out", "user1"), ("--k", "2")],
    ids=lambda other: other[0],
)
def test_other_settings_cannot_resume_a_run(
    nwp: Nwp, corpus: Path, bundle: Path, own_place: Path, other: tuple[str, ...]
) -> None:
    shutil.copytree(bundle, "m")
    before = files_in(own_place)

    done = nwp("train", corpus, "--out", "m", *TINY, *ROUNDS, *other, "--resume", "--json")

    assert "other settings" in done.error("bad-input")
    assert files_in(own_place) == before


def test_another_text_cannot_resume_a_run(nwp: Nwp, corpus: Path, bundle: Path) -> None:
    shutil.copytree(bundle, "m")
    changed = Path("changed.jsonl")
    changed.write_text(corpus.read_text().replace("cat", "cow"))

    done = nwp("train", changed, "--out", "m", *TINY, *ROUNDS, "--resume", "--json")

    assert "the corpus has changed" in done.error("bad-input")


def test_a_model_without_its_run_cannot_be_resumed(nwp: Nwp, corpus: Path, bundle: Path) -> None:
    shutil.copytree(bundle, "m", ignore=shutil.ignore_patterns("run"))

    said = nwp("train", corpus, "--out", "m", *TINY, "--resume", "--json").error("bad-input")

    assert "--from" in said


def test_a_damaged_checkpoint_is_told_and_the_one_before_leads_to_the_same_bytes(
    nwp: Nwp, corpus: Path, bundle: Path
) -> None:
    shutil.copytree(bundle, "m")
    Path("m/run/result.json").unlink()
    path = Path("m/run/round-4.safetensors")
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 4]))

    done = nwp("train", corpus, "--out", "m", *TINY, *ROUNDS, "--resume", "--json")

    assert done.result()["resumed_from"] == 3
    assert "warning: in m/run: round-4.safetensors is damaged" in done.err
    assert bundle_bytes(Path("m")) == bundle_bytes(bundle)


def test_damaged_checkpoints_are_named(nwp: Nwp, corpus: Path, bundle: Path) -> None:
    shutil.copytree(bundle, "m")
    Path("m/run/result.json").unlink()
    for path in Path("m/run").glob("round-*"):
        path.write_bytes(b"nothing")

    done = nwp("train", corpus, "--out", "m", *TINY, *ROUNDS, "--resume", "--json")

    assert "checkpoint in m/run is damaged" in done.error("bad-input")


@pytest.mark.parametrize("left", ["model.safetensors", "settings.json"])
def test_a_bundle_that_lost_a_file_is_written_again(
    nwp: Nwp, corpus: Path, bundle: Path, left: str
) -> None:
    shutil.copytree(bundle, "m")
    Path("m", left).unlink()

    result = nwp("train", corpus, "--out", "m", *TINY, *ROUNDS, "--resume", "--json").result()

    assert result["resumed_from"] == 4
    assert bundle_bytes(Path("m")) == bundle_bytes(bundle)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff"])
def test_a_damaged_result_is_found_again(
    nwp: Nwp, corpus: Path, bundle: Path, content: bytes
) -> None:
    shutil.copytree(bundle, "m")
    before = json.loads(Path("m/run/result.json").read_text())
    Path("m/run/result.json").write_bytes(content)

    again = nwp("train", corpus, "--out", "m", *TINY, *ROUNDS, "--resume", "--json").result()

    other = {"model": "m", "seconds": again["seconds"], "resumed_from": 4}
    assert again == before | other


@pytest.mark.parametrize("flag", ["--force", "--resume"])
def test_two_processes_never_train_into_one_folder(
    nwp: Nwp, corpus: Path, bundle: Path, own_place: Path, flag: str
) -> None:
    shutil.copytree(bundle, "m")
    before = files_in(own_place)
    other = os.open("m/run", os.O_RDONLY)
    try:
        fcntl.flock(other, fcntl.LOCK_EX)
        done = nwp("train", corpus, "--out", "m", *TINY, *ROUNDS, flag, "--json")
    finally:
        os.close(other)

    assert "another process is training into m" in done.error("bad-input")
    assert files_in(own_place) == before
    nwp("train", corpus, "--out", "m", *TINY, *ROUNDS, flag, "--json").result()


def test_another_bundle_under_the_same_name_cannot_be_gone_on_from(
    nwp: Nwp, corpus: Path, bundle: Path
) -> None:
    shutil.copytree(bundle, "base", ignore=shutil.ignore_patterns("run"))
    words = ("train", corpus, "--out", "m", *FEW, *ROUNDS, "--from", "base", "--json")
    nwp(*words).result()
    settings = json.loads(Path("base/settings.json").read_text())
    Path("base/settings.json").write_text(json.dumps(settings | {"about": {}}))

    assert "other settings" in nwp(*words, "--resume").error("bad-input")


def test_a_folder_called_run_that_is_none_is_left_alone(
    nwp: Nwp, corpus: Path, own_place: Path
) -> None:
    Path("m/run").mkdir(parents=True)
    Path("m/run/marathon.txt").write_text("mine")
    before = files_in(own_place)

    for flag in ("--force", "--resume"):
        said = nwp("train", corpus, "--out", "m", *TINY, *ROUNDS, flag, "--json")
        assert "no training run" in said.error("bad-input")

    assert files_in(own_place) == before


def test_training_goes_on_from_a_bundle_with_its_words_and_sizes(
    nwp: Nwp, corpus: Path, bundle: Path
) -> None:
    words = ("train", corpus, "--out", "m", *FEW, *ROUNDS, "--from", bundle)
    done = nwp(*words)
    found = nwp(*words, "--resume", "--json").result()

    mine = json.loads(Path("m/settings.json").read_text())
    theirs = json.loads((bundle / "settings.json").read_text())
    assert mine["model"] == theirs["model"]
    assert mine["about"]["from"] == str(bundle)
    assert bundle_bytes(Path("m"))["vocabulary.json"] == bundle_bytes(bundle)["vocabulary.json"]
    # What it began with is measured first, and kept: these two rounds have made it no better.
    assert bundle_bytes(Path("m"))["model.safetensors"] == bundle_bytes(bundle)["model.safetensors"]
    assert found["best_round"] == 0
    assert found["valid"] == found["before"]
    said = f"{found['before']['perplexity']:.1f}"
    assert f"before training: valid perplexity {said}" in done.err.splitlines()[2]
    assert f"valid perplexity from {said} to {said}" in done.out
    assert "no round was better than the model before training" in done.out


def test_dropout_may_be_another_than_the_bundles(nwp: Nwp, corpus: Path, bundle: Path) -> None:
    words = ("train", corpus, *FEW, *ROUNDS, "--from", bundle, "--json")
    found = {}
    for out, options in {"a": (), "b": ("--dropout", 0.5), "c": ("--dropout", 0)}.items():
        nwp(*words, "--out", out, *options).result()
        found[out] = json.loads(Path(out, "settings.json").read_text())["model"]["dropout"]
    theirs = json.loads((bundle / "settings.json").read_text())["model"]["dropout"]
    assert found == {"a": theirs, "b": 0.5, "c": 0.0}


def test_rarer_checkpoints_change_no_byte(nwp: Nwp, corpus: Path) -> None:
    words = ("train", corpus, *TINY, *ROUNDS, "--json")
    nwp(*words, "--out", "each").result()
    nwp(*words, "--out", "rare", "--checkpoint-every", 9).result()
    assert bundle_bytes(Path("each")) == bundle_bytes(Path("rare"))


def test_users_held_out_by_name_take_no_part(nwp: Nwp, corpus: Path) -> None:
    words = ("train", corpus, "--out", "m", *TINY, *ROUNDS, "--held-out", "user4, user1", "--json")

    result = nwp(*words).result()

    assert result["held_out"] == ["user1", "user4"]
    assert result["users"] == 4


def test_a_share_of_the_users_is_held_out_by_seed(nwp: Nwp, corpus: Path) -> None:
    words = ("train", corpus, "--out", "m", *TINY, "--rounds", 1, "--held-out", "0.5", "--json")

    first = nwp(*words).result()
    again = nwp(*words, "--force").result()
    other = nwp(*words, "--force", "--seed", 1).result()

    assert len(first["held_out"]) == first["users"] == 3
    assert again["held_out"] == first["held_out"]
    assert other["held_out"] != first["held_out"]


def test_a_worker_that_refuses_takes_no_part_and_training_goes_on(nwp: Nwp, corpus: Path) -> None:
    words = ("train", corpus, "--out", "m", *TINY, *ROUNDS, "--workers", 3, "--k", 1)

    done = nwp(*words, "--refuse", "worker-2", "--json")

    result = done.result()
    assert result["rounds"] == 4
    assert set(result["absent"]) == {"worker-2"}
    assert done.err.count("worker-2 takes no part: the owner allows no train plan") == 1
    assert "approved by 2 of 3 owners" in done.err


def test_when_all_workers_refuse_nothing_is_trained_or_written(
    nwp: Nwp, corpus: Path, own_place: Path
) -> None:
    refusals = ("--refuse", "worker-1", "--refuse", "worker-2")
    done = nwp("train", corpus, "--out", "m", *TINY, "--workers", 2, *refusals, "--json")

    assert "no survey" in done.error("no-quorum")
    assert done.code == 4
    assert files_in(own_place) == {}


def test_with_a_base_bundle_all_refusing_is_told_when_the_plan_is(
    nwp: Nwp, corpus: Path, bundle: Path, own_place: Path
) -> None:
    done = nwp(
        *("train", corpus, "--out", "m", *FEW, "--from", bundle),
        *("--refuse", "worker-1", "--json"),
    )

    assert "no worker approved the plan" in done.error("no-quorum")
    assert files_in(own_place) == {}


def test_users_with_too_few_messages_to_validate_get_a_model_all_the_same(nwp: Nwp) -> None:
    few = write_corpus(Path("few.jsonl"), {f"u{i}": ["see you tomorrow"] * 3 for i in range(4)})

    result = nwp("train", few, "--out", "m", *TINY, *ROUNDS, "--json").result()

    assert result["valid"] == {"perplexity": None, "top1": None, "top3": None}
    assert result["best_round"] == 4
    assert nwp("evaluate", few, "--model", "m", "--processes", 1, "--json").code == 0


def test_lines_left_out_are_counted_on_standard_error(nwp: Nwp, corpus: Path) -> None:
    mixed = Path("mixed.jsonl")
    mixed.write_text(corpus.read_text() + "no json\n\n" + '{"user": 7}\n')

    done = nwp("train", mixed, "--out", "m", *TINY, *ROUNDS, "--skip-bad-lines", "--json")

    assert done.result()["users"] == 6
    assert "left out: 2 x bad line" in done.err


# ------------------------------------------------------------------------------------- algorithms


def last_weights(folder: Path) -> np.ndarray:
    return load_file(folder / "run" / "round-4.safetensors")["weights"]


def training_of(folder: str) -> dict:
    return json.loads(Path(folder, "settings.json").read_text())["about"]["training"]


def test_defaults_are_plain_averaging_by_words_at_one_rate(bundle: Path) -> None:
    training = training_of(str(bundle))
    told = {k: training[k] for k in ("algorithm", "batch", "weights", "weight_cap", "schedule")}
    assert told == {
        "algorithm": "fedavg",
        "batch": 16,
        "weights": "words",
        "weight_cap": 0,
        "schedule": "constant",
    }
    card = (bundle / "README.md").read_text()
    assert "algorithm fedavg; users count by their words\n" in card
    assert "batches of 16, learning rate 4.0\n" in card


OTHERS: dict[str, tuple[tuple[object, ...], dict[str, object], str]] = {
    "fedsgd": (
        ("--algorithm", "fedsgd"),
        {"algorithm": "fedsgd", "batch": 0, "weights": "words"},
        "all of a user's messages in one step, learning rate 4.0",
    ),
    "scaffold": (
        ("--algorithm", "scaffold"),
        {"algorithm": "scaffold", "batch": 16, "weights": "equal"},
        "algorithm scaffold; users count alike",
    ),
    "fedprox": (("--proximal", 0.1), {"proximal": 0.1}, "fedavg, proximal term 0.1;"),
    "some messages": (("--messages", 3), {"messages": 3}, "at most 3 messages of a user"),
    "by size": (
        ("--sampling", "size"),
        {"weights": "equal"},
        "4 users a round, drawn by their words, 1 local",
    ),
    "one by one": (
        ("--sampling", "poisson", "--availability", 0.9, "--cycle", 2, "--minimum", 1),
        {"weights": "words"},
        "4 users a round, drawn one by one, so many on average, each within reach by a chance of "
        "0.9, in 2 groups that take turns, no round of fewer than 1, 1 local",
    ),
    "clipped": (
        ("--weights", "clipped", "--weight-cap", 20),
        {"weights": "clipped", "weight_cap": 20},
        "users count by their words, 20 at most",
    ),
    "schedule": (
        ("--schedule", "linear", "--warmup", 2, "--final-share", 0.5),
        {"schedule": "linear to 0.5 of it after 2 rounds of warm-up"},
        "learning rate 4.0 (linear to 0.5 of it after 2 rounds of warm-up)",
    ),
    "steps": (
        ("--schedule", "step", "--step-rounds", 2, "--step-factor", 0.25),
        {"schedule": "step, times 0.25 every 2 rounds"},
        "learning rate 4.0 (step, times 0.25 every 2 rounds)",
    ),
    "server schedule": (
        ("--server-schedule", "cosine", "--final-share", 0.2),
        {"server_schedule": "cosine to 0.2 of it", "schedule": "constant"},
        "learning rate 0.03 (cosine to 0.2 of it)",
    ),
    "one step an epoch": (("--batch", 0, "--epochs", 2), {"batch": 0, "epochs": 2}, "one step"),
}


@pytest.mark.parametrize(("options", "told", "words"), OTHERS.values(), ids=OTHERS)
def test_what_was_asked_for_is_done_and_told_on_the_card(
    nwp: Nwp, corpus: Path, bundle: Path, options: tuple, told: dict, words: str
) -> None:
    result = nwp("train", corpus, "--out", "m", *TINY, *ROUNDS, *options, "--json").result()

    assert result["rounds"] == 4
    assert result["algorithm"] == told.get("algorithm", "fedavg")
    training = training_of("m")
    assert {name: training[name] for name in told} == told
    assert words in Path("m/README.md").read_text()
    # Here no user has more messages than a batch: a step of some is one of all, with no way back yet.
    alike = set(told) & {"proximal"} or told.get("algorithm") == "fedsgd"
    mine, theirs = (last_weights(folder) for folder in (Path("m"), bundle))
    assert np.array_equal(mine, theirs) == bool(alike)
    assert not [path for path in Path("m/run").rglob("*") if path.parent.name == "workers"]


REFUSED = {
    "no such algorithm": (("--algorithm", "fedbest"), "There are fedavg, fedsgd, scaffold"),
    "fedsgd of epochs": (("--algorithm", "fedsgd", "--epochs", 2), "one step over all"),
    "fedsgd of batches": (("--algorithm", "fedsgd", "--batch", 8), "one step over all"),
    "scaffold by words": (("--algorithm", "scaffold", "--weights", "words"), "--weights equal"),
    "no such weights": (("--weights", "letters"), "words, messages, equal, clipped"),
    "clipped without a cap": (("--weights", "clipped"), "--weight-cap"),
    "a cap for nothing": (("--weight-cap", 9), "--weight-cap"),
    "no such schedule": (("--schedule", "sine"), "cosine"),
    "all warm-up": (("--warmup", 5), "shorter than the run"),
    "a share of nothing": (("--final-share", 0), "in (0, 1]"),
    "a share of a rate that stays": (("--final-share", 0.2), "--final-share would do nothing"),
    "steps without a step": (("--schedule", "cosine", "--step-rounds", 5), "--schedule step"),
    "momentum of plain steps": (
        ("--server-optimizer", "fedavg", "--momentum", 0.5),
        "--server-optimizer fedavgm or fedadagrad or fedadam",
    ),
    "beta 2 of a sum": (("--server-optimizer", "fedadagrad", "--beta2", 0.9), "fedyogi"),
    "epsilon of plain steps": (("--server-optimizer", "fedavgm", "--epsilon", 1), "fedadagrad or"),
    "sizes of another's words": (("--from", "somewhere"), "would do nothing here"),
    "words new to nothing": (("--new-words", 5), "--new-words would do nothing"),
}


@pytest.mark.parametrize(("options", "words"), REFUSED.values(), ids=REFUSED)
def test_settings_that_do_not_go_together_are_refused(
    nwp: Nwp, corpus: Path, own_place: Path, options: tuple, words: str
) -> None:
    done = nwp("train", corpus, "--out", "m", *TINY, *ROUNDS, *options, "--json")

    assert words in done.error("bad-settings")
    assert files_in(own_place) == {}


@pytest.mark.slow
def test_an_interrupted_scaffold_goes_on_to_the_same_bytes(
    nwp: Nwp, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (*TINY, *ROUNDS, "--algorithm", "scaffold", "--cohort", 3, "--workers", 2, "--json")
    nwp("train", corpus, "--out", "whole", *words).result()

    def stop(self: Rounds, state: RunState) -> None:
        if state.number == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Rounds, "round_done", stop)
        assert nwp("train", corpus, "--out", "m", *words).code == 130
    kept = list(Path("m/run/workers").rglob("*.safetensors"))
    assert {path.relative_to("m/run/workers").parts[0] for path in kept} == {"worker-1", "worker-2"}
    assert {path.stat().st_mode & 0o777 for path in kept} == {0o600}
    assert all(p.stat().st_mode & 0o777 == 0o700 for p in Path("m/run/workers").iterdir())
    result = nwp("train", corpus, "--out", "m", *words, "--processes", 2, "--resume").result()

    assert result["resumed_from"] == 2
    assert bundle_bytes(Path("m")) == bundle_bytes(Path("whole"))
    assert not list(Path("m/run/workers").iterdir())


def test_scaffold_moves_two_vectors_each_way(nwp: Nwp, corpus: Path) -> None:
    plain, twice = (
        nwp("train", corpus, "--out", name, *TINY, *ROUNDS, "--algorithm", name, "--json").result()
        for name in ("fedavg", "scaffold")
    )
    assert 1.4 < twice["bytes_up"] / plain["bytes_up"] < 2.1
    assert 1.2 < twice["bytes_down"] / plain["bytes_down"] < 2.1  # validation sends weights alone
    assert np.isfinite(twice["valid"]["perplexity"])
