"""Maths problems: the answers are re-derived from the words alone."""

import re
from random import Random

import pytest

from hornbook.data.builtin.maths import TASKS


def drafts(name, difficulty):
    return [TASKS[name](Random(f"{name} {number}"), difficulty) for number in range(300)]


def solve_story(question):
    total = int(re.search(r"has (\d+)", question)[1])
    if bags := re.search(r"has (\d+) bags of (\d+)", question):
        total = int(bags[1]) * int(bags[2])
    for verb, amount in re.findall(r", (buys|finds|gets|loses|sells|gives away) (\d+)", question):
        total += int(amount) if verb in ("buys", "finds", "gets") else -int(amount)
    return total


@pytest.mark.parametrize("difficulty", [1, 2, 3])
@pytest.mark.parametrize("name", ["add", "subtract", "multiply"])
def test_the_answer_is_what_python_computes(name, difficulty):
    for draft in drafts(name, difficulty):
        found = re.search(r"(\d+) (?:([-+*])|and) (\d+)", draft.question)
        assert draft.answer == str(eval(f"{found[1]}{found[2] or '+'}{found[3]}")), draft


@pytest.mark.parametrize("difficulty", [1, 2, 3])
def test_a_word_problem_answers_what_its_words_say(difficulty):
    for draft in drafts("story", difficulty):
        assert draft.answer == str(solve_story(draft.question)), draft


@pytest.mark.parametrize("difficulty", [1, 2, 3])
@pytest.mark.parametrize("name", sorted(TASKS))
def test_every_step_is_a_true_equation(name, difficulty):
    for draft in drafts(name, difficulty):
        for step in draft.thinking.splitlines():
            left, right = step.split("=")
            assert eval(left) == int(right), draft


@pytest.mark.parametrize("name", ["add", "subtract"])
def test_the_columns_end_in_the_digits_of_the_answer(name):
    for draft in drafts(name, 1):
        columns = re.findall(r"^\d[-+]\d.*=(-?\d+)(?:\n-\d\+10=(\d))?$", draft.thinking, flags=re.MULTILINE)
        results = [int(borrowed or plain) for plain, borrowed in columns]
        digits = [*(number % 10 for number in results[:-1]), results[-1]]
        assert sum(digit * 10**place for place, digit in enumerate(digits)) == int(draft.answer), draft


def test_easy_sums_have_two_and_three_digits():
    lengths = {len(number) for draft in drafts("add", 1) for number in re.findall(r"\d+", draft.question)}
    assert lengths == {2, 3}


def test_a_sum_and_its_mirror_image_are_one_problem():
    facts = {draft.facts for draft in drafts("add", 1)}
    assert all(int(first) <= int(second) for first, second in (fact.split("+") for fact in facts))


def test_nobody_is_left_with_less_than_nothing():
    for difficulty in (1, 2, 3):
        for draft in drafts("story", difficulty):
            assert all(int(step.split("=")[1]) >= 0 for step in draft.thinking.splitlines()), draft
