"""Every operation of a training step is tried on the device and on the CPU, and the worst of its calls is told."""

import pytest
import torch

from hornbook.models.catalog import CONFIGS
from hornbook.training.optimizers import OPTIMIZERS
from hornbook.training.probe import OperatorProbe, probe_operators

CPU = torch.device("cpu")

LIBRARY = torch.library.Library("hornbook_probe_test", "DEF")
CALLS = {"count": 0}
"""On the CPU a probe calls an operator twice: first as the device's, then as what it is compared with."""


def first_call() -> bool:
    CALLS["count"] += 1
    return CALLS["count"] % 2 == 1


def absent(x):
    if first_call():
        raise NotImplementedError("Could not run 'absent' on this device.\nMore lines follow.")
    return x * 2


def wrong(x):
    return x * (3 if first_call() else 2)


def absent_in_place(x):
    if first_call():
        raise RuntimeError("no kernel")
    return x.mul_(2)


for name, function, result in (("absent", absent, "Tensor"), ("wrong", wrong, "Tensor")):
    LIBRARY.define(f"{name}(Tensor x) -> {result}")
    LIBRARY.impl(name, function, "CPU")
LIBRARY.define("absent_(Tensor(a!) x) -> Tensor(a!)")
LIBRARY.impl("absent_", absent_in_place, "CPU")
OPERATORS = torch.ops.hornbook_probe_test


def tried(work) -> dict[str, tuple[str, str]]:
    CALLS["count"] = 0
    probe = OperatorProbe(CPU)
    with probe.at("a test"):
        work()
    return {one.name: (one.verdict, one.reason) for one in probe.tried.values()}


def test_everything_of_every_architecture_and_optimizer_agrees_with_itself():
    found, refused = probe_operators(CPU)
    assert not refused
    assert {one.verdict for one in found} <= {"agrees", "unchecked"}
    names = {one.name for one in found}
    assert {"aten.mm.default", "aten.embedding_dense_backward.default", "aten._fused_adamw_.default"} <= names
    assert {one.where for one in found} <= set(CONFIGS) | {f"optimizer {name}" for name in OPTIMIZERS}


def test_what_fails_is_told_and_computed_elsewhere_so_that_the_rest_is_tried():
    x = torch.ones(3)
    values = []
    seen = tried(lambda: values.append(OPERATORS.absent(x) + 1))
    assert seen["hornbook_probe_test.absent.default"] == ("fails", "Could not run 'absent' on this device.")
    assert seen["aten.add.Tensor"] == ("agrees", "")
    assert torch.equal(values[0], torch.full((3,), 3.0))


def test_what_fails_in_place_is_written_where_it_belongs():
    x = torch.ones(3)
    seen = tried(lambda: OPERATORS.absent_(x))
    assert seen["hornbook_probe_test.absent_.default"] == ("fails", "no kernel")
    assert torch.equal(x, torch.full((3,), 2.0))


def test_what_differs_is_told_with_the_difference():
    assert tried(lambda: OPERATORS.wrong(torch.ones(3)))["hornbook_probe_test.wrong.default"] == (
        "differs",
        "by up to 1",
    )


def test_random_numbers_are_not_compared():
    seen = tried(lambda: torch.nn.functional.dropout(torch.ones(100), 0.5))
    assert ("unchecked", "random numbers") in seen.values()


def test_what_is_wrong_everywhere_is_no_matter_of_the_device():
    with pytest.raises(RuntimeError, match="shapes"), OperatorProbe(CPU):
        torch.ones(2, 3) @ torch.ones(2, 3)
