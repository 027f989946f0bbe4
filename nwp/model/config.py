"""The sizes of the language model, as data; no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from nwp.errors import BadSettings
from nwp.text.tokenizer import MARKS
from nwp.text.vocabulary import FIRST_OUTPUT, FIRST_WORD, Vocabulary


@dataclass(frozen=True)
class ModelConfig:
    """Embedding, one LSTM layer or more, a projection to `projection`, and the output words.

    `vocabulary` ids can be read; those from `first_output` on can be predicted. `marks` is the
    number of marks read beside each word (0: none). With `tied`, the output rows are the embedding's
    and `projection` equals `embedding` (Press and Wolf 2017, arXiv 1608.05859). `dropout` is the
    share of embedding and projection values zeroed in training.
    """

    vocabulary: int
    embedding: int = 96
    hidden: int = 256
    projection: int = 96
    layers: int = 1
    tied: bool = True
    marks: int = 16
    first_output: int = 3
    dropout: float = 0.0

    def __post_init__(self) -> None:
        sizes = (self.embedding, self.hidden, self.projection, self.layers)
        if any(
            type(n) is not int for n in (*sizes, self.vocabulary, self.marks, self.first_output)
        ):
            raise BadSettings("a model's sizes must be whole numbers", f"Given: {self}.")
        if any(size < 1 for size in sizes) or self.marks < 0:
            raise BadSettings("a model's sizes must be 1 or more", f"Given: {self}.")
        if not 0 <= self.first_output < self.vocabulary:
            raise BadSettings("the vocabulary has no word that can be predicted")
        if self.tied and self.projection != self.embedding:
            raise BadSettings(
                f"tied weights need projection = embedding, not {self.projection} and {self.embedding}",
                "Make them equal, or do not tie.",
            )
        if not 0 <= self.dropout < 1:
            raise BadSettings(f"dropout {self.dropout} is not between 0 and 1")

    @property
    def outputs(self) -> int:
        """How many ids can be predicted."""
        return self.vocabulary - self.first_output

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The weights by name, in their order in the flat vector, and their shapes."""
        found: dict[str, tuple[int, ...]] = {"embed.weight": (self.vocabulary, self.embedding)}
        if self.marks:
            found["mark.weight"] = (self.marks, self.embedding)
        for i in range(self.layers):
            read = self.hidden if i else self.embedding
            found |= {
                f"lstm.weight_ih_l{i}": (4 * self.hidden, read),
                f"lstm.weight_hh_l{i}": (4 * self.hidden, self.hidden),
                f"lstm.bias_ih_l{i}": (4 * self.hidden,),
                f"lstm.bias_hh_l{i}": (4 * self.hidden,),
            }
        found |= {
            "proj.weight": (self.projection, self.hidden),
            "proj.bias": (self.projection,),
        }
        if not self.tied:
            found["out.weight"] = (self.outputs, self.projection)
        return found | {"out.bias": (self.outputs,)}

    @property
    def parameters(self) -> int:
        """The length of the flat vector of weights."""
        return sum(math.prod(shape) for shape in self.shapes().values())

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def check_words(model: ModelConfig, words: tuple[str, ...], surfaces: Mapping[str, str]) -> None:
    """BadSettings unless the words, with their surfaces, make a vocabulary, and the model is one for it."""
    if (model.vocabulary, model.first_output) != (FIRST_WORD + len(words), FIRST_OUTPUT):
        raise BadSettings(
            f"a model of {model.vocabulary} ids for a vocabulary of {FIRST_WORD + len(words)}"
        )
    if 0 < model.marks < MARKS:
        raise BadSettings(f"a model of {model.marks} marks, there are {MARKS}")
    try:
        Vocabulary.from_lists(words, dict(surfaces))
    except ValueError as error:
        raise BadSettings(f"no vocabulary: {error}") from error
