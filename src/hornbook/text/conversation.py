"""What is said by whom: messages and conversations, and which order of roles is legal."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from hornbook.errors import DataError

Role = Literal["system", "user", "think", "assistant"]
ROLES: tuple[Role, ...] = ("system", "user", "think", "assistant")

FOLLOWERS: dict[str, tuple[Role, ...]] = {
    "start": ("system", "user"),
    "system": ("user",),
    "user": ("think", "assistant"),
    "think": ("assistant",),
    "assistant": ("user",),
}
"""Which roles may follow which; `start` is the beginning of a conversation."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn: who speaks and what they say. `think` is the thinking before the answer that follows it."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """Messages in a legal order.

    Raises:
        DataError: if a role follows one it may not follow, naming the position.
    """

    messages: tuple[Message, ...]

    def __post_init__(self) -> None:
        before = "start"
        for position, message in enumerate(self.messages, 1):
            if message.role not in FOLLOWERS[before]:
                raise DataError(
                    f"Message {position} has role '{message.role}' after '{before}'.",
                    fix=f"after '{before}' only {' or '.join(FOLLOWERS[before])} may come.",
                )
            before = message.role
        if not self.messages:
            raise DataError("A conversation has no messages.", fix="give at least one user message.")

    def __iter__(self) -> Iterator[Message]:
        return iter(self.messages)

    @property
    def answered(self) -> bool:
        """True if the last word is the assistant's, as training needs."""
        return self.messages[-1].role == "assistant"

    def with_system(self, text: str) -> "Conversation":
        """Return this conversation with a system prompt, unless it has one or `text` is empty."""
        if not text or self.messages[0].role == "system":
            return self
        return Conversation((Message("system", text), *self.messages))


def exchange(question: str, answer: str, *, thinking: str = "") -> Conversation:
    """Build the commonest conversation: one question, perhaps thinking, one answer."""
    think = (Message("think", thinking),) if thinking else ()
    return Conversation((Message("user", question), *think, Message("assistant", answer)))
