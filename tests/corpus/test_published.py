from __future__ import annotations

import gzip
import hashlib
import json
import os
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

import nwp
from nwp.corpus import published
from nwp.corpus.published import PUBLISHED, Published, ami, get, shakespeare, ubuntu_irc
from nwp.corpus.source import open_source
from nwp.corpus.types import Message, Tally
from nwp.errors import BadCorpus, BadInput, NwpError

TOP = "repository-0123abc/"


def packed(path: Path, files: dict[str, str | bytes]) -> Path:
    """An archive as GitHub makes them: everything below one folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(TOP, "")
        for name, text in files.items():
            archive.writestr(TOP + name, text)
    return path


def rebuilt(tmp_path: Path, corpus: str, files: dict[str, str | bytes]) -> list[tuple[str, str]]:
    with open_source(packed(tmp_path / "a.zip", files), Tally()) as source:
        return [(m.user, m.text) for m in PUBLISHED[corpus].rebuild(source)]


# The recipe of ubuntu_irc

MANY = "word " * 199 + "word"


def irc(tmp_path: Path, *lines: str) -> list[tuple[str, str]]:
    return rebuilt(tmp_path, "ubuntu_irc", {"data/train/2004-01-01.a.raw.txt": "\n".join(lines)})


def said(tmp_path: Path, *lines: str) -> list[str]:
    """What is kept of what ann says, of a log in which ben and c[a]t speak, too."""
    others = ["[00:01] <ben> hello", "[00:01] <c[a]t> hello", f"[00:01] <ann> {MANY}"]
    texts = [text for user, text in irc(tmp_path, *others, *lines) if user == "ann"]
    assert texts[0] == MANY
    return texts[1:]


def test_irc_keeps_what_people_write_and_nothing_else(tmp_path: Path) -> None:
    assert said(
        tmp_path,
        "=== ann [n=ann@example.org] has joined #here",
        "[10:00] <ann> one   two\tthree ",
        "[10:00]  * ann waves",
        "[10:01] <a b> a nick with a space",
        "[10:01] <ann]",
        "10:02 <ann> no brackets",
        "[10:02] <ann>",
        "[10:03] <ann>  ",
        "[10:04] <ann> <ben> is quoted",
    ) == ["one two three", "<ben> is quoted"]


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("ben: go on", ["go on"]),
        ("BEN, go on", ["go on"]),
        ("ben : go on", ["go on"]),
        ("ben::, go on", ["go on"]),
        ("c[a]t: go on", ["go on"]),
        ("ubottu: go on", ["ubottu: go on"]),
        ("zed: go on", ["zed: go on"]),
        ("ben go on", ["ben go on"]),
        ("ben:go on", ["ben:go on"]),
        ("ben: ann: go on", ["ann: go on"]),
        ("ben:", []),
        ("ben, !info", []),
        ("!info", []),
        ("!info|ben", []),
        ("!", []),
        ("!info please", ["!info please"]),
        ("what !info", ["what !info"]),
    ],
)
def test_irc_strips_who_is_addressed_and_drops_what_makes_a_bot_speak(
    tmp_path: Path, line: str, kept: list[str]
) -> None:
    assert said(tmp_path, f"[10:00] <ann> {line}") == kept


@pytest.mark.parametrize("bot", ["ubotu", "ubottu", "ubot3", "FloodBot1", "floodbot", "ubuntulog"])
def test_irc_drops_bots_but_not_that_they_were_addressed(tmp_path: Path, bot: str) -> None:
    found = irc(
        tmp_path, f"[10:00] <{bot}> {MANY}", f"[10:00] <ann> {MANY}", f"[10:01] <ann> {bot}: thanks"
    )
    assert found == [("ann", MANY), ("ann", "thanks")]


def test_irc_drops_who_has_too_few_words(tmp_path: Path) -> None:
    short = MANY.removesuffix(" word")
    found = irc(
        tmp_path,
        f"[10:00] <ann> {short}",
        f"[10:00] <ben> {short}",
        "[10:01] <ben> ... -- :)",
        f"[10:00] <cat> {short}",
        "[10:01] <cat> b2:)",
    )
    assert {user for user, _ in found} == {"cat"}


def test_irc_takes_the_spelling_of_most_kept_messages_and_the_first_of_equally_many(
    tmp_path: Path,
) -> None:
    found = irc(
        tmp_path,
        f"[10:00] <ben> {MANY}",
        "[10:00] <Ann> !a",
        "[10:00] <Ann> !b",
        "[10:00] <ANN> one",
        "[10:00] <Ann> two",
        f"[10:00] <ann> {MANY}",
        "[10:00] <ann> three",
        "[10:00] <BEN> four",
    )
    assert found == [
        *(("ann", text) for text in ("one", "two", MANY, "three")),
        *(("ben", text) for text in (MANY, "four")),
    ]


def test_irc_goes_by_date_whatever_the_folder_and_by_name_whatever_the_case(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "data/dev/2005-01-01_03.raw.txt": f"[10:00] <Zoe> second\n[10:00] <Zoe> {MANY}\n",
        "data/test/2006-01-01_03.raw.txt": "[10:00] <Zoe> third",
        "data/train/2004-01-01.train-c.raw.txt": f"[10:00] <Zoe> first\n[10:00] <_b> {MANY}\n",
        "data/train/2004-01-02.train-c.raw.txt": f"[10:00] <ann> {MANY}\r\n[10:00] <Bo> {MANY}",
        "data/train/2004-01-01.train-c.ascii.txt": "[10:00] <Zoe> not this",
        "data/channel-two/channel-two.raw.txt": "[10:00] <Zoe> not this",
        "README.md": "not this",
    }
    found = rebuilt(tmp_path, "ubuntu_irc", files)
    assert [text for user, text in found if user == "Zoe"] == ["first", "second", MANY, "third"]
    assert list(dict(found)) == ["_b", "ann", "Bo", "Zoe"]


# The recipe of ami


def meeting(tmp_path: Path, **files: str) -> list[tuple[str, str]]:
    folder = "data/ami-transcripts-speaker/"
    named: dict[str, str | bytes] = {
        f"{folder}{name.replace('_', '.')}.transcript.txt": text for name, text in files.items()
    }
    named["data/ami-transcripts/ES2003a.transcript.txt"] = "Not this."
    named[f"{folder}ES2003a.transcript.txt"] = "Nor this."
    return rebuilt(tmp_path, "ami", named)


def test_ami_splits_into_sentences_and_drops_those_without_a_letter_or_digit(
    tmp_path: Path,
) -> None:
    text = "Hm. Is it 2.5? Yes!\n... No ... I  mean . 7. -- So that is"
    assert [text for _, text in meeting(tmp_path, EN2001a_A=text, EN2001a_B="")] == [
        "Hm.",
        "Is it 2.5?",
        "Yes!",
        "No ...",
        "I  mean .",
        "7.",
        "-- So that is",
    ]


def test_ami_spells_letters_without_their_mark(tmp_path: Path) -> None:
    text = "A L_ and an X_M_L_ file. B_'s D_. An O_K_."
    assert [text for _, text in meeting(tmp_path, EN2001a_A=text)] == [
        "A L and an X M L  file.",
        "B's D.",
        "An O K .",
    ]


def test_ami_joins_a_series_where_people_keep_their_letters(tmp_path: Path) -> None:
    found = meeting(
        tmp_path,
        ES2003b_A="Second.",
        ES2003a_A="First.",
        ES2003a_B="B.",
        ES2002a_A="Own.",
        ES2002b_A="Own.",
        IS1001a_A="Own.",
        IS1003a_A="Own.",
        IS1002b_A="Joined.",
        TS3003d_A="Joined.",
        EN2001a_E="Own.",
        IB4001_A="Own.",
        IN1001_A="Own.",
    )
    assert found == [
        ("EN2001a.E", "Own."),
        ("ES2002a.A", "Own."),
        ("ES2002b.A", "Own."),
        ("ES2003.A", "First."),
        ("ES2003.A", "Second."),
        ("ES2003.B", "B."),
        ("IB4001.A", "Own."),
        ("IN1001.A", "Own."),
        ("IS1001a.A", "Own."),
        ("IS1002.A", "Joined."),
        ("IS1003a.A", "Own."),
        ("TS3003.A", "Joined."),
    ]


# The recipe of shakespeare


def speech(speaker: str, *lines: str) -> str:
    speakers = "".join(f"<SPEAKER>{name}</SPEAKER>" for name in speaker.split("+"))
    return f"<SPEECH>{speakers}{''.join(f'<LINE>{line}</LINE>' for line in lines)}</SPEECH>"


def play(*speeches: str) -> str:
    head = '<?xml version="1.0"?><!DOCTYPE PLAY SYSTEM "play.dtd"><PLAY><TITLE>A Play</TITLE>'
    return f"{head}<ACT><SCENE>{''.join(speeches)}</SCENE></ACT></PLAY>"


def test_plays_become_speeches_of_characters(tmp_path: Path) -> None:
    found = rebuilt(
        tmp_path,
        "shakespeare",
        {
            "texts/moby/b_play_moby.xml": play(speech("Zed", MANY)),
            "texts/moby/a_play_moby.xml": play(
                speech("Zed", "One,", "<STAGEDIR>Aside</STAGEDIR> two  three", " ", "four."),
                "<STAGEDIR>Exit</STAGEDIR>",
                speech(" First\nLord ", MANY),
                speech("ANN", "Too few words."),
                speech("ZED", MANY, "<STAGEDIR>Dies</STAGEDIR>"),
                speech("Zed", "<STAGEDIR>Weeps</STAGEDIR>"),
                speech("Zed+Ann", "A &amp; b"),
                speech("All", MANY),
                speech("Both Lords", MANY),
                speech("BOTH", MANY),
                speech("", MANY),
                speech("Allan", MANY),
            ),
            "texts/moby/metadata.txt": "not this",
            "texts/gutenberg/c_gut.xml": play(speech("Zed", MANY)),
        },
    )
    assert found == [
        ("a_play/ZED", "One, two three four."),
        ("a_play/ZED", MANY),
        ("a_play/ZED", "A & b"),
        ("a_play/FIRST LORD", MANY),
        ("a_play/ALLAN", MANY),
        ("b_play/ZED", MANY),
    ]


@pytest.mark.parametrize(
    "text",
    [
        play(speech("Zed", MANY))[:-40],
        '<!DOCTYPE a [<!ENTITY b "c">]>' + speech("Zed", "&b;"),
        '<?xml version="1.0" encoding="no-such"?><PLAY/>',
        "no XML",
        "",
    ],
)
def test_a_play_that_is_no_xml_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadCorpus, match=r"x_moby\.xml is no XML") as caught:
        rebuilt(tmp_path, "shakespeare", {"texts/moby/x_moby.xml": text})
    assert caught.value.hint


def test_a_transcript_that_is_no_utf_8_is_named(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "data/ami-transcripts-speaker/IN1001.A.transcript.txt": b"\xff"
    }
    with pytest.raises(BadCorpus, match=r"IN1001\.A\.transcript\.txt is no text"):
        rebuilt(tmp_path, "ami", files)


@pytest.mark.parametrize("name", list(PUBLISHED))
def test_another_archive_is_told(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadCorpus, match=r"a\.zip holds no .*\."):
        rebuilt(tmp_path, name, {"README.md": "hello"})


def test_what_is_known_of_the_corpora_fits_together() -> None:
    assert list(PUBLISHED) == [corpus.name for corpus in PUBLISHED.values()]
    for corpus in PUBLISHED.values():
        assert corpus.url.startswith("https://codeload.github.com/")
        assert corpus.url.endswith(f"/zip/{corpus.commit}")
        assert len(corpus.commit) == 40
        assert len(corpus.sha256) == 64
        assert 0 < corpus.users < corpus.messages < corpus.words
    assert [c.rebuild for c in PUBLISHED.values()] == [
        ubuntu_irc.rebuild,
        ami.rebuild,
        shakespeare.rebuild,
    ]


# Getting one

FILES: dict[str, str | bytes] = {
    "data/ami-transcripts-speaker/IN1001.A.transcript.txt": "Well, well. Café?",
    "data/ami-transcripts-speaker/IN1001.B.transcript.txt": "No. " * 2_000,
    "big": os.urandom(700_000),
}
LINES = (
    '{"user": "IN1001.A", "text": "Well, well."}\n{"user": "IN1001.A", "text": "Café?"}\n'
    + '{"user": "IN1001.B", "text": "No."}\n' * 2_000
).encode()


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return packed(tmp_path / "here" / "tiny.zip", FILES)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Published:
    corpus = Published(
        name="tiny",
        url="http://127.0.0.1:9/zip/abc",
        commit="abc",
        licence="none",
        source="invented",
        users=2,
        messages=2_002,
        words=2_003,
        sha256=hashlib.sha256(LINES).hexdigest(),
        rebuild=ami.rebuild,
    )
    monkeypatch.setitem(PUBLISHED, "tiny", corpus)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return corpus


def left(home: Path) -> list[str]:
    return sorted(p.relative_to(home).as_posix() for p in home.rglob("*") if p.is_file())


def test_a_corpus_is_rebuilt_from_an_archive_that_is_here(
    tmp_path: Path, archive: Path, tiny: Published
) -> None:
    home = tmp_path / "home"
    path = get("tiny", home, archive=archive)
    assert path == home / "tiny.jsonl.gz"
    assert gzip.decompress(path.read_bytes()) == LINES
    assert left(home) == ["tiny.json", "tiny.jsonl.gz"]
    assert archive.exists()
    assert json.loads((home / "tiny.json").read_text()) == {
        "name": "tiny",
        "file": "tiny.jsonl.gz",
        "sha256": tiny.sha256,
        "users": 2,
        "messages": 2_002,
        "words": 2_003,
        "licence": "none",
        "source": "invented",
        "url": tiny.url,
        "commit": "abc",
        "made_with": nwp.__version__,
    }
    again = get("tiny", tmp_path / "other", archive=archive)
    assert again.read_bytes() == path.read_bytes()


def test_the_unpacked_folder_does_as_well(tmp_path: Path, archive: Path, tiny: Published) -> None:
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(tmp_path / "unpacked")
    for folder in (tmp_path / "unpacked", tmp_path / "unpacked" / TOP):
        path = get("tiny", tmp_path / "home", archive=folder)
        assert gzip.decompress(path.read_bytes()) == LINES
        path.unlink()


def test_what_is_there_and_whole_is_not_made_again(
    tmp_path: Path, archive: Path, tiny: Published
) -> None:
    home = tmp_path / "home"
    path = get("tiny", home, archive=archive)
    (home / "tiny.json").unlink()
    assert get("tiny", home, archive=tmp_path / "gone") == path
    assert (home / "tiny.json").exists()
    for spoilt in (path.read_bytes()[:-40], b"no gzip", gzip.compress(LINES[:-1])):
        path.write_bytes(spoilt)
        with pytest.raises(BadCorpus, match="gone"):
            get("tiny", home, archive=tmp_path / "gone")
        get("tiny", home, archive=archive)
        assert gzip.decompress(path.read_bytes()) == LINES


def test_another_checksum_leaves_nothing_and_says_what_was_found(
    tmp_path: Path, archive: Path, tiny: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PUBLISHED, "tiny", replace(tiny, sha256="0" * 64, users=5))
    with pytest.raises(BadCorpus) as caught:
        get("tiny", tmp_path / "home", archive=archive)
    for told in ("5 users", "0" * 64, "2 users, 2,002 messages, 2,003 words", tiny.sha256):
        assert told in caught.value.message
    assert tiny.url in caught.value.hint
    assert left(tmp_path / "home") == []
    assert archive.exists()


def test_an_unknown_name_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadCorpus, match="no published corpus 'nothing'") as caught:
        get("nothing", tmp_path)
    assert "ubuntu_irc, ami, shakespeare" in caught.value.hint


def test_a_home_that_cannot_be_written_is_told(
    tmp_path: Path, archive: Path, tiny: Published
) -> None:
    (tmp_path / "home").write_text("a file")
    with pytest.raises(BadInput, match="home") as caught:
        get("tiny", tmp_path / "home", archive=archive)
    assert caught.value.hint


# Downloading one


class Server(BaseHTTPRequestHandler):
    """Serves one archive; what it does wrong is said in `faults`, what it was asked in `asked`."""

    content: ClassVar[bytes]
    faults: ClassVar[set[str]]
    asked: ClassVar[list[str | None]]

    def do_GET(self) -> None:
        asked = self.headers["Range"]
        type(self).asked.append(asked)
        assert self.headers["User-Agent"] == f"nwp/{nwp.__version__}"
        content, start, length = self.content, 0, len(self.content)
        if "missing" in self.faults:
            self.send_error(404)
            return
        if asked and "no range" not in self.faults:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= length:
                self.send_error(416)
                return
            self.send_response(206)
            told = start + 1 if "wrong range" in self.faults else start
            self.send_header("Content-Range", f"bytes {told}-{length - 1}/{length}")
        else:
            self.send_response(200)
        if "no length" not in self.faults:
            self.send_header("Content-Length", str(length - start))
        self.end_headers()
        stop = length // 2 if "stops" in self.faults else length
        self.wfile.write(content[start:stop])

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(
    archive: Path, tiny: Published, monkeypatch: pytest.MonkeyPatch
) -> Iterator[type[Server]]:
    class Mine(Server):
        content, faults, asked = archive.read_bytes(), set(), []

    running = ThreadingHTTPServer(("127.0.0.1", 0), Mine)
    thread = threading.Thread(target=running.serve_forever, args=(0.01,))
    thread.start()
    url = f"http://127.0.0.1:{running.server_port}/zip/abc"
    monkeypatch.setitem(PUBLISHED, "tiny", replace(tiny, url=url))
    yield Mine
    running.shutdown()
    running.server_close()
    thread.join()


def put_part(home: Path, content: bytes) -> None:
    (home / "cache").mkdir(parents=True)
    (home / "cache" / "tiny-abc.zip.part").write_bytes(content)


def test_a_corpus_is_downloaded_and_the_archive_does_not_stay(
    tmp_path: Path, server: type[Server]
) -> None:
    told: list[tuple[int, int | None]] = []
    path = get("tiny", tmp_path, progress=lambda have, whole: told.append((have, whole)))
    assert gzip.decompress(path.read_bytes()) == LINES
    assert list((tmp_path / "cache").iterdir()) == []
    size = len(server.content)
    assert told[0] == (0, size)
    assert told[-1] == (size, size)
    assert len(told) > 3
    assert told == sorted(told)
    get("tiny", tmp_path)
    assert server.asked == [None]


@pytest.mark.parametrize("faults", [set(), {"no range"}, {"no length"}, {"no range", "no length"}])
def test_a_broken_download_goes_on_or_begins_again(
    tmp_path: Path, server: type[Server], faults: set[str]
) -> None:
    server.faults |= faults
    whole = server.content
    told: list[tuple[int, int | None]] = []
    put_part(tmp_path, whole[:1000])
    path = get("tiny", tmp_path, progress=lambda have, whole: told.append((have, whole)))
    assert gzip.decompress(path.read_bytes()) == LINES
    assert server.asked == ["bytes=1000-"]
    assert told[0][0] == (0 if "no range" in faults else 1000)
    assert told[-1][0] == len(whole)


def test_a_server_that_stops_half_way_is_told_and_what_came_is_kept(
    tmp_path: Path, server: type[Server]
) -> None:
    server.faults.add("stops")
    with pytest.raises(BadInput, match="stopped after") as caught:
        get("tiny", tmp_path)
    assert "--archive" in caught.value.hint
    assert left(tmp_path / "cache") == ["tiny-abc.zip.part"]
    server.faults.clear()
    assert gzip.decompress(get("tiny", tmp_path).read_bytes()) == LINES
    assert server.asked == [None, f"bytes={len(server.content) // 2}-"]


def test_a_part_that_is_already_too_long_is_fetched_anew(
    tmp_path: Path, server: type[Server]
) -> None:
    put_part(tmp_path, server.content + b"more")
    assert gzip.decompress(get("tiny", tmp_path).read_bytes()) == LINES
    assert server.asked == [f"bytes={len(server.content) + 4}-", None]


def test_a_part_of_something_else_is_found_out_and_does_not_stay(
    tmp_path: Path, server: type[Server]
) -> None:
    put_part(tmp_path, b"x" * (len(server.content) - 10))
    with pytest.raises(BadCorpus):
        get("tiny", tmp_path)
    assert left(tmp_path / "cache") == []
    assert gzip.decompress(get("tiny", tmp_path).read_bytes()) == LINES


def test_an_archive_in_the_cache_is_not_fetched_again(tmp_path: Path, server: type[Server]) -> None:
    put_part(tmp_path, b"")
    (tmp_path / "cache" / "tiny-abc.zip").write_bytes(server.content)
    get("tiny", tmp_path)
    assert server.asked == []


@pytest.mark.parametrize(
    ("fault", "told"), [("missing", "404"), ("wrong range", "another part than the one")]
)
def test_an_answer_that_is_no_archive_is_told(
    tmp_path: Path, server: type[Server], fault: str, told: str
) -> None:
    server.faults.add(fault)
    put_part(tmp_path, b"x" * 5)
    with pytest.raises(BadInput, match=told) as caught:
        get("tiny", tmp_path)
    url = PUBLISHED["tiny"].url
    assert url in caught.value.message
    assert url in caught.value.hint
    assert "--archive FILE" in caught.value.hint
    assert left(tmp_path / "cache") == ["tiny-abc.zip.part"]


def test_without_a_network_the_way_out_is_told(tmp_path: Path, tiny: Published) -> None:
    with pytest.raises(BadInput, match="cannot download") as caught:
        get("tiny", tmp_path)
    assert tiny.url in caught.value.hint
    assert "--archive FILE" in caught.value.hint


def test_a_download_without_end_is_stopped(
    tmp_path: Path, server: type[Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nwp.corpus.published.fetching.MOST", 1000)
    with pytest.raises(BadInput, match="over"):
        get("tiny", tmp_path)


def test_an_error_of_a_recipe_leaves_nothing(
    tmp_path: Path, archive: Path, tiny: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(source: object) -> Iterator[Message]:
        yield Message("ann", "hello")
        raise BadCorpus("broken", "mend it")

    monkeypatch.setitem(PUBLISHED, "tiny", replace(tiny, rebuild=fails))
    with pytest.raises(NwpError, match="broken"):
        get("tiny", tmp_path / "home", archive=archive)
    assert left(tmp_path / "home") == []


# The real ones


@pytest.mark.slow
@pytest.mark.parametrize("name", list(PUBLISHED))
def test_the_real_archives_make_the_real_corpora(tmp_path: Path, name: str) -> None:
    """NWP_SOURCES holds the archives as GitHub names them, REPOSITORY-COMMIT.zip."""
    if not (sources := os.environ.get("NWP_SOURCES")):
        pytest.skip("NWP_SOURCES names no folder with the published archives")
    corpus = PUBLISHED[name]
    repository = corpus.url.split("/")[4]
    path = published.get(
        name, tmp_path, archive=Path(sources) / f"{repository}-{corpus.commit}.zip"
    )
    lines = gzip.decompress(path.read_bytes())
    told = [json.loads(line) for line in lines.splitlines()]
    words = sum(len(published.words_of(str(row["text"]))) for row in told)
    assert len({row["user"] for row in told}) == corpus.users
    assert (len(told), words) == (corpus.messages, corpus.words)
    if shared := os.environ.get("NWP_SHARED"):
        assert lines == gzip.decompress(
            (Path(shared) / "corpora" / f"{name}.jsonl.gz").read_bytes()
        )
