"""The originals' JSON lines -> JSON lines that `hornbook prepare` reads, every usable record kept.

Water's and b_lm's records are kept as they are, since their shapes are known here. Forge-1's are finished texts with
its special tokens spelt out; those are read back into messages, because in Hornbook the spelling of a special token
in a text is never the token itself.
"""

import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hornbook.data.strict_json import read_json_lines
from hornbook.data.tally import Tally
from hornbook.errors import DataError
from hornbook.exchange.imported import Imported
from hornbook.text.conversation import Conversation, Message
from hornbook.text.records import read_record

MAX_LINE_BYTES = 16 * 2**20

WATER_SHAPES = (("input", "output"), ("prompt", "response"))
WATER_DELETES = re.compile(r"[^a-z0-9.,:;?!()\[\]+\-*/=%^\s]")
"""What Water's normaliser takes out of a text it has made lower-case."""

FORGE_TURNS = re.compile(
    r"<\|bos\|>\s*(?:<\|system\|>(?P<system>.*?)<\|/system\|>\s*)?<\|user\|>(?P<user>.*?)<\|/user\|>\s*"
    r"(?:<\|think\|>(?P<think>.*?)<\|/think\|>|<\|no_think\|>)?\s*"
    r"<\|assistant\|>(?P<assistant>.*?)<\|/assistant\|>\s*(?:<\|eos\|>)?\s*",
    re.DOTALL,
)
"""What Forge-1's preprocessing writes: one question and one answer."""

SPELT_SPECIAL = re.compile(r"<\|/?[a-z_]+\|>")


@dataclass
class _Seen:
    """What a file turned out to hold."""

    shapes: Counter[str] = field(default_factory=Counter)
    losing: int = 0
    lost: int = 0
    several: int = 0
    forged: int = 0


def import_records(path: Path, folder: Path) -> Imported:
    """Write the usable records of a file of JSON lines to `folder`/NAME.

    Raises:
        DataError: if nothing in it can be used.
    """
    tally, seen = Tally(max_bad_fraction=1.0), _Seen()
    target = folder / path.name.removesuffix(".gz")
    target.parent.mkdir(parents=True, exist_ok=True)
    first_problem = ""
    with target.open("w", encoding="utf-8", newline="\n") as file:
        for where, record in read_json_lines(path, max_bytes=MAX_LINE_BYTES, tally=tally):
            try:
                kept = _convert(record, where, seen)
            except DataError as error:
                tally.skip("cannot be used", error)
                first_problem = first_problem or error.problem
                continue
            tally.used += 1
            file.write(json.dumps(kept, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())
    if not tally.used:
        target.unlink()
        raise DataError(
            f"{path}: none of its {tally.bad.total():,} records can be used. {first_problem}".strip(),
            fix="give JSON lines of Water, Forge-1 or b_lm, or train on your own with data.path and data.fields.",
        )
    shapes = ", ".join(f"{count:,} {shape}" for shape, count in seen.shapes.most_common())
    findings = [*_findings(seen), *_skipped(tally, first_problem)]
    return Imported(path, f"records: {shapes}", (target,), f"data.path={target}", tuple(findings))


def parse_forge1(text: str, *, where: str) -> Conversation:
    """Read a finished text of Forge-1 back into the conversation it was made of.

    Raises:
        DataError: if it is not one question and one answer between Forge-1's tokens.
    """
    found = FORGE_TURNS.fullmatch(text)
    if found is None:
        raise DataError(
            f"{where}: the text begins with <|bos|> but is not one question and one answer of Forge-1.",
            fix="write it again with Forge-1's preprocessing, or give the sets it was made of.",
        )
    roles = (("system", "system"), ("user", "user"), ("think", "think"), ("assistant", "assistant"))
    said = ((role, (found[name] or "").strip("\n") if name == "think" else found[name]) for role, name in roles)
    return Conversation(tuple(Message(role, text) for role, text in said if text))  # type: ignore[arg-type]


def _convert(record: Mapping[str, Any], where: str, seen: _Seen) -> Mapping[str, Any]:
    """Return the record to write, counting what it shows."""
    text = record.get("text")
    if isinstance(text, str) and text.lstrip().startswith("<|bos|>"):
        conversation = parse_forge1(text.strip(), where=where)
        seen.shapes["finished texts of Forge-1"] += 1
        seen.forged += any(SPELT_SPECIAL.search(message.text) for message in conversation)
        return {"messages": [{"role": message.role, "content": message.text} for message in conversation]}
    content = read_record(record, where=where, fields={})
    shape = next(
        (keys for keys in (*WATER_SHAPES, ("qText", "answers")) if all(key in record for key in keys)), ()
    )
    seen.shapes[" and ".join(shape) or ("texts" if isinstance(content, str) else "conversations")] += 1
    if shape in WATER_SHAPES:
        whole = "\n".join(str(record[key]) for key in shape)
        kept = WATER_DELETES.sub("", whole.lower())
        seen.losing += WATER_DELETES.search(whole) is not None
        seen.lost += not kept.strip()
    elif shape:
        seen.several += isinstance(record["answers"], list) and len(record["answers"]) > 1
    return record


def _findings(seen: _Seen) -> Iterator[str]:
    unread = seen.shapes["input and output"]
    if unread:
        yield (
            f"{unread:,} records name their texts input and output; Water's trainer reads prompt and response, and "
            "learns empty texts where it does not find them."
        )
    if seen.losing:
        yield (
            f"{seen.losing:,} records hold capitals, line breaks turned to blanks or characters that Water's "
            "normaliser deletes; they are kept here."
        )
    if seen.lost:
        yield f"{seen.lost:,} records would have nothing left after that normaliser."
    if seen.shapes["finished texts of Forge-1"]:
        yield (
            "its conversations were cut to the last question and the last answer before this file was written; "
            "prepare the sets themselves to have them whole."
        )
        yield "its loss counted prompts as well as answers; template forge1 learns thinking, answers and stop tokens."
    if seen.forged:
        yield (
            f"{seen.forged:,} texts spell special tokens themselves, which its tokenizer took for real ones; here "
            "they are ordinary text."
        )
    if seen.several:
        yield f"{seen.several:,} questions have several answers; the run's seed chooses one of each."


def _skipped(tally: Tally, first_problem: str) -> Iterator[str]:
    if tally.bad:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in tally.bad.most_common())
        yield f"left out: {reasons}. {first_problem}".strip()
