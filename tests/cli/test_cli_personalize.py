from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import Nwp, bundle_bytes, files_in, write_corpus

from nwp.corpus.load import load_corpus
from nwp.errors import Refused
from nwp.evaluation.counts import metrics
from nwp.federated.finetuning import tune_at
from nwp.model.bundle import load_bundle, save_bundle
from nwp.tasks.personalize import FEW, PersonalizeOptions, fine_tuned, personalize
from nwp.tasks.start import weights_of

TURNS = ["see you tomorrow at home", "how are you this morning", "come with me to the park"]
Half = dict[str, dict[str, float]]


def talk(number: int, seed: int = 3) -> list[str]:
    """Messages of somebody who has three turns."""
    return random.Random(seed).choices(TURNS, k=number)


@pytest.fixture
def own(own_place: Path) -> Path:
    """One user, whom the bundle knows nothing of, with enough messages to choose by."""
    return write_corpus(own_place / "own.jsonl", {"kajsa": talk(110)})


def test_it_fits_a_person_better_and_says_how_much(nwp: Nwp, own: Path, bundle: Path) -> None:
    before = files_in(bundle)

    done = nwp("personalize", own, "--model", bundle, "--out", "mine", "--json")

    found = done.result()
    assert list(found) == [
        *("model", "user", "words", "passes", "learning_rate", "share", "chosen", "valid", "test"),
        "seconds",
    ]
    assert (found["model"], found["user"], found["chosen"]) == ("mine", "kajsa", True)
    assert found["words"] == sum(len(text.split()) for text in talk(110)[:88])
    assert found["passes"] > 0
    for part in ("valid", "test"):
        half: Half = found[part]
        assert list(half) == ["before", "after"]
        assert set(half["before"]) == {"perplexity", "top1", "top3", "tokens"}
        assert half["after"]["perplexity"] < 0.9 * half["before"]["perplexity"]
        assert half["after"]["tokens"] == half["before"]["tokens"] > 0
    assert "learning rate 0.4, pass 1: valid perplexity" in done.err
    assert files_in(bundle) == before
    # What is told is what anybody counts who evaluates both bundles.
    for model, when in ((bundle, "before"), ("mine", "after")):
        words = ("evaluate", own, "--model", model, "--processes", 1, "--json")
        summary = nwp(*words).result()["summary"]
        for name, value in found["test"][when].items():
            assert summary[name] == pytest.approx(value), (model, name)


def test_the_same_again_gives_the_same_bytes_and_another_seed_others(
    nwp: Nwp, own: Path, bundle: Path
) -> None:
    words = ("personalize", own, "--model", bundle, "--passes", 2, "--json", "--out")
    for out, seed in (("a", 0), ("b", 0), ("c", 1)):
        assert nwp(*words, out, "--seed", seed).result()["passes"]

    assert files_in(Path("a")) == files_in(Path("b"))
    one, other = (Path(name, "model.safetensors").read_bytes() for name in ("a", "c"))
    assert one != other


def test_the_card_and_the_settings_say_whose_it_is_without_a_name(
    nwp: Nwp, own: Path, bundle: Path
) -> None:
    nwp("personalize", own, "--model", bundle, "--out", "mine", "--json").result()

    card = Path("mine/README.md").read_text()
    about = json.loads(Path("mine/settings.json").read_text())["about"]
    assert card.startswith("# A next-word model fine-tuned on one person's messages")
    assert "Do not give this bundle away" in card
    assert f"`{bundle.name}`" in card
    assert about["personalized"]["from"] == bundle.name
    assert about["training"] == load_bundle(bundle).about["training"]
    for data in bundle_bytes(Path("mine")).values():
        assert b"kajsa" not in data
        assert b"own.jsonl" not in data
    assert Path("mine").stat().st_mode & 0o077 == 0


def test_what_a_person_reads_says_what_it_is_worth_and_what_not_to_do(
    nwp: Nwp, own: Path, bundle: Path
) -> None:
    done = nwp("personalize", own, "--model", bundle, "--out", "mine")

    assert done.code == 0
    assert "mine: " in done.out
    assert "test perplexity" in done.out
    assert "nwp prompt --model mine" in done.out
    assert "Keep it to yourself" in done.err
    assert len(nwp("suggest", "see you ", "--model", "mine", "--json").result()["suggestions"]) == 3


def test_where_nothing_is_better_nothing_is_written(
    nwp: Nwp, own_place: Path, bundle: Path
) -> None:
    """Who writes valid messages that the messages before speak against."""
    against = ["cat dog sat on mat"] * 88 + ["time is it not sure"] * 22
    corpus = write_corpus(own_place / "odd.jsonl", {"kajsa": against})
    words = ("personalize", corpus, "--model", bundle, "--out", "mine")

    found = nwp(*words, "--json").result()
    done = nwp(*words)

    assert (found["model"], found["passes"]) == (str(bundle), 0)
    assert found["learning_rate"] is found["share"] is None
    assert found["valid"]["before"] == found["valid"]["after"]
    assert found["test"]["before"] == found["test"]["after"]
    assert done.code == 0
    assert "nothing is written" in done.out
    assert str(bundle) in done.out
    assert not Path("mine").exists()


