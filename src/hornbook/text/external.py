"""Tokenizers made elsewhere: brought into the one form all of ours have."""

import json
from pathlib import Path
from typing import Any

from hornbook.errors import CheckpointError
from hornbook.text.tokenizer_file import MAX_FILE_BYTES

GPT2_FILES = ("vocab.json", "merges.txt")


def read_external(path: str, specials: tuple[str, ...]) -> bytes:
    """Read a tokenizer.json, or GPT-2's vocab.json and merges.txt, and return a tokenizer.json of our form.

    Its ordinary tokens keep their ids. What adds tokens to a text, cuts it short or normalises it (only NFC is
    met with) is taken out, so text comes back as it was; its added tokens all become special, so no text can
    spell them; those of `specials` it lacks are added after its last id. Entries that no merge makes can only be
    special tokens that were not listed, as GPT-2's <|endoftext|>, and become so.

    Args:
        path: the tokenizer.json, or a folder that has it or GPT-2's two files.

    Raises:
        CheckpointError: if it is missing or cannot be read; what it says is checked when it is loaded.
    """
    place = Path(path)
    if place.is_dir() and not (place / "tokenizer.json").is_file():
        vocab, merges = (_read(place / name) for name in GPT2_FILES)
        spec = _gpt2_spec(vocab, merges, where=str(place))
    else:
        place = place / "tokenizer.json" if place.is_dir() else place
        spec = _json(_read(place), where=str(place))
    try:
        return json.dumps(_adapt(spec, specials), ensure_ascii=False).encode()
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(
            f"{place}: its structure is not that of a tokenizer.json ({error!r}).",
            fix="set tokenizer.path to a byte-level BPE tokenizer.json.",
        ) from error


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise OSError(f"it is larger than {MAX_FILE_BYTES:,} bytes")
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(
            f"{path}: the tokenizer cannot be read: {error}.",
            fix=f"set tokenizer.path to a tokenizer.json, or a folder with it or with {' and '.join(GPT2_FILES)}.",
        ) from error


def _json(data: bytes, *, where: str) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{where}: it is not JSON ({error}).", fix="download the file again.") from error


def _gpt2_spec(vocab: bytes, merges: bytes, *, where: str) -> dict[str, Any]:
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": True}
    lines = merges.decode("utf-8", "replace").split("\n")
    pairs = [line.rstrip("\r").split(" ") for line in lines if line.strip() and not line.startswith("#version")]
    return {
        "version": "1.0",
        "added_tokens": [],
        "pre_tokenizer": byte_level,
        "decoder": byte_level,
        "model": {"type": "BPE", "vocab": _json(vocab, where=where), "merges": pairs},
    }


def _adapt(spec: dict[str, Any], specials: tuple[str, ...]) -> dict[str, Any]:
    model = dict(spec["model"])
    vocab = model["vocab"]
    merges = [pair.split(" ") if isinstance(pair, str) else list(pair) for pair in model.get("merges", [])]
    added = [(token["content"], token["id"]) for token in spec.get("added_tokens") or []]
    if not model.get("ignore_merges"):
        made = {"".join(pair) for pair in merges} | {name for name, _ in added}
        added += [(name, index) for name, index in vocab.items() if len(name) > 1 and name not in made]
    names = {name for name, _ in added}
    first_free = len(vocab.keys() | names)
    missing = [name for name in specials if name not in names]
    added += [(name, index) for index, name in enumerate(missing, first_free)]
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    normalizer = spec.get("normalizer")
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": index, "content": name, **flags} for name, index in sorted(added, key=lambda a: a[1])
        ],
        "normalizer": None if normalizer == {"type": "NFC"} else normalizer,
        "pre_tokenizer": spec["pre_tokenizer"],
        "post_processor": None,
        "decoder": spec["decoder"],
        "model": {
            **model,
            "type": model.get("type", "BPE"),
            "unk_token": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "merges": merges,
        },
    }
