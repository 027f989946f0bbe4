"""The same network with all text in one place, against a federated bundle: what not pooling costs.

    python benchmarks/central.py ubuntu_irc.jsonl.gz --model federated --words 4600000

Trains the bundle's network, from the same first weights and over the same vocabulary, on everybody's train
parts pooled and shuffled, for as many words as the federated run saw; then counts both on the users' test
parts. Central training is as good as it is known to be: AdamW (Loshchilov and Hutter 2019, "Decoupled
weight decay regularization"), --batch messages a step, gradients clipped, half a cosine, and the mean of
the weights over the last tenth of the steps (decaying) if that is better on valid. Each of --rates is
tried, all at once, one process each; valid chooses. The first weights of a bundle that was trained with
--from are not known to it: compare one that was trained from none.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from keyboard import counted

from nwp.corpus.load import load_corpus
from nwp.corpus.split import part_of
from nwp.corpus.types import Corpus
from nwp.evaluation.counts import figures
from nwp.evaluation.scoring import count_rows, join
from nwp.federated.dropout import draws_of
from nwp.federated.kernel import Kernel, named_views
from nwp.federated.packing import pack
from nwp.model.bundle import Bundle, load_bundle
from nwp.model.lstm import FloatArray, NextWordModel
from nwp.tasks.start import start_weights, weights_of
from nwp.text.vocabulary import encode

_CLIP_NORM = 1.0
_SHOWN = ("top1", "top3", "perplexity")


def main() -> None:
    """Print both rows, and with --json their figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", help="a file, folder or known name")
    parser.add_argument("--model", type=Path, required=True, help="a bundle trained federatedly")
    parser.add_argument("--words", type=int, required=True, help="to train on, repeats counted")
    parser.add_argument("--rates", type=float, nargs="+", default=[1e-3, 2e-3])
    parser.add_argument("--batch", type=int, default=16, help="messages a step")
    parser.add_argument("--dropout", type=float, help="else the bundle's")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    bundle, corpus = replace(load_bundle(given.model), expert=None), load_corpus(given.corpus)
    if given.dropout is not None:
        bundle = replace(bundle, config=replace(bundle.config, dropout=given.dropout))
    tasks = [
        (bundle, given.corpus, given.words, given.batch, rate, given.seed) for rate in given.rates
    ]
    with multiprocessing.get_context("spawn").Pool(given.processes) as pool:
        tried = pool.starmap(train, tasks, chunksize=1)
    for rate, (_, told) in zip(given.rates, tried, strict=True):
        print(f"central, rate {rate:g}: {told}", flush=True)
    best = min(tried, key=lambda found: found[1]["valid_perplexity"])[0]
    rows = {"federated": tested(bundle, weights_of(bundle), corpus, given.processes)}
    rows["central"] = tested(bundle, best, corpus, given.processes)
    if given.json:
        print(json.dumps(rows, indent=1))
        return
    print("\n| | top-1 | top-3 | perplexity |\n|---|---|---|---|")
    for name, row in rows.items():
        print(f"| {name} | {row['top1']:.1%} | {row['top3']:.1%} | {row['perplexity']:.1f} |")
    ratios = {key: rows["federated"][key] / rows["central"][key] for key in _SHOWN}
    print("| federated / central | " + " | ".join(f"{r:.1%}" for r in ratios.values()) + " |")


def train(
    bundle: Bundle, corpus: str, words: int, size: int, rate: float, seed: int
) -> tuple[FloatArray, dict[str, float]]:
    """Weights, float32 (n,), after so many words at a rate, with `size` messages a step, and how they do
    on everybody's valid part."""
    torch.set_num_threads(1)
    texts = load_corpus(corpus).users
    users = [texts[name] for name in sorted(texts)]
    text, valid = (
        [encode(part_of(messages, part), bundle.vocabulary) for messages in users]
        for part in ("train", "valid")
    )
    pooled = join([one for one in text if one.messages])
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    start = start_weights(bundle.config, bundle.frequencies, seed)
    flat = torch.nn.Parameter(torch.from_numpy(start.copy()))
    flat.grad = torch.zeros_like(flat)
    optimizer = torch.optim.AdamW([flat], lr=rate)
    kernel = Kernel(bundle.config, "bf16")
    gradient = named_views(flat.grad, bundle.config)
    longest = bundle.about["training"]["max_positions"]
    steps = math.ceil(words / pooled.words * math.ceil(pooled.messages / size))
    share = 1 / max(1, steps // 10)
    mean, began = flat.detach().clone(), time.perf_counter()
    order: list[npt.NDArray[np.int64]] = []
    for step in range(steps):
        if not order:
            order = np.array_split(rng.permutation(pooled.messages), -(-pooled.messages // size))
        for group in optimizer.param_groups:
            group["lr"] = rate * (0.1 + 0.9 * (1 + math.cos(math.pi * step / steps)) / 2)
        kernel.load(flat.detach())
        batch = pack([(pooled, np.sort(order.pop()))], longest)
        flat.grad.zero_()
        losses = torch.empty(batch.words)
        for piece in kernel.backward(batch, 1 / batch.words, losses, draws_of(generator, batch)):
            piece.add_to(gradient, bundle.config.first_output, 1.0)
        torch.nn.utils.clip_grad_norm_([flat], _CLIP_NORM)
        optimizer.step()
        mean.lerp_(flat.detach(), share)
        if step % 1000 == 999:
            print(f"rate {rate:g}: step {step + 1}/{steps}", flush=True)
    found = []
    for weights in (flat.detach().numpy(), mean.numpy()):
        rows = np.asarray(count_rows(weights, bundle.config, [one for one in valid if one.words]))
        found.append((float(figures(rows.sum(0))["perplexity"]), weights.copy()))
    perplexity, best = min(found, key=lambda pair: pair[0])
    told = {"valid_perplexity": perplexity, "steps": steps, "seconds": time.perf_counter() - began}
    return best, told


def tested(bundle: Bundle, weights: FloatArray, corpus: Corpus, processes: int) -> dict[str, float]:
    """Figures of these weights over all users' test parts."""
    texts = [part_of(corpus.users[name], "test") for name in sorted(corpus.users)]
    network = NextWordModel(bundle.config)
    network.set_weights(weights)
    model = replace(bundle, tensors=network.tensors())
    every = figures(counted(bundle.vocabulary, model, texts, processes).sum(0))
    return {name: float(every[name]) for name in _SHOWN}


if __name__ == "__main__":
    main()
