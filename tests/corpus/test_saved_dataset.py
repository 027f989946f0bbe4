from __future__ import annotations

import gzip
import json
import re
import shutil
import tempfile
import zipfile
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reading import check_damaged, read_with, said, takes

from nwp.corpus.readers.tables.saved_dataset import READER
from nwp.corpus.types import Message, Tally
from nwp.errors import BadCorpus

read, recognised = partial(read_with, READER), partial(takes, READER)

pyarrow = pytest.importorskip("pyarrow")


def arrow(path: Path, opened: Any = None, rows_at_once: int = 2, **columns: Any) -> Path:
    """An Arrow file, in the form of a stream unless `opened` says otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pyarrow.table(columns)
    opened = opened or pyarrow.ipc.new_stream
    with path.open("wb") as file, opened(file, table.schema) as writer:
        writer.write_table(table, rows_at_once)
    return path


def saved(folder: Path, *shards: list[str], user: str = "ann") -> Path:
    """A data set as the library saves it, each shard with these texts."""
    names = [f"data-{n:05}-of-{len(shards):05}.arrow" for n in range(len(shards))]
    for name, texts in zip(names, shards, strict=True):
        arrow(folder / name, author=[user] * len(texts), text=texts)
    state = {"_data_files": [{"filename": name} for name in names], "_split": "train"}
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "dataset_info.json").write_text("{}")
    return folder


def test_a_saved_data_set_is_read_shard_by_shard(tmp_path: Path) -> None:
    saved(tmp_path / "set", ["first", "second", "third"], ["fourth", ""])
    arrow(tmp_path / "set" / "cache-1a2b.arrow", author=["ann"], text=["made of it"])
    arrow(tmp_path / "set" / "old.arrow", author=["ann"], text=["not in the state"])
    archive = Path(shutil.make_archive(str(tmp_path / "set"), "zip", tmp_path, "set"))
    for path in (tmp_path / "set", archive):
        tally = Tally()
        assert recognised(path)
        assert [m.text for m in read(path, tally)] == ["first", "second", "third", "fourth"]
        assert tally.skipped == {"no text": 1, "other file": 2}


def test_splits_are_read_in_the_order_of_their_use(tmp_path: Path) -> None:
    for split in ("test", "train", "validation"):
        saved(tmp_path / split, [f"for {split}"])
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "validation", "test"]}')
    assert recognised(tmp_path)
    assert [m.text for m in read(tmp_path)] == ["for train", "for validation", "for test"]


def test_a_downloaded_repository_has_parquet(tmp_path: Path) -> None:
    from pyarrow import parquet

    (tmp_path / "data").mkdir()
    (tmp_path / "README.md").write_text("not read")
    for name in ("test-00000-of-00001", "train-00000-of-00001-0a1b"):
        table = pyarrow.table({"user_id": [1], "utterance": [name[:5]]})
        parquet.write_table(table, tmp_path / "data" / f"{name}.parquet")
    tally = Tally()
    assert recognised(tmp_path)
    assert said(read(tmp_path, tally)) == [("1", "train"), ("1", "test-")]
    assert tally.skipped == {"other file": 1}


@pytest.mark.parametrize("opened", [pyarrow.ipc.new_stream, pyarrow.ipc.new_file])
def test_one_arrow_file_in_either_form(tmp_path: Path, opened: Any) -> None:
    times = pyarrow.array([1_700_000_000_000], pyarrow.timestamp("ms", "Europe/Berlin"))
    path = arrow(tmp_path / "a.arrow", opened, user=["ann"], text=["hi"], time=times)
    packed = tmp_path / "b.arrow.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    time = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    for one in (path, packed):
        assert recognised(one)
        assert read(one) == [Message("ann", "hi", time)]


def test_columns_are_the_ones_asked_for(tmp_path: Path) -> None:
    path = saved(tmp_path, ["x"])
    assert said(read(path, columns={"user": "text", "text": "1"})) == [("x", "ann")]
    with pytest.raises(BadCorpus, match=re.escape("columns are 'author', 'text'")) as caught:
        read(path, columns={"user": "who"})
    assert "--columns" in caught.value.hint


def test_a_missing_shard_is_an_error_unless_one_is_lenient(tmp_path: Path) -> None:
    saved(tmp_path, ["first"], ["second"])
    (tmp_path / "data-00000-of-00002.arrow").unlink()
    with pytest.raises(BadCorpus, match=r"names data-00000-of-00002\.arrow, which is not there"):
        read(tmp_path)
    tally = Tally(lenient=True)
    assert [m.text for m in read(tmp_path, tally)] == ["second"]
    assert tally.skipped == {"half a file": 1}


def test_half_a_shard_is_an_error_unless_one_is_lenient(tmp_path: Path) -> None:
    path = arrow(tmp_path / "a.arrow", user=["ann"] * 4, text=["1", "2", "3", "4"])
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(BadCorpus, match="is damaged"):
        read(path)
    tally = Tally(lenient=True)
    assert [m.text for m in read(path, tally)] == ["1", "2"]
    assert tally.skipped == {"half a file": 1}


def test_a_file_that_claims_to_be_endless_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.arrow"
    path.write_bytes(b"\xff\xff\xff\xff\xff\xff\xff\x7f" + b"\0" * 64)
    with pytest.raises(BadCorpus, match="is damaged"):
        read(path)


@pytest.mark.parametrize(
    ("name", "data", "yes"),
    [
        ("a.arrow", b"ARROW1\0\0", True),
        ("a.arrow", b"\xff\xff\xff\xff\x10\0\0\0", True),
        ("a.arrow", b"text", False),
        ("cache-1.arrow", b"ARROW1\0\0", False),
        ("a.bin", b"ARROW1\0\0", False),
        ("train-00000-of-00001.parquet", b"PAR1", True),
        ("train-00000-of-00001.parquet", b"text", False),
        ("a.parquet", b"PAR1", False),
        ("state.json", b"{}", False),
    ],
)
def test_it_is_known_by_its_files(tmp_path: Path, name: str, data: bytes, yes: bool) -> None:
    (tmp_path / name).write_bytes(data)
    assert recognised(tmp_path) is yes


@pytest.mark.parametrize("state", ["[]", '{"_data_files": 5}', '{"_data_files": [1, {}]}', "null"])
def test_a_state_that_names_nothing_leaves_all_files(tmp_path: Path, state: str) -> None:
    saved(tmp_path, ["x"])
    (tmp_path / "state.json").write_text(state)
    assert said(read(tmp_path)) == [("ann", "x")]


def test_a_name_in_a_state_leads_nowhere_else(tmp_path: Path) -> None:
    saved(tmp_path / "set", ["x"])
    arrow(tmp_path / "secret.arrow", author=["zoe"], text=["secret"])
    state = {"_data_files": [{"filename": "../secret.arrow"}]}
    (tmp_path / "set" / "state.json").write_text(json.dumps(state))
    with pytest.raises(BadCorpus, match="which is not there"):
        read(tmp_path / "set")
    assert read(tmp_path / "set", Tally(lenient=True)) == []


@given(st.data(), st.sampled_from([pyarrow.ipc.new_stream, pyarrow.ipc.new_file]))
def test_damaged_arrow_is_bad_corpus(data: st.DataObject, opened: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = arrow(Path(folder) / "a.arrow", opened, user=["ann"] * 3, text=["hello"] * 3)
        whole = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(1, 4))):
            at = data.draw(st.integers(0, len(whole) - 1))
            whole[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
        path.write_bytes(whole)
        check_damaged(READER, path)


def test_a_damaged_archive_is_bad_corpus(tmp_path: Path) -> None:
    path = saved(tmp_path / "set", ["x" * 5000])
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.write(path / "data-00000-of-00001.arrow", "data-00000-of-00001.arrow")
    data = bytearray(archive.read_bytes())
    data[600] ^= 0xFF
    archive.write_bytes(data)
    with pytest.raises(BadCorpus, match="damaged"):
        read(archive)
