"""The exam: what it asks, what it marks as right, and how sure it is."""

import json

import pytest

from hornbook.data.builtin.course import Course
from hornbook.data.builtin.reasoning import REASONING
from hornbook.evaluation.exam import (
    EXAMS,
    courses_of,
    exam_scores,
    is_right,
    join_courses,
    run_exam,
    wilson_interval,
)
from hornbook.text.template import Reply

COUNT = 40
SKILLS = REASONING.skills
KNOWN = {problem.prompt: problem for skill in SKILLS for problem in REASONING.exam(skill, COUNT)}


def knows_everything(prompts):
    return [Reply("thinking", KNOWN[prompt].answer, True) for prompt in prompts]


def knows_maths(prompts):
    return [Reply("", KNOWN[prompt].answer if KNOWN[prompt].skill == "maths" else "?", True) for prompt in prompts]


def never_stops(prompts):
    return [Reply("", KNOWN[prompt].answer, False) for prompt in prompts]


def test_all_right_is_one_with_an_interval_below_it():
    result = run_exam(knows_everything, problems=COUNT)
    assert result["mean_exact_match"] == 1.0
    assert result["skills"]["code"] == {
        "exact_match": 1.0,
        "count": COUNT,
        "low": pytest.approx(0.9124, abs=1e-4),
        "high": 1.0,
    }


def test_the_mean_is_over_skills():
    result = run_exam(knows_maths, problems=COUNT)
    assert result["mean_exact_match"] == pytest.approx(0.2)
    assert {name: mark["exact_match"] for name, mark in result["skills"].items()} == {
        skill: float(skill == "maths") for skill in SKILLS
    }


def test_an_answer_that_never_ends_is_wrong():
    assert run_exam(never_stops, problems=COUNT)["mean_exact_match"] == 0.0


@pytest.mark.parametrize(("answer", "right"), [("{}", True), (" {}\n", True), ("{}.", False), ("", False)])
def test_an_answer_must_equal_the_known_one_but_for_blanks_at_its_ends(answer, right):
    problem = REASONING.exam("maths", 1)[0]
    assert is_right(problem, Reply("", answer.format(problem.answer), True)) is right


def test_the_prompts_hold_neither_the_thinking_nor_the_answer():
    seen = []
    run_exam(lambda prompts: (seen.extend(prompts), knows_everything(prompts))[1], problems=COUNT)
    assert all(prompt.messages[-1].role == "user" for prompt in seen)
    assert len(set(seen)) == COUNT * len(SKILLS)


def test_every_task_has_its_own_mark():
    result = run_exam(knows_everything, problems=COUNT)
    assert {skill: set(marks) for skill, marks in result["tasks"].items()} == {
        s: set(t) for s, t in SKILLS.items()
    }
    for skill, marks in result["tasks"].items():
        assert sum(mark["count"] for mark in marks.values()) == result["skills"][skill]["count"]


def test_the_samples_show_each_skill_as_it_was_marked():
    samples = run_exam(knows_maths, problems=COUNT, samples=1)["samples"]
    assert [sample["skill"] for sample in samples] == list(SKILLS)
    assert [sample["correct"] for sample in samples] == [True, False, False, False, False]
    assert samples[1]["answer"] == "?" != samples[1]["expected"]


def test_a_sample_of_several_turns_says_who_speaks():
    samples = run_exam(knows_everything, problems=COUNT, samples=5)["samples"]
    question = next(sample["question"] for sample in samples if sample["task"] == "remember")
    assert [line.split(": ")[0] for line in question.splitlines()] == ["user", "assistant"] * 2 + ["user"]


def test_the_result_is_json():
    result = run_exam(knows_everything, problems=COUNT)
    assert json.loads(json.dumps(result)) == result


def test_a_speaker_that_loses_a_reply_is_a_broken_invariant():
    with pytest.raises(AssertionError, match="40 prompts, but 39 replies"):
        run_exam(lambda prompts: knows_everything(prompts)[1:], problems=COUNT)


@pytest.mark.parametrize(
    ("right", "count", "low", "high"),
    [
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (5, 10, 0.2366, 0.7634),
        (81, 263, 0.2553, 0.3662),
        (0, 0, 0.0, 1.0),
    ],
)
def test_the_interval_is_wilsons(right, count, low, high):
    # 81 of 263: Newcombe 1998, Statistics in Medicine 17, table I, method 3. The others by the formula, by hand.
    assert wilson_interval(right, count) == pytest.approx((low, high), abs=1e-4)


def test_the_interval_always_holds_the_share():
    for count in (1, 2, 7, 100):
        for right in range(count + 1):
            low, high = wilson_interval(right, count)
            assert 0.0 <= low <= right / count <= high <= 1.0


def test_the_marks_become_scores_with_the_mean_last():
    result = run_exam(knows_maths, problems=COUNT)
    scores = exam_scores(result["skills"], mean=result["mean_exact_match"])
    assert [score.name for score in scores] == [*SKILLS, "mean"]
    assert scores[-1].count == COUNT * len(SKILLS)


def test_a_run_is_asked_the_courses_it_was_taught():
    courses = courses_of(["builtin:maths", "notes.txt", "builtin:python", "builtin:logic", "builtin:maths"])
    assert list(courses) == ["builtin:maths", "builtin:logic"]
    assert list(join_courses(courses).skills) == ["maths", "logic"]
    assert courses_of(["notes.txt"]) == {}


def test_a_skill_of_two_courses_is_asked_once():
    assert list(join_courses(courses_of(["builtin:reasoning", "builtin:code"])).skills) == list(SKILLS)


def test_one_name_for_two_skills_is_told_apart():
    other = Course({"maths": {"addition": REASONING.skills["code"]["loop"]}})
    joined = join_courses({"builtin:reasoning": REASONING, "builtin:other": other})
    assert list(joined.skills) == [*SKILLS, "other maths"]


def test_a_single_skill_is_marked_alone():
    result = run_exam(knows_maths, course=EXAMS["builtin:maths"], problems=COUNT)
    assert list(result["skills"]) == ["maths"]
    assert result["mean_exact_match"] == 1.0
