"""What a person sees: screens after keys, and what comes late or goes wrong."""

from __future__ import annotations

import io
import itertools
import re
import threading
from pathlib import Path

import pytest
from prompt_toolkit.data_structures import Size
from prompt_toolkit.input import PipeInput
from prompting import (
    ALT_ENTER,
    ALT_RIGHT,
    BACKSPACE,
    CTRL_C,
    CTRL_D,
    CTRL_SPACE,
    CTRL_Z,
    ENTER,
    ESCAPE,
    LEFT,
    TAB,
    UP,
    Fake,
    Learner,
    make,
    play,
    screens,
)

from nwp.errors import BadBundle
from nwp.suggest.composing import Savings
from nwp.suggest.lookahead import Lookahead
from nwp.suggest.session import Models, Session, find_models
from nwp.suggest.suggester import Suggestion


def test_three_rows_that_stay_where_they_are(pipe: PipeInput) -> None:
    typed = ["h", "e", "lp", " ", "xyz", BACKSPACE, " see "]
    seen = screens(pipe, make(pipe), typed)
    assert [rows[0] for rows in seen] == [
        "› hello",
        "› hello",
        "› hello",
        "› help",
        "› help hello",
        "› help xyz",
        "› help xy",
        "› help xy see them again soon my friend",
    ]
    assert [rows[1].split() for rows in seen[:3]] == [
        ["1", "hello", "2", "help", "3", "how"],
        ["1", "hello", "2", "help", "3", "how"],
        ["1", "hello", "2", "help"],
    ]
    assert seen[5][1] == seen[6][1] == ""
    assert all(len(rows) == 3 for rows in seen)
    assert {rows[1].index("1 ") for rows in seen if rows[1]} == {2}
    assert {rows[1].index("2 ") for rows in seen if "2 " in rows[1]} == {26}
    assert all("Tab accept" in rows[2] and "/help" in rows[2] for rows in seen)


def test_a_row_of_text_that_is_full_does_not_push_the_others(pipe: PipeInput) -> None:
    seen = screens(pipe, make(pipe, size=(24, 40)), ["x" * 30 + " se", "e", " "])
    assert [len(rows) for rows in seen] == [3, 3, 3, 3]
    assert seen[-1][0] == "› " + "x" * 30 + " see t…"


def test_words_below_each_other_where_it_is_narrow(pipe: PipeInput) -> None:
    seen = screens(pipe, make(pipe, size=(16, 20)), ["he", "xx", "x" * 30])
    assert seen[1] == ["› hello", "  1 hello", "  2 help", "", "  /help    saved 0%"]
    assert [len(rows) for rows in seen] == [5, 5, 5, 6]


@pytest.mark.parametrize("text", ["你好你好你好你好 he", "👍🏽👩‍👩‍👧 é he"])
def test_wide_and_joined_characters(pipe: PipeInput, text: str) -> None:
    seen = screens(pipe, make(pipe, size=(16, 40)), [text])
    assert "1 hello" in seen[-1][-2]


def test_resizing_draws_anew(pipe: PipeInput) -> None:
    size = [24, 80]
    prompt = make(pipe)
    prompt.app.output.get_size = lambda: Size(*size)  # type: ignore[method-assign]

    def resize(number: int) -> None:
        size[1] = (80, 20, 50)[number % 3]
        assert prompt.app.loop
        prompt.app.loop.call_soon(prompt.app._on_resize)

    seen = screens(pipe, prompt, ["h", "e", "l"], resize)
    assert [len(rows) for rows in seen] == [3, 5, 3, 3]


def test_esc_hides_until_the_text_changes(pipe: PipeInput) -> None:
    seen = screens(pipe, make(pipe), ["he", ESCAPE, "l", ESCAPE, TAB, TAB])
    assert [rows[0] for rows in seen] == [
        "› hello",
        "› hello",
        "› he",
        "› hello",
        "› hel",
        "› hello",  # what is hidden is not accepted, but shown again
        "› hello hello",
    ]
    assert seen[2][1] == seen[4][1] == ""


def test_ctrl_space_goes_through_the_candidates(pipe: PipeInput) -> None:
    seen = screens(pipe, make(pipe), ["h", CTRL_SPACE, CTRL_SPACE, CTRL_SPACE, CTRL_SPACE, TAB])
    assert [rows[0] for rows in seen] == [
        *("› hello", "› hello", "› help", "› how", "› hello", "› help", "› help hello")
    ]
    assert len({rows[1] for rows in seen}) == 1


