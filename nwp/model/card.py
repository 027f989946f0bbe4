"""The model card: what a bundle was trained on, how well it does, and what it is not for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def model_card(settings: Mapping[str, Any], parameters: int) -> str:
    """Markdown with YAML front matter, as model hubs read it (no clock: equal bundles, equal cards).

    The card of a bundle that was fine-tuned on one person's messages has none: it is for no hub.
    """
    if settings["about"].get("personalized"):
        return _personal_card(settings, parameters)
    about = settings["about"]
    training, valid = about["training"], about["valid"]
    start = (
        f"\n- started from the bundle `{about['from']}`; what its licence asks holds here, too"
        if about.get("from")
        else ""
    )
    return f"""---
language: en
pipeline_tag: text-generation
tags: [next-word-prediction, federated-learning, lstm, nwp]
---

# A next-word model of {about["users"]} users' messages

An LSTM that suggests the next word of a message, trained federatedly with nwp {about["nwp"]}: the
messages stayed on {about["workers"]} workers, and only updates of the weights were averaged.

| | |
|---|---|
| corpus | {about["corpus"]} ({about["users"]} users{_words(about["words"])}) |
| model | {_sizes(settings, parameters)} |
| vocabulary | {about["vocabulary"]:,} words; one enters when {about["k"]} users of one worker wrote it, or \
from a public list |
| validation perplexity | {_shown(valid["perplexity"], ".1f")}{_best(about["best_round"])} |
| validation top-1 / top-3 | {_shown(valid["top1"], ".1%")} / {_shown(valid["top3"], ".1%")} |
| unknown words | {_shown(valid["oov_rate"], ".1%")} of the words predicted |

{_grams(about.get("ngrams"))}\
Targets are words, lower-cased; an unknown word counts as wrong in top-k and is left out of the
perplexity. Validation is the ninth tenth of each user's messages, in order of time.

{_parts(about.get("averaged"))}\
## Training

- {training["rounds"]} rounds, {training["cohort"]} users a round{_drawn(training)}, \
{training["epochs"]} local epoch(s), \
{_batches(training["batch"])}{_at_most(training)}, \
learning rate {training["learning_rate"]}{_scheduled(training, "schedule")}
- {_algorithm(training)}
- server optimizer {training["optimizer"]}, learning rate {training["server_learning_rate"]}\
{_scheduled(training, "server_schedule")}{_averaged(training)}{_compressed(training)}
- seed {training["seed"]}; plan {training["plan"][:16]}{start}{_devices(about)}

To make it again: `{about["command"]}`

## Privacy

No message left its worker. The updates were plain averages without noise: this model has **no
differential-privacy guarantee**, and a language model can remember phrases of its training text.

## Not for

Judging people or their language; languages other than those of its corpus.
"""


def _grams(told: Mapping[str, Any] | None) -> str:
    """What the n-gram expert is, where there is one."""
    if not told:
        return ""
    absent = told.get("absent")
    without = f" ({absent} of which did not answer)" if absent else ""
    return f"""## N-grams

Beside the LSTM a table of {told["pairs"]:,} pairs and {told["triples"]:,} triples of words speaks: those that
{told["k"]} users of one worker wrote, counted on the workers{without} over {told["corpus"]}. \
How much they count was learnt on the validation
parts. The validation above is of the LSTM alone.

To make them again: `{told["command"]}`; plan {told["plan"][:16]}

"""


def _parts(averaged: Sequence[Mapping[str, Any]] | None) -> str:
    """What the weights are the mean of, if of several bundles."""
    if not averaged:
        return ""
    rows = "\n".join(
        f"| `{part['model']}` | {part['share']:.4g} | {part['corpus']} ({part['users']} users) | "
        f"{part['rounds']} rounds, plan {part['plan'][:16]} |"
        for part in averaged
    )
    return f"""## Average

The weights are the mean of those of {len(averaged)} bundles, which must have begun from the same one
(arXiv 2203.05482). How well the mean does was not measured when it was made.

| bundle | share | corpus | training |
|---|---|---|---|
{rows}

What follows is of `{averaged[0]["model"]}`.

"""


def _personal_card(settings: Mapping[str, Any], parameters: int) -> str:
    """What a bundle of one person's is, and above all that it is nobody else's."""
    about = settings["about"]
    own = about["personalized"]
    rows = "\n".join(
        f"| {part} {title} | {_shown(own[part]['before'][key], form)} → "
        f"{_shown(own[part]['after'][key], form)} |"
        for part in ("valid", "test")
        for key, title, form in (
            ("perplexity", "perplexity", ".1f"),
            ("top1", "top-1", ".1%"),
            ("top3", "top-3", ".1%"),
        )
    )
    grams = ""
    if told := about.get("ngrams"):
        grams = (
            f"| n-grams | those of the bundle it began from: {told['pairs']:,} pairs and "
            f"{told['triples']:,} triples; all figures count them |\n"
        )
    chosen = (
        "chosen on the ninth tenth" if own["chosen"] else "a careful default: too few to choose by"
    )
    return f"""# A next-word model fine-tuned on one person's messages

