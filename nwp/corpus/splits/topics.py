"""Labels for splits: the topic of a message, and the group of users who write alike.

Needs scikit-learn (the extra `splits`). Everything runs in one thread with fixed seeds: the same
texts, seed and library versions give the same labels on one machine. On another processor the
last bit of a float, and with it the label of a message between two topics, may differ.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import numpy as np

from nwp.corpus.splits.partition import Ints
from nwp.errors import BadInput
from nwp.text.tokenizer import words_of

WINDOW = 16
"""Messages in a row that are taken for one talk: a single one has too few words to tell a topic."""
_BUCKETS = 1 << 16
_DIMENSIONS = 50
_TELLING = (0.01, 0.1, 1.0)  # words of at most this share of the messages tell a topic
_BATCH = 8_192
_MOST_WINDOWS = 50_000  # to learn topics from; 800,000 messages at most
_MOST_POINTS = 100_000  # messages to look for centres among
_USER_BUCKETS = 1 << 12
_USER_CELLS = 1 << 26  # of the users' table: 256 MiB


def topic_labels(
    texts: Callable[[], Iterator[str]], count: int, topics: int, seed: int
) -> tuple[Ints, int]:
    """A topic for each of `count` messages, int32, and how many labels there are.

    Which words come in the same talks is learnt by latent semantic analysis of (at most 50,000)
    windows of messages in a row; messages are then clustered by the mean of their words. Words of
    over 1 % of the messages, and of one only, tell no topic (10 %, or any share, where less than half
    of the messages would have a topic); messages of no others ("yes, thanks") have the last label
    for themselves. `texts` is called twice and gives the same texts in the same order. BadInput
    without scikit-learn.
    """
    with _one_thread():
        vectorizer = _vectorizer(_BUCKETS)
        space = _learn_space(texts(), count, vectorizer, seed)
        if space is None:
            return np.zeros(count, np.int32), 1
        weigh, points = space
        centres = _centres(points, topics, seed)
        labels = np.empty(count, np.int32)
        start = 0
        for batch in _batches(texts(), _BATCH):
            placed, known = weigh(vectorizer.transform(batch))
            found = (placed @ centres.T).argmax(axis=1)
            labels[start : start + len(batch)] = np.where(known, found, len(centres))
            start += len(batch)
    return labels, len(centres) + 1


def likeness_labels(
    texts: Iterable[tuple[int, str]], users: int, groups: int, seed: int
) -> tuple[Ints, int]:
    """A group for each of `users` users, int32, and how many groups there are: users of one group use
    like words as often.

    `texts` gives a user's number and a message, in any order. A user is the logarithm of their
    counts of words (in up to 4,096 buckets), weighed by how few users have a word, at length 1.
    BadInput without scikit-learn.
    """
    with _one_thread():
        buckets = _USER_BUCKETS
        while users * buckets > _USER_CELLS and buckets > 64:
            buckets //= 2
        table = np.zeros((users, buckets), np.float32)
        vectorizer = _vectorizer(buckets)
        for batch in _batches(iter(texts), _BATCH):
            numbers = np.array([user for user, _ in batch])
            found = vectorizer.transform([text for _, text in batch]).tocoo()
            np.add.at(table.reshape(-1), numbers[found.row] * buckets + found.col, found.data)
        have = (table > 0).sum(axis=0)
        np.log1p(table, out=table)
        table *= (np.log((1 + users) / (1 + have)) + 1).astype(np.float32)
        _to_length_one(table)
        centres = _centres(table, groups, seed)
        labels = np.empty(users, np.int32)
        for at in range(0, users, _BATCH):
            labels[at : at + _BATCH] = (table[at : at + _BATCH] @ centres.T).argmax(axis=1)
    return labels, len(centres)


def need_scikit_learn() -> None:
    """BadInput without scikit-learn."""
    try:
        import sklearn  # noqa: F401
    except ImportError as error:
        raise BadInput(
            "splits by topic or likeness need scikit-learn", 'pip install "nwp[splits]"'
        ) from error


def _learn_space(texts: Iterator[str], count: int, vectorizer: Any, seed: int) -> Any:
    """How to place rows of word counts in the space of topics (a function), and some placed messages;
    None where no word tells anything."""
    from scipy import sparse  # type: ignore[import-untyped]
    from sklearn.decomposition import TruncatedSVD

    rng = np.random.default_rng([seed, 0])
    windows = -(-count // WINDOW)
    chosen = np.arange(windows)
    if windows > _MOST_WINDOWS:
        chosen = np.sort(rng.choice(windows, _MOST_WINDOWS, replace=False))
    wanted = np.zeros(windows, np.bool_)
    wanted[chosen] = True
    picked = (text for i, text in enumerate(texts) if wanted[i // WINDOW])
    rows = sparse.vstack(
        [vectorizer.transform(batch) for batch in _batches(picked, _BATCH)], format="csr"
    )
    n = rows.shape[0]
    have = np.bincount(rows.indices, minlength=_BUCKETS)
    weights = np.zeros(_BUCKETS, np.float32)
    for share in _TELLING:
        telling = (have > 1) & (have <= max(share * n, 20))
        weights[telling] = np.log((1 + n) / (1 + have[telling])) + 1
        if np.count_nonzero(rows @ weights) >= n / 2:
            break
    keep = sparse.diags(weights, format="csr", dtype=np.float32)

    # The last chosen window may be shorter: of 16 rows each, all others are full.
    talks = sparse.csr_matrix(
        (np.ones(n, np.float32), (np.arange(n) // WINDOW, np.arange(n))),
        shape=(-(-n // WINDOW), n),
    )
    together = (talks @ rows).tocsr()
    together.data = np.log1p(together.data)
    together = _sparse_to_length_one((together @ keep).tocsr())
    if not together.nnz:
        return None
    size = min(_DIMENSIONS, *together.shape)
    axes = TruncatedSVD(size, random_state=seed % 2**32).fit(together).components_.T
    axes = np.ascontiguousarray(weights[:, None] * axes.astype(np.float32))

    def weigh(counts: Any) -> tuple[Any, Any]:
        placed = np.asarray(counts @ axes)
        return placed, _to_length_one(placed)

    some = rows
    if n > _MOST_POINTS:
        some = rows[np.sort(rng.choice(n, _MOST_POINTS, replace=False))]
    points, known = weigh(some)
    return (weigh, points[known]) if known.any() else None


def _centres(points: Any, most: int, seed: int) -> Any:
    """The centres of at most so many clusters, float32, at length 1."""
    from sklearn.cluster import KMeans

    clusters = KMeans(
        n_clusters=min(most, len(points)),
        n_init=3,
        max_iter=100,
        algorithm="lloyd",
        random_state=seed % 2**32,
        copy_x=False,
    ).fit(points)
    centres = clusters.cluster_centers_.astype(np.float32)
    _to_length_one(centres)
    return centres


def _to_length_one(rows: Any) -> Any:
    """Scale rows to length 1 in place; says which could be (a row of zeros stays)."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    known = lengths[:, 0] > 1e-6
    np.divide(rows, lengths, out=rows, where=known[:, None])
    return known


def _sparse_to_length_one(rows: Any) -> Any:
    from sklearn.preprocessing import normalize

    rows.eliminate_zeros()
    return normalize(rows, copy=False)


def _vectorizer(buckets: int) -> Any:
    from sklearn.feature_extraction.text import HashingVectorizer

    return HashingVectorizer(
        analyzer=words_of, n_features=buckets, alternate_sign=False, norm=None, dtype=np.float32
    )


def _batches(items: Iterator[Any], size: int) -> Iterator[list[Any]]:
    while batch := list(islice(items, size)):
        yield batch


@contextmanager
def _one_thread() -> Iterator[None]:
    """No sums in an order that threads decide, and no warnings of fewer clusters than asked for."""
    need_scikit_learn()
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
