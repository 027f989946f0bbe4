"""The report is one page that asks for nothing, shows everything, and runs nobody's text."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from nwp.report.colors import DARK, LIGHT, READ_ON, contrast
from nwp.report.page import render, write
from nwp.report.user_table import PAGE

Payload = dict[str, Any]
VOID = {"meta", "input", "br", "link", "img"}
HOSTILE = [
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(1)>",
    "<!--<script>",
    "]]><svg onload=alert(1)>",
    "\"' onmouseover='alert(1)' \"",
    "{{ 7*7 }}{% raw %}",
    "line\u2028and\u2029end",
    "\u202etxet\u202c עברית العربية",
    "javascript:alert(1)",
    "&lt;b&gt;",
    "half \ud83d character",
    "nul \x00 and \x1b[31m",
    "$x^2$ $\\frac{",
    "n" * 300,
]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plots that are not drawn anew for every page: those of one payload, as far as its parts go."""

    def stand_ins(payload: Payload, narrow: bool = False) -> dict[str, str]:
        drawn = {
            "learning": "curve", "calibration": "calibration", "baselines": "baselines",
            "distribution": "users", "position": "slices",
        }  # fmt: skip
        return {name: name for name, part in drawn.items() if payload.get(part)}

    monkeypatch.setattr("nwp.report.page.figures", stand_ins)
    monkeypatch.setattr(
        "nwp.report.page.svg", lambda name, told: f"<svg><title>{name}</title></svg>"
    )


