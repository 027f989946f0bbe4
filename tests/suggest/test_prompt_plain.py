from __future__ import annotations

import io

import pytest
from prompting import Fake, Learner

from nwp.suggest.composing import Savings
from nwp.suggest.prompt import run_prompt
from nwp.suggest.session import Suggests
from nwp.suggest.suggester import Suggestion


def lines(
    monkeypatch: pytest.MonkeyPatch, text: str, suggester: Suggests | None = None
) -> tuple[list[str], Savings]:
    messages: list[str] = []
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    savings = run_prompt(suggester or Fake(), plain=True, sent=messages.append)
    return messages, savings


@pytest.mark.parametrize(
    ("typed", "messages"),
    [
        ("hel\n1\n\n", ["hello"]),
        ("hel\n2\n1\nbye\n\n", ["help hello bye"]),
        ("one\ntwo\n\nthree\n\n", ["one two", "three"]),
        ("hel\n3\n\n", ["hel 3"]),
        ("one\n/quit\n", []),
        ("\n\nunfinished\n", []),
        ("one\n/stats\n\n", ["one"]),
    ],
)
def test_messages(monkeypatch: pytest.MonkeyPatch, typed: str, messages: list[str]) -> None:
    assert lines(monkeypatch, typed)[0] == messages


def test_candidates_and_answers_are_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines(monkeypatch, "hel\n1\n\n/help\n/off\n")
    said = capsys.readouterr().out
    assert "hel  [1] hello  [2] help\n" in said
    assert "sent; saved 1 of 5 keys" in said
    assert "/quit" in said
    assert "off the record" in said
    assert "\x1b" not in said


def test_what_is_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    assert lines(monkeypatch, "hel\n1\n\n")[1] == Savings(5, 2, 1)


def test_learning(monkeypatch: pytest.MonkeyPatch) -> None:
    learner = Learner()
    lines(monkeypatch, "one\n\n/off\ntwo\n\n", learner)
    assert learner.learnt == ["one"]


def test_trouble_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Broken(Fake):
        def suggest(self, text: str, k: int = 3) -> list[Suggestion]:
            raise KeyError(text)

    assert lines(monkeypatch, "one\n\n", Broken())[0] == ["one"]
    assert "no suggestions: KeyError: 'one'" in capsys.readouterr().out


def test_a_dumb_terminal_gets_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("hel\n1\n\n"))
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("TERM", "dumb")
    assert run_prompt(Fake()) == Savings(5, 2, 1)
    assert "[1] hello" in capsys.readouterr().out
