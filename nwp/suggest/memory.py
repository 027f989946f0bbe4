"""The states of a model along the texts that it has read, so that a text with one key more costs one step."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from nwp.model.mixed import Stepper
from nwp.model.runtime import FloatArray
from nwp.suggest.reading import BLOCK

Steps = list[tuple[int, int]]

# States kept for going back; a context can't have more words than two blocks of characters.
_KEPT = 4 * BLOCK


@dataclass(slots=True)
class _Node:
    """The state after some steps, and after one step more for each that was tried."""

    state: Any
    next: dict[tuple[int, int], _Node] = field(default_factory=dict)


class Memory:
    """Walks through contexts along a tree of states, stepping only where nobody has been."""

    def __init__(self, runtime: Stepper) -> None:
        self._runtime = runtime
        self._root = _Node(runtime.start())
        self._count = 0
        self._last: tuple[_Node, FloatArray] | None = None

    def scores(self, steps: Steps) -> FloatArray:
        """The log-probabilities of the outputs after these steps."""
        if self._count > _KEPT:
            self._prune(steps)
        node = self._root
        for step in steps:
            following = node.next.get(step)
            if following is None:
                following = _Node(self._runtime.step(node.state, *step))
                node.next[step] = following
                self._count += 1
            node = following
        # The letters of one word share a context.
        if self._last is None or self._last[0] is not node:
            self._last = (node, self._runtime.log_probabilities(node.state))
        return self._last[1]

    def _prune(self, steps: Steps) -> None:
        """Forget all states but those along these steps."""
        node, self._count = self._root, 0
        for step in steps:
            kept = node.next.get(step)
            node.next = {} if kept is None else {step: kept}
            if kept is None:
                return
            self._count += 1
            node = kept
        node.next = {}
