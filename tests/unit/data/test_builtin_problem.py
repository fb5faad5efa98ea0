"""Problems: how they are put together, and which are held out."""

from hornbook.data.builtin.problem import HELD_OUT_SHARE, Draft, Problem, is_held_out
from hornbook.text.conversation import Message

DRAFT = Draft("12-3", "How many now?", "12-3=9", "9", (("I have 12.", "Noted."), ("I lose 3.", "Noted.")))


def test_a_draft_becomes_a_conversation_with_its_thinking_before_the_last_answer():
    assert [message.role for message in DRAFT.conversation()] == ["user", "assistant"] * 2 + [
        "user",
        "think",
        "assistant",
    ]


def test_a_prompt_ends_with_the_last_question_and_gives_nothing_away():
    prompt = Problem("dialogue", "update", DRAFT.conversation(), "9", "update|12-3").prompt
    assert len(prompt.messages) == 5
    assert prompt.messages[-1] == Message("user", "How many now?")


def test_one_problem_in_sixteen_is_held_out():
    held_out = sum(is_held_out(f"add|{a}+{b}") for a in range(100) for b in range(100))
    assert abs(held_out / 10_000 - 1 / HELD_OUT_SHARE) < 0.01


def test_the_side_a_problem_falls_on_never_changes():
    # Frozen: moving a problem from one side to the other would examine models on what they were trained on.
    assert [number for number in range(60) if is_held_out(f"add|{number}+{number}")] == [5, 7, 38]
