"""One door for models of others: from what lies on disk to a vocabulary and a predictor over it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nwp.errors import BadInput
from nwp.evaluation.scoring import Predictor
from nwp.foreign.arpa import read_arpa
from nwp.foreign.backoff import BackOff
from nwp.model.bundle import SETTINGS
from nwp.text.vocabulary import Vocabulary

ARPA, HUGGING_FACE, ONNX = "arpa", "huggingface", "onnx"
_ARPA_NAME = re.compile(r"\.arpa(\.(gz|bz2|xz))?$", re.IGNORECASE)


@dataclass(frozen=True)
class Foreign:
    """A model of others: the words that it knows, and `predictor`, which makes of some messages what
    predicts their words, encoded with this vocabulary. `about` is its kind and size, as plain data."""

    vocabulary: Vocabulary
    predictor: Callable[[Sequence[str]], Predictor]
    about: Mapping[str, Any]


def kind_of(path: Path) -> str | None:
    """What kind of foreign model lies there: a file by its name, a folder by its files. None for none,
    so that it may be a bundle."""
    if path.is_dir():
        found = (path / "config.json").is_file() and not (path / SETTINGS).exists()
        return HUGGING_FACE if found else None
    if path.suffix.lower() == ".onnx":
        return ONNX
    return ARPA if _ARPA_NAME.search(path.name) else None


def load_predictor(path: Path, vocabulary: Callable[[], Vocabulary]) -> Foreign:
    """Load a foreign model; `vocabulary` is asked for when the model has no words of its own.

    BadInput says what is wrong with it.
    """
    kind = kind_of(path)
    if kind is None:
        raise BadInput(
            f"{path} is no model of a known kind",
            "ARPA files end in .arpa or .arpa.gz, ONNX files in .onnx; folders of Hugging Face's library "
            "have config.json.",
        )
    if kind == HUGGING_FACE:
        from nwp.foreign.subwords import load_subwords

        subwords = load_subwords(path, vocabulary())
        weights = sum(int(w.numel()) for w in subwords.model.parameters())
        about = {"kind": kind, "parameters": weights, "followed_from": subwords.least}
        return Foreign(subwords.vocabulary, subwords.reading, about)
    if kind == ONNX:
        from nwp.foreign.stepping import Stepping

        stepping = Stepping.load(path)
        return Foreign(stepping.vocabulary, lambda _: stepping, {"kind": kind})
    arpa = read_arpa(path)
    model = BackOff.of(arpa)
    about = {"kind": kind, "ngrams": list(arpa.listed), "words_left_out": arpa.left_out}
    return Foreign(arpa.vocabulary, lambda _: model, about)
