"""Computing suggestions beside the typing, not in its way."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

Found = TypeVar("Found")


class Lookahead(Generic[Found]):
    """Suggestions computed on another thread and given out only for the text that asks for them."""

    def __init__(self, suggest: Callable[[str], Found], grace: float = 0.03) -> None:
        self._suggest = suggest
        self._grace = grace
        self._pool = ThreadPoolExecutor(1, "suggest")
        self._asked: tuple[str, Future[Found]] | None = None

    def get(self, text: str, late: Callable[[], None]) -> Found | None:
        """What there is for a text, or None if it takes longer than the moment of grace.

        Then `late` is called, on the other thread, when it is worth asking again. Only the first
        call for a text waits at all.
        """
        if self._asked and self._asked[0] != text and not self._asked[1].done():
            # Its end calls `late`; asking for each text meanwhile would pile up.
            self._asked[1].add_done_callback(lambda _: late())
            return None
        new = not self._asked or self._asked[0] != text
        asked = self._ask(text)
        try:
            return asked.result(self._grace if new else 0)
        except TimeoutError:
            asked.add_done_callback(lambda _: late())
            return None

    def wait(self, text: str, patience: float) -> Found | None:
        """What there is for a text, or None if it takes longer than some seconds."""
        try:
            return self._ask(text).result(patience)
        except TimeoutError:
            return None

    def then(self, job: Callable[[], None]) -> None:
        """Do something else on that thread, in its turn; what is known from before is forgotten."""
        self._asked = None
        self._pool.submit(job)

    def forget(self) -> None:
        """Ask anew for the next text, even if it is the same."""
        self._asked = None

    def close(self) -> None:
        """End the thread when all jobs are done; suggestions not begun are left."""
        if self._asked:
            self._asked[1].cancel()
        self._pool.shutdown()

    def _ask(self, text: str) -> Future[Found]:
        if self._asked and self._asked[0] == text:
            return self._asked[1]
        if self._asked:
            self._asked[1].cancel()
        self._asked = (text, self._pool.submit(self._suggest, text))
        return self._asked[1]
