from __future__ import annotations

import gzip
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest

from nwp.corpus.known import home, known_corpora
from nwp.corpus.load import load_corpus, read_messages
from nwp.corpus.published import PUBLISHED
from nwp.corpus.readers.nltk_data import corpora as nltk_corpora
from nwp.corpus.readers.nltk_data import packages
from nwp.corpus.types import Tally
from nwp.errors import BadCorpus

POSTS = """<Session><Posts>
<Post class="Statement" user="10-19-20sUser1">hello there<terminals/></Post>
<Post class="System" user="10-19-20sUser2">JOIN<terminals/></Post>
</Posts></Session>"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of one's own for corpora, and one for NLTK's; nothing is fetched from anywhere."""
    monkeypatch.setenv("NWP_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NLTK_DATA", str(tmp_path / "nltk"))
    monkeypatch.setattr(packages, "search_path", lambda: [tmp_path / "nltk"])
    monkeypatch.setattr(packages, "_fetch", lambda name: pytest.fail(f"{name} would be fetched"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    (tmp_path / "home" / "corpora").mkdir(parents=True)
    (tmp_path / "nltk" / "corpora").mkdir(parents=True)
    return tmp_path


def lay(folder: Path, name: str, text: str, **changes: Any) -> None:
    """A corpus of one message with its manifest, as it is fetched."""
    data = json.dumps({"user": "ann", "text": text}).encode() + b"\n"
    (folder / f"{name}.jsonl.gz").write_bytes(gzip.compress(data))
    manifest = {
        "name": name,
        "file": f"{name}.jsonl.gz",
        "users": 1,
        "words": 2,
        "source": "made up",
        "licence": "none",
    }
    (folder / f"{name}.json").write_text(json.dumps(manifest | changes))


def nps_chat(place: Path) -> None:
    with zipfile.ZipFile(place / "nltk" / "corpora" / "nps_chat.zip", "w") as archive:
        archive.writestr("nps_chat/10-19-20s_706posts.xml", POSTS)


def said(source: str) -> list[str]:
    return [text for texts in load_corpus(source).users.values() for text in texts]


# What is in the folder of one's own


def test_the_folder_for_corpora_is_where_one_says(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert home() == place / "home" / "corpora"
    for value in ("", None):
        monkeypatch.setenv("NWP_HOME", "") if value == "" else monkeypatch.delenv("NWP_HOME")
        assert home().name == "corpora"
        assert home().is_absolute()
        assert home() != Path("corpora")


def test_a_corpus_with_a_manifest_is_known(place: Path) -> None:
    lay(home(), "ours", "hello there")
    known = known_corpora()["ours"]
    assert (known.users, known.words, known.available) == (1, 2, True)
    assert known.path == home() / "ours.jsonl.gz"
    assert known.source == "made up; none"
    assert said("ours") == ["hello there"]
    (home() / "ours.jsonl.gz").unlink()
    assert not known_corpora()["ours"].available
    with pytest.raises(BadCorpus, match="no corpus 'ours'"):
        load_corpus("ours")


GOOD = {"name": "a", "file": "a", "users": 1, "words": 1, "source": "s", "licence": "l"}


@pytest.mark.parametrize(
    "manifest",
    [
        *("", "{", "[]", "null", "7", '"a"', "{}", "\ufeff", "[" * 100_000, '{"parts": 3}'),
        *('{"parts": []}', '{"parts": {"a": 1}}', '{"parts": {"a": {}}}'),
        *(json.dumps(GOOD | {"name": name}) for name in (7, None, [], {})),
        *(json.dumps(GOOD | {"users": n}) for n in ("x", None, [], float("inf"), float("nan"))),
        *(json.dumps(GOOD | {"words": n}) for n in ({}, float("-inf"))),
        *(json.dumps({k: v for k, v in GOOD.items() if k != key}) for key in GOOD),
        json.dumps(GOOD | {"made": 3}),
    ],
)
def test_what_is_no_manifest_is_passed_over(place: Path, manifest: str) -> None:
    before = known_corpora()
    (home() / "m.json").write_text(manifest)
    lay(home(), "zeal", "hello there")  # comes after it
    assert known_corpora().keys() == {*before, "zeal"}
    assert said("zeal") == ["hello there"]
    with pytest.raises(BadCorpus, match="no corpus 'nowhere'") as caught:
        load_corpus("nowhere")
    assert "zeal" in caught.value.hint


def test_a_manifest_that_names_no_possible_file_is_of_no_corpus(place: Path) -> None:
    (home() / "a.json").write_text(json.dumps(GOOD | {"file": "a\0b"}))
    assert not known_corpora()["a"].available
    with pytest.raises(BadCorpus, match="no corpus 'a'"):
        load_corpus("a")


def test_bytes_that_are_no_text_a_folder_and_a_dead_link_are_passed_over(place: Path) -> None:
    (home() / "a.json").write_bytes(b"\xff\xfe\x00")
    (home() / "b.json").mkdir()
    (home() / "c.json").symlink_to(home() / "gone")
    lay(home(), "zeal", "hello there")
    assert said("zeal") == ["hello there"]


def test_no_such_folder_is_no_error(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NWP_HOME", str(place / "nothing"))
    assert "sample" in known_corpora()
    (place / "file").write_text("")
    monkeypatch.setenv("NWP_HOME", str(place / "file"))
    assert "sample" in known_corpora()


def test_the_parts_of_a_split_are_corpora(place: Path) -> None:
    for name in ("ours-train", "ours-test"):
        lay(home(), name, f"from {name}")
        (home() / f"{name}.json").unlink()
    parts = {
        f"ours-{part}": {"file": f"ours-{part}.jsonl.gz", "users": 1, "words": 2}
        for part in ("train", "test", "gone")
    }
    manifest = {
        "name": "ours",
        "parts": parts,
        "source": {"name": "ours.txt"},
        "made": {"by": "topic", "seed": 1},
    }
    (home() / "ours.json").write_text(json.dumps(manifest))
    known = known_corpora()
    assert [name for name in known if name.startswith("ours")] == [*parts]
    assert known["ours-train"].source == "split of ours.txt, topic"
    assert [known[name].available for name in parts] == [True, True, False]
    assert said("ours-test") == ["from ours-test"]
    with pytest.raises(BadCorpus, match="no corpus 'ours-gone'"):
        load_corpus("ours-gone")


# Which of several is meant


def test_a_path_goes_before_ones_own_corpus_and_that_before_nltks(place: Path) -> None:
    nps_chat(place)
    assert said("nps_chat") == ["hello there"]
    assert known_corpora()["nps_chat"].path is None
    lay(home(), "nps_chat", "from home")
    assert said("nps_chat") == ["from home"]
    assert said("nltk:nps_chat") == ["hello there"]
    Path("nps_chat").write_text('{"user": "ann", "text": "from the path"}\n')
    assert said("nps_chat") == ["from the path"]
    assert said("nltk:nps_chat") == ["hello there"]


def test_the_sample_is_the_sample_whatever_is_at_home(place: Path) -> None:
    before = known_corpora()["sample"]
    lay(home(), "sample", "from home")
    assert known_corpora()["sample"] == before


def test_a_published_corpus_says_how_to_get_it(place: Path) -> None:
    for name in PUBLISHED:
        known = known_corpora()[name]
        if name in nltk_corpora.KNOWN:
            continue
        assert (known.available, known.users) == (False, PUBLISHED[name].users)
    for name in PUBLISHED:
        with pytest.raises(BadCorpus, match=f"{name}' is known, but not here yet") as caught:
            load_corpus(name)
        assert f"nwp corpus get {name}" in caught.value.hint
        lay(home(), name, "fetched")
        assert known_corpora()[name].available
        assert said(name) == ["fetched"]


def test_names_come_once_and_the_sample_first(place: Path) -> None:
    nps_chat(place)
    lay(home(), "zeal", "hello")
    known = known_corpora()
    assert next(iter(known)) == "sample"
    assert known.keys() >= {"sample", "zeal", *nltk_corpora.KNOWN, *PUBLISHED}
    assert all(name == corpus.name for name, corpus in known.items())
    assert all(corpus.source for corpus in known.values())


# NLTK's


def test_a_corpus_of_nltk_is_read_by_its_name(place: Path) -> None:
    assert not known_corpora()["nps_chat"].available
    nps_chat(place)
    assert known_corpora()["nps_chat"].available
    for source in ("nps_chat", "nltk:nps_chat"):
        tally = Tally()
        with read_messages(source, tally) as (form, messages):
            assert form == "nltk"
            assert [m.text for m in messages] == ["hello there"]
        assert tally.skipped
    assert load_corpus("nps_chat").name == "nps_chat"


def test_any_package_of_nltk_is_read_by_its_full_name(place: Path) -> None:
    folder = place / "nltk" / "corpora" / "tiny_tales"
    folder.mkdir()
    (folder / "fox.txt").write_text("one line\nand another\n")
    with pytest.raises(BadCorpus, match="no corpus 'tiny_tales'"):
        load_corpus("tiny_tales")
    assert dict(load_corpus("nltk:tiny_tales").users) == {"fox": ("one line", "and another")}


@pytest.mark.parametrize("source", ["nps_chat", "nltk:nps_chat", "nltk:no_such_package"])
def test_one_that_is_not_here_and_cannot_be_fetched_is_named(
    place: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    asked = []

    def offline(name: str) -> str:
        asked.append(name)
        return "the network is unreachable"

    monkeypatch.setattr(packages, "_fetch", offline)
    name = source.removeprefix("nltk:")
    with pytest.raises(BadCorpus, match=f"no NLTK package '{name}'.*unreachable") as caught:
        load_corpus(source)
    assert asked == [name]
    assert str(place / "nltk") in caught.value.message
    assert f"nltk.downloader {name}" in caught.value.hint
    assert "NLTK_DATA" in caught.value.hint


@pytest.mark.parametrize("source", ["nltk:", "nltk:../../etc", "nltk:/etc/passwd", "nltk:a b"])
def test_what_is_no_name_of_a_package_is_never_fetched(source: str) -> None:
    with pytest.raises(BadCorpus, match="no NLTK package"):
        load_corpus(source)


def test_one_that_nltk_fetches_is_read(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "_fetch", lambda name: nps_chat(place) or "")
    assert said("nps_chat") == ["hello there"]


def test_a_published_corpus_that_nltk_has_as_well_is_not_fetched_by_nltk(place: Path) -> None:
    [name] = set(PUBLISHED) & set(nltk_corpora.KNOWN)
    with pytest.raises(BadCorpus, match="not here yet"):  # `_fetch` would fail the test
        load_corpus(name)


def test_a_damaged_package_is_named(place: Path) -> None:
    nps_chat(place)
    path = place / "nltk" / "corpora" / "nps_chat.zip"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(BadCorpus, match=r"nps_chat"):
        load_corpus("nps_chat")


def test_the_real_package_is_read(place: Path, real_corpora: Path) -> None:
    shutil.copy(real_corpora / "nps_chat.zip", place / "nltk" / "corpora")
    corpus = load_corpus("nps_chat")
    assert corpus.messages > 5_000
    assert len(corpus.users) > 500
