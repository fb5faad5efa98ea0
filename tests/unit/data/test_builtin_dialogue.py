"""Dialogue: the answers are re-derived from the turns alone."""

import re
from random import Random

import pytest

from hornbook.data.builtin.dialogue import TASKS

DIFFICULTIES = pytest.mark.parametrize("difficulty", [1, 2, 3])


def drafts(name, difficulty):
    return [TASKS[name](Random(f"{name} {number}"), difficulty) for number in range(300)]


def name_in(question):
    found = re.match(r"Hi, I am (\w+)\. |Hello, (\w+) here\. |My name is (\w+)\. ", question)
    return next(filter(None, found.groups())) if found else ""


@pytest.mark.parametrize("task", ["identity", "small_talk"])
def test_a_name_that_was_given_is_in_the_answer(task):
    for draft in drafts(task, 1):
        name = name_in(draft.question)
        assert not name or f", {name}" in draft.answer, draft


@pytest.mark.parametrize("task", ["identity", "small_talk"])
def test_nobody_has_to_give_a_name(task):
    nameless = [draft for draft in drafts(task, 1) if not name_in(draft.question)]
    assert nameless
    assert all("{" not in draft.answer for draft in nameless)


def test_the_model_is_called_hornbook():
    for draft in drafts("identity", 1):
        if "name" in draft.question.split(". ")[-1] or "Who" in draft.question:
            assert "I am Hornbook" in draft.answer, draft


@pytest.mark.parametrize("task", ["identity", "small_talk"])
def test_the_answer_follows_from_the_words_without_the_name(task):
    answers = {}
    for draft in drafts(task, 1):
        said = re.sub(r"^(Hi, I am|Hello,|My name is) \w+( here)?\. ", "", draft.question)
        answers.setdefault(said, set()).add(draft.answer.replace(f", {name_in(draft.question)}", "", 1))
    assert all(len(kinds) <= 2 for kinds in answers.values())


@DIFFICULTIES
def test_what_is_asked_for_was_told_in_an_earlier_turn(difficulty):
    about = {
        "What is my name?": "My name is", "What is my cat called?": "My cat is called", "Where do I live?": "I live in",
        "What is my dog called?": "My dog is called", "Which colour do I like?": "I like the colour",
        "What do I love to eat?": "I love", "What is my job?": "I work as a",
    }  # fmt: skip
    for draft in drafts("remember", difficulty):
        told = [user for user, _ in draft.earlier if user.startswith(about[draft.question])]
        assert told == [f"{about[draft.question]} {draft.answer}."], draft
        assert draft.answer not in draft.question


@DIFFICULTIES
def test_a_number_told_earlier_is_kept_up_to_date(difficulty):
    for draft in drafts("update", difficulty):
        total = int(re.search(r"\d+", draft.earlier[0][0])[0])
        for user, _ in draft.earlier[1:]:
            amount = int(re.search(r"\d+", user)[0])
            total += amount if "get" in user else -amount
        assert draft.answer == str(total), draft
        assert total >= 0


@DIFFICULTIES
def test_it_means_the_earlier_answer(difficulty):
    for draft in drafts("refer", difficulty):
        ((question, answered),) = draft.earlier
        a, b = map(int, re.findall(r"\d+", question))
        it = max(a, b) if "larger" in question else min(a, b)
        amount = int(re.search(r"\d+", draft.question)[0])
        assert answered == str(it)
        assert draft.answer == str(it + amount if "Add" in draft.question else it - amount), draft


def test_the_facts_do_not_depend_on_the_opening():
    facts = {}
    for number in range(3000):
        draft = TASKS["identity"](Random(number), 1)
        facts.setdefault(draft.facts, set()).add(draft.question)
    assert max(map(len, facts.values())) == 3
