from __future__ import annotations

import io
import json
import select
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import Nwp, command, run

from nwp.model.bundle import Bundle, default_bundle, load_bundle, save_bundle
from nwp.model.config import ModelConfig
from nwp.text.vocabulary import FIRST_WORD, Vocabulary


def test_suggestions_are_different_words_best_first(nwp: Nwp, bundle: Path) -> None:
    found = nwp("suggest", "see you ", "--model", bundle, "--json").result()

    assert set(found) == {"context", "suggestions"}
    assert found["context"] == "see you "
    assert all(set(row) == {"word", "probability"} for row in found["suggestions"])
    words = [row["word"] for row in found["suggestions"]]
    shares = [row["probability"] for row in found["suggestions"]]
    assert len(set(words)) == len(words) == 3
    assert shares == sorted(shares, reverse=True)
    assert 0 < shares[-1] <= shares[0] < 1
    assert sum(shares) <= 1


@pytest.mark.parametrize("k", [1, 2, 5, 10_000])
def test_k_bounds_the_number_of_suggestions(nwp: Nwp, bundle: Path, k: int) -> None:
    known = len(load_bundle(bundle).vocabulary.words)

    found = nwp("suggest", "see you ", "-k", k, "--model", bundle, "--json").result()

    words = [row["word"] for row in found["suggestions"]]
    assert len(set(words)) == len(words) == min(k, known)
    more = nwp("suggest", "see you ", "-k", k + 1, "--model", bundle, "--json").result()
    assert more["suggestions"][:k] == found["suggestions"]


@pytest.mark.parametrize(
    ("text", "typed"),
    [("see y", "y"), ("see you t", "t"), ("I don'", "don'"), ("don’", "don'"), ("y", "y")],
)
def test_a_half_typed_word_is_completed(nwp: Nwp, bundle: Path, text: str, typed: str) -> None:
    found = nwp("suggest", text, "-k", 50, "--model", bundle, "--json").result()

    words = [row["word"] for row in found["suggestions"]]
    assert words
    assert all(word.lower().startswith(typed) for word in words)
    assert sum(row["probability"] for row in found["suggestions"]) == pytest.approx(1)


@pytest.mark.parametrize("text", ["room 7", "qqqqzzz"])
def test_a_beginning_that_no_word_has_gets_no_suggestion(nwp: Nwp, bundle: Path, text: str) -> None:
    assert nwp("suggest", text, "--model", bundle, "--json").result()["suggestions"] == []


@pytest.mark.parametrize("text", ["", "see ", "see you. ", "really? ", "“", "\n"])
def test_after_anything_but_a_word_the_next_word_is_suggested(
    nwp: Nwp, bundle: Path, text: str
) -> None:
    found = nwp("suggest", text, "-k", 40, "--model", bundle, "--json").result()

    assert len({row["word"][0].lower() for row in found["suggestions"]}) > 1


def test_without_json_each_suggestion_is_a_line(nwp: Nwp, bundle: Path) -> None:
    found = nwp("suggest", "see y", "--model", bundle, "--json").result()["suggestions"]

    lines = nwp("suggest", "see y", "--model", bundle).out.splitlines()

    assert [line.split() for line in lines] == [
        [row["word"], f"{row['probability']:.1%}"] for row in found
    ]


