"""How the vocabulary of each kind of tokenizer is found, and written as one tokenizer.json.

All are byte-level: the 256 bytes come first, their ids equal to their values, then the entries of the kind, most
frequent first, then the special tokens. What is no entry is written in smaller ones, at last in bytes, so no text
is ever lost and there is no unknown token. Vocabularies are learnt from the first `LEARN_CHARACTERS` of the text.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import regex
import tokenizers
from tokenizers import models, pre_tokenizers, trainers

from hornbook.config.tokenizers import (
    BPETokenizerConfig,
    BytesTokenizerConfig,
    CharsTokenizerConfig,
    ExternalTokenizerConfig,
    SuperBPETokenizerConfig,
    TokenizerConfig,
    WordsTokenizerConfig,
)
from hornbook.errors import ConfigError
from hornbook.lookup import lookup
from hornbook.text.encoding import cut, to_bytes
from hornbook.text.external import read_external
from hornbook.text.superbpe import SUPERWORD_PATTERNS, bytes_of_merges, even_part, learn_superwords
from hornbook.text.tokenizer import SPECIALS, Tokenizer
from hornbook.text.tokenizer_file import EVERY_CHARACTER, GPT2_PATTERN, byte_symbols, to_symbols

LEARN_CHARACTERS = 100_000_000
"""Vocabularies are learnt from the first so many characters; more changes little and takes memory."""

MAX_COUNTED = 2_000_000
"""Distinct words counted at once; beyond it, those seen once are forgotten."""

MIN_PAIR_COUNT = 2
"""Byte pairs seen once are never merged: a small text gives a smaller vocabulary rather than a learnt accident."""

BYTES = tuple(bytes([value]) for value in range(256))
SMALLEST_VOCABULARY = len(BYTES) + len(SPECIALS)

CONTRACTIONS = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
AFTER_DIGITS = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
BPE_PATTERNS = {
    "qwen2": CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}" + AFTER_DIGITS,
    "llama-bpe": CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}" + AFTER_DIGITS,
    "gpt-2": GPT2_PATTERN,
}
"""How text is cut into words before merging, by the name GGUF files store (llama.cpp `llama-vocab.cpp`)."""

WORDS_PATTERN = r" ?[\p{L}\p{M}]+|\p{N}|[^\s\p{L}\p{M}\p{N}]|\r?\n|[^\S\r\n]+(?!\S)|\s"
"""A word with the space before it; a digit; a mark; a line end; other white space up to the next word's own space."""


def build_bytes(config: BytesTokenizerConfig, texts: Iterable[str]) -> bytes:
    """Write the tokenizer whose ids are byte values; looks at no text."""
    return write_tokenizer_file(BYTES)


def build_chars(config: CharsTokenizerConfig, texts: Iterable[str]) -> bytes:
    """Write a tokenizer with an entry a character; ASCII characters are bytes already."""
    counts: Counter[str] = Counter()
    for text in _learnable(texts):
        counts.update(text)
    return _whole_words(counts, EVERY_CHARACTER, vocab_size=config.vocab_size, min_count=config.min_count)


def build_words(config: WordsTokenizerConfig, texts: Iterable[str]) -> bytes:
    """Write a tokenizer with an entry a word, the space before it included; case is kept."""
    find = regex.compile(WORDS_PATTERN).findall
    counts: Counter[str] = Counter()
    for text in _learnable(texts):
        counts.update(find(text))
        if len(counts) > MAX_COUNTED:
            counts = Counter({word: count for word, count in counts.items() if count > 1})
    return _whole_words(counts, WORDS_PATTERN, vocab_size=config.vocab_size, min_count=config.min_count)


def build_bpe(config: BPETokenizerConfig, texts: Iterable[str]) -> bytes:
    """Write a tokenizer with entries found by merging frequent pairs (Sennrich et al. 2016, arXiv:1508.07909).

    The vocabulary has exactly `config.vocab_size` entries, or fewer where no pair of the text occurs twice.
    """
    pattern = lookup(BPE_PATTERNS, config.pattern, what="tokenizer pattern")
    _check_size(config.vocab_size)
    merges = _learn_merges(_learnable(texts), pattern, vocab_size=config.vocab_size - len(SPECIALS))
    whole = config.pattern == "llama-bpe"  # as llama.cpp does for this pattern
    return _merged(merges, pattern, whole_words=whole)


