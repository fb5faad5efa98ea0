"""Text that needs no download: what `builtin:NAME` stands for."""

from collections.abc import Callable, Iterator

from hornbook.config.sections import DataConfig
from hornbook.data.builtin import dummy, python_source
from hornbook.data.builtin.course import Course
from hornbook.data.builtin.reasoning import REASONING, SINGLE_SKILLS
from hornbook.data.builtin.sixteen import SIXTEEN
from hornbook.text.conversation import Conversation

COURSES: dict[str, Course] = {"reasoning": REASONING, **SINGLE_SKILLS, "sixteen": SIXTEEN}
"""The sources whose problems have known answers, so that an exam can be set."""

BUILTINS: dict[str, Callable[[DataConfig], Iterator[str] | Iterator[Conversation]]] = {
    "dummy": dummy.documents,
    "python": python_source.documents,
    **{name: course.conversations for name, course in COURSES.items()},
}

IDENTITIES: dict[str, Callable[[DataConfig], dict[str, object]]] = {
    "dummy": dummy.identity,
    "python": python_source.identity,
    **{name: course.identity for name, course in COURSES.items()},
}
"""What the text of a built-in source depends on, for the fingerprint of prepared data."""
