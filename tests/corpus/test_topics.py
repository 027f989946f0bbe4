from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest

from nwp.corpus.splits import topics
from nwp.corpus.splits.topics import likeness_labels, topic_labels
from nwp.errors import BadInput

SUBJECTS = [[f"{subject}{i}" for i in range(150)] for subject in ("food", "sport", "music")]
COMMON = ["i", "you", "the", "and", "of", "it", "was", "is", "that", "not"]


def talks(messages: int, seed: int = 0) -> tuple[list[str], list[int]]:
    """Talks of 32 messages about one subject each; and each message's subject."""
    rng = np.random.default_rng(seed)
    subjects = [int(s) for s in np.repeat(rng.integers(0, 3, messages // 32 + 1), 32)[:messages]]
    texts = [
        " ".join([*rng.choice(COMMON, 3), *rng.choice(SUBJECTS[subject], 3)])
        for subject in subjects
    ]
    return texts, subjects


def agreement(labels: list[int], truth: list[int]) -> float:
    """The share of messages whose label's most frequent subject is theirs."""
    best = {
        label: Counter(t for t, x in zip(truth, labels, strict=True) if x == label).most_common(1)
        for label in set(labels)
    }
    return sum(best[label][0][1] for label in set(labels)) / len(labels)


def test_messages_of_a_subject_have_a_topic_and_empty_talk_the_last() -> None:
    texts, subjects = talks(2_400)
    texts += ["the and of it", "was is that", "🙂"] * 20
    labels, kinds = topic_labels(lambda: iter(texts), len(texts), 3, 0)
    assert kinds == 4
    assert labels.dtype == np.int32
    assert set(labels[2_400:]) == {3}
    assert agreement(labels[:2_400].tolist(), subjects) > 0.98


def test_where_few_words_are_rare_frequent_ones_tell_topics() -> None:
    texts, subjects = talks(2_400)
    texts = [re.sub(r"(\d)\d*", r"\1", text) for text in texts]  # 10 words a subject
    labels, kinds = topic_labels(lambda: iter(texts), len(texts), 3, 0)
    assert kinds == 4
    assert agreement(labels.tolist(), subjects) > 0.9


@pytest.mark.slow
def test_equal_seeds_give_equal_topics_in_batches_and_windows_of_any_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    texts, subjects = talks(2_400)
    first, _ = topic_labels(lambda: iter(texts), len(texts), 3, 5)
    assert first.tolist() == topic_labels(lambda: iter(texts), len(texts), 3, 5)[0].tolist()
    monkeypatch.setattr(topics, "_BATCH", 100)
    assert first.tolist() == topic_labels(lambda: iter(texts), len(texts), 3, 5)[0].tolist()
    # Of a corpus too large to learn from all of it, some is enough.
    monkeypatch.setattr(topics, "_MOST_WINDOWS", 60)
    monkeypatch.setattr(topics, "_MOST_POINTS", 500)
    labels, _ = topic_labels(lambda: iter(texts), len(texts), 3, 5)
    assert agreement(labels.tolist(), subjects) > 0.98


@pytest.mark.parametrize(
    "texts", [["one"], ["one"] * 50, ["🙂", "?!"], ["a b", "c d", "e f"], ["a b", "b a", "c", "c"]]
)
def test_a_corpus_that_tells_little_has_fewer_topics(texts: list[str]) -> None:
    labels, kinds = topic_labels(lambda: iter(texts), len(texts), 10, 0)
    assert len(labels) == len(texts)
    assert 0 <= labels.min() <= labels.max() < kinds <= 11


def writers() -> Iterator[tuple[int, str]]:
    """Users 0, 2, … say "gonna" and "lol", the others "shall" and "indeed"; all have all subjects."""
    rng = np.random.default_rng(0)
    for i in range(3_000):
        user = i % 30
        manner = ["gonna", "lol", "u", "wanna"] if user % 2 == 0 else ["shall", "indeed", "thus"]
        words = [*rng.choice(manner, 2), *rng.choice(COMMON, 4), rng.choice(SUBJECTS[i // 30 % 3])]
        yield user, " ".join(words)


def test_users_who_write_alike_are_in_one_group() -> None:
    labels, groups = likeness_labels(writers(), 30, 2, 0)
    assert (groups, labels.dtype) == (2, np.int32)
    assert len(set(labels[::2])) == len(set(labels[1::2])) == 1
    assert labels[0] != labels[1]
    assert labels.tolist() == likeness_labels(writers(), 30, 2, 0)[0].tolist()


def test_a_table_of_many_users_has_fewer_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topics, "_USER_CELLS", 30 * 256)
    labels, _ = likeness_labels(writers(), 30, 2, 0)
    assert len(set(labels[::2])) == len(set(labels[1::2])) == 1


def test_there_are_no_more_groups_than_users_and_one_without_a_word_is_somewhere() -> None:
    labels, groups = likeness_labels([(0, "a b"), (1, "🙂"), (2, "c d")], 3, 10, 0)
    assert groups == 3
    assert set(labels) <= {0, 1, 2}


def test_without_scikit_learn_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(BadInput, match="scikit-learn") as caught:
        topic_labels(lambda: iter(["a"]), 1, 2, 0)
    assert 'pip install "nwp[splits]"' in caught.value.hint
    with pytest.raises(BadInput, match="scikit-learn"):
        likeness_labels([(0, "a")], 1, 2, 0)
