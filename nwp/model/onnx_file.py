"""A bundle as one ONNX file that other programs can run: a step of the model, its state in and out.

| | name | type | shape |
|---|---|---|---|
| in | `word` | int64 | (batch,): the id of the word before, `BEGIN` for none |
| in | `mark` | int64 | (batch,): what stands after it; only where the model reads marks |
| in | `h`, `c` | float32 | (layers, batch, hidden): the state, zeros before a message |
| out | `log_p` | float32 | (batch, outputs): natural logarithms; the end, the unknown word, then the words |
| out | `h_next`, `c_next` | float32 | like `h` and `c` |

The file's own properties hold what is needed to use it: `nwp.words` (a JSON list, in order of ids from
`nwp.first_word` on), `nwp.surfaces` (how some of them are written), `nwp.first_output`, `nwp.hidden` and
`nwp.layers`. The graph is written by the `onnx` package, an extra, operator by operator.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from nwp.errors import BadSettings
from nwp.files import write_atomic
from nwp.model.bundle import Bundle
from nwp.model.config import ModelConfig
from nwp.text.vocabulary import FIRST_WORD

_OPSET, _IR = 17, 8  # of 2022: read by all runtimes in use
WORDS, SURFACES = "nwp.words", "nwp.surfaces"


def write_onnx(bundle: Bundle, path: Path) -> None:
    """Write a bundle as an ONNX file, whole or not at all. BadSettings without the package `onnx`."""
    try:
        import onnx
        from onnx import TensorProto, helper, numpy_helper
    except ImportError as error:
        raise BadSettings(
            "writing ONNX needs the package onnx", "Install it: pip install 'nwp[onnx]'."
        ) from error
    config = bundle.config
    arrays: dict[str, Any] = _weights(bundle)
    arrays["first axis"] = np.array([0], np.int64)
    nodes = [helper.make_node("Gather", ["embed", "word"], ["x embed"])]
    x = "x embed"
    if config.marks:
        nodes.append(helper.make_node("Gather", ["mark table", "mark"], ["x mark"]))
        nodes.append(helper.make_node("Add", ["x embed", "x mark"], ["x"]))
        x = "x"
    nodes.append(helper.make_node("Unsqueeze", [x, "first axis"], ["layer 0"]))
    each = [str(layer) for layer in range(config.layers)]
    for state in ("h", "c"):
        nodes.append(helper.make_node("Split", [state], [f"{state} {n}" for n in each], axis=0))
    for n in each:
        reads = [f"layer {n}", f"W {n}", f"R {n}", f"B {n}", "", f"h {n}", f"c {n}"]
        gives = [f"y {n}", f"h out {n}", f"c out {n}"]
        nodes.append(helper.make_node("LSTM", reads, gives, hidden_size=config.hidden))
        # The state out is what the next layer reads: (1, batch, hidden), one step of a sequence.
        nodes.append(helper.make_node("Identity", [f"h out {n}"], [f"layer {int(n) + 1}"]))
    for state in ("h", "c"):
        outs = [f"{state} out {n}" for n in each]
        nodes.append(helper.make_node("Concat", outs, [f"{state}_next"], axis=0))
    nodes += [
        helper.make_node("Squeeze", [f"layer {config.layers}", "first axis"], ["state"]),
        helper.make_node("Gemm", ["state", "proj", "proj bias"], ["projected"], transB=1),
        helper.make_node("Gemm", ["projected", "out", "out bias"], ["scores"], transB=1),
        helper.make_node("LogSoftmax", ["scores"], ["log_p"], axis=1),
    ]
    state_shape: list[str | int | None] = [config.layers, "batch", config.hidden]
    ids = ["word", *(["mark"] if config.marks else [])]
    graph = helper.make_graph(
        nodes,
        "nwp",
        [
            *(helper.make_tensor_value_info(name, TensorProto.INT64, ["batch"]) for name in ids),
            *(helper.make_tensor_value_info(n, TensorProto.FLOAT, state_shape) for n in ("h", "c")),
        ],
        [
            helper.make_tensor_value_info("log_p", TensorProto.FLOAT, ["batch", config.outputs]),
            *(
                helper.make_tensor_value_info(n, TensorProto.FLOAT, state_shape)
                for n in ("h_next", "c_next")
            ),
        ],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    opsets = [helper.make_opsetid("", _OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, producer_name="nwp", ir_version=_IR)
    words = bundle.vocabulary.as_dict()
    helper.set_model_props(
        model,
        {
            WORDS: json.dumps(words["words"], ensure_ascii=False),
            SURFACES: json.dumps(words["surfaces"], ensure_ascii=False),
            "nwp.first_word": str(FIRST_WORD),
            "nwp.first_output": str(config.first_output),
            "nwp.hidden": str(config.hidden),
            "nwp.layers": str(config.layers),
        },
    )
    onnx.checker.check_model(model)
    write_atomic(path, model.SerializeToString())


def _weights(bundle: Bundle) -> dict[str, np.ndarray[Any, Any]]:
    config, given = bundle.config, bundle.tensors
    found = {
        "embed": given["embed.weight"],
        "proj": given["proj.weight"],
        "proj bias": given["proj.bias"],
        "out": given["embed.weight"][config.first_output :] if config.tied else given["out.weight"],
        "out bias": given["out.bias"],
    }
    if config.marks:
        found["mark table"] = given["mark.weight"]
    for n in range(config.layers):
        found[f"W {n}"] = _gates(given[f"lstm.weight_ih_l{n}"], config)[None]
        found[f"R {n}"] = _gates(given[f"lstm.weight_hh_l{n}"], config)[None]
        biases = [_gates(given[f"lstm.bias_{way}_l{n}"], config) for way in ("ih", "hh")]
        found[f"B {n}"] = np.concatenate(biases)[None]
    return {name: np.ascontiguousarray(array, np.float32) for name, array in found.items()}


def _gates(weight: np.ndarray[Any, Any], config: ModelConfig) -> np.ndarray[Any, Any]:
    """torch has the gates as input, forget, cell, output; ONNX as input, output, forget, cell."""
    enter, forget, cell, leave = np.split(weight, 4)
    return np.concatenate([enter, leave, forget, cell])
