"""What is accepted as a tokenizer.json, and what is refused before the library sees it."""

import copy
import json
import time

import pytest

from hornbook.config.tokenizers import BPETokenizerConfig
from hornbook.errors import CheckpointError
from hornbook.text import tokenizer_file
from hornbook.text.tokenizer import SPECIALS, Tokenizer
from hornbook.text.tokenizer_file import byte_symbols, read_tokenizer_file, to_symbols
from hornbook.text.tokenizer_kinds import BPE_PATTERNS, build_bpe

SPEC = json.loads(build_bpe(BPETokenizerConfig(vocab_size=300), ["the cat and the hat " * 20]))


def refusal(change):
    spec = copy.deepcopy(SPEC)
    change(spec)
    with pytest.raises(CheckpointError) as caught:
        read_tokenizer_file(json.dumps(spec).encode(), where="x/tokenizer.json")
    message = str(caught.value)
    assert message.startswith("x/tokenizer.json: this tokenizer cannot be used: ")
    assert "\nfix: use a byte-level BPE tokenizer.json" in message
    return message


def set_at(path, value):
    def change(spec):
        *parents, last = path
        for key in parents:
            spec = spec[key]
        spec[last] = value

    return change


def test_every_byte_has_a_printable_symbol_of_its_own():
    symbols = byte_symbols()
    assert len(set(symbols)) == 256
    assert all(symbol.isprintable() and not symbol.isspace() for symbol in symbols)
    assert to_symbols(b" a\n") == "ĠaĊ"


def test_an_accepted_file_says_its_entries_specials_and_pattern():
    content = read_tokenizer_file(json.dumps(SPEC).encode(), where="x")
    assert content.entries[:256] == [bytes([value]) for value in range(256)]
    assert list(content.specials) == list(SPECIALS)
    assert content.pattern == BPE_PATTERNS["qwen2"]
    assert content.merges_in_order and content.num_merges == len(SPEC["model"]["merges"])


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        (("normalizer",), {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}, "it has a normalizer"),
        (("truncation",), {"max_length": 5}, "it has a truncation"),
        (("post_processor",), {"type": "ByteLevel"}, "it has a post_processor"),
        (("padding",), {}, "it has a padding"),
        (("model", "type"), "Unigram", "its model is 'Unigram'"),
        (("model", "dropout"), 0.5, "sets 'dropout'"),
        (("model", "byte_fallback"), True, "sets 'byte_fallback'"),
        (("model", "unk_token"), "<unk>", "sets 'unk_token'"),
        (("decoder",), {"type": "Fuse"}, "its decoder is not ByteLevel"),
        (("decoder",), None, "its decoder is not ByteLevel"),
        (("pre_tokenizer",), {"type": "Whitespace"}, "not one Split followed by ByteLevel"),
        (("pre_tokenizer", "pretokenizers", 0, "behavior"), "Removed", "its Split is Removed, which loses text"),
        (("pre_tokenizer", "pretokenizers", 1, "add_prefix_space"), True, "adds a space"),
        (("pre_tokenizer", "pretokenizers", 1, "use_regex"), True, "cuts text twice"),
        (("pre_tokenizer", "pretokenizers", 0, "pattern", "Regex"), "(a+)+$", "repeats a group"),
        (("pre_tokenizer", "pretokenizers", 0, "pattern", "Regex"), "(a|aa){2,}b", "repeats a group"),
        (("pre_tokenizer", "pretokenizers", 0, "pattern", "Regex"), r"(a)\1", "refers back"),
        (("pre_tokenizer", "pretokenizers", 0, "pattern", "Regex"), "a" * 5000, "can take for ever"),
        (("pre_tokenizer",), None, "its structure is not that of a tokenizer.json"),
        (("model", "vocab", "Ġthe"), 4_000_000_000, "its ids are not the numbers 0 to"),
        (("model", "vocab", "Ġthe"), 0, "its ids are not the numbers 0 to"),
        (("model", "vocab", "Ġthe"), -1, "its ids are not the numbers 0 to"),
        (("model", "vocab", "Ġthe"), "7", "its structure is not that of a tokenizer.json"),
        (("model", "merges", 0), ["Ġ", "zzz"], "its structure is not that of a tokenizer.json"),
        (("added_tokens", 0, "id"), 5000, "leaves a hole or doubles"),
        (("added_tokens", 0, "id"), 65, "takes the id 65 of another entry"),
        (("added_tokens", 1, "content"), "<|bos|>", "leaves a hole or doubles"),
        (("added_tokens", 1, "content"), "", "leaves a hole or doubles"),
        (("added_tokens", 1, "lstrip"), True, "swallows the white space"),
        (("added_tokens", 1, "special"), False, "is not marked special, so text could forge it"),
        (("model",), [], "its structure"),
    ],
)
def test_what_is_unsafe_or_lossy_is_refused(path, value, reason):
    assert reason in refusal(set_at(path, value))


