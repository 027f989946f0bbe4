"""What a GPU would run, without one: on a device that is only pretended to be there (`pretended.py`), with
true numbers, and by torch's own products in place of oneDNN's. The last tests need a CUDA device."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from pretended import DEVICE, Pretended, There

from nwp.errors import BadSettings
from nwp.evaluation.scoring import count_group, count_rows
from nwp.federated import device, products
from nwp.federated.finetuning import each_pass
from nwp.federated.kernel import Kernel
from nwp.federated.local import LocalWork, scratch, train_group, train_user
from nwp.federated.memory import Memory
from nwp.federated.packing import Packed, pack
from nwp.federated.scaffold import train_corrected
from nwp.model.config import ModelConfig
from nwp.model.expert import Expert, Order, usual_weights
from nwp.text.spelling import Letters
from nwp.text.vocabulary import FIRST_WORD, Encoded
from nwp.workers.engines import InProcess, Processes, make_engine

Drawn = Callable[..., Encoded]
SIZE = 50
TIED = ModelConfig(SIZE, 8, 12, 8, 2, True, 4, 3, 0.3)
UNTIED = ModelConfig(SIZE, 8, 12, 6, 1, False, 0, 3)
CONFIGS = (TIED, UNTIED)


def weights_of(config: ModelConfig, seed: int = 1) -> torch.Tensor:
    """Large weights, so that every gate is somewhere else."""
    generator = torch.Generator().manual_seed(seed)
    return 0.3 * torch.randn(config.parameters, generator=generator)


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pretended]:
    """The device, on and chosen."""
    monkeypatch.setattr(device, "_here", DEVICE)
    with Pretended() as there:
        yield there


@pytest.fixture
def back_here(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What `use` sets is as it was before."""
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", True)
    products_of = torch.backends.cuda.matmul
    names = ("allow_tf32", "allow_bf16_reduced_precision_reduction")
    before = {name: getattr(products_of, name) for name in names}
    yield
    monkeypatch.undo()
    device.use("cpu")
    for name, value in before.items():
        setattr(products_of, name, value)


STEPS = {
    "plain": {},
    "clipped": {"clip_norm": 0.05},
    "not so long": {"clip_norm": 1e6},
    "pulled": {"proximal": 0.1},
    "corrected": {"correction": True},
    "in parts": {"more": True},
    "all": {"clip_norm": 0.05, "proximal": 0.1, "correction": True, "more": True},
    "last": {"last": True},
}


def three_steps(kernel: Kernel, user: Encoded, how: str) -> tuple[list[torch.Tensor], torch.Tensor]:
    """The losses of three steps, on the kernel's device, and the weights after them, on the CPU."""
    config, options = kernel.config, dict(STEPS[how])
    generator = torch.Generator().manual_seed(5)
    if options.pop("correction", False):
        options["correction"] = 0.01 * weights_of(config, 9)
    more: list[Packed] = []
    if options.pop("more", False):
        more = [pack([(user, np.array([6, 2]))], 10)]
    kernel.load(weights_of(config))
    batches = [pack([(user, np.array(rows))], 10) for rows in ([3, 1, 5], [0, 8], [7, 4, 1, 0])]
    last = options.pop("last", False)
    losses = [
        kernel.step(batch, 0.5, generator=generator, more=more, last=last and i == 2, **options)  # type: ignore[arg-type]
        for i, batch in enumerate(batches)
    ]
    return losses, kernel.trained().clone()


