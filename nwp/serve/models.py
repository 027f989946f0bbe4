"""What can be asked for suggestions: the model of a bundle, with and without parts of what it learnt."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np

from nwp.model.bundle import Bundle
from nwp.model.config import ModelConfig
from nwp.model.mixed import runtime_of
from nwp.suggest.languages import Languages, suggester_of
from nwp.suggest.suggester import Suggester, Suggestion
from nwp.suggest.united import united

# Typists whose texts are remembered, each with each model. One takes up to 10 MB, in practice 1.
SESSIONS = 16
# Shares of word frequencies, pairs and triples where there is nothing else.
_NGRAMS_ALONE = (0.1, 0.3, 0.6)


class Suggests(Protocol):
    """Whatever turns a text into ranked words; used by one thread at a time."""

    def suggest(self, text: str, k: int = 3) -> list[Suggestion]:
        """At most k words to complete or follow the text, best first."""
        ...


@runtime_checkable
class Learns(Protocol):
    """What learns from messages besides, and has a file to close."""

    def learn(self, message: str) -> None:
        """Learn from a message that was sent."""

    def close(self) -> None:
        """Close the file."""


@dataclass(frozen=True)
class Served:
    """A model as clients see it: what it is, in a sentence, and what makes a suggester of it; whether
    it learns from messages that are sent."""

    about: str
    make: Callable[[], Suggests]
    learns: bool = False


def models_of(
    bundle: Bundle,
    beside: Bundle | None = None,
    *,
    personal: Callable[[Suggester | Languages], Suggests] | None = None,
    exact: bool = False,
) -> dict[str, Served]:
    """The models of a bundle by name, the one that answers when none is named first.

    With a second bundle, of another language, beside it each is a mixture of two. `personal` makes of a
    suggester one that knows the person's own words too, and learns. `exact` as for `Suggester`.
    """
    bundles = [bundle] if beside is None else [bundle, beside]
    users = [one.about.get("users") for one in bundles]
    known = all(isinstance(number, int) for number in users)
    whose = " and ".join(f"{number:,}" for number in users) if known else "many"
    about = f"Learnt from {whose} people's messages, which never left them."
    if beside is not None:
        about = f"Two languages at once. {about}"
    shared = _maker(bundles, exact)
    found: dict[str, Served] = {}
    if personal is not None:
        mine = "The shared model, and what you have sent, which stays on this machine."
        found["personal"] = Served(mine, lambda: personal(shared()), learns=True)
    found["shared"] = Served(about, shared)
    if any(one.expert is not None for one in bundles):
        found["network"] = Served(
            "The shared model without its n-grams: the LSTM alone.",
            _maker([replace(one, expert=None) for one in bundles], exact),
        )
        found["n-gram"] = Served(
            "The n-grams alone, as keyboards had them before: what often follows one or two words.",
            _maker(list(map(without_network, bundles)), exact),
        )
    found["unigram"] = Served(
        "The same words by how common they are, whatever came before.",
        _maker(list(map(without_context, bundles)), exact),
    )
    return found


def without_network(bundle: Bundle) -> Bundle:
    """The n-gram expert, if there is one, over the words' frequencies in place of the LSTM.

    Most for the longest context that is known: the weights of the mixture were learnt beside the LSTM and
    would leave these too little.
    """
    plain = without_context(bundle)
    if bundle.expert is None:
        return plain
    weights = np.tile(np.array(_NGRAMS_ALONE, np.float32), (len(bundle.expert.weights), 1))
    return replace(plain, expert=replace(bundle.expert, weights=weights))


def without_context(bundle: Bundle) -> Bundle:
    """A model of the same words whose probabilities are the bundle's frequencies, whatever the text.

    Its matrices are zero, so that only the output biases speak: log frequencies, shape (outputs,).
    """
    sizes = {"embedding": 1, "hidden": 1, "projection": 1, "layers": 1}
    config = ModelConfig(**{**bundle.config.as_dict(), **sizes})
    tensors = {name: np.zeros(shape, np.float32) for name, shape in config.shapes().items()}
    least = float(np.finfo(np.float32).tiny)
    tensors["out.bias"] = np.log(np.maximum(bundle.frequencies, least)).astype(np.float32)
    return replace(bundle, config=config, tensors=tensors, expert=None)


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
                _, oldest = self._kept.popitem(last=False)
                if isinstance(oldest, Learns):
                    oldest.close()
        self._kept.move_to_end(key)
        return self._kept[key]


def _maker(bundles: Sequence[Bundle], exact: bool) -> Callable[[], Suggester | Languages]:
    # The weights, once for all.
    runtimes = [runtime_of(one) for one in bundles]
    if len(bundles) > 1:
        united(*(one.vocabulary for one in bundles))  # now rather than at the first key

    return lambda: suggester_of(
        *(
            Suggester(runtime, one.vocabulary, exact=exact, usual=one.frequencies)
            for runtime, one in zip(runtimes, bundles, strict=True)
        )
    )
