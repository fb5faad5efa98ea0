"""Which `tokenizer.json` files are accepted, and what they say.

The Hugging Face library loads far more than can be trusted: regular expressions that never return, chains of
replacements that grow without end, doubled or absurd ids, rules that lose text. A small schema of our own is
checked first; what it lets through is lossless by construction.
"""

import json
import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from hornbook.errors import CheckpointError

MAX_FILE_BYTES = 64 * 2**20
MAX_ENTRIES = 2**20
MAX_ENTRY_BYTES = 2**16
MAX_PATTERN_CHARACTERS = 4096

EVERY_CHARACTER = r"[\s\S]"
"""The pattern that makes every character a word."""

LINE_ENDS = r"\s*[\r\n]+"
"""What a pattern says that makes the white space up to the last line end of a run a word of its own."""

GPT2_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
"""What ByteLevel cuts by when it cuts at all (Radford et al. 2019)."""


@dataclass(frozen=True)
class TokenizerFile:
    """What an accepted tokenizer.json says.

    Attributes:
        entries: the bytes of every id; b"" for special tokens.
        specials: special tokens by name.
        pattern: the expression that cuts text into words before merging; "" where nothing is cut.
        whole_words: a word that is itself an entry is taken as it is, without merging.
        num_merges: how many merges there are.
        merges_in_order: every merge makes an entry of its own, in the order of the ids.
    """

    entries: list[bytes]
    specials: dict[str, int]
    pattern: str
    whole_words: bool
    num_merges: int
    merges_in_order: bool


@cache
def byte_symbols() -> str:
    """Return the 256 characters that stand for the byte values in a byte-level tokenizer.json.

    Printable bytes stand for themselves, the others follow from U+0100 on (Radford et al. 2019, GPT-2).
    """
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    spare = iter(range(0x100, 0x200))
    return "".join(chr(byte if byte in printable else next(spare)) for byte in range(256))


@cache
def _bytes_of_symbols() -> dict[str, int]:
    return {symbol: byte for byte, symbol in enumerate(byte_symbols())}


def to_symbols(data: bytes) -> str:
    """Spell bytes the way a byte-level tokenizer.json does."""
    symbols = byte_symbols()
    return "".join(symbols[byte] for byte in data)


def read_tokenizer_file(data: bytes, *, where: str) -> TokenizerFile:
    """Check a tokenizer.json and return what it says.

    Args:
        data: the whole file.
        where: its name, for messages.

    Raises:
        CheckpointError: if it is no byte-level tokenizer, is not lossless, or is not safe to load.
    """
    if len(data) > MAX_FILE_BYTES:
        raise _refused(where, f"it has {len(data):,} bytes, more than {MAX_FILE_BYTES:,}")
    try:
        spec = json.loads(data)
        return _read(spec, where)
    except (ValueError, RecursionError) as error:
        raise _refused(where, f"it is not JSON ({error})") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise _refused(where, f"its structure is not that of a tokenizer.json ({error!r})") from error


def _read(spec: dict[str, Any], where: str) -> TokenizerFile:
    model = spec["model"]
    if model.get("type", "BPE") != "BPE" or "merges" not in model:
        raise _refused(where, f"its model is '{model.get('type')}', not byte-level BPE")
    for key in ("dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback"):
        if model.get(key):
            raise _refused(where, f"its model sets '{key}', which byte-level tokenizers do not")
    for key in ("normalizer", "post_processor", "truncation", "padding"):
        if spec.get(key) is not None:
            raise _refused(where, f"it has a {key}, so text might not come back as it was")
    if (spec.get("decoder") or {}).get("type") != "ByteLevel":
        raise _refused(where, "its decoder is not ByteLevel")
    pattern = _pattern(spec["pre_tokenizer"], where)
    entries = _entries(model["vocab"], where)
    words, merges = len(entries), model["merges"]
    made = [model["vocab"][left + right] for left, right in merges]
    specials: dict[str, int] = {}
    for token in sorted(spec["added_tokens"], key=lambda added: int(added["id"])):
        _add(token, entries, specials, where)
    whole_words = bool(model.get("ignore_merges"))
    if whole_words and min(specials.values(), default=words) < words:
        raise _refused(where, "a special token is also an ordinary word, so text could forge it")
    in_order = made == sorted(set(made)) and len(made) == sum(len(entry) > 1 for entry in entries)
    return TokenizerFile(entries, specials, pattern, whole_words, len(made), in_order)


