"""What was imported from one file: what it is, where it lies now, how to use it, and what was wrong with it."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Imported:
    """One file of an original, brought in.

    Args:
        source: the file.
        kind: what it is, in words.
        written: what it became.
        use: settings that use it, as they are typed.
        findings: what was wrong with it or with how the original used it, a line each.
    """

    source: Path
    kind: str
    written: tuple[Path, ...]
    use: str
    findings: tuple[str, ...]
