"""What a plan asks of an owner, in plain words: read before it is approved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nwp.federated.parcel import Schema
from nwp.federated.plan import EvaluatePlan, NgramsPlan, Plan, SurveyPlan, TrainPlan
from nwp.federated.query_plan import QueryPlan
from nwp.federated.querying import describe_query
from nwp.text.building import public_words
from nwp.wording import many
from nwp.workers.policy import Policy, fault, message_bytes
from nwp.workers.policy_keys import ASK
from nwp.workers.tasks import phases_of

_SHOWN = 5  # words of a vocabulary
_FEW = 200  # words, of which a model's numbers tell how often each is used
_SCHEMES = {
    "fp32": "every number whole",
    "bf16": "every number in 16 bits",
    "int8": "every number in 8 bits",
    "topk": "the largest numbers alone",
}
_GUESSED = (
    "there is no differential privacy: from updates, and from the model made of them, words and "
    "phrases that your users wrote can be guessed"
)


def describe(plan: Plan, own_users: int, policy: Policy) -> list[str]:
    """What a plan asks of an owner with `own_users` users, and what the owner's rules say to it: one
    sentence or a few an entry."""
    if isinstance(plan, TrainPlan):
        lines = _training(plan, own_users, policy)
    elif isinstance(plan, EvaluatePlan):
        lines = _evaluation(plan, own_users, policy)
    elif isinstance(plan, NgramsPlan):
        lines = _ngrams(plan, own_users)
    elif isinstance(plan, SurveyPlan):
        lines = _survey(plan, own_users)
    elif isinstance(plan, QueryPlan):
        lines = iter([describe_query(plan)])
    else:
        lines = iter(
            [
                f"A plan of the kind {plan.kind!r}. This version of nwp has no words for what it asks: "
                "read the plan itself before you approve it."
            ]
        )
    return [*lines, _verdict(plan, own_users, policy)]


def size_text(size: int) -> str:
    """Bytes as people read them: B below a thousand, then kB, MB of a million, GB."""
    for unit, one in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= one:
            return f"{size / one:,.1f} {unit}"
    return f"{size} B"


def _training(plan: TrainPlan, own: int, policy: Policy) -> Iterator[str]:
    work, rounds = plan.local, many(plan.rounds, "round")
    yield f"Train a next-word model on your users' messages, in {rounds} at most."
    if plan.run:
        before = many(plan.run, "training")
        yield f"The server has begun {before} before; this is another one, however alike they may be."
    yield from _model(plan)
    batch = f"{many(work.batch, 'message')} a step" if work.batch else "all messages in one step"
    over = "all of their messages"
    if work.messages:
        over = f"{many(work.messages, 'message')} at most, others of theirs in each round"
    yield (
        f"In a round, each user drawn trains {_times(work.epochs)} over {over} "
        f"({batch}, {work.max_positions} words of a message at most) with a learning rate of at most "
        f"{work.learning_rate:g}."
    )
    if 1 in (work.batch, work.messages):
        yield (
            "Each step is over one message alone: the update then holds more of what each of them says "
            "than one over many messages at once."
        )
    elif work.epochs == 1 and 0 < work.messages <= (work.batch or work.messages):
        yield (
            "Each user takes one step: which words they wrote in these messages can be read from an "
            "update, unless it is the mean over many."
        )
    if len(plan.words) < _FEW:
        yield "With so few words, an update tells how often your users write each of them."
    yield _how_often(plan)
    yield from _answers(plan, own)
    yield f"What it tells: {_GUESSED}."
    if own == 1:
        yield "You have one user: the server sees this one person's own update."
    elif policy.min_users > 1 and not plan.participation.by_size:
        yield (
            f"An update is the mean over those of your {own} users who are drawn. Your rules refuse one "
            f"over fewer than {policy.min_users}."
        )
    else:
        yield (
            f"An update is the mean over those of your {own} users who are drawn. If one of them alone "
            "is drawn, the server sees that person's own update, and your rules allow that."
        )
    if plan.share < 1:
        yield (
            f"Nobody's answer counts for more than {plan.share:.0%} of a round, so that one owner alone "
            "does not spoil the model."
        )
    owners = many(len(plan.workers), "owner")
    yield (
        f"The server says that {many(plan.users, 'user')} of {owners} take part; it cannot be "
        "checked, and the server sees your answer by itself."
    )


def _how_often(plan: TrainPlan) -> str:
    """How often at most, and how often on average, a user's messages are gone through."""
    epochs, users = plan.local.epochs, max(plan.users, 1)
    if plan.participation.by_size:
        most = plan.rounds * plan.asked * epochs
        return (
            f"Your users' messages are gone through up to {_times(most)} in all, if every one of the "
            f"{plan.asked} draws of a round falls on the same user."
        )
    most = plan.rounds * epochs
    text = f"The messages of each of your users are gone through up to {_times(most)} in all"
    if plan.asked >= users:
        return f"{text}: in every round."
    mean = plan.rounds * epochs * plan.asked / users
    return (
        f"{text}; about {_times(round(mean))} if the server draws {plan.asked} of {plan.users} users a "
        "round as it says, which cannot be checked."
    )


