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
from nwp.text.vocabulary import Vocabulary

ARPA = "arpa"
_ARPA_NAME = re.compile(r"\.arpa(\.(gz|bz2|xz))?$", re.IGNORECASE)


@dataclass(frozen=True)
class Foreign:
    """A model of others: the words that it knows, and `predictor`, which makes of some messages what
    predicts their words, encoded with this vocabulary. `about` is its kind and size, as plain data."""

    vocabulary: Vocabulary
    predictor: Callable[[Sequence[str]], Predictor]
    about: Mapping[str, Any]


def kind_of(path: Path) -> str | None:
    """What kind of foreign model lies there, by its name; None for none, so that it may be a bundle."""
    return ARPA if _ARPA_NAME.search(path.name) and not path.is_dir() else None


def load_predictor(path: Path) -> Foreign:
    """Load a foreign model; BadInput says what is wrong with it."""
    if kind_of(path) is None:
        raise BadInput(
            f"{path} is no model of a known kind", "ARPA files end in .arpa or .arpa.gz."
        )
    arpa = read_arpa(path)
    model = BackOff.of(arpa)
    about = {"kind": ARPA, "ngrams": list(arpa.listed), "words_left_out": arpa.left_out}
    return Foreign(arpa.vocabulary, lambda _: model, about)
