"""A conversation with a real process, ended by a real Ctrl-C, while it waits and while it writes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import hornbook

pytestmark = pytest.mark.slow

SETTINGS = [
    "data.path=builtin:maths",
    "data.problems=200",
    "tokenizer.kind=bytes",
    "model.arch=rnn",
    "model.width=16",
    "model.num_layers=1",
    "model.context=64",
    "optimizer.name=adamw",
    "training.steps=2",
    "training.batch_tokens=128",
    "training.threads=1",
    "training.device=cpu",
    "precision.dtype=fp32",
    "sampling.every_steps=0",
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("conversation")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        return hornbook.train("text", SETTINGS).folder.resolve()


def talk(run: Path, *options: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "hornbook", "generate", "--ckpt", str(run), "--interactive", *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def say(child: subprocess.Popen, line: str) -> None:
    child.stdin.write(f"{line}\n".encode())
    child.stdin.flush()


def read_until(child: subprocess.Popen, end: bytes) -> bytes:
    said = b""
    while not said.endswith(end):
        letter = child.stdout.read(1)
        assert letter, said + child.stderr.read()
        said += letter
    return said


def ended(child: subprocess.Popen) -> None:
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=60)
    assert (child.returncode, errors) == (0, b"")


@pytest.mark.skipif(os.name == "nt", reason="Windows sends Ctrl-C to consoles, not to processes")
@pytest.mark.parametrize("length", ["3", "1000000"], ids=["while it waits", "while it writes"])
def test_ctrl_c_ends_a_conversation(run, length):
    child = talk(run, "--length", length, "--temp", "1")
    read_until(child, b"[1] > ")
    say(child, "What is 2 + 2?")
    read_until(child, b"[2] > ") if length == "3" else child.stdout.read(1)
    ended(child)


def test_the_model_is_loaded_once_for_all_turns(run):
    child = talk(run, "--length", "3")
    for turn in range(1, 6):
        read_until(child, f"[{turn}] > ".encode())
        say(child, f"What is {turn} + 2?")
    said, errors = child.communicate(b"bytes that are no text: \xff\nquit\n", timeout=60)
    assert (child.returncode, errors) == (0, b"")
    assert b"[7] > " in said
