"""Superwords: tokens that span words, no more of them than asked for, reached and cut as promised."""

import inspect
import json

import pytest
import tokenizers

from hornbook.config.tokenizers import BPETokenizerConfig, SuperBPETokenizerConfig
from hornbook.errors import ConfigError, DataError
from hornbook.proofs.proof import require
from hornbook.proofs.tokenizer import prove_tokenizer
from hornbook.text import encoding, superbpe, tokenizer_file
from hornbook.text.superbpe import MAX_PARTS, SUPERWORD_PATTERNS, even_part
from hornbook.text.tokenizer import load_tokenizer
from hornbook.text.tokenizer_kinds import build_bpe, build_tokenizer

TEXT = "One of the cats in the house of the king saw 12 of the mats.\n\n  One of the kings   sat on it.\n" * 20


def built(text=TEXT, **settings):
    return build_tokenizer(SuperBPETokenizerConfig(**{"vocab_size": 400, "transition": 0.75, **settings}), [text])


def pieces(tokenizer, text):
    return [tokenizer.decode([index]) for index in tokenizer.encode(text)]


def superwords(tokenizer):
    return [entry.decode() for entry in tokenizer.token_bytes() if b" " in entry.strip()]


def test_a_frequent_phrase_becomes_one_token():
    assert " of the" in superwords(built())
    assert "One of the" in pieces(built(), "One of the cats")


def test_plain_bpe_of_the_same_text_has_none():
    assert superwords(build_tokenizer(BPETokenizerConfig(vocab_size=400), [TEXT])) == []


def test_text_takes_fewer_tokens_than_with_plain_bpe():
    plain = build_tokenizer(BPETokenizerConfig(vocab_size=400), [TEXT])
    assert len(built().encode(TEXT)) < 0.7 * len(plain.encode(TEXT))


def test_the_vocabulary_has_exactly_the_size_asked_for():
    tokenizer = built(inspect.getsource(superbpe), vocab_size=600)
    assert tokenizer.vocab_size == 600
    assert superwords(tokenizer)


def test_the_first_stage_is_that_of_plain_bpe():
    size = round(0.75 * (400 - 12))
    plain = json.loads(build_bpe(BPETokenizerConfig(vocab_size=size + 12), [TEXT]))["model"]["merges"]
    assert json.loads(built().file)["model"]["merges"][: len(plain)] == plain


def test_a_transition_of_one_spans_no_words():
    assert superwords(built(vocab_size=290, transition=1.0)) == []


def test_a_transition_of_zero_is_all_second_stage():
    tokenizer = built(transition=0.0)
    assert max(map(len, tokenizer.token_bytes())) <= MAX_PARTS  # parts are single bytes then
    assert tokenizer.decode(tokenizer.encode(TEXT)) == TEXT


def test_no_superword_has_more_parts_than_allowed():
    words = "all the good men of the old town came to the aid of the poor\n" * 50
    tokenizer = built(words, vocab_size=800, transition=0.4)
    merges = [tuple(pair) for pair in json.loads(tokenizer.file)["model"]["merges"]]
    parts: dict[str, int] = {}
    for left, right in merges:
        spans = "Ġ" in (left + right)[1:]
        parts[left + right] = parts.get(left, 1) + parts.get(right, 1) if spans else 1
    assert 1 < max(parts.values()) <= MAX_PARTS


@pytest.mark.parametrize("pattern", sorted(SUPERWORD_PATTERNS))
def test_no_token_spans_a_line_a_run_of_spaces_or_a_digit(pattern):
    text = "of the  of the\nof the 7 of the\n" * 50
    for entry in superwords(built(text, vocab_size=330, pattern=pattern)):
        assert "  " not in entry.strip() and "\n" not in entry[:-1], entry
        assert not any(letter.isdigit() for letter in entry), entry


@pytest.mark.parametrize("pattern", sorted(SUPERWORD_PATTERNS))
def test_indented_source_leaves_no_entry_unused_and_takes_the_fast_path(pattern):
    source = "".join(map(inspect.getsource, (superbpe, encoding, tokenizer_file)))
    tokenizer = built(source + source.replace("\n", "\r\n"), vocab_size=2000, pattern=pattern)
    require(prove_tokenizer(tokenizer, texts=[source]), subject=pattern)
    assert tokenizer.verify_fast_path([source])


def test_a_long_indented_text_is_cut_without_changing_its_ids(monkeypatch):
    tokenizer = built()
    text = "class A:\n" + "    one of the cats of the house\n" * 40
    whole = tokenizer.encode(text)
    monkeypatch.setattr(encoding, "MAX_CHARACTERS", 100)
    assert tokenizer.encode(text) == whole


def test_the_same_text_gives_the_same_file():
    assert built().hash == built().hash


def test_the_saved_file_gives_the_same_ids_in_the_tokenizers_library(tmp_path):
    tokenizer = built()
    tokenizer.save(tmp_path)
    library = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert library.encode(TEXT).ids == tokenizer.encode(TEXT)
    assert load_tokenizer(tmp_path).kind == "superbpe"


def test_merging_by_rank_is_exact_so_the_fast_path_is_taken():
    tokenizer = built()
    assert tokenizer.verify_fast_path([TEXT, TEXT[::-1]])
    assert tokenizer.fast_path == "tiktoken"


def test_a_stream_writes_superwords_whole():
    tokenizer = built()
    stream = tokenizer.stream()
    assert next(stream.push(index) for index in tokenizer.encode("One of the kings")) == "One of the"


def test_an_empty_or_tiny_text_gives_a_small_vocabulary():
    assert built("").vocab_size == 268
    assert built("tiny").vocab_size == 268


def test_a_lone_surrogate_in_the_text_is_refused():
    with pytest.raises(DataError, match="lone surrogate"):
        built("a\udfff")


def test_a_vocabulary_without_room_for_the_bytes_is_refused():
    with pytest.raises(ConfigError, match=r"vocab_size = 267 leaves no room[\s\S]*268 or more"):
        built(vocab_size=267)


def test_more_words_than_private_characters_are_refused(monkeypatch):
    monkeypatch.setattr(superbpe, "LETTERS_EACH", 140)
    with pytest.raises(ConfigError, match=r"has 291 entries, more than 280[\s\S]*lower tokenizer.transition"):
        built()


def test_words_beyond_the_first_private_plane_have_letters_too(monkeypatch):
    before = built().hash
    monkeypatch.setattr(superbpe, "LETTERS_EACH", 260)
    assert built().hash == before


def test_superwords_are_learnt_from_an_even_part_of_much_text():
    texts = [chr(97 + number) * 10 for number in range(20)]
    assert even_part(texts, characters=50) == texts[::4]
    assert even_part(texts, characters=200) == texts
    assert even_part([], characters=5) == []
