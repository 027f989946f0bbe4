"""The device that this process computes on: the CPU, or a CUDA device (a GPU).

It is a choice of whoever starts the process, like the number of threads, and no part of a plan: the
mathematics is the same. A kernel that is made without a device takes the one that was chosen here; what
is computed otherwise on the CPU than elsewhere stands in `nwp.federated.products`. What comes in and
goes out (weights, updates, counts) lies in the CPU's memory, whatever the device.
"""

from __future__ import annotations

import os
import re

import torch
from torch import Tensor

from nwp.errors import BadSettings

CPU = "cpu"
_CPU = torch.device(CPU)
_NAME = re.compile(r"cuda(:\d{1,3})?", re.ASCII)
_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"  # without it cuBLAS adds up in any order
_OR_HERE = "or compute on the processor: --device cpu."

_here = _CPU


def check(name: str) -> torch.device:
    """The device of that name: cpu, cuda or cuda:N. BadSettings when it is none, or not there."""
    if name == CPU:
        return _CPU
    if not _NAME.fullmatch(name):
        raise BadSettings(f"no device {name!r}", "It is cpu, cuda, or cuda:1 for the second GPU.")
    if not torch.cuda.is_available():
        if not torch.backends.cuda.is_built():  # type: ignore[no-untyped-call]
            raise BadSettings(
                f"--device {name} needs a torch that knows CUDA; this is {torch.__version__}",
                "Install the build for your GPU (pytorch.org/get-started/locally) in this "
                f"environment, {_OR_HERE}",
            )
        raise BadSettings(
            f"torch finds no CUDA device for --device {name}",
            f"Does nvidia-smi show one, and is CUDA_VISIBLE_DEVICES not empty? Mend that, {_OR_HERE}",
        )
    number, count = torch.device(name).index or 0, torch.cuda.device_count()
    if number >= count:
        raise BadSettings(
            f"no device {name}: there are {count}, counted from 0", f"Try --device cuda, {_OR_HERE}"
        )
    return torch.device("cuda", number)


def kind_of(name: str) -> str:
    """What bits depend on, of the device of that name: "cpu", or CUDA and the kind of GPU."""
    device = check(name)
    return CPU if device.type == CPU else f"cuda, {torch.cuda.get_device_name(device)}"


def use(name: str) -> None:
    """Let this process compute on the device of that name. BadSettings as from `check`."""
    global _here  # noqa: PLW0603 (one device a process, as torch has one number of threads)
    device = check(name)
    if device.type != CPU:
        # Sums in a fixed order, so that a GPU gives the same bits each time; and float32 whole, as on
        # the CPU: also the sums of products that read bfloat16.
        os.environ.setdefault(_WORKSPACE, ":4096:8")
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    if device.type != _here.type:
        torch.use_deterministic_algorithms(device.type != CPU)
    _here = device


def here() -> torch.device:
    """The device that this process computes on."""
    return _here


def moved(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the CPU's on a device: itself, if it is there. Nobody waits until it has arrived:
    what the device computes with it does."""
    return tensor.to(device, non_blocking=True)
