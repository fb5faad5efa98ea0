"""`hornbook tokenizer`: what a tokenizer is, and how it cuts a text."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from hornbook.commands.display import AsJson, Settings, show, show_json, show_pieces, show_rows

if TYPE_CHECKING:
    from hornbook.data.vocabulary import VocabularyUse
    from hornbook.text.tokenizer import Tokenizer


def tokenizer(
    place: str, settings: Sequence[str] = (), *, say: Callable[[str], None] | None = None
) -> "Tokenizer":
    """Return the tokenizer of a run or model folder, or of a recipe, whose data is then prepared.

    Args:
        place: folder of a run, of a model or of a tokenizer; or name or path of a recipe.
        settings: "section.name=value" strings, for a recipe.
        say: receives what is done, line by line.

    Raises:
        HornbookError: if there is neither such a folder nor such a recipe, or either cannot be used.
    """
    from pathlib import Path

    from hornbook.commands.prepare import prepare
    from hornbook.storage.artifact import TOKENIZER, find_artifact
    from hornbook.text.tokenizer import TOKENIZER_FILE, load_tokenizer

    folder = Path(place)
    if (folder / TOKENIZER_FILE).is_file():
        return load_tokenizer(folder)
    if folder.is_dir():
        return load_tokenizer(find_artifact(folder) / TOKENIZER)
    return prepare(place, settings, say=say).tokenizer


def command(
    place: Annotated[str, typer.Argument(metavar="RUN|RECIPE", help="Folder of a run, or a recipe.")],
    settings: Settings = None,
    text: Annotated[str | None, typer.Option("--text", help="Text to cut into tokens.")] = None,
    rare: Annotated[bool, typer.Option("--rare", help="Count how the prepared data uses the vocabulary.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show a tokenizer, how it cuts a text, and with --rare how its data uses it."""
    found = tokenizer(place, settings or (), say=None if as_json else show)
    ids = None if text is None else found.encode(text)
    use = vocabulary_use(place, settings or ()) if rare else None
    if as_json:
        about = {
            "kind": found.kind,
            "vocab_size": found.vocab_size,
            "hash": found.hash,
            "specials": found.specials,
        }
        cut = {} if ids is None else {"ids": ids, "bytes": len((text or "").encode())}
        show_json({**about, "sample": sample(found), **cut, **({} if use is None else {"use": asdict(use)})})
        return
    show_rows([["kind", found.kind], ["vocabulary", f"{found.vocab_size:,}"], ["hash", found.hash]])
    show_rows([["specials", ", ".join(f"{name} {index}" for name, index in found.specials.items())]])
    show_rows([["sample", " ".join(map(repr, sample(found))) or "bytes alone"]])
    if use is not None:
        _show_use(use)
    if ids is not None and text is not None:
        _show_cut(found, text, ids)


def sample(tokenizer: "Tokenizer", most: int = 20) -> list[str]:
    """Return the first entries behind the bytes: the most frequent words and characters, or the first merges."""
    ordinary = set(range(256, tokenizer.vocab_size)) - set(tokenizer.specials.values())
    return [tokenizer.decode([index]) for index in sorted(ordinary)[:most]]


def vocabulary_use(place: str, settings: Sequence[str] = ()) -> "VocabularyUse":
    """Count how the training data of a run, or of a recipe, uses its vocabulary.

    Raises:
        HornbookError: if there is no such run or recipe, or its data is gone.
    """
    from pathlib import Path

    from hornbook.commands.prepare import prepare
    from hornbook.data.prepare import find_prepared
    from hornbook.data.vocabulary import vocabulary_use as count
    from hornbook.errors import DataError
    from hornbook.run import load_run
    from hornbook.runlog.paths import RunFolder

    if not Path(place).is_dir():
        return count(prepare(place, settings))
    prepared = find_prepared(load_run(RunFolder(Path(place)).config))
    if prepared is None:
        raise DataError(
            f"The data of {place} is gone, or its sources have changed.", fix="name the recipe instead of the run."
        )
    return count(prepared)


def _show_use(use: "VocabularyUse") -> None:
    """Print how the data uses a vocabulary."""
    show("\nin the training data")
    show_rows(
        [
            ["rarest", ", ".join(f"{text!r} {times:,}" for text, times in use.rarest) or "none"],
            ["never seen", f"{use.unused:,} entries"],
            ["written in bytes", f"{use.spelt_in_all:,} words and characters"],
            ["most often", ", ".join(f"{text!r} {times:,}" for text, times in use.spelt) or "none"],
        ]
    )


def _show_cut(tokenizer: "Tokenizer", text: str, ids: list[int]) -> None:
    """Print the pieces of a text, whole characters only, and what they average."""
    stream = tokenizer.stream()
    pieces = [stream.push(index) for index in ids]
    show()
    show_pieces([(piece, STRIPES[number % len(STRIPES)]) for number, piece in enumerate(pieces)])
    size = len(text.encode())
    average = f", {size / len(ids):.2f} bytes a token" if ids else ""
    show(f"\n{len(ids):,} tokens, {size:,} bytes{average}")


STRIPES = ("black on bright_cyan", "black on bright_yellow", "black on bright_green", "black on bright_magenta")
"""Colours that neighbouring tokens take in turn."""
