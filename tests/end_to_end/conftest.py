"""A trainer that can be killed, for the tests of interruption."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from hornbook.runlog.events import replayed_part
from hornbook.runlog.reader import read_events
from hornbook.storage.tensors import file_hash

STEPS, SAVE_EVERY = 24, 4

SETTINGS = [
    "tokenizer.kind=chars",
    "model.arch=gpt",
    "model.width=16",
    "model.num_layers=1",
    "model.num_heads=2",
    "model.context=16",
    "model.dropout=0.1",
    f"training.steps={STEPS}",
    "training.batch_tokens=64",
    "training.micro_batch_rows=2",
    "training.patience=none",
    "training.max_minutes=none",
    "optimizer.name=muon",
    "schedule.name=cosine",
    "precision.dtype=fp32",
    "precision.attention=matmul",
    f"checkpoint.every_steps={SAVE_EVERY}",
    "checkpoint.keep_last=2",
    "evaluation.every_steps=6",
    "sampling.every_steps=8",
    "sampling.max_tokens=4",
    "logging.every_steps=3",
]


class Trainer:
    """Runs `hornbook train`, of the recipe `text` on one small text or of another, in a child that can be killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.text = folder / "text.txt"
        words = random.Random(0).choices(["one", "two", "three", "four", "five", "\n"], k=2000)
        self.text.write_text(" ".join(words))
        environment = os.environ | {"OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(folder / "cache")}
        self.server = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("fork_server.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            cwd=folder,
            text=True,
        )
        self._answer()

    def train(self, run: Path, *settings: str, **request) -> dict:
        """Train into `run`; see fork_server.py for what may be requested."""
        return self.train_recipe("text", run, f"data.path={self.text}", *SETTINGS, *settings, **request)

    def train_recipe(self, recipe: str, run: Path, *settings: str, **request) -> dict:
        """Train a recipe into `run`, with its own data and none of the settings above."""
        given = [f"run.folder={run}", f"data.folder={self.folder / 'prepared'}", *settings]
        assert self.server.stdin is not None
        self.server.stdin.write(json.dumps({"recipe": recipe, "settings": given, **request}) + "\n")
        self.server.stdin.flush()
        return self._answer()

    def result(self, run: Path, steps: int = STEPS) -> dict:
        """Everything about a finished run of `steps` that must not depend on how it was interrupted."""
        last = run / "checkpoints" / f"step-{steps:08d}"
        state = json.loads((last / "state.json").read_text())
        return {
            "model": file_hash(run / "model" / "model.safetensors"),
            "weights": file_hash(last / "model" / "model.safetensors"),
            "optimizer": file_hash(last / "optimizer.safetensors"),
            "state": {name: value for name, value in state.items() if name != "seconds"},
            "best": (run / "best.json").read_text(),
            "checkpoints": sorted(os.listdir(run / "checkpoints")),
            "events": [part for event in read_events(run / "events.jsonl") if (part := replayed_part(event))],
            "samples": (run / "samples.txt").read_text() if (run / "samples.txt").exists() else "",
        }

    def close(self) -> None:
        """End the server."""
        self.server.kill()
        self.server.communicate()

    def _answer(self) -> dict:
        assert self.server.stdout is not None
        return json.loads(self.server.stdout.readline())


@pytest.fixture(scope="module")
def trainer(tmp_path_factory):
    """A trainer of its own folder."""
    one = Trainer(tmp_path_factory.mktemp("trainer"))
    yield one
    one.close()


@pytest.fixture(scope="module")
def uninterrupted(trainer):
    """What a run that was left alone ends with."""
    answer = trainer.train(trainer.folder / "whole")
    assert answer["status"] == 0, answer["output"]
    return trainer.result(trainer.folder / "whole")
