from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from command_line import FEW, TINY, Nwp, write_corpus

from nwp.cli import recipes
from nwp.federated.local import LocalWork
from nwp.federated.participation import Participation
from nwp.federated.schedules import Schedule
from nwp.tasks.passes import Passes, in_rounds
from nwp.tasks.train_options import TrainOptions

SMALL = ("--embedding", 8, "--hidden", 8, "--public-words", 200, "--processes", 1, "--workers", 2)


def _plan(folder: str) -> dict[str, object]:
    found = json.loads(Path(folder, "settings.json").read_text())["about"]["training"]
    assert isinstance(found, dict)
    return found


def test_a_recipe_says_what_nobody_else_says(
    nwp: Nwp, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("mine.toml").write_text(
        "[train]\nrounds = 3\ncohort = 2\nseed = 7\nepochs = 2\nbatch = 4\n"
    )
    Path("nwp.toml").write_text("[train]\nseed = 5\n")
    monkeypatch.setenv("NWP_TRAIN_BATCH", "5")

    words = ("train", corpus, *TINY[:8], "--recipe", "mine.toml", "--json")
    result = nwp(*words, "--out", "m", "--cohort", 4, "--processes", 1).result()

    told = _plan("m")
    assert result["rounds"] == told["rounds"] == 3  # the recipe's
    assert told["epochs"] == 2
    assert told["seed"] == 5  # a settings file's
    assert told["batch"] == 5  # the environment's
    assert told["cohort"] == 4  # the command line's
    assert told["server_learning_rate"] == 0.03  # nobody's: the usual one


@pytest.mark.parametrize("name", recipes.names())
def test_every_recipe_trains(nwp: Nwp, corpus: Path, bundle: Path, name: str) -> None:
    begin = ("--from", bundle, "--processes", 1) if name == "adapt" else SMALL
    words = ("train", corpus, "--recipe", name, "--rounds", 2, "--warmup", 1, *begin)

    nwp(*words, "--out", "m", "--json").result()

    settings = tomllib.loads(
        (Path(recipes.__file__).parent.parent / "recipes" / f"{name}.toml").read_text()
    )
    told = _plan("m")
    assert told["cohort"] == settings["train"]["cohort"]
    assert told["messages"] == settings["train"]["messages"]
    assert f"--recipe {name}" in Path("m/README.md").read_text()


def test_where_a_recipe_comes_from_is_shown(nwp: Nwp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NWP_TRAIN_RECIPE", "keyboard")
    monkeypatch.setenv("NWP_TRAIN_COHORT", "7")

    found = nwp("config", "show", "--json").result()["train"]

    assert found["recipe"] == {"value": "keyboard", "source": "NWP_TRAIN_RECIPE"}
    assert found["messages"] == {"value": 4, "source": "recipe keyboard"}
    assert found["cohort"] == {"value": 7, "source": "NWP_TRAIN_COHORT"}
    assert found["epochs"] == {"value": 1, "source": "default"}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[train]\nround = 3\n", "no option 'round' | There are rounds"),
        ("[train]\nrecipe = 'keyboard'\n", "names no other recipe"),
        ("[evaluate]\nk = 3\n", "one table, [train]"),
        ("rounds = 3\n", "stands outside a table"),
    ],
)
def test_what_is_no_recipe_is_refused(nwp: Nwp, corpus: Path, text: str, complaint: str) -> None:
    Path("odd.toml").write_text(text)
    words = ("train", corpus, "--out", "m", "--recipe", "odd.toml", "--json")

    assert complaint in nwp(*words).error("bad-settings")
    assert not Path("m").exists()


def test_the_help_names_every_recipe(nwp: Nwp) -> None:
    assert "|".join([*sorted(recipes.names(), reverse=True), "FILE"]) in nwp("train", "--help").out


def test_a_recipe_that_is_not_there_names_those_that_are(nwp: Nwp, corpus: Path) -> None:
    said = nwp("train", corpus, "--recipe", "keybord", "--json").error("bad-settings")

    assert "'keybord'" in said
    assert "adapt, keyboard" in said


def test_a_shipped_bundle_is_gone_on_from_by_its_name(nwp: Nwp, corpus: Path) -> None:
    words = ("train", corpus, "--from", "chat", "--rounds", 1, *FEW, "--out", "m", "--json")

    assert nwp(*words).result()["before"]["perplexity"] > 1
    assert json.loads(Path("m/settings.json").read_text())["about"]["from"] == "chat"


