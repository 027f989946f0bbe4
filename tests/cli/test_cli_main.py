from __future__ import annotations

import errno
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import EXIT_CODES, Nwp, command, run
from typer.main import get_command

from nwp import __version__
from nwp.cli.commands import PLACES
from nwp.cli.main import app
from nwp.errors import BadMessage, NwpError

HEAVY = ("torch", "syft", "torchtext", "numpy", "prompt_toolkit", "nltk", "safetensors")


def _commands(group: Any, *names: str) -> Iterator[tuple[tuple[str, ...], bool]]:
    """Every command's words, and whether it is a group."""
    yield names, True
    for name, found in group.commands.items():
        if hasattr(found, "commands"):
            yield from _commands(found, *names, name)
        else:
            yield (*names, name), False


COMMANDS = list(_commands(get_command(app)))


@pytest.mark.parametrize(
    ("words", "group"), COMMANDS, ids=lambda v: " ".join(v) if isinstance(v, tuple) else ""
)
def test_help_of_every_command_tells_what_it_does_with_an_example(
    nwp: Nwp, words: tuple[str, ...], group: bool
) -> None:
    for flag in ("--help", "-h"):
        done = nwp(*words, flag)

        assert (done.code, done.err) == (0, "")
        assert f"Usage: {' '.join(('nwp', *words))}" in done.out
        if group:
            assert "Commands" in done.out
        else:
            setting = "NWP_TRAIN_ROUNDS=40 " * (words == ("config", "show"))
            assert f"Example:  {setting}nwp {words[0]}" in done.out.replace("Examples:", "Example:")
        if not words:
            assert "nwp demo" in done.out


def test_every_command_is_there() -> None:
    names = {" ".join(words) for words, group in COMMANDS if not group}

    assert names == {
        *("demo", "train", "evaluate", "compare", "suggest", "prompt", "serve", "bench"),
        *("personalize", "query"),
        *("model export", "model ngrams", "model average"),
        *("runs list", "runs show", "runs compare", "runs plot", "runs forget"),
        *("personal on", "personal off", "personal status", "personal list", "personal forget"),
        *("personal export", "personal import", "personal block", "personal unblock"),
        *("corpus list", "corpus get", "corpus formats", "corpus show", "corpus sample"),
        *("corpus split", "corpus verify", "corpus import", "corpus remove", "config show"),
        *("worker init", "worker add", "worker run", "worker requests", "worker approve"),
        *("worker deny", "worker revoke", "worker log", "worker show-sent", "worker drive-token"),
        *("server init", "server invite", "server members", "server train", "server status"),
        *("server stop", "server forget", "server rehearse", "server query"),
    }


def test_every_command_that_reports_takes_json(nwp: Nwp) -> None:
    without = {
        " ".join(words)
        for words, group in COMMANDS
        if not group and "--json" not in nwp(*words, "--help").out
    }

    assert without == {"demo", "prompt", "worker run"}


@pytest.mark.parametrize("words", [("--help",), ("train", "--help"), ("corpus", "list")])
def test_help_and_short_answers_import_nothing_heavy(words: tuple[str, ...]) -> None:
    packages = {name.split(".")[0] for name in _imported(*words)}

    assert "nwp" in packages
    assert packages.isdisjoint(HEAVY)


def test_a_suggestion_waits_for_no_other_command_and_no_library_that_it_does_not_need(
    bundle: Path,
) -> None:
    imported = _imported("suggest", "see ", "--model", str(bundle))

    assert "nwp.cli.suggest" in imported
    others = {place.split(":")[0] for place in PLACES.values()} - {"suggest"}
    assert imported.isdisjoint(f"nwp.cli.{other}" for other in others)
    assert {name.split(".")[0] for name in imported}.isdisjoint({"rich", "torch", "nltk", "syft"})


def _imported(*words: str) -> set[str]:
    """The modules that are there after a command in a process of its own."""
    code = (
        "import sys; from nwp.cli.main import execute; code = execute(sys.argv[1:]); "
        "print(*sys.modules, file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=True
    )
    return set(done.stderr.split())


