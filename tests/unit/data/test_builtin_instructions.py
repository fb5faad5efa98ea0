"""Instructions: the answers are re-derived from the words alone."""

import re
from random import Random

import pytest

from hornbook.data.builtin.instructions import TASKS

DIFFICULTIES = pytest.mark.parametrize("difficulty", [1, 2, 3])


def drafts(name, difficulty):
    return [TASKS[name](Random(f"{name} {number}"), difficulty) for number in range(300)]


@DIFFICULTIES
def test_a_reversed_list_is_the_list_backwards(difficulty):
    for draft in drafts("reverse", difficulty):
        given = draft.question.split(": ")[1]
        assert draft.answer == given[::-1], draft


@DIFFICULTIES
def test_a_sorted_list_is_in_order(difficulty):
    for draft in drafts("sort", difficulty):
        given = draft.question.split(": ")[1]
        assert draft.answer == " ".join(sorted(given.split())), draft


@DIFFICULTIES
def test_an_edited_list_is_what_string_replacement_gives(difficulty):
    for draft in drafts("edit", difficulty):
        given, order = re.fullmatch(r"In (.*): (.*)\.", draft.question).groups()
        if found := re.fullmatch(r"put (\w) for (\w)", order):
            edited = given.replace(found[2], found[1])
        elif found := re.fullmatch(r"double (\w)", order):
            edited = given.replace(found[1], f"{found[1]} {found[1]}")
        else:
            edited = " ".join(given.replace(order.removeprefix("remove "), "").split())
        assert draft.answer == edited, draft


@DIFFICULTIES
def test_recall_gives_the_thing_that_stands_with_the_colour(difficulty):
    for draft in drafts("recall", difficulty):
        told, asked = draft.question.split(". ")
        pairs = dict(re.findall(r"(\w+) (\w+)(?:,|$)", told))
        colour = next(colour for colour in pairs if re.search(rf"\b{colour}\b", asked))
        assert draft.answer == pairs[colour], draft


@DIFFICULTIES
def test_a_count_is_how_often_the_letter_stands_there(difficulty):
    for draft in drafts("count", difficulty):
        given, wanted = re.fullmatch(r"In (.*): (?:how many|count) (\w)[.?]", draft.question).groups()
        assert draft.answer == str(given.count(wanted)), draft


def test_the_running_count_ends_in_the_answer():
    for draft in drafts("count", 1):
        assert draft.thinking.endswith(draft.answer) or draft.answer == "0", draft


def test_easy_lists_are_short_enough_for_a_small_model():
    assert max(len(draft.question.split(": ")[1].split()) for draft in drafts("sort", 1)) <= 6


def test_lists_are_never_empty_after_an_edit():
    assert all(draft.answer for difficulty in (1, 2, 3) for draft in drafts("edit", difficulty))