**Do not give this bundle away.** Its weights were trained on one person's messages, and from weights
phrases can be drawn out that were trained on. It is for that person's own machine.

| | |
|---|---|
| began from | the bundle `{own["from"]}` ({about["corpus"]}, {about["users"]} users) |
| model | {_sizes(settings, parameters)} |
| messages | {own["messages"]:,}, of which the first eight tenths were trained on: {own["words"]:,} words |
| fine-tuning | {own["passes"]} pass(es) of plain SGD, learning rate {own["learning_rate"]} \
and {own["share"]:.0%} of the way there ({chosen}); batches of {own["batch"]}, gradients no longer than \
{own["clip_norm"]}, seed {own["seed"]} |
{grams}{rows}

Before → after, on this person's messages: valid is the ninth tenth in order of time, test the last,
which nothing was chosen by. Targets are words, lower-cased; an unknown word counts as wrong in top-k and
is left out of the perplexity. The vocabulary is that of the bundle it began from.

To make it again: `{own["command"]}`

## Privacy

What the bundle that it began from promises to those whom it learnt from still holds. To the person
whom it was fine-tuned for it promises nothing: keep it as you keep the messages.
"""


def _sizes(settings: Mapping[str, Any], parameters: int) -> str:
    model = settings["model"]
    return (
        f"embedding {model['embedding']}, LSTM {model['layers']} x {model['hidden']}, projection "
        f"{model['projection']}, {'tied' if model['tied'] else 'untied'}; {parameters:,} "
        f"parameters{_stored(settings)}"
    )


def _stored(settings: Mapping[str, Any]) -> str:
    form = settings.get("storage")
    return f", stored as {form}" if form else ""


def _batches(size: int) -> str:
    return f"batches of {size}" if size else "all of a user's messages in one step"


def _drawn(training: Mapping[str, Any]) -> str:
    """How the users of a round were found, where it was not all alike, everybody within reach."""
    who = training.get("participation")
    if not who:
        return ""
    how = {"size": "drawn by their words", "poisson": "drawn one by one, so many on average"}
    told = [how.get(who["sampling"], "")]
    if who["availability"] < 1:
        told.append(f"each within reach by a chance of {who['availability']}")
    if who["cycle"] > 1:
        told.append(f"in {who['cycle']} groups that take turns")
    if who["over_select"]:
        told.append(f"{who['over_select']:.0%} more asked")
    if who["time_limit"]:
        told.append(f"{who['time_limit']} s waited at most")
    if who["minimum"]:
        told.append(f"no round of fewer than {who['minimum']}")
    return "".join(f", {text}" for text in told if text)


def _at_most(training: Mapping[str, Any]) -> str:
    """How many messages of a user a round took, if not all. Older bundles do not tell: all."""
    most = training.get("messages", 0)
    return f", at most {most} messages of a user" if most else ""


def _scheduled(training: Mapping[str, Any], whose: str) -> str:
    """How that rate changed, if it did. Older bundles do not tell of the server's: it was constant."""
    schedule = training.get(whose, "constant")
    return "" if schedule == "constant" else f" ({schedule})"


def _algorithm(training: Mapping[str, Any]) -> str:
    """What users and sums do. Bundles of before there was a choice are FedAvg by words."""
    name, proximal = training.get("algorithm", "fedavg"), training.get("proximal", 0)
    by = training.get("weights", "words")
    counted = {
        "words": "by their words",
        "messages": "by their messages",
        "equal": "alike",
        "clipped": f"by their words, {training.get('weight_cap')} at most",
    }[by]
    pull = f", proximal term {proximal}" if proximal else ""
    return f"algorithm {name}{pull}; users count {counted}"


def _averaged(training: Mapping[str, Any]) -> str:
    share = training.get("averaging")
    return f"; weights averaged over the rounds (the mean keeps {share} a round)" if share else ""


def _compressed(training: Mapping[str, Any]) -> str:
    """How weights and updates travelled, if not as they are. Older bundles do not tell: as they are."""
    down, up = training.get("downlink", "fp32"), training.get("uplink", "fp32")
    if (down, up) == ("fp32", "fp32"):
        return ""
    of = f" (a share of {training['topk']} a round)" if training.get("topk") else ""
    return f"\n- weights went down as {down}, updates up as {up}{of}"


def _devices(about: Mapping[str, Any]) -> str:
    """What it was computed on, if not on processors alone: another gives other last bits."""
    devices = about.get("devices")
    return f"\n- computed on {', then '.join(devices)}" if devices else ""


def _words(words: int | None) -> str:
    """How many words were trained on, where that is known: members of a joint training don't tell."""
    return "" if words is None else f", {words:,} words trained on"


def _best(number: int | None) -> str:
    return "" if number is None else f" (round {number})"


def _shown(value: float | None, form: str) -> str:
    return "not known" if value is None else format(value, form)
