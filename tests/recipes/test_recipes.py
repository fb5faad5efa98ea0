"""Every shipped recipe loads, is described, and trains two steps when it is made small."""

import json

import pytest

import hornbook
from hornbook.cli import run as run_command
from hornbook.config.recipes import demo_recipes, shipped_recipes
from hornbook.run import make_run

SMALL = [
    "model.width=32",
    "model.num_layers=1",
    "model.num_heads=2",
    "model.num_kv_heads=0",
    "model.embedding_width=32",
    "model.cnn_channels=[16]",
    "model.cnn_kernels=[3]",
    "model.num_group_layers=1",
    "model.context=64",
    "tokenizer.vocab_size=300",
    "training.steps=2",
    "training.batch_tokens=128",
    "training.micro_batch_rows=1",
    "training.device=cpu",
    "training.threads=1",
    "precision.dtype=fp32",
    "precision.attention=sdpa",
    "data.problems=200",
    "data.max_documents=40",
    "data.validation_fraction=0.2",
    "evaluation.max_tokens=1024",
    "sampling.every_steps=2",
    "sampling.max_tokens=4",
    "sampling.interim_max_tokens=4",
]
"""What makes any recipe small, as far as its kinds of model, tokenizer ... have it; the rest stays as shipped."""


def small(recipe):
    run = make_run(recipe, environment={})
    parts = [(setting, *setting.partition("=")[0].split(".")) for setting in SMALL]
    return [setting for setting, section, name in parts if name in type(getattr(run, section)).model_fields]


TEXT = "It was the best of times, it was the worst of times, it was the age of wisdom.\n" * 40
RECORDS = "".join(f'{{"question": "What is {n} + {n}?", "answer": "{2 * n}"}}\n' for n in range(200))
QUIZ = "".join(
    f'{{"qText": "What is {n} + {n}?", "answers": ["{2 * n}", "It is {2 * n}."]}}\n' for n in range(200)
)
CONTENT = {"questions": ("data.jsonl", RECORDS), "b-lm-qa": ("quiz.jsonl", QUIZ)}
SPOKEN = (
    '{{"conversations": [{{"from": "user", "value": "What is {0} + {0}?"}}, '
    '{{"from": "gpt", "value": "It is {1}."}}]}}\n'
)
PLACED = {
    "hub:openhermes": SPOKEN,
    "hub:openthoughts": SPOKEN.replace("It is", "<think>Twice {0}.</think>It is"),
    "hub:platypus": '{{"instruction": "Add {0} to {0}.", "input": "", "output": "It is {1}."}}\n',
}
"""A record of each set of the hub, as its files lie in hub/NAME."""


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
def test_a_recipe_says_in_its_first_line_what_it_is(name):
    first = shipped_recipes()[name].splitlines()[0]
    assert first.startswith("# ")
    assert len(first) < 125


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
def test_a_recipe_s_name_is_its_run_s_folder(name):
    assert make_run(name, environment={}).folder == f"runs/{name}"


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
def test_a_recipe_made_small_trains_two_steps(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    settings, paths = small(name), make_run(name, environment={}).paths
    for path in (path for path in paths if path.startswith("hub:")):
        folder = tmp_path / "hub" / path.removeprefix("hub:")
        folder.mkdir(parents=True)
        (folder / "rows.jsonl").write_text("".join(PLACED[path].format(n, 2 * n) for n in range(40)))
    if not paths:
        file, content = CONTENT.get(name, ("data.txt", TEXT))
        (tmp_path / file).write_text(content, encoding="utf-8")
        settings.append(f"data.path={file}")
    outcome = hornbook.train(name, settings)
    assert outcome.finished
    assert outcome.step == 2
    assert (tmp_path / "runs" / name / "model" / "model.safetensors").is_file()


@pytest.mark.parametrize("name", demo_recipes())
def test_a_small_version_needs_no_data_of_the_user_and_speaks(name):
    run = make_run(f"{name}+demo", environment={})
    paths = run.data.path if isinstance(run.data.path, tuple) else (run.data.path,)
    assert all(path.startswith("builtin:") for path in paths if path)
    assert run.folder == f"runs/{name}-demo"
    assert run.sampling.every_steps > 0
    assert run.sampling.prompts


@pytest.mark.parametrize("name", demo_recipes())
def test_a_small_version_made_smaller_trains_two_steps(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert hornbook.train(f"{name}+demo", small(f"{name}+demo")).step == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", demo_recipes())
def test_a_small_version_goes_from_data_to_text(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run_command(["demo", "--recipe", name, "training.threads=1"]) == 0
    printed = capsys.readouterr().out
    events = [
        json.loads(line) for line in (tmp_path / "runs" / f"{name}-demo" / "events.jsonl").read_text().splitlines()
    ]
    guessing = next(event["loss"] for event in events if event["kind"] == "step")
    losses = [event["loss"] for event in events if event["kind"] == "validation"]
    samples = [event["text"] for event in events if event["kind"] == "sample"]
    assert losses[-1] < 0.6 * guessing
    assert losses[-1] < losses[0]
    assert any(sample.strip() for sample in samples[-3:])
    assert f"runs/{name}-demo" in printed
