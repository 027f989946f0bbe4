"""What `nwp bench` reports, of times and rates that are made up."""

from __future__ import annotations

import dataclasses
import json

import pytest

from nwp.corpus.types import Corpus
from nwp.errors import BadCorpus, BadSettings
from nwp.federated.local import LocalWork
from nwp.measuring.flops import Products, Size
from nwp.measuring.machine import Copies, Hardware, Peak, Shape
from nwp.measuring.rounds import RoundTimes
from nwp.measuring.split import KINDS, Profile
from nwp.model.config import ModelConfig
from nwp.tasks import bench as tasks
from nwp.tasks.bench import PRESETS, BenchOptions
from nwp.tasks.bench_found import Benchmark, Trained, in_thousandths
from nwp.text.vocabulary import UNKNOWN

CORE = Hardware("Some CPU", 2, ("avx2",), 2, "2.13.0", 0.1)
SHAPE = Shape("large", 10, 10, 10)


def trained(**changes) -> Trained:
    """Rounds of 4, 2 and 3 seconds in two processes; 60 GFLOP a round, 50 GFLOP/s at best."""
    times = tuple(RoundTimes(s, 2, busy=1.6 * s, cpu=1.2 * s, waiting=0.1 * s) for s in (4, 2, 3))
    parts = dict.fromkeys(KINDS, 0.0) | {"products": 0.5, "recurrence": 0.25, "python": 0.25}
    given = Trained(
        precision="fp32",
        times=times,
        size=Size(users=5, messages=60, words=600, steps=12),
        products=Products(recurrence=20 * 10**9, others=40 * 10**9),
        peak=Peak(30.0, 50.0, SHAPE, "torch", ((SHAPE, 30.0),)),
        profile=Profile(parts, 0.1, (), 2, 100),
    )
    return dataclasses.replace(given, **changes)


def test_speed_is_that_of_the_median_round() -> None:
    found = trained()

    assert found.seconds == 3
    assert found.gflops == pytest.approx(20)
    assert found.share_of_peak == pytest.approx(0.4)
    assert found.taken_by_others == pytest.approx(0.25)
    told = found.as_json()
    assert (told["fastest"], told["slowest"], told["rounds"]) == (2, 4, [4, 2, 3])
    assert (told["words_per_second"], told["steps_per_second"]) == (200, 4)
    assert told["gflop"] == 60


def test_the_split_is_of_all_processes_time() -> None:
    parts = {part.name: part.thousandths for part in trained().split()}

    # Of 2 s a second: 1.2 on a core, split by the profile; 0.4 others', 0.1 waiting, 0.3 the rest.
    assert parts == {
        **dict.fromkeys(KINDS, 0),
        **{"products": 300, "recurrence": 150, "python": 150},
        **{"elsewhere": 200, "between": 150, "waiting": 50},
    }


def test_speed_of_products_is_told_while_they_go_on() -> None:
    found = trained()
    rates = {part.name: found.part_gflops(part) for part in found.split()}

    assert rates.pop("products") == pytest.approx(40 / (3 * 0.3))
    assert rates.pop("recurrence") == pytest.approx(20 / (3 * 0.15))
    assert set(rates.values()) == {None}
    fused = trained(profile=Profile(dict.fromkeys(KINDS, 0.0) | {"other": 1.0}, 0.0, ("x",), 1, 1))
    assert [fused.part_gflops(part) for part in fused.split()] == [None] * 11


@pytest.mark.parametrize(
    "values", [[1, 1, 1], [1e-9, 1, 2], [0, 0, 5], [1 / 3, 1 / 7, 0.1, 0.7], [0.0005, 0.9995]]
)
def test_shares_add_up_and_none_is_off_by_a_thousandth(values: list[float]) -> None:
    shares = in_thousandths(values)

    assert sum(shares) == 1000
    for share, value in zip(shares, values, strict=True):
        assert abs(share - 1000 * value / sum(values)) < 1


