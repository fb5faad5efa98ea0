"""Forge-1's recipes: the original's numbers, exactly; and lens shows what of a conversation is learnt."""

import json
import tomllib

import pytest
import torch

import hornbook
from hornbook.cli import run as run_command
from hornbook.config.recipes import shipped_recipes
from hornbook.config.tokenizers import ExternalTokenizerConfig
from hornbook.data.hub import HUB, PREFIX
from hornbook.models.build import MODELS, count_parameters
from hornbook.models.llama.config import SIZES
from hornbook.run import make_run
from hornbook.text.tokenizer import SPECIALS
from hornbook.text.tokenizer_kinds import build_tokenizer

GPT2_TOKENS = 50_257
PADDED = 50_304
COUNTS = {"nano": 114_150_144, "mini": 322_094_080}


@pytest.mark.parametrize("size", COUNTS)
def test_the_true_counts_hold_for_the_padded_vocabulary(size):
    assert -(-(GPT2_TOKENS + len(SPECIALS)) // 64) * 64 == PADDED
    assert SIZES[size].vocab_size == PADDED
    assert SIZES[size].num_parameters() == COUNTS[size]


@pytest.mark.parametrize("size", COUNTS)
def test_without_padding_it_is_35_rows_less(size):
    exact = SIZES[size].with_vocabulary(GPT2_TOKENS + len(SPECIALS))
    assert COUNTS[size] - exact.num_parameters() == 35 * SIZES[size].width


@pytest.mark.slow
@pytest.mark.parametrize("size", COUNTS)
def test_the_built_model_has_as_many(size):
    with torch.device("meta"):
        model = MODELS["llama"](SIZES[size], generator=None)
    assert count_parameters(model) == COUNTS[size]


@pytest.mark.parametrize("size", COUNTS)
def test_a_recipe_holds_the_size_of_its_name(size):
    run = make_run(f"forge-{size}", environment={})
    assert run.model.with_vocabulary(run.tokenizer.vocab_size) == SIZES[size]
    assert [one.path.removeprefix(PREFIX) in HUB for one in run.data.sources] == [True] * 3
    assert (run.data.template, run.data.learn) == ("forge1", "answers")
    assert (run.schedule.warmup_fraction, run.schedule.final_fraction) == (0.02, 0.0)
    assert run.training.recompute_activations


def test_the_batches_are_the_original_s():
    nano, mini = (make_run(f"forge-{size}", environment={}) for size in COUNTS)
    assert (nano.micro_batch_rows, nano.batch_rows) == (2, 2 * 8)
    assert (mini.micro_batch_rows, mini.batch_rows) == (8, 8 * 4)


@pytest.mark.parametrize("size", COUNTS)
def test_every_claim_says_where_it_stands_and_what_is_true(size):
    claims = tomllib.loads(shipped_recipes()[f"forge-{size}"])["claims"]
    assert all(len(one["truth"]) > 20 and "." in one["original"] for one in claims)
    assert f"{COUNTS[size]:,}" in claims[0]["truth"]


@pytest.mark.shared
def test_gpt2_s_own_vocabulary_is_taken_without_padding(shared_data):
    config = ExternalTokenizerConfig(path=str(shared_data / "tokenizers" / "gpt2"))
    assert build_tokenizer(config, ()).vocab_size == GPT2_TOKENS + len(SPECIALS)


# What is learnt.

SMALL = [
    "model.width=36",
    "model.num_layers=1",
    "tokenizer.vocab_size=300",
    "training.steps=2",
    "training.batch_tokens=1024",
    "training.micro_batch_rows=none",
    "training.device=cpu",
    "precision.dtype=fp32",
    "precision.attention=sdpa",
    "data.problems=300",
    "evaluation.max_tokens=1024",
    "sampling.every_steps=0",
]


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    """The small version of forge-nano, two steps of it."""
    folder = tmp_path_factory.mktemp("forge")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        assert hornbook.train("forge-nano+demo", SMALL).step == 2
    return folder


def parts(tokens):
    """Yield the pieces of a row from one special token to the next: its name, its text and what of it is learnt."""
    name, text, learnt = "", "", []
    for token in tokens:
        if token["text"] in SPECIALS or token["boundary"]:
            if name:
                yield name, text, learnt
            name, text, learnt = token["text"], "", [token["learnt"]]
            continue
        text += token["text"]
        learnt.append(token["learnt"])


def test_exactly_the_thinking_the_answers_and_the_stops_are_learnt(twin, monkeypatch, capsys):
    monkeypatch.chdir(twin)
    assert run_command(["lens", "runs/forge-nano-demo", "--step", "0", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    seen = {}
    for row in rows:
        for name, _, learnt in parts(row["tokens"]):
            seen.setdefault(name, set()).update(learnt)
    given = {"<|bos|>", "<|user|>", "<|/user|>", "<|system|>", "<|/system|>"}
    written = {"<|think|>", "<|/think|>", "<|no_think|>", "<|assistant|>", "<|/assistant|>", "<|eos|>"}
    assert written <= seen.keys() | {"<|no_think|>"}
    assert {name: seen[name] for name in seen.keys() & given} == {name: {False} for name in seen.keys() & given}
    assert {name: seen[name] for name in seen.keys() & written} == {name: {True} for name in seen.keys() & written}


def test_people_see_it_as_lines_of_read_and_learn(twin, monkeypatch, capsys):
    monkeypatch.chdir(twin)
    assert run_command(["lens", "runs/forge-nano-demo", "--step", "0", "--rows", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    learnt = [line.partition("| ")[2] for line in lines if line.startswith("learn")]
    read = [line.partition("| ")[2] for line in lines if line.startswith("read")]
    assert any(line.startswith("<|think|>↵") and line.endswith("<|/assistant|>↵<|eos|>") for line in learnt)
    assert all("<|user|>" not in line for line in learnt)
    assert all("<|assistant|>" not in line and "<|eos|>" not in line for line in read)
