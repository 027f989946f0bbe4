"""`nwp serve` as a process, over real sockets."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from chromium import CHROMIUM, Page, browser

from nwp.errors import BadInput, BadSettings
from nwp.files import shipped
from nwp.serve.server import serve
from nwp.suggest.composing import Draft, accept, ghost, split_typed


@contextmanager
def serving(*options: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A server on a free port, and what it printed; it is killed if it is still there."""
    command = [sys.executable, "-m", "nwp", "serve", "--port", "0", "--json", *options]
    command += ["--model", str(shipped("models") / "sample")]
    environment = {name: v for name, v in os.environ.items() if not name.startswith("NWP_")}
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        # As from a terminal; a parent in the background would have the signal ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    ) as child:
        try:
            assert child.stdout
            yield child, json.loads(child.stdout.readline())
        finally:
            child.kill()


def post(url: str, content: dict[str, Any], **headers: str) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{url}v1/suggest",
        json.dumps(content).encode(),
        {"Content-Type": "application/json", **headers},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return dict(json.load(answer))


def test_it_answers_until_ctrl_c_and_tells_nothing_of_what_was_typed() -> None:
    with serving() as (child, told):
        assert set(told) == {"url", "token"}
        assert told["token"] is None
        assert told["url"].startswith("http://127.0.0.1:")
        found = post(told["url"], {"text": "my secret tom"})
        assert found["suggestions"][0]["word"] == "tomorrow"

        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=60)

    assert child.returncode == 0
    assert (out, err) == ("", "Stopped.\n")


def test_it_forgives_no_slip_when_told() -> None:
    with serving("--exact") as (_, told):
        assert post(told["url"], {"text": "see hwllo"})["suggestions"] == []


def test_a_connection_that_idles_does_not_keep_it_from_stopping() -> None:
    with serving() as (child, told):
        port = int(told["url"].rpartition(":")[2].strip("/"))
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.request("GET", "/healthz")
        assert connection.getresponse().read() == b'{"status":"ok"}'

        child.send_signal(signal.SIGINT)

        assert child.wait(timeout=60) == 0
        connection.close()


def test_beyond_this_machine_a_token_is_made_and_asked_for() -> None:
    with serving("--host", "0.0.0.0") as (_, told):
        assert len(told["token"]) >= 32
        assert "0.0.0.0" not in told["url"]
        port = told["url"].rpartition(":")[2]
        url = f"http://127.0.0.1:{port}"
        with pytest.raises(urllib.error.HTTPError) as refused:
            post(url, {"text": ""})
        assert refused.value.code == 401
        refused.value.close()
        assert post(url, {"text": ""}, Authorization=f"Bearer {told['token']}")["suggestions"]


def _unused(*_: object) -> None:
    raise AssertionError("it listens")


def test_a_port_in_use_is_named_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BadInput, match=f"port {port} of 127.0.0.1 can't be had") as error:
            serve({}, "127.0.0.1", port, None, _unused)
    assert "--port 0" in error.value.hint


@pytest.mark.parametrize("host", ["", "no.such.host.invalid", "a" * 70 + ".example"])
def test_a_host_that_is_none_is_named(host: str) -> None:
    with pytest.raises(BadInput, match="host"):
        serve({}, host, 0, None, _unused)


@pytest.mark.parametrize("token", ["", "short", "with space in it all", "ümlaute-überall-hier"])
def test_a_token_that_can_be_guessed_or_not_be_sent_is_refused(token: str) -> None:
    with pytest.raises(BadSettings, match="token"):
        serve({}, "127.0.0.1", 0, token, _unused)


TEXTS = [
    *(
        "",
        "e.g",
        "Well,so",
        "see you tom",
        "see you ",
        "Well,",
        "(",
        "don'",
        "don’t",
        "I'm’",
        "see_you",
        "x_",
        "7am",
    ),
    *(
        "😀",
        "so 😀",
        "a\n",
        "naïve",
        "Ünd",
        "…",
        "well-",
        "a''b",
        "'tis",
        "”",
        "日本",
        "é",
        "½",
        "!",
    ),
]


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
def test_a_person_types_and_accepts_in_a_browser(tmp_path: Path) -> None:
    with serving() as (child, told), browser(tmp_path / "profile") as new:
        page = new()
        page.open(told["url"])
        _types(page)
        _agrees_with_composing(page)
        _newest_wins(page)

        assert page.problems == []
        assert all(url.startswith(told["url"]) for url in page.requests), page.requests
        child.send_signal(signal.SIGINT)
        child.wait(timeout=60)
        page.press("x")
        page.until("!document.getElementById('notice').hidden")
        assert "still running" in page.value("document.getElementById('notice').textContent")


