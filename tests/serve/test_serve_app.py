from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from asking import HERE, ask, asking, suggest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import ASGIApp

from nwp.cli.main import execute
from nwp.files import shipped as shipped_folder
from nwp.model.bundle import Bundle, load_bundle
from nwp.model.expert import SHIFT, Expert, Order, usual_weights
from nwp.personal.store import Personal
from nwp.personal.suggesting import PersonalSuggester
from nwp.report.colors import DARK, LIGHT
from nwp.serve import app as app_module
from nwp.serve.answers import MAX_BODY, MAX_TEXT
from nwp.serve.app import MAX_WAITING, make_app
from nwp.serve.models import Served, Sessions, models_of
from nwp.suggest.blocking import Blocking, default_words
from nwp.suggest.suggester import Suggester, Suggestion
from nwp.text.vocabulary import FIRST_OUTPUT, FIRST_WORD

SAMPLE = shipped_folder("models") / "sample"
TOKEN = "correct-horse-battery"


@pytest.fixture(scope="session")
def shipped() -> Bundle:
    return load_bundle(SAMPLE)


@pytest.fixture(scope="session")
def app(shipped: Bundle) -> ASGIApp:
    return make_app(models_of(shipped))


@pytest.fixture(scope="session")
def locked(shipped: Bundle) -> ASGIApp:
    return make_app(models_of(shipped), TOKEN, {"localhost", "My-Desk"})


@pytest.mark.parametrize("text", ["", "see you tom", "How are ", "“", "room 7", "I DON'", "né"])
def test_the_answer_is_that_of_nwp_suggest(
    app: ASGIApp, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert execute(["suggest", text, "-k", "5", "--model", str(SAMPLE), "--json"]) == 0
    wanted = json.loads(capsys.readouterr().out)

    found = suggest(app, {"text": text, "k": 5}).json()

    assert found.pop("milliseconds") > 0
    assert found == wanted


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60), st.integers(1, 100))
def test_a_suggestion_is_a_word_never_a_mark(app: ASGIApp, text: str, k: int) -> None:
    answer = suggest(app, {"text": text, "k": k})

    assert answer.status == 200
    rows = answer.json()["suggestions"]
    assert len(rows) <= k
    for row in rows:
        assert row["word"].replace("'", "").isalnum(), row
        assert not any(unicodedata.category(c)[0] in "SZC" for c in row["word"])
        assert 0 <= row["probability"] <= 1


def test_the_unigram_gives_words_by_their_frequency_whatever_came_before(
    app: ASGIApp, shipped: Bundle
) -> None:
    frequencies = np.array(shipped.frequencies[FIRST_WORD - FIRST_OUTPUT :])
    blocked = Blocking(default_words()).ids(shipped.vocabulary)
    frequencies[blocked - FIRST_WORD] = 0
    order = np.argsort(-frequencies, kind="stable")[:20]

    answers = [
        suggest(app, {"text": text, "k": 20, "model": "unigram"}).json()["suggestions"]
        for text in ("and now for ", "see you ")
    ]

    for rows in answers:
        words = [row["word"].lower() for row in rows]
        assert words == [shipped.vocabulary.words[i] for i in order]
        shares = [row["probability"] for row in rows]
        assert shares == pytest.approx(list(frequencies[order] / frequencies.sum()), rel=1e-4)


def test_models_are_listed_and_the_first_answers_when_none_is_named(app: ASGIApp) -> None:
    rows = ask(app, "/v1/models").json()["models"]

    assert [row["name"] for row in rows] == ["shared", "unigram"]
    assert all(row["about"] for row in rows)
    texts = [
        suggest(app, {"text": "see you ", **named}).json()["suggestions"]
        for named in ({}, {"model": "shared"}, {"model": "unigram"})
    ]
    assert texts[0] == texts[1] != texts[2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "no JSON object"),
        ({}, '"text" is missing'),
        ({"text": 3}, '"text" is missing, or no string'),
        ({"text": None}, "no string"),
        ({"text": "\ud800"}, "lone surrogate"),
        ({"text": "x" * (MAX_TEXT + 1)}, "more than 10,000 characters"),
        ({"text": "", "k": 0}, '"k" is no whole number from 1 to 100'),
        ({"text": "", "k": 101}, '"k" is no'),
        ({"text": "", "k": True}, '"k" is no'),
        ({"text": "", "k": 3.0}, '"k" is no'),
        ({"text": "", "model": "other"}, "There are shared, unigram."),
        ({"text": "", "model": ["shared"]}, "There are shared, unigram."),
        ({"text": "", "session": "x" * 65}, '"session" is no string of at most 64'),
        ({"text": "", "n": 3}, "'n' is no key"),
    ],
)
def test_what_is_out_of_limits_is_refused_with_words(
    app: ASGIApp, content: Any, message: str
) -> None:
    assert message in suggest(app, content).error(422, "bad-input")


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b"see you"])
def test_what_is_no_json_is_refused(app: ASGIApp, body: bytes) -> None:
    answer = ask(app, "/v1/suggest", body, content_type="application/json")

    assert "no JSON" in answer.error(400, "bad-input")


