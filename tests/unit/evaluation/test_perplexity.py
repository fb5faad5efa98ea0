"""Loss, perplexity, bits per byte, accuracy, and the ledger of bytes."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from hornbook.config.sections import DataConfig
from hornbook.config.tokenizers import BytesTokenizerConfig
from hornbook.data.batch import Batch
from hornbook.data.sources import Document, open_source
from hornbook.errors import DataError, ProofError
from hornbook.evaluation import perplexity
from hornbook.evaluation.perplexity import Measured, check_ledger, score, score_documents
from hornbook.models.build import build_model
from hornbook.models.gpt.config import GPTConfig
from hornbook.models.llama.config import LlamaConfig
from hornbook.nn.losses import IGNORE
from hornbook.storage.artifact import Artifact
from hornbook.text.conversation import exchange
from hornbook.text.tokenizer_kinds import build_tokenizer

TOKENIZER = build_tokenizer(BytesTokenizerConfig(), [])
CONTEXT = 24
TEXTS = [
    "Grüße aus der Küche, 世界.",
    "short",
    "A longer text that takes more than one window of the model. " * 3,
    "x",
]

ROUNDING = 1e-6
"""Relative: float32 products summed in another order, over a few hundred tokens."""


def artifact(template: str = "text") -> Artifact:
    config = LlamaConfig(vocab_size=TOKENIZER.vocab_size, width=32, num_layers=2, num_heads=2, context=CONTEXT)
    model = build_model(config, seed=0)
    with torch.no_grad():
        model.head_weight().mul_(10)  # an untrained model is indifferent, and would hide mistakes
    return Artifact(model.eval(), TOKENIZER, template, {}, Path("nowhere"))


def documents(*contents) -> list[Document]:
    return [Document(content, f"test, document {number}") for number, content in enumerate(contents, 1)]


def random_batch(rows: int, *, ignored: float = 0.3) -> Batch:
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(0, 268, (rows, CONTEXT), generator=generator)
    targets = torch.randint(0, 268, (rows, CONTEXT), generator=generator)
    targets[torch.rand(rows, CONTEXT, generator=generator) < ignored] = IGNORE
    return Batch(tokens, targets, None, tuple(range(rows)))


@torch.no_grad()
def plainly(model, batch: Batch) -> Measured:
    """The same figures, one position at a time in plain Python."""
    nats, targets, right, size = 0.0, 0, 0, 0
    logs = model(batch.tokens).double().log_softmax(-1)
    for row, position in (batch.targets != IGNORE).nonzero().tolist():
        target = int(batch.targets[row, position])
        nats -= float(logs[row, position, target])
        targets += 1
        right += int(logs[row, position].argmax()) == target
        size += len(TOKENIZER.token_bytes()[target])
    return Measured(nats, targets, right, size)


def test_the_sums_are_those_of_a_loop_over_positions():
    model, batch = artifact().model, random_batch(6)
    measured, expected = score(model, [batch], token_bytes=TOKENIZER.token_bytes()), plainly(model, batch)
    assert (measured.targets, measured.right, measured.bytes) == (expected.targets, expected.right, expected.bytes)
    assert measured.nats == pytest.approx(expected.nats, rel=ROUNDING)


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 12])
def test_bits_per_byte_are_equal_for_any_micro_batch_size(rows):
    model, batch = artifact().model, random_batch(12)
    whole = score(model, [batch], token_bytes=TOKENIZER.token_bytes())
    cut = score(model, batch.micro_batches(rows), token_bytes=TOKENIZER.token_bytes())
    assert (cut.targets, cut.right, cut.bytes) == (whole.targets, whole.right, whole.bytes)
    assert cut.bits_per_byte == pytest.approx(whole.bits_per_byte, rel=ROUNDING)


def test_how_many_logits_exist_at_once_changes_nothing(monkeypatch):
    model, batch = artifact().model, random_batch(4)
    whole = score(model, [batch], token_bytes=TOKENIZER.token_bytes())
    monkeypatch.setattr(perplexity, "CHUNK", 7)
    assert score(model, [batch], token_bytes=TOKENIZER.token_bytes()).nats == pytest.approx(
        whole.nats, rel=ROUNDING
    )


def test_the_figures_follow_from_the_sums():
    measured = Measured(nats=8 * math.log(2), targets=4, right=3, bytes=16)
    assert measured.loss == pytest.approx(2 * math.log(2))
    assert measured.perplexity == pytest.approx(4)
    assert measured.bits_per_byte == pytest.approx(0.5)
    assert measured.accuracy == 0.75


def test_an_indifferent_model_needs_log2_of_the_vocabulary_a_byte():
    model = artifact().model
    with torch.no_grad():
        model.head_weight().zero_()
    batch = random_batch(4)
    batch.targets[batch.targets > 255] = 0
    assert score(model, [batch], token_bytes=TOKENIZER.token_bytes()).bits_per_byte == pytest.approx(
        math.log2(268)
    )


def test_a_hopeless_loss_has_infinite_perplexity_and_no_error():
    assert Measured(1e6, 1, 0, 1).perplexity == math.inf
    assert math.isnan(Measured(math.nan, 1, 0, 1).perplexity)


def test_special_tokens_alone_have_no_bits_per_byte():
    assert math.isnan(Measured(3.0, 1, 0, 0).bits_per_byte)


def test_isolated_documents_do_not_see_each_other():
    model, batch = artifact().model, random_batch(1, ignored=0.0)
    numbers = torch.tensor([[0] * 10 + [1] * 14], dtype=torch.int32)
    together = score(
        model, [Batch(batch.tokens, batch.targets, numbers, (0,))], token_bytes=TOKENIZER.token_bytes()
    )
    parts = [Batch(batch.tokens[:, p], batch.targets[:, p], None, (0,)) for p in (slice(0, 10), slice(10, 24))]
    apart = score(model, parts, token_bytes=TOKENIZER.token_bytes())
    assert together.nats == pytest.approx(apart.nats, rel=ROUNDING)


def test_dropout_is_off_while_scoring_and_back_afterwards():
    config = GPTConfig(vocab_size=268, width=32, num_layers=1, num_heads=2, context=CONTEXT, dropout=0.5)
    model, batch = build_model(config, seed=0).train(), random_batch(3)
    first = score(model, [batch], token_bytes=TOKENIZER.token_bytes())
    assert model.training
    assert score(model, [batch], token_bytes=TOKENIZER.token_bytes()) == first


def test_scoring_runs_in_the_format_it_is_given():
    model, batch = artifact().model, random_batch(6)
    exact = score(model, [batch], token_bytes=TOKENIZER.token_bytes())
    rounded = score(
        model,
        [batch],
        token_bytes=TOKENIZER.token_bytes(),
        autocast=lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    )
    assert rounded.nats != exact.nats
    assert rounded.loss == pytest.approx(exact.loss, rel=0.02)  # bfloat16 keeps 8 bits


def test_text_in_which_nothing_counts_is_an_error():
    with pytest.raises(DataError, match="Not one token of this text counts"):
        score(artifact().model, [random_batch(2, ignored=1.1)], token_bytes=TOKENIZER.token_bytes())
    with pytest.raises(DataError, match="give more text|Not one token"):
        score_documents(artifact(), [])


@pytest.mark.parametrize("rows", [1, 2, 3, 16])
def test_every_byte_of_a_text_is_counted_once(rows):
    measured = score_documents(artifact(), documents(*TEXTS), rows=rows)
    assert measured.bytes == sum(len(text.encode()) for text in TEXTS)
    assert measured.targets == measured.bytes + len(TEXTS)  # each text ends with its stop token
    assert measured.nats == pytest.approx(score_documents(artifact(), documents(*TEXTS)).nats, rel=ROUNDING)


def test_documents_are_measured_each_alone():
    alone = [score_documents(artifact(), documents(text)) for text in TEXTS]
    together = score_documents(artifact(), documents(*TEXTS))
    assert together.nats == pytest.approx(sum(one.nats for one in alone), rel=ROUNDING)


def test_a_document_begins_after_the_separator_and_is_cut_into_windows():
    held, text = artifact(), TEXTS[2]
    ids = [TOKENIZER.eos_id, *text.encode(), TOKENIZER.eos_id]
    nats = 0.0
    for start in range(0, len(ids) - 1, CONTEXT):
        window = torch.tensor([ids[start : start + CONTEXT + 1]])
        logs = held.model(window[:, :-1]).detach().log_softmax(-1)
        nats -= float(logs.gather(-1, window[:, 1:, None]).sum())
    assert score_documents(held, documents(text)).nats == pytest.approx(nats, rel=ROUNDING)


def test_of_a_conversation_counts_what_its_template_teaches():
    measured = score_documents(artifact("forge1"), documents(exchange("2+2?", "4")))
    # <|no_think|> \n <|assistant|> 4 <|/assistant|> \n <|eos|>
    assert (measured.targets, measured.bytes) == (7, 3)


def test_ids_made_elsewhere_are_measured_as_they_are():
    measured = score_documents(artifact(), documents(np.array([104, 105], np.uint16)))
    assert (measured.targets, measured.bytes) == (2, 2)


def test_a_file_is_measured_as_its_source_reads_it(tmp_path):
    path = tmp_path / "held_out.txt"
    path.write_text(TEXTS[2], encoding="utf-8")
    source = open_source(str(path), DataConfig())
    assert score_documents(artifact(), source.documents()) == score_documents(artifact(), documents(TEXTS[2]))


def test_tokens_whose_bytes_do_not_sum_to_the_text_are_refused():
    token_bytes = TOKENIZER.token_bytes()
    check_ledger(list("é".encode()), "é", token_bytes=token_bytes, where="a.txt")
    with pytest.raises(ProofError) as caught:
        check_ledger([195], "é", token_bytes=token_bytes, where="a.txt, document 1")
    assert caught.value.problem == (
        "a.txt, document 1: its tokens have 1 bytes, the text has 2; bits per byte would be wrong."
    )
    assert "hornbook inspect RUN --prove" in caught.value.fix
