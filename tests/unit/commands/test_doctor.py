"""The doctor says what this machine is and what would slow it."""

import json

import pytest
import torch

from hornbook.cli import run as run_command
from hornbook.commands import doctor as module
from hornbook.commands.doctor import (
    Examination,
    Trouble,
    allowed_cores,
    find_troubles,
    free_memory,
    show_examination,
)

CPU = torch.device("cpu")


def fixes(threads=None, load=0.0, **environment):
    """The fixes for the troubles found, with as many threads as cores if not said."""
    cores = allowed_cores()
    return [one.fix for one in find_troubles(CPU, threads=threads or cores, load=load, environment=environment)]


def test_a_limit_on_threads_is_to_be_unset(monkeypatch):
    monkeypatch.setattr(module, "allowed_cores", lambda: 4)
    assert "unset OMP_NUM_THREADS" in fixes(threads=1, OMP_NUM_THREADS="1")


def test_more_threads_than_cores_are_to_be_fewer():
    assert f"export OMP_NUM_THREADS={allowed_cores()}" in fixes(threads=allowed_cores() + 2)


def test_busy_cores_are_noticed():
    assert any(fix.startswith("close them") for fix in fixes(load=1000.0))


def test_a_driver_without_a_device_is_noticed(tmp_path, monkeypatch):
    program = tmp_path / "nvidia-smi"
    program.write_text("", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert any("pip install" in fix for fix in fixes())


def test_little_disk_and_memory_are_noticed(monkeypatch):
    monkeypatch.setattr(module, "LITTLE_DISK", 2**80)
    monkeypatch.setattr(module, "LITTLE_MEMORY", 2**80)
    found = " ".join(fixes())
    assert "run.folder=FOLDER" in found
    assert "training.micro_batch_rows=4" in found or free_memory() == 0


def test_the_command_tells_device_rates_and_memory(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert run_command(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (
        found["device"] == torch.accelerator.current_accelerator().type
        if torch.accelerator.is_available()
        else "cpu"
    )
    assert found["matmul_flops"]["fp32"] > 1e8
    assert found["training_dtype"] in ("fp32", "bf16")


@pytest.mark.parametrize(
    ("troubles", "says"),
    [
        ((), "Nothing here would slow a run down"),
        ((Trouble("It is hot.", "open a window"),), "fix: open a window"),
    ],
)
def test_an_examination_is_shown_with_its_troubles(capsys, troubles, says):
    found = Examination(
        hornbook="1",
        python="3.11",
        torch="2",
        device="cpu",
        device_name="Some Processor",
        cpu_capability="AVX2",
        cores=2,
        threads=2,
        memory_bytes=2**30,
        free_memory_bytes=2**29,
        free_disk_bytes=2**30,
        compiler="",
        matmul_flops={"fp32": 1e11},
        training_dtype="fp32",
        troubles=troubles,
    )
    show_examination(found)
    text = capsys.readouterr().out
    assert "fp32 100 GFLOP/s" in text
    assert says in text
