"""Step 6 of a recipe: whose each message is from now on, and how unlike the new users are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from nwp.corpus.splits import partition
from nwp.corpus.splits.partition import Ints
from nwp.corpus.splits.recipe import Recipe
from nwp.corpus.splits.selection import MAIN, Scan, Selection
from nwp.corpus.types import Message
from nwp.errors import BadSettings


def deal(
    chosen: Selection, recipe: Recipe, messages: Callable[[], Iterator[Message]], source: str
) -> tuple[Ints, Sequence[str], tuple[Ints, int] | None]:
    """Step 6: each message's owner and the owners' names, for the messages of the main part; and
    by what labels they were dealt, if by any (with how many there are)."""
    if recipe.by == "natural":
        return chosen.owners, chosen.names, None
    main = np.flatnonzero(chosen.parts == MAIN)
    total, users = len(main), recipe.users
    if total < users:
        raise BadSettings(f"{source} has {total} messages for {users} users", "Ask for fewer.")
    rng = np.random.default_rng([recipe.seed, 1])
    labelled = None
    if recipe.by == "iid":
        dealt = partition.deal(partition.equal_sizes(total, users), rng)
    elif recipe.by == "quantity":
        dealt = partition.deal(partition.skewed_sizes(total, users, recipe.alpha, rng), rng)
    else:
        labels, kinds = labelled = _labels(chosen, recipe, messages)
        counts = partition.draw_counts(
            np.bincount(labels, minlength=kinds),
            partition.equal_sizes(total, users),
            recipe.alpha,
            rng,
        )
        dealt = partition.deal_by_label(labels, counts, rng)
    owners = np.full(len(chosen.owners), -1, np.int32)
    owners[main] = dealt
    width = max(4, len(str(users)))
    return owners, [f"client-{i:0{width}}" for i in range(1, users + 1)], labelled


def _labels(
    chosen: Selection, recipe: Recipe, messages: Callable[[], Iterator[Message]]
) -> tuple[Ints, int]:
    """A label for each message of the main part, and how many labels there are."""
    from nwp.corpus.splits.topics import likeness_labels, topic_labels

    main = chosen.parts == MAIN

    def texts() -> Iterator[str]:
        return (m.text for m, wanted in zip(messages(), main, strict=True) if wanted)

    if recipe.by == "topic":
        return topic_labels(texts, int(main.sum()), recipe.topics, recipe.seed)
    present, authors = np.unique(chosen.owners[main], return_inverse=True)
    groups, kinds = likeness_labels(
        zip(authors.tolist(), texts(), strict=True), len(present), recipe.topics, recipe.seed
    )
    return groups[authors], kinds


def figures(
    found: Scan,
    chosen: Selection,
    owners: Ints,
    recipe: Recipe,
    labelled: tuple[Ints, int] | None,
) -> dict[str, Any]:
    """How large and how unlike the users of the main part are.

    `divergence` is told beside that of the same users with the labels shuffled: small users differ
    by chance alone. Users dealt without labels are compared by whom they have messages of.
    """
    main = chosen.parts == MAIN
    mine = owners[main]
    counted = np.bincount(mine, found.words[main]).astype(np.int64)
    words = counted[np.bincount(mine) > 0]
    unlike: dict[str, Any] = {
        "words_per_user": partition.quantiles(words),
        "gini_of_words": round(partition.gini(words), 6),
    }
    if recipe.by != "natural":
        labels = labelled[0] if labelled else chosen.owners[main]
        by_chance = np.random.default_rng([recipe.seed, 2]).permutation(labels)
        unlike["labels"] = {"topic": "topics", "likeness": "groups"}.get(recipe.by, "source users")
        if labelled:
            unlike["messages_by_label"] = np.bincount(labels, minlength=labelled[1]).tolist()
        unlike["divergence"] = round(partition.divergence(mine, labels), 6)
        unlike["divergence_by_chance"] = round(partition.divergence(mine, by_chance), 6)
    return unlike
