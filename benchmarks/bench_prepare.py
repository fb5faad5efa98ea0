"""Text to token ids, MB a second: Hornbook's fast path against Hugging Face's encode_batch, one thread each.

    .bench/bin/python benchmarks/bench_prepare.py [--megabytes 10] [--rounds 5] [--write]

Both read the same tokenizer.json, trained on part of the text, and must give identical ids for every document. The
text is the standard library of the Python that runs this, so nothing is downloaded. Time includes the array of ids
that preparing needs.
"""

import os

os.environ["TOKENIZERS_PARALLELISM"] = "false"  # one thread; read when the library is imported
os.environ["RAYON_NUM_THREADS"] = "1"

import argparse
import tempfile
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import tokenizers

from hornbook.config.sections import DataConfig
from hornbook.config.tokenizers import (
    BPETokenizerConfig,
    BytesTokenizerConfig,
    CharsTokenizerConfig,
    SuperBPETokenizerConfig,
    TokenizerConfig,
    WordsTokenizerConfig,
)
from hornbook.data.builtin.python_source import documents
from hornbook.text.tokenizer import TOKENIZER_FILE, Tokenizer
from hornbook.text.tokenizer_kinds import build_tokenizer
from measure import take_turns
from report import header, publish, table, verdict

TARGET = 2.5
WORDS_TARGET = 3.0  # MB a second
TRAIN_EVERY = 10  # the tokenizer learns from every tenth document: its vocabulary hardly changes with more
BATCH = 64


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=float, default=10.0, help="how much text")
    parser.add_argument("--vocabulary", type=int, default=8192, help="size of the BPE vocabulary")
    parser.add_argument("--rounds", type=int, default=5, help="timed turns of each rival")
    parser.add_argument("--write", action="store_true", help="keep the report in benchmarks/results/")
    options = parser.parse_args()

    texts = read_texts(options.megabytes * 1e6)
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    ours = build_tokenizer(BPETokenizerConfig(vocab_size=options.vocabulary), islice(texts, 0, None, TRAIN_EVERY))
    theirs = reload(ours)
    require_same_ids(ours, theirs, texts)
    times = take_turns(
        {
            "Hornbook encode_batch": lambda: encode_ours(ours, texts),
            "tokenizers encode_batch": lambda: encode_theirs(theirs, texts),
        },
        rounds=options.rounds,
    )
    own, other = times.values()
    rows = [
        [name, f"{megabytes / t.cpu_seconds:.2f}", f"{megabytes / t.wall_seconds:.2f}"]
        for name, t in times.items()
    ]
    text = header("Preparing text", ["tokenizers", "tiktoken", "numpy", "hornbook"], threads=1)
    text += f"\n{len(texts):,} documents of Python source, {megabytes:.1f} MB, BPE of {ours.vocab_size:,}; one thread; "
    text += f"medians of {options.rounds} turns; ids identical on every document.\n\n"
    text += table(["engine", "MB / CPU second", "MB / second"], rows)
    text += "\n" + verdict("Hornbook against tokenizers", other.cpu_seconds / own.cpu_seconds, TARGET)
    text += "\n" + every_kind(texts, options.vocabulary, options.rounds)
    publish("prepare", text, write=options.write)


def every_kind(texts: list[str], vocabulary: int, rounds: int) -> str:
    """Measure each kind of tokenizer, its ids compared with the tokenizers library's first."""
    configs: dict[str, TokenizerConfig] = {
        "bytes": BytesTokenizerConfig(),
        "chars": CharsTokenizerConfig(),
        "words": WordsTokenizerConfig(vocab_size=max(vocabulary, 12_000)),
        "bpe": BPETokenizerConfig(vocab_size=vocabulary),
        "superbpe": SuperBPETokenizerConfig(vocab_size=vocabulary),
    }
    built = {name: build_tokenizer(config, texts[::TRAIN_EVERY]) for name, config in configs.items()}
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    for tokenizer in built.values():
        require_same_ids(tokenizer, reload(tokenizer), texts)
    times = take_turns({name: partial(encode_ours, one, texts) for name, one in built.items()}, rounds=rounds)
    rows = [
        [name, f"{built[name].vocab_size:,}", built[name].fast_path, f"{megabytes / spent.cpu_seconds:.2f}"]
        for name, spent in times.items()
    ]
    text = "Every kind by itself, the same documents; ids identical to the library's on every document.\n\n"
    text += table(["kind", "vocabulary", "by", "MB / CPU second"], rows)
    speed = megabytes / times["words"].cpu_seconds
    reached = "reached" if speed > WORDS_TARGET else "NOT reached"
    return text + f"\n- words: **{speed:.2f} MB a second**, target {WORDS_TARGET}: {reached}\n"


def read_texts(wanted_bytes: float) -> list[str]:
    """Read whole documents until there are enough; a small library is read again and again."""
    texts: list[str] = []
    total = 0
    while total < wanted_bytes:
        for text in documents(DataConfig(path="builtin:python")):
            texts.append(text)
            total += len(text)
            if total >= wanted_bytes:
                break
    return texts


def reload(tokenizer: Tokenizer) -> tokenizers.Tokenizer:
    """Read the saved tokenizer.json with Hugging Face's library alone."""
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save(Path(folder))
        theirs = tokenizers.Tokenizer.from_file(str(Path(folder) / TOKENIZER_FILE))
    theirs.encode_special_tokens = True  # text never becomes a special token, as in Hornbook
    return theirs


def encode_ours(tokenizer: Tokenizer, texts: list[str]) -> list[np.ndarray]:
    """Encode in batches with Hornbook's fast path."""
    return [
        np.asarray(ids, dtype=np.uint16)
        for start in range(0, len(texts), BATCH)
        for ids in tokenizer.encode_batch(texts[start : start + BATCH], threads=1)
    ]


def encode_theirs(tokenizer: tokenizers.Tokenizer, texts: list[str]) -> list[np.ndarray]:
    """Encode in batches with Hugging Face's encode_batch."""
    return [
        np.asarray(encoding.ids, dtype=np.uint16)
        for start in range(0, len(texts), BATCH)
        for encoding in tokenizer.encode_batch(texts[start : start + BATCH], add_special_tokens=False)
    ]


def require_same_ids(ours: Tokenizer, theirs: tokenizers.Tokenizer, texts: list[str]) -> None:
    """Stop if any document is encoded differently: a faster wrong answer is no answer."""
    for text, own, other in zip(texts, encode_ours(ours, texts), encode_theirs(theirs, texts), strict=True):
        if not np.array_equal(own, other):
            raise SystemExit(f"the ids differ on the document that begins {text[:60]!r}")


if __name__ == "__main__":
    main()
