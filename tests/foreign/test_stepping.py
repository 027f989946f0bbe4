from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from nwp.errors import BadInput
from nwp.evaluation.scoring import LstmPredictor, score
from nwp.model.bundle import Bundle
from nwp.model.config import ModelConfig
from nwp.model.lstm import NextWordModel
from nwp.text.vocabulary import FIRST_WORD, Vocabulary, encode

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from nwp.foreign.door import load_predictor  # noqa: E402
from nwp.foreign.stepping import Stepping  # noqa: E402
from nwp.model.onnx_file import write_onnx  # noqa: E402

WORDS = ["see", "you", "tomorrow", "at", "the", "lake", "i'm"]
SIZE = FIRST_WORD + len(WORDS)
CONFIGS = {
    "tied": ModelConfig(SIZE, 6, hidden=7, projection=6),
    "untied": ModelConfig(SIZE, 6, hidden=7, projection=5, tied=False),
    "two layers": ModelConfig(SIZE, 6, hidden=7, projection=6, layers=2),
    "no marks": ModelConfig(SIZE, 6, hidden=7, projection=6, marks=0),
}
TEXTS = ["See you tomorrow!", "you, at the lake", "I'm zzz", "see", "the lake the lake you see you"]


def bundle_of(config: ModelConfig) -> Bundle:
    model = NextWordModel(config)
    draw = np.random.default_rng(1).normal(0, 0.6, config.parameters).astype(np.float32)
    model.set_weights(draw)
    vocabulary = Vocabulary.from_lists(WORDS, {"i'm": "I'm"})
    even = (1 / config.outputs,) * config.outputs
    return Bundle(config, vocabulary, even, model.tensors(), {})


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
def test_a_file_predicts_as_the_model_that_it_was_written_from(
    config: ModelConfig, tmp_path: Path
) -> None:
    bundle = bundle_of(config)
    write_onnx(bundle, tmp_path / "m.onnx")
    found = load_predictor(tmp_path / "m.onnx", lambda: pytest.fail("it has words of its own"))
    model = NextWordModel(config)
    model.set_tensors(bundle.tensors)
    data = encode(TEXTS, bundle.vocabulary)

    theirs = score(found.predictor(TEXTS), data)
    mine = score(LstmPredictor(config, model.weights()), data)

    assert found.vocabulary == bundle.vocabulary
    assert theirs.nll == pytest.approx(mine.nll, abs=1e-5)
    assert theirs.rank.tolist() == mine.rank.tolist()
    assert theirs.confidence == pytest.approx(mine.confidence, abs=1e-5)


def test_more_messages_than_are_read_at_once_come_out_in_their_places(tmp_path: Path) -> None:
    bundle = bundle_of(CONFIGS["tied"])
    write_onnx(bundle, tmp_path / "m.onnx")
    stepping = Stepping.load(tmp_path / "m.onnx")
    data = encode(TEXTS * 40, bundle.vocabulary)
    found = score(stepping, data)
    once = score(stepping, encode(TEXTS, bundle.vocabulary))
    assert found.nll == pytest.approx(np.tile(once.nll, 40), abs=1e-6)
    assert not len(score(stepping, encode([], bundle.vocabulary)).nll)


def test_files_that_are_none_or_say_no_words_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"rubbish")
    with pytest.raises(BadInput, match="no ONNX model that runs"):
        Stepping.load(path)
    write_onnx(bundle_of(CONFIGS["tied"]), path)
    model = onnx.load(path)
    for kept in ({}, {"nwp.words": json.dumps(WORDS[:-1])}):
        props = {p.key: p.value for p in model.metadata_props} | kept if kept else {}
        onnx.helper.set_model_props(model, props)
        path.write_bytes(model.SerializeToString())
        with pytest.raises(BadInput, match=r"which words|outputs for"):
            Stepping.load(path)
        write_onnx(bundle_of(CONFIGS["tied"]), path)
        model = onnx.load(path)
