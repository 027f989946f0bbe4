from __future__ import annotations

from dataclasses import asdict

import pytest

from nwp.runs.nameless import nameless_command, nameless_result, nameless_settings
from nwp.tasks.train_options import TrainOptions


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("nwp train s --held-out 'nadia, jo' --seed 3", "nwp train s --held-out NAMES --seed 3"),
        ("nwp train s --held-out=nadia --seed 3", "nwp train s --held-out=NAMES --seed 3"),
        ("nwp train s --held-out 0.25", "nwp train s --held-out 0.25"),
        ("nwp train s --held-out=0.25", "nwp train s --held-out=0.25"),
        ("nwp train s --me 'Anna B'", "nwp train s --me NAMES"),
        ("nwp train s --me --held-out --me x", "nwp train s --me NAMES --me NAMES"),
        (
            "nwp train 'my mail.mbox' --refuse worker-2",
            "nwp train 'my mail.mbox' --refuse worker-2",
        ),
        ("", ""),
    ],
)
def test_a_command_is_told_without_the_names_in_it(given: str, told: str) -> None:
    assert nameless_command(given) == told


def test_settings_are_flat_and_users_held_out_by_name_are_counted() -> None:
    options = TrainOptions(held_out="nadia, jo,nadia", refuse=("worker-1", "worker-2"))
    told = nameless_settings(asdict(options))
    assert told["held_out"] == "2 by name"
    assert told["local.batch"] == 16
    assert told["server.name"] == "fedadam"
    assert told["refuse"] == "worker-1, worker-2"
    assert all(isinstance(value, str | int | float | None) for value in told.values())
    assert nameless_settings(asdict(TrainOptions(held_out="0.1")))["held_out"] == "0.1"


def test_of_a_result_stay_the_numbers_of_users_and_workers() -> None:
    result = {"rounds": 4, "held_out": ["nadia", "jo"], "absent": {"worker-1": "why"}}
    assert nameless_result(result) == {"rounds": 4, "held_out": 2, "absent": 1}