def _answers(plan: TrainPlan, own: int) -> Iterator[str]:
    """What is sent back, phase by phase."""
    for phase in phases_of(plan).values():
        reply = phase.reply(plan)
        size = message_bytes(reply)
        if phase.name == "count":
            yield "Sent back once: how many words all your users have together."
        elif phase.name == "validate":
            every = plan.validate_every
            of_whom = "of your one user" if own == 1 else f"as one sum over your {own} users"
            yield (
                f"Sent back {'each round' if every == 1 else f'every {every} rounds'} (the server may ask "
                "in each, and before the first): counts of how well the model predicts what is kept of your "
                f"users' messages for that, {of_whom}."
            )
        else:
            yield (
                f"Sent back each round: {_vectors(reply)}, {size_text(size)} "
                f"({_SCHEMES[plan.compression.up]}); how many users and words it is made from, and how "
                f"well they were predicted. In all {size_text(size * plan.rounds)} at most."
            )


def _vectors(reply: Schema) -> str:
    if "variate" in reply.arrays:
        return "how training changed the weights, and how it changed the users' gradients"
    return "how training changed the weights (the update)"


def _evaluation(plan: EvaluatePlan, own: int, policy: Policy) -> Iterator[str]:
    part = "all messages" if plan.part == "all" else f"the {plan.part} part of the messages"
    yield f"Count once how well a finished model predicts {part} of {_yours(own)}."
    yield from _model(plan)
    size = message_bytes(phases_of(plan)["evaluate"].reply(plan))
    what = "a row of counts for each of your users, and sums" if plan.rows else "sums of counts"
    more = " and more for each user" if plan.rows else ""
    yield f"Sent back once: {what}, about {size_text(size)}{more}. No words leave."
    if plan.epsilon:
        yield (
            "And how many of your users are predicted how well, with noise: it costs each of them "
            f"epsilon = {plan.epsilon:g}. Your rules allow {policy.epsilon_budget:g} in all."
        )
    one = " You have one user: they are this one person's counts." if own == 1 else ""
    yield (
        "What it tells: the sums are exact, without differential privacy, and tell how much your users "
        f"wrote and how usual it is.{one}"
    )


def _ngrams(plan: NgramsPlan, own: int) -> Iterator[str]:
    yield f"Count once the pairs and triples of words that at least {plan.k} of your users wrote."
    yield from _model(plan)
    if own < plan.k:
        yield f"You have {many(own, 'user')}, fewer than {plan.k}: no pair and no triple leaves."
        return
    yield (
        "Sent back once: these pairs and triples with their counts, summed over "
        f"{_yours(own)}, 24 B each; and once how much use they are beside the model."
    )
    alone = " With k = 1 everything that any of your users wrote leaves so." if plan.k == 1 else ""
    yield (
        "What it tells: sayings that your users have in common, word by word. There is no differential "
        f"privacy: who knows the text of all others can tell what one more user added.{alone}"
    )


def _survey(plan: SurveyPlan, own: int) -> Iterator[str]:
    yield "Find out which words your users write, to choose a vocabulary by."
    if own < plan.k:
        listed = len(public_words())
        yield (
            f"Sent back once: how often each of the {listed:,} words of the public list that comes with "
            f"nwp was written, {size_text(8 * listed)}. You have fewer than {plan.k} users: no other word "
            "leaves."
        )
    else:
        yield (
            f"Sent back once: each word that at least {plan.k} of your users wrote, and how often they "
            "all wrote it."
        )
    yield "And how many users, messages and words you have in all."
    one = " You have one user: they are this one person's counts." if own == 1 else ""
    alone = " With k = 1 every word that any of them wrote leaves." if plan.k == 1 else ""
    yield (
        "What it tells: the counts are exact, without differential privacy, and say what your users "
        f"write about.{one}{alone}"
    )


def _model(plan: TrainPlan | EvaluatePlan | NgramsPlan) -> Iterator[str]:
    """Which model, and which words it knows."""
    model = plan.model
    yield (
        f"The model: {model.hidden} LSTM units in {many(model.layers, 'layer')}, "
        f"{model.parameters:,} weights; {size_text(message_bytes(Schema(arrays=plan.downlink.specs(''))))} "
        "each time that it is sent to you."
    )
    yield _vocabulary(plan.words)


def _vocabulary(words: Sequence[str]) -> str:
    listed = public_words()
    others = [word for word in words if word not in listed]
    text = f"It knows {many(len(words), 'word')}"
    if not others:
        return f"{text}, all from the public list that comes with nwp."
    shown = ", ".join(repr(word[:40]) for word in others[:_SHOWN])
    return (
        f"{text}: {len(words) - len(others):,} from the public list that comes with nwp, and "
        f"{len(others):,} that the server has from elsewhere ({shown}{', …' * (len(others) > _SHOWN)})."
    )


def _verdict(plan: Plan, own: int, policy: Policy) -> str:
    if reason := fault(policy, plan):
        return f"Your rules refuse it: {reason}."
    if own < policy.min_users:
        return (
            f"Your rules refuse every answer: it would be from {_yours(own)}, and they want "
            f"{policy.min_users} or more."
        )
    if policy.approve == ASK:
        return "Your rules allow it, if you approve it."
    return "Your rules approve it without asking you."


def _yours(own: int) -> str:
    return "your one user" if own == 1 else f"your {own:,} users"


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count:,} times")
