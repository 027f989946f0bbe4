from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import Nwp, files_in

from nwp.model.bundle import Bundle, load_bundle, save_bundle
from nwp.model.expert import Expert, Order, usual_weights
from nwp.text.vocabulary import Vocabulary

Make = Callable[..., Path]
NONE = np.zeros(0, np.int64)


@pytest.fixture
def make(bundle: Path, own_place: Path) -> Make:
    """Writes a bundle that began as the trained one did and went elsewhere, under a name."""

    def write(name: str, seed: int, **other: object) -> Path:
        base, rng = load_bundle(bundle), np.random.default_rng(seed)
        tensors = {
            key: tensor + rng.normal(0, 0.1, tensor.shape).astype(np.float32)
            for key, tensor in base.tensors.items()
        }
        save_bundle(replace(base, **{"tensors": tensors, **other}), own_place / name)
        return own_place / name

    return write


def _with_ngrams(words: list[int]) -> Expert:
    pairs = Order.of(np.full(len(words), 7), np.array(words), np.full(len(words), 3))
    return Expert(3, pairs, Order.of(NONE, NONE, NONE), usual_weights())


def test_the_weights_are_the_mean_as_reckoned_by_hand(nwp: Nwp, make: Make) -> None:
    first, second = make("first", 1), make("second", 2)

    told = nwp(
        *("model", "average", first, second, "--weights", "0.85,0.15", "--out", "both", "--json")
    ).result()

    one, two, mean = (load_bundle(Path(f)) for f in (first, second, "both"))
    for name, tensor in mean.tensors.items():
        by_hand = 0.85 * one.tensors[name].astype(float) + 0.15 * two.tensors[name].astype(float)
        assert tensor.dtype == np.float32
        assert np.allclose(tensor, by_hand, rtol=1e-7, atol=1e-9), name
    assert (mean.config, mean.vocabulary) == (one.config, one.vocabulary)
    assert told == {
        "model": "both",
        "parts": [{"model": "first", "share": 0.85}, {"model": "second", "share": 0.15}],
        "parameters": one.config.parameters,
        "storage": "fp32",
        "ngrams_left_out": False,
        "bytes": sum(path.stat().st_size for path in Path("both").iterdir()),
    }


def test_without_weights_all_count_alike_and_weights_need_not_sum_to_one(
    nwp: Nwp, make: Make
) -> None:
    parts = [make(name, seed) for seed, name in enumerate(("a", "b", "c"))]

    nwp("model", "average", *parts, "--out", "alike", "--json").result()
    nwp("model", "average", *parts, "--weights", "2, 2, 2", "--out", "twos", "--json").result()

    assert np.allclose(
        load_bundle(Path("alike")).tensors["embed.weight"],
        np.mean([load_bundle(part).tensors["embed.weight"] for part in parts], axis=0),
    )
    assert Path("alike/model.safetensors").read_bytes() == (
        Path("twos/model.safetensors").read_bytes()
    )


def test_the_card_tells_the_parts_and_that_the_mean_was_not_measured(nwp: Nwp, make: Make) -> None:
    base = make("first", 1)
    about = {**load_bundle(base).about, "corpus": "letters", "users": 40, "words": None}
    make("second", 2, about=about)

    assert not nwp(
        *["model", "average", "first", "second", "--weights", "3,1", "--out", "both"]
    ).code

    card, found = Path("both/README.md").read_text(), load_bundle(Path("both")).about
    assert "| `first` | 0.75 | six.jsonl (6 users) | 4 rounds, plan" in card
    assert "| `second` | 0.25 | letters (40 users) | 4 rounds, plan" in card
    assert "validation perplexity | not known |" in card
    assert "To make it again: `nwp model average first second --weights 3,1 --out DIR`" in card
    assert (found["corpus"], found["users"]) == ("six.jsonl, letters", 40)


