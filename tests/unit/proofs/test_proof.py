import pytest

from hornbook.errors import ProofError
from hornbook.proofs.proof import Proof, require

GOOD = Proof("causality", True, "nothing moved.", 0.0)
BAD = Proof("isolation", False, "Llama sees other documents.", 0.3)
WORSE = Proof("one call equals many", False, "Llama forgets.", 0.9)


def test_proofs_that_all_passed_let_one_go_on():
    require([GOOD, GOOD], subject="Llama")


def test_the_first_that_failed_is_named_with_its_subject():
    with pytest.raises(ProofError, match=r"Llama on cpu: isolation failed. Llama sees other documents.\nfix: "):
        require([GOOD, BAD], subject="Llama on cpu")


def test_the_others_that_failed_are_listed():
    with pytest.raises(ProofError, match=r"\(1 more failed: one call equals many\)"):
        require([BAD, WORSE], subject="Llama on cpu")
