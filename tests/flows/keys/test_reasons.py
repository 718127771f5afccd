"""How a plan says what changed."""

from typing import Any

import pytest

from flows.keys.reasons import changes

FACTS: dict[str, Any] = {
    "settings": {"lr": 0.1, "losses": {"triplet": 1.0}},
    "inputs": {"index": "aa"},
    "weights": {},
    "libraries": {"torch": "2.15", "numpy": "2.4"},
    "code": {"training.model.losses.supcon": "11", "training.looping.loop.train": "22"},
}


@pytest.mark.parametrize(
    ("now", "told"),
    [
        ({}, []),
        ({"settings": {"lr": 0.1, "losses": {"triplet": 2.0}}}, ["losses.triplet: 1.0 -> 2.0"]),
        ({"inputs": {"index": "bb"}}, ["index changed"]),
        ({"weights": {"model": "cc"}}, ["model other weights"]),
        ({"libraries": {"torch": "2.16", "numpy": "2.4"}}, ["torch 2.15 -> 2.16"]),
        ({"libraries": {"numpy": "2.4"}}, ["torch 2.15 -> not counted"]),
        (
            {"code": {"training.model.losses.supcon": "33", "training.looping.loop.train": "22"}},
            ["code changed: training.model.losses.supcon"],
        ),
        (
            {"code": {"training.model.losses.contrast": "11", "training.looping.loop.train": "22"}},
            ["code added: training.model.losses.contrast", "code removed: training.model.losses.supcon"],
        ),
        (
            {"code": FACTS["code"] | {f"training.x.f{i}": "44" for i in range(10)}},
            ["code added: " + ", ".join(f"training.x.f{i}" for i in range(8)) + " and 2 more"],
        ),
        (
            {"code": {"training.model.contrast.supcon": "11", "training.looping.loop.train": "22"}},
            ["code moved: training.model.losses.supcon -> training.model.contrast.supcon"],
        ),
        (
            {"code": {"training.model.contrast.supcon": "33", "training.looping.epochs.train": "22"}},
            [
                "code moved: training.looping.loop.train -> training.looping.epochs.train",
                "code changed: training.model.contrast.supcon",
            ],
        ),
    ],
)
def test_what_changed_is_named(now: dict[str, Any], told: list[str]) -> None:
    assert changes(FACTS, FACTS | now) == told
