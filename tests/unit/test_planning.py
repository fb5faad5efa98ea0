"""The arithmetic of a plan."""

import pytest

from hornbook.planning import (
    CHUNK_ROWS,
    Known,
    disk,
    logits_bytes,
    make_plan,
    optimizer_bytes,
    training_memory,
    training_rate,
    vocabulary,
)
from hornbook.run import make_run


def config(recipe="demo", *settings, vocab_size=512):
    made = make_run(recipe, settings, environment={})
    return made.model_copy(update={"model": made.model.with_vocabulary(vocab_size)})


def bare(recipe="demo", *settings):
    return make_run(recipe, settings, environment={})


@pytest.mark.parametrize(
    ("settings", "prepared", "expected"),
    [
        (["tokenizer.kind=bytes"], None, (268, True)),
        (["tokenizer.kind=bpe", "tokenizer.vocab_size=700"], None, (700, True)),
        (["tokenizer.kind=superbpe", "tokenizer.vocab_size=700"], None, (700, True)),
        (["tokenizer.kind=chars"], None, (2048, False)),
        (["tokenizer.kind=chars"], 300, (300, True)),
        (["tokenizer.kind=external", "tokenizer.path=x"], None, (0, False)),
        (["model.vocab_size=1000"], 300, (1000, True)),
    ],
)
def test_the_vocabulary_is_exact_or_said_to_be_the_most(settings, prepared, expected):
    assert vocabulary(bare("demo", *settings), prepared) == expected


@pytest.mark.parametrize(
    ("settings", "note"),
    [
        (["model.vocab_size=1000"], "set by model.vocab_size"),
        (["tokenizer.kind=bytes"], "of a bytes tokenizer"),
        (["tokenizer.kind=words"], "at most; the words in the data decide (hornbook prepare)"),
        (["tokenizer.kind=external", "tokenizer.path=x"], "unknown before hornbook prepare"),
    ],
)
def test_a_plan_says_where_the_vocabulary_comes_from(settings, note):
    assert make_plan(bare("demo", *settings), Known()).vocab_note.startswith(note)


def test_adamw_keeps_two_moments_and_muon_one_of_each_matrix():
    run = config()
    parts = run.model.parameters()
    matrices = parts["attention"] + parts["feed-forward"]
    assert optimizer_bytes(run) == 4 * (2 * sum(parts.values()) - matrices)
    assert optimizer_bytes(config("demo", "optimizer.name=adamw")) == 8 * sum(parts.values())


def test_smaller_micro_batches_need_less_memory_for_activations_alone():
    whole = training_memory(config(), "fp32", "sdpa")
    quarter = training_memory(config("demo", "training.micro_batch_rows=8"), "fp32", "sdpa")
    assert whole["activations"] == 4 * quarter["activations"]
    assert whole["optimizer"] == quarter["optimizer"]


def test_short_formats_keep_a_copy_of_the_weights_and_smaller_activations():
    full, short = (training_memory(config(), dtype, "sdpa") for dtype in ("fp32", "bf16"))
    assert full["weights in the compute format"] == 0
    assert short["weights in the compute format"] == 2 * config().model.matmul_parameters()
    assert short["activations"] < full["activations"]


def test_attention_by_matmul_keeps_its_weights():
    run = config()
    extra = (
        training_memory(run, "fp32", "matmul")["activations"] - training_memory(run, "fp32", "sdpa")["activations"]
    )
    assert extra == 4 * run.model.num_layers * run.model.num_heads * run.model.context * run.training.batch_tokens


def test_large_vocabularies_never_have_all_their_logits():
    assert logits_bytes(20_000, 10**6, 2) == 20_000 * CHUNK_ROWS * 10
    assert logits_bytes(500, 1000, 2) == 500 * 1000 * 12


def test_disk_counts_what_is_kept_and_what_is_being_written():
    run = config("demo", "checkpoint.keep_last=3")
    parts = disk(run)
    assert parts["checkpoints"] == 4 * parts["checkpoint being written"]
    assert parts["model"] == 4 * run.model.num_parameters()


