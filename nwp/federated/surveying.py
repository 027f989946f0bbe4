"""The phase that asks workers which words their users share, and adds up what they say."""

from __future__ import annotations

import numpy as np

from nwp.errors import BadMessage
from nwp.federated.parcel import ArraySpec, Parcel, Schema
from nwp.federated.plan import Plan, SurveyPlan
from nwp.federated.protocol import Phase, WorkerSide
from nwp.text.building import Survey, public_order, survey
from nwp.text.tokenizer import words_of


def _request(plan: Plan) -> Schema:
    return Schema()


# Words and their surfaces as UTF-8 lines with a count each; or, with `listed` 1, no words but
# a count for each word of the public list. `users` of the worker, `words` and `messages` in all.
REPLY = Schema(
    fields={"listed": int, "users": int, "words": int, "messages": int},
    arrays={
        "lines": ArraySpec("uint8", (None,)),
        "counts": ArraySpec("int64", (None,)),
    },
)


def _answer(worker: WorkerSide, number: int, request: Parcel) -> Parcel:
    """On the worker: apply the threshold k here, before anything is sent."""
    plan = worker.plan
    if not isinstance(plan, SurveyPlan):
        raise BadMessage(f"a {plan.kind} plan does not allow a survey")
    return survey_reply(survey(worker.messages("train"), plan.k), len(worker.names))


def survey_reply(found: Survey, users: int) -> Parcel:
    """A survey as a message, `REPLY`; with how many users it is of."""
    totals = {
        "users": users,
        "words": found.words,
        "messages": found.messages,
    }
    if found.listed:
        counts = [found.counts.get(word, 0) for word in public_order()]
        lines = ""
    else:
        counts = list(found.counts.values())
        lines = "".join(f"{found.surfaces.get(word, word)}\n" for word in found.counts)
    return Parcel(
        {"listed": int(found.listed), **totals},
        {"lines": _bytes(lines), "counts": np.array(counts, np.int64)},
    )


def read_survey(reply: Parcel) -> Survey:
    """On the server: what one worker said. BadMessage when words and counts do not match."""
    counts = reply.arrays["counts"].tolist()
    listed = bool(reply.fields["listed"])
    try:
        surfaces = reply.arrays["lines"].tobytes().decode("utf-8").split("\n")[:-1]
    except UnicodeDecodeError as error:
        raise BadMessage("a worker's words are not UTF-8") from error
    if listed:
        surfaces = public_order()
    words = [surface.lower() for surface in surfaces]
    if not listed and any(words_of(surface) != [surface.lower()] for surface in surfaces):
        raise BadMessage("a worker reports words that are none")
    if len(words) != len(counts) or len(set(words)) != len(words) or min(counts, default=0) < 0:
        raise BadMessage("a worker's words and counts do not match")
    pairs = [(w, c) for w, c in zip(words, counts, strict=True) if c]
    shown = {w: s for w, s in zip(words, surfaces, strict=True) if w != s and not listed}
    return Survey(
        counts=dict(pairs),
        surfaces=shown,
        words=int(reply.fields["words"]),
        messages=int(reply.fields["messages"]),
        listed=listed,
    )


def _bytes(text: str) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    return np.frombuffer(text.encode("utf-8"), np.uint8)


SURVEY = Phase(
    "survey",
    _request,
    lambda plan: REPLY,
    _answer,
    lambda plan, worker, reply: read_survey(reply),
)
