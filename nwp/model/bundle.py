"""A bundle: a finished model as a folder. Weights as safetensors, the rest as JSON; no pickle.

    model.safetensors   the weights by name: float32, or smaller (`nwp.model.storage`)
    vocabulary.json     words in order of their ids, surfaces, how often each was expected at the start
    ngrams.safetensors  the n-gram expert (`nwp.model.expert`), where there is one
    settings.json       format, sizes, what it was trained on and how, SHA-256 of the files above
    README.md           the model card, for people

`settings.json` is written last: a folder without it is no bundle yet.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from nwp.errors import BadBundle, BadSettings
from nwp.files import shipped, write_atomic
from nwp.model.card import model_card
from nwp.model.config import ModelConfig
from nwp.model.expert import Expert, as_arrays, from_arrays
from nwp.model.storage import read_weights, write_weights
from nwp.text.vocabulary import FIRST_WORD, Vocabulary

FORMAT = 1
WEIGHTS, VOCABULARY, NGRAMS, SETTINGS, CARD = (
    "model.safetensors",
    "vocabulary.json",
    "ngrams.safetensors",
    "settings.json",
    "README.md",
)
FILES = (WEIGHTS, VOCABULARY, NGRAMS, SETTINGS, CARD)
_AGAIN = "Fetch or train it again."
_UNFIT = (ValueError, KeyError, TypeError, AttributeError)  # what data of another form leads to

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Bundle:
    """A model, whole. `tensors` by name; `frequencies` of the output ids (end, unknown, words), as
    known before training; `about` what it was trained on, how, and how well it does; `storage` what the
    weights are, or were, in the file; `expert` n-grams to mix with the model, if it has any."""

    config: ModelConfig
    vocabulary: Vocabulary
    frequencies: tuple[float, ...]
    tensors: Mapping[str, FloatArray]
    about: Mapping[str, Any]
    storage: str = "fp32"
    expert: Expert | None = None


def default_bundle() -> Path:
    """The folder of the bundle that ships."""
    return shipped("models") / "chat"


def named_bundle(name: str) -> Path:
    """The folder of that name, or else the bundle of that name that comes with nwp, like "chat"."""
    folder, known = Path(name), shipped("models") / name
    return known if known.is_dir() and not folder.exists() else folder


def save_bundle(bundle: Bundle, folder: Path) -> None:
    """Write a bundle; equal bundles give equal bytes.

    OSError, with the file's name, when the disk is full or may not be written.
    """
    frequencies = [float(f"{f:.6g}") for f in bundle.frequencies]
    words = {**bundle.vocabulary.as_dict(), "frequencies": frequencies}
    files: dict[str, bytes] = {
        WEIGHTS: write_weights(bundle.tensors, bundle.storage),
        VOCABULARY: (json.dumps(words, ensure_ascii=False, indent=0) + "\n").encode(),
    }
    if bundle.expert is not None:
        files[NGRAMS] = save(as_arrays(bundle.expert, bundle.config.outputs))
    (folder / SETTINGS).unlink(missing_ok=True)  # what is there is no bundle any more
    (folder / NGRAMS).unlink(missing_ok=True)
    for name, data in files.items():
        write_atomic(folder / name, data)
    settings = {
        "format": FORMAT,
        "model": bundle.config.as_dict(),
        **({} if bundle.storage == "fp32" else {"storage": bundle.storage}),
        "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
        "about": dict(bundle.about),
    }
    write_atomic(folder / CARD, model_card(settings, sum(t.size for t in bundle.tensors.values())))
    write_atomic(folder / SETTINGS, json.dumps(settings, indent=1, ensure_ascii=False) + "\n")


def load_bundle(folder: Path) -> Bundle:
    """Read a bundle and check every file; BadBundle says which is missing, damaged or foreign."""
    if not folder.is_dir():
        raise BadBundle(
            f"no bundle at {folder}", "Train one with `nwp train`, or leave --model out."
        )
    settings = _settings(folder)
    names = [WEIGHTS, VOCABULARY, *([NGRAMS] if NGRAMS in settings["sha256"] else [])]
    raw = {name: _checked(folder / name, settings) for name in names}
    try:
        config = ModelConfig(**settings["model"])
        words = json.loads(raw[VOCABULARY])
        vocabulary = Vocabulary.from_lists(words["words"], words["surfaces"])
        frequencies = tuple(float(f) for f in words["frequencies"])
        tensors = read_weights(raw[WEIGHTS])
        about = dict(settings["about"])
        expert = from_arrays(load(raw[NGRAMS]), config.outputs) if NGRAMS in raw else None
    except (*_UNFIT, SafetensorError, BadSettings) as error:
        raise BadBundle(f"the bundle {folder} does not fit together: {error}", _AGAIN) from error
    if (
        config.vocabulary != FIRST_WORD + len(vocabulary.words)
        or len(frequencies) != config.outputs
        or {name: tensor.shape for name, tensor in tensors.items()} != config.shapes()
        or any(tensor.dtype != np.float32 for tensor in tensors.values())
    ):
        raise BadBundle(f"the bundle {folder} has weights of other sizes or types", _AGAIN)
    storage = str(settings.get("storage", "fp32"))
    return Bundle(config, vocabulary, frequencies, tensors, about, storage, expert)


def _settings(folder: Path) -> dict[str, Any]:
    path = folder / SETTINGS
    if not path.exists():
        raise BadBundle(
            f"{folder} has no {SETTINGS}: it is no bundle, or one whose training has not finished",
            "If it is being trained, wait, or finish it with `nwp train … --resume`.",
        )
    try:
        settings: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        found = settings["format"]
    except (OSError, *_UNFIT) as error:
        raise BadBundle(f"{path} is damaged: {error}", _AGAIN) from error
    if found != FORMAT:
        raise BadBundle(
            f"{folder} is a bundle of format {found!r}, this nwp reads format {FORMAT}",
            "Use the nwp version that made it, or train it again.",
        )
    if not isinstance(settings.get("sha256"), dict):
        raise BadBundle(f"{path} is damaged: it has no checksums", _AGAIN)
    return settings


def _checked(path: Path, settings: Mapping[str, Any]) -> bytes:
    """A file of the bundle, held against its checksum."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadBundle(f"{path} can't be read: {error.strerror}", _AGAIN) from error
    wanted = settings["sha256"].get(path.name)
    if hashlib.sha256(data).hexdigest() != wanted:
        raise BadBundle(f"{path} is damaged: its checksum is not that of {SETTINGS}", _AGAIN)
    return data
