"""A device that is not there: tensors that say they lie on it, and compute with true numbers.

torch's own FakeTensorMode can't stand for CUDA in a build without it: cutting a tensor, or copying to it,
asks for a guard of CUDA devices that such builds do not have. This one takes the name of the device
"meta", whose guard every build has, and keeps each tensor's numbers in the CPU's memory. While it is on
it sees every operator and

- refuses one that mixes devices, as CUDA would (a number of the CPU's, of no dimension, may be mixed in),
- refuses oneDNN's operators, which other devices do not have,
- counts what is moved there and back, and where a number is looked at, for which CUDA has to wait.

What it can't show: whether CUDA has each operator for these types, how its own sums round, and how fast
it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map_only, tree_unflatten

DEVICE = torch.device("meta")
_MOVES = ("_to_copy", "copy_")
_LOOKS = ("_local_scalar_dense", "is_nonzero", "equal", "nonzero")


class There(Tensor):
    """A tensor on the device; `held` has its numbers."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> There:
        found = Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=DEVICE,
        )
        found.held = held
        return found

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise AssertionError(f"{func} outside of the pretended device")


class Pretended(TorchDispatchMode):
    """While it is on, `DEVICE` is there. `seen` counts what was moved "there" and "back", and "looks"."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        name = func._schema.name.split("::")[-1]
        flat, spec = tree_flatten((tuple(args), dict(kwargs or {})))
        tensors = [x for x in flat if isinstance(x, Tensor)]
        there = [x for x in tensors if isinstance(x, There)]
        wanted = (kwargs or {}).get("device")
        onto = wanted is not None and torch.device(wanted) == DEVICE
        if not there and not onto:
            return func(*args, **(kwargs or {}))
        with self:  # what others are made of is looked at one by one
            made_of = func.decompose(*args, **(kwargs or {}))
        if made_of is not NotImplemented:
            return made_of
        assert func.namespace != "mkldnn", f"{func} is the CPU's alone"
        apart = [x for x in tensors if not isinstance(x, There) and x.dim()]
        if name not in _MOVES:
            assert not (there and apart), f"{func} mixes devices: {[x.device for x in tensors]}"
            assert not (apart and onto), f"{func} takes a tensor of the CPU's to the device"
        self.seen["looks"] += name in _LOOKS
        known = {id(x.held): x for x in there}
        inside = [x.held if isinstance(x, There) else x for x in flat]
        held, named = tree_unflatten(inside, spec)
        if onto:
            named["device"] = torch.device("cpu")
        result = func(*held, **named)
        if name == "copy_":
            self.seen["there" if isinstance(args[0], There) else "back"] += bool(apart)
        elif name == "_to_copy" and there and wanted is not None and not onto:
            self.seen["back"] += 1
            return result  # what was there is now in the CPU's memory
        elif name == "_to_copy" and onto:
            self.seen["there"] += bool(apart)
        # What was given comes back as itself.
        return tree_map_only(Tensor, lambda x: known[id(x)] if id(x) in known else There(x), result)
