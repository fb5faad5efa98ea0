"""Logic problems: the answers are re-derived from the words alone."""

import re
from random import Random

import pytest

from hornbook.data.builtin.logic import TASKS

DIFFICULTIES = pytest.mark.parametrize("difficulty", [1, 2, 3])


def drafts(name, difficulty):
    return [TASKS[name](Random(f"{name} {number}"), difficulty) for number in range(300)]


def truth(text):
    return str(eval(text.replace("true", "True").replace("false", "False"))).lower()


@DIFFICULTIES
def test_a_boolean_answer_is_what_python_computes(difficulty):
    for draft in drafts("boolean", difficulty):
        expression = draft.question.removeprefix("What is ").removeprefix("Evaluate: ").removesuffix("?")
        assert draft.answer == truth(expression), draft


@DIFFICULTIES
def test_every_boolean_step_is_true_and_the_last_is_the_answer(difficulty):
    for draft in drafts("boolean", difficulty):
        for step in draft.thinking.split("; "):
            left, right = step.split(" = ")
            assert truth(left) == right, draft
        assert right == draft.answer


@DIFFICULTIES
def test_the_order_asked_for_is_the_only_one_the_comparisons_allow(difficulty):
    for draft in drafts("ordering", difficulty):
        greater = {
            (a, b) if sign == ">" else (b, a) for a, sign, b in re.findall(r"\b(\w) ([<>]) (\w)\b", draft.question)
        }
        largest, smallest = {a for a, _ in greater}, {b for _, b in greater}
        ends = {"largest": largest - smallest, "smallest": smallest - largest}
        asked = re.search(r"which is the (\w+)\?", draft.question)[1]
        assert ends[asked] == {draft.answer}, draft


@DIFFICULTIES
def test_following_the_rules_ends_at_the_answer(difficulty):
    for draft in drafts("rules", difficulty):
        rules = dict(re.findall(r"(\w) -> (\w)", draft.question))
        place = re.search(r"from (\w)[.?]$", draft.question)[1]
        while place in rules:
            place = rules[place]
        assert place == draft.answer, draft


@DIFFICULTIES
def test_odd_and_even_are_those_of_the_sum(difficulty):
    for draft in drafts("parity", difficulty):
        total = eval(re.search(r"[\d+]+", draft.question)[0])
        assert draft.answer == ("odd" if total % 2 else "even"), draft


def test_the_running_parity_is_right_after_every_digit():
    for draft in drafts("parity", 1):
        total = 0
        for step in draft.thinking.splitlines():
            digit, state = step.split()
            total += int(digit)
            assert state == ("odd" if total % 2 else "even"), draft


def test_a_sum_in_another_order_is_the_same_parity_problem():
    for draft in drafts("parity", 1):
        digits = draft.facts.split("+")
        assert digits == sorted(digits)


def test_both_boolean_answers_are_about_as_common():
    answers = [draft.answer for draft in drafts("boolean", 1)]
    assert 0.3 < answers.count("true") / len(answers) < 0.7
