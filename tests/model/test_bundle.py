from __future__ import annotations

import hashlib
import json
import os
import pickle
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save

from nwp.errors import BadBundle
from nwp.model.bundle import Bundle, load_bundle, save_bundle
from nwp.model.config import ModelConfig
from nwp.model.runtime import Runtime
from nwp.tasks.start import start_bundle, weights_of
from nwp.text.vocabulary import Vocabulary

CONFIG = ModelConfig(vocabulary=9, embedding=5, hidden=7, projection=5, marks=16)
WORDS = Vocabulary.from_lists(["the", "i'm", "café", "2025"], {"i'm": "I'm"})
ABOUT: dict[str, Any] = {
    "corpus": "sample",
    "users": 32,
    "words": 57_000,
    "workers": 4,
    "k": 3,
    "vocabulary": 4,
    "nwp": "0.1.0",
    "best_round": 7,
    "valid": {"perplexity": 123.456, "top1": 0.15, "top3": 0.25, "oov_rate": 0.05},
    "training": {
        "rounds": 10,
        "cohort": 8,
        "epochs": 1,
        "batch": 16,
        "learning_rate": 0.5,
        "optimizer": "adam",
        "server_learning_rate": 0.01,
        "seed": 3,
        "plan": "0123456789abcdef" * 4,
    },
    "command": "nwp train sample --out café",
    "from": None,
}
FILES = ["README.md", "model.safetensors", "settings.json", "vocabulary.json"]


@pytest.fixture
def bundle() -> Bundle:
    frequencies = [0.1234567891, 0.2, 0.3, 0.1765432109, 0.2 - 1e-9, 1e-9]
    return replace(start_bundle(CONFIG, WORDS, frequencies, 3), about=ABOUT)


@pytest.fixture
def folder(bundle: Bundle, tmp_path: Path) -> Path:
    save_bundle(bundle, tmp_path / "bundle")
    return tmp_path / "bundle"


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def change_settings(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "settings.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    change(settings)
    path.write_text(json.dumps(settings), encoding="utf-8")


def replace_file(folder: Path, name: str, data: bytes) -> None:
    """Put another file into a bundle, checksum and all."""
    (folder / name).write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    change_settings(folder, lambda settings: settings["sha256"].update({name: digest}))


def test_a_bundle_is_four_files(folder: Path) -> None:
    assert sorted(files_of(folder)) == FILES


def test_what_is_saved_is_loaded(bundle: Bundle, folder: Path) -> None:
    found = load_bundle(folder)
    assert (found.config, found.vocabulary) == (bundle.config, bundle.vocabulary)
    assert dict(found.about) == ABOUT
    assert found.frequencies == pytest.approx(bundle.frequencies, rel=1e-5)
    assert set(found.tensors) == set(bundle.tensors)
    for name, tensor in bundle.tensors.items():
        assert found.tensors[name].dtype == np.float32
        assert np.array_equal(found.tensors[name], tensor), name
    assert np.array_equal(weights_of(found), weights_of(bundle))


def test_a_bundle_saved_twice_has_equal_bytes(bundle: Bundle, folder: Path) -> None:
    backwards = dict(reversed(list(bundle.tensors.items())))
    save_bundle(replace(bundle, tensors=backwards), folder.with_name("again"))
    save_bundle(load_bundle(folder), folder.with_name("loaded"))
    assert files_of(folder.with_name("again")) == files_of(folder)
    assert files_of(folder.with_name("loaded")) == files_of(folder)


def test_saving_over_a_bundle_replaces_it(bundle: Bundle, folder: Path) -> None:
    other = replace(start_bundle(CONFIG, WORDS, [1 / 6] * 6, 4), about=ABOUT)
    save_bundle(other, folder)
    assert np.array_equal(weights_of(load_bundle(folder)), weights_of(other))
    assert sorted(files_of(folder)) == FILES


def test_the_way_weights_lie_in_memory_does_not_matter(bundle: Bundle, folder: Path) -> None:
    lying = {name: np.asfortranarray(tensor) for name, tensor in bundle.tensors.items()}
    assert not lying["embed.weight"].flags.c_contiguous
    save_bundle(replace(bundle, tensors=lying), folder.with_name("lying"))
    assert files_of(folder.with_name("lying")) == files_of(folder)


def test_weights_are_in_the_published_safetensors_layout(bundle: Bundle, folder: Path) -> None:
    data = (folder / "model.safetensors").read_bytes()
    [length] = struct.unpack("<Q", data[:8])
    header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    assert set(header) == set(bundle.tensors)
    for name, entry in header.items():
        start, stop = entry["data_offsets"]
        assert entry["dtype"] == "F32"
        found = np.frombuffer(body[start:stop], "<f4").reshape(entry["shape"])
        assert np.array_equal(found, bundle.tensors[name])


def test_settings_hold_the_checksums_of_the_other_files(folder: Path) -> None:
    settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    assert settings["format"] == 1
    assert settings["sha256"] == {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in ("model.safetensors", "vocabulary.json")
    }


def test_the_card_names_the_corpus_the_scores_and_the_command(folder: Path) -> None:
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\n")
    for said in ("32 users", "123.5", "15.0%", "nwp train sample --out café", "differential"):
        assert said in card


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadBundle, match="no bundle at") as caught:
        load_bundle(tmp_path / "none")
    assert "nwp train" in caught.value.hint
    (tmp_path / "file").write_text("")
    with pytest.raises(BadBundle, match="no bundle at"):
        load_bundle(tmp_path / "file")


