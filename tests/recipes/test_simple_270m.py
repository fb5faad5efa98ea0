"""Simple, Clean Training: its numbers are the original's, and what was wrong in it is not wrong here."""

import json
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

import hornbook
from hornbook.cli import run as run_command
from hornbook.config.recipes import read_recipe
from hornbook.data.prepare import find_prepared, prepare
from hornbook.models.build import build_model
from hornbook.run import make_run
from hornbook.runlog.events import Progress, Validation
from hornbook.runlog.reader import read_events
from hornbook.training.schedules import rate_share

RECIPE = make_run("simple-270m", environment={})
SMALL = ["model.width=32", "model.num_layers=1", "model.num_heads=2", "model.num_kv_heads=1", "model.context=64"]
SMALL += [
    "tokenizer.vocab_size=400",
    "training.batch_tokens=256",
    "training.micro_batch_rows=2",
    "training.steps=4",
]
SMALL += [
    "schedule.warmup_steps=1",
    "evaluation.every_steps=2",
    "evaluation.max_tokens=1024",
    "logging.every_steps=2",
]
SMALL += ["sampling.every_steps=0", "training.threads=1", "data.workers=1", "data.path=web"]
SMALL += ["precision.dtype=fp32", "precision.attention=sdpa"]


@pytest.fixture
def web(tmp_path, monkeypatch):
    """A folder of parquet, documents of 3 to 4,000 words and nothing between them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "cache"))
    lengths = [3, 4000, *range(20, 160, 2)]
    texts = [
        f"Document {n} says: " + "one of the cats sat. " * (length // 5 + 1) for n, length in enumerate(lengths)
    ]
    (tmp_path / "web").mkdir()
    for part in range(2):
        table = pyarrow.table({"text": texts[part::2], "url": ["local"] * len(texts[part::2])})
        pyarrow.parquet.write_table(table, tmp_path / "web" / f"train-0000{part}.parquet")
    return texts


def documents(split, tokenizer):
    """The documents of one side: their text and their last token."""
    starts = split.documents.tolist()
    for start, stop in pairwise(starts):
        ids = split.tokens(start, stop).tolist()
        yield tokenizer.decode(ids[:-1]), ids[-1]


def test_the_layout_has_exactly_the_original_s_parameters():
    model = RECIPE.model.with_vocabulary(50_257)
    assert model.num_parameters() == 317_327_360
    assert model.num_parameters() - model.parameters()["embedding"] == 265_864_192
    assert (model.inner_width, model.inner_width % 64) == (2_752, 0)


def test_with_gpt2_s_vocabulary_and_the_specials_it_has_a_little_more():
    assert RECIPE.model.with_vocabulary(50_257 + 12).num_parameters() == 317_339_648


@pytest.mark.slow
def test_the_model_that_is_built_has_them_too():
    model = build_model(RECIPE.model.with_vocabulary(50_257), seed=0)
    assert sum(parameter.numel() for parameter in model.parameters()) == 317_327_360


def test_a_step_is_that_of_the_original():
    assert (RECIPE.micro_batch_rows, RECIPE.batch_rows) == (4, 4 * 32)
    assert RECIPE.training.steps * RECIPE.training.batch_tokens == 26_214_400_000
    assert RECIPE.optimizer.betas == (0.9, 0.98) and RECIPE.optimizer.weight_decay == 0.1
    assert (RECIPE.evaluation.every_steps, RECIPE.evaluation.max_tokens) == (500, 200 * 4 * 2_048)


def test_the_rate_rises_to_3e_4_and_ends_at_3e_5():
    lr, steps = RECIPE.optimizer.lr, RECIPE.training.steps
    assert lr * rate_share(RECIPE.schedule, 2_000, steps) == pytest.approx(3e-4)
    assert lr * rate_share(RECIPE.schedule, steps - 1, steps) == pytest.approx(3e-5, rel=1e-3)


def test_its_claims_are_checked_by_arithmetic():
    truths = " ".join(claim.truth for claim in read_recipe("simple-270m").claims)
    tokens = RECIPE.training.steps * RECIPE.training.batch_tokens
    hours = [round(tokens / rate / 3600) for rate in (60_000, 40_000)]
    assert f"{hours[0]} to {hours[1]} hours" in truths
    assert f"{16 * 317_327_360 / 1e9:.1f} GB" in truths  # weights, gradients and two moments, 4 bytes each
    assert f"{4 * 4 * 2_048 * 50_257 / 1e9:.1f} GB" in truths
    assert "317,327,360" in truths and "265,864,192" in truths


def test_no_document_is_cut_or_glued_to_the_next(web):
    prepared = prepare(make_run("simple-270m", SMALL), report=lambda line: None)
    found = [
        one for split in (prepared.train, prepared.validation) for one in documents(split, prepared.tokenizer)
    ]
    assert sorted(text for text, _ in found) == sorted(web)
    assert {last for _, last in found} == {prepared.tokenizer.eos_id}
    longest = max(int(np.diff(split.documents).max()) for split in (prepared.train, prepared.validation))
    assert longest > RECIPE.model.context, "where the original cut"


def test_validation_is_of_whole_documents_that_are_not_trained_on(web):
    prepared = prepare(make_run("simple-270m", SMALL), report=lambda line: None)
    train, validation = (
        {text for text, _ in documents(split, prepared.tokenizer)}
        for split in (prepared.train, prepared.validation)
    )
    assert train | validation == set(web) and not train & validation and validation


def test_one_command_makes_shards_whose_metadata_is_true(web, capsys):
    assert run_command(["prepare", "simple-270m", *SMALL]) == 0
    assert "bpe tokenizer of" in capsys.readouterr().out
    prepared = find_prepared(make_run("simple-270m", SMALL))
    manifest = json.loads((prepared.folder / "manifest.json").read_text())
    for name, split in (("train", prepared.train), ("validation", prepared.validation)):
        assert sum(entry["tokens"] for entry in manifest["splits"][name]) == split.num_tokens
    assert prepared.train.num_tokens != prepared.validation.num_tokens
    assert manifest["dtype"] == "uint16" and manifest["tokenizer"]["hash"] == prepared.tokenizer.hash
    assert prepared.damaged() == []
    tokens = next(prepared.folder.glob("train/*.tokens.bin"))
    assert np.fromfile(tokens, "<u2").size == prepared.train.num_tokens


def test_training_tells_tokens_a_second_and_utilisation_and_judges_on_the_same_rows(web):
    said: list[str] = []
    hornbook.train("simple-270m", SMALL, say=said.append)
    events = read_events(Path("runs/simple-270m/events.jsonl"))
    speeds = [event for event in events if isinstance(event, Progress)]
    assert len(speeds) == 2
    assert all(event.tokens_per_second > 0 and 0 < event.utilisation < 1.5 for event in speeds)
    assert sum(bool(re.search(r"tokens/s  [\d.]+ % of peak", line)) for line in said) == 2
    judged = [event.targets for event in events if isinstance(event, Validation)]
    assert len(judged) == 2 and judged[0] == judged[1]


@pytest.mark.slow
@pytest.mark.shared
def test_gpt2_s_own_vocabulary_reads_real_parquet_without_loss(shared_data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    gpt2 = ["tokenizer.kind=external", f"tokenizer.path={shared_data / 'tokenizers' / 'gpt2'}"]
    settings = [f"data.path={shared_data / 'parquet' / 'books'}", "data.max_documents=60", "data.workers=1", *gpt2]
    prepared = prepare(make_run("simple-270m", settings), report=lambda line: None)
    assert prepared.tokenizer.vocab_size == 50_257 + 12
    texts = [
        one for split in (prepared.train, prepared.validation) for one in documents(split, prepared.tokenizer)
    ]
    assert len(texts) == 60 and {last for _, last in texts} == {prepared.tokenizer.eos_id}
    columns = pyarrow.parquet.read_table(shared_data / "parquet" / "books", columns=["text"])["text"].to_pylist()
    assert sorted(text for text, _ in texts) == sorted(columns[:60])
    longest = max(int(np.diff(split.documents).max()) for split in (prepared.train, prepared.validation))
    assert longest > 2_048, "where the original cut"


@pytest.mark.slow
@pytest.mark.shared
def test_its_shrunk_twin_learns_from_real_parquet(shared_data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = [f"data.path={shared_data / 'parquet' / 'books'}", "training.steps=240", "training.threads=1"]
    outcome = hornbook.train(
        "simple-270m+demo", [*settings, "evaluation.every_steps=80", "sampling.every_steps=0"]
    )
    events = read_events(outcome.folder / "events.jsonl")
    first, _, last = [event for event in events if isinstance(event, Validation)]
    assert outcome.finished and first.loss - last.loss > 0.5, "nats a token, from step 80 to step 240"
    assert last.loss < 5.5
