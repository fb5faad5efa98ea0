"""The proofs find what they are for: tokenizers and templates that lie."""

from dataclasses import replace

import pytest

from hornbook.config.tokenizers import BPETokenizerConfig, BytesTokenizerConfig, CharsTokenizerConfig
from hornbook.errors import ProofError
from hornbook.proofs.proof import require
from hornbook.proofs.tokenizer import prove_template, prove_tokenizer
from hornbook.text.template import TEMPLATES, Piece
from hornbook.text.tokenizer import Tokenizer
from hornbook.text.tokenizer_kinds import BPE_PATTERNS, BYTES, build_tokenizer, write_tokenizer_file

HONEST = build_tokenizer(BytesTokenizerConfig(), [])


def failed(proofs):
    return {proof.name for proof in proofs if not proof.passed}


def lying(base=HONEST, **methods):
    """A tokenizer like `base`, but for some methods."""
    return type("Lying", (Tokenizer,), methods)(base.file, kind=base.kind)


def broken_template(monkeypatch, **changes):
    monkeypatch.setitem(TEMPLATES, "broken", replace(TEMPLATES["forge1"], **changes))
    return failed(prove_template("broken", HONEST))


def test_an_honest_tokenizer_passes():
    proofs = prove_tokenizer(HONEST, texts=["more"])
    assert not failed(proofs)
    assert {proof.name for proof in proofs} == {
        "round trip",
        "byte ledger",
        "no unreachable entry",
        "no forged special token",
        "special tokens",
    }


def test_a_tokenizer_that_lowers_case_is_caught():
    def encode(self, text):
        return list(text.lower().encode())

    assert "round trip" in failed(prove_tokenizer(lying(encode=encode)))


def test_a_tokenizer_that_adds_a_token_is_caught_by_the_byte_ledger():
    def encode(self, text):
        return [32, *text.encode()]

    assert "byte ledger" in failed(prove_tokenizer(lying(encode=encode)))


def test_a_batch_that_differs_from_single_texts_is_caught():
    def encode_batch(self, texts, *, threads=1):
        return [text.encode()[:20] for text in texts]

    assert failed(prove_tokenizer(lying(encode_batch=encode_batch))) == {"round trip"}


def test_text_that_becomes_a_special_token_is_caught():
    def encode(self, text):
        return [self.eos_id] if text == "<|eos|>" else list(text.encode())

    assert "no forged special token" in failed(prove_tokenizer(lying(encode=encode)))


def test_an_entry_no_text_uses_is_caught():
    file = write_tokenizer_file([*BYTES, b"never"], pattern=BPE_PATTERNS["qwen2"])
    proofs = prove_tokenizer(Tokenizer(file, kind="bpe"))
    assert failed(proofs) == {"no unreachable entry"}
    with pytest.raises(
        ProofError, match=r"the tokenizer: no unreachable entry failed\. 1 failed, first: entry 256"
    ):
        require(proofs, subject="the tokenizer")


def test_idle_entries_of_a_foreign_vocabulary_are_told_but_not_refused():
    file = write_tokenizer_file([*BYTES, b"never"], pattern=BPE_PATTERNS["qwen2"])
    proof = next(p for p in prove_tokenizer(Tokenizer(file, kind="external")) if p.name == "no unreachable entry")
    assert proof.passed and "1 of 1 entries are used by no text" in proof.detail


def test_entries_of_half_characters_are_reachable():
    letters = "".join(chr(code) for code in range(0x4E00, 0x4F00))
    tokenizer = build_tokenizer(BPETokenizerConfig(vocab_size=300), [letters * 3])
    assert any(len(entry) == 2 for entry in tokenizer.token_bytes())
    assert not failed(prove_tokenizer(tokenizer))


def test_chars_that_cover_every_second_byte_of_a_lead_pass():
    tokenizer = build_tokenizer(CharsTokenizerConfig(), ["".join(map(chr, range(0xC0, 0x100)))])
    assert not failed(prove_tokenizer(tokenizer))


@pytest.mark.parametrize("template", sorted(TEMPLATES))
def test_an_honest_template_passes(template):
    assert not failed(prove_template(template, HONEST))


def test_a_template_that_does_not_learn_to_stop_is_caught(monkeypatch):
    def write(conversation):
        for piece in TEMPLATES["forge1"].write(conversation):
            yield piece._replace(learn=piece.learn and piece.text not in ("<|/assistant|>", "<|eos|>"))

    assert "stop token is learnt" in broken_template(monkeypatch, write=write)


def test_a_template_without_an_end_is_caught(monkeypatch):
    def write(conversation):
        return (piece for piece in TEMPLATES["forge1"].write(conversation) if piece.text != "<|eos|>")

    assert "stop token is learnt" in broken_template(monkeypatch, write=write)


def test_a_template_that_prompts_otherwise_than_it_trains_is_caught(monkeypatch):
    def write(conversation):
        pieces = TEMPLATES["forge1"].write(conversation)
        return pieces if conversation.answered else (piece for piece in pieces if piece.text != "<|bos|>")

    assert "prompt is the training prefix" in broken_template(monkeypatch, write=write)


def test_a_template_that_learns_its_prompt_is_caught(monkeypatch):
    def write(conversation):
        return (piece._replace(learn=True) for piece in TEMPLATES["forge1"].write(conversation))

    assert "prompt is the training prefix" in broken_template(monkeypatch, write=write)


def test_a_template_that_reads_back_something_else_is_caught(monkeypatch):
    assert "reply comes back" in broken_template(monkeypatch, read=lambda pieces, think: ("", "nothing"))


def test_a_template_that_lets_text_change_roles_is_caught(monkeypatch):
    def write(conversation):
        for piece in TEMPLATES["forge1"].write(conversation):
            yield Piece(piece.text, piece.learn, True) if piece.text == "<|eos|>" else piece

    assert "roles cannot be forged" in broken_template(monkeypatch, write=write)
