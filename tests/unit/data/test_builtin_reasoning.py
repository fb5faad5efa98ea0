"""builtin:reasoning as a whole: disjoint, balanced, repeatable, fast."""

import time
from collections import Counter
from itertools import islice

import pytest

from hornbook.config.sections import DataConfig
from hornbook.data.builtin.problem import is_held_out
from hornbook.data.builtin.reasoning import REASONING, SINGLE_SKILLS
from hornbook.errors import ConfigError, DataError

SKILLS = REASONING.skills


@pytest.fixture(scope="module")
def trained_on():
    return list(REASONING.training_problems(20_000))


def test_no_exam_problem_is_among_20_000_training_problems(trained_on):
    trained_keys = {problem.key for problem in trained_on}
    trained_prompts = {problem.prompt for problem in trained_on}
    for skill in SKILLS:
        for problem in REASONING.exam(skill, 200):
            assert problem.key not in trained_keys
            assert problem.prompt not in trained_prompts


def test_no_training_problem_of_any_difficulty_or_seed_is_held_out(trained_on):
    others = [
        p for difficulty in (2, 3) for p in REASONING.training_problems(2_000, difficulty=difficulty, seed=7)
    ]
    assert not any(is_held_out(problem.key) for problem in [*trained_on, *others])


def test_one_prompt_has_one_answer(trained_on):
    answers = {}
    for problem in trained_on:
        assert answers.setdefault(problem.prompt, problem.answer) == problem.answer, problem


def test_every_skill_has_as_many_problems_and_every_task_its_share(trained_on):
    skills = Counter(problem.skill for problem in trained_on)
    assert set(skills.values()) == {len(trained_on) // len(SKILLS)}
    for skill, tasks in SKILLS.items():
        counts = Counter(problem.task for problem in trained_on if problem.skill == skill)
        assert max(counts.values()) - min(counts.values()) <= 1
        assert set(counts) == set(tasks)


def test_the_last_turn_holds_thinking_and_the_known_answer(trained_on):
    for problem in trained_on:
        think, answer = problem.conversation.messages[-2:]
        assert think.role == "think" and think.text
        assert answer.text == problem.answer


def test_easy_conversations_are_short(trained_on):
    lengths = [sum(len(message.text) for message in problem.conversation) for problem in trained_on]
    assert max(lengths) <= 200
    assert sum(lengths) / len(lengths) <= 90


def test_a_problem_can_be_drawn_without_those_before_it():
    earlier = list(REASONING.training_problems(778, difficulty=2, seed=5))
    assert REASONING.training_problem(777, difficulty=2, seed=5) == earlier[777]


def test_another_seed_gives_other_problems():
    first, second = (list(REASONING.training_problems(50, seed=seed)) for seed in (0, 1))
    assert first != second


@pytest.mark.parametrize("skill", SKILLS)
def test_harder_problems_are_longer(skill):
    sizes = []
    for difficulty in (1, 2, 3):
        asked = REASONING.exam(skill, 60, difficulty=difficulty)
        sizes.append(sum(len(message.text) for problem in asked for message in problem.conversation))
    assert sizes == sorted(sizes)


def test_an_exam_asks_different_problems_and_every_task_in_turn():
    problems = REASONING.exam("logic", 100)
    assert len({problem.key for problem in problems}) == 100
    assert set(Counter(problem.task for problem in problems).values()) == {25}
    assert problems == REASONING.exam("logic", 100)


def test_an_exam_longer_than_the_problems_there_are_says_how_many_there_are():
    with pytest.raises(DataError, match="only about .* different held-out problems of dialogue") as caught:
        REASONING.exam("dialogue", 100_000)
    assert "evaluation.problems=" in caught.value.fix


def test_a_misspelt_skill_is_named_with_the_known_ones():
    with pytest.raises(ConfigError, match="no skill named 'math'") as caught:
        REASONING.exam("math", 10)
    assert "did you mean 'maths'" in caught.value.fix


def test_the_source_gives_as_many_conversations_as_the_setting_says():
    assert len(list(REASONING.conversations(DataConfig(problems=17)))) == 17


def test_the_source_streams():
    assert len(list(islice(REASONING.conversations(DataConfig(problems=10**12)), 3))) == 3


def test_the_identity_changes_with_the_settings_that_change_the_text():
    easy, hard = REASONING.identity(DataConfig()), REASONING.identity(DataConfig(difficulty=2))
    assert easy != hard
    assert REASONING.identity(DataConfig(folder="elsewhere")) == easy


def test_drawing_is_fast_enough_to_stream():
    # 20 us each is usual; 200 us, which a busy machine keeps, would still make 60,000 in 12 s.
    started = time.process_time()
    list(REASONING.training_problems(5_000))
    assert time.process_time() - started < 1.0


@pytest.mark.parametrize("skill", SKILLS)
def test_a_single_skill_is_taught_alone_and_asked_the_same(skill):
    course = SINGLE_SKILLS[skill]
    taught = list(course.training_problems(200))
    assert {problem.skill for problem in taught} == {skill}
    assert {problem.task for problem in taught} == set(SKILLS[skill])
    assert not any(is_held_out(problem.key) for problem in taught)
    assert course.exam(skill, 20) == REASONING.exam(skill, 20)


def test_the_identity_of_a_skill_is_the_code_of_its_own_tasks():
    codes = {SINGLE_SKILLS[skill].identity(DataConfig())["code"] for skill in SKILLS}
    assert len(codes) == len(SKILLS)