def test_the_longest_text_is_answered_however_it_is_escaped(app: ASGIApp) -> None:
    text = "😀" * MAX_TEXT

    assert len(json.dumps({"text": text})) <= MAX_BODY
    assert suggest(app, {"text": text}).status == 200


def test_a_body_that_is_too_large_is_refused_before_all_of_it_is_there(app: ASGIApp) -> None:
    def parts() -> list[bytes]:
        return [b" " * (MAX_BODY // 2)] * 3 + [b"never read"] * 1000

    answer = ask(app, "/v1/suggest", parts(), content_type="application/json")

    assert "bytes" in answer.error(413, "bad-input")


def test_a_body_that_does_not_come_is_given_up(
    app: ASGIApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app_module, "BODY_SECONDS", 0.01)

    async def stuck() -> Any:
        sent: list[Any] = []

        async def receive() -> Any:
            await asyncio.Event().wait()

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": "/v1/suggest", "query_string": b""}
        heads = [(b"host", HERE.encode()), (b"content-type", b"application/json")]
        await app({**scope, "headers": heads, "root_path": ""}, receive, send)
        return sent[0]["status"]

    assert asyncio.run(stuck()) == 408


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded"])
def test_a_body_must_be_said_to_be_json(app: ASGIApp, kind: str) -> None:
    answer = ask(app, "/v1/suggest", b'{"text": ""}', content_type=kind)

    assert "Content-Type" in answer.error(415, "bad-input")


@pytest.mark.parametrize(("path", "status"), [("/nothing", 404), ("/v1/suggest", 405)])
def test_other_addresses_and_methods_are_refused(app: ASGIApp, path: str, status: int) -> None:
    assert "openapi" in ask(app, path).error(status, "not-found")


@pytest.mark.parametrize("given", ["", f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN, "Bearer é"])
@pytest.mark.parametrize("path", ["/v1/models", "/v1/suggest"])
def test_without_the_token_nothing_is_suggested(locked: ASGIApp, given: str, path: str) -> None:
    answer = ask(locked, path, b'{"text": ""}', authorization=given)

    assert "Authorization: Bearer" in answer.error(401, "unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_with_the_token_there_are_answers_and_the_page_needs_none(locked: ASGIApp) -> None:
    assert suggest(locked, {"text": ""}, authorization=f"Bearer {TOKEN}").status == 200
    assert ask(locked, "/v1/models", authorization=f"bearer {TOKEN}").status == 200
    for path in ("/", "/page.js", "/healthz", "/openapi.json"):
        assert ask(locked, path).status == 200
    assert TOKEN not in ask(locked, "/openapi.json").body.decode()


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:80", "127.0.0.1", "[::1]:9", "10.0.0.7"])
def test_addresses_and_own_names_are_answered(app: ASGIApp, host: str) -> None:
    assert ask(app, "/v1/models", host=host).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example:8697",
        "a@localhost",
        "[",
    ],
)
@pytest.mark.parametrize("path", ["/", "/v1/models"])
def test_a_foreign_name_that_leads_here_is_refused(app: ASGIApp, host: str, path: str) -> None:
    assert "name" in ask(app, path, host=host).error(421, "refused")


def test_names_that_were_given_are_known(locked: ASGIApp) -> None:
    assert ask(locked, "/", host="my-desk:8697").status == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:1", "http://localhost:8697", ""]
)
def test_pages_of_other_sites_may_not_ask(app: ASGIApp, origin: str) -> None:
    answer = suggest(app, {"text": ""}, origin=origin)

    assert "other sites" in answer.error(403, "refused")
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_the_own_page_may_ask(app: ASGIApp) -> None:
    own = {"origin": f"http://{HERE}", "sec_fetch_site": "same-origin"}

    assert suggest(app, {"text": ""}, **own).status == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_what_a_browser_says_comes_from_elsewhere_is_refused_but_for_a_link(
    app: ASGIApp, site: str
) -> None:
    ask(app, "/v1/models", sec_fetch_site=site).error(403, "refused")
    ask(app, "/", sec_fetch_site=site, sec_fetch_mode="no-cors").error(403, "refused")
    ask(app, "/v1/models", sec_fetch_site=site, sec_fetch_mode="navigate").error(403, "refused")
    assert ask(app, "/", sec_fetch_site=site, sec_fetch_mode="navigate").status == 200


