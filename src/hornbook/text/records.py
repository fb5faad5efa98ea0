"""JSON records in the shapes data sets have -> documents and conversations. What is missing is an error, never ''.

A shape is recognised by its keys, the first of `SHAPES` that fits; data.fields maps other keys instead, and
data.format names one of `FORMATS`, the layouts of data sets that need to be known to be read well.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from hornbook.errors import ConfigError, DataError
from hornbook.lookup import lookup, suggest
from hornbook.text.conversation import Conversation, Message, Role

Content = str | Conversation

FIELD_ROLES = ("text", "input", "output", "system", "thinking", "messages")
"""What data.fields may map."""

_MAPPABLE = {"messages": ("system",), "output": ("input", "system", "thinking"), "text": ()}
"""What each of the main roles may be mapped together with."""

SPEAKERS: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "think": "think",
    "thinking": "think",
    "reasoning": "think",
    "assistant": "assistant",
    "gpt": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "chatgpt": "assistant",
}
"""How data sets name who speaks."""

# OpenThoughts-114k writes begin_of_thought, the models it was made with <think>, Forge-1's own files <|think|>. In
# the first the answer stands in tags of its own; a thought that is never closed is not a thought.
_THOUGHT = re.compile(
    r"\s*(?:<think>(.*?)</think>|<\|begin_of_thought\|>(.*?)<\|end_of_thought\|>|<\|think\|>(.*?)<\|/think\|>)(.*)",
    re.DOTALL,
)
_SOLUTION = re.compile(r"\s*<\|begin_of_solution\|>(.*?)(?:<\|end_of_solution\|>\s*)?", re.DOTALL)
_THOUGHT_TAG = re.compile(r"</?think>|<\|/?think\|>|<\|(?:begin|end)_of_(?:thought|solution)\|>")


class _Record(NamedTuple):
    """A record with what is needed to complain about it and to choose from it."""

    values: Mapping[str, Any]
    where: str
    seed: int

    def has(self, *keys: str) -> bool:
        """True if every key is there and not null."""
        return all(self.values.get(key) is not None for key in keys)

    def text(self, key: str) -> str:
        """Return a field that must be text; a list of texts is joined by newlines."""
        value = _at(self, key)
        if isinstance(value, list) and value and all(isinstance(part, str) for part in value):
            return "\n".join(value)
        return _expect_text(value, f"'{key}'", self)

    def choice(self, key: str, question: str) -> str:
        """Return a field that must be text; of a list of texts (or of objects with a text), one of them.

        Which one is a function of the seed and the question, so every run takes the same.
        """
        value = _at(self, key)
        if isinstance(value, list):
            if not value:
                raise _unfit(self, f"'{key}' is an empty list")
            digest = hashlib.blake2b(f"{self.seed}\n{question}".encode("utf-8", "surrogatepass"), digest_size=8)
            value = value[int.from_bytes(digest.digest(), "big") % len(value)]
            if isinstance(value, dict):
                value = next((value[name] for name in _ANSWER_KEYS if name in value), value)
        return _expect_text(value, f"'{key}'", self)


_ANSWER_KEYS = ("text", "aText", "answer", "content")


def read_record(
    record: Mapping[str, Any], *, where: str, fields: Mapping[str, str], format: str = "auto", seed: int = 0
) -> Content:
    """Turn one JSON object into a document (text) or a conversation.

    Args:
        record: the object. Recognised, in this order: `messages` (role, content), `conversations` (from, value),
            `instruction` with perhaps `input`, and `output` or `response`; `input` and `output`; `prompt` and
            `response`; `question` and `answer`; `qText` and `answers` (one of them is chosen); `text`.
        where: file and line, for messages.
        fields: roles of `FIELD_ROLES` -> dotted paths to keys ("reply.0.text"); empty recognises the shape.
            A list of strings is joined by newlines, except an output, of which one is chosen.
        format: a key of `FORMATS`, or auto to recognise the shape; fields go before it.
        seed: changes which of several answers is chosen.

    Thinking inside an answer, as <think>..</think>, <|begin_of_thought|>..<|end_of_thought|> or
    <|think|>..<|/think|>, becomes a message of its own; a system prompt of blanks is none.

    Raises:
        DataError: naming `where`, the keys found and what to set.
        ConfigError: if data.fields itself makes no sense.
    """
    row = _Record(record, where, seed)
    if fields:
        _check_mapping(fields)
        return _read_mapped(row, fields)
    if format != "auto":
        return lookup(FORMATS, format, what="record format (data.format)")(row)
    for keys, read in SHAPES.items():
        if row.has(*keys):
            return read(row)
    found = ", ".join(map(str, record)) or "nothing"
    raise DataError(
        f"{where}: no known kind of record; it has {found}.",
        fix='name its fields, as in data.fields={input = "prompt", output = "reply.text"}; the names on the left '
        f"are {', '.join(FIELD_ROLES)}.",
    )


def _read_mapped(row: _Record, fields: Mapping[str, str]) -> Content:
    main = next((role for role in _MAPPABLE if role in fields), "")
    if main == "messages":
        return _conversation(row, _messages(row, fields["messages"]), system=_optional(row, fields, "system"))
    if main == "output" and "input" in fields:
        return _exchange(
            row,
            row.text(fields["input"]),
            output=fields["output"],
            system=_optional(row, fields, "system"),
            thinking=_optional(row, fields, "thinking"),
        )
    if main == "text":
        return row.text(fields["text"])
    raise ConfigError(
        f"data.fields maps {', '.join(fields)}, but needs 'text', or 'messages', or 'input' and 'output'.",
        fix='map one of these, as in data.fields={input = "prompt", output = "reply.text"}.',
    )


def _check_mapping(fields: Mapping[str, str]) -> None:
    main = next((role for role in _MAPPABLE if role in fields), "")
    for role in fields:
        if role not in FIELD_ROLES:
            raise ConfigError(f"data.fields maps '{role}', which no record has.", fix=suggest(role, FIELD_ROLES))
        if main and role != main and role not in _MAPPABLE[main]:
            raise ConfigError(
                f"data.fields maps '{role}' besides '{main}', where it has no meaning.",
                fix=f"leave one out; with '{main}' go {', '.join(_MAPPABLE[main]) or 'no others'}.",
            )


def _read_instruction(row: _Record) -> Content:
    question = row.text("instruction")
    if row.has("input") and (more := row.text("input")):
        question = f"{question}\n\n{more}"
    return _exchange(row, question, output="output" if row.has("output") else "response")


def _read_platypus(row: _Record) -> Content:
    """Open-Platypus: Alpaca's instruction, perhaps an input, and output."""
    row.text("output")  # its absence is named as such
    return _read_instruction(row)