def test_ctrl_space_and_esc_are_keys_too(pipe: PipeInput) -> None:
    prompt = make(pipe)
    screens(pipe, prompt, ["h", CTRL_SPACE, TAB, ENTER])
    assert prompt.session.savings == Savings(len("help"), len("elp"), 2)


def test_the_middle_of_a_text_gets_no_suggestion(pipe: PipeInput) -> None:
    prompt = make(pipe)
    rows = screens(pipe, prompt, ["hel" + LEFT])[-1]
    assert (rows[0], rows[1]) == ("› hel", "")


def test_several_lines(pipe: PipeInput) -> None:
    seen = screens(pipe, make(pipe), ["one", ALT_ENTER, "see ", ALT_RIGHT])
    assert seen[-1][:2] == ["› one", "  see them again soon my friend"]
    assert seen[2][:2] == ["› one", "  hello"]


def test_a_long_text_leaves_the_rows_below_in_sight(pipe: PipeInput) -> None:
    seen = screens(pipe, make(pipe, size=(10, 40)), ["word " * 200 + "he"])
    assert len(seen[-1]) == 10
    assert seen[-1][-3].endswith(" hello")
    assert "1 hello" in seen[-1][-2]


def test_few_bytes_a_key(pipe: PipeInput) -> None:
    written = io.StringIO()
    sizes: list[int] = []
    prompt = make(pipe, written)

    def count(number: int) -> None:
        sizes.append(written.tell())

    screens(pipe, prompt, list("hello you hello you "), count)
    each = [after - before for before, after in itertools.pairwise(sizes)]
    assert max(each) < 300
    assert sum(each) / len(each) < 150


def test_a_paste_is_one_key(pipe: PipeInput) -> None:
    fake = Fake()
    text = "x" * 10_000
    messages, _ = play(pipe, f"\x1b[200~{text}\x1b[201~" + ENTER, suggester=fake)
    assert messages == [text]
    assert len(fake.asked) <= 4  # the empty text before and after, and this


def test_typed_at_once_is_asked_once(pipe: PipeInput) -> None:
    fake = Fake()
    play(pipe, "x" * 10_000 + ENTER, suggester=fake)
    assert len(fake.asked) < 100  # once a frame, and frames are drawn when there is time


