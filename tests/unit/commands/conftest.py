"""One tiny run, trained once for all tests of the commands."""

from pathlib import Path

import pytest

import hornbook

TINY = [
    "tokenizer.kind=bytes",
    "model.width=32",
    "model.num_layers=1",
    "model.num_heads=2",
    "training.steps=4",
    "model.context=256",
    "training.batch_tokens=512",
    "training.threads=1",
    "training.device=cpu",
    "precision.dtype=fp32",
    "precision.attention=sdpa",
    "data.problems=300",
    "evaluation.problems=2",
    "evaluation.every_steps=4",
    "sampling.every_steps=0",
    "sampling.max_tokens=8",
]
"""The demo, as small as it gets."""


@pytest.fixture(scope="package")
def workplace(tmp_path_factory):
    """A folder with a run in runs/demo and its prepared data beside it."""
    folder = tmp_path_factory.mktemp("workplace")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        hornbook.train("demo", TINY)
    return folder


@pytest.fixture
def run(workplace, monkeypatch) -> Path:
    """The tiny run, seen from its workplace."""
    monkeypatch.chdir(workplace)
    monkeypatch.setenv("XDG_CACHE_HOME", str(workplace / "cache"))
    return Path("runs/demo")


@pytest.fixture
def tiny() -> list[str]:
    """The settings the tiny run was trained with."""
    return list(TINY)
