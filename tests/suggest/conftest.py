from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from prompt_toolkit.input import PipeInput, create_pipe_input


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[PipeInput]:
    """Keys for a prompt, which waits for its suggestions however busy the machine is."""
    monkeypatch.setattr("nwp.suggest.prompt._PATIENCE", 30)
    with create_pipe_input() as pipe:
        guard = threading.Timer(60, pipe.close)  # a prompt that waits for ever fails its test
        guard.start()
        yield pipe
        guard.cancel()
