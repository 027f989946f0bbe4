"""What can be asked for suggestions: the model of a bundle, and the same without its learning."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from nwp.model.bundle import Bundle
from nwp.model.config import ModelConfig
from nwp.model.runtime import Runtime
from nwp.suggest.languages import suggester_of
from nwp.suggest.suggester import Suggester, Suggestion
from nwp.suggest.united import united

# Typists whose texts are remembered, each with each model. One takes up to 10 MB, in practice 1.
SESSIONS = 16


class Suggests(Protocol):
    """Whatever turns a text into ranked words; used by one thread at a time."""

    def suggest(self, text: str, k: int = 3) -> list[Suggestion]:
        """At most k words to complete or follow the text, best first."""
        ...


@dataclass(frozen=True)
class Served:
    """A model as clients see it: what it is, in a sentence, and what makes a suggester of it."""

    about: str
    make: Callable[[], Suggests]


def models_of(bundle: Bundle, beside: Bundle | None = None) -> dict[str, Served]:
    """The models of a bundle by name, the one that answers when none is named first.

    With a second bundle, of another language, beside it each is a mixture of two.
    """
    bundles = [bundle] if beside is None else [bundle, beside]
    users = [one.about.get("users") for one in bundles]
    known = all(isinstance(number, int) for number in users)
    whose = " and ".join(f"{number:,}" for number in users) if known else "many"
    about = f"Learnt from {whose} people's messages, which never left them."
    if beside is not None:
        about = f"Two languages at once. {about}"
    return {
        "shared": Served(about, _maker(bundles)),
        "unigram": Served(
            "The same words by how common they are, whatever came before.",
            _maker(list(map(without_context, bundles))),
        ),
    }


def without_context(bundle: Bundle) -> Bundle:
    """A model of the same words whose probabilities are the bundle's frequencies, whatever the text.

    Its matrices are zero, so that only the output biases speak: log frequencies, shape (outputs,).
    """
    sizes = {"embedding": 1, "hidden": 1, "projection": 1, "layers": 1}
    config = ModelConfig(**{**bundle.config.as_dict(), **sizes})
    tensors = {name: np.zeros(shape, np.float32) for name, shape in config.shapes().items()}
    least = float(np.finfo(np.float32).tiny)
    tensors["out.bias"] = np.log(np.maximum(bundle.frequencies, least)).astype(np.float32)
    return replace(bundle, config=config, tensors=tensors)


class Sessions:
    """A suggester for each typist and model, so that one's keys do not make another's be read again.

    The one used longest ago is forgotten when there are more than `most` of them.
    """

    def __init__(self, models: Mapping[str, Served], most: int = SESSIONS) -> None:
        self._models, self._most = models, most
        self._kept: OrderedDict[tuple[str, str], Suggests] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def of(self, session: str, model: str) -> Suggests:
        """The suggester of a session, made at its first key. KeyError for an unknown model."""
        key = (session, model)
        if key not in self._kept:
            self._kept[key] = self._models[model].make()
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]


def _maker(bundles: Sequence[Bundle]) -> Callable[[], Suggests]:
    # The weights, once for all.
    parts = [(Runtime(one.config, one.tensors), one.vocabulary) for one in bundles]
    if len(parts) > 1:
        united(*(vocabulary for _, vocabulary in parts))  # now rather than at the first key

    return lambda: suggester_of(*(Suggester(*part) for part in parts))
