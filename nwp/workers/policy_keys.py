"""The keys of an owner's rules: what each may be, what a new file says, and why an owner may care."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nwp.federated.plan import KINDS

ASK, AUTO = "ask", "auto"
HOURS = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-3]):([0-5][0-9])")
_FINGERPRINT = re.compile(r"[0-9A-Za-z+/=:._-]{8,200}")
_MOST = 10**15  # of any whole number


@dataclass(frozen=True)
class Key:
    """One rule: its `type` ("tuple" of texts, a list in a file), which values fit and how that is said in
    words, the value in a file for a new owner, and the comment above it there."""

    type: type
    fits: Callable[[Any], bool]
    allowed: str
    usual: Any
    comment: str

    def takes(self, value: Any) -> bool:
        """Is this a value of the type, and in its range?"""
        return type(value) is self.type and self.fits(value)


def _whole(least: int, usual: int, comment: str) -> Key:
    return Key(
        int,
        lambda value: least <= value <= _MOST,
        f"a whole number, {least} or more",
        usual,
        comment,
    )


def _number(usual: float, comment: str) -> Key:
    return Key(
        float, lambda value: 0 <= value <= math.inf, "a number, 0 or more, or inf", usual, comment
    )


def _are(fits: Callable[[str], Any]) -> Callable[[Any], bool]:
    return lambda values: all(type(value) is str and fits(value) for value in values)


def _is_hours(text: str) -> bool:
    found = HOURS.fullmatch(text)
    return not text or (found is not None and found.group(1, 2) != found.group(3, 4))


SECTIONS: dict[str, dict[str, Key]] = {
    "Who may ask, and when": {
        "trust": Key(
            tuple,
            _are(_FINGERPRINT.fullmatch),
            "a list of fingerprints of keys, 8 characters or more each, without spaces",
            (),
            "Fingerprints of the keys of servers that are read and answered, as they are shown to you (32 "
            "characters, or more of them). An empty list trusts the server that you enrolled with, "
            "whichever that is.",
        ),
        "approve": Key(
            str,
            lambda value: value in (ASK, AUTO),
            f'"{ASK}" or "{AUTO}"',
            ASK,
            '"ask": every plan waits for you to approve it. "auto": plans within these rules are approved '
            "without you. What these rules do not allow is refused either way.",
        ),
        "hours": Key(
            str,
            _is_hours,
            'a span of the day as "22:00-07:00", or "" for always',
            "",
            "Hours of your local time in which requests are answered. They may pass midnight, and are over "
            'when the second time is reached. "": at any time.',
        ),
        "max_rounds_a_day": _whole(
            0,
            2000,
            "Rounds that are answered on one day of yours, of all plans together. 0: no limit.",
        ),
    },
    "What may be asked": {
        "kinds": Key(
            tuple,
            _are(KINDS.__contains__),
            "a list of " + ", ".join(f'"{kind}"' for kind in KINDS),
            ("survey", "train"),
            'Kinds of plans. "survey": which words your users have in common, or how often they use words '
            'of a public list. "train": updates of a model. "evaluate": counts that tell how well a model '
            'predicts. "ngrams": pairs and triples of words that your users have in common. "query": sums '
            "over your users, such as how many words they wrote.",
        ),
        "max_rounds": _whole(1, 5000, "Rounds of one training plan."),
        "max_epochs": _whole(1, 5, "How often a round may go through the messages of a user."),
        "max_learning_rate": _number(
            10.0,
            "The step that a model takes from a user's messages. A large one shows more of them.",
        ),
        "max_parameters": _whole(
            1,
            20_000_000,
            "Weights of a model: four bytes of memory each, several times over while it trains.",
        ),
        "max_layers": _whole(1, 4, "Layers of a model."),
        "max_message_bytes": _whole(
            1,
            200_000_000,
            "Bytes of one request or of one answer. A plan that can't do with as many is refused.",
        ),
    },
    "What may leave": {
        "min_users": _whole(
            1,
            1,
            "Users of yours, at least, that one answer is made from. With 1, and whenever you have one "
            "user alone, the server sees that user's own update, from which words and phrases can be "
            "guessed. With more it sees their sum; but two answers over nearly the same users can be "
            "subtracted from each other, and this rule does not prevent that.",
        ),
        "min_query_users": _whole(
            1, 3, "Users of yours with text, at least, that an answer to a query is the sum of."
        ),
        "min_cohort": _whole(
            1,
            3,
            "Users of all owners, at least, that a round of training is over. This is what the server "
            "claims, and you can't check it: it sees your answer by itself. It can be enforced only with "
            "secure aggregation, which nwp does not have yet.",
        ),
        "min_k": _whole(
            1,
            3,
            "Users of yours that must have written a word or an n-gram before it leaves. With fewer users "
            "than that, none of your own words leave, and only words of a public list are counted.",
        ),
        "rows": Key(
            bool,
            lambda value: True,
            "true or false",
            False,
            "May an evaluation give out the counts of each of your users, rather than their sum alone?",
        ),
        "max_epsilon": _number(
            1.0,
            "What one answer with noise may cost in privacy (the epsilon of differential privacy: smaller "
            "is safer).",
        ),
        "epsilon_budget": _number(
            4.0,
            "What all answers with noise may cost, added up over your whole ledger. 0: none is given. "
            "Training and sums without noise have no epsilon and are not counted: there is no bound on "
            "what they tell.",
        ),
    },
}
KEYS: dict[str, Key] = {name: key for keys in SECTIONS.values() for name, key in keys.items()}
