"""How a result is written down: one `Score`, and many as JSON or as a Markdown table."""

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal

from hornbook.errors import CheckpointError
from hornbook.units import count_text, percent_text

Unit = Literal["exact match", "nats per token", "perplexity", "bits per byte"]

_COUNTED: dict[Unit, str] = {
    "exact match": "problems",
    "nats per token": "tokens",
    "perplexity": "tokens",
    "bits per byte": "bytes",
}
"""What the count of a score in this unit counts."""


@dataclass(frozen=True, slots=True)
class Score:
    """One measured number.

    Args:
        name: what was measured: a skill, a file, "mean".
        value: the number; an exact match is a share from 0 to 1.
        unit: what the number is; exact match is better when higher, the others when lower.
        count: problems, tokens or bytes it was measured on.
        low: lower end of the 95 % interval, where one is known.
        high: upper end of the 95 % interval, where one is known.
    """

    name: str
    value: float
    unit: Unit
    count: int
    low: float | None = None
    high: float | None = None


def scores_to_json(scores: Iterable[Score]) -> str:
    """Write scores as an indented JSON list; a number that is not finite becomes null, as JSON has none."""
    rows = [{key: _finite(value) for key, value in asdict(score).items()} for score in scores]
    return json.dumps(rows, indent=2, ensure_ascii=False, allow_nan=False)


def scores_from_json(text: str, *, where: str) -> list[Score]:
    """Read what `scores_to_json` wrote; null in place of a value is read as not-a-number.

    Raises:
        CheckpointError: if the text holds no scores; `where` names the file.
    """
    try:
        rows = json.loads(text)
        return [Score(**{**row, "value": math.nan if row["value"] is None else row["value"]}) for row in rows]
    except (ValueError, TypeError, KeyError) as error:
        raise CheckpointError(
            f"{where}: these are not scores ({type(error).__name__}: {error}).",
            fix="delete the file and evaluate again.",
        ) from error


def scores_to_markdown(scores: Iterable[Score]) -> str:
    """Write scores as a Markdown table, one row each; ends with a newline."""
    rows = [("what", "score", "95 % interval", "measured on"), *map(_cells, scores)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    rule = tuple("-" * width for width in widths)
    lines = [rows[0], rule, *rows[1:]]
    return "".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |\n"
        for line in lines
    )


def _finite(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _cells(score: Score) -> tuple[str, str, str, str]:
    """Write one score as the four cells of its row."""
    interval = ""
    if score.low is not None and score.high is not None:
        interval = f"{_number(score.low, score.unit)} to {_number(score.high, score.unit)}"
    value = _number(score.value, score.unit)
    return (
        score.name.replace("|", "\\|"),
        value if score.unit == "exact match" else f"{value} {score.unit}",
        interval,
        f"{count_text(score.count)} {_COUNTED[score.unit]}",
    )


def _number(value: float, unit: Unit) -> str:
    """Write a share as a percentage, anything else with four significant digits."""
    return percent_text(value) if unit == "exact match" else f"{value:.4g}"