def _pair(question: str, answer: str) -> Callable[[_Record], Content]:
    return lambda row: _exchange(row, row.text(question), output=answer)


def _list_of(key: str) -> Callable[[_Record], Content]:
    return lambda row: _conversation(
        row, _messages(row, key), system=_optional(row, {"system": "system"}, "system")
    )


SHAPES: dict[tuple[str, ...], Callable[[_Record], Content]] = {
    ("messages",): _list_of("messages"),
    ("conversations",): _list_of("conversations"),
    ("instruction", "output"): _read_instruction,
    ("instruction", "response"): _read_instruction,
    ("input", "output"): _pair("input", "output"),
    ("prompt", "response"): _pair("prompt", "response"),
    ("question", "answer"): _pair("question", "answer"),
    ("qText", "answers"): _pair("qText", "answers"),
    ("text",): lambda row: row.text("text"),
}
"""Keys a record must have -> how it is read; the first that fits is taken."""


def _read_openhermes(row: _Record) -> Content:
    """OpenHermes-2.5: ShareGPT turns of system, human and gpt, and perhaps a system_prompt beside them."""
    system = _optional(row, {"system": "system_prompt"}, "system")
    return _conversation(row, _messages(row, "conversations"), system=system)


def _read_openthoughts(row: _Record) -> Content:
    """OpenThoughts-114k: ShareGPT with a system prompt, or, in its metadata subset, problem, reasoning, solution.

    The system prompt of the set explains the tags the thinking stands in. They are taken out, so it is as well.
    """
    if row.has("problem", "deepseek_reasoning", "deepseek_solution"):
        asked = [row.text("problem"), row.text("starter_code") if row.has("starter_code") else ""]
        thinking = row.text("deepseek_reasoning").strip()
        question = "\n\n".join(part for part in asked if part)
        return _exchange(row, question, output="deepseek_solution", thinking=thinking)
    system = _optional(row, {"system": "system"}, "system")
    read = _conversation(
        row, _messages(row, "conversations"), system="" if _THOUGHT_TAG.search(system) else system
    )
    for message in read:
        if message.role == "assistant" and (tag := _THOUGHT_TAG.match(message.text.lstrip())):
            raise _unfit(row, f"an answer begins with {tag[0]} that is never closed")
    return read


_FORGE1_PART = re.compile(r"<\|(system|user|think|assistant)\|>(.*?)<\|/\1\|>|<\|no_think\|>", re.DOTALL)


