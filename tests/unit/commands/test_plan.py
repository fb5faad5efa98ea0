"""A plan tells what a run will take, from what is known."""

import json
import os

import pytest

import hornbook
from hornbook.cli import run as run_command
from hornbook.config.recipes import shipped_recipes
from hornbook.models.build import build_model
from hornbook.run import make_run


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """A folder without runs, data or measurements."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def measured(folder, question, choice, milliseconds, device="cpu Some Processor"):
    """Write a measurement as hornbook.device does."""
    place = folder / "cache" / "hornbook" / "measured"
    place.mkdir(parents=True, exist_ok=True)
    key = {"question": question, "device": device, "capability": "AVX2", "threads": 1, "torch": "2"}
    answer = {"key": key, "choice": choice, "milliseconds": {choice: milliseconds}}
    (place / f"{len(list(place.iterdir()))}.json").write_text(json.dumps(answer), encoding="utf-8")


@pytest.mark.parametrize("recipe", ["demo", "text", "python", "questions"])
def test_planned_parameters_are_those_of_the_built_model(nowhere, recipe):
    plan = hornbook.plan(recipe)
    config = make_run(recipe, environment={}).model.with_vocabulary(plan.vocab_size)
    assert plan.num_parameters == sum(parameter.numel() for parameter in build_model(config, seed=0).parameters())


@pytest.mark.parametrize("recipe", sorted(shipped_recipes()))
def test_every_recipe_can_be_planned(nowhere, capsys, recipe):
    assert run_command(["plan", recipe, "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["num_parameters"] > 0
    assert plan["hours"] > 0
    assert plan["training_memory_bytes"] == sum(plan["training_memory"].values())


def test_an_unmeasured_rate_says_that_it_is_stated(nowhere):
    assert hornbook.plan("demo").rate_note.startswith("stated, not measured")


def test_a_measured_machine_gives_the_rate(nowhere):
    measured(nowhere, "peak side=1024 dtype=torch.float32", "matmul", 20.0)
    plan = hornbook.plan("demo", ["precision.dtype=fp32"])
    assert plan.rate_note == "estimated from the 107 GFLOP/s measured on this machine"


def test_the_format_and_attention_measured_here_are_planned_with(nowhere):
    measured(nowhere, "precision rows=4096 width=128 inner_width=512", "bf16", 1.0)
    dtype = "torch.bfloat16"
    measured(nowhere, f"attention rows=32 heads=4 tokens=256 head_width=32 dtype={dtype}", "sdpa", 1.0)
    plan = hornbook.plan(
        "demo", ["training.batch_tokens=8192", "model.context=256", "model.width=128", "model.num_heads=4"]
    )
    assert (plan.dtype, plan.attention) == ("bf16", "sdpa")


def test_a_finished_run_gives_its_own_rate_and_data(run, tiny):
    plan = hornbook.plan("demo", tiny)
    assert plan.rate_note == "measured by this run"
    assert plan.train_tokens > 1_000
    assert plan.epochs == pytest.approx(plan.tokens / plan.train_tokens)
    assert "of a bytes tokenizer" in plan.vocab_note or plan.vocab_note == "of the prepared data"


def test_a_run_of_another_shape_gives_no_rate(run, tiny):
    assert hornbook.plan("demo", [*tiny, "model.width=64"]).rate_note != "measured by this run"


def test_data_prepared_with_other_settings_is_not_counted(run, tiny):
    assert hornbook.plan("demo", [*tiny, "data.problems=301"]).train_tokens is None
    assert hornbook.plan("demo", [*tiny, "data.system='Be brief.'"]).train_tokens is None
    assert hornbook.plan("demo", [*tiny, "tokenizer.kind=bpe"]).train_tokens is None


def test_a_damaged_description_of_data_is_not_counted(nowhere):
    (nowhere / "prepared" / "demo-abc").mkdir(parents=True)
    (nowhere / "prepared" / "demo-abc" / "manifest.json").write_text("{", encoding="utf-8")
    assert hornbook.plan("demo").train_tokens is None


def test_a_damaged_run_is_not_asked_for_its_rate(nowhere):
    (nowhere / "runs" / "demo").mkdir(parents=True)
    (nowhere / "runs" / "demo" / "config.json").write_text("{", encoding="utf-8")
    assert "measured by this run" not in hornbook.plan("demo").rate_note


def test_the_command_tells_every_part(nowhere, capsys):
    assert run_command(["plan", "demo"]) == 0
    text = capsys.readouterr().out
    for word in (
        "parameters",
        "attention",
        "memory, training",
        "activations",
        "memory, talking",
        "disk",
        "tokens",
    ):
        assert word in text


def test_planning_writes_nothing(nowhere):
    hornbook.plan("demo")
    assert os.listdir(nowhere) == []


def test_what_was_claimed_of_a_recipe_is_printed_beside_the_truth(nowhere, capsys):
    (nowhere / "mine.toml").write_text(
        '[[claims]]\nclaim = "~1M parameters"\noriginal = "README"\ntruth = "2,345,678"\n', encoding="utf-8"
    )
    assert run_command(["plan", "mine.toml"]) == 0
    printed = capsys.readouterr().out
    assert "what the original said of it, checked" in printed
    row = next(line for line in printed.splitlines() if "~1M parameters" in line)
    assert row.index("~1M parameters") < row.index("README") < row.index("2,345,678")
    assert run_command(["plan", "mine.toml", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["claims"] == [
        {"claim": "~1M parameters", "original": "README", "truth": "2,345,678"}
    ]


def test_a_curriculum_is_planned_before_its_data_is_prepared(nowhere, capsys):
    assert run_command(["plan", "water"]) == 0
    text = capsys.readouterr().out
    assert "training fits in 4 GB" in text
    assert "phases (estimated at 2 bytes of text a token; hornbook prepare counts)" in text
    for name in ("maths", "logic", "instructions", "dialogue", "code", "combined"):
        assert f" {name} " in text


def test_files_are_weighed_and_packed_ones_are_not_guessed_at(nowhere, capsys):
    (nowhere / "a.txt").write_text("x" * 400_000)
    (nowhere / "plan.txt").write_text("a.txt | 2 | 1e-3 | 8\n")
    settings = [
        "tokenizer.kind=bytes",
        "model.context=100",
        "training.batch_tokens=100",
        "data.validation_fraction=0",
    ]
    (phase,) = hornbook.plan("text", ["curriculum.plan=plan.txt", *settings]).phases
    assert (phase.rows, phase.steps, phase.lr) == (4_000, 1_000, 1e-3)
    (nowhere / "a.txt").rename(nowhere / "a.txt.gz")
    (nowhere / "plan.txt").write_text("a.txt.gz | 2\n")
    assert run_command(["plan", "text", "curriculum.plan=plan.txt"]) == 0
    assert "phases (the steps follow from the data: hornbook prepare)" in capsys.readouterr().out


def test_prepared_sets_of_a_curriculum_are_counted(nowhere):
    settings = [
        "curriculum.phases=[{path='builtin:maths'}, {path='combined'}]",
        "data.problems=300",
        "data.workers=1",
    ]
    estimated = hornbook.plan("text", settings)
    hornbook.prepare("text", settings)
    counted = hornbook.plan("text", settings)
    assert estimated.phases_note and not counted.phases_note
    assert counted.train_tokens and counted.phases[0].rows == counted.phases[1].rows > 0
