"""Text that needs no download: what `builtin:NAME` stands for."""

from collections.abc import Callable, Iterator

from hornbook.config.sections import DataConfig
from hornbook.data.builtin import python_source, reasoning
from hornbook.text.conversation import Conversation

BUILTINS: dict[str, Callable[[DataConfig], Iterator[str] | Iterator[Conversation]]] = {
    "reasoning": reasoning.conversations,
    "python": python_source.documents,
}

IDENTITIES: dict[str, Callable[[DataConfig], dict[str, object]]] = {
    "reasoning": reasoning.identity,
    "python": python_source.identity,
}
"""What the text of a built-in source depends on, for the fingerprint of prepared data."""
