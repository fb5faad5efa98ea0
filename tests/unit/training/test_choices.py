"""What was chosen by measuring is kept with the run and read back, unless the settings name something else."""

import json
from dataclasses import replace

import pytest
import torch

from hornbook.errors import CheckpointError, DeviceError
from hornbook.models.llama.config import LlamaConfig
from hornbook.run import RunConfig
from hornbook.training.choices import choose, keep

CPU = torch.device("cpu")
MODEL = LlamaConfig(vocab_size=16, context=8, width=16, num_layers=1, num_heads=2)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))


def config(**precision) -> RunConfig:
    return RunConfig.model_validate(
        {"model": MODEL.model_dump(), "training": {"batch_tokens": 16}, "precision": precision}
    )


def test_auto_measures_and_keeps_its_reasons(tmp_path):
    chosen = choose(config(), MODEL, CPU, recorded=tmp_path / "choices.json")
    assert chosen.dtype in ("fp32", "bf16") and chosen.attention in ("sdpa", "matmul")
    assert "measured" in chosen.describe() and chosen.peak_rate > 0
    kept = json.loads((tmp_path / "choices.json").read_text())
    assert (kept["dtype"], kept["attention"]) == (chosen.dtype, chosen.attention)


def test_a_resumed_run_takes_what_was_kept_though_it_would_measure_otherwise(tmp_path):
    path = tmp_path / "choices.json"
    chosen = choose(config(), MODEL, CPU, recorded=path)
    other = {"fp32": "bf16", "bf16": "fp32"}[chosen.dtype]
    path.write_text(json.dumps(json.loads(path.read_text()) | {"dtype": other}))
    assert choose(config(), MODEL, CPU, recorded=path).dtype == other


def test_what_the_settings_name_wins_over_what_was_kept(tmp_path):
    path = tmp_path / "choices.json"
    assert choose(config(dtype="fp32", attention="sdpa"), MODEL, CPU, recorded=path).dtype == "fp32"
    changed = choose(config(dtype="bf16", attention="matmul"), MODEL, CPU, recorded=path)
    assert (changed.dtype, changed.attention) == ("bf16", "matmul")
    assert json.loads(path.read_text())["dtype"] == "bf16"


def test_a_format_the_device_lacks_is_refused(tmp_path):
    with pytest.raises(DeviceError, match="cpu cannot train in fp16; it can in fp32, bf16"):
        choose(config(dtype="fp16"), MODEL, CPU, recorded=tmp_path / "choices.json")


def compiling(compile, steps=10) -> RunConfig:
    return RunConfig.model_validate(
        {
            "model": MODEL.model_dump(),
            "training": {"batch_tokens": 16, "steps": steps, "compile": compile},
            "precision": {"dtype": "fp32", "attention": "sdpa"},
        }
    )


def test_nothing_is_compiled_unless_asked_for(tmp_path):
    chosen = choose(compiling(False), MODEL, CPU, recorded=tmp_path / "choices.json")
    assert not chosen.compiled and "compiled" not in chosen.describe()


def test_auto_compiles_long_runs_only_and_says_why(tmp_path):
    short = choose(compiling("auto"), MODEL, CPU, recorded=tmp_path / "short.json")
    long = choose(compiling("auto", steps=10**12), MODEL, CPU, recorded=tmp_path / "long.json")
    assert not short.compiled and "not compiled, since the run takes about" in short.describe()
    assert long.compiled and "compiled, since the run takes about" in long.describe()


def test_a_run_whose_compiling_failed_stays_as_it_is(tmp_path):
    path = tmp_path / "choices.json"
    keep(replace(choose(compiling("auto", steps=10**12), MODEL, CPU, recorded=path), compiled=False), path)
    assert not choose(compiling("auto", steps=10**12), MODEL, CPU, recorded=path).compiled
    assert choose(compiling(True), MODEL, CPU, recorded=path).compiled  # asked for by name: tried again


def test_choices_kept_before_there_was_compiling_are_read(tmp_path):
    path = tmp_path / "choices.json"
    choose(compiling(False), MODEL, CPU, recorded=path)
    kept = json.loads(path.read_text())
    del kept["compiled"]
    path.write_text(json.dumps(kept))
    assert not choose(compiling("auto"), MODEL, CPU, recorded=path).compiled


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"dtype": "fp32"}'])
def test_a_damaged_file_is_named(tmp_path, content):
    path = tmp_path / "choices.json"
    path.write_text(content)
    with pytest.raises(CheckpointError, match=r"choices.json is damaged"):
        choose(config(), MODEL, CPU, recorded=path)


def delta_rule(wanted) -> RunConfig:
    return RunConfig.model_validate(
        {
            "model": {"arch": "brahma", "context": 8, "width": 16, "num_layers": 2, "num_heads": 2},
            "training": {"batch_tokens": 16},
            "precision": {"dtype": "fp32", "attention": "sdpa", "delta_rule": wanted},
        }
    )


def test_kernels_the_device_cannot_have_are_refused_and_auto_does_without(tmp_path):
    wanted = delta_rule("fla")
    with pytest.raises(
        DeviceError, match=r"delta_rule = 'fla', but .* CUDA devices, not on cpu.\nfix: set .*'plain'"
    ):
        choose(wanted, wanted.model, CPU, recorded=tmp_path / "choices.json")
    left = delta_rule("auto")
    assert choose(left, left.model, CPU, recorded=tmp_path / "choices.json").delta_rule == "plain"
