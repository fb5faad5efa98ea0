"""How a conversation is written as ids, which of them are learnt, and how a reply is read back.

One renderer serves training and talking, so a prompt is exactly the prefix training saw. A template turns a
conversation into pieces; every piece is encoded on its own, so no token ever straddles the border between what
is given and what is learnt, whatever the tokenizer.

Where a model stops: `forge1` learns both <|/assistant|>, after every answer, and <|eos|>, once at the end of the
conversation; talking stops at whichever comes first. `plain` and `text` end every answer with <|eos|>.
In `plain` and `text` roles are ordinary words, so a user can imitate them; in `forge1` nobody can.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from hornbook.errors import DataError
from hornbook.lookup import lookup
from hornbook.text.conversation import Conversation
from hornbook.text.tokenizer import Tokenizer

Learn = Literal["answers", "everything"]


class Piece(NamedTuple):
    """A stretch of a rendered conversation: ordinary text, or one special token by name."""

    text: str
    learn: bool = False
    special: bool = False


@dataclass(frozen=True, slots=True)
class Rendered:
    """A conversation or document as ids; `learn[i]` says whether `ids[i]` is a target that counts."""

    ids: list[int]
    learn: list[bool]


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model answered; `stopped` is False if it was cut short."""

    thinking: str
    answer: str
    stopped: bool


@dataclass(frozen=True, slots=True)
class Template:
    """How one template writes conversations and reads replies.

    Attributes:
        write: pieces of a conversation; one that ends with the user's turn ends where the model begins.
        opening: pieces that make the model think (True) or answer at once (False).
        stops: special tokens that end a reply.
        read: thinking and answer of a reply, given its text with stops removed and special tokens spelt by
            `Piece`s, and what its opening was.
    """

    write: Callable[[Conversation], Iterator[Piece]]
    opening: Callable[[bool], Iterable[Piece]]
    stops: tuple[str, ...]
    read: Callable[[Sequence[Piece], bool | None], tuple[str, str]]


def _special(name: str, *, learn: bool = False) -> Piece:
    return Piece(f"<|{name}|>", learn, True)


def _newline(*, learn: bool = False) -> Piece:
    return Piece("\n", learn)


def _turns(conversation: Conversation) -> Iterator[tuple[str, str]]:
    """Yield role and text with one `think` before every answer; where there was none, or only blanks, it is ''."""
    thought = False
    for role, text in ((message.role, message.text) for message in conversation):
        if role == "assistant" and not thought:
            yield "think", ""
        yield role, "" if role == "think" and not text.strip() else text
        thought = role == "think"


def _write_forge1(conversation: Conversation) -> Iterator[Piece]:
    yield from (_special("bos"), _newline())
    for role, text in _turns(conversation):
        if role == "think" and not text:
            yield from (_special("no_think", learn=True), _newline(learn=True))
            continue
        learn = role in ("think", "assistant")
        around = [_newline(learn=True)] if role == "think" else []
        yield from (_special(role, learn=learn), *around, Piece(text, learn), *around)
        yield from (_special(f"/{role}", learn=learn), _newline(learn=learn))
    if conversation.answered:
        yield _special("eos", learn=True)


def _open_forge1(think: bool) -> Iterable[Piece]:
    return _special("think" if think else "no_think"), _newline()


def _read_forge1(pieces: Sequence[Piece], think: bool | None) -> tuple[str, str]:
    thinking, answer, part = "", "", "think" if think else "answer"
    for text, _, special in pieces:
        if special:
            part = {"<|think|>": "think", "<|/think|>": "between", "<|no_think|>": "between"}.get(text, "answer")
        elif part == "think":
            thinking += text
        elif part == "answer":
            answer += text
    return thinking.removeprefix("\n").removesuffix("\n"), answer


_LABELS = {"system": "System:", "user": "User:", "think": "Thinking:", "assistant": "Assistant:"}


def _write_plain(conversation: Conversation) -> Iterator[Piece]:
    before = ""
    for role, text in _turns(conversation):
        if role == "think" and not text:
            continue
        if before == "assistant":
            yield _newline()
        learn = role in ("think", "assistant")
        yield from (Piece(_LABELS[role], learn), Piece(f" {text}", learn))
        yield _special("eos", learn=True) if role == "assistant" else _newline(learn=learn)
        before = role


def _open_plain(think: bool) -> Iterable[Piece]:
    return (Piece(_LABELS["think" if think else "assistant"]),)


def _read_plain(pieces: Sequence[Piece], think: bool | None) -> tuple[str, str]:
    text = "".join(piece.text for piece in pieces if not piece.special)
    if think is None:
        think = text.startswith(_LABELS["think"])
        text = text.removeprefix(_LABELS["think" if think else "assistant"])
    thinking, _, answer = text.partition(f"\n{_LABELS['assistant']}") if think else ("", "", text)
    return thinking.removeprefix(" "), answer.removeprefix(" ")


def _write_text(conversation: Conversation) -> Iterator[Piece]:
    for role, text in _turns(conversation):
        if role == "think" and not text:
            continue
        learn = role in ("think", "assistant")
        yield Piece(text, learn)
        yield _special("eos", learn=True) if role == "assistant" else _newline(learn=learn)


def _open_text(think: bool) -> Iterable[Piece]:
    return ()


def _read_text(pieces: Sequence[Piece], think: bool | None) -> tuple[str, str]:
    return "", "".join(piece.text for piece in pieces if not piece.special)


