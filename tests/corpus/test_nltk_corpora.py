from __future__ import annotations

import json
import shutil
import sys
import tempfile
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nwp.corpus.readers.nltk_data import corpora as nltk_corpora
from nwp.corpus.readers.nltk_data import packages as nltk_data
from nwp.corpus.readers.nltk_data.corpora import KNOWN, available, read
from nwp.corpus.types import Message, Tally
from nwp.errors import BadCorpus


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of NLTK data that is the only one."""
    monkeypatch.setenv("NLTK_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(nltk_data, "search_path", lambda: [tmp_path / "data"])
    (tmp_path / "data" / "corpora").mkdir(parents=True)
    return tmp_path / "data"


def package(data: Path, name: str, files: dict[str, str | bytes]) -> None:
    """A package as it is published: everything below one folder of a zip."""
    with zipfile.ZipFile(data / "corpora" / f"{name}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{name}/", "")
        for path, text in files.items():
            archive.writestr(f"{name}/{path}", text)


def rows(name: str, tally: Tally | None = None) -> list[tuple[str, str]]:
    return [(m.user, m.text) for m in read(name, tally or Tally(), download=False)]


# Finding a package


def test_a_package_is_found_zipped_or_unpacked_and_the_folder_wins(data: Path) -> None:
    assert not available("webtext")
    package(data, "webtext", {"a.txt": "zipped"})
    assert available("webtext")
    assert rows("webtext") == [("a", "zipped")]
    (data / "corpora" / "webtext").mkdir()
    (data / "corpora" / "webtext" / "a.txt").write_text("unpacked")
    assert rows("webtext") == [("a", "unpacked")]


def test_the_path_is_nltks_own_after_nltk_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = ModuleType("nltk.data")
    loaded.path = [str(tmp_path / "b"), "~/c", "~nobody-of-this-name/d"]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "nltk.data", loaded)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NLTK_DATA", f"{tmp_path / 'a'}:{tmp_path / 'b'}:")
    assert nltk_data.search_path() == [
        tmp_path / "a",
        tmp_path / "b",
        tmp_path / "c",
        Path("~nobody-of-this-name/d"),
    ]


def test_without_nltk_loaded_the_path_is_what_it_would_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("NLTK_DATA", raising=False)
    import nltk.data

    # What was loaded may have seen other settings: compare what does not hang on them.
    theirs = [Path(place) for place in nltk.data.path if place.startswith(("/usr", sys.prefix))]
    monkeypatch.delitem(sys.modules, "nltk.data")
    mine = nltk_data.search_path()
    assert mine[0] == tmp_path / "nltk_data"
    assert set(theirs) <= set(mine)


@pytest.mark.parametrize("name", ["", ".", "..", "../corpora/webtext", "/etc", "a/b", "a\\b", "ü"])
def test_a_name_that_is_none_of_a_package_is_looked_for_nowhere(
    data: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nltk_data, "_fetch", lambda name: pytest.fail("asked for"))
    assert not available(name)
    with pytest.raises(BadCorpus, match="no NLTK package"):
        read(name, Tally())


def test_a_missing_package_is_told_with_the_way_to_get_it(data: Path) -> None:
    with pytest.raises(BadCorpus, match="corpora/brown") as caught:
        read("brown", Tally(), download=False)
    assert str(data) in caught.value.message
    assert "python -m nltk.downloader brown" in caught.value.hint
    assert "NLTK_DATA" in caught.value.hint


def test_nltk_fetches_a_missing_package_when_allowed(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import nltk

    asked: list[str] = []

    def download(name: str, **options: object) -> bool:
        asked.append(name)
        assert options["quiet"] is True
        assert options["raise_on_error"] is False
        package(data, name, {"a.txt": "hello"})
        return True

    monkeypatch.setattr(nltk, "download", download)
    with pytest.raises(BadCorpus):
        read("webtext", Tally(), download=False)
    assert asked == []
    assert list(read("webtext", Tally())) == [Message("a", "hello")]
    assert list(read("webtext", Tally())) == [Message("a", "hello")]
    assert asked == ["webtext"]


@pytest.mark.parametrize("raises", [False, True])
def test_a_download_that_fails_is_told(
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
    raises: bool,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import nltk

    def download(name: str, print_error_to: object = None, **options: object) -> bool:
        if raises:
            raise OSError("no route to host")
        print("[nltk_data] Error: no route\n[nltk_data]     to host", file=print_error_to)  # type: ignore[call-overload]
        return False

    monkeypatch.setattr(nltk, "download", download)
    with pytest.raises(BadCorpus, match="no route to host") as caught:
        read("webtext", Tally())
    assert caught.value.hint
    assert capsys.readouterr() == ("", "")


# Each corpus


def test_nps_chat_posts_are_as_typed_without_those_of_the_system(data: Path) -> None:
    posts = [
        ("Greet", "10-01-20sUser1", "hi  ALL &lt;3 10-01-20sUser2 "),
        ("System", "10-01-20sUser2", "JOIN"),
        ("System", "10-01-20sUser2", ".ACTION waves"),
        ("Emotion", "10-01-20sUser2", ":)"),
        ("Other", "10-01-20sUser2", "  "),
        ("Other", "", "whose?"),
    ]
    xml = "".join(
        f'<Post class="{kind}" user="{user}">{text}<terminals><t pos="UH" word="x"/></terminals>'
        "</Post>\n"
        for kind, user, text in posts
    )
    package(
        data,
        "nps_chat",
        {
            "README.txt": "not this",
            "posts.xsd": "<not-this/>",
            "10-01-20s_6posts.xml": f"<!-- made --><Session><Posts>{xml}</Posts></Session>",
            "10-02-20s_1posts.xml": '<Session><Posts><Post user="10-02-20sUser1">yo</Post></Posts>'
            "</Session>",
        },
    )
    tally = Tally()
    assert rows("nps_chat", tally) == [
        ("10-01-20sUser1", "hi  ALL <3 10-01-20sUser2"),
        ("10-01-20sUser2", ":)"),
        ("10-02-20sUser1", "yo"),
    ]
    assert tally.skipped == {
        "other file": 2,
        "system line": 1,
        "action": 1,
        "empty message": 1,
        "no author": 1,
    }


BOMB = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10}">' for i in range(1, 9))


@pytest.mark.parametrize("name", ["nps_chat", "shakespeare"])
@pytest.mark.parametrize(
    "xml",
    [
        f'<!DOCTYPE a [<!ENTITY e0 "ha">{BOMB}]><Session><Post user="a">&e8;</Post></Session>',
        '<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]><a><Post user="a">&e;</Post></a>',
        '<Session><Post user="a">hello</Post>',
        "",
    ],
)
def test_xml_that_is_hostile_or_broken_is_named(data: Path, name: str, xml: str) -> None:
    package(data, name, {"x.xml": xml})
    with pytest.raises(BadCorpus, match=r"x\.xml is no XML") as caught:
        rows(name)
    assert caught.value.hint
    tally = Tally(lenient=True)
    rows(name, tally)
    assert tally.skipped["half a file"] == 1


def test_shakespeares_characters_speak_without_stage_directions(data: Path) -> None:
    speeches = [
        ("<SPEAKER>Zed</SPEAKER>", "<LINE>One <STAGEDIR>Aside</STAGEDIR>two,</LINE><LINE>3</LINE>"),
        ("<SPEAKER>ZED</SPEAKER><SPEAKER>ANN</SPEAKER>", "<LINE>Four.</LINE>"),
        ("<SPEAKER>All</SPEAKER>", "<LINE>Five.</LINE>"),
        ("", "<LINE>Six.</LINE>"),
    ]
    xml = "".join(f"<SPEECH>{who}{what}</SPEECH>" for who, what in speeches)
    package(data, "shakespeare", {"play.xml": f"<PLAY>{xml}</PLAY>", "play.dtd": "not this"})
    tally = Tally()
    assert rows("shakespeare", tally) == [("play/ZED", "One two, 3"), ("play/ZED", "Four.")]
    assert tally.skipped == {"no author": 2, "other file": 1}


def test_gutenberg_has_authors_and_paragraphs(data: Path) -> None:
    package(
        data,
        "gutenberg",
        {
            "doe-one.txt": "[One by J. Doe 1900]\n\nCHAPTER I\n\n\nIt was a\n  dark night.\n \n[Sic]\n",
            "doe-two.txt": "No title.\n\nEnd",
            "roe-caf\xe9.txt": b"[Caf\xe9]\r\n\r\nCaf\xe9\r\nnoir\r\n",
            "README": "not this",
        },
    )
    tally = Tally()
    assert rows("gutenberg", tally) == [
        ("doe", "CHAPTER I"),
        ("doe", "It was a dark night."),
        ("doe", "[Sic]"),
        ("doe", "No title."),
        ("doe", "End"),
        ("roe", "Café noir"),
    ]
    assert tally.skipped == {"other file": 1, "system line": 2}


def test_a_paragraph_without_end_comes_in_pieces(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nltk_corpora, "MAX_LINE", 7)
    package(data, "gutenberg", {"doe-one.txt": "abc\n" * 5})
    assert [text for _, text in rows("gutenberg")] == ["abc abc abc", "abc abc"]


def test_presidents_of_one_surname_are_told_apart_by_their_terms(data: Path) -> None:
    names = ["1900-Doe", "1904-Doe", "1912-Doe", "1928-Doe", "1932-Doe-1", "1932-Doe-2", "1940-Roe"]
    for corpus in ("inaugural", "state_union"):
        package(data, corpus, {f"{name}.txt": f"I am {name}." for name in names})
        assert rows(corpus) == [
            ("Doe (1900)", "I am 1900-Doe."),
            ("Doe (1900)", "I am 1904-Doe."),
            ("Doe (1900)", "I am 1912-Doe."),
            ("Doe (1928)", "I am 1928-Doe."),
            ("Doe (1928)", "I am 1932-Doe-1."),
            ("Doe (1928)", "I am 1932-Doe-2."),
            ("Roe", "I am 1940-Roe."),
        ]


def test_what_stands_before_an_address_is_no_part_of_it(data: Path) -> None:
    text = "PRESIDENT DOE'S ADDRESS\n \nMay 1, 1900\n\nFriends:\nMay 2, 1900\n\nI SAY SO.\n"
    package(data, "state_union", {"1900-Doe.txt": text, "README": "not this"})
    tally = Tally()
    assert [text for _, text in rows("state_union", tally)] == [
        "Friends:",
        "May 2, 1900",
        "I SAY SO.",
    ]
    assert tally.skipped == {"system line": 2, "other file": 1}


def test_brown_is_joined_to_text(data: Path) -> None:
    text = (
        "\n\n\tThe/at cat/nn ,/, ``/`` Tom/np ''/'' (/( 1/cd )/) sat/vbd ./.\n"
        "Yes/rb ?/. and\\/or/cc ''/'' 1/2/cd bare\n"
    )
    package(data, "brown", {"ca01": text, "cats.txt": "ca01 news", "README": "x", "CONTENTS": "x"})
    tally = Tally()
    assert rows("brown", tally) == [
        ("ca01", 'The cat, "Tom" (1) sat.'),
        ("ca01", 'Yes? and\\/or" 1/2 bare'),
    ]
    assert tally.skipped == {"other file": 3}
    assert tally.remarks == {"words with tags, joined to a text": 2}


CALLS = (
    "A.1: Well, <laughter> I don't, -\nB.2: <Noise>.\nB.3: <cough>\nodd line\nA.4: know - it. +\n\n"
    "\nA.1: Hi.\n"
)
TAGGED = "A.1: Well/UH ,/, I/PRP do/VBP n't/RB ./.\nB.2: It/PRP 's/BES ./.\n\nA.1: Hi/UH ./.\n"


def test_switchboard_has_callers_per_call(data: Path) -> None:
    package(data, "switchboard", {"transcript": CALLS, "tagged": TAGGED, "README": "x"})
    tally = Tally()
    assert rows("switchboard", tally) == [
        ("1.A", "Well, I don't,"),
        ("1.B", "."),
        ("1.A", "know it."),
        ("2.A", "Hi."),
    ]
    assert tally.skipped == {"other file": 2, "empty message": 1, "bad line": 1}


def test_switchboard_is_joined_from_words_where_there_is_no_transcript(data: Path) -> None:
    package(data, "switchboard", {"tagged": TAGGED})
    assert rows("switchboard") == [("1.A", "Well, I don't."), ("1.B", "It's."), ("2.A", "Hi.")]


def tweet(user: object, text: object, **more: object) -> str:
    return json.dumps({"user": {"screen_name": user}, "text": text, **more})


def test_tweets_have_accounts_and_times(data: Path) -> None:
    when = "Thu Apr 30 21:34:06 +0000 2015"
    lines = [
        tweet("ann", "a &amp; b &lt;3", created_at=when),
        tweet("ben", "cut", full_text="not cut", created_at="Thu Foo 30 21:34:06 +0000 2015"),
        tweet("ann", "RT @ben: not cut", retweeted_status={"text": "not cut"}),
        "",
        tweet(None, "whose?"),
        tweet("ann", ["no text"], created_at=7),
        "[1]",
    ]
    package(data, "twitter_samples", {"a.json": "\n".join(lines), "README.txt": "x"})
    tally = Tally()
    assert list(read("twitter_samples", tally, download=False)) == [
        Message("ann", "a & b <3", datetime(2015, 4, 30, 21, 34, 6, tzinfo=UTC)),
        Message("ben", "not cut"),
    ]
    assert tally.skipped == {
        "other file": 1,
        "retweet": 1,
        "no author": 1,
        "empty message": 2,
    }


def test_a_tweet_that_is_no_json_is_named_or_counted(data: Path) -> None:
    package(data, "twitter_samples", {"a.json": tweet("ann", "hi") + '\n{"user"\n'})
    with pytest.raises(BadCorpus, match=r"a\.json, line 2: not JSON"):
        rows("twitter_samples")
    tally = Tally(lenient=True)
    assert rows("twitter_samples", tally) == [("ann", "hi")]
    assert tally.skipped == {"bad line": 1}


def test_webtext_has_a_message_a_line(data: Path) -> None:
    package(data, "webtext", {"fire.txt": "one\n\ntwo\n", "README": "x"})
    assert rows("webtext") == [("fire", "one"), ("fire", "two")]


def test_any_other_package_is_read_as_plain_text(data: Path) -> None:
    package(
        data,
        "my_texts.v2",
        {
            "pos/wrapped.txt": "one\ntwo\n\nthree\n",
            "long": "a" * 101 + "\n\nb\n",
            "lines.txt": "one\ntwo\n",
            "README.txt": "x",
            "cats.txt": "x",
            "LICENSE": "x",
            "table.csv": "x",
            "binary": b"a\0b",
        },
    )
    tally = Tally()
    assert rows("my_texts.v2", tally) == [
        ("lines", "one"),
        ("lines", "two"),
        ("long", "a" * 101),
        ("long", "b"),
        ("pos/wrapped", "one two"),
        ("pos/wrapped", "three"),
    ]
    assert tally.skipped == {"other file": 5}


def test_a_damaged_package_is_told(data: Path) -> None:
    package(data, "webtext", {"a.txt": "hello " * 1000})
    path = data / "corpora" / "webtext.zip"
    raw = bytearray(path.read_bytes())
    raw[90:100] = b"x" * 10
    path.write_bytes(raw)
    with pytest.raises(BadCorpus, match="damaged"):
        rows("webtext")
    path.write_bytes(b"no zip")
    tally = Tally()
    assert rows("webtext", tally) == []
    assert tally.skipped == {"other file": 1}


NAMES = ["a.txt", "1900-Doe.txt", "doe-a.txt", "x.xml", "x.json", "ca01", "transcript", "tagged"]


@given(
    st.sampled_from([*KNOWN, "other"]),
    st.dictionaries(
        st.sampled_from(NAMES),
        st.binary(max_size=60)
        | st.sampled_from(
            [
                b'{"user": [], "text": 1e300}',
                b'{"user": {"screen_name": 1}, "text": null, "created_at": 1e300}',
                b"<PLAY><SPEECH/><Post/></PLAY>",
                b"/ // '' ``/",
                b"A.1:\nA.1: <\n",
            ]
        ),
    ),
    st.booleans(),
)
@example("inaugural", {"1900-Doe.txt": b"hello", "a.txt": b""}, False)
def test_whatever_a_package_holds_nothing_but_bad_corpus_is_raised(
    name: str, files: dict[str, bytes], lenient: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        (Path(folder) / "corpora" / name).mkdir(parents=True)
        patch.setattr(nltk_data, "search_path", lambda: [Path(folder)])
        for path, content in files.items():
            (Path(folder) / "corpora" / name / path).write_bytes(content)
        try:
            found = list(read(name, Tally(lenient=lenient), download=False))
        except BadCorpus as error:
            assert folder in error.message
            assert error.hint
        else:
            assert all(m.user and m.text.strip() == m.text for m in found)
            assert all(m.text for m in found)


def test_years_near_the_start_of_time_are_years_too(data: Path) -> None:
    package(data, "inaugural", {"0001-Doe.txt": "hello", "0008-Doe.txt": "hello"})
    assert rows("inaugural") == [("Doe", "hello"), ("Doe", "hello")]


# The real ones


@pytest.fixture(params=["zipped", "unpacked"])
def real(data: Path, real_corpora: Path, request: pytest.FixtureRequest) -> Path:
    for name in ("nps_chat", "shakespeare"):
        if request.param == "zipped":
            (data / "corpora" / f"{name}.zip").symlink_to(real_corpora / f"{name}.zip")
        else:
            shutil.unpack_archive(real_corpora / f"{name}.zip", data / "corpora")
    return data


def test_the_real_chat_has_all_its_posts(real: Path) -> None:
    tally = Tally()
    found = rows("nps_chat", tally)
    assert len(found) + tally.skipped["system line"] + tally.skipped["action"] == 10_567
    assert len(found) == 7_935
    assert not {text for _, text in found} & {"JOIN", "PART"}
    assert len({user for user, _ in found}) == 698
    assert set(tally.skipped) == {"system line", "action", "other file"}


def test_nltks_own_reader_finds_the_same_posts(data: Path, real_corpora: Path) -> None:
    from nltk.corpus.reader import NPSChatCorpusReader

    shutil.unpack_archive(real_corpora / "nps_chat.zip", data / "corpora")
    theirs = NPSChatCorpusReader(str(data / "corpora" / "nps_chat"), r".+\.xml").xml_posts()
    assert rows("nps_chat") == [
        (post.get("user"), (post.text or "").strip())
        for post in theirs
        if post.get("class") != "System"
    ]


def test_the_real_plays_have_their_characters(real: Path) -> None:
    found = rows("shakespeare")
    assert len(found) == 6_871
    assert len({user.partition("/")[0] for user, _ in found}) == 8
    assert ("hamlet/HORATIO", "Friends to this ground.") in found
