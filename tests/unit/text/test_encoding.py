"""Long texts are cut without changing ids; the fast paths give the library's ids or are not taken."""

import time
from dataclasses import replace

import pytest
import tokenizers

from hornbook.config.tokenizers import BPETokenizerConfig, SuperBPETokenizerConfig, WordsTokenizerConfig
from hornbook.text import encoding
from hornbook.text.encoding import MAX_CHARACTERS, FastEncoder, LibraryEncoder, build_fast_encoder, cut
from hornbook.text.tokenizer_file import read_tokenizer_file
from hornbook.text.tokenizer_kinds import BPE_PATTERNS, build_bpe, build_superbpe, build_words

PROSE = "It was, they'd say, 12 o'clock;\n\nthe cat   sat.\n  On 3 mats!\r\nSo (what)?\n中文 и так\n" * 40


def bpe(pattern="qwen2", text=PROSE):
    file = build_bpe(BPETokenizerConfig(vocab_size=500, pattern=pattern), [text])
    return file, read_tokenizer_file(file, where="t"), LibraryEncoder(file, where="t")


def test_parts_are_short_and_join_to_the_text():
    text = PROSE * 100
    parts = list(cut(text))
    assert "".join(parts) == text
    assert max(map(len, parts)) <= MAX_CHARACTERS
    assert len(parts) < 2 * len(text) / MAX_CHARACTERS + 1


def test_a_short_text_is_one_part_even_if_empty():
    assert list(cut("")) == [""]
    assert list(cut("a b")) == ["a b"]


@pytest.mark.parametrize("pattern", [*sorted(BPE_PATTERNS), "words", "superbpe"])
def test_cutting_does_not_change_the_ids_of_ordinary_text(pattern, monkeypatch):
    monkeypatch.setattr(encoding, "MAX_CHARACTERS", 60)
    if pattern == "words":
        file = build_words(WordsTokenizerConfig(min_count=1), [PROSE])
    elif pattern == "superbpe":
        file = build_superbpe(SuperBPETokenizerConfig(vocab_size=500, transition=0.6), [PROSE])
    else:
        file, _, _ = bpe(pattern)
    library = tokenizers.Tokenizer.from_buffer(file)
    assert len(list(cut(PROSE))) > 50
    whole = library.encode(PROSE).ids
    assert LibraryEncoder(file, where="t")(PROSE) == whole
    known = read_tokenizer_file(file, where="t").pattern
    assert LibraryEncoder(file, where="t", pattern=known)(PROSE) == whole


@pytest.mark.parametrize("text", ["abcdefghij" * 300_000, " " * 3_000_000, "中" * 1_000_000, "!" * 3_000_000])
def test_a_huge_word_without_a_break_does_not_hang(text):
    _, content, library = bpe()
    fast = build_fast_encoder(content, library)
    started = time.monotonic()
    ids = fast(text)
    assert time.monotonic() - started < 20
    assert b"".join(content.entries[index] for index in ids) == text.encode()


def test_a_character_the_engines_disagree_on_sends_its_text_to_the_library():
    _, content, library = bpe()

    def upper_first(text):
        return honest(text.replace("é", "e"))

    honest = encoding._tiktoken_engine(content)
    fast = FastEncoder("tiktoken", upper_first, library)
    assert list(fast("café ü")) == library("café ü")
    assert list(fast("ü")) == library("ü")
    assert fast._disputed == {"é"}


def test_an_engine_that_disagrees_on_the_sample_is_not_taken(monkeypatch):
    _, content, library = bpe()
    engine = encoding._tiktoken_engine(content)
    monkeypatch.setattr(encoding, "_tiktoken_engine", lambda _: lambda text: engine(text.replace("cat", "dog")))
    assert build_fast_encoder(content, library, sample=["cat"]) is None


def test_merges_out_of_order_have_no_fast_path():
    _, content, library = bpe()
    assert build_fast_encoder(replace(content, merges_in_order=False), library) is None


@pytest.mark.slow
@pytest.mark.parametrize("pattern", [*sorted(BPE_PATTERNS), "words"])
def test_every_assigned_character_gets_the_ids_of_the_library(pattern):
    if pattern == "words":
        file = build_words(WordsTokenizerConfig(min_count=1), [PROSE])
        content, library = read_tokenizer_file(file, where="t"), LibraryEncoder(file, where="t")
    else:
        _, content, library = bpe(pattern)
    fast = build_fast_encoder(content, library)
    for start in range(0, 0x33800, 0x400):
        letters = [chr(code) for code in range(start, start + 0x400) if not 0xD800 <= code < 0xE000]
        text = "".join(f"a{letter}1{letter} {letter}.{letter}\n" for letter in letters)
        assert list(fast(text)) == library(text)