@pytest.mark.parametrize("path", ["/", "/page.css", "/v1/models", "/nothing", "/v1/suggest"])
def test_every_answer_forbids_what_it_need_not_allow(app: ASGIApp, path: str) -> None:
    for answer in (ask(app, path), ask(app, path, host="evil.example")):
        policy = dict(
            part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; ")
        )
        assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"


def test_the_page_asks_no_other_site_and_has_no_script_of_its_own(app: ASGIApp) -> None:
    page = ask(app, "/").body.decode()
    named = [part.split('"')[0] for mark in ('src="', 'href="') for part in page.split(mark)[1:]]

    assert "<script>" not in page
    assert "style=" not in page
    for name in named:
        if not name.startswith("#"):
            assert ask(app, f"/{name}").status == 200
            assert "://" not in name
    css = ask(app, "/page.css").body.decode()
    assert "url(" not in css
    assert LIGHT["accent"] in css
    assert DARK["accent"] in css


def test_the_description_fits_the_answers(app: ASGIApp) -> None:
    found = ask(app, "/openapi.json").json()
    schemas = found["components"]["schemas"]

    assert set(found["paths"]) == {"/v1/suggest", "/v1/models", "/healthz"}
    answers = {
        "Suggestions": suggest(app, {"text": "see "}),
        "Models": ask(app, "/v1/models"),
        "Health": ask(app, "/healthz"),
        "Error": ask(app, "/nothing"),
    }
    assert set(answers) == set(schemas)
    for name, answer in answers.items():
        _fits(answer.json(), schemas[name])
    asked = found["paths"]["/v1/suggest"]["post"]["requestBody"]["content"]["application/json"]
    assert set(asked["schema"]["properties"]) == {"text", "k", "model", "session"}


def _fits(value: Any, schema: dict[str, Any]) -> None:
    kinds = {"object": dict, "array": list, "string": str, "number": (int, float), "boolean": bool}
    if "const" in schema:
        assert value == schema["const"]
        return
    assert isinstance(value, kinds[schema["type"]])
    if isinstance(value, dict):
        assert set(value) == set(schema["properties"]) == set(schema["required"])
        for key, inner in value.items():
            _fits(inner, schema["properties"][key])
    if isinstance(value, list):
        assert value
        for inner in value:
            _fits(inner, schema["items"])


class Speaking:
    """Fails, and tells in its error what was typed."""

    def suggest(self, text: str, k: int = 3) -> list[Suggestion]:
        raise ValueError(text)


def test_a_failure_is_told_without_what_was_typed(capfd: pytest.CaptureFixture[str]) -> None:
    app = make_app({"bad": Served("", Speaking)})

    answer = suggest(app, {"text": "my secret"})

    answer.error(500, "internal")
    shown = "".join(capfd.readouterr())
    assert "ValueError at " in shown
    assert "secret" not in shown + answer.body.decode()


class Waiting:
    """Answers when it may."""

    go = threading.Event()

    def suggest(self, text: str, k: int = 3) -> list[Suggestion]:
        assert self.go.wait(30)
        return [Suggestion("yes", 1.0)]


def test_more_requests_than_may_wait_are_refused_and_the_others_answered() -> None:
    app = make_app({"slow": Served("", Waiting)})
    heads = {"content_type": "application/json"}

    async def work() -> list[Any]:
        tasks = [
            asyncio.create_task(asking(app, "/v1/suggest", b'{"text": ""}', **heads))
            for _ in range(MAX_WAITING + 1)
        ]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        Waiting.go.set()
        refused = [task.result() for task in done]
        refused[0].error(503, "busy")
        assert (len(refused), refused[0].headers["retry-after"]) == (1, "1")
        again = await asyncio.gather(*tasks)
        return [answer.status for answer in again]

    assert sorted(asyncio.run(work())) == [200] * MAX_WAITING + [503]