def test_the_rate_the_run_measured_itself_wins():
    assert training_rate(config(), Known(tokens_per_second=7.0, matmul_flops=1e12)) == (
        7.0,
        "measured by this run",
    )


def test_slow_memory_lowers_the_rate():
    fast, _ = training_rate(config(), Known(matmul_flops=1e12))
    slow, _ = training_rate(config(), Known(matmul_flops=1e12, bandwidth=1e9))
    assert slow < fast


@pytest.mark.parametrize(
    ("settings", "vocab_size", "measured"),
    [
        (["model.width=128", "model.num_layers=4", "model.num_heads=4", "model.context=128"], 256, 16_100),
        (["model.width=384", "model.num_layers=6", "model.num_heads=6", "model.context=256"], 256, 2_058),
        (["model.width=768", "model.num_layers=12", "model.num_heads=12", "model.context=1024"], 32_000, 208),
    ],
)
def test_the_estimate_meets_what_was_measured_on_one_core(settings, vocab_size, measured):
    plain = ["model.activation=swiglu", "model.qk_norm=false", "training.batch_tokens=1024"]
    run = config("demo", *plain, *settings, vocab_size=vocab_size)
    rate, _ = training_rate(run, Known(matmul_flops=220e9, bandwidth=10e9))
    assert rate == pytest.approx(measured, rel=0.15)


def test_a_plan_counts_tokens_epochs_and_time():
    plan = make_plan(config(), Known(train_tokens=1_000_000, tokens_per_second=1000.0))
    assert plan.tokens == config().training.steps * config().training.batch_tokens
    assert plan.epochs == plan.tokens / 1_000_000
    assert plan.seconds == plan.tokens / 1000


def test_json_has_the_totals():
    content = make_plan(config(), Known()).as_dict()
    assert content["num_parameters"] == sum(content["parameters"].values())
    assert content["hours"] == pytest.approx(content["seconds"] / 3600)


PHASES = (
    "curriculum.phases=[{path='a', epochs=2, lr=1e-2}, {path='b', batch_rows=64}, {path='combined', batch_rows=8}]"
)


def test_phases_are_planned_from_the_tokens_of_their_sets():
    run = config("text", PHASES, "model.context=128", "training.batch_tokens=4096")
    plan = make_plan(run, Known(set_tokens=(128 * 100, 128 * 65 + 1)))
    assert [(one.name, one.rows, one.batch_rows, one.steps, one.lr) for one in plan.phases] == [
        ("a", 100, 32, 7, 1e-2),
        ("b", 66, 64, 2, run.optimizer.lr),
        ("combined", 166, 8, 21, run.optimizer.lr),
    ]
    assert plan.tokens == 128 * (7 * 32 + 2 * 64 + 21 * 8)


def test_a_limit_of_the_steps_cuts_the_phases_planned_last():
    run = config("text", PHASES, "model.context=128", "training.batch_tokens=4096", "training.steps=8")
    plan = make_plan(run, Known(set_tokens=(128 * 100, 128 * 65 + 1)))
    assert plan.tokens == 128 * (7 * 32 + 1 * 64)


def test_phases_of_unknown_data_have_no_steps():
    plan = make_plan(config("text", PHASES), Known())
    assert [(one.rows, one.steps) for one in plan.phases] == [(None, None)] * 3
    assert plan.tokens == 0


def test_the_largest_batch_of_all_phases_needs_the_memory():
    small, large = (
        training_memory(config("text", PHASES.replace("64", rows), "model.context=128"), "fp32", "sdpa")
        for rows in ("64", "128")
    )
    assert large["activations"] == 2 * small["activations"]


def test_the_smallest_card_that_holds_training_is_named():
    plan = make_plan(config("water"), Known(dtype="fp16"))
    assert plan.card_gb == 4
    assert plan.as_dict()["card_gb"] == 4
    huge = make_plan(config("text", "model.width=8192", "model.num_layers=64", "model.num_heads=64"), Known())
    assert huge.card_gb is None