@pytest.mark.parametrize("name", ["model.safetensors", "settings.json", "vocabulary.json"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(BadBundle, match=name) as caught:
        load_bundle(folder)
    assert caught.value.hint


@pytest.mark.parametrize("name", ["model.safetensors", "settings.json", "vocabulary.json"])
def test_a_folder_in_a_files_place_is_a_bad_bundle(folder: Path, name: str) -> None:
    (folder / name).unlink()
    (folder / name).mkdir()
    with pytest.raises(BadBundle, match=name):
        load_bundle(folder)


def test_a_bundle_without_its_card_still_loads(folder: Path) -> None:
    (folder / "README.md").unlink()
    assert load_bundle(folder).config == CONFIG


@pytest.mark.parametrize("name", ["model.safetensors", "vocabulary.json"])
@pytest.mark.parametrize("at", [0, 0.5, 1])
def test_one_changed_bit_is_found(folder: Path, name: str, at: float) -> None:
    data = bytearray((folder / name).read_bytes())
    data[round(at * (len(data) - 1))] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(BadBundle, match=f"{name} is damaged") as caught:
        load_bundle(folder)
    assert caught.value.hint


@pytest.mark.parametrize("name", ["model.safetensors", "vocabulary.json"])
def test_a_file_cut_short_is_found(folder: Path, name: str) -> None:
    (folder / name).write_bytes((folder / name).read_bytes()[:-1])
    with pytest.raises(BadBundle, match=f"{name} is damaged"):
        load_bundle(folder)


@pytest.mark.parametrize("other", [0, 2, "1", None])
def test_another_format_is_refused_before_anything_else(folder: Path, other: object) -> None:
    change_settings(folder, lambda s: (s.clear(), s.update(format=other)))
    with pytest.raises(BadBundle, match=f"format {other!r}.*format 1") as caught:
        load_bundle(folder)
    assert "version" in caught.value.hint


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '"format"', "{}", '{"format": 1}'])
def test_settings_that_are_none_are_damaged(folder: Path, text: str) -> None:
    (folder / "settings.json").write_text(text)
    with pytest.raises(BadBundle, match=r"settings\.json is damaged") as caught:
        load_bundle(folder)
    assert caught.value.hint


