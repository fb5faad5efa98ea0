"""What a source gave, what was left out and why, and when leaving out becomes too much.

A record that cannot be used (not UTF-8, broken JSON, a missing field ...) is skipped and counted by reason; above
`data.max_bad_fraction` of the records reading stops with the first record's own error. Empty documents are no
error: they are left out and counted apart.
"""

import re
from collections import Counter
from typing import Any

from hornbook.errors import DataError
from hornbook.units import percent_text

EARLY_RECORDS = 10_000
"""A hopeless source is stopped before its end, once it has more bad records than this many could have."""

MOST_WORDINGS = 20
"""Reasons that are counted apart."""


class Tally:
    """Counts of one reading of one source.

    Args:
        max_bad_fraction: share of the records that may be skipped.

    Attributes:
        bad: skipped records by the line of the report they are counted under.
        why: the same by what each error says.
    """

    def __init__(self, max_bad_fraction: float) -> None:
        self.used = 0
        self.empty = 0
        self.bad: Counter[str] = Counter()
        self.notes: Counter[str] = Counter()
        self.why: Counter[str] = Counter()
        self._worded: dict[str, str] = {}
        self._max_bad_fraction = max_bad_fraction
        self._first: DataError | None = None

    def skip(self, reason: str, error: DataError) -> None:
        """Count a record that cannot be used, `reason` being the line of the report it is counted under.

        Raises:
            DataError: if no later record could bring the share of bad ones down to what is allowed, or too many
                came early.
        """
        self.bad[reason] += 1
        self.why[self._word(error.problem)] += 1
        self._first = self._first or error
        if self.bad.total() > self._max_bad_fraction * max(self._records(), EARLY_RECORDS):
            raise self._too_many()

    def note(self, what: str, count: int = 1) -> None:
        """Count something harmless that the report should mention."""
        self.notes[what] += count

    def finish(self) -> None:
        """Check the share of bad records at the end of the source.

        Raises:
            DataError: if it is above `max_bad_fraction`, with the first bad record's place and reason.
        """
        if self.bad.total() > self._max_bad_fraction * self._records():
            raise self._too_many()

    def to_json(self) -> dict[str, Any]:
        """Return the counts for the manifest."""
        return {"used": self.used, "empty": self.empty, "bad": dict(self.bad), "notes": dict(self.notes)}

    def _word(self, problem: str) -> str:
        """Say what is wrong without the place; errors that differ in numbers only are worded like the first."""
        said = problem.partition(": ")[2] or problem
        alike = re.sub(r"\d+", "0", said)
        if alike not in self._worded and len(self._worded) >= MOST_WORDINGS:
            return "other reasons"
        return self._worded.setdefault(alike, said)

    def _records(self) -> int:
        return self.used + self.empty + self.bad.total()

    def _too_many(self) -> DataError:
        assert self._first is not None
        count, records = self.bad.total(), self._records()
        if records == 1:
            return self._first
        return DataError(
            f"{self._first.problem} {count:,} of {records:,} records cannot be used, more than "
            f"{percent_text(self._max_bad_fraction)}.",
            fix=f"{self._first.fix.rstrip('.')}; or raise data.max_bad_fraction to skip such records.",
        )