def test_an_entry_that_is_no_string_of_bytes_is_refused():
    def rename(spec):
        vocab = spec["model"]["vocab"]
        vocab["▁the"] = vocab.pop("Ġthe")
        spec["model"]["merges"] = []

    assert "'▁the', is not spelt in byte-level symbols" in refusal(rename)


def test_a_vocabulary_without_all_bytes_is_refused():
    def swap(spec):
        vocab = spec["model"]["vocab"]
        vocab["zz"] = vocab.pop("z")
        spec["model"]["merges"] = []

    assert "1 of the 256 bytes have no entry" in refusal(swap)


def test_an_ordinary_word_that_is_also_special_is_refused():
    def forge(spec):
        spec["model"]["ignore_merges"] = True
        index = spec["model"]["vocab"]["Ġthe"]
        spec["added_tokens"].append({**spec["added_tokens"][0], "id": index, "content": " the"})

    assert "so text could forge it" in refusal(forge)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"[" * 200_000, b'{"model": ' + b"9" * 5000 + b"}"])
def test_what_is_no_json_is_refused(data):
    with pytest.raises(CheckpointError, match=r"x: this tokenizer cannot be used: it is not JSON|its structure"):
        read_tokenizer_file(data, where="x")


@pytest.mark.parametrize("data", [b"[]", b"3", b"null", b"{}"])
def test_what_is_no_tokenizer_is_refused(data):
    with pytest.raises(CheckpointError, match=r"x: this tokenizer cannot be used: its structure"):
        read_tokenizer_file(data, where="x")


def test_a_file_that_is_too_large_is_refused_unread(monkeypatch):
    monkeypatch.setattr(tokenizer_file, "MAX_FILE_BYTES", 100)
    assert "more than 100" in refusal(lambda spec: None)


def test_a_vocabulary_that_is_too_large_is_refused(monkeypatch):
    monkeypatch.setattr(tokenizer_file, "MAX_ENTRIES", 100)
    assert "entries, more than 100" in refusal(lambda spec: None)


def test_an_entry_that_is_too_long_is_refused(monkeypatch):
    monkeypatch.setattr(tokenizer_file, "MAX_ENTRY_BYTES", 2)
    assert "longer than 2 bytes" in refusal(lambda spec: None)


def test_a_pattern_the_library_cannot_compile_is_an_error_of_ours():
    spec = copy.deepcopy(SPEC)
    spec["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "[a"
    with pytest.raises(CheckpointError, match=r"x: the tokenizers library cannot load it"):
        Tokenizer(json.dumps(spec).encode(), kind="bpe", where="x")


def test_refusing_a_chain_of_replacements_takes_no_time():
    steps = [{"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}] * 27
    started = time.monotonic()
    refusal(set_at(("normalizer",), {"type": "Sequence", "normalizers": steps}))
    assert time.monotonic() - started < 1


def test_the_patterns_we_ship_are_tame():
    for pattern in BPE_PATTERNS.values():
        assert tokenizer_file._is_tame(pattern)