class Page(HTMLParser):
    """What a page is made of: elements with attributes, text by element, and its rows."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.text: list[str] = []
        self.inside: dict[str, list[str]] = {}
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)
            self.inside.setdefault(tag, []).append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open[-1] != tag:
            self.wrong.append(f"</{tag}> within {self.open[-3:]}")
        else:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        for tag in set(self.open):
            self.inside[tag][-1] += data
        if self.open and self.open[-1] not in {"script", "style"}:
            self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())

    @property
    def blob(self) -> dict[str, Any]:
        kinds = [attributes.get("type") for tag, attributes in self.elements if tag == "script"]
        return json.loads(self.inside["script"][kinds.index("application/json")])

    def ids(self) -> list[str]:
        return [attributes["id"] for _, attributes in self.elements if "id" in attributes]


def test_every_element_is_closed_and_every_id_stands_once(payload: Payload) -> None:
    page = Page(render(payload))
    assert not page.wrong
    assert not page.open
    assert len(page.ids()) == len(set(page.ids()))
    named = [
        name
        for _, attributes in page.elements
        for key in ("aria-labelledby", "for")
        for name in attributes.get(key, "").split()
    ]
    assert named
    assert set(named) <= set(page.ids())


def test_it_asks_for_nothing_outside(payload: Payload) -> None:
    html = render(payload)
    page = Page(html)
    for tag, attributes in page.elements:
        assert tag not in {"link", "img", "iframe", "object", "embed", "base", "form"}
        for name, value in attributes.items():
            assert not name.startswith("on"), f"{name} of {tag}"
            assert name != "style", tag
            if name in {"src", "href", "xlink:href", "action", "data", "srcset", "poster"}:
                assert value.startswith("#"), f"{name}={value}"
                assert value[1:] in page.ids()
            for target in re.findall(r"url\(([^)]*)\)", value):
                assert target.removeprefix("#") in page.ids()
    for sheet in page.inside["style"]:
        assert "@import" not in sheet
        assert "url(" not in sheet
    for script in page.inside["script"]:
        for way in ("fetch(", "XMLHttp", "import(", "WebSocket", "innerHTML", "eval("):
            assert way not in script
    links = set(re.findall(r"https?://[^\s\"'<]+", html))
    assert links == {"http://www.w3.org/2000/svg"}  # a name, not a place


def test_policy_allows_this_style_and_these_scripts_alone(payload: Payload) -> None:
    page = Page(render(payload))
    (policy,) = [
        attributes["content"]
        for tag, attributes in page.elements
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["base-uri"] == rules["form-action"] == "'none'"
    assert set(rules) == {"default-src", "base-uri", "form-action", "style-src", "script-src"}

    def hashed(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    kinds = [attributes for tag, attributes in page.elements if tag == "script"]
    runs = [
        text
        for text, attributes in zip(page.inside["script"], kinds, strict=True)
        if attributes.get("type") != "application/json"
    ]
    assert rules["script-src"].split() == [hashed(text) for text in runs]
    assert rules["style-src"].split() == [hashed(text) for text in page.inside["style"]]


def test_figures_of_all_parts_are_told(payload: Payload) -> None:
    words = Page(render(payload)).words
    summary = payload["summary"]
    told = [
        f"{summary['perplexity']:,.1f}", f"{summary['top1']:.1%}", f"{summary['top3']:.1%}",
        f"{summary['keystroke_savings']:.1%}", f"{summary['bits_per_character']:.2f}",
        f"{summary['tokens']:,}", "199.1 – 219.7", "21.4% – 24.3%",
        f"{payload['over_users']['perplexity']['worst_tenth']:,.1f}",
        f"{payload['over_users']['top3']['gini']:.3f}",
        "100 to 999 words", "never took part", "over 10 %",
        "4th to 6th word", "most frequent 100", "5 to 6 letters",
        "could you bring the blue folder from my", "folder", "rhubarb", "desk", "guess 17",
        "not in the vocabulary", "Trigram of all text", "235.2", "9,012.5", "517.0", "496.9",
        "2.1%", "No privacy budget: nothing but averaging protects these updates",
        "1.3 GB", "60 rounds", "Hard et al. 2018, section 5", "13.1%", "150.25",
        "fedadam", "server learning rate", "441,275", payload["about"]["command"],
    ]  # fmt: skip
    for user in payload["users"]:
        told += [user["user"], f"{user['perplexity']:,.1f}"]
    assert [figure for figure in told if figure not in words] == []


def test_headline_says_for_how_many_how_well_and_for_the_worst(payload: Payload) -> None:
    payload["summary"]["top3"] = 0.2349
    payload["over_users"]["top3"]["worst_tenth"] = 0.0712
    page = Page(render(payload))
    assert page.inside["h1"] == [
        "The model found 23 of every 100 words within three guesses for 60 users, and 7.1 for the "
        "tenth it serves worst."
    ]


def test_hundred_words_are_a_hundred(payload: Payload, quick: None) -> None:
    for top1, top3, unknown in (
        (0.131, 0.2365, 0.0871),
        (0, 0, 0),
        (1, 1, 0),
        (1 / 3, 2 / 3, 1 / 3),
    ):
        payload["summary"] |= {"top1": top1, "top3": top3, "oov_rate": unknown}
        cells = re.search(r'<div class="cells".*?</div>', render(payload), re.DOTALL)
        assert cells
        kinds = re.findall(r'<i class="(\w+)">', cells[0])
        assert len(kinds) == 100
        expected = {"first": top1, "third": top3 - top1, "unknown": unknown}
        for kind, share in expected.items():
            assert abs(kinds.count(kind) - 100 * share) < 1, kind


def test_table_is_there_without_a_script_and_for_it(payload: Payload, quick: None) -> None:
    html = render(payload)
    page = Page(html)
    blob = page.blob
    keys = [column["key"] for column in blob["columns"]]
    assert len(blob["rows"]) == 60
    for user in payload["users"]:
        (row,) = [row for row in blob["rows"] if row[0] == user["user"]]
        for key, value in zip(keys, row, strict=True):
            assert value == user[key] or value == pytest.approx(user[key], rel=1e-5)
    perplexities = [row[keys.index("perplexity")] for row in blob["rows"]]
    assert perplexities == sorted(perplexities)
    heads = [a for tag, a in page.elements if tag == "th" and "data-key" in a]
    assert [head["data-key"] for head in heads] == keys
    assert [head.get("aria-sort") for head in heads].count("ascending") == 1
    static = re.search(r'<table id="table".*?</table>', html, re.DOTALL)
    assert static
    assert static[0].count("<tr") == 61


def test_users_with_few_words_are_marked(payload: Payload, quick: None) -> None:
    for user in payload["users"]:
        user["tokens"] = 50
    assert 'class="few"' not in render(payload)
    payload["users"][3]["tokens"], payload["users"][4]["tokens"] = 49, 0
    html = render(payload)
    assert html.count('<tr class="few">') == 2
    assert "marks the 2 users with under 50 words" in Page(html).words


def test_hostile_text_is_text(payload: Payload, quick: None) -> None:
    plain = [tag for tag, _ in Page(render(payload)).elements]
    for text in HOSTILE:
        for i, user in enumerate(payload["users"]):
            user["user"] = text if i == 0 else user["user"]
        for example in payload["examples"]:
            example |= {"user": text, "context": text, "target": text}
            for guess in example["guesses"]:
                guess["word"] = text
        for group in payload["groups"]:
            group["group"] = text
        for slices in payload["slices"].values():
            for row in slices:
                row["slice"] = text
        for rule in payload["conventions"]:
            rule |= {"name": text, "source": text, "counts": text}
        payload["about"] |= {"model": text, "corpus": text, "command": text, "part": text}
        payload["about"]["training"] = {text: text}
        payload["baselines"][text] = payload["baselines"]["unigram"]
        payload["privacy"] = {"epsilon": 1.0, "delta": 1e-6, "unit": text, text: text}
        html = render(payload)
        page = Page(html)
        assert not page.wrong, text
        assert "script" in plain
        assert [t for t, _ in page.elements if t == "script"] == ["script"] * 3
        assert {t for t, _ in page.elements} <= set(plain) | {"sup"}
        assert not any(name.startswith("on") for _, a in page.elements for name in a)
        name = re.sub(r"[\x00-\x1f\ud800-\udfff]", "�", text)
        assert name in [row[0] for row in page.blob["rows"]]
        assert "\u2028" not in html.split('id="rows">')[1].split("</script>")[0]
        html.encode()
        payload["baselines"].pop(text)


def test_baselines_without_the_models_ngrams_are_named(payload: Payload) -> None:
    payload["without_ngrams"] = ["central", "untrained", "<script>"]

    html = render(payload)

    assert "Without any: Untrained model; The same model, trained centrally.</p>" in html


def test_hostile_text_in_plots_is_text(payload: Payload) -> None:
    slices = [row for rows in payload["slices"].values() for row in rows]
    for text, row in zip(HOSTILE * 2, slices, strict=False):
        row["slice"] = text
    payload["baselines"] |= dict.fromkeys(HOSTILE[:5], payload["baselines"]["unigram"])
    page = Page(render(payload))
    assert not page.wrong
    assert [t for t, _ in page.elements if t == "script"] == ["script"] * 3
    assert not any(name.startswith("on") for _, a in page.elements for name in a)


def test_missing_parts_leave_no_empty_headings(payload: Payload, quick: None) -> None:
    whole = render(payload)
    parts = {
        "groups": "groups", "slices": None, "examples": None, "baselines": "baselines",
        "calibration": "calibration", "curve": "learning", "privacy": "privacy",
        "conventions": "conventions", "about": "settings",
    }  # fmt: skip
    for name, section in parts.items():
        for without in (
            {key: value for key, value in payload.items() if key != name},
            *([] if name == "privacy" else [{**payload, name: None}]),
        ):
            html = render(without)
            page = Page(html)
            assert not page.wrong
            assert headings_without_content(html) == []
            if section:
                assert f'id="{section}"' in whole
                assert section not in page.ids()
                assert f'href="#{section}"' not in html
    assert "errors" not in Page(render({**payload, "slices": {}, "examples": []})).ids()


@pytest.mark.parametrize(
    "empty", [{}, {"summary": None, "users": None}, {"users": [], "about": {}}]
)
def test_a_payload_of_nothing_is_a_page_that_says_so(empty: Payload) -> None:
    page = Page(render(empty))
    assert page.inside["h1"] == ["There were no words to count."]
    assert not page.inside.get("h2")
    assert "nan" not in page.words.lower()


def headings_without_content(html: str) -> list[str]:
    body = re.sub(r"<(style|script).*?</\1>", "", html, flags=re.DOTALL)
    pieces = re.split(r"(<h[23][^>]*>.*?</h[23]>)", body, flags=re.DOTALL)
    found = []
    for i, (heading, after) in enumerate(zip(pieces[1::2], pieces[2::2], strict=True)):
        below = "".join(pieces[2 * i + 3 : 2 * i + 4])
        deeper = heading.startswith("<h2") and below.startswith("<h3") and "</section" not in after
        if not deeper and not re.sub(r"<[^>]*>|\s", "", after) and "<svg" not in after:
            found.append(heading)
    return found


def test_null_figures_are_dashes_or_are_left_out(payload: Payload) -> None:
    for user in payload["users"][:5]:
        user |= {"perplexity": None, "top1": None, "top3": None, "oov_rate": None}
    for user in payload["users"]:
        user["keystroke_savings"] = None
    payload["summary"]["keystroke_savings"] = None
    payload["intervals"]["top1"] = None
    payload["groups"][0] |= {"perplexity": None, "top3": None, "top1": None}
    payload["examples"][0] |= {"probability": None, "rank": None, "guesses": []}
    payload["calibration"]["error"] = float("nan")
    html = render(payload)
    page = Page(html)
    keys = [column["key"] for column in page.blob["columns"]]
    assert "keystroke_savings" not in keys
    at = keys.index("perplexity")
    assert [row[at] for row in page.blob["rows"]][-5:] == [None] * 5
    cards = re.findall(r"<dt>([^<]*)</dt>\s*<dd class=\"value\"", html)
    assert "Keys saved" not in cards
    assert "Perplexity" in cards
    assert "no interval" in page.words
    assert "None" not in page.words.replace("None, and that is no good news", "")
    assert not re.search(r"\bnan\b", page.words, re.IGNORECASE)


def test_withheld_rows_are_told_instead_of_a_table(payload: Payload) -> None:
    payload |= {"users": [], "users_withheld": 60}
    for over in payload["over_users"].values():
        over.pop("mean")
    payload["over_users"]["perplexity"] |= {"noisy": True, "epsilon": 0.5, "users": 60}
    html = render(payload)
    page = Page(html)
    assert "table" not in page.ids()
    assert "rows" not in page.ids()
    assert "The rows of 60 users are withheld by their owners" in page.words
    assert "noise was added (ε = 0.5)" in page.words
    assert "Only sums of all of them, and a noisy histogram, were sent" in page.words
    assert "plot-distribution" in html
    assert "plot-scatter" not in html
    assert "for 60 users" in page.inside["h1"][0]


@pytest.mark.slow
def test_a_setting_is_told_once(payload: Payload) -> None:
    payload["about"]["training"]["rounds"] = payload["about"]["rounds"]
    html = render(payload)
    assert html.count("<dt>rounds</dt>") == 1
    payload["about"]["training"]["rounds"] = 7
    assert render(payload).count("<dt>rounds</dt>") == 2


def test_a_budget_is_told_with_all_that_is_known_of_it(payload: Payload) -> None:
    payload["privacy"] = {"epsilon": 4.25, "delta": 1e-6, "unit": "user", "noise_multiplier": 0.8}
    words = Page(render(payload)).words
    assert "ε = 4.25, δ = 1e-06" in words
    assert "noise multiplier 0.8" in words
    assert "No privacy budget" not in words


@pytest.mark.parametrize("users", [0, 1, 2])
def test_few_users_are_no_trouble(make: Callable[..., Payload], users: int) -> None:
    html = render(make(users))
    page = Page(html)
    assert not page.wrong
    assert ("table" in page.ids()) == (users > 0)
    assert not re.search(
        r"\b1 users", Page(re.sub(r"<svg.*?</svg>", "", html, flags=re.DOTALL)).words
    )


@pytest.mark.slow
def test_three_thousand_users_fit_into_three_megabytes(make: Callable[..., Payload]) -> None:
    html = render(make(3000))
    assert len(html.encode()) < 3_000_000
    page = Page(html)
    assert len(page.blob["rows"]) == 3000
    static = re.search(r'<table id="table".*?</table>', html, re.DOTALL)
    assert static
    assert static[0].count("<tr") == PAGE + 1
    assert "The first 100 of 3,000 users" in page.words
    assert "Each cell holds users" in page.words
    assert "Each dot is a user" not in page.words


@pytest.mark.slow
def test_same_payload_same_bytes(payload: Payload, make: Callable[..., Payload]) -> None:
    assert render(payload) == render(make())


@pytest.mark.slow
def test_writing_leaves_nothing_else(payload: Payload, tmp_path: Path) -> None:
    write(payload, tmp_path / "new" / "report.html")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["report.html"]
    assert (tmp_path / "new" / "report.html").read_text("utf-8") == render(payload)


@pytest.mark.parametrize("colors", [LIGHT, DARK], ids=["day", "night"])
def test_text_can_be_read(colors: dict[str, str]) -> None:
    assert set(colors) == set(LIGHT)
    assert len(set(colors.values())) == len(colors)
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
    for text, grounds in READ_ON.items():
        for ground in grounds:
            assert contrast(colors[text], colors[ground]) >= 4.5, f"{text} on {ground}"


# Beside the page's own script: what it does is written to the page, where --dump-dom finds it.
_PRESSES = """<script>
document.querySelector('th[data-key=top3] button').click();
const sought = document.getElementById('search');
if (location.hash === '#turned') document.querySelector('th[data-key=top3] button').click();
if (location.hash === '#search') { sought.value = 'ANNA'; sought.dispatchEvent(new Event('input')); }
</script></body>"""


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("chromium"), reason="no Chromium here")
def test_script_sorts_and_finds_in_a_browser(payload: Payload, tmp_path: Path) -> None:
    payload["users"][7]["top3"] = 0.999
    payload["users"][9]["user"] = "</script><img src=x onerror=document.title='broken'>"
    payload["users"][9]["top3"] = 0.998
    html = render(payload)
    pressed = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", html)
    path = tmp_path / "pressed.html"
    path.write_text(pressed.replace("</body>", _PRESSES), "utf-8")
    dom = in_chromium(path.as_uri())
    table = re.search(r'<table id="table".*?</table>', dom, re.DOTALL)
    assert table
    names = re.findall(r"<bdi[^>]*>(.*?)</bdi>", table[0])
    assert names[0] == payload["users"][7]["user"]
    assert "&lt;img" in names[1]
    assert "<title>broken" not in dom
    assert re.search(r'data-key="top3"[^>]*aria-sort="descending"', table[0])
    turned = in_chromium(path.as_uri() + "#turned")
    table = re.search(r'<table id="table".*?</table>', turned, re.DOTALL)
    assert table
    assert re.search(r'data-key="top3"[^>]*aria-sort="ascending"', table[0])
    lowest = min(payload["users"], key=lambda user: user["top3"])
    assert re.findall(r"<bdi[^>]*>(.*?)</bdi>", table[0])[0] == lowest["user"]
    found = in_chromium(path.as_uri() + "#search")
    table = re.search(r'<table id="table".*?</table>', found, re.DOTALL)
    assert table
    assert re.findall(r"<bdi[^>]*>(.*?)</bdi>", table[0]) == [
        user["user"] for user in sorted(payload["users"], key=lambda u: -u["top3"])
        if "anna" in user["user"]
    ]  # fmt: skip

    # The page as it is: its own policy lets its own script run.
    path.write_text(html, "utf-8")
    assert '<button type="button">Perplexity</button>' in in_chromium(path.as_uri())


def in_chromium(url: str) -> str:
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", url]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=True).stdout
