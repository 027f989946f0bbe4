"""The n-gram expert against its definition: one context and one word at a time."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nwp.errors import BadBundle
from nwp.files import shipped
from nwp.model.bundle import Bundle, load_bundle, save_bundle
from nwp.model.config import ModelConfig
from nwp.model.expert import (
    EDGES,
    KINDS,
    LEVELS,
    SOURCES,
    Expert,
    Order,
    as_arrays,
    from_arrays,
    key_of,
    kind_of,
    types_of,
    usual_weights,
)
from nwp.model.mixed import MixedRuntime
from nwp.model.runtime import Runtime
from nwp.suggest.suggester import Suggester
from nwp.text.vocabulary import BEGIN, FIRST_OUTPUT, NUMBER, UNKNOWN

OUTPUTS = 9
GRAMS = st.lists(
    st.tuples(st.integers(1, 11), st.integers(1, 11), st.integers(3, 11), st.integers(1, 400)),
    max_size=40,
)


def expert_from(grams: list[tuple[int, int, int, int]], seed: int = 0) -> Expert:
    """From (before, last, word, count); the pairs are what the triples sum to."""
    orders = []
    for width in (1, 2):
        counted: Counter[tuple[int, int]] = Counter()
        for before, last, word, count in grams:
            key = key_of(np.array([before]) if width == 2 else None, np.array([last]))[0]
            counted[int(key), word] += count
        rows = sorted((c, w, n) for (c, w), n in counted.items())
        contexts, words, counts = (
            (np.array(list(part), np.int64) for part in zip(*rows, strict=True))
            if rows
            else ((np.zeros(0, np.int64),) * 3)
        )
        orders.append(Order.of(contexts, words - FIRST_OUTPUT, counts))
    weights = np.random.default_rng(seed).dirichlet([3, 1, 1], KINDS).astype(np.float32)
    return Expert(3, *orders, weights)


def by_definition(
    expert: Expert, grams: list[tuple[int, int, int, int]], before: int, last: int, p: np.ndarray
) -> np.ndarray:
    pairs: Counter[int] = Counter()
    triples: Counter[int] = Counter()
    for b, a, word, count in grams:
        if a == last:
            pairs[word] += count
            if b == before:
                triples[word] += count
    level = [sum(some.total() > edge for edge in EDGES) for some in (pairs, triples)]
    weights = [float(x) for x in expert.weights[level[1] * LEVELS + level[0]]]
    weights = [
        w * there for w, there in zip(weights, (True, bool(pairs), bool(triples)), strict=True)
    ]
    total = sum(weights)
    found = p * weights[0] / total
    for weight, some in zip(weights[1:], (pairs, triples), strict=True):
        for word, count in some.items():
            found[word - FIRST_OUTPUT] += weight / total * count / some.total()
    return found


@given(GRAMS, st.integers(1, 11), st.integers(1, 11))
def test_the_mixture_is_what_it_is_defined_to_be(grams, before, last):
    expert = expert_from(grams)
    p = np.random.default_rng(1).dirichlet(np.ones(OUTPUTS))
    found = np.repeat(p[None], 2, 0)
    expert.mix(np.array([before, 99]), np.array([last, 99]), found)
    assert found[0] == pytest.approx(by_definition(expert, grams, before, last, p), rel=1e-5)
    assert found[1] == pytest.approx(p)  # nothing is known of it
    assert found.sum(1) == pytest.approx([1, 1], rel=1e-5)
    contexts = expert.look(np.array([before] * OUTPUTS), np.array([last] * OUTPUTS))
    each = expert.probabilities(contexts, np.arange(OUTPUTS), p)
    mixed = (each * expert.shares_of(contexts)).sum(1)
    assert mixed == pytest.approx(found[0], rel=1e-5)


@given(GRAMS)
def test_columns_in_another_order_get_the_same(grams):
    expert, places = expert_from(grams), np.random.default_rng(2).permutation(OUTPUTS)
    p = np.random.default_rng(3).dirichlet(np.ones(OUTPUTS), 3)
    before, last = np.array([1, 4, 5]), np.array([1, 5, 1])
    straight, moved = p.copy(), np.empty_like(p)
    moved[:, places] = p
    expert.mix(before, last, straight)
    expert.mix(before, last, moved, places)
    assert moved[:, places] == pytest.approx(straight)


@given(GRAMS)
def test_arrays_give_the_same_expert_up_to_rounding(grams):
    expert = expert_from(grams)
    again = from_arrays(as_arrays(expert, OUTPUTS), OUTPUTS)
    for name in ("pairs", "triples"):
        one, other = getattr(expert, name), getattr(again, name)
        for part in ("contexts", "uses", "starts", "words"):
            assert (getattr(one, part) == getattr(other, part)).all()
        assert other.shares == pytest.approx(one.shares, rel=2e-3)
    assert again.weights == pytest.approx(expert.weights)


def test_kinds_are_by_how_often_a_context_was_seen():
    uses = np.array([0, 1, 10, 11, 50, 51, 250, 251, 10**6])
    assert kind_of(uses, uses * 0).tolist() == [0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert kind_of(uses * 0, uses).tolist() == [5 * n for n in (0, 1, 1, 2, 2, 3, 3, 4, 4)]
    assert usual_weights().shape == (KINDS, len(SOURCES))


def spoilt() -> list[tuple[str, object]]:
    return [
        ("weights", lambda a: a * np.nan),
        ("weights", lambda a: -a),
        ("weights", lambda a: a[1:]),
        ("k", lambda a: a * 0),
        ("pairs.contexts", lambda a: a[::-1].copy()),
        ("pairs.sizes", lambda a: a + 1),
        ("pairs.sizes", lambda a: a * 0),
        ("pairs.words", lambda a: a + 9),
        ("pairs.words", lambda a: a * 0),
        ("pairs.shares", lambda a: -a),
        ("pairs.shares", lambda a: a * 0),
        ("pairs.shares", lambda a: a + np.inf),
        ("triples.uses", lambda a: a[:-1]),
        ("triples.words", lambda a: a.astype(np.int64)),
        ("triples.contexts", lambda a: a[:, None]),
    ]


@pytest.mark.parametrize(("name", "spoil"), spoilt())
def test_arrays_that_do_not_fit_together_are_refused(name, spoil):
    grams = [(4, 5, 6, 2), (4, 5, 7, 3), (5, 6, 4, 9), (6, 7, 8, 1)]
    arrays = as_arrays(expert_from(grams), OUTPUTS)
    assert {n: str(a.dtype) for n, a in arrays.items()} == types_of(OUTPUTS)
    with pytest.raises(ValueError, match="expert"):
        from_arrays({**arrays, name: spoil(arrays[name])}, OUTPUTS)
    with pytest.raises(ValueError, match="expert"):
        from_arrays({n: a for n, a in arrays.items() if n != name}, OUTPUTS)


def tiny() -> tuple[ModelConfig, Runtime]:
    config = ModelConfig(vocabulary=FIRST_OUTPUT + OUTPUTS, embedding=4, hidden=5, projection=4)
    rng = np.random.default_rng(4)
    return config, Runtime(
        config, {n: rng.normal(size=s).astype(np.float32) for n, s in config.shapes().items()}
    )


def test_the_runtime_mixes_by_the_last_two_words():
    grams = [(1, 1, 6, 20), (1, 6, 7, 300), (6, 7, 5, 9), (7, 4, 8, 2), (4, 8, 5, 70)]
    expert, (_, plain) = expert_from(grams), tiny()
    mixed = MixedRuntime(plain, expert)
    states = mixed.start(), plain.start()
    last: list[int] = []
    for word in [BEGIN, 6, 7, NUMBER, 8]:
        states = mixed.step(states[0], word, 2), plain.step(states[1], word, 2)
        last.append(UNKNOWN if word == NUMBER else word)
        before = last[-2] if len(last) > 1 else BEGIN
        p = np.exp(plain.log_probabilities(states[1]).astype(np.float64))
        wanted = by_definition(expert, grams, before, last[-1], p / p.sum())
        assert np.exp(mixed.log_probabilities(states[0])) == pytest.approx(wanted, rel=1e-4)


@pytest.fixture
def bundle() -> Bundle:
    """The bundle that ships with an expert that knows one thing: what follows "how are"."""
    plain = load_bundle(shipped("models") / "sample")
    how, are, bees = (plain.vocabulary.index[word] for word in ("how", "are", "bees"))
    grams = [(how, are, bees, 900)]
    weights = np.tile(np.float32([0.1, 0.1, 0.8]), (KINDS, 1))
    return replace(plain, expert=replace(expert_from(grams), weights=weights))


def test_a_bundle_keeps_its_expert_and_suggestions_use_it(bundle: Bundle, tmp_path: Path):
    save_bundle(bundle, tmp_path / "b")
    again = load_bundle(tmp_path / "b")
    assert again.expert is not None
    assert again.expert.grams == 2
    for suggester in (Suggester.from_bundle(bundle), Suggester.from_bundle(again)):
        best = suggester.suggest("so how are ", 3)[0]
        assert best.word == "bees"
        assert best.probability > 0.8
        assert suggester.suggest("so how were ", 3)[0].word != "bees"
    save_bundle(replace(bundle, expert=None), tmp_path / "b")
    assert not (tmp_path / "b" / "ngrams.safetensors").exists()
    assert load_bundle(tmp_path / "b").expert is None


@pytest.mark.parametrize("damage", [b"", b"junk"])
def test_a_damaged_expert_is_told(bundle: Bundle, damage: bytes, tmp_path: Path):
    save_bundle(bundle, tmp_path / "b")
    (tmp_path / "b" / "ngrams.safetensors").write_bytes(damage)
    with pytest.raises(BadBundle, match="damaged"):
        load_bundle(tmp_path / "b")
    (tmp_path / "b" / "ngrams.safetensors").unlink()
    with pytest.raises(BadBundle, match=r"ngrams\.safetensors can't be read"):
        load_bundle(tmp_path / "b")
