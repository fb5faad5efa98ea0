"""Errors say what happened and what to do, and keep saying it across processes."""

import pickle

import pytest

from hornbook import errors
from hornbook.errors import ConfigError, HornbookError, ProofError, SettingsError

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, HornbookError)]


def test_an_error_is_two_lines():
    assert str(HornbookError("It broke.", fix="mend it.")) == "It broke.\nfix: mend it."


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not SettingsError])
def test_an_error_survives_the_way_between_processes(kind):
    again = pickle.loads(pickle.dumps(kind("It broke.", fix="mend it.")))
    assert (type(again), again.problem, again.fix) == (kind, "It broke.", "mend it.")


def test_wrong_use_leaves_with_2_and_a_failed_proof_with_1():
    assert ConfigError("a", fix="b").exit_code == 2
    assert ProofError("a", fix="b").exit_code == 1


def test_several_problems_are_told_one_after_the_other():
    both = SettingsError([ConfigError("One.", fix="a."), ConfigError("Two.", fix="b.")])
    assert str(both) == "One.\nfix: a.\nTwo.\nfix: b."
    assert both.exit_code == 2
