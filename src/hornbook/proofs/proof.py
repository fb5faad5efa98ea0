"""What a proof says, and how a failed one stops everything.

A proof is a run-time check that users run too (`hornbook inspect --prove`): what was claimed, whether it held on
this machine, one sentence that says what was seen, and the number it hung on.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hornbook.errors import ProofError


@dataclass(frozen=True)
class Proof:
    """One claim, tried.

    Args:
        name: the claim, a few words ("causality by gradient").
        passed: whether it held.
        detail: one sentence: what was done and seen; of a failure, what to look at.
        figure: the number it hung on, if there is one.
    """

    name: str
    passed: bool
    detail: str
    figure: float | None = None


def require(proofs: Sequence[Proof], *, subject: str) -> None:
    """Go on only if every proof passed.

    Raises:
        ProofError: naming the first that failed and `subject`, what was being proved.
    """
    failed = [proof for proof in proofs if not proof.passed]
    if failed:
        others = f" ({len(failed) - 1} more failed: {', '.join(p.name for p in failed[1:])})" if failed[1:] else ""
        raise ProofError(
            f"{subject}: {failed[0].name} failed. {failed[0].detail}{others}",
            fix="mend what the sentence names; nothing is trained or trusted before every proof passes.",
        )
