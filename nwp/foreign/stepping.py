"""ONNX files of `nwp.model.onnx_file`'s form as predictors: a step of all messages at a time.

Any model of words that steps through a message with a state in and out can be given that form; the
file's properties say its words.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nwp.errors import BadInput, BadSettings
from nwp.evaluation.counts import IntArray
from nwp.evaluation.ranking import Block, from_logits
from nwp.model.onnx_file import SURFACES, WORDS
from nwp.text.vocabulary import FIRST_OUTPUT, FIRST_WORD, Encoded, Vocabulary

_MESSAGES = 48  # read side by side: their scores stay in a core's cache


class Stepping:
    """An ONNX session as a predictor."""

    def __init__(self, session: Any, vocabulary: Vocabulary, layers: int, hidden: int) -> None:
        self._session, self.vocabulary = session, vocabulary
        self._layers, self._hidden = layers, hidden
        self._marks = any(one.name == "mark" for one in session.get_inputs())

    @classmethod
    def load(cls, path: Path) -> Stepping:
        """BadInput for a file that is none, or does not say what it predicts; BadSettings without
        onnxruntime."""
        try:
            import onnxruntime
        except ImportError as error:
            raise BadSettings(
                "an ONNX file needs onnxruntime", "Install it: pip install 'nwp[onnx]'."
            ) from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 4
        try:
            session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its own kinds, one a fault
            raise BadInput(f"{path.name} is no ONNX model that runs: {error}", "") from error
        try:
            about = session.get_modelmeta().custom_metadata_map
            words, surfaces = json.loads(about[WORDS]), json.loads(about[SURFACES])
            vocabulary = Vocabulary.from_lists(words, surfaces)
            layers, hidden = int(about["nwp.layers"]), int(about["nwp.hidden"])
            bases = int(about["nwp.first_word"]), int(about["nwp.first_output"])
            outputs = session.get_outputs()[0].shape[1]
        except (KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
            raise BadInput(
                f"{path.name} does not say which words it predicts",
                "`nwp model export` writes files that do; docs/evaluation.md has their form.",
            ) from error
        expected = FIRST_WORD - FIRST_OUTPUT + len(vocabulary.words)
        if bases != (FIRST_WORD, FIRST_OUTPUT) or outputs != expected:
            raise BadInput(f"{path.name} has {outputs} outputs for {expected} words and marks", "")
        return cls(session, vocabulary, layers, hidden)

    def blocks(self, data: Encoded) -> Iterator[Block]:
        """See `nwp.evaluation.scoring.Predictor`."""
        order = np.argsort(-np.diff(data.offsets), kind="stable")
        for start in range(0, len(order), _MESSAGES):
            yield from self._together(data, order[start : start + _MESSAGES])

    def _together(self, data: Encoded, rows: IntArray) -> Iterator[Block]:
        """Some messages, the longest first, step by step; those that are over leave the batch."""
        lengths = np.diff(data.offsets)[rows]
        h = np.zeros((self._layers, len(rows), self._hidden), np.float32)
        c = h.copy()
        for step in range(int(lengths.max(initial=0))):
            going = int((lengths > step).sum())
            where = data.offsets[rows[:going]] + step
            given: dict[str, Any] = {"word": data.inputs[where].astype(np.int64)}
            given |= {"h": h[:, :going], "c": c[:, :going]}
            if self._marks:
                given["mark"] = data.marks[where].astype(np.int64)
            log_p, h, c = self._session.run(["log_p", "h_next", "c_next"], given)
            wanted = torch.from_numpy(data.targets[where].astype(np.int64) - FIRST_OUTPUT)
            yield from_logits(where, torch.from_numpy(log_p), wanted)
