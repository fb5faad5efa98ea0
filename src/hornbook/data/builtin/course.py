"""A course: skills, their tasks, the problems to train on and the problems held out for an exam.

Every problem is a pure function of (seed, index, difficulty): any of them can be drawn without the others, on any
machine. Training and exam never share one: see `problem.is_held_out`.
"""

import hashlib
import inspect
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import cycle
from random import Random

from hornbook.config.sections import DataConfig
from hornbook.data.builtin import problem
from hornbook.data.builtin.problem import Problem, Task, is_held_out
from hornbook.errors import DataError
from hornbook.lookup import lookup
from hornbook.text.conversation import Conversation

_PATIENCE = 300
"""Held-out draws in a row that bring nothing new before a task counts as used up."""


@dataclass(frozen=True)
class Course:
    """What a built-in source teaches: skill -> task -> how its problems are drawn."""

    skills: Mapping[str, Mapping[str, Task]]

    def training_problems(self, count: int, *, difficulty: int = 1, seed: int = 0) -> Iterator[Problem]:
        """Yield `count` problems to train on, as many of each skill, and within a skill of each task.

        Small tasks repeat themselves, as real text does; none is ever held out.
        """
        for index in range(count):
            yield self.training_problem(index, difficulty=difficulty, seed=seed)

    def training_problem(self, index: int, *, difficulty: int = 1, seed: int = 0) -> Problem:
        """Return problem `index` of the training problems of `seed`."""
        skill = list(self.skills)[index % len(self.skills)]
        tasks = list(self.skills[skill])
        task = tasks[index // len(self.skills) % len(tasks)]
        stream = Random(f"train {seed} {difficulty} {index}")
        return self._draw(skill, task, stream, difficulty=difficulty, held_out=False)

    def exam(self, skill: str, count: int, *, difficulty: int = 1, seed: int = 0) -> list[Problem]:
        """Return `count` different held-out problems of one skill, its tasks in turn.

        Raises:
            ConfigError: if there is no such skill.
            DataError: if there are fewer different ones.
        """
        problems: list[Problem] = []
        seen: set[str] = set()
        tasks = lookup(self.skills, skill, what="skill")
        streams = {task: Random(f"exam {seed} {difficulty} {skill} {task}") for task in tasks}
        for task in cycle(tasks):
            if len(problems) == count or not streams:
                break
            if task not in streams:
                continue
            for _ in range(_PATIENCE):
                drawn = self._draw(skill, task, streams[task], difficulty=difficulty, held_out=True)
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

    def conversations(self, config: DataConfig) -> Iterator[Conversation]:
        """Yield `data.problems` training conversations at `data.difficulty`."""
        for drawn in self.training_problems(config.problems, difficulty=config.difficulty):
            yield drawn.conversation

    def identity(self, config: DataConfig) -> dict[str, object]:
        """What the conversations depend on: the settings, and the code that writes them."""
        writers = {inspect.getmodule(task) for tasks in self.skills.values() for task in tasks.values()}
        sources = sorted(inspect.getsource(module) for module in writers if module is not None)
        digest = hashlib.sha256()
        for source in (*sources, inspect.getsource(problem), inspect.getsource(sys.modules[__name__])):
            digest.update(source.encode())
        return {"code": digest.hexdigest(), "problems": config.problems, "difficulty": config.difficulty}

    def _draw(self, skill: str, task: str, random: Random, *, difficulty: int, held_out: bool) -> Problem:
        """Draw from the stream until a problem falls on the wanted side."""
        while True:
            draft = self.skills[skill][task](random, difficulty)
            key = f"{task}|{draft.facts}"
            if is_held_out(key) == held_out:
                return Problem(skill, task, draft.conversation(), draft.answer, key)
