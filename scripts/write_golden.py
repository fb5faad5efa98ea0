"""Write tests/golden/losses/ARCH_cpu.txt: the first 20 losses of a tiny run of every architecture.

python scripts/write_golden.py [ARCH ...]

A change that should not change numbers must reproduce these files (tests/golden/test_losses.py); one that should is
committed together with them, so that the difference shows.
"""

import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

import hornbook
from hornbook.models.catalog import CONFIGS
from hornbook.runlog.events import Step
from hornbook.runlog.paths import RunFolder
from hornbook.runlog.reader import read_events

FOLDER = Path(__file__).resolve().parents[1] / "tests" / "golden" / "losses"
STEPS = 20

SETTINGS = (
    "data.path=builtin:maths",
    "data.problems=500",
    "tokenizer.kind=bytes",
    "model.context=32",
    "model.width=48",
    "model.num_layers=2",
    f"training.steps={STEPS}",
    "training.batch_tokens=256",
    "training.seed=0",
    "training.threads=1",
    "training.device=cpu",
    "optimizer.name=adamw",
    "optimizer.lr=1e-3",
    "schedule.name=constant",
    "schedule.warmup_steps=5",
    "precision.dtype=fp32",
    "precision.attention=sdpa",
    "evaluation.every_steps=1000",
    "evaluation.max_tokens=512",
    "sampling.every_steps=0",
)
"""The recipe `text`, tiny: one thread, float32, one way of attention, so that only rounding depends on the machine."""


def first_losses(arch: str, folder: Path, *settings: str) -> list[float]:
    """Train a tiny `arch` in `folder`, which may hold the data of another one; return its losses in nats.

    Args:
        arch: a key of CONFIGS.
        folder: where the run and its data are kept.
        settings: "section.name=value" strings that replace those above.
    """
    places = (f"data.folder={folder / 'prepared'}", f"run.folder={folder / arch}")
    run = hornbook.train("text", [*SETTINGS, f"model.arch={arch}", *places, *settings]).folder
    events = read_events(RunFolder(run).events)
    return [event.loss for event in events if isinstance(event, Step)]


def written(arch: str, losses: list[float]) -> str:
    """Return the content of a golden file."""
    first = f"# First losses of a tiny {arch} on the CPU, in nats: python scripts/write_golden.py {arch}"
    made = f"# made with torch {torch.__version__.partition('+')[0]}"
    lines = [f"{step} {loss:.9f}" for step, loss in enumerate(losses, 1)]
    return "\n".join([first, made, *lines]) + "\n"


def read(path: Path) -> list[float]:
    """Return the losses of a golden file."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [float(line.split()[1]) for line in lines if not line.startswith("#")]


def main() -> None:
    """Write the files of the architectures named, or of all."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        for arch in sys.argv[1:] or CONFIGS:
            path = FOLDER / f"{arch}_cpu.txt"
            path.write_text(written(arch, first_losses(arch, Path(folder))), encoding="utf-8", newline="\n")
            print(path)


if __name__ == "__main__":
    main()
