"""The model of a bundle for one person who types, with its n-gram expert where it has one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from nwp.model.expert import Expert
from nwp.model.runtime import FloatArray, Runtime, State
from nwp.text.vocabulary import BEGIN, NUMBER, UNKNOWN

if TYPE_CHECKING:
    from nwp.model.bundle import Bundle


class Stepper(Protocol):
    """Whatever reads a message word by word and says what comes next (`Runtime` does)."""

    def start(self) -> Any:
        """The state before a message."""

    def step(self, state: Any, word: int, mark: int) -> Any:
        """Read one input id and the mark after it."""

    def log_probabilities(self, state: Any) -> FloatArray:
        """Natural logarithms of the probabilities of the output ids, shape (outputs,)."""


@dataclass(frozen=True)
class MixedState:
    """The LSTM's state, and the ids of the last two words."""

    lstm: State
    before: int = BEGIN
    last: int = BEGIN


class MixedRuntime:
    """The LSTM and the n-gram expert, mixed (`nwp.model.expert`)."""

    def __init__(self, runtime: Runtime, expert: Expert) -> None:
        self._runtime, self._expert = runtime, expert

    def start(self) -> MixedState:
        """The state before a message."""
        return MixedState(self._runtime.start())

    def step(self, state: MixedState, word: int, mark: int) -> MixedState:
        """Read one input id and the mark after it."""
        # N-grams are of targets, and a number that is no word of the vocabulary is unknown there.
        last = UNKNOWN if word == NUMBER else word
        return MixedState(self._runtime.step(state.lstm, word, mark), state.last, last)

    def log_probabilities(self, state: MixedState) -> FloatArray:
        """See `Stepper`."""
        p = np.exp(self._runtime.log_probabilities(state.lstm))[None]
        self._expert.mix(np.array([state.before]), np.array([state.last]), p)
        # Far below what matters a float32 is 0.
        found: FloatArray = np.log(np.maximum(p[0], np.finfo(np.float32).tiny))
        return found


def runtime_of(bundle: Bundle) -> Stepper:
    """What steps through messages with a bundle's model."""
    runtime = Runtime(bundle.config, bundle.tensors)
    return runtime if bundle.expert is None else MixedRuntime(runtime, bundle.expert)
