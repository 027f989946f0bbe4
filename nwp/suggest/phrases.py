"""Several words ahead, while the model is sure of all of them together."""

from __future__ import annotations

from collections.abc import Callable

from nwp.suggest.composing import accept
from nwp.suggest.suggester import Suggestion

# A phrase is shown when it is as probable as this, from its first word to its last.
SURE = 0.3
LONGEST = 5

Suggest = Callable[[str, int], list[Suggestion]]


def phrase(
    suggest: Suggest,
    text: str,
    first: Suggestion,
    sure: float = SURE,
    longest: int = LONGEST,
) -> tuple[str, ...]:
    """The longest run of words from `first` on whose joint probability is `sure` or more.

    Of equally long ones the most probable, of equally probable ones the first found. `first` alone
    when nothing longer is sure enough; never more than `longest` words. `suggest` gives the k best
    words for a text with their probabilities, as `Suggester.suggest` does.

    The search is exact: a run is never more probable than its beginning, so that whatever falls
    below `sure` can be left with all that would follow it. No more than 1 / sure runs of one length
    are as probable as that, which bounds the work to longest / sure calls.
    """
    best: tuple[str, ...] = (first.word,)
    found = first.probability
    open_ = [(accept(text, first.word), best, found)]
    while open_:
        before, words, share = open_.pop()
        if (len(words), share) > (len(best), found):
            best, found = words, share
        if share < sure or len(words) >= longest:
            continue
        nexts = [
            (accept(before, one.word), (*words, one.word), share * one.probability)
            for one in suggest(before, int(share / sure) + 1)
            if share * one.probability >= sure
        ]
        open_ += reversed(nexts)
    return best
