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
    kinds = [line.split("|")[1].strip() for line in text.splitlines() if line.count("|") == 5]
    assert kinds[-5:] == ["bytes", "chars", "words", "bpe", "superbpe"]
    assert "- words: **" in text and "MB a second**, target 3.0" in text


def test_the_benchmark_of_recurrent_cells_prints_its_table_and_verdict(tmp_path):
    text = printed("bench_rnn.py", "--cell", "lstm", "--rounds", "1", "--rows", "2", cache=tmp_path)
    assert "| step by step bf16" in text
    assert "fused against step by step, fp32: **" in text


SMALL = (
    "training.steps=4",
    "schedule.warmup_steps=1",
    "data.problems=2000",
    "evaluation.problems=4",
    "evaluation.every_steps=4",
)


@pytest.mark.timeout(900)
def test_the_comparison_trains_compares_and_keeps_its_runs(tmp_path):
    settings = [word for setting in SMALL for word in ("--set", setting)]
    kept = ["--only", "sixteen", "--seed", "0", "--seed", "1", "--folder", str(tmp_path / "runs"), *settings]
    # One model and one rate at a time, as on several machines; the last call finds all but two runs done.
    assert "## " not in printed("compare_brahma.py", *kept, "--model", "brahma", "--rate", "3e-3", cache=tmp_path)
    began = (tmp_path / "runs" / "sixteen" / "brahma-3e-3-seed1" / "receipt.json").stat().st_mtime_ns
    text = printed("compare_brahma.py", *kept, "--rate", "3e-3", cache=tmp_path)
    assert (tmp_path / "runs" / "sixteen" / "brahma-3e-3-seed1" / "receipt.json").stat().st_mtime_ns == began
    assert "## builtin:sixteen" in text
    assert "- llama: 2 runs (seed 0, 1), 468,352 parameters, 4,096 tokens each" in text
    assert "- brahma: 2 runs (seed 0, 1), 468,306 parameters, 4,096 tokens each" in text
    assert "| logic: parity " in text
    assert "| brahma | 3e-3 |" in text


def test_the_comparison_tells_why_a_run_failed(tmp_path):
    with pytest.raises(subprocess.CalledProcessError) as caught:
        printed("compare_brahma.py", "--folder", str(tmp_path), "--set", "training.step=4", cache=tmp_path)
    assert "did you mean training.steps?" in caught.value.stderr


def test_the_benchmark_of_grug_s_front_end_prints_its_share(tmp_path):
    small = ["model.width=32", "model.num_heads=2", "model.num_layers=1", "model.cnn_channels=[8,8]"]
    settings = [word for setting in small for word in ("--set", setting)]
    text = printed("bench_grug.py", "--rounds", "1", "--rows", "1", "--dtype", "fp32", *settings, cache=tmp_path)
    assert "| with the front end" in text
    assert "the front end's share of a step: **" in text


def test_the_benchmark_of_brahma_prints_both_tables_and_its_verdicts(tmp_path):
    quick = ["--rounds", "1", "--seconds", "0.01", "--shape", "4x128", "--lengths", "33", "64"]
    text = printed("bench_brahma.py", *quick, cache=tmp_path)
    assert text.count("- 4x128, context ") == 4
    states = [line.split("|")[3] for line in text.splitlines() if line.startswith("| brahma D ")]
    assert len(states) == 2 and states[0] == states[1], "the memory of delta rules does not grow"


@pytest.mark.shared
@pytest.mark.timeout(900)
def test_the_superbpe_benchmark_prints_both_tables(shared_data, tmp_path):
    small = ["--megabytes", "0.2", "--sizes", "600", "--steps", "4"]
    text = printed("bench_superbpe.py", str(shared_data), *small, cache=tmp_path)
    rows = [line for line in text.splitlines() if line.startswith(("| books", "| both"))]
    assert len(rows) == 3 and all("x |" in row for row in rows)
    shapes = [line.split("|") for line in text.splitlines() if line.startswith(("| bpe", "| superbpe"))]
    assert len(shapes) == 2 and shapes[0][6] == shapes[1][6], "the same parameters"
    assert "bits a byte, mean of 1 seed(s)" in text