def test_stdin_gives_one_object_a_line(
    nwp: Nwp, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contexts = ["see y", "", "how are ", "naïve “t"]
    text = io.TextIOWrapper(io.BytesIO("\n".join(contexts).encode()), encoding="ascii")
    monkeypatch.setattr(sys, "stdin", text)

    done = nwp("suggest", "--stdin", "-k", 2, "--model", bundle)

    found = [json.loads(line) for line in done.out.splitlines()]
    assert (done.code, done.err) == (0, "")
    assert [row["context"] for row in found] == contexts
    for context, row in zip(contexts, found, strict=True):
        words = ("suggest", context, "-k", 2, "--model", bundle, "--json")
        assert row["suggestions"] == nwp(*words).result()["suggestions"]


def test_stdin_answers_each_line_before_the_next_comes(bundle: Path) -> None:
    with subprocess.Popen(
        command("suggest", "--stdin", "--model", bundle),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdin
        assert child.stdout
        for context in ("see y", "how are "):
            child.stdin.write(context + "\n")
            child.stdin.flush()
            if not select.select([child.stdout], [], [], 20)[0]:
                child.kill()
            assert json.loads(child.stdout.readline())["context"] == context
        child.stdin.close()
        assert child.stdout.read() == ""
    assert child.returncode == 0


def test_a_line_that_is_no_utf8_fails_alone(bundle: Path) -> None:
    done = run("suggest", "--stdin", "--model", bundle, stdin=b"see y\n\xff\xfe\nhow\r\n")

    before, bad, after = [json.loads(line) for line in done.out.splitlines()]
    assert (before["context"], after["context"]) == ("see y", "how")
    assert set(bad) == {"error"}
    assert set(bad["error"]) == {"kind", "message", "hint"}
    assert bad["error"]["kind"] == "bad-input"
    assert "not UTF-8" in bad["error"]["message"]
    assert (done.code, done.err) == (0, "")


@pytest.mark.parametrize("line", ["see you " * 125_000, "y" * 1_000_000], ids=["words", "letters"])
def test_a_line_of_a_megabyte_is_answered(bundle: Path, line: str) -> None:
    done = run("suggest", "--stdin", "--model", bundle, stdin=f"{line}\nsee y\n".encode())

    long, short = [json.loads(row) for row in done.out.splitlines()]
    assert long["context"] == line
    assert short["suggestions"]


def test_fewer_than_one_suggestion_a_line_ends_it(bundle: Path) -> None:
    done = run("suggest", "--stdin", "-k", 0, "--model", bundle, stdin=b"see y\n")

    assert (done.code, done.out) == (3, "")


def test_an_argument_that_is_no_utf8_is_bad_input(nwp: Nwp, bundle: Path) -> None:
    said = nwp("suggest", "see \udcff", "--model", bundle, "--json").error("bad-input")

    assert "UTF-8" in said


@pytest.mark.parametrize("k", [0, -1])
def test_fewer_than_one_suggestion_cannot_be_asked_for(nwp: Nwp, bundle: Path, k: int) -> None:
    said = nwp("suggest", "see", f"-k{k}", "--model", bundle, "--json").error("bad-input")

    assert f"{k} suggestions" in said
    assert "1 or more" in said


@pytest.mark.parametrize(
    ("words", "message"),
    [((), "give a text, or --stdin"), (("see", "--stdin"), "not both")],
    ids=["neither", "both"],
)
def test_a_text_or_standard_input_but_not_both(
    nwp: Nwp, bundle: Path, words: tuple[str, ...], message: str
) -> None:
    assert message in nwp("suggest", *words, "--model", bundle, "--json").error("bad-input")


def test_the_prompt_needs_a_terminal(nwp: Nwp, bundle: Path) -> None:
    done = nwp("prompt", "--model", bundle)

    assert (done.code, done.out) == (3, "")
    assert "needs a terminal" in done.err
    assert "nwp suggest" in done.err


def test_lines_instead_of_a_drawn_prompt(bundle: Path) -> None:
    done = run("prompt", "--plain", "--model", bundle, stdin=b"see y\n1\n\n/models\n/quit\n")

    assert (done.code, done.err) == (0, "")
    assert "[1] " in done.out
    assert "sent; saved" in done.out
    assert f"* {bundle.resolve().name}" in done.out


def test_the_bundle_that_ships_is_used_when_none_is_named(nwp: Nwp) -> None:
    if not default_bundle().is_dir():
        pytest.skip("no bundle ships with this checkout: models/chat is not there")

    found = nwp("suggest", "see you ", "--json").result()

    assert len(found["suggestions"]) == 3


@pytest.fixture
def other(bundle: Path, tmp_path: Path) -> Path:
    """A bundle of another language."""
    words = Vocabulary.from_lists(["guten", "morgen", "zusammen"], {})
    config = ModelConfig(FIRST_WORD + 3, embedding=1, hidden=1, projection=1)
    tensors = {name: np.zeros(shape, np.float32) for name, shape in config.shapes().items()}
    about = load_bundle(bundle).about
    save_bundle(Bundle(config, words, (0.2,) * 5, tensors, about), tmp_path / "other")
    return tmp_path / "other"


def test_two_languages(nwp: Nwp, bundle: Path, other: Path) -> None:
    both = ("--model", bundle, "--beside", other)

    german = nwp("suggest", "guten ", *both, "--json").result()
    english = nwp("suggest", "see you and ", *both, "--json").result()

    assert set(german) == {"context", "suggestions"}
    own, strange = (set(load_bundle(folder).vocabulary.words) for folder in (bundle, other))
    assert {row["word"].lower() for row in german["suggestions"]} <= strange
    assert {row["word"].lower() for row in english["suggestions"]} <= own


def test_two_languages_from_standard_input_and_at_the_prompt(bundle: Path, other: Path) -> None:
    both = ("--model", bundle, "--beside", other)

    lines = run("suggest", "--stdin", *both, stdin=b"guten mor\nsee y\nguten mor\n")
    first, between, again = [json.loads(line) for line in lines.out.splitlines()]
    assert first["suggestions"][0]["word"] == "morgen"
    assert between["suggestions"]
    assert again == first  # a line knows nothing of the one before

    done = run("prompt", "--plain", *both, stdin=b"guten mor\n1\n\n/model x\n/quit\n")
    assert (done.code, done.err) == (0, "")
    assert "[1] morgen" in done.out
    assert "sent; saved" in done.out
    assert "no bundle at x" in done.out


@pytest.mark.parametrize("command", [("suggest", "see"), ("prompt", "--plain"), ("serve",)])
def test_a_bundle_is_not_put_beside_itself_nor_beside_none(
    nwp: Nwp, bundle: Path, command: tuple[str, ...]
) -> None:
    done = nwp(*command, "--model", bundle, "--beside", bundle)
    assert done.code == 3
    assert "can't stand beside itself" in done.err
    assert "--beside" in done.err

    done = nwp(*command, "--model", bundle, "--beside", "nowhere")
    assert done.code == 3
    assert "no bundle at nowhere" in done.err


def test_a_slip_is_forgiven_unless_told_not_to(nwp: Nwp) -> None:
    found = nwp("suggest", "so hwllo", "--json").result()["suggestions"]
    assert found[0]["word"] == "hello"
    assert nwp("suggest", "so hwllo", "--exact", "--json").result()["suggestions"] == []
