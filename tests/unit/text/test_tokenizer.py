"""Encoding, decoding, streaming, saving and loading."""

import hashlib
import json

import numpy as np
import pytest
import tokenizers

from hornbook.config.tokenizers import BPETokenizerConfig, BytesTokenizerConfig
from hornbook.errors import CheckpointError, DataError
from hornbook.text.tokenizer import SPECIALS, Tokenizer, load_tokenizer
from hornbook.text.tokenizer_kinds import build_tokenizer

BYTES = build_tokenizer(BytesTokenizerConfig(), [])
BPE = build_tokenizer(BPETokenizerConfig(vocab_size=400), ["the cat and the hat sat on the mat 👍 中文 " * 20])


def test_bytes_are_their_own_ids_and_specials_follow():
    assert BYTES.encode("é\0") == [0xC3, 0xA9, 0]
    assert BYTES.vocab_size == 268
    assert list(BYTES.specials.items()) == list(zip(SPECIALS, range(256, 268), strict=True))
    assert (BYTES.bos_id, BYTES.eos_id, BYTES.pad_id) == (256, 257, 258)


def test_text_that_spells_a_special_token_is_ordinary_text():
    assert max(BYTES.encode("<|eos|>")) < 256
    assert BPE.eos_id not in BPE.encode("<|eos|>")


@pytest.mark.parametrize("tokenizer", [BYTES, BPE], ids=["bytes", "bpe"])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_batch_has_the_ids_of_each_text_in_order(tokenizer, threads):
    texts = [f"the cat {number} 👍" * (number % 5) for number in range(50)]
    batch = tokenizer.encode_batch(texts, threads=threads)
    assert [np.asarray(ids).tolist() for ids in batch] == [tokenizer.encode(text) for text in texts]


def test_an_empty_batch_is_empty():
    assert BPE.encode_batch([], threads=2) == []


def test_specials_are_spelt_only_when_asked():
    ids = [BYTES.bos_id, *b"a", BYTES.eos_id]
    assert BYTES.decode(ids) == "a"
    assert BYTES.decode(ids, specials=True) == "<|bos|>a<|eos|>"
    assert BYTES.decode_bytes(ids) == b"a"


def test_bytes_that_are_no_utf8_decode_to_the_replacement_character():
    assert BYTES.decode([0xC3, 0x28]) == "\ufffd("
    assert BYTES.decode_bytes([0xC3, 0x28]) == b"\xc3("


@pytest.mark.parametrize("index", [-1, 268, 10**12])
def test_an_id_outside_the_vocabulary_is_named(index):
    with pytest.raises(DataError, match=rf"Token id {index} is outside the vocabulary of 268"):
        BYTES.decode([index])


def test_streaming_waits_for_whole_characters():
    stream = BYTES.stream()
    assert [stream.push(value) for value in "a👍".encode()] == ["a", "", "", "", "👍"]
    assert stream.flush() == ""


def test_a_stream_that_ends_inside_a_character_says_so():
    stream = BYTES.stream()
    assert stream.push(0xF0) + stream.push(BYTES.eos_id) + stream.flush() == "\ufffd"


@pytest.mark.parametrize("tokenizer", [BYTES, BPE], ids=["bytes", "bpe"])
def test_a_stream_says_what_decode_says_even_of_nonsense(tokenizer):
    ids = [(number * 7919) % tokenizer.vocab_size for number in range(3000)]
    stream = tokenizer.stream()
    assert "".join([*map(stream.push, ids), stream.flush()]) == tokenizer.decode(ids)


@pytest.mark.parametrize("encode", [BYTES.encode, BPE.encode, lambda text: BPE.encode_batch([text] * 2000)])
def test_a_lone_surrogate_is_refused(encode):
    with pytest.raises(DataError, match=r"lone surrogate \(U\+DC80\) at character 3[\s\S]*repair the text"):
        encode("the\udc80 cat and so on, long enough for a fast path")


def test_saved_and_loaded_it_is_the_same(tmp_path):
    BPE.save(tmp_path / "new" / "tokenizer")
    loaded = load_tokenizer(tmp_path / "new" / "tokenizer")
    assert (loaded.kind, loaded.hash, loaded.specials) == (BPE.kind, BPE.hash, BPE.specials)
    assert loaded.token_bytes() == BPE.token_bytes()
    assert loaded.encode("the cat 👍") == BPE.encode("the cat 👍")


def test_the_hash_is_that_of_the_file(tmp_path):
    BPE.save(tmp_path)
    assert BPE.hash == hashlib.sha256((tmp_path / "tokenizer.json").read_bytes()).hexdigest()


def test_the_library_loads_the_file_and_agrees(tmp_path):
    BPE.save(tmp_path)
    library = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert library.encode("the cat 👍\r\n").ids == BPE.encode("the cat 👍\r\n")
    assert library.decode(BPE.encode("the cat 👍\r\n")) == "the cat 👍\r\n"
    assert library.get_vocab_size() == BPE.vocab_size
    assert library.token_to_id("<|eos|>") == BPE.eos_id


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"nowhere: the tokenizer cannot be read"):
        load_tokenizer(tmp_path / "nowhere")


def test_a_changed_file_is_refused_by_name(tmp_path):
    BPE.save(tmp_path)
    path = tmp_path / "tokenizer.json"
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(CheckpointError, match=r"tokenizer\.json: its hash is [0-9a-f]{12}, not the [0-9a-f]{12}"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize("about", ["", "{}", "[]", '{"kind": "bpe"}', "[" * 100_000])
def test_a_damaged_description_is_refused_by_name(tmp_path, about):
    BPE.save(tmp_path)
    (tmp_path / "hornbook_tokenizer.json").write_text(about)
    with pytest.raises(CheckpointError, match=r"hornbook_tokenizer\.json: not a description of a tokenizer"):
        load_tokenizer(tmp_path)


def test_a_file_without_our_special_tokens_is_refused(tmp_path):
    BPE.save(tmp_path)
    spec = json.loads((tmp_path / "tokenizer.json").read_bytes())
    del spec["added_tokens"][-1]
    with pytest.raises(CheckpointError, match=r"the special tokens <\|no_think\|> are missing[\s\S]*external"):
        Tokenizer(json.dumps(spec).encode(), kind="bpe")


def test_small_batches_use_the_library_and_large_ones_the_fast_path():
    tokenizer = Tokenizer(BPE.file, kind="bpe")
    tokenizer.encode_batch(["the cat"])
    assert tokenizer.fast_path == "tokenizers"
    tokenizer.encode_batch(["the cat"] * 20_000)
    assert tokenizer.fast_path == "tiktoken"
    assert BYTES.fast_path == "bytes"


def test_the_fast_path_can_be_verified_on_texts():
    assert BPE.verify_fast_path(["the cat", "👍 中文"])
    assert BYTES.verify_fast_path(["any"])
