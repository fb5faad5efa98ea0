"""Pickled vocabularies of the originals -> a tokenizer.json that loses nothing.

Two kinds are known: Water's dict of lower-case words, and b_lm's of single characters. Their ids are not kept: the
256 bytes and the twelve special tokens come first and last as in every tokenizer here, and what is no entry is
written in bytes.
"""

import json
import subprocess
import sys
from pathlib import Path

import regex

from hornbook.errors import DataError
from hornbook.exchange.imported import Imported
from hornbook.storage.atomic import write_text
from hornbook.text.tokenizer_file import EVERY_CHARACTER
from hornbook.text.tokenizer_kinds import BYTES, WORDS_PATTERN, write_tokenizer_file

MAX_PICKLE_BYTES = 16 * 2**20
CHILD_SECONDS = 30.0

SPECIAL = regex.compile(r"<\w+>|\[(?:PAD|UNK|BOS|EOS)\]|<\|.*\|>")
WATER_PIECE = regex.compile(r"[0-9]+|[a-z]+|[+\-*/=.,:;?!()\[\]]")
"""What Water's encoder cuts text into; its vocabulary was counted over what stands between blanks instead."""

WORD = regex.compile(r"[\p{L}\p{M}]+")


def import_vocabulary(path: Path, folder: Path) -> Imported:
    """Write the tokenizer of a pickled vocabulary to `folder`/NAME/tokenizer.json.

    Raises:
        DataError: if the file is no pickled dict of str to int; nothing in it is ever run.
    """
    entries = read_pickled(path)
    target = folder / path.stem / "tokenizer.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    specials = [entry for entry in entries if SPECIAL.fullmatch(entry)]
    ordinary = [entry for entry in entries if entry and entry not in specials]
    if all(len(entry) == 1 for entry in ordinary):
        data, findings = _characters(ordinary)
    else:
        data, findings = _words(ordinary)
    write_text(target, data.decode())
    if specials:
        findings.append(
            f"{', '.join(specials[:6])} could never be written: its encoder took them for ordinary text. "
            "The twelve special tokens stand in their place."
        )
    findings.append("a pickle can run anything it likes when it is loaded; what was written instead is JSON.")
    return Imported(
        path, f"vocabulary of {len(entries):,} entries", (target,), f"tokenizer.kind=external tokenizer.path={target}",
        tuple(findings),
    )  # fmt: skip


def read_pickled(path: Path) -> list[str]:
    """Read the keys of a pickled dict of str to int, in the order of their numbers, without running the pickle here.

    Raises:
        DataError: if it is anything else, too large, or takes too long.
    """
    if path.stat().st_size > MAX_PICKLE_BYTES:
        raise _refused(path, f"it has more than {MAX_PICKLE_BYTES:,} bytes")
    child = Path(__file__).with_name("pickle_child.py")
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", str(child), str(path)],
            capture_output=True,
            timeout=CHILD_SECONDS,
            stdin=subprocess.DEVNULL,
            env={},
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _refused(path, f"reading it took more than {CHILD_SECONDS:.0f} seconds") from None
    if done.returncode:
        said = " ".join(done.stderr.decode("utf-8", "replace").split())[-200:]
        raise _refused(path, said or f"the process that read it ended with {done.returncode}")
    pairs = json.loads(done.stdout)
    if all(text.lstrip("-").isdecimal() for text, _ in pairs[:100]) and pairs:
        raise _refused(path, "its keys are numbers in text")
    numbers = [number for _, number in pairs]
    if len(set(numbers)) < len(numbers):
        raise _refused(path, "two of its entries have the same number")
    return [text for text, _ in sorted(pairs, key=lambda pair: int(pair[1]))]


def _characters(entries: list[str]) -> tuple[bytes, list[str]]:
    """Make the tokenizer of a vocabulary of characters; ASCII is bytes already."""
    longer = [entry.encode() for entry in entries if len(entry.encode()) > 1]
    finding = "a character outside it became number 0 or was refused; here it is written in its bytes."
    return write_tokenizer_file([*BYTES, *longer], pattern=EVERY_CHARACTER, whole_words=True), [finding]


def _words(entries: list[str]) -> tuple[bytes, list[str]]:
    """Make the tokenizer of a vocabulary of words: each alone and with the space before it."""
    words = [entry for entry in entries if WORD.fullmatch(entry)]
    pieces = dict.fromkeys(
        spelt.encode() for word in words for spelt in (f" {word}", word) if len(spelt.encode()) > 1
    )
    data = write_tokenizer_file([*BYTES, *pieces], pattern=WORDS_PATTERN, whole_words=True)
    dead = [entry for entry in entries if not WATER_PIECE.fullmatch(entry)]
    numbers = sum(1 for entry in entries if len(entry) > 1 and entry.isdecimal())
    findings = [
        "it knows no capital, no line break, no underscore or brace, and no letter beyond a to z: its encoder deleted "
        "them. Here they are kept, in bytes where there is no entry.",
    ]
    if dead:
        findings.append(
            f"{len(dead):,} of its {len(entries):,} entries, such as {', '.join(map(repr, dead[:3]))}, could never be "
            "produced: it counted what stands between blanks, but encoded letters, digits and marks apart. Left out."
        )
    if numbers:
        findings.append(f"{numbers:,} of its entries are whole numbers; here a number is written digit by digit.")
    return data, findings


def _refused(path: Path, reason: str) -> DataError:
    return DataError(
        f"{path} is no vocabulary that can be trusted: {reason}.",
        fix="give the vocab.pkl of Water or b_lm, a pickled dict of text to number, or train a tokenizer on your data.",
    )
