"""The benchmarks run, here without the libraries they compare with: a claim whose command is broken is no claim."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"

pytestmark = pytest.mark.slow


def printed(script: str, *arguments: str, cache: Path) -> str:
    command = [sys.executable, BENCHMARKS / script, *arguments]
    # What is measured in a hurry must not become this machine's answer to which attention is faster.
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache), "LOCALAPPDATA": str(cache)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def test_the_training_benchmark_prints_its_table(tmp_path):
    text = printed("bench_train.py", "--shape", "tiny", "--rounds", "1", "--seconds", "0.01", cache=tmp_path)
    assert text.startswith("# Training speed\n")
    assert "| Hornbook fp32" in text


def test_the_preparing_benchmark_prints_its_table_and_verdict(tmp_path):
    text = printed(
        "bench_prepare.py", "--megabytes", "0.2", "--rounds", "1", "--vocabulary", "1024", cache=tmp_path
    )
    assert "ids identical on every document" in text
    assert "Hornbook against tokenizers: **" in text


def test_the_benchmark_of_recurrent_cells_prints_its_table_and_verdict(tmp_path):
    text = printed("bench_rnn.py", "--cell", "lstm", "--rounds", "1", "--rows", "2", cache=tmp_path)
    assert "| step by step bf16" in text
    assert "fused against step by step, fp32: **" in text
