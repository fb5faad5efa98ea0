"""builtin:reasoning: graded problems with known answers and worked thinking, in five skills.

Every problem is a pure function of (seed, index, difficulty): any of them can be drawn without the others, on any
machine. Training and exam never share one: see `problem.is_held_out`.
"""

import hashlib
import inspect
import sys
from collections.abc import Iterator
from itertools import cycle
from random import Random

from hornbook.config.sections import DataConfig
from hornbook.data.builtin import code, dialogue, instructions, logic, maths, problem
from hornbook.data.builtin.problem import Problem, Task, is_held_out
from hornbook.errors import DataError
from hornbook.lookup import lookup
from hornbook.text.conversation import Conversation

SKILLS: dict[str, dict[str, Task]] = {
    "maths": maths.TASKS,
    "logic": logic.TASKS,
    "instructions": instructions.TASKS,
    "dialogue": dialogue.TASKS,
    "code": code.TASKS,
}

_PATIENCE = 300
"""Held-out draws in a row that bring nothing new before a task counts as used up."""


def training_problems(count: int, *, difficulty: int = 1, seed: int = 0) -> Iterator[Problem]:
    """Yield `count` problems to train on, as many of each skill, and within a skill of each task.

    Small tasks repeat themselves, as real text does; none is ever held out.
    """
    for index in range(count):
        yield training_problem(index, difficulty=difficulty, seed=seed)


def training_problem(index: int, *, difficulty: int = 1, seed: int = 0) -> Problem:
    """Return problem `index` of the training problems of `seed`."""
    skill = list(SKILLS)[index % len(SKILLS)]
    tasks = list(SKILLS[skill])
    task = tasks[index // len(SKILLS) % len(tasks)]
    return _draw(skill, task, Random(f"train {seed} {difficulty} {index}"), difficulty=difficulty, held_out=False)


def exam(skill: str, count: int, *, difficulty: int = 1, seed: int = 0) -> list[Problem]:
    """Return `count` different held-out problems of one skill, its tasks in turn.

    Raises:
        ConfigError: if there is no such skill.
        DataError: if there are fewer different ones.
    """
    problems: list[Problem] = []
    seen: set[str] = set()
    tasks = lookup(SKILLS, skill, what="skill")
    streams = {task: Random(f"exam {seed} {difficulty} {skill} {task}") for task in tasks}
    for task in cycle(tasks):
        if len(problems) == count or not streams:
            break
        if task not in streams:
            continue
        for _ in range(_PATIENCE):
            drawn = _draw(skill, task, streams[task], difficulty=difficulty, held_out=True)
            if drawn.key not in seen:
                seen.add(drawn.key)
                problems.append(drawn)
                break
        else:
            del streams[task]
    if len(problems) < count:
        raise DataError(
            f"There are only about {len(problems)} different held-out problems of {skill} at difficulty "
            f"{difficulty}, not {count}.",
            fix=f"ask for at most {len(problems)}: evaluation.problems={len(problems)}.",
        )
    return problems


def conversations(config: DataConfig) -> Iterator[Conversation]:
    """Yield `data.problems` training conversations at `data.difficulty`."""
    for drawn in training_problems(config.problems, difficulty=config.difficulty):
        yield drawn.conversation


def identity(config: DataConfig) -> dict[str, object]:
    """What the conversations depend on: the settings, and the code that writes them."""
    digest = hashlib.sha256()
    for module in (code, dialogue, instructions, logic, maths, problem, sys.modules[__name__]):
        digest.update(inspect.getsource(module).encode())
    return {"code": digest.hexdigest(), "problems": config.problems, "difficulty": config.difficulty}


def _draw(skill: str, task: str, random: Random, *, difficulty: int, held_out: bool) -> Problem:
    """Draw from the stream until a problem falls on the wanted side."""
    while True:
        draft = SKILLS[skill][task](random, difficulty)
        key = f"{task}|{draft.facts}"
        if is_held_out(key) == held_out:
            return Problem(skill, task, draft.conversation(), draft.answer, key)
