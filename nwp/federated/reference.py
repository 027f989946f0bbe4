"""FedAvg to read first: Algorithm 1 of McMahan et al. 2017 (arXiv 1602.05629), nothing hidden.

    server executes:                          FederatedAveraging
        initialise w
        for each round t = 1, 2, …:
            S ← random set of users
            for each user k in S:  w_k ← ClientUpdate(k, w)
            w ← Σ_k (n_k / n) w_k             n_k words of user k, n = Σ n_k

    ClientUpdate(k, w):
        for each local epoch, for each batch b:  w ← w - η (∇ loss(w; b) + μ (w - received w))
        return w                                 μ = 0 but for FedProx (Li et al. 2020)

SCAFFOLD: Algorithm 1 of Karimireddy et al. 2020 (arXiv 1910.06378), option II.

    server executes:
        initialise x, c ← 0, every c_i ← 0
        for each round: S ← random set of the N users
            for each user i in S, with y ← x:
                K times, a batch b each:  y ← y - η (∇ loss(y; b) - c_i + c)
                c_i⁺ ← c_i - c + (x - y) / (K η);  Δy_i ← y - x,  Δc_i ← c_i⁺ - c_i,  c_i ← c_i⁺
            x ← x + η_g mean_S(Δy_i);  c ← c + |S|/N mean_S(Δc_i)

No workers, no messages, no speed. What nwp runs gives the same weights; a test holds it to this.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F

from nwp.federated.local import Batch, LocalWork, make_batches, words_trained
from nwp.model.config import ModelConfig
from nwp.text.vocabulary import Encoded

Weights = dict[str, torch.Tensor]


def federated_averaging(
    weights: Weights,
    config: ModelConfig,
    work: LocalWork,
    rounds: Sequence[Mapping[int, int]],
    users: Sequence[Encoded],
    weigh: Callable[[Encoded, LocalWork], int] = words_trained,
) -> Weights:
    """Weights by name after some rounds; each round is user (a place in `users`) to its seed. A
    user counts as much as `weigh` says: by words, n_k."""
    for cohort in rounds:
        words = {k: weigh(users[k], work) for k in cohort}
        total = sum(words.values())
        trained = {
            k: client_update(weights, config, work, users[k], seed) for k, seed in cohort.items()
        }
        weights = {
            name: sum(
                (trained[k][name].double() * (words[k] / total) for k in cohort),
                torch.zeros_like(weights[name], dtype=torch.float64),
            ).float()
            for name in weights
        }
    return weights


def scaffold(
    weights: Weights,
    config: ModelConfig,
    work: LocalWork,
    rounds: Sequence[Mapping[int, int]],
    users: Sequence[Encoded],
    server_rate: float = 1.0,
) -> tuple[Weights, Weights, Sequence[Weights]]:
    """Weights, c and every user's c_i after some rounds, as in `federated_averaging`."""
    c = {name: torch.zeros_like(value) for name, value in weights.items()}
    own = [c for _ in users]
    for cohort in rounds:
        x, before, share = weights, c, 1 / len(cohort)
        for k, seed in cohort.items():
            way = {name: before[name] - own[k][name] for name in x}
            y = client_update(x, config, work, users[k], seed, way)
            steps = work.epochs * -(-users[k].messages // (work.batch or users[k].messages))
            seen = {n: (x[n] - y[n]) / (steps * work.learning_rate) - way[n] for n in x}
            weights = {n: weights[n] + server_rate * share * (y[n] - x[n]) for n in x}
            c = {n: c[n] + (seen[n] - own[k][n]) / len(users) for n in x}
            own[k] = seen
    return weights, c, own


def client_update(
    weights: Weights,
    config: ModelConfig,
    work: LocalWork,
    user: Encoded,
    seed: int,
    correction: Weights | None = None,
) -> Weights:
    """One user's local training; `correction` is c - c_i, which is added to every gradient."""
    w = {name: value.clone().requires_grad_() for name, value in weights.items()}
    rng = np.random.default_rng(seed)
    for _ in range(work.epochs):
        for batch in make_batches(user, work, rng):
            gradients = torch.autograd.grad(loss(w, config, batch), list(w.values()))
            norm = float(sum(float(g.square().sum()) for g in gradients)) ** 0.5
            scale = min(1.0, work.clip_norm / norm) if work.clip_norm else 1.0
            w = {
                name: (value - work.learning_rate * (scale * g + more)).detach().requires_grad_()
                for (name, value), g in zip(w.items(), gradients, strict=True)
                for back in [work.proximal * (value - weights[name])]
                for more in [back + correction[name] if correction else back]
            }
    return {name: value.detach() for name, value in w.items()}


def loss(w: Weights, config: ModelConfig, batch: Batch) -> torch.Tensor:
    """Mean cross-entropy of the real targets, the LSTM written out gate by gate (one layer)."""
    messages, positions = batch.inputs.shape
    h = c = w["proj.weight"].new_zeros(messages, config.hidden)
    total, count = h.new_zeros(()), 0
    rows = w["embed.weight"][config.first_output :] if config.tied else w["out.weight"]
    for t in range(positions):
        x = w["embed.weight"][batch.inputs[:, t]]
        if config.marks:
            x = x + w["mark.weight"][batch.marks[:, t]]
        gates = x @ w["lstm.weight_ih_l0"].T + w["lstm.bias_ih_l0"]
        gates = gates + h @ w["lstm.weight_hh_l0"].T + w["lstm.bias_hh_l0"]
        i, f, g, o = gates.chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        scores = (h @ w["proj.weight"].T + w["proj.bias"]) @ rows.T + w["out.bias"]
        real = batch.targets[:, t] >= config.first_output
        wanted = batch.targets[:, t][real] - config.first_output
        total = total + F.cross_entropy(scores[real], wanted, reduction="sum")
        count += int(real.sum())
    return total / count
