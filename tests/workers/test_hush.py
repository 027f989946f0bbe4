"""One thread is silent, others are not."""

from __future__ import annotations

import sys
import threading

import pytest

from nwp.workers.hush import hushed


def test_others_print_while_one_thread_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    before, silent, told = sys.stdout, threading.Event(), threading.Event()

    def other() -> None:
        silent.wait(10)
        print("round 1")
        told.set()

    thread = threading.Thread(target=other)
    thread.start()
    with hushed():
        silent.set()
        print("syncing")
        assert told.wait(10)
    thread.join()
    print("done")
    assert sys.stdout is before
    assert capsys.readouterr().out == "round 1\ndone\n"


def test_it_ends_with_an_error() -> None:
    before = sys.stdout
    with pytest.raises(ValueError, match="x"), hushed():
        raise ValueError("x")
    assert sys.stdout is before


def test_it_is_the_stream_behind_it_for_all_else(capsys: pytest.CaptureFixture[str]) -> None:
    with hushed():
        assert sys.stdout.isatty() is False
        sys.stdout.flush()
        assert sys.stdout.write("three") == 5
    assert capsys.readouterr().out == ""