@pytest.mark.parametrize("words", [(), ("corpus",), ("config",)])
def test_without_a_command_the_help_is_shown(nwp: Nwp, words: tuple[str, ...]) -> None:
    done = nwp(*words)

    assert (done.code, done.err) == (2, "")
    assert "Commands" in done.out


def test_the_version_is_told(nwp: Nwp) -> None:
    done = nwp("--version")

    assert (done.code, done.out) == (0, f"nwp {__version__}\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("suggest", "--nothing"), "--nothing"),
        (("sugest", "see"), "sugest"),
        (("train", "--out", "m"), "corpus"),
        (("corpus", "split", "sample"), "--name"),
        (("suggest", "-k", "three", "see"), "-k"),
        (("suggest", "see", "you"), "you"),
        (("--nothing", "suggest", "see"), "--nothing"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_usage_error_is_told_with_exit_code_2(
    nwp: Nwp, words: tuple[str, ...], message: str
) -> None:
    done = nwp(*words)

    assert (done.code, done.out) == (2, "")
    assert message.lower() in done.err.lower()
    assert "--help" in done.err
    assert message.lower() in nwp(*words, "--json").error("usage").lower()


def test_kinds_of_errors_have_the_exit_codes_that_are_documented() -> None:
    def tree(error: type[NwpError]) -> Iterator[type[NwpError]]:
        yield error
        for below in error.__subclasses__():
            yield from tree(below)

    found = {error.kind: error.exit_code for error in tree(NwpError)}

    documented = {"bad-message": 1, "transport": 1, **EXIT_CODES}
    assert found == {kind: documented[kind] for kind in found}
    assert len(found) == 10


def _raise(error: BaseException) -> Any:
    def known_corpora() -> None:
        raise error

    return known_corpora


def test_an_error_is_told_in_words_and_in_json(nwp: Nwp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nwp.corpus.known.known_corpora", _raise(BadMessage("what", "do this")))

    words = nwp("corpus", "list")
    found = nwp("corpus", "list", "--json")

    assert (words.code, words.out, words.err) == (1, "", "nwp: what\n     do this\n")
    assert (found.code, found.err) == (1, "")
    assert found.json() == {"error": {"kind": "bad-message", "message": "what", "hint": "do this"}}


def test_an_error_of_the_system_is_told_with_its_file(
    nwp: Nwp, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = OSError(errno.ENOSPC, "No space left on device", "some/file")
    monkeypatch.setattr("nwp.corpus.known.known_corpora", _raise(full))

    done = nwp("corpus", "list")

    hint = "     Free some space there, then try again.\n"
    assert (done.code, done.err) == (1, f"nwp: some/file: No space left on device\n{hint}")
    assert "some/file" in nwp("corpus", "list", "--json").error("failed")


def test_a_defect_is_json_too_with_its_trace_on_standard_error(
    nwp: Nwp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nwp.corpus.known.known_corpora", _raise(ZeroDivisionError("oh")))

    done = nwp("corpus", "list", "--json")

    assert "ZeroDivisionError('oh')" in done.error("internal")
    assert "Traceback" in done.err
    with pytest.raises(ZeroDivisionError):
        nwp("corpus", "list")


def test_ctrl_c_gives_130(nwp: Nwp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nwp.corpus.known.known_corpora", _raise(KeyboardInterrupt()))

    done = nwp("corpus", "list")

    assert (done.code, done.out, done.err) == (130, "", "nwp: stopped\n")
    nwp("corpus", "list", "--json").error("interrupted")


@pytest.mark.parametrize(
    "words", [("corpus", "list", "--json"), ("nothing", "--json"), ("train", "--help")]
)
def test_a_reader_that_has_gone_is_no_crash(words: tuple[str, ...]) -> None:
    with subprocess.Popen(command(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout
        assert child.stderr
        child.stdout.close()
        told = child.stderr.read()

    assert (child.returncode, told) == (1, b"")


def test_the_module_runs_as_the_command() -> None:
    done = run("corpus", "list", "--json")

    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out)["corpora"]
    failed = run("corpus", "import", "nowhere", "--out", "x.jsonl", "--json")
    assert "nowhere" in failed.error("bad-corpus")