def test_valid_messages_never_get_worse(bundle: Path) -> None:
    model = load_bundle(bundle)
    for seed in range(3):
        for messages in (talk(40, seed), talk(110, seed), [*talk(30, seed), *["mat on sat"] * 4]):
            found = fine_tuned(model, messages, PersonalizeOptions(seed=seed, passes=2))
            before, after = map(metrics, found.valid)
            assert after["perplexity"] <= before["perplexity"]


def test_few_messages_get_the_careful_setting(nwp: Nwp, own_place: Path, bundle: Path) -> None:
    corpus = write_corpus(own_place / "few.jsonl", {"kajsa": talk(30)})
    words = ("personalize", corpus, "--model", bundle, "--out", "mine")

    found = nwp(*words, "--json").result()

    assert (found["chosen"], found["learning_rate"]) == (False, 0.4)
    assert (found["passes"], found["share"]) == (3, 0.5)
    assert "a careful default" in Path("mine/README.md").read_text()
    assert "too few messages to choose by" in nwp(*words, "--force").out


def test_with_fewer_than_ten_valid_messages_nothing_is_chosen(bundle: Path) -> None:
    model = load_bundle(bundle)
    for number, chosen in ((10 * FEW - 5, False), (10 * FEW, True)):  # 9 valid ones, and 10
        assert fine_tuned(model, talk(number), PersonalizeOptions(passes=1)).chosen == chosen


def test_without_valid_messages_the_careful_setting_is_taken_and_no_figure_made_up(
    nwp: Nwp, own_place: Path, bundle: Path
) -> None:
    corpus = write_corpus(own_place / "three.jsonl", {"kajsa": ["see you tomorrow"] * 3})
    words = ("personalize", corpus, "--model", bundle, "--out", "mine")

    done = nwp(*words)
    found = nwp(*words, "--force", "--json").result()

    assert "valid: no words" in done.out
    assert found["passes"] == 3
    assert found["valid"]["before"]["perplexity"] is found["valid"]["after"]["perplexity"] is None
    assert "| valid perplexity | not known → not known |" in Path("mine/README.md").read_text()


def test_the_figures_are_those_of_the_weights_as_they_are_stored(
    own: Path, bundle: Path, own_place: Path
) -> None:
    for form in ("bf16", "int8"):
        base = own_place / form
        save_bundle(replace(load_bundle(bundle), storage=form), base)
        out = own_place / f"mine-{form}"

        found = personalize(load_corpus(str(own)), base, out, PersonalizeOptions(passes=2))

        mine = load_bundle(out)
        assert mine.storage == form
        texts = talk(110)
        outcome = fine_tuned(load_bundle(base), texts, PersonalizeOptions(passes=2))
        assert weights_of(mine).tobytes() == outcome.weights.tobytes()
        assert found["test"] == outcome.as_json()["test"]


# --- whose messages -------------------------------------------------------------------------------


def test_of_several_users_one_must_be_named(nwp: Nwp, corpus: Path, bundle: Path) -> None:
    words = ("personalize", corpus, "--model", bundle, "--out", "mine", "--passes", 1, "--json")

    said = nwp(*words).error("bad-settings")
    wrong = nwp(*words, "--user", "user9").error("bad-settings")

    assert "6 users" in said
    assert "--user" in said
    assert "user0, user1, user2, …" in said
    assert "'user9'" in wrong
    assert "user5" in wrong or "user0" in wrong
    assert not Path("mine").exists()
    assert nwp(*words, "--user", "user3").result()["user"] == "user3"


def test_a_name_may_hold_a_comma(nwp: Nwp, own_place: Path, bundle: Path) -> None:
    users = {"Dee, Kajsa": talk(20), "Kajsa": talk(20)}
    corpus = write_corpus(own_place / "comma.jsonl", users)

    words = ("personalize", corpus, "--model", bundle, "--out", "mine", "--user", "Dee, Kajsa")
    assert nwp(*words, "--json").result()["user"] == "Dee, Kajsa"


def test_messages_that_are_not_the_callers_are_refused(own: Path, bundle: Path) -> None:
    theirs = replace(load_corpus(str(own)), own=False)

    with pytest.raises(Refused, match="not yours"):
        personalize(theirs, bundle, Path("mine"), PersonalizeOptions())


