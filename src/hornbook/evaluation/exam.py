"""Exact match per skill on the held-out problems of a built-in course, with intervals.

The exam asks and marks; who speaks is the caller's matter. An answer counts when it equals the known one letter
by letter, blanks at its ends aside, and the model stopped by itself; the thinking is kept for reading, not marked.
"""

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypedDict

from hornbook.data.builtin import COURSES
from hornbook.data.builtin.course import Course
from hornbook.data.builtin.problem import Problem, Task
from hornbook.data.builtin.reasoning import REASONING
from hornbook.evaluation.report import Score
from hornbook.text.conversation import Conversation
from hornbook.text.template import Reply

Speak = Callable[[list[Conversation]], list[Reply]]
"""Answers every prompt, in order."""

BUILTIN = "builtin:"

EXAMS: dict[str, Course] = {f"{BUILTIN}{name}": course for name, course in COURSES.items()}
"""Source -> the course whose held-out problems a model taught from it is asked."""

_Z = 1.959963984540054
"""The normal quantile that leaves 2.5 % on either side."""


class Mark(TypedDict):
    """The share of right answers among `count`, and its 95 % interval."""

    exact_match: float
    count: int
    low: float
    high: float


class Sample(TypedDict):
    """One problem as it was asked, answered and marked; `question` holds every turn so far."""

    skill: str
    task: str
    question: str
    thinking: str
    answer: str
    expected: str
    correct: bool


class ExamResult(TypedDict):
    """What an exam found; `tasks` is keyed by skill, then by task; `samples` are the first ones of each skill.

    `exam` is a hash of all that was asked: two results with the same one are comparable.
    """

    skills: dict[str, Mark]
    mean_exact_match: float
    tasks: dict[str, dict[str, Mark]]
    samples: list[Sample]
    difficulty: int
    exam: str


def courses_of(paths: Iterable[str]) -> dict[str, Course]:
    """Return the courses among the paths of a run's data, by their names in EXAMS."""
    return {path: EXAMS[path] for path in dict.fromkeys(paths) if path in EXAMS}


def join_courses(courses: Mapping[str, Course]) -> Course:
    """Put the skills of several courses into one, as a model taught all of them is asked.

    A skill of two courses is asked once; where two courses mean different tasks by one name, the later is called
    by its course as well: "sixteen maths".
    """
    skills: dict[str, Mapping[str, Task]] = {}
    for path, course in courses.items():
        for skill, tasks in course.skills.items():
            differs = skills.get(skill, tasks) is not tasks
            skills[f"{path.removeprefix(BUILTIN)} {skill}" if differs else skill] = tasks
    return Course(skills)


def run_exam(
    speak: Speak, *, course: Course = REASONING, problems: int = 100, difficulty: int = 1, samples: int = 1
) -> ExamResult:
    """Ask `problems` held-out problems of every skill and mark the answers.

    Args:
        speak: greedy where figures are to be compared.
        course: whose skills.
        problems: how many of each skill.
        difficulty: 1, 2 or 3, as data.difficulty.
        samples: how many worked samples of each skill to keep, one of each task before a second of any.

    Raises:
        DataError: if there are fewer different held-out problems than asked for.
    """
    skills: dict[str, Mark] = {}
    tasks: dict[str, dict[str, Mark]] = {}
    kept: list[Sample] = []
    everything = hashlib.sha256()
    for skill in course.skills:
        asked = course.exam(skill, problems, difficulty=difficulty)
        everything.update(repr([(problem.key, problem.prompt) for problem in asked]).encode())
        replies = speak([problem.prompt for problem in asked])
        assert len(replies) == len(asked), f"{len(asked)} prompts, but {len(replies)} replies"
        marked = [_mark(problem, reply) for problem, reply in zip(asked, replies, strict=True)]
        skills[skill] = _total(marked)
        names = dict.fromkeys(problem.task for problem in asked)
        tasks[skill] = {name: _total([sample for sample in marked if sample["task"] == name]) for name in names}
        kept += marked[:samples]
    mean = sum(mark["exact_match"] for mark in skills.values()) / len(skills)
    return ExamResult(
        skills=skills,
        mean_exact_match=mean,
        tasks=tasks,
        samples=kept,
        difficulty=difficulty,
        exam=everything.hexdigest(),
    )


def is_right(problem: Problem, reply: Reply) -> bool:
    """Say whether a reply gives the known answer and stops."""
    return reply.stopped and reply.answer.strip() == problem.answer


def wilson_interval(right: int, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a share of `right` in `count` (Wilson 1927, eq. for the score interval).

    Unlike the textbook interval it stays within 0 and 1 and does not shrink to nothing at either end.
    No observations tell nothing: (0, 1).
    """
    assert 0 <= right <= count, f"{right} right of {count}"
    if count == 0:
        return 0.0, 1.0
    share, spread = right / count, _Z * _Z / count
    middle = (share + spread / 2) / (1 + spread)
    half = _Z / (1 + spread) * math.sqrt(share * (1 - share) / count + spread / (4 * count))
    # Rounding could leave the exact 0 or 1 a hair outside its own interval.
    return (0.0 if right == 0 else middle - half), (1.0 if right == count else middle + half)


def exam_scores(skills: Mapping[str, Mark], *, mean: float) -> list[Score]:
    """Turn the marks of an exam into scores, the mean over the skills last."""
    scores = [
        Score(name, mark["exact_match"], "exact match", mark["count"], mark["low"], mark["high"])
        for name, mark in skills.items()
    ]
    return [*scores, Score("mean", mean, "exact match", sum(mark["count"] for mark in skills.values()))]


def _mark(problem: Problem, reply: Reply) -> Sample:
    """Put a problem beside what was answered."""
    return Sample(
        skill=problem.skill,
        task=problem.task,
        question=_asked(problem.prompt),
        thinking=reply.thinking.strip(),
        answer=reply.answer.strip(),
        expected=problem.answer,
        correct=is_right(problem, reply),
    )


def _asked(prompt: Conversation) -> str:
    """Write a lone question as it is, and several turns one under the other with who said them."""
    if len(prompt.messages) == 1:
        return prompt.messages[0].text
    return "\n".join(f"{message.role}: {message.text}" for message in prompt)


def _total(marked: Sequence[Sample]) -> Mark:
    """Count the right ones."""
    right = sum(sample["correct"] for sample in marked)
    low, high = wilson_interval(right, len(marked))
    return Mark(exact_match=right / len(marked) if marked else 0.0, count=len(marked), low=low, high=high)
