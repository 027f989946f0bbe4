"""Payloads of evaluations, drawn by seed: plausible, and as many users as are asked for."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

Payload = dict[str, Any]
_NAMES = [
    *("anna", "brendan", "coralie", "dmitri", "elif", "femi", "gus", "hana", "ines", "jo", "kofi"),
    *("lena", "marisol", "noor", "oskar", "piet", "quentin", "rosalind", "sol", "tom"),
]
_KINDS = {
    "position": [
        "1st word",
        "2nd word",
        "3rd word",
        "4th to 6th word",
        "7th to 10th word",
        "later",
    ],
    "frequency": ["most frequent 100", "to 1,000", "to 5,000", "rarer", "unknown"],
    "length": [
        "1 to 2 letters",
        "3 letters",
        "4 letters",
        "5 to 6 letters",
        "7 to 9 letters",
        "more",
    ],
}
_TEXTS = [
    ("see you at the", "station", ["station", "office", "weekend", "same"], 1),
    ("i'll be a bit", "late", ["more", "of", "late", "tired"], 3),
    ("could you bring the blue folder from my", "desk", ["car", "house", "mum", "room"], 17),
    ("happy", "birthday", ["birthday", "to", "new", "with"], 1),
    ("that was the best", "rhubarb", ["thing", "one", "day", "of"], None),
    ("are you", "coming", ["there", "still", "coming", "sure"], 3),
    ("no worries, take your", "time", ["time", "own", "way", "dog"], 1),
]


def figures(rng: np.random.Generator, tokens: int, perplexity: float, oov: float) -> Payload:
    top1 = float(np.clip(0.13 * (210 / perplexity) ** 0.5 + rng.normal(0, 0.01), 0.01, 0.9))
    top3 = min(0.95, top1 * 1.75)
    return {
        "tokens": tokens,
        "perplexity": perplexity,
        "top1": top1,
        "top3": top3,
        "top5": min(0.97, top1 * 2.2),
        "mrr": top1 * 1.4,
        "oov_rate": oov,
        "bits_per_character": 1.2 + 0.27 * float(np.log(perplexity)) / 1.7,
        "keystroke_savings": top3 * 1.35,
        "keystroke_savings_spaced": top3 * 1.1,
        "first_perplexity": perplexity * 0.7,
        "first_top3": top3 * 1.1,
        "masked_tokens": int(tokens * 0.99),
        "masked_perplexity": perplexity * 0.98,
        "masked_top1": top1,
        "masked_top3": top3,
        "messages": max(1, tokens // 8),
    }


def make_payload(users: int = 60, seed: int = 1) -> Payload:
    rng = np.random.default_rng(seed)
    names = [
        f"{first}{'' if i < 20 else i}"
        for i, first in enumerate(
            np.resize(
                _NAMES,
                users,
            ).tolist()
        )
    ]
    words = np.maximum(8, rng.lognormal(5.2, 1.15, users)).astype(int)
    perplexity = np.exp(rng.normal(5.32, 0.28, users) + 0.12 * rng.normal(0, 9 / np.sqrt(words)))
    rows = [
        {"user": name, **figures(rng, int(n), float(p), float(rng.beta(3, 30)))}
        for name, n, p in zip(names, words, perplexity, strict=True)
    ]

    def spread(key: str) -> Payload:
        values = np.array([row[key] for row in rows])
        deciles = {f"p{q}": float(np.quantile(values, q / 100)) for q in range(10, 100, 10)}
        worst = np.argsort([-row["perplexity"] for row in rows])[: max(1, users // 10)]
        return {
            "mean": float(values.mean()),
            "std": float(values.std()),
            "gini": float(np.abs(values[:, None] - values).mean() / 2 / values.mean()),
            **deciles,
            "worst_tenth": float(values[worst].mean()),
        }

    total = int(words.sum())
    summary = figures(rng, total, 208.4, 0.087) if users else {"tokens": 0, "perplexity": None}
    slices = {
        by: [
            {"slice": name, "tokens": 900 - 100 * i, "known": 850 - 100 * i,
             "top1": 0.19 * 0.75**i, "top3": 0.31 * 0.77**i, "perplexity": 90 * 1.5**i}
            for i, name in enumerate(names_of)
        ]
        for by, names_of in _KINDS.items()
    }  # fmt: skip
    count = 20
    confidence = (np.arange(count) + 0.5) / count
    curve = [
        {"round": i, "loss": 5.0 + 2.4 * float(np.exp(-i / 9)) + float(rng.normal(0, 0.02)),
         "words": 21_000, "seconds": 3.4, "bytes_up": 10_600_000, "bytes_down": 10_650_000,
         "valid": {"perplexity": 200 + 420 * float(np.exp(-i / 10)), "top1": 0.1, "top3": 0.2}
         if i % 2 == 0 else None}
        for i in range(1, 61)
    ]  # fmt: skip
    groups = [
        ("activity", "under 50 words", 7), ("activity", "50 to 99 words", 9),
        ("activity", "100 to 999 words", 38), ("activity", "1,000 words or more", 6),
        ("unknown words", "0 to 5 %", 14), ("unknown words", "5 to 10 %", 25),
        ("unknown words", "over 10 %", 21), ("trained", "took part in training", 52),
        ("trained", "never took part", 8),
    ]  # fmt: skip
    return {
        "users": rows,
        "users_withheld": 0,
        "summary": summary,
        "intervals": {"perplexity": [199.1, 219.7], "top1": [0.121, 0.141], "top3": [0.214, 0.243],
                      "keystroke_savings": [0.291, 0.325], "bits_per_character": [2.01, 2.09]},
        "over_users": {k: spread(k) for k in ("perplexity", "top1", "top3")} if users else {},
        "groups": [
            {"by": by, "group": group, "users": n,
             **figures(rng, 120 * n, float(rng.uniform(170, 290)), 0.09)}
            for by, group, n in groups
        ],
        "slices": slices,
        "calibration": {
            "error": 0.021,
            "bins": [
                {"from": float(c) - 0.025, "to": float(c) + 0.025,
                 "count": int(3000 * np.exp(-6 * c)),
                 "confidence": float(c), "accuracy": float(np.clip(c * 0.93 + 0.02, 0, 1))}
                for c in confidence
            ],
        },
        "conventions": [
            {"name": "Top-1, unknown words wrong", "source": "Hard et al. 2018, section 5",
             "counts": "Every word is a target; one outside the vocabulary is wrong.",
             "value": 0.131},
            {"name": "Top-1 with the end of the message", "source": "Reddi et al. 2021, appendix C",
             "counts": "The end of the message is a target, too; the unknown word is none.",
             "value": 0.188},
            {"name": "Perplexity with ends", "source": "McMahan et al. 2018, section 4",
             "counts": "Known words and ends; unknown words left out.", "value": 150.25},
        ],
        "baselines": {
            "unigram": {**figures(rng, total, 517.0, 0.087), "central": True},
            "trigram_kn": {**figures(rng, total, 235.2, 0.087), "central": True},
            "local_only": {**figures(rng, total, 496.9, 0.087), "central": False},
            "untrained": {**figures(rng, total, 9012.5, 0.087), "central": False},
        },
        "examples": [
            {"user": "anna", "context": context, "target": target, "rank": rank,
             "probability": None if rank is None else 0.31 / rank,
             "guesses": [{"word": w, "probability": 0.31 / (i + 1)} for i, w in enumerate(guesses)]}
            for context, target, guesses, rank in _TEXTS
        ],
        "curve": curve,
        "privacy": None,
        "about": {
            "model": "models/sample", "corpus": "sample", "part": "test", "vocabulary": 9000,
            "parameters": 441_275, "rounds": 60, "nwp": "0.1.0", "date": "2026-03-01",
            "seconds": 12.4,
            "command": "nwp evaluate sample --model models/sample --baselines --report report.html",
            "training": {"algorithm": "fedavg", "optimizer": "fedadam", "rounds": 60, "cohort": 20,
                         "epochs": 1, "batch": 16, "learning_rate": 0.5, "clip_norm": 0.0,
                         "server_learning_rate": 0.01, "seed": 1, "dropout": 0.4},
        },
    }  # fmt: skip


_SIXTY = make_payload()


@pytest.fixture
def payload() -> Payload:
    return copy.deepcopy(_SIXTY)


@pytest.fixture
def make() -> Callable[..., Payload]:
    return make_payload
