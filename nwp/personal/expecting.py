"""How often a model expected each of its words in what a person wrote.

The sum of the model's distributions over all places where a word was counted, or a message ended: what
the counts would be, on average, of somebody who writes in these contexts as the model thinks. It fades
as the counts do, and is kept for the last few vocabularies that were in use.
"""

from __future__ import annotations

import hashlib
import sqlite3

import numpy as np
import numpy.typing as npt

from nwp.text.vocabulary import Vocabulary

FloatArray = npt.NDArray[np.float64]

_MOST = 4  # vocabularies


def key_of(vocabulary: Vocabulary) -> str:
    """A name of a vocabulary's words in their order."""
    words = "\n".join(vocabulary.words).encode()
    return hashlib.blake2b(words, digest_size=16).hexdigest()


def add(
    db: sqlite3.Connection, key: str, counts: FloatArray, number: int, half_life: float
) -> None:
    """Add a message's sum, (outputs,), to what is there; `number` is the message's."""
    before = read(db, key, number, half_life)
    total = counts if before is None or len(before) != len(counts) else before + counts
    db.execute(
        "INSERT OR REPLACE INTO expected VALUES (?, ?, ?)",
        (key, number, total.astype("<f4").tobytes()),
    )
    db.execute(
        "DELETE FROM expected WHERE vocabulary NOT IN "
        "(SELECT vocabulary FROM expected ORDER BY changed DESC, vocabulary LIMIT ?)",
        (_MOST,),
    )


def read(db: sqlite3.Connection, key: str, number: float, half_life: float) -> FloatArray | None:
    """The sum as of message `number`, (outputs,), in uses; None where there is none."""
    query = "SELECT changed, counts FROM expected WHERE vocabulary = ?"
    if (row := db.execute(query, (key,)).fetchone()) is None:
        return None
    counts: FloatArray = np.frombuffer(row[1], "<f4").astype(np.float64)
    counts *= 2.0 ** ((row[0] - number) / half_life)
    return counts


def clear(db: sqlite3.Connection) -> None:
    """Forget all of it."""
    db.execute("DELETE FROM expected")