def build_superbpe(config: SuperBPETokenizerConfig, texts: Iterable[str]) -> bytes:
    """Write a tokenizer whose entries may span words (Liu, Hayase et al. 2025, arXiv:2503.13423).

    The first `config.transition` of the vocabulary is that of `build_bpe`; the rest goes on merging across words.
    The vocabulary has exactly `config.vocab_size` entries, or fewer where no pair of the text occurs twice.
    """
    inside = lookup(BPE_PATTERNS, config.pattern, what="tokenizer pattern")
    across = SUPERWORD_PATTERNS[config.pattern]
    _check_size(config.vocab_size)
    size = config.vocab_size - len(SPECIALS)
    parts = list(_learnable(texts))
    merges = _learn_merges(parts, inside, vocab_size=max(len(BYTES), round(config.transition * size)))
    words, sample = _merged(merges, across), even_part(parts)
    merges += learn_superwords(words, sample, vocab_size=size, min_count=MIN_PAIR_COUNT)
    return _merged(merges, across)


def build_external(config: ExternalTokenizerConfig, texts: Iterable[str]) -> bytes:
    """Write a tokenizer made elsewhere, with `SPECIALS` added; looks at no text."""
    return read_external(config.path, SPECIALS)


KINDS: dict[str, Callable[[Any, Iterable[str]], bytes]] = {
    "bytes": build_bytes,
    "chars": build_chars,
    "words": build_words,
    "bpe": build_bpe,
    "superbpe": build_superbpe,
    "external": build_external,
}
"""Kind -> function of (its config, texts) that returns a tokenizer.json."""


def build_tokenizer(config: TokenizerConfig, texts: Iterable[str]) -> Tokenizer:
    """Build a tokenizer as the settings say, from these texts where the kind learns from text.

    Its `vocab_size` may be smaller than the setting, where the text has no more to learn.

    Raises:
        ConfigError: if there is no such kind, or the vocabulary has no room for the bytes and special tokens.
        DataError: if a text holds a lone surrogate.
        CheckpointError: if an external tokenizer is missing or not accepted.
    """
    return Tokenizer(lookup(KINDS, config.kind, what="tokenizer")(config, texts), kind=config.kind)


def write_tokenizer_file(
    entries: Sequence[bytes],
    *,
    pattern: str = "",
    merges: Sequence[tuple[str, str]] = (),
    whole_words: bool = False,
) -> bytes:
    """Write a byte-level tokenizer.json: ids in the order of `entries`, then `SPECIALS`.

    Args:
        pattern: expression that cuts text into words; "" cuts nothing.
        merges: pairs of entries, spelt in byte-level symbols, in the order they are merged.
        whole_words: take a word that is itself an entry as it is, without merging.
    """
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    spec = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": i, "content": name, **flags} for i, name in enumerate(SPECIALS, len(entries))],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]} if pattern else byte_level,
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": whole_words,
            "vocab": {to_symbols(entry): index for index, entry in enumerate(entries)},
            "merges": [list(pair) for pair in merges],
        },
    }
    return json.dumps(spec, ensure_ascii=False, indent=1).encode()


def _learn_merges(texts: Iterable[str], pattern: str, *, vocab_size: int) -> list[tuple[str, str]]:
    """Return pairs of entries, in byte-level symbols, that make a vocabulary of this size with the 256 bytes."""
    library = tokenizers.Tokenizer(models.BPE())
    library.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(tokenizers.Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=MIN_PAIR_COUNT,
        initial_alphabet=list(byte_symbols()),
        special_tokens=[],
        show_progress=False,
    )
    library.train_from_iterator(texts, trainer)
    return [(left, right) for left, right in json.loads(library.to_str())["model"]["merges"]]


def _merged(merges: Sequence[tuple[str, str]], pattern: str, *, whole_words: bool = False) -> bytes:
    """Write the tokenizer of these merges: the bytes, then what each merge makes, in their order."""
    made = dict.fromkeys(bytes_of_merges(merges))
    return write_tokenizer_file([*BYTES, *made], pattern=pattern, merges=merges, whole_words=whole_words)


def _whole_words(counts: Counter[str], pattern: str, *, vocab_size: int, min_count: int) -> bytes:
    """Write the tokenizer of the most frequent words; single bytes are entries anyway."""
    _check_size(vocab_size)
    words = [(-count, word) for word, count in counts.items() if count >= min_count and len(word.encode()) > 1]
    chosen = [word.encode() for _, word in sorted(words)[: vocab_size - SMALLEST_VOCABULARY]]
    return write_tokenizer_file([*BYTES, *chosen], pattern=pattern, whole_words=True)


def _learnable(texts: Iterable[str]) -> Iterator[str]:
    """Yield the texts a vocabulary is learnt from, long ones in parts."""
    left = LEARN_CHARACTERS
    for text in texts:
        to_bytes(text)
        yield from cut(text[:left])
        left -= len(text)
        if left <= 0:
            return


def _check_size(vocab_size: int) -> None:
    if vocab_size < SMALLEST_VOCABULARY:
        raise ConfigError(
            f"tokenizer.vocab_size = {vocab_size} leaves no room for the {len(BYTES)} bytes and "
            f"{len(SPECIALS)} special tokens.",
            fix=f"set tokenizer.vocab_size to {SMALLEST_VOCABULARY} or more.",
        )
