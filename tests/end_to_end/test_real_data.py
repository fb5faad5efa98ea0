"""Real text, from file to talking model, by the commands of docs/guide/train-your-own.md; and interrupted."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hornbook.commands.train import RESUMABLE
from hornbook.runlog.events import Validation
from hornbook.runlog.reader import read_events
from hornbook.storage.tensors import file_hash

pytestmark = [pytest.mark.slow, pytest.mark.shared, pytest.mark.timeout(1500)]

HORNBOOK = [sys.executable, "-m", "hornbook"]

SHAKESPEARE = ["shakespeare", "data.path={data}/text/tinyshakespeare.txt"]
BOOKS = [
    "books",
    'data.path=["{data}/parquet/books", "{data}/text/wikitext2-valid.txt.gz", "{data}/text/wikitext2-test.txt.gz"]',
    "training.batch_tokens=4096",
    "schedule.warmup_steps=20",
]
QUESTIONS = ["questions", "data.path={data}/qa/gsm8k/train.jsonl.gz", "training.batch_tokens=4096"]
RECIPES = [SHAKESPEARE, BOOKS, QUESTIONS]


@pytest.fixture(scope="module")
def hornbook(tmp_path_factory, shared_data):
    """Runs a command line in a folder of its own, where prepared data is shared."""
    folder = tmp_path_factory.mktemp("real")
    environment = os.environ | {"OMP_NUM_THREADS": "1"}

    def start(*words: str) -> subprocess.Popen:
        words = tuple(word.replace("{data}", str(shared_data)) for word in words)
        return subprocess.Popen(
            [*HORNBOOK, *words],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(*words: str, status: int = 0) -> str:
        process = start(*words)
        output, _ = process.communicate()
        assert process.returncode == status, output
        return output

    run.start, run.folder = start, folder
    return run


def cpu_seconds() -> float:
    """CPU time of the children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def last_validation(run: Path) -> Validation:
    return [event for event in read_events(run / "events.jsonl") if isinstance(event, Validation)][-1]


def test_shakespeare_reaches_its_loss_in_five_cpu_minutes_and_speaks(hornbook):
    before = cpu_seconds()
    hornbook("train", *SHAKESPEARE)
    spent = cpu_seconds() - before
    validation = last_validation(hornbook.folder / "runs" / "shakespeare")
    assert validation.loss <= 1.65
    assert spent <= 300, f"{spent:.0f} CPU seconds"
    # nanoGPT's split of this file: the last tenth of 1,115,394 characters, every one of them scored.
    assert abs(validation.targets - 111_540) <= 1
    said = hornbook("generate", "runs/shakespeare", "ROMEO:", "--max-tokens", "200", "--seed", "1")
    assert len(said) > 100 and any(word in said for word in (" the ", " and ", " I "))


@pytest.mark.parametrize("recipe", [BOOKS, QUESTIONS], ids=lambda recipe: recipe[0])
def test_two_hundred_steps_learn_from_real_documents(hornbook, recipe):
    hornbook("train", *recipe, "training.steps=200", "evaluation.every_steps=50")
    run = hornbook.folder / "runs" / recipe[0]
    losses = [event.loss for event in read_events(run / "events.jsonl") if isinstance(event, Validation)]
    assert losses == sorted(losses, reverse=True), "every validation is better than the one before"
    assert losses[0] - losses[-1] > 0.5, "nats a token, from step 50 to step 200"
    assert hornbook(
        "generate", f"runs/{recipe[0]}", "There are", "--max-tokens", "30", "--temperature", "0"
    ).strip()


def test_of_questions_only_the_answers_are_learnt(hornbook):
    settings = [*QUESTIONS, "training.steps=1", "run.folder=runs/lens"]
    hornbook("train", *settings)
    rows = json.loads(hornbook("lens", "runs/lens", "--step", "0", "--json"))
    learnt = "".join(token["text"] for row in rows for token in row["tokens"] if token["learnt"])
    asked = "".join(token["text"] for row in rows for token in row["tokens"] if not token["learnt"])
    assert "####" in learnt and "?" in asked and "####" not in asked


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe[0])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda n: n.name)
def test_an_interrupted_run_ends_with_the_same_hash(hornbook, recipe, number):
    settings = [*recipe, "training.steps=40", "checkpoint.every_steps=10", "sampling.every_steps=0"]
    whole, cut = (hornbook.folder / "runs" / f"{recipe[0]}-{name}" for name in ("whole", number.name))
    if not (whole / "model").exists():
        hornbook("train", *settings, f"run.folder={whole}")
    process = hornbook.start("train", *settings, f"run.folder={cut}")
    while process.poll() is None and not (cut / "checkpoints" / "step-00000010").exists():
        time.sleep(0.05)
    process.send_signal(number)
    output, _ = process.communicate()
    assert process.returncode == (-number if number == signal.SIGKILL else RESUMABLE), output
    assert not (cut / "model").exists()
    hornbook("train", *settings, f"run.folder={cut}")
    name = Path("model") / "model.safetensors"
    assert file_hash(cut / name) == file_hash(whole / name)
