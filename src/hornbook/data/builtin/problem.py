"""What a graded problem is, and which problems are held out.

A task draws a `Draft`: the facts of a problem, put into words. A hash of the facts, never of the wording, decides
on which side the problem falls, so "What is 3 + 5?" and "Add 5 and 3." are both trained on or both held out, at
every difficulty and from every seed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from random import Random

from hornbook.text.conversation import Conversation, Message

HELD_OUT_SHARE = 16
"""One problem in this many is held out of training."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A problem as a task draws it.

    Args:
        facts: the problem in canonical form: equal for two wordings of one problem.
        question: the user's last words.
        thinking: the worked steps that lead to the answer.
        answer: the right answer, short enough to compare as text.
        earlier: (user, assistant) turns before the question.
    """

    facts: str
    question: str
    thinking: str
    answer: str
    earlier: tuple[tuple[str, str], ...] = ()

    def conversation(self) -> Conversation:
        """Put the turns in order, the worked steps before the last answer."""
        messages: list[Message] = []
        for user, assistant in self.earlier:
            messages += [Message("user", user), Message("assistant", assistant)]
        messages += [Message("user", self.question), Message("think", self.thinking)]
        return Conversation((*messages, Message("assistant", self.answer)))


Task = Callable[[Random, int], Draft]
"""Draws one problem from a random stream at difficulty 1, 2 or 3."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One graded problem: the whole conversation, and the answer its last turn must give."""

    skill: str
    task: str
    conversation: Conversation
    answer: str
    key: str

    @property
    def prompt(self) -> Conversation:
        """The conversation up to the last question: what a model is asked."""
        last = max(place for place, message in enumerate(self.conversation) if message.role == "user")
        return Conversation(self.conversation.messages[: last + 1])


def is_held_out(key: str) -> bool:
    """Say whether the problem with this key ("task|facts") belongs to the exam: one in `HELD_OUT_SHARE` does."""
    return blake2b(key.encode(), digest_size=1).digest()[0] % HELD_OUT_SHARE == 0