class Slow(Fake):
    """Answers when it is let, as one that takes seconds would."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()

    def suggest(self, text: str, k: int = 3) -> list[Suggestion]:
        self.asked.append(text)
        assert self.gate.wait(60)
        return [Suggestion(f"after{len(text)}", 0.1)]


def test_typing_does_not_wait_for_a_slow_suggester(pipe: PipeInput) -> None:
    slow = Slow()
    prompt = make(pipe, suggester=slow, patience=0)
    seen: dict[str, str] = {}
    left = list("hello")

    def after_render(_: object) -> None:
        text = prompt.buffer.text
        if prompt.app.is_done:
            return
        if prompt.offer.text == text:
            seen["words"] = " ".join(prompt.offer.words)
            pipe.send_text(ENTER)
        elif text not in seen:
            seen[text] = " ".join(prompt.offer.words)
            if left:
                pipe.send_text(left.pop(0))
            else:
                slow.gate.set()

    prompt.app.after_render += after_render
    assert prompt.ask() == "hello"
    prompt.ahead.close()
    # Every letter was on the screen before anything was answered, and nothing older came through.
    assert seen == {
        "": "",
        "h": "",
        "he": "",
        "hel": "",
        "hell": "",
        "hello": "",
        "words": "after5",
    }
    assert slow.asked == ["", "hello"]


def test_keys_that_accept_wait_for_a_slow_suggester_no_longer_than_told(pipe: PipeInput) -> None:
    slow = Slow()
    prompt = make(pipe, suggester=slow, patience=0)
    pipe.send_text("he" + TAB + "\x1b1" + ALT_RIGHT + "y" + ENTER)
    assert prompt.ask() == "hey"
    slow.gate.set()
    prompt.ahead.close()


def test_a_suggester_that_fails_does_not_take_the_message_with_it(pipe: PipeInput) -> None:
    class Broken(Fake):
        def suggest(self, text: str, k: int = 3) -> list[Suggestion]:
            if "x" in text:
                raise KeyError("no such word")
            return super().suggest(text, k)

    seen = screens(pipe, make(pipe, suggester=Broken()), ["x", "yz", CTRL_C + "he"])
    assert "no suggestions: KeyError" in seen[1][2]
    assert seen[2][:2] == ["› xyz", ""]
    assert "no suggestions" not in seen[3][2]


def test_learning_makes_the_same_text_be_asked_again() -> None:
    known = ["before"]
    ahead = Lookahead(lambda text: known[-1])
    try:
        assert ahead.wait("a", 30) == "before"
        ahead.then(lambda: known.append("after"))
        assert ahead.wait("a", 30) == "after"
    finally:
        ahead.close()


def test_closing_finishes_what_is_to_be_learnt_and_leaves_the_rest() -> None:
    gate, asked, done = threading.Event(), list[str](), list[str]()

    def suggest(text: str) -> str:
        asked.append(text)
        return text

    ahead = Lookahead(suggest)
    ahead.then(lambda: gate.wait(60) and done.append("learnt"))  # type: ignore[arg-type]
    assert ahead.get("a", lambda: None) is None
    threading.Timer(0.01, gate.set).start()
    ahead.close()
    assert (done, asked) == (["learnt"], [])


# Learning, and commands.


def test_messages_are_learnt_but_no_commands_and_nothing_off_the_record(pipe: PipeInput) -> None:
    learner = Learner()
    lines = ["one", "/off", "two", "/on", "/stats", "three", "/helpme", " /off"]
    messages, _ = play(pipe, "".join(line + ENTER for line in lines), suggester=learner)
    assert messages == ["one", "two", "three", "/helpme", " /off"]
    assert learner.learnt == ["one", "three", "/helpme", " /off"]


def test_a_suggester_that_is_off_the_record_stays_so(pipe: PipeInput) -> None:
    learner = Learner()
    learner.off_the_record = True
    play(pipe, "one" + ENTER + "/on" + ENTER + "two" + ENTER, suggester=learner)
    assert learner.learnt == ["two"]


def test_off_the_record_holds_for_a_suggester_that_does_not_listen(pipe: PipeInput) -> None:
    class Deaf(Learner):
        def __setattr__(self, name: str, value: object) -> None:
            super().__setattr__(name, False if name == "off_the_record" else value)

    learner = Deaf()
    play(pipe, "/off" + ENTER + "one" + ENTER, suggester=learner)
    assert learner.learnt == []


def test_a_fault_of_learning_is_told_and_the_message_sent(pipe: PipeInput) -> None:
    class Full(Learner):
        def learn(self, message: str) -> None:
            raise OSError("the disk is full")

    prompt = make(pipe, suggester=Full())
    pipe.send_text("one" + ENTER)
    assert prompt.ask() == "one"
    prompt.ahead.close()
    assert "not learnt: OSError: the disk is full" in prompt.session.trouble


def test_off_the_record_nothing_is_kept_for_up(pipe: PipeInput, tmp_path: Path) -> None:
    seen = screens(pipe, make(pipe), ["one" + ENTER, "/off" + ENTER + "secret" + ENTER, UP])
    assert seen[-1][0].startswith("› one")
    path = tmp_path / "history"
    lines = ["one", "/off", "secret", "/on", "two"]
    play(pipe, "".join(line + ENTER for line in lines), history=path)
    kept = [row for row in path.read_text(encoding="utf-8").splitlines() if row.startswith("+")]
    assert kept == ["+one", "+two"]


def test_off_the_record_is_in_sight(pipe: PipeInput) -> None:
    seen = screens(pipe, make(pipe, suggester=Learner()), ["/off" + ENTER + "x"])
    assert "off the record" in seen[-1][2]


def test_changing_the_model(pipe: PipeInput, tmp_path: Path) -> None:
    opened: list[Path] = []
    learner = Learner()

    def open_model(folder: Path) -> Fake:
        if folder.name == "broken":
            raise BadBundle("no bundle at broken", "Train one.")
        opened.append(folder)
        return learner

    folders = {"fake": tmp_path / "fake", "other": tmp_path / "other"}
    models = Models(folders, open_model)
    keys = ["/model broken", "one", "/off", "/model other", "two", "/on", "/model x/y", "three"]
    play(pipe, "".join(key + ENTER for key in keys), models=models)
    assert opened == [tmp_path / "other", Path("x/y")]
    assert learner.learnt == ["three"]


def test_answers_of_commands() -> None:
    session = Session(Fake(), Models({"a": Path("A"), "b": Path("B")}, lambda path: Fake()), "a")
    assert session.command("hello") is None
    assert session.command("/stats now") is None
    assert session.command("/models") == f"* {'a':<20} A\n  {'b':<20} B"
    assert session.command("/model b") == "suggestions are from b now"
    assert "* b" in str(session.command("/model"))
    session.savings, session.messages = Savings(1000, 300, 100), 7
    assert "7 messages of 1,000 characters, 300 of them from suggestions by 100 keys" in str(
        session.command("/stats")
    )
    assert "saved 200 of 1,000 keys (20%)" in str(session.command("/stats"))
    session.command("/clear")
    assert (session.messages, session.savings) == (0, Savings())
    assert "can't" in str(Session(Fake()).command("/model b"))
    assert "no other" in str(Session(Fake()).command("/models"))


def test_commands_and_models_are_completed() -> None:
    models = Models({"my-model": Path("A"), "small": Path("B")}, lambda path: Fake())
    session = Session(Fake(), models, "small")
    assert session.offer("/st").words == ("stats",)
    assert session.offer("/mo").words == ("models", "model")
    assert session.offer("/model ").words == ("my-model", "small")
    assert session.offer("/model sm").words == ("small",)
    assert session.offer("/model my-m").words == ("model",)  # goes on behind "my-"
    assert session.offer("/xyz he").words == ("hello", "help")


def test_clear_forgets_what_up_would_bring(pipe: PipeInput) -> None:
    messages, savings = play(pipe, "one" + ENTER + "/clear" + ENTER + UP + "two" + ENTER)
    assert messages == ["one", "two"]
    assert savings == Savings(characters=3)


def test_bundles_are_found_among_folders_and_in_them(tmp_path: Path) -> None:
    for name in ("here/a", "here/b", "there/a"):
        (tmp_path / name).mkdir(parents=True)
        for file in ("settings.json", "vocabulary.json"):
            (tmp_path / name / file).touch()
    (tmp_path / "here" / "no bundle").mkdir()
    found = find_models(tmp_path / "there" / "a", tmp_path / "here", tmp_path / "missing")
    assert found == {"a": tmp_path / "there" / "a", "b": tmp_path / "here" / "b"}


def test_the_mouse_is_left_to_the_terminal_and_no_colour_is_set(pipe: PipeInput) -> None:
    written = io.StringIO()
    prompt = make(pipe, written)
    screens(pipe, prompt, ["h", CTRL_SPACE, TAB, CTRL_Z + CTRL_C + "/help" + ENTER + "x"])
    text = written.getvalue()
    assert not re.search(r"\x1b\[\?100\dh", text)
    attributes = set(";".join(re.findall(r"\x1b\[([\d;]*)m", text)).split(";"))
    assert attributes - {""} <= {"0", "1", "2", "3", "39", "49"}
    assert CTRL_D not in text


class Forgiving(Fake):
    """Has a word that takes a slip before and between those that go on with what is typed."""

    def suggest(self, text: str, k: int = 3) -> list[Suggestion]:
        words = {"hwl": ["hello", "hwlx", "help"], "dont": ["don't"]}.get(text, ["you"])
        return [Suggestion(word, 0.2) for word in words][:k]


def test_only_what_goes_on_with_the_text_is_grey(pipe: PipeInput) -> None:
    seen = screens(pipe, make(pipe, suggester=Forgiving()), ["hwl", CTRL_SPACE, TAB])
    assert [rows[0] for rows in seen[1:]] == ["› hwl", "› hwlx", "› hwlx you"]
    assert seen[1][1].split() == ["1", "hello", "2", "hwlx", "3", "help"]


def test_a_word_that_takes_a_slip_is_picked_in_place_of_what_is_typed(pipe: PipeInput) -> None:
    prompt = make(pipe, suggester=Forgiving())
    seen = screens(pipe, prompt, ["dont", "\x1b1", CTRL_Z, "\x1b1", ENTER])
    assert [rows[0] for rows in seen[1:5]] == ["› dont", "› don't you", "› dont", "› don't you"]
    assert prompt.session.savings.keys == 3
    assert prompt.session.savings.inserted == len("don't") - len("dont")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("dont" + TAB, "dont"),
        ("dont" + CTRL_SPACE + TAB, "dont"),
        ("hwl" + TAB, "hwl"),
        ("hwl\x1b1", "hello"),
        ("hwl\x1b3", "help"),
    ],
)
def test_keys_where_a_finger_slipped(pipe: PipeInput, keys: str, message: str) -> None:
    messages, _ = play(pipe, keys + ENTER, suggester=Forgiving())
    assert messages == [message]
