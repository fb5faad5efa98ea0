"""The first 20 losses of every architecture are those that are kept: a change of numbers is told, or is none."""

import runpy
from pathlib import Path

import pytest

from hornbook.models.catalog import CONFIGS

GOLDEN = runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "write_golden.py"))
LOSSES = Path(__file__).parent / "losses"

TOLERANCE = 1e-5
"""Relative. Other processors add in other orders: between torch's kernels for SSE, AVX2 and AVX-512 on one machine
the largest difference in these 20 steps is 2.3e-7. A learning rate one thousandth higher moves the last by 1e-4."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One folder for all, so that the data is prepared once."""
    folder = tmp_path_factory.mktemp("golden")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder


@pytest.mark.parametrize("arch", sorted(CONFIGS))
def test_the_first_losses_are_those_that_are_kept(arch, folder):
    path = LOSSES / f"{arch}_cpu.txt"
    assert path.is_file(), f"{path.name} is absent; write it: python scripts/write_golden.py {arch}"
    kept = GOLDEN["read"](path)
    assert len(kept) == GOLDEN["STEPS"]
    assert GOLDEN["first_losses"](arch, folder) == pytest.approx(kept, rel=TOLERANCE)


def test_no_file_is_kept_of_an_architecture_that_is_gone():
    assert {path.name for path in LOSSES.iterdir()} <= {f"{arch}_cpu.txt" for arch in CONFIGS}


def test_a_slightly_different_run_would_be_noticed(folder):
    """The test above can fail."""
    losses = GOLDEN["first_losses"]("rnn", folder / "changed", "optimizer.lr=1.001e-3")
    kept = GOLDEN["read"](LOSSES / "rnn_cpu.txt")
    assert abs(losses[-1] - kept[-1]) > 5 * TOLERANCE * kept[-1]