def test_ngrams_are_left_out_and_it_says_how_to_make_new_ones(nwp: Nwp, make: Make) -> None:
    about = {"ngrams": {"k": 3, "pairs": 2, "triples": 0, "corpus": "x", "plan": "", "command": ""}}
    base = load_bundle(make("plain", 0))
    make("first", 1, expert=_with_ngrams([9, 11]), about={**base.about, **about})
    make("second", 2)

    done = nwp("model", "average", "first", "second", "--out", "both")

    assert done.code == 0
    assert "nwp model ngrams CORPUS --model both --out DIR" in done.err
    assert load_bundle(Path("both")).expert is None
    assert "N-grams" not in Path("both/README.md").read_text()
    again = nwp("model", "average", "second", "first", "--out", "again", "--json")
    assert again.result()["ngrams_left_out"] is True


def test_storage_is_the_first_ones_and_dropout_may_differ(nwp: Nwp, make: Make) -> None:
    config = load_bundle(make("plain", 0)).config
    make("first", 1, storage="bf16", config=replace(config, dropout=0.35))
    make("second", 2)

    nwp("model", "average", "first", "second", "--out", "both", "--json").result()

    both = load_bundle(Path("both"))
    assert (both.storage, both.config.dropout) == ("bf16", 0.35)


def _reordered(base: Bundle) -> dict[str, object]:
    return {"vocabulary": Vocabulary(base.vocabulary.words[::-1], base.vocabulary.surfaces[::-1])}


def _wider(base: Bundle) -> dict[str, object]:
    config = replace(base.config, hidden=base.config.hidden + 1)
    shapes = config.shapes().items()
    return {"config": config, "tensors": {n: np.zeros(s, np.float32) for n, s in shapes}}


@pytest.mark.parametrize(
    ("changed", "words"), [(_reordered, "other words"), (_wider, "other sizes")]
)
def test_bundles_that_do_not_fit_together_are_refused(
    nwp: Nwp, make: Make, changed: Callable[[Bundle], dict[str, object]], words: str
) -> None:
    base = load_bundle(make("first", 1))
    make("second", 2, **changed(base))

    said = nwp("model", "average", "first", "second", "--out", "both", "--json").error("bad-input")

    assert words in said
    assert "--from" in said
    assert not Path("both").exists()


def test_a_bundle_of_one_persons_is_refused(nwp: Nwp, make: Make, own_place: Path) -> None:
    first = make("first", 1)
    settings = own_place / "first" / "settings.json"
    text = settings.read_text()
    make("second", 2)
    settings.write_text(text.replace('"about": {', '"about": {"personalized": {"from": "x"}, '))

    for parts in (("first", "second"), ("second", "first")):
        said = nwp("model", "average", *parts, "--out", "both", "--json").error("bad-input")
        assert f"{first.name} was fine-tuned on one person's messages" in said


@pytest.mark.parametrize(
    ("words", "kind", "message"),
    [
        (("first",), "bad-settings", "one bundle alone"),
        (("first", "second", "--weights", "1"), "bad-settings", "1 weights for 2 bundles"),
        (("first", "second", "--weights", "1,x"), "bad-settings", "1,x"),
        (("first", "second", "--weights", "1,0"), "bad-settings", "above 0"),
        (("first", "second", "--weights=2,-1"), "bad-settings", "above 0"),
        (("first", "second", "--weights", "nan,1"), "bad-settings", "above 0"),
        (("first", "nowhere"), "bad-bundle", "nowhere"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_makes_no_sense_is_told_and_nothing_is_written(
    nwp: Nwp, make: Make, own_place: Path, words: tuple[str, ...], kind: str, message: str
) -> None:
    make("first", 1)
    make("second", 2)
    before = files_in(own_place)

    said = nwp("model", "average", *words, "--out", "both", "--json").error(kind)

    assert message in said
    assert files_in(own_place) == before


def test_no_part_is_replaced_and_another_bundle_only_with_force(nwp: Nwp, make: Make) -> None:
    for seed, name in enumerate(("first", "second", "old")):
        make(name, seed)
    words = ("model", "average", "first", "second", "--json", "--out")

    assert "begin from" in nwp(*words, "second", "--force").error("bad-input")
    assert "--force" in nwp(*words, "old").error("bad-input")
    nwp(*words, "old", "--force").result()
    assert "averaged" in load_bundle(Path("old")).about
