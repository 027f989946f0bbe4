"""The private text of a worker: as a file with its mock, as read, and what a phase may use of it."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from nwp.corpus.readers import jsonl
from nwp.corpus.split import ByPlace, Part
from nwp.corpus.store import StoredUsers, store
from nwp.corpus.types import Tally, nothing_in, with_text
from nwp.errors import BadInput
from nwp.evaluation.phases import VALIDATE, validated
from nwp.evaluation.weighing import WEIGH
from nwp.federated.memory import Memory
from nwp.federated.parcel import Parcel
from nwp.federated.plan import EvaluatePlan, NgramsPlan, Plan, SurveyPlan, TrainPlan
from nwp.federated.query_plan import QueryPlan
from nwp.model.lstm import FloatArray
from nwp.text.building import public_order
from nwp.text.encoded_users import EncodedUsers
from nwp.text.tokenizer import words_of
from nwp.text.vocabulary import Encoded
from nwp.workers.adapter import clients, datasets
from nwp.workers.engines import Engine
from nwp.workers.refusals import Refusal, Refuse

DATA_FILE = "users.jsonl"


def lines_of(users: Mapping[str, Sequence[str]]) -> Iterator[bytes]:
    """Messages as JSON lines, a user at a time."""
    for user, texts in users.items():
        rows = [{"user": user, "text": text} for text in texts]
        yield "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def mock_of(name: str) -> Iterator[bytes]:
    """Made-up messages of the same form, from public words: what the server may look at."""
    rng, words = random.Random(name), public_order()[:500]
    users = {
        f"mock-{i}": [" ".join(rng.choices(words, k=rng.randint(3, 9))) for _ in range(10)]
        for i in range(1, 4)
    }
    return lines_of(users)


@dataclass
class Private:
    """The private text as read, by the digest of its file, and what was encoded of it."""

    digest: str
    users: StoredUsers
    encoded: dict[tuple[int, str], EncodedUsers] = field(default_factory=dict)
    words: dict[tuple[int, str, int], npt.NDArray[np.int64]] = field(default_factory=dict)


def read_private(client: clients.Client, known: Private | None = None) -> Private:
    """What an owner's private dataset points to at this moment; what is `known` of it, if that is the same.
    BadInput when it can't be read."""
    files = datasets.private_files(client)
    if [f.name for f in files] != [DATA_FILE]:
        raise BadInput("the private dataset does not point to one file of messages")
    with files[0].open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if known is not None and known.digest == digest:
        return known
    users, _ = store(with_text(jsonl.read(files[0], tally := Tally()), tally))
    if not users:
        raise nothing_in("private", tally)
    return Private(digest, users)


@dataclass
class Side:
    """What a phase may use here (`nwp.federated.protocol.WorkerSide`)."""

    plan: Plan
    private: Private
    engine: Engine
    memory: Memory

    @property
    def names(self) -> Sequence[str]:
        """The users of this worker, by place."""
        return self.private.users.names

    def messages(self, part: str) -> Mapping[str, Sequence[str]]:
        """User to messages of a part, as written."""
        return Part(self.private.users, part)

    def encoded(self, part: str) -> Sequence[Encoded]:
        """The same by place, in ids of the plan's vocabulary; refused under a plan that has none."""
        key = (hash(self._planned.words), part)
        if key not in self.private.encoded:
            texts = ByPlace(self.messages(part), self.names)
            self.private.encoded[key] = EncodedUsers(texts, self._planned.vocabulary())
        return self.private.encoded[key]

    def words(self, part: str, most: int) -> npt.NDArray[np.int64]:
        """How many words each user has in a part, of a message `most` at most; counted once."""
        key = (hash(self._planned.words), part, most)
        if key not in self.private.words:
            counts = [user.within(most) for user in self.encoded(part)]
            self.private.words[key] = np.array(counts, np.int64)
        return self.private.words[key]

    @property
    def _planned(self) -> TrainPlan | EvaluatePlan | NgramsPlan | QueryPlan:
        """The plan, if it has a vocabulary."""
        if isinstance(self.plan, SurveyPlan):
            raise Refuse(Refusal.BAD_REQUEST)
        return self.plan

    def with_text(self, phase: str, request: Parcel) -> int:
        """How many different users have any text that an answer to this request is made from. Whoever
        is named and has none hides nobody."""
        own = range(len(self.names))
        asked: Sequence[int] = own
        if "users" in request.arrays:
            asked = request.arrays["users"].tolist()
        elif phase == VALIDATE.name and isinstance(self.plan, TrainPlan):
            asked = validated(self.plan, len(own))
        kept_back = phase in (VALIDATE.name, WEIGH.name)
        texts = self.messages("valid" if kept_back else getattr(self.plan, "part", "train"))
        return sum(any(map(words_of, texts[self.names[i]])) for i in set(asked) & set(own))

    def run(
        self, function: Callable[..., Any], shared: FloatArray, tasks: Sequence[tuple[Any, ...]]
    ) -> Iterator[Any]:
        """What the function makes of each task, in order, by this worker's engine."""
        return self.engine.run(function, shared, tasks)

    def remember(self, parcel: Parcel) -> None:
        """Keep something until a later phase of this round."""
        self.memory.remember(parcel)

    def recall(self) -> Parcel:
        """What an earlier phase of this round kept."""
        return self.memory.recall()
