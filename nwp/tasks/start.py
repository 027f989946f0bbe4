"""The model before its first round."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nwp.model.bundle import Bundle
from nwp.model.config import ModelConfig
from nwp.model.lstm import FloatArray, NextWordModel
from nwp.text.vocabulary import Vocabulary


def start_weights(config: ModelConfig, frequencies: Sequence[float], seed: int) -> FloatArray:
    """Weights drawn by seed, float32 (n,), whose output biases are the log-frequencies of words as
    far as surveys tell: the first round begins at what word counts alone know."""
    model = NextWordModel(config)
    model.initialize(seed)
    bias = np.log(np.array(frequencies)).astype(np.float32)
    model.set_tensors(model.tensors() | {"out.bias": bias})
    return model.weights()


def start_bundle(
    config: ModelConfig, vocabulary: Vocabulary, frequencies: Sequence[float], seed: int
) -> Bundle:
    """A bundle of start weights, of which nothing is known yet."""
    model = NextWordModel(config)
    model.set_weights(start_weights(config, frequencies, seed))
    return Bundle(config, vocabulary, tuple(frequencies), model.tensors(), {})


def weights_of(bundle: Bundle) -> FloatArray:
    """A bundle's weights as one vector, float32 (n,)."""
    model = NextWordModel(bundle.config)
    model.set_tensors(bundle.tensors)
    return model.weights()
