"""Which order of roles is legal."""

import pytest

from hornbook.errors import DataError
from hornbook.text.conversation import Conversation, Message, exchange


def test_an_exchange_with_thinking_has_three_messages():
    roles = [message.role for message in exchange("a", "b", thinking="c")]
    assert roles == ["user", "think", "assistant"]


def test_an_exchange_without_thinking_has_no_think_message():
    assert [message.role for message in exchange("a", "b")] == ["user", "assistant"]


def test_two_answers_in_a_row_are_refused_by_position():
    with pytest.raises(DataError, match=r"Message 3 has role 'assistant' after 'assistant'"):
        Conversation((*exchange("a", "b"), Message("assistant", "c")))


def test_a_conversation_may_not_begin_with_an_answer():
    with pytest.raises(DataError, match=r"after 'start' only system or user may come"):
        Conversation((Message("assistant", "c"),))


def test_an_empty_conversation_is_refused():
    with pytest.raises(DataError, match="no messages"):
        Conversation(())


def test_a_conversation_that_ends_with_a_question_is_not_answered():
    assert not Conversation((Message("user", "a"),)).answered
    assert exchange("a", "b").answered


def test_a_system_prompt_is_added_only_where_there_is_none():
    plain = exchange("a", "b")
    given = plain.with_system("be brief")
    assert given.messages[0] == Message("system", "be brief")
    assert given.with_system("other") is given
    assert plain.with_system("") is plain