@pytest.mark.parametrize("given", ["0x", "-1x", "nanx", "infx", "x", "2.5", "0", "-1", "many"])
def test_rounds_are_a_number_or_passes(nwp: Nwp, corpus: Path, given: str) -> None:
    assert "--rounds" in nwp("train", corpus, f"--rounds={given}", "--json").error("usage")


def test_rounds_by_passes_go_through_the_text_so_often(nwp: Nwp) -> None:
    """Ten users of ten messages, two a round: five rounds are a pass over the eight to train on."""
    users = {f"u{i}": ["see you at home"] * 10 for i in range(10)}
    corpus = write_corpus(Path("ten.jsonl"), users)
    words = ("train", corpus, *SMALL, "--cohort", 2, "--json")

    assert nwp(*words, "--rounds", "1x", "--out", "a").result()["rounds"] == 5
    assert nwp(*words, "--rounds", "0.5x", "--out", "b").result()["rounds"] == 3
    drawn = ("--sampling", "size", "--messages", 4)
    assert nwp(*words, *drawn, "--rounds", "1x", "--out", "c").result()["rounds"] == 10


# Of each user the messages and the words.
_ALIKE = {f"u{i}": (10, 30) for i in range(100)}
_UNLIKE = {"much": (100, 300), "little": (2, 10)}


@pytest.mark.parametrize(
    ("sizes", "options", "rounds"),
    [
        (_ALIKE, {"cohort": 10}, 10),
        (_ALIKE, {"cohort": 0}, 13),  # 8 of 100
        (_ALIKE, {"cohort": 10, "local": LocalWork(epochs=2)}, 5),
        (_ALIKE, {"cohort": 10, "local": LocalWork(messages=5)}, 20),
        (_ALIKE, {"cohort": 10, "local": LocalWork(messages=50)}, 10),  # nobody has so many
        (_ALIKE, {"cohort": 500}, 1),  # of the hundred that there are
        ({**_ALIKE, "silent": (0, 0)}, {"cohort": 10}, 10),
        # Half of the rounds take 300 words, half 10: two rounds are a pass.
        (_UNLIKE, {"cohort": 1}, 2),
        # By words, 300 of 310 rounds take the 300: a pass is 310 / (300 · 300/310 + 10 · 10/310).
        (_UNLIKE, {"cohort": 1, "participation": Participation("size")}, 2),
        # And with one message each, 3 words or 5 of 310.
        (
            _UNLIKE,
            {
                "cohort": 1,
                "participation": Participation("size"),
                "local": LocalWork(messages=1),
            },
            102,
        ),
        # A warm-up is a third at most.
        (_ALIKE, {"cohort": 10, "server_schedule": Schedule("cosine", warmup=30)}, 90),
        # Nobody's worker allows more.
        ({"one": (10**7, 10**8)}, {"cohort": 1, "local": LocalWork(messages=1)}, 10_000),
    ],
)
def test_passes_in_rounds(
    sizes: dict[str, tuple[int, int]], options: dict[str, object], rounds: int
) -> None:
    assert in_rounds(Passes(1), sizes, TrainOptions(**options)).rounds == rounds  # type: ignore[arg-type]


def test_a_bundle_learns_words_that_it_lacked(nwp: Nwp, bundle: Path) -> None:
    users = {f"u{i}": ["the zorbl sat on the Quafty"] * 10 for i in range(6)}
    users["u0"][0] = "only mine: mimble"
    corpus = write_corpus(Path("new.jsonl"), users)
    words = ("train", corpus, "--from", bundle, "--workers", 2, *FEW, "--rounds", 1)

    grown = nwp(*words, "--new-words", 1, "--k", 2, "--out", "one", "--json").result()
    kept = nwp(*words, "--out", "none", "--json").result()

    vocabulary = json.loads(Path("one/vocabulary.json").read_text())["words"]
    assert vocabulary[:-1] == json.loads(Path("none/vocabulary.json").read_text())["words"]
    assert vocabulary[-1] in {"zorbl", "quafty"}
    assert grown["vocabulary"] == kept["vocabulary"] + 1
    both = nwp(*words, "--new-words", 50, "--out", "all", "--json").result()
    assert both["vocabulary"] == kept["vocabulary"] + 2  # mimble is one user's
    assert (
        nwp("suggest", "the zor", "--model", "all", "--json").result()["suggestions"][0]["word"]
        == "zorbl"
    )
    nowhere = ("train", corpus, "--from", "nowhere", "--new-words", 5, "--out", "no", "--json")
    assert "no bundle at nowhere" in nwp(*nowhere).error("bad-bundle")
    resumed = nwp(*words, "--new-words", 50, "--out", "all", "--resume", "--json").result()
    assert resumed["vocabulary"] == both["vocabulary"]