def _types(page: Page) -> None:
    text = "document.getElementById('text').value"
    grey = "document.getElementById('ghost').textContent"

    page.type("See you tom")
    page.until(f"{grey} === 'orrow'")
    page.press("Tab")
    assert page.value(text) == "See you tomorrow "
    assert page.value("document.getElementById('saved').textContent") == "5"
    page.press("!")  # in place of the space
    assert page.value(text) == "See you tomorrow!"
    assert page.value("document.activeElement.id") == "text"

    page.press(" ")
    page.until("document.querySelectorAll('.slot:enabled').length === 3")
    second = page.value("document.querySelectorAll('.slot .word')[1].textContent")
    page.press("2", alt=True)
    assert page.value(text) == f"See you tomorrow! {second} "
    page.press(" ")  # from habit: the space is there
    assert page.value(text) == f"See you tomorrow! {second} "

    page.until(f"{grey} !== ''")
    page.press("Escape")
    assert page.value(grey) == ""
    page.type("y")
    page.until(f"{grey} !== ''")
    page.press("ArrowRight")
    assert page.value(text).startswith(f"See you tomorrow! {second} y")
    page.until("document.querySelectorAll('.slot:enabled').length === 3")
    page.value("document.querySelectorAll('.slot')[2].click()")
    assert page.value(text).endswith(" ")
    page.until("document.getElementById('spoken').textContent.startsWith('Suggestions: ')")

    page.type("hwll")
    page.until("document.querySelectorAll('.slot .word')[0].textContent === 'hello'")
    assert page.value(grey) == ""  # it takes the place of what is typed
    page.press("1", alt=True)
    assert page.value(text).endswith(" hello ")

    before = page.value("document.querySelectorAll('.slot .word')[0].textContent")
    page.value("document.querySelector('#models input[value=unigram]').click()")
    page.until(f"document.querySelectorAll('.slot .word')[0].textContent !== {json.dumps(before)}")
    page.value("document.getElementById('clear').click()")
    assert page.value(text) == ""
    assert page.value("document.getElementById('saved').textContent") == "0"


def _agrees_with_composing(page: Page) -> None:
    """The page's rules of accepting are those of the prompt."""
    found = page.value(
        "import('/composing.js').then(c => "
        f"{json.dumps(TEXTS)}.map(t => [c.splitTyped(t), c.accept(t, 'word'), c.ghost(t, ['word']),"
        "c.ghost(t, [c.splitTyped(t)[1].toUpperCase() + 'word'])]))"
    )
    wanted = [
        [
            list(split_typed(t)),
            accept(t, "word"),
            ghost(t, ["word"]),
            ghost(t, [split_typed(t)[1].upper() + "word"]),
        ]
        for t in TEXTS
    ]
    assert found == wanted

    edits = ["See tomorrow ", "See tomorrow x", "See tomorro", "Se"]
    found = page.value(
        "import('/composing.js').then(c => { const d = new c.Draft();"
        "d.accepted('S', 'See '); d.accepted('See to', 'See tomorrow '); d.spent();"
        f"return {json.dumps(edits)}.map(t => (d.edited(t), d.saved)); }})"
    )
    draft = Draft().accepted("S", "See ").accepted("See to", "See tomorrow ").spent()
    saved = []
    for edit in edits:
        draft = draft.edited(edit)
        saved.append(draft.inserted - draft.keys)
    assert found == saved


def _newest_wins(page: Page) -> None:
    """With answers held back and let go oldest last, only the newest text's is shown."""
    page.value(
        "window.kept = []; window.most = 0; window.open_ = 0; const real = window.fetch;"
        "window.fetch = (url, o) => { open_ += 1; most = Math.max(most, open_);"
        "  o.signal.addEventListener('abort', () => { open_ -= 1; });"
        "  const text = JSON.parse(o.body).text;"
        "  return new Promise(go => kept.push({text, go: () => go({ok: true, json: async () => "
        "    ({suggestions: [{word: 'for' + text, probability: 1}], milliseconds: 1})})})); };"
        "window.restore = () => { window.fetch = real; }; null"
    )
    page.type("ab")
    page.until("kept.length === 2")
    page.value("kept[1].go(); kept[0].go(); new Promise(go => setTimeout(go))")
    page.until("document.querySelectorAll('.slot .word')[0].textContent === 'forab'")
    assert page.value("most") == 1
    page.value("restore()")
