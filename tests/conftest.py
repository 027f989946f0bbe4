from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# The same examples every time, however slow the machine, and nothing kept between runs.
settings.register_profile(
    "nwp",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("nwp")


@pytest.fixture(scope="session")
def real_corpora() -> Path:
    """The folder of real corpora, which do not come with nwp: NWP_SHARED/corpora."""
    if not (shared := os.environ.get("NWP_SHARED")):
        pytest.skip("NWP_SHARED names no folder with real corpora")
    return Path(shared) / "corpora"