def _entries(vocab: dict[str, int], where: str) -> list[bytes]:
    """Bytes of the ids 0 .. n-1 of the model's vocabulary."""
    if len(vocab) > MAX_ENTRIES:
        raise _refused(where, f"it has {len(vocab):,} entries, more than {MAX_ENTRIES:,}")
    if sorted(vocab.values()) != list(range(len(vocab))):
        raise _refused(where, f"its ids are not the numbers 0 to {len(vocab) - 1}, each once")
    table = _bytes_of_symbols()
    entries = [b""] * len(vocab)
    for symbols, index in vocab.items():
        if not 0 < len(symbols) <= MAX_ENTRY_BYTES:
            raise _refused(where, f"entry {index} is empty or longer than {MAX_ENTRY_BYTES:,} bytes")
        if not all(symbol in table for symbol in symbols):
            raise _refused(where, f"entry {index}, '{symbols[:40]}', is not spelt in byte-level symbols")
        entries[index] = bytes(table[symbol] for symbol in symbols)
    missing = set(range(256)) - {entry[0] for entry in entries if len(entry) == 1}
    if missing:
        raise _refused(where, f"{len(missing)} of the 256 bytes have no entry, so some text cannot be written")
    return entries


def _add(token: dict[str, Any], entries: list[bytes], specials: dict[str, int], where: str) -> None:
    """Enter one added token: after the model's entries, or in place of the one it repeats."""
    name, index = token["content"], token["id"]
    if index > len(entries) or not name or name in specials:
        raise _refused(where, f"added token '{name}' has id {index}, which leaves a hole or doubles a token")
    if index < len(entries) and entries[index] != name.encode():
        raise _refused(where, f"added token '{name}' takes the id {index} of another entry")
    if token.get("lstrip") or token.get("rstrip"):
        raise _refused(where, f"added token '{name}' swallows the white space around it")
    if not token["special"]:
        raise _refused(where, f"added token '{name}' is not marked special, so text could forge it")
    if index == len(entries):
        entries.append(b"")
    entries[index] = b""
    specials[name] = index


def _pattern(spec: dict[str, Any], where: str) -> str:
    """Return the expression a pre_tokenizer cuts by: a Split followed by ByteLevel, or ByteLevel alone."""
    steps = spec["pretokenizers"] if spec["type"] == "Sequence" else [spec]
    if [step["type"] for step in steps] not in (["ByteLevel"], ["Split", "ByteLevel"]):
        raise _refused(where, "its pre_tokenizer is not one Split followed by ByteLevel")
    if steps[-1]["add_prefix_space"]:
        raise _refused(where, "it adds a space in front of text")
    if steps[-1].get("use_regex", True):
        if len(steps) > 1:
            raise _refused(where, "its pre_tokenizer cuts text twice")
        return GPT2_PATTERN
    if len(steps) == 1:
        return ""
    split = steps[0]
    kept = (split["behavior"], split["invert"])
    if kept not in (("Isolated", False), ("Removed", True)):
        raise _refused(where, f"its Split is {kept[0]}, which loses text")
    pattern = split["pattern"]["Regex"]
    if not isinstance(pattern, str) or len(pattern) > MAX_PATTERN_CHARACTERS or not _is_tame(pattern):
        raise _refused(where, "its pattern repeats a group or refers back, which can take for ever on some text")
    return pattern


def _is_tame(pattern: str) -> bool:
    """True if no group is repeated without end and nothing refers back: then matching is not exponential."""
    if re.search(r"\\[1-9kg]", pattern):
        return False
    plain = re.sub(r"\\.", "x", pattern)
    plain = re.sub(r"\[\^?\]?[^\]]*\]", "x", plain)
    return not re.search(r"\)[*+{]", plain)


def _refused(where: str, reason: str) -> CheckpointError:
    return CheckpointError(
        f"{where}: this tokenizer cannot be used: {reason}.",
        fix="use a byte-level BPE tokenizer.json, as GPT-2, Llama 3 and Qwen have, or build one (tokenizer.kind=bpe).",
    )
