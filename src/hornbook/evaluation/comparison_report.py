"""How a comparison is written down: as JSON, as a table of text, as Markdown."""

from statistics import fmean
from typing import Any

from hornbook.evaluation.compare import Comparison


def comparison_to_json(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison as JSON values."""
    sides = (comparison.first, comparison.second)
    return {
        "models": [
            {
                "name": name,
                "runs": [str(run.folder) for run in side],
                "seeds": [run.seed for run in side],
                "parameters": side[0].parameters,
                "tokens": side[0].tokens,
            }
            for name, side in zip(comparison.names, sides, strict=True)
        ],
        "rows": [
            {
                "name": row.name,
                "unit": row.unit,
                "values": [list(row.first), list(row.second)],
                "means": [fmean(row.first), fmean(row.second)],
                "difference": row.apart.value,
                "low": row.apart.low,
                "high": row.apart.high,
                "verdict": row.verdict,
            }
            for row in comparison.rows
        ],
        "notes": list(comparison.notes),
    }


def comparison_table(comparison: Comparison) -> list[list[str]]:
    """Return a comparison as rows of text, the titles first; shares are in percent, losses in nats per token."""
    one, other = comparison.names
    table = [["", one, other, "difference", "95 % interval", f"{other} is"]]
    for row in comparison.rows:
        scale, digits = (100, 1) if row.unit == "exact match" else (1, 4)
        apart = row.apart
        interval = ""
        if apart.low is not None and apart.high is not None:
            interval = f"{scale * apart.low:+.{digits}f} to {scale * apart.high:+.{digits}f}"
        means = [f"{scale * fmean(values):.{digits}f}" for values in (row.first, row.second)]
        table.append([row.name, *means, f"{scale * apart.value:+.{digits}f}", interval, row.verdict])
    return table


def comparison_to_markdown(comparison: Comparison) -> str:
    """Return a comparison as Markdown: what was compared, what a reader must know, the table."""
    titles, *rows = comparison_table(comparison)
    told = [f"- {line}" for line in (*describe_sides(comparison), *comparison.notes)]
    lines = ["| " + " | ".join(cells) + " |" for cells in (titles, ["---"] * len(titles), *rows)]
    return "\n".join([*told, "", *lines, ""])


def describe_sides(comparison: Comparison) -> list[str]:
    """Say in one line a side what was compared."""
    return [
        f"{name}: {len(side)} run{'s' * (len(side) != 1)} (seed {', '.join(str(run.seed) for run in side)}), "
        f"{side[0].parameters:,} parameters, {side[0].tokens:,} tokens each"
        for name, side in zip(comparison.names, (comparison.first, comparison.second), strict=True)
    ]
