"""Encoding gives the ids the tokenizer and the template give, in order, however many threads work."""

import numpy as np
import pytest

from hornbook.config.tokenizers import BPETokenizerConfig, BytesTokenizerConfig
from hornbook.data.encode import BATCH_CHARACTERS, Encoder, encode_in_order
from hornbook.errors import DataError, ProofError
from hornbook.text.conversation import exchange
from hornbook.text.template import render, text_document
from hornbook.text.tokenizer_kinds import build_tokenizer

TEXTS = ["First Citizen:\n", "ünï 🙂 <|eos|>", "a", "x\0y"]
TALK = exchange("What is 2+2?", "4", thinking="2+2 is 4.")


@pytest.fixture(scope="module", params=["bytes", "bpe"])
def tokenizer(request):
    if request.param == "bytes":
        return build_tokenizer(BytesTokenizerConfig(), ())
    return build_tokenizer(BPETokenizerConfig(vocab_size=300), ["the cat sat on the mat, 2+2 is 4. " * 50])


def test_documents_are_what_text_document_writes(tokenizer):
    block = Encoder(tokenizer, "forge1", "answers").encode(TEXTS)
    rendered = [text_document(text, tokenizer) for text in TEXTS]
    assert block.tokens.tolist() == [index for row in rendered for index in row.ids]
    assert block.lengths.tolist() == [len(row.ids) for row in rendered]
    assert block.learn is None
    assert block.tokens.dtype == np.uint16


@pytest.mark.parametrize("learn", ["answers", "everything"])
def test_a_mixture_keeps_its_order_and_each_has_its_mask(tokenizer, learn):
    block = Encoder(tokenizer, "forge1", learn).encode([TEXTS[0], TALK, TALK, TEXTS[1]])
    talk, first, last = (
        render("forge1", TALK, tokenizer, learn=learn),
        *(text_document(t, tokenizer) for t in TEXTS[:2]),
    )
    rows = [first, talk, talk, last]
    assert block.tokens.tolist() == [index for row in rows for index in row.ids]
    assert block.learn.tolist() == [flag for row in rows for flag in row.learn]


def test_ids_made_elsewhere_end_documents_at_the_stop_token(tokenizer):
    eos = tokenizer.eos_id
    block = Encoder(tokenizer, "text", "answers").encode([np.array([1, 2, eos, 3, eos]), np.array([4, eos, 5])])
    assert block.tokens.tolist() == [1, 2, eos, 3, eos, 4, eos, 5]
    assert block.lengths.tolist() == [3, 2, 2, 1]


def test_ids_outside_the_vocabulary_are_refused(tokenizer):
    with pytest.raises(DataError, match=r"holds id 50,256, but the tokenizer has 2\d\d tokens") as caught:
        Encoder(tokenizer, "text", "answers").encode([np.array([50_256], "<u2")])
    assert caught.value.fix == "set tokenizer.path to the tokenizer the ids were made with."


@pytest.mark.parametrize("workers", [1, 3])
def test_the_order_within_a_split_does_not_depend_on_threads(tokenizer, workers):
    pieces = [("validation" if n % 7 == 0 else "train", f"document {n} " * (n % 50)) for n in range(3000)]
    encoder = Encoder(tokenizer, "text", "answers")
    found = {"train": "", "validation": ""}
    for batch, block in encode_in_order(encoder, iter(pieces), workers=workers):
        assert len(block.lengths) == len(batch.contents)
        found[batch.split] += tokenizer.decode(block.tokens.tolist())
    assert found == {side: "".join(text for s, text in pieces if s == side) for side in found}


def test_long_documents_do_not_wait_for_others(tokenizer):
    pieces = [("train", "x" * BATCH_CHARACTERS)] * 3
    batches = [batch for batch, _ in encode_in_order(Encoder(tokenizer, "text", "answers"), pieces, workers=1)]
    assert [len(batch.contents) for batch in batches] == [1, 1, 1]


def test_an_error_of_a_worker_reaches_the_caller(tokenizer):
    encoder = Encoder(tokenizer, "text", "answers")
    with pytest.raises(DataError, match="holds id 60,000"):
        list(encode_in_order(encoder, [("train", np.array([60_000]))], workers=2))


def test_a_tokenizer_that_loses_text_is_found_out_at_the_text(tokenizer, monkeypatch):
    short = [entry[:-1] for entry in tokenizer.token_bytes()]
    monkeypatch.setattr(tokenizer, "token_bytes", lambda: short)
    with pytest.raises(ProofError, match="The tokens of a text have .* bytes, the text has 15: 'First Citizen"):
        Encoder(tokenizer, "text", "answers").encode(TEXTS)


def test_gpt2s_separator_in_a_token_file_becomes_the_stop_token(tokenizer, monkeypatch):
    monkeypatch.setattr(tokenizer, "specials", tokenizer.specials | {"<|endoftext|>": 5})
    block = Encoder(tokenizer, "text", "answers").encode([np.array([1, 2, 5, 3, 5, 4], np.uint16)])
    assert block.tokens.tolist() == [1, 2, tokenizer.eos_id, 3, tokenizer.eos_id, 4]
    assert block.lengths.tolist() == [3, 2, 1]