@pytest.mark.parametrize("how", STEPS)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("config", CONFIGS, ids=["tied", "untied"])
def test_steps_on_another_device_are_those_of_the_cpu(
    drawn: Drawn, config: ModelConfig, precision: str, how: str
) -> None:
    """Nothing of a step is left behind on the CPU, and no step waits for what it computes."""
    user = drawn(1, 9, SIZE, 4)
    wanted, trained = three_steps(Kernel(config, precision), user, how)
    with Pretended() as there:
        kernel = Kernel(config, precision, DEVICE)
        losses, found = three_steps(kernel, user, how)
        seen = there.seen.copy()
        assert [float(loss) for loss in losses] == pytest.approx(list(map(float, wanted)), 1e-4)
    near = 1e-5 if precision == "fp32" else 2e-2
    moved, way = found - weights_of(config), trained - weights_of(config)
    assert float((moved - way).norm() / way.norm()) < near

    assert seen["looks"] == 0
    assert seen["back"] == 1  # the weights, at the end
    parts = 6 if "more" in STEPS[how] else 3
    masks, corrections = 2 * bool(config.dropout), 3 * ("correction" in STEPS[how])
    assert seen["there"] == 1 + parts * (4 + masks) + corrections

    held = [kernel.flat, kernel.received, *losses, *kernel.weights.values()]
    held += [*kernel._read.values(), *kernel._copies.values(), *kernel._of_received.values()]
    held += [] if kernel._gradient is None else [kernel._gradient]
    assert all(isinstance(tensor, There) for tensor in held)


def test_a_clipped_step_on_another_device_is_as_long(pretended: Pretended) -> None:
    """The scale is found there, by other operators than on the CPU."""
    gradient = torch.tensor([3.0, 4.0])
    for clip, expected in ((1.0, [-0.3, -0.4]), (10.0, [-1.5, -2.0]), (0.0, [-1.5, -2.0])):
        for where in (torch.device("cpu"), DEVICE):
            flat = torch.zeros(2, device=where)
            products.add_clipped(flat, gradient.to(where), -0.5, clip)
            assert flat.cpu().tolist() == pytest.approx(expected)
    assert pretended.seen["looks"] == 0


def groups(drawn: Drawn) -> list[tuple[Encoded, int]]:
    """Users of one step and of several."""
    return [(drawn(seed, seed, SIZE, 4), seed) for seed in (1, 8, 4, 12, 2)]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("config", CONFIGS, ids=["tied", "untied"])
def test_a_group_is_added_up_there_and_comes_back_once(
    drawn: Drawn, config: ModelConfig, precision: str, pretended: Pretended
) -> None:
    users, work = groups(drawn), LocalWork(batch=6, max_positions=9, precision=precision)
    start = weights_of(config).numpy()
    summed, weight, loss = train_group(start, config, work, users)
    assert pretended.seen["looks"] == 1  # the loss of those who take one step
    assert pretended.seen["back"] == 1 + 2  # the losses of each of the others
    device._here = torch.device("cpu")
    expected, words, wanted = train_group(start, config, work, users)
    assert weight == words
    assert loss == pytest.approx(wanted, 1e-5 if precision == "fp32" else 1e-3)
    apart = np.linalg.norm(summed - expected) / np.linalg.norm(expected)
    assert apart < (1e-5 if precision == "fp32" else 2e-2)


def test_a_user_alone_hands_over_in_the_cpus_memory(drawn: Drawn, pretended: Pretended) -> None:
    user, start, work = drawn(3, 9, SIZE, 4), weights_of(UNTIED), LocalWork(batch=4)
    found = [train_user(scratch(UNTIED, "fp32"), start, user, work, 3).delta]
    device._here = torch.device("cpu")
    found.append(train_user(scratch(UNTIED, "fp32"), start, user, work, 3).delta)
    assert not any(isinstance(delta, There) for delta in found)
    assert float((found[0] - found[1]).norm() / found[1].norm()) < 1e-5


def test_another_device_has_another_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    for where in (torch.device("cpu"), DEVICE, torch.device("cpu")):
        monkeypatch.setattr(device, "_here", where)
        assert scratch(UNTIED, "fp32").flat.device == where


def test_scaffold_keeps_the_same_on_the_workers_disk(
    drawn: Drawn, pretended: Pretended, tmp_path: Path
) -> None:
    start = weights_of(UNTIED).numpy()
    shared = np.concatenate([start, 0.01 * weights_of(UNTIED, 2).numpy()])
    users = [(user, seed, f"user{seed}") for user, seed in groups(drawn)[:3]]
    found = []
    for name, where in (("there", DEVICE), ("here", torch.device("cpu"))):
        device._here = where
        memory = Memory(tmp_path / name, "job", 1)
        moved, changed, _ = train_corrected(shared, UNTIED, LocalWork(batch=4), users, memory)
        kept = Memory(tmp_path / name, "job", 2).kept("variate", "user8")
        assert kept is not None
        found.append(np.concatenate([moved, changed, kept]))
    assert found[0] == pytest.approx(found[1], rel=1e-4, abs=1e-5)


