"""Computing suggestions beside the typing, not in its way."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor


class Lookahead:
    """Suggestions computed on another thread and given out only for the text that asks for them."""

    def __init__(self, suggest: Callable[[str], list[str]], grace: float = 0.03) -> None:
        self._suggest = suggest
        self._grace = grace
        self._pool = ThreadPoolExecutor(1, "suggest")
        self._asked: tuple[str, Future[list[str]]] | None = None

    def get(self, text: str, late: Callable[[], None]) -> list[str] | None:
        """The words for a text, or None if they take longer than the moment of grace.

        Then `late` is called, on the other thread, when it is worth asking again.
        """
        if self._asked and self._asked[0] != text and not self._asked[1].done():
            return None  # its end calls `late`; asking for each text meanwhile would pile up
        if not self._asked or self._asked[0] != text:
            self._asked = (text, self._pool.submit(self._suggest, text))
        asked = self._asked[1]
        try:
            return asked.result(self._grace)
        except TimeoutError:
            asked.add_done_callback(lambda _: late())
            return None

    def close(self) -> None:
        """End the thread."""
        self._pool.shutdown(cancel_futures=True)
