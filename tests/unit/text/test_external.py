"""Tokenizers made elsewhere come in without loss, or are refused by name."""

import json

import pytest
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

from hornbook.config.tokenizers import ExternalTokenizerConfig
from hornbook.errors import CheckpointError
from hornbook.text.tokenizer import SPECIALS
from hornbook.text.tokenizer_kinds import build_tokenizer

TEXT = "It's the cat that sat on the mat, 123 times. " * 20


@pytest.fixture
def foreign():
    """A tokenizer as others make them: specials first, NFC, a post-processor, added words."""
    library = tokenizers.Tokenizer(models.BPE())
    library.normalizer = normalizers.NFC()
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    library.decoder = decoders.ByteLevel()
    library.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<s>", "<|eos|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    library.train_from_iterator([TEXT], trainer)
    library.add_tokens(["<tool>"])
    return library


def bring(path):
    return build_tokenizer(ExternalTokenizerConfig(path=str(path)), [])


def test_ordinary_tokens_keep_their_ids(foreign, tmp_path):
    foreign.save(str(tmp_path / "tokenizer.json"))
    assert bring(tmp_path).encode(TEXT) == foreign.encode(TEXT).ids
    assert bring(tmp_path / "tokenizer.json").encode(TEXT) == foreign.encode(TEXT).ids


def test_our_special_tokens_are_added_where_they_are_missing(foreign, tmp_path):
    foreign.save(str(tmp_path / "tokenizer.json"))
    tokenizer = bring(tmp_path)
    assert set(tokenizer.specials) == {*SPECIALS, "<s>", "<tool>"}
    assert tokenizer.eos_id == foreign.token_to_id("<|eos|>") == 1
    assert tokenizer.vocab_size == foreign.get_vocab_size() + len(SPECIALS) - 1


def test_added_words_cannot_be_spelt_by_text(foreign, tmp_path):
    foreign.save(str(tmp_path / "tokenizer.json"))
    tokenizer = bring(tmp_path)
    assert not set(tokenizer.specials.values()) & set(tokenizer.encode("<tool><s><|eos|>"))


def test_text_is_not_normalised(foreign, tmp_path):
    foreign.save(str(tmp_path / "tokenizer.json"))
    tokenizer = bring(tmp_path)
    assert tokenizer.decode(tokenizer.encode("e\u0301")) == "e\u0301"


def test_gpt2_files_give_the_ids_of_the_library(foreign, tmp_path):
    spec = json.loads(foreign.to_str())
    (tmp_path / "vocab.json").write_text(json.dumps(spec["model"]["vocab"]), encoding="utf-8")
    merges = "\n".join(" ".join(pair) for pair in spec["model"]["merges"])
    (tmp_path / "merges.txt").write_text(f"#version: 0.2\n{merges}\n", encoding="utf-8")
    tokenizer = bring(tmp_path)
    assert tokenizer.encode(TEXT) == foreign.encode(TEXT).ids
    assert {"<s>", "<|eos|>"} <= set(tokenizer.specials)


def test_merges_written_as_lines_are_read(foreign, tmp_path):
    spec = json.loads(foreign.to_str())
    spec["model"]["merges"] = [" ".join(pair) for pair in spec["model"]["merges"]]
    (tmp_path / "tokenizer.json").write_text(json.dumps(spec), encoding="utf-8")
    assert bring(tmp_path).encode(TEXT) == foreign.encode(TEXT).ids


def test_one_of_ours_comes_back_as_it_is(foreign, tmp_path):
    foreign.save(str(tmp_path / "tokenizer.json"))
    bring(tmp_path).save(tmp_path / "ours")
    again = bring(tmp_path / "ours")
    assert again.encode(TEXT) == foreign.encode(TEXT).ids
    assert again.specials == bring(tmp_path).specials


def test_a_missing_path_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"nowhere: the tokenizer cannot be read[\s\S]*set tokenizer\.path"):
        bring(tmp_path / "nowhere")


def test_a_folder_without_a_tokenizer_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"vocab\.json: the tokenizer cannot be read"):
        bring(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "it is not JSON"),
        ("[]", "its structure is not that of a tokenizer.json"),
        ('{"model": {}}', "its structure is not that of a tokenizer.json"),
        (
            '{"model": {"type": "WordPiece", "vocab": {"a": 0}}, "pre_tokenizer": null, "decoder": null}',
            "WordPiece",
        ),
        ('{"model": {"vocab": {"a": 0}, "merges": [3]}}', "its structure"),
    ],
)
def test_what_is_no_byte_level_tokenizer_is_refused(content, message, tmp_path):
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(CheckpointError, match=message):
        bring(tmp_path)


@pytest.mark.shared
def test_gpt2_itself_is_read(shared_data):
    tokenizer = bring(shared_data / "tokenizers" / "gpt2")
    assert tokenizer.vocab_size == 50_257 + len(SPECIALS)
    assert tokenizer.specials["<|endoftext|>"] == 50_256
    assert tokenizer.encode("Hello world") == [15496, 995]
    assert tokenizer.verify_fast_path([TEXT])