def test_passes_of_fine_tuning_come_back(drawn: Drawn, pretended: Pretended) -> None:
    found = []
    for where in (DEVICE, torch.device("cpu")):
        device._here = where
        passes = each_pass(
            weights_of(UNTIED).numpy(), UNTIED, LocalWork(batch=4), drawn(3, 9, SIZE, 4), 7
        )
        found.append([next(passes).copy() for _ in range(2)])
    for one, other in zip(*found, strict=True):
        assert one == pytest.approx(other, rel=1e-5, abs=1e-6)


def an_expert() -> Expert:
    """What followed the first words."""
    ids = np.arange(20)
    pairs = Order.of(FIRST_WORD + ids // 4, ids, 1 + ids % 3)
    none = np.zeros(0, np.int64)
    return Expert(3, pairs, Order.of(none, none, none), usual_weights())


@pytest.mark.parametrize("config", CONFIGS, ids=["tied", "untied"])
@pytest.mark.parametrize("mixed", [False, True])
def test_counts_are_those_of_the_cpu(
    drawn: Drawn,
    config: ModelConfig,
    mixed: bool,
    pretended: Pretended,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without torch's inference mode, in which nothing may pretend."""
    monkeypatch.setattr(torch, "inference_mode", torch.no_grad)
    words = tuple(f"w{i:02}" for i in range(SIZE - FIRST_WORD))
    users = [drawn(seed, 7, SIZE, 4) for seed in (1, 2)]
    letters = [Letters(np.full(len(u.targets), 3), np.ones(len(u.targets))) for u in users]
    expert = an_expert() if mixed else None
    weights = weights_of(config).numpy()
    found = []
    for where in (DEVICE, torch.device("cpu")):
        device._here = where
        rows, slices = count_group(weights, config, words, users, letters, expert)
        found += [rows, slices.table, count_rows(weights, config, users, expert)]
    for one, other in zip(found[:3], found[3:], strict=True):
        assert one == pytest.approx(other, rel=1e-5)
    assert pretended.seen["looks"] == 0


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("config", CONFIGS, ids=["tied", "untied"])
def test_torchs_own_products_differ_by_rounding_alone(
    drawn: Drawn, config: ModelConfig, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that a GPU computes by, here on the CPU; columns enough for each way to form a gradient."""
    wide = ModelConfig(
        **{**config.as_dict(), "hidden": 260, "embedding": 257, "projection": 257}  # type: ignore[arg-type]
    )
    start, work = 0.2 * weights_of(wide), LocalWork(batch=8, clip_norm=0.5, precision=precision)
    found = []
    for onednn in (products._ONEDNN, False):
        monkeypatch.setattr(products, "_ONEDNN", onednn)
        found.append(train_user(Kernel(wide, precision), start, drawn(2, 20, SIZE, 4), work, 3))
    one, other = (update.delta for update in found)
    assert float((one - other).norm() / one.norm()) < (1e-5 if precision == "fp32" else 1e-2)
    assert found[0].loss == pytest.approx(found[1].loss, 1e-5 if precision == "fp32" else 1e-3)


def test_the_pretended_device_notices_what_cuda_would_refuse() -> None:
    """Else the tests above would say nothing."""
    with Pretended() as there:
        x, ids = torch.ones(4, 2, device=DEVICE), torch.tensor([0, 1])
        for mixed in (
            lambda: x + torch.ones(4, 2),
            lambda: x[ids],
            lambda: x.index_select(0, ids),
            lambda: x.index_add_(0, ids, x[:2]),
            lambda: torch.mm(x.t(), torch.ones(4, 2)),
            lambda: torch.mul(x, x, out=torch.ones(4, 2)),
            lambda: torch.split(x, 2)[0].add_(torch.ones(2, 2)),
        ):
            with pytest.raises(AssertionError, match="mixes devices"):
                mixed()
        with pytest.raises(AssertionError, match="the CPU's alone"):
            torch.ops.mkldnn._linear_pointwise(x, x, None, "none", [], "")
        with pytest.raises(RuntimeError):
            x.numpy()
        assert not there.seen["looks"]
        x[1:] = 3
        assert (float(x.sum()), x.cpu().tolist()[1]) == (20, [3, 3])
        assert (there.seen["looks"], there.seen["back"]) == (1, 1)


@pytest.mark.parametrize(
    "name", ["gpu", "", "CUDA", "cuda:", "cuda:x", "cuda:-1", "cuda:1234", "mps"]
)
def test_a_device_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(BadSettings, match="no device") as error:
        device.check(name)
    assert "cuda:1" in error.value.hint


def test_cuda_where_there_is_none_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for built, wrong, hint in (
        (False, "needs a torch that knows CUDA", "pytorch.org"),
        (True, "finds no CUDA device", "nvidia-smi"),
    ):
        monkeypatch.setattr(torch.backends.cuda, "is_built", lambda built=built: built)
        with pytest.raises(BadSettings, match=wrong) as error:
            device.check("cuda")
        assert hint in error.value.hint
        assert "--device cpu" in error.value.hint


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch, back_here: None) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda which: f"Abacus {which.index}")


@pytest.mark.usefixtures("two_gpus")
def test_a_gpu_is_chosen_by_number_and_adds_up_in_a_fixed_order() -> None:
    assert device.check("cuda") == torch.device("cuda", 0)
    with pytest.raises(BadSettings, match="no device cuda:2: there are 2"):
        device.check("cuda:2")
    assert (device.kind_of("cpu"), device.kind_of("cuda:1")) == ("cpu", "cuda, Abacus 1")

    device.use("cuda:1")
    assert device.here() == torch.device("cuda", 1)
    assert torch.are_deterministic_algorithms_enabled()
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert not torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction
    device.use("cpu")
    assert device.here() == torch.device("cpu")
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.usefixtures("two_gpus")
def test_a_gpu_has_one_process_if_nobody_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    monkeypatch.setattr(Processes, "warm_up", lambda self: None)
    one = make_engine(device="cuda")
    assert isinstance(one, InProcess)
    assert device.here() == torch.device("cuda", 0)
    one.close()
    assert device.here() == torch.device("cpu")
    for engine, width in (
        (make_engine(name="processes", device="cuda:1"), 1),
        (make_engine(2, device="cuda"), 2),
    ):
        assert isinstance(engine, Processes)
        assert engine.width == width
        assert device.here() == torch.device("cpu")  # it is the others' choice
        engine.close()
    with pytest.raises(BadSettings, match="ray computes on processors"):
        make_engine(name="ray", device="cuda")


on_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")


@on_a_gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("config", CONFIGS, ids=["tied", "untied"])
def test_a_gpu_comes_near_the_cpu_and_twice_to_the_same_bits(
    drawn: Drawn, config: ModelConfig, precision: str, back_here: None
) -> None:
    users, start = groups(drawn), weights_of(config).numpy()
    work = LocalWork(2, batch=6, max_positions=9, clip_norm=0.5, precision=precision)
    near = 1e-4 if precision == "fp32" else 2e-2

    def sums(name: str, processes: int) -> Sequence[tuple[np.ndarray, int, float]]:
        engine = make_engine(processes, device=name)
        try:
            return list(engine.run(train_group, start, [(config, work, users[i:]) for i in (0, 2)]))
        finally:
            engine.close()

    here, there, again, apart = sums("cpu", 1), sums("cuda", 1), sums("cuda", 1), sums("cuda", 2)
    for one, other in zip(here, there, strict=True):
        assert np.linalg.norm(one[0] - other[0]) < near * np.linalg.norm(one[0])
        assert other[2] == pytest.approx(one[2], near)
    for others in (again, apart):
        assert all(np.array_equal(a[0], b[0]) for a, b in zip(there, others, strict=True))


@on_a_gpu
def test_a_gpu_counts_what_the_cpu_does(drawn: Drawn, back_here: None) -> None:
    users, weights = [drawn(seed, 30, SIZE, 4) for seed in (1, 2)], weights_of(TIED).numpy()
    here = count_rows(weights, TIED, users)
    device.use("cuda")
    assert count_rows(weights, TIED, users) == pytest.approx(here, rel=1e-3)