def _read_forge1(row: _Record) -> Content:
    """The file of the first Forge-1: a `text` in which the roles are spelt out, as the template `forge1` writes it."""
    text = row.text("text")
    between = _FORGE1_PART.sub("", text)
    if between.split() != ["<|bos|>", "<|eos|>"]:
        raise _unfit(row, f"'text' is not written as forge1 does, at {' '.join(between.split())[:60]!r}")
    messages = []
    for found in _FORGE1_PART.finditer(text):
        if found[1] == "think":
            messages.append(Message("think", found[2].removeprefix("\n").removesuffix("\n")))
        elif found[1]:
            messages.append(Message(SPEAKERS[found[1]], found[2]))
    return _conversation(row, messages, system="")


FORMATS: dict[str, Callable[[_Record], Content]] = {
    "openhermes": _read_openhermes,
    "platypus": _read_platypus,
    "openthoughts": _read_openthoughts,
    "forge1": _read_forge1,
}
"""Layouts that data.format may name -> how a record of them is read."""


def _exchange(row: _Record, question: str, *, output: str, system: str = "", thinking: str = "") -> Conversation:
    answer = row.choice(output, question)
    messages = [Message("user", question)]
    if thinking:
        messages.append(Message("think", thinking))
    return _conversation(row, [*messages, Message("assistant", answer)], system=system)


def _conversation(row: _Record, messages: list[Message], *, system: str) -> Conversation:
    messages = [message for message in messages if message.role != "system" or message.text.strip()]
    if system.strip() and (not messages or messages[0].role != "system"):
        messages = [Message("system", system), *messages]
    try:
        return Conversation(tuple(_with_thoughts(messages)))
    except DataError as error:
        raise DataError(f"{row.where}: {error.problem}", fix=error.fix) from error


def _with_thoughts(messages: list[Message]) -> Iterator[Message]:
    """Take thinking out of answers; thinking given in a field of its own comes before it."""
    for message in messages:
        found = _THOUGHT.fullmatch(message.text) if message.role == "assistant" else None
        if not found:
            yield message
            continue
        thought, rest = "".join(part or "" for part in found.groups()[:-1]).strip(), found.groups()[-1]
        solution = _SOLUTION.fullmatch(rest)
        if thought:
            yield Message("think", thought)
        yield Message("assistant", (solution[1] if solution else rest).strip())


def _messages(row: _Record, key: str) -> list[Message]:
    turns = _at(row, key)
    if not isinstance(turns, list):
        raise _unfit(row, f"'{key}' is {_kind(turns)}, not a list of messages")
    return [message for number, turn in enumerate(turns, 1) for message in _turn(row, turn, f"{key}.{number - 1}")]


def _turn(row: _Record, turn: Any, path: str) -> Iterator[Message]:
    if not isinstance(turn, dict):
        raise _unfit(row, f"'{path}' is {_kind(turn)}, not an object with a role and a text")
    speaker_key = next((key for key in ("role", "from") if key in turn), None)
    text_key = next((key for key in ("content", "value", "text") if key in turn), None)
    if speaker_key is None or text_key is None:
        raise _unfit(row, f"'{path}' has {', '.join(map(str, turn))}, not role and content, nor from and value")
    speaker = turn[speaker_key]
    role = SPEAKERS.get(speaker.lower()) if isinstance(speaker, str) else None
    if role is None:
        raise _unfit(row, f"'{path}.{speaker_key}' is {speaker!r:.80}, not one of {', '.join(SPEAKERS)}")
    thought = turn.get("reasoning_content")
    if role == "assistant" and thought is not None and (said := _expect_text(thought, "its reasoning", row)):
        yield Message("think", said)
    yield Message(role, _expect_text(turn[text_key], f"'{path}.{text_key}'", row))


def _optional(row: _Record, fields: Mapping[str, str], role: str) -> str:
    """Return a field that may be missing or null; then it is ''."""
    if role not in fields:
        return ""
    value: Any = row.values
    for part in fields[role].split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return "" if value is None else row.text(fields[role])


def _at(row: _Record, path: str) -> Any:
    """Follow a dotted path; numbers enter lists. A key that has the dots in its own name is taken first."""
    if path in row.values:
        return row.values[path]
    value: Any = row.values
    for part in path.split("."):
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            raise _unfit(row, f"no field '{path}' (it has {', '.join(map(str, row.values))})")
    return value


def _expect_text(value: Any, name: str, row: _Record) -> str:
    if isinstance(value, str):
        return value
    raise _unfit(row, f"{name} is {_kind(value)}, not text")


def _kind(value: Any) -> str:
    names = {
        str: "text",
        dict: "an object",
        list: "a list",
        bool: "true or false",
        int: "a number",
        float: "a number",
    }
    return "null" if value is None else names.get(type(value), f"a {type(value).__name__}")


def _unfit(row: _Record, problem: str) -> DataError:
    return DataError(
        f"{row.where}: {problem}.",
        fix="correct the record, or point data.fields at the right key, as in "
        'data.fields={input = "prompt", output = "reply.text"}.',
    )