@pytest.mark.parametrize(
    "model",
    [
        {"hidden": 8},
        {"vocabulary": 10},
        {"first_output": 4},
        {"layers": 2},
        {"marks": 0},
        {"tied": False},
        {"projection": 4},
        {"layers": 1.0},
        {"layers": "1"},
        {"hidden": 0},
        {"vocabulary": None},
        {"surprise": 1},
    ],
)
def test_sizes_that_do_not_fit_the_weights_are_refused(
    folder: Path, model: dict[str, object]
) -> None:
    change_settings(folder, lambda settings: settings["model"].update(model))
    with pytest.raises(BadBundle, match=r"does not fit together|of other sizes") as caught:
        load_bundle(folder)
    assert caught.value.hint


@pytest.mark.parametrize("key", ["model", "sha256", "about"])
@pytest.mark.parametrize("value", [None, 7, "text", [1]])
def test_settings_of_another_form_are_refused(folder: Path, key: str, value: object) -> None:
    change_settings(folder, lambda settings: settings.update({key: value}))
    with pytest.raises(BadBundle) as caught:
        load_bundle(folder)
    assert caught.value.hint


@pytest.mark.parametrize(
    "change",
    [
        {"words": ["the", "i'm", "café"]},
        {"words": ["the", "the", "café", "2025"]},
        {"words": None},
        {"surfaces": {"the": "it"}},
        {"surfaces": ["I'm"]},
        {"frequencies": [0.5, 0.5]},
        {"frequencies": ["often"] * 6},
    ],
)
def test_a_vocabulary_that_does_not_fit_is_refused(folder: Path, change: dict[str, object]) -> None:
    words = json.loads((folder / "vocabulary.json").read_text(encoding="utf-8")) | change
    replace_file(folder, "vocabulary.json", json.dumps(words).encode())
    with pytest.raises(BadBundle, match=r"does not fit together|of other sizes"):
        load_bundle(folder)


@pytest.mark.parametrize("number", [np.float64, np.float16, np.int32])
def test_weights_of_another_number_type_are_refused(
    bundle: Bundle, folder: Path, number: type[Any]
) -> None:
    other = {name: tensor.astype(number) for name, tensor in bundle.tensors.items()}
    replace_file(folder, "model.safetensors", save(other))
    with pytest.raises(BadBundle, match="other sizes or types"):
        load_bundle(folder)


class Trap:
    """Whoever unpickles this has a variable more in the environment."""

    def __reduce__(self) -> tuple[object, ...]:
        return exec, ("import os; os.environ['NWP_TRAP'] = 'sprung'",)


def test_a_pickle_in_the_weights_place_is_refused_and_not_run(folder: Path, tmp_path: Path) -> None:
    torch.save({"embed.weight": Trap()}, tmp_path / "trap.pt")
    for data in (pickle.dumps(Trap()), (tmp_path / "trap.pt").read_bytes()):
        replace_file(folder, "model.safetensors", data)
        with pytest.raises(BadBundle, match="does not fit together"):
            load_bundle(folder)
    assert "NWP_TRAP" not in os.environ


def test_a_bundle_predicts_without_torch(bundle: Bundle, folder: Path) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "from nwp.model.bundle import load_bundle; from nwp.model.runtime import Runtime\n"
        "bundle = load_bundle(Path(sys.argv[1]))\n"
        "runtime = Runtime(bundle.config, bundle.tensors)\n"
        "best = runtime.log_probabilities(runtime.step(runtime.start(), 1, 0)).argmax()\n"
        "heavy = {'torch', 'torchtext', 'syft_rds', 'nltk'} & set(sys.modules)\n"
        "print(best, sorted(heavy))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    runtime = Runtime(bundle.config, bundle.tensors)
    best = runtime.log_probabilities(runtime.step(runtime.start(), 1, 0)).argmax()
    assert (done.stdout, done.stderr) == (f"{best} []\n", "")
