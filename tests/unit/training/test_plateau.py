"""The plateau schedule decides as torch's ReduceLROnPlateau does, and comes back from JSON as it was."""

import json
import random

import pytest
import torch

from hornbook.config.optimizing import PlateauScheduleConfig
from hornbook.training.plateau import Plateau

CASES = [
    {},
    {"factor": 0.1, "patience": 0},
    {"factor": 0.7, "patience": 3, "cooldown": 2},
    {"threshold": 0.05, "patience": 1, "min_fraction": 0.2},
]


def losses(seed: int, *, number: int = 60) -> list[float]:
    """Losses that fall, stand still and rise by turns, one of them infinite."""
    chance, level, values = random.Random(seed), 3.0, []
    for _ in range(number):
        level += chance.choice([-0.2, -0.001, 0.0, 0.0, 0.05, 0.1])
        values.append(level)
    values[number // 2] = float("inf")
    return values


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("changes", CASES, ids=str)
def test_the_decisions_are_torchs(changes, seed):
    config, peak = PlateauScheduleConfig(**changes), 2.0
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=peak)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer,
        factor=config.factor,
        patience=config.patience,
        threshold=config.threshold,
        cooldown=config.cooldown,
        min_lr=config.min_fraction * peak,
        eps=0.0,
    )
    ours, fell = Plateau(), 0
    for loss in losses(seed):
        before = ours.share
        told = ours.update(loss, config)
        assert told == (ours.share < before)
        fell += told
        theirs.step(loss)
        assert peak * ours.share == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)
    assert fell, "no loss of this list made the rate fall: the comparison shows nothing"


def test_its_state_goes_through_json_and_on_as_if_nothing_had_happened():
    config, values = PlateauScheduleConfig(patience=1, cooldown=1), losses(3)
    whole, halted = Plateau(), Plateau()
    for loss in values:
        whole.update(loss, config)
        halted.update(loss, config)
        halted = Plateau(**json.loads(json.dumps(halted.to_dict())))
        assert halted == whole


def test_a_loss_that_is_not_finite_is_never_the_best():
    plateau = Plateau()
    assert not plateau.update(float("nan"), PlateauScheduleConfig())
    assert plateau.best is None and plateau.bad_in_a_row == 1
