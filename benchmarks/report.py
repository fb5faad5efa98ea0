"""What a benchmark says: the machine, versions and commit, then a Markdown table; printed, and kept on request."""

import os
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from hornbook.device import describe_device

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"


def header(title: str, packages: Sequence[str], *, threads: int) -> str:
    """Name everything that the numbers below it depend on."""
    info = describe_device(torch.device("cpu"))
    versions = ", ".join(f"{name} {found}" for name in packages if (found := installed(name)))
    return "\n".join(
        [
            f"# {title}",
            "",
            f"- date: {date.today().isoformat()}, commit {commit()}",
            f"- command: `python {' '.join([f'benchmarks/{Path(sys.argv[0]).name}', *sys.argv[1:]])}`",
            f"- machine: {info.name}, {os.cpu_count()} cores, {info.cpu_capability}; {threads} thread(s) used",
            f"- versions: Python {platform.python_version()}, {versions}",
            "",
        ]
    )


def installed(package: str) -> str | None:
    """Return a package's version, or None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def commit() -> str:
    """Name the commit measured, and whether files differ from it."""

    def git(*arguments: str) -> str:
        return subprocess.check_output(["git", *arguments], cwd=ROOT, text=True).strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + (" with changes" if git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a Markdown table whose columns also line up as plain text."""
    cells = [list(columns), *map(list, rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(columns))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines) + "\n"


def verdict(what: str, ratio: float, target: float) -> str:
    """Compare a ratio with what the project promises."""
    return f"- {what}: **{ratio:.2f}x**, target {target}x: {'reached' if ratio >= target else 'NOT reached'}"


def publish(theme: str, text: str, *, write: bool) -> None:
    """Print a report, and keep it as results/<theme>_<hardware>_<yyyymm>.md if asked to."""
    print(text)
    if write:
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / f"{theme}_{hardware()}_{date.today():%Y%m}.md"
        path.write_text(text, encoding="utf-8")
        print(f"kept in {path.relative_to(ROOT)}")


def hardware() -> str:
    """Name the processor and its cores in a file name: amd-epyc-9654-2c."""
    name = re.sub(
        r"\((R|TM)\)|@.*|\d+-core.*|processor|cpu", " ", describe_device(torch.device("cpu")).name, flags=re.I
    )
    return f"{re.sub(r'[^a-z0-9]+', '-', name.lower()).strip('-')}-{os.cpu_count()}c"