def test_a_processes_clock_that_runs_ahead_of_the_wall_takes_nothing_from_the_sum() -> None:
    times = (RoundTimes(1.0, 1, busy=0.9, cpu=0.91, waiting=0.0),)
    found = trained(times=times)

    assert found.taken_by_others == 0
    assert sum(part.thousandths for part in found.split()) == 1000


def test_everything_can_be_written_as_json() -> None:
    config = ModelConfig(vocabulary=100, tied=False, marks=0)
    benchmark = Benchmark(
        name="standard",
        hardware=CORE,
        processes=2,
        model=config,
        work=LocalWork(),
        size=trained().size,
        copies=Copies(10.0, 15.0),
        trained=(trained(),),
        warnings=("a",),
    )

    found = json.loads(json.dumps(benchmark.as_json()))

    assert found["hardware"]["instructions"] == ["avx2"]
    assert found["workload"] == {
        **{"name": "standard", "users": 5, "messages": 60, "words": 600, "steps": 12}
    }
    assert found["model"]["parameters"] == config.parameters
    assert found["peak"]["fp32"]["together"] == 50
    assert found["peak"]["fp32"]["shape"] == [10, 10, 10]
    assert sum(part["share"] for part in found["training"][0]["split"]) == pytest.approx(1)
    assert found["warnings"] == ["a"]


def test_warnings_tell_when_figures_say_little() -> None:
    busy = dataclasses.replace(CORE, load=1.5)
    slow = trained(peak=Peak(5.0, 10.0, SHAPE, "torch", ()))
    quiet = trained(times=(RoundTimes(3.0, 2, busy=5.0, cpu=4.9, waiting=0.1),))

    assert tasks._warnings(CORE, 2, [quiet]) == []
    (told,) = tasks._warnings(busy, 2, [quiet])
    assert "load was 1.5 on 2 cores" in told
    (told,) = tasks._warnings(CORE, 2, [trained()])
    assert "25% of the time" in told
    assert any("peak" in told for told in tasks._warnings(CORE, 2, [slow]))


@pytest.mark.parametrize(
    ("given", "hint"),
    [({"preset": "big"}, "standard"), ({"precision": "fp16"}, "bf16"), ({"rounds": 0}, "3")],
)
def test_options_that_make_no_sense_are_refused(given: dict, hint: str) -> None:
    with pytest.raises(BadSettings) as caught:
        BenchOptions(**given)

    assert hint in caught.value.hint


def test_sizes_are_the_presets_unless_given() -> None:
    options = BenchOptions(preset="small", users=3)

    assert (options.size("users"), options.size("hidden")) == (3, PRESETS["small"].hidden)
    assert options.precisions == ("fp32", "bf16")
    assert BenchOptions(precision="bf16").precisions == ("bf16",)
    # The model of the papers, as they count its weights.
    standard = tasks._model(BenchOptions(), marks=0)
    assert standard.parameters == pytest.approx(4_050_748, rel=1e-3)


def corpus(users: int) -> Corpus:
    return Corpus("six", {f"u{i:02}": ["the cat is xyzzy", "yes", "…"] for i in range(users)})


def test_of_a_corpus_some_users_take_part_with_words_of_the_public_list() -> None:
    some = tasks._from_corpus(corpus(40), BenchOptions())
    few = tasks._from_corpus(corpus(40), BenchOptions(users=5, messages=1))
    every = tasks._from_corpus(corpus(3), BenchOptions(users=5))

    assert (len(some), len(few), len(every)) == (8, 5, 3)
    assert {user.messages for user, _ in some} == {2}
    assert {user.messages for user, _ in few} == {1}
    assert (some[0][0].targets == UNKNOWN).sum() == 1
    assert some[0][0].targets.max() < 10_004


def test_a_corpus_without_words_is_refused() -> None:
    with pytest.raises(BadCorpus, match="no word"):
        tasks._from_corpus(Corpus("none", {"a": ["…", "!"]}), BenchOptions())
