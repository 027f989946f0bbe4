from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from nwp.model.config import ModelConfig
from nwp.model.lstm import NextWordModel

CONFIGS = {
    f"{layers} layers, {'tied' if tied else 'untied'}, {marks} marks": ModelConfig(
        vocabulary=11,
        embedding=5,
        hidden=7,
        projection=5 if tied else 4,
        layers=layers,
        tied=tied,
        marks=marks,
        first_output=3,
    )
    for layers, tied, marks in product((1, 2), (True, False), (0, 4))
}


@pytest.fixture(params=CONFIGS.values(), ids=list(CONFIGS))
def config(request: pytest.FixtureRequest) -> ModelConfig:
    found: ModelConfig = request.param
    return found


@pytest.fixture
def model(config: ModelConfig) -> NextWordModel:
    """A model whose every weight matters: none is zero and none is like another."""
    found = NextWordModel(config)
    found.set_weights(np.random.default_rng(7).normal(0, 0.6, config.parameters).astype(np.float32))
    return found
