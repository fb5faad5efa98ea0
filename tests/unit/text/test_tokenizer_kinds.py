"""What vocabulary each kind finds."""

import json

import pytest

from hornbook.config.tokenizers import (
    BPETokenizerConfig,
    BytesTokenizerConfig,
    CharsTokenizerConfig,
    SuperBPETokenizerConfig,
    WordsTokenizerConfig,
)
from hornbook.errors import ConfigError, DataError
from hornbook.text import tokenizer_kinds
from hornbook.text.tokenizer import SPECIALS
from hornbook.text.tokenizer_kinds import BPE_PATTERNS, build_tokenizer

TEXT = "The cat sat on the mat. The cat, she said, is 42!\n  “Naïve”, é!\n" * 8


def pieces(tokenizer, text):
    return [tokenizer.decode([index]) for index in tokenizer.encode(text)]


def test_bytes_look_at_no_text():
    def unread():
        raise AssertionError("read")
        yield ""

    assert build_tokenizer(BytesTokenizerConfig(), unread()).vocab_size == 268


def test_chars_have_an_entry_a_character():
    tokenizer = build_tokenizer(CharsTokenizerConfig(), [TEXT])
    assert pieces(tokenizer, "Naïve “é”") == list("Naïve “é”")


def test_ascii_characters_are_bytes_and_appear_once():
    tokenizer = build_tokenizer(CharsTokenizerConfig(), [TEXT])
    entries = [entry for entry in tokenizer.token_bytes() if entry]
    assert len(entries) == len(set(entries)) == 256 + len("“”ïé")


def test_a_rare_character_is_written_as_bytes():
    tokenizer = build_tokenizer(CharsTokenizerConfig(min_count=2), ["ééü"])
    assert [len(tokenizer.encode(letter)) for letter in "éü"] == [1, 2]


def test_words_keep_case_and_their_space_and_cut_numbers_into_digits():
    tokenizer = build_tokenizer(WordsTokenizerConfig(min_count=1), [TEXT])
    assert pieces(tokenizer, "The cat, the 42 mat.") == ["The", " cat", ",", " the", " ", "4", "2", " mat", "."]


def test_words_keep_indentation_and_line_ends():
    code = "if x:\r\n    y = 1\n\n\tz\n"
    tokenizer = build_tokenizer(WordsTokenizerConfig(min_count=1), [code])
    assert pieces(tokenizer, code) == [
        "if",
        " x",
        ":",
        "\r\n",
        "   ",
        " y",
        " ",
        "=",
        " ",
        "1",
        "\n",
        "\n",
        "\t",
        "z",
        "\n",
    ]


def test_an_unknown_word_is_written_as_bytes():
    tokenizer = build_tokenizer(WordsTokenizerConfig(min_count=1), [TEXT])
    assert tokenizer.encode("catz") == list(b"catz")


def test_words_seen_less_often_than_the_limit_are_left_out():
    tokenizer = build_tokenizer(WordsTokenizerConfig(min_count=3), ["aa aa aa bb bb"])
    assert b" aa" not in tokenizer.token_bytes()
    assert b" bb" not in tokenizer.token_bytes()
    assert b" aa" in build_tokenizer(WordsTokenizerConfig(min_count=2), ["aa aa aa bb bb"]).token_bytes()


@pytest.mark.parametrize("config", [CharsTokenizerConfig(vocab_size=270), WordsTokenizerConfig(vocab_size=270)])
def test_the_commonest_entries_are_kept_where_room_is_short(config):
    tokenizer = build_tokenizer(config, ["éü éü é"] * 5)
    assert tokenizer.vocab_size == 270
    assert "é".encode() in tokenizer.token_bytes()[256] + tokenizer.token_bytes()[257]


def test_bpe_has_exactly_the_size_asked_for():
    tokenizer = build_tokenizer(BPETokenizerConfig(vocab_size=300), [TEXT])
    assert tokenizer.vocab_size == 300
    assert tokenizer.token_bytes()[:256] == [bytes([value]) for value in range(256)]
    assert list(tokenizer.specials.values()) == list(range(288, 300))


def test_bpe_of_a_small_text_is_smaller_than_asked_for():
    assert build_tokenizer(BPETokenizerConfig(vocab_size=5000), ["tiny text"]).vocab_size == 268


def test_bpe_can_be_learnt_from_nothing():
    assert build_tokenizer(BPETokenizerConfig(), []).vocab_size == 268


@pytest.mark.parametrize(("pattern", "digits"), [("qwen2", 1), ("llama-bpe", 3), ("gpt-2", 6)])
def test_patterns_differ_in_how_many_digits_go_together(pattern, digits):
    tokenizer = build_tokenizer(BPETokenizerConfig(vocab_size=300, pattern=pattern), ["123456 " * 50])
    assert max(len(piece) for piece in pieces(tokenizer, "123456")) == digits


@pytest.mark.parametrize(
    "config",
    [
        CharsTokenizerConfig(),
        WordsTokenizerConfig(min_count=1),
        *(BPETokenizerConfig(vocab_size=400, pattern=pattern) for pattern in BPE_PATTERNS),
    ],
)
def test_the_same_text_gives_the_same_file(config):
    assert build_tokenizer(config, [TEXT]).hash == build_tokenizer(config, [TEXT]).hash


@pytest.mark.parametrize("kind", ["chars", "words", "bpe", "superbpe"])
def test_only_the_beginning_of_much_text_is_learnt_from(kind, monkeypatch):
    monkeypatch.setattr(tokenizer_kinds, "LEARN_CHARACTERS", len(TEXT))
    config = {
        "chars": CharsTokenizerConfig(),
        "words": WordsTokenizerConfig(),
        "bpe": BPETokenizerConfig(),
        "superbpe": SuperBPETokenizerConfig(),
    }[kind]
    assert build_tokenizer(config, [TEXT, "ßßß ßßß " * 99]).hash == build_tokenizer(config, [TEXT]).hash


def test_counting_forgets_words_seen_once_when_there_are_too_many(monkeypatch):
    monkeypatch.setattr(tokenizer_kinds, "MAX_COUNTED", 50)
    texts = [f"again again word{chr(97 + number // 26)}{chr(97 + number % 26)}" for number in range(300)]
    entries = build_tokenizer(WordsTokenizerConfig(min_count=5), texts).token_bytes()
    assert b" again" in entries and b"again" in entries


@pytest.mark.parametrize("config", [CharsTokenizerConfig, WordsTokenizerConfig, BPETokenizerConfig])
def test_a_vocabulary_without_room_for_the_bytes_is_refused(config):
    with pytest.raises(ConfigError, match=r"vocab_size = 267 leaves no room[\s\S]*268 or more"):
        build_tokenizer(config(vocab_size=267), [TEXT])


@pytest.mark.parametrize("config", [CharsTokenizerConfig(), WordsTokenizerConfig(), BPETokenizerConfig()])
def test_a_lone_surrogate_in_the_text_is_refused(config):
    with pytest.raises(DataError, match="lone surrogate"):
        build_tokenizer(config, ["a", "b\udfff"])


def test_the_file_says_which_tokens_are_special():
    file = tokenizer_kinds.build_bytes(BytesTokenizerConfig(), [])
    added = json.loads(file)["added_tokens"]
    assert [token["content"] for token in added] == list(SPECIALS)
    assert all(token["special"] and not token["normalized"] for token in added)
