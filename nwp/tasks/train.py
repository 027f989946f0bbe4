"""Train a bundle federatedly on a corpus: enrol, survey words, agree on a plan, run the rounds."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nwp.corpus.split import held_out, only, part_of
from nwp.corpus.types import Corpus
from nwp.errors import BadCorpus
from nwp.model.bundle import SETTINGS, named_bundle
from nwp.runs.metrics import MetricsFile
from nwp.runs.trackers import Tracker
from nwp.tasks.passes import Passes, in_rounds
from nwp.tasks.run_folder import RunFolder
from nwp.tasks.tracking import tracked
from nwp.tasks.train_options import TrainOptions
from nwp.tasks.train_over import train_over
from nwp.tasks.trained import Trained, finished_bundle, keep_result, result_of
from nwp.tasks.watching import Watcher, telling_of_the_end, together
from nwp.text.tokenizer import words_of
from nwp.workers.channel import Tap
from nwp.workers.engines import make_engine
from nwp.workers.simulation import Simulation, deal, usual_workers


def train_bundle(
    corpus: Corpus,
    out: Path,
    options: TrainOptions,
    *,
    command: str,
    resume: bool = False,
    force: bool = False,
    watcher: Watcher | None = None,
    tap: Tap | None = None,
    trackers: Sequence[Tracker] = (),
    deals: Mapping[str, Sequence[str]] | None = None,
    passes: Passes | None = None,
) -> dict[str, Any]:
    """Train and write the bundle to `out`; returns what `nwp train --json` prints.

    `deals` is worker to users, if they are not to be dealt in turn. `passes` tells the rounds in the place
    of `options.rounds`.

    The state of the run is in `out/run`, and there its rounds' figures in `metrics.csv`. `trackers`
    are told the figures, too; none of them can stop training. With `resume`, a run goes on after its
    last durable round and a finished one gives its result again; `force` begins anew. BadInput when
    `out` holds something and neither is asked, or while another process trains into it. NwpError
    when the disk is full or may not be written: what is durable stays.
    """
    watcher = watcher or Watcher()
    held = held_out(corpus, options.held_out, options.seed)
    every = only(corpus, set(corpus.users) - set(held)) if held else corpus
    corpus, sizes = _with_words(every)
    if passes:
        options = in_rounds(passes, sizes, options)
    with RunFolder(out, _fingerprint(corpus, options), resume=resume) as run:
        finished = run.check(force=force)
        if finished is not None:
            return finished
        track = tracked(
            [MetricsFile(run.metrics), *trackers],
            out=out,
            fingerprint=run.fingerprint,
            corpus=Path(corpus.name).name,
            settings=asdict(options),
            command=command,
            warn=watcher.warned,
        )
        # First those who keep what has been reached, then those who show it.
        watcher = together(track, watcher)
        with telling_of_the_end(watcher):
            began = time.perf_counter()
            dealt = deals or deal(
                list(corpus.users), options.workers or usual_workers(len(corpus.users))
            )
            trained = _trained(corpus, dealt, run, options, watcher, tap)
            name = Path(corpus.name).name
            words = sum(n for _, n in sizes.values())
            bundle = finished_bundle(name, words, options, trained, command)
            seconds = round(time.perf_counter() - began, 1)
            left = {"held_out": list(held), "without_words": len(every.users) - len(corpus.users)}
            result = {"model": str(out), **result_of(trained, seconds), **left}
            keep_result(run, bundle, result)
            watcher.finished(result)
        return result


def _trained(
    corpus: Corpus,
    deals: Mapping[str, Sequence[str]],
    run: RunFolder,
    options: TrainOptions,
    watcher: Watcher,
    tap: Tap | None,
) -> Trained:
    """Training over datasites that are there for as long as it takes."""
    engine = make_engine(
        options.processes,
        name=options.engine,
        ray_address=options.ray_address,
        device=options.device,
    )
    simulation = Simulation(
        corpus,
        deals,
        engine,
        refusing=frozenset(options.refuse),
        tap=tap,
        stragglers=options.stragglers,
        memory=run.folder / "workers",
    )
    try:
        with simulation as sim:
            watcher.enrolled(sim)
            return train_over(sim, run, options, watcher)
    finally:
        engine.close()


def _with_words(corpus: Corpus) -> tuple[Corpus, dict[str, tuple[int, int]]]:
    """The corpus of those who have written a word, and of each the messages and words to train on.

    BadCorpus when there is nothing to learn from.
    """
    sizes = {}
    for user, texts in corpus.users.items():
        words = [len(words_of(text)) for text in texts]
        if sum(words):
            train = part_of(words, "train")
            sizes[user] = (len(train), sum(train))
    if not sizes:
        raise BadCorpus(f"no user of {corpus.name} has written a word", "Is it the right corpus?")
    if not any(words for _, words in sizes.values()):
        raise BadCorpus(
            f"no user of {corpus.name} has a message to train on",
            "The first eight of ten are trained on: a user needs two or more.",
        )
    return (corpus if len(sizes) == len(corpus.users) else only(corpus, list(sizes))), sizes


def _fingerprint(corpus: Corpus, options: TrainOptions) -> str:
    """What a run is of: the text, the options and the bundle to start from, as one digest."""
    digest = hashlib.sha256(json.dumps(options.decisive(), sort_keys=True).encode())
    if options.base:
        with contextlib.suppress(OSError):  # that it can't be read is told when it is
            digest.update((named_bundle(options.base) / SETTINGS).read_bytes())
    for user, texts in corpus.users.items():
        digest.update(json.dumps([user, *texts]).encode())
    return digest.hexdigest()