@pytest.mark.parametrize("texts", [["hello"], ["!!!"] * 30], ids=["one message", "no words"])
def test_nothing_to_train_on_is_an_error(
    nwp: Nwp, own_place: Path, bundle: Path, texts: list[str]
) -> None:
    corpus = write_corpus(own_place / "nothing.jsonl", {"kajsa": texts})

    said = nwp("personalize", corpus, "--model", bundle, "--out", "mine", "--json").error(
        "bad-corpus"
    )

    assert "no message to train on" in said
    assert not Path("mine").exists()


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        (("--model", "nowhere"), "bad-bundle"),
        (("--passes", 0), "usage"),
        (("--model", "."), "bad-bundle"),
    ],
    ids=str,
)
def test_rubbish_is_an_error(
    nwp: Nwp, own: Path, own_place: Path, more: tuple[str, ...], kind: str
) -> None:
    nwp("personalize", own, "--out", "mine", *more, "--json").error(kind)
    nwp("personalize", "nowhere.zip", "--out", "mine", "--json").error("bad-corpus")

    assert not Path("mine").exists()


# --- where it goes --------------------------------------------------------------------------------


def test_only_a_bundle_is_replaced_and_only_with_force(nwp: Nwp, own: Path, bundle: Path) -> None:
    words = ("personalize", own, "--model", bundle, "--passes", 1, "--json", "--out")
    nwp(*words, "mine").result()
    first = files_in(Path("mine"))

    said = nwp(*words, "mine", "--seed", 1).error("bad-input")
    assert "--force" in said
    assert files_in(Path("mine")) == first
    nwp(*words, "mine", "--seed", 1, "--force").result()
    assert set(files_in(Path("mine"))) == set(first)
    assert files_in(Path("mine")) != first

    Path("diary").mkdir()
    Path("diary/today.txt").write_text("dear diary")
    Path("file").write_text("")
    for place, told in (("diary", "not a bundle"), ("file", "is a file"), ("file/in", "is a file")):
        assert told in nwp(*words, place, "--force").error("bad-input")
    assert Path("diary/today.txt").read_text() == "dear diary"


def test_neither_a_training_run_nor_the_bundle_itself_is_replaced(
    nwp: Nwp, own: Path, bundle: Path, own_place: Path
) -> None:
    save_bundle(load_bundle(bundle), Path("base"))
    before, run = files_in(own_place), files_in(bundle)
    words = ("personalize", own, "--passes", 1, "--json", "--force")

    assert "begin from" in nwp(*words, "--model", "base", "--out", "base").error("bad-input")
    assert "not a bundle alone" in nwp(*words, "--model", "base", "--out", bundle).error(
        "bad-input"
    )

    assert (files_in(own_place), files_in(bundle)) == (before, run)


def test_an_empty_folder_and_one_below_folders_that_are_not_there_will_do(
    nwp: Nwp, own: Path, bundle: Path
) -> None:
    Path("empty").mkdir()
    for place in ("empty", "a/b/c"):
        nwp(
            *("personalize", own, "--model", bundle, "--passes", 1, "--out", place, "--json")
        ).result()
        load_bundle(Path(place))


def test_stopped_in_its_middle_it_leaves_nothing_and_what_was_there(
    nwp: Nwp, own: Path, bundle: Path, own_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("personalize", own, "--model", bundle, "--json", "--out", "mine")

    def stopped(function: Callable[..., object], before: bool) -> Callable[..., object]:
        def stop(*given: object, **named: object) -> object:
            if not before:
                function(*given, **named)
            raise KeyboardInterrupt

        return stop

    places = files_in(own_place)
    for name, function, before in (
        ("nwp.federated.finetuning.tune_at", tune_at, False),  # while it searches
        ("nwp.tasks.places.save_bundle", save_bundle, False),  # when all is in its files
    ):
        with monkeypatch.context() as patch:
            patch.setattr(name, stopped(function, before))
            said = nwp(*words).error("interrupted")
        assert "nothing is written" in said
        assert files_in(own_place) == places
    nwp(*words, "--passes", 1).result()
    places = files_in(own_place)
    with monkeypatch.context() as patch:
        patch.setattr("nwp.tasks.places.save_bundle", stopped(save_bundle, False))
        nwp(*words, "--force").error("interrupted")
    assert files_in(own_place) == places


def test_a_disk_that_can_not_be_written_is_told(
    nwp: Nwp, own: Path, bundle: Path, own_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "mine/model.safetensors")

    before = files_in(own_place)
    monkeypatch.setattr("nwp.tasks.places.save_bundle", full)

    said = nwp(
        "personalize", own, "--model", bundle, "--out", "mine", "--passes", 1, "--json"
    ).error("failed")

    assert "can't be written" in said
    assert "Free some space" in said
    assert files_in(own_place) == before


def test_the_path_that_suggests_imports_no_torch_for_a_bundle_of_ones_own(
    nwp: Nwp, own: Path, bundle: Path
) -> None:
    nwp("personalize", own, "--model", bundle, "--passes", 1, "--out", "mine", "--json").result()
    code = (
        "import sys; from nwp.cli.main import execute; "
        "execute(['suggest', 'see you ', '--model', 'mine']); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "False"
