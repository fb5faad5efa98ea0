"""How the vocabulary of each kind of tokenizer is found, and written as one tokenizer.json."""

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from hornbook.config.sections import TokenizerConfig
from hornbook.lookup import lookup
from hornbook.text.tokenizer import SPECIALS, Tokenizer
from hornbook.text.tokenizer_file import to_symbols

BYTES = [bytes([value]) for value in range(256)]


def build_bytes(config: TokenizerConfig, texts: Iterable[str]) -> bytes:
    """Write the tokenizer whose ids are byte values; looks at no text."""
    return write_tokenizer_file(BYTES)


KINDS: dict[str, Callable[[Any, Iterable[str]], bytes]] = {"bytes": build_bytes}
"""Kind -> function of (its config, texts) that returns a tokenizer.json."""


def build_tokenizer(config: TokenizerConfig, texts: Iterable[str]) -> Tokenizer:
    """Build a tokenizer as the settings say, from these texts where the kind learns from text.

    Raises:
        ConfigError: if there is no such kind.
        DataError: if a text holds a lone surrogate.
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