TEMPLATES = {
    "text": Template(_write_text, _open_text, ("<|eos|>",), _read_text),
    "forge1": Template(_write_forge1, _open_forge1, ("<|/assistant|>", "<|eos|>"), _read_forge1),
    "plain": Template(_write_plain, _open_plain, ("<|eos|>",), _read_plain),
}
"""Template name -> how it writes and reads."""


def render(
    template: str, conversation: Conversation, tokenizer: Tokenizer, *, learn: Learn = "answers"
) -> Rendered:
    """Write an answered conversation as ids, with the mask of what is learnt.

    Args:
        learn: `answers` learns everything the model must write itself after a user's turn: thinking, answer, the
            tokens that open and close them, the stop token; `everything` learns prompts as well.

    Raises:
        ConfigError: if there is no such template.
        DataError: if the conversation does not end with an answer, or holds a lone surrogate.
    """
    return render_batch(template, [conversation], tokenizer, learn=learn)[0]


def render_batch(
    template: str,
    conversations: Sequence[Conversation],
    tokenizer: Tokenizer,
    *,
    learn: Learn = "answers",
    threads: int = 1,
) -> list[Rendered]:
    """Write many conversations: the same as `render` of each, on the fast path."""
    writer = lookup(TEMPLATES, template, what="template").write
    for conversation in conversations:
        if not conversation.answered:
            raise DataError(
                f"The conversation ends with '{conversation.messages[-1].role}', so there is no answer to learn.",
                fix="end it with an assistant message.",
            )
    written = [list(writer(conversation)) for conversation in conversations]
    ids = iter(_encode([piece for pieces in written for piece in pieces], tokenizer, threads=threads))
    rendered = []
    for pieces in written:
        row = Rendered([], [])
        for piece in pieces:
            piece_ids = next(ids)
            row.ids.extend(piece_ids)
            row.learn.extend([piece.learn or learn == "everything"] * len(piece_ids))
        rendered.append(row)
    return rendered


def written(template: str, conversation: Conversation) -> str:
    """Return a conversation as a template writes it, special tokens spelt out: for files and for reading.

    Text, not ids: a user's words may spell a special token too, so only `render` is safe to train from.

    Raises:
        ConfigError: if there is no such template.
    """
    return "".join(piece.text for piece in lookup(TEMPLATES, template, what="template").write(conversation))


def render_prompt(
    template: str, conversation: Conversation, tokenizer: Tokenizer, *, think: bool | None = None
) -> list[int]:
    """Write a conversation that waits for an answer: exactly what training saw before the first learnt token.

    Args:
        think: True makes the model think first, False makes it answer at once, None leaves it the choice.

    Raises:
        ConfigError: if there is no such template.
        DataError: if the last message is not the user's, or the text holds a lone surrogate.
    """
    chosen = lookup(TEMPLATES, template, what="template")
    if conversation.messages[-1].role != "user":
        raise DataError(
            f"The conversation ends with '{conversation.messages[-1].role}', so there is nothing to answer.",
            fix="end it with a user message.",
        )
    pieces = [*chosen.write(conversation), *(chosen.opening(think) if think is not None else ())]
    return [index for ids in _encode(pieces, tokenizer) for index in ids]


def stop_ids(template: str, tokenizer: Tokenizer) -> frozenset[int]:
    """Return the ids that end a reply."""
    return frozenset(tokenizer.specials[name] for name in lookup(TEMPLATES, template, what="template").stops)


def parse_reply(template: str, ids: Sequence[int], tokenizer: Tokenizer, *, think: bool | None = None) -> Reply:
    """Read what a model wrote after a prompt, up to its first stop token.

    Args:
        think: what `render_prompt` was given.
    """
    chosen = lookup(TEMPLATES, template, what="template")
    stops = stop_ids(template, tokenizer)
    end = next((position for position, index in enumerate(ids) if index in stops), len(ids))
    thinking, answer = chosen.read(_pieces(ids[:end], tokenizer), think)
    return Reply(thinking, answer, stopped=end < len(ids))


def text_document(text: str, tokenizer: Tokenizer) -> Rendered:
    """Write a document: its ids, then <|eos|>, everything learnt.

    Raises:
        DataError: if the text holds a lone surrogate.
    """
    ids = [*tokenizer.encode(text), tokenizer.eos_id]
    return Rendered(ids, [True] * len(ids))


def text_prompt(text: str, tokenizer: Tokenizer) -> list[int]:
    """Write the beginning of a document; an empty one begins after the <|eos|> of the document before.

    Raises:
        DataError: if the text holds a lone surrogate.
    """
    return tokenizer.encode(text) or [tokenizer.eos_id]


def _encode(pieces: Sequence[Piece], tokenizer: Tokenizer, *, threads: int = 1) -> Iterator[Sequence[int]]:
    """Encode each piece on its own; a text that occurs more than once, as headings do, only once."""
    texts = list(dict.fromkeys(piece.text for piece in pieces if not piece.special))
    ids = dict(zip(texts, tokenizer.encode_batch(texts, threads=threads), strict=True))
    for piece in pieces:
        yield [tokenizer.specials[piece.text]] if piece.special else ids[piece.text]


def _pieces(ids: Sequence[int], tokenizer: Tokenizer) -> list[Piece]:
    """Cut ids at special tokens, back into pieces."""
    names = {index: name for name, index in tokenizer.specials.items()}
    pieces: list[Piece] = []
    run: list[int] = []
    for index in ids:
        if index in names:
            pieces += [Piece(tokenizer.decode(run)), Piece(names[index], special=True)]
            run = []
        else:
            run.append(index)
    return [*pieces, Piece(tokenizer.decode(run))]