def test_each_session_has_a_suggester_and_the_oldest_is_forgotten() -> None:
    made: list[Speaking] = []

    def make() -> Speaking:
        made.append(Speaking())
        return made[-1]

    sessions = Sessions({"one": Served("", make)}, most=2)

    first, second = sessions.of("a", "one"), sessions.of("b", "one")
    assert first is not second
    assert sessions.of("a", "one") is first
    sessions.of("c", "one")  # b has not been used for longest
    assert (len(sessions), len(made)) == (2, 3)
    assert sessions.of("a", "one") is first
    assert sessions.of("b", "one") is not second


def test_serving_imports_no_torch() -> None:
    code = "import sys, nwp.serve.server; print('torch' in sys.modules, 'uvicorn' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["False", "True"]


@pytest.fixture
def learning(shipped: Bundle) -> Iterator[ASGIApp]:
    """A server of one person, whose file is in memory, and a second model beside the personal one."""
    personal = Personal.open()

    def make(suggester: Suggester) -> PersonalSuggester:
        return PersonalSuggester(suggester, personal)

    yield make_app(models_of(shipped, personal=make))
    personal.close()


def test_what_is_sent_is_learnt_and_only_by_the_personal_model(learning: ASGIApp) -> None:
    first = ask(learning, "/v1/models").json()["models"]
    assert [(row["name"], row["learns"]) for row in first] == [
        ("personal", True),
        ("shared", False),
        ("unigram", False),
    ]
    for _ in range(3):
        body = json.dumps({"text": "see you at Kajsa's bakery"}).encode()
        sent = ask(learning, "/v1/learn", body, content_type="application/json")
        assert (sent.status, sent.json()) == (200, {"learnt": True})
    asked = {"text": "see you at Kaj"}
    found = suggest(learning, asked).json()["suggestions"]
    assert found[0]["word"] == "Kajsa's"
    assert "Kajsa's" not in str(suggest(learning, {**asked, "model": "shared"}).json())


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"[]", 422),
        (b"{}", 422),
        (b'{"text": 3}', 422),
        (b'{"text": "a", "k": 3}', 422),
    ],
)
def test_what_is_no_message_is_not_learnt(learning: ASGIApp, body: bytes, status: int) -> None:
    ask(learning, "/v1/learn", body, content_type="application/json").error(status, "bad-input")


def test_a_server_that_does_not_learn_has_no_such_address(app: ASGIApp, learning: ASGIApp) -> None:
    ask(app, "/v1/learn", b'{"text": "a"}', content_type="application/json").error(404, "not-found")
    assert "/v1/learn" not in ask(app, "/openapi.json").json()["paths"]
    assert "/v1/learn" in ask(learning, "/openapi.json").json()["paths"]


def test_exact_forgives_no_slip_whichever_model_answers(app: ASGIApp, shipped: Bundle) -> None:
    exact = make_app(models_of(shipped, exact=True))
    for model in ("shared", "unigram"):
        asked = {"text": "see hwllo", "model": model}
        assert suggest(exact, asked).json()["suggestions"] == []
        assert suggest(app, asked).json()["suggestions"][0]["word"] == "hello"


def test_an_expert_brings_models_without_it_and_of_it_alone(shipped: Bundle) -> None:
    how, are, bees = (shipped.vocabulary.index[word] for word in ("how", "are", "bees"))
    none = np.zeros(0, np.int64)
    triples = Order.of(
        np.array([how << SHIFT | are]), np.array([bees - FIRST_OUTPUT]), np.array([9])
    )
    expert = Expert(3, Order.of(none, none, none), triples, usual_weights())
    app = make_app(models_of(replace(shipped, expert=expert)))
    names = [row["name"] for row in ask(app, "/v1/models").json()["models"]]
    assert names == ["shared", "network", "n-gram", "unigram"]
    best = {
        name: suggest(app, {"text": "how are ", "model": name}).json()["suggestions"]
        for name in names
    }
    assert best["n-gram"][0]["word"] == "bees"
    assert "bees" in [row["word"] for row in best["shared"]]
    assert "bees" not in [row["word"] for row in best["network"] + best["unigram"]]
    assert best["unigram"][0]["word"] == best["n-gram"][1]["word"]
