"""Computing activations again saves the memory the plan says it saves, and is refused where it cannot be."""

import json
from itertools import accumulate
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from hornbook.cli import run
from hornbook.errors import ConfigError
from hornbook.models.build import build_model
from hornbook.nn.losses import next_token_loss
from hornbook.nn.recompute import recompute_blocks
from hornbook.planning import Known, training_memory, training_rate
from hornbook.run import RunConfig, make_run

SETTINGS = [
    "model.arch=llama",
    "model.width=64",
    "model.num_layers=8",
    "model.num_heads=4",
    "model.context=256",
    "training.batch_tokens=1024",
    "model.vocab_size=64",
]


def config(*settings: str) -> RunConfig:
    return make_run("demo", [*SETTINGS, *settings], environment={})


def test_the_plan_says_less_memory_for_activations():
    kept = training_memory(config(), "fp32", "sdpa")
    again = training_memory(config("training.recompute_activations=true"), "fp32", "sdpa")
    assert again["activations"] < kept["activations"] / 4
    assert {part for part in kept if kept[part] != again[part]} == {"activations"}


def test_the_plan_says_a_third_more_time(tmp_path, monkeypatch, capsys):
    known = Known(matmul_flops=1e11, bandwidth=1e10)
    plain, again = (
        training_rate(config(*more), known)[0] for more in ((), ("training.recompute_activations=true",))
    )
    assert plain / again == pytest.approx(4 / 3)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert run(["plan", "demo", "training.recompute_activations=true"]) == 0
    assert "activations computed again)" in capsys.readouterr().out


def peak(settings: RunConfig, folder: Path) -> int:
    """Bytes that one forward and backward pass holds at its worst moment, as torch's allocator counts them."""
    model = build_model(settings.model, seed=0)
    if settings.training.recompute_activations:
        recompute_blocks(model)
    tokens = torch.zeros(settings.batch_rows, settings.model.context, dtype=torch.int64)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        next_token_loss(model(tokens), tokens)[0].backward()
    seen.export_chrome_trace(str(folder / "trace.json"))
    events = json.loads((folder / "trace.json").read_text())["traceEvents"]
    changes = sorted((event["ts"], event["args"]["Bytes"]) for event in events if event["name"] == "[memory]")
    return max(accumulate(size for _, size in changes))


def test_the_memory_saved_is_what_the_plan_says(tmp_path):
    both = [config(f"training.recompute_activations={value}") for value in ("false", "true")]
    kept, recomputed = (peak(one, tmp_path) for one in both)
    planned = [training_memory(one, "fp32", "sdpa")["activations"] for one in both]
    assert kept > 2.5 * recomputed
    # Planned sizes leave out one number a token and norm.
    assert kept - recomputed == pytest.approx(planned[0] - planned[1], rel=0.05)


def test_what_is_no_stack_of_blocks_is_refused():
    with pytest.raises(ConfigError, match="which Linear is not.\nfix: set training.recompute_activations = false"):
        recompute_blocks(nn.Linear(2, 2))
