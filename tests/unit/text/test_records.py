"""Records of every shape become documents and conversations; what does not fit is named."""

import json
from typing import get_args

import pytest

from hornbook.config.sections import DataConfig
from hornbook.errors import ConfigError, DataError
from hornbook.text.conversation import Conversation, Message, exchange
from hornbook.text.records import FORMATS, read_record
from hornbook.text.template import written

WHERE = "data.jsonl, line 7"


def read(record, fields=None, seed=0):
    return read_record(record, where=WHERE, fields=fields or {}, seed=seed)


def said(content):
    assert isinstance(content, Conversation)
    return [(message.role, message.text) for message in content]


QA = [("user", "q"), ("assistant", "a")]


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}, QA),
        ({"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]}, QA),
        ({"instruction": "q", "output": "a"}, QA),
        ({"instruction": "q", "input": "", "response": "a"}, QA),
        ({"instruction": "q", "input": "more", "output": "a"}, [("user", "q\n\nmore"), ("assistant", "a")]),
        ({"input": "q", "output": "a"}, QA),
        ({"prompt": "q", "response": "a"}, QA),
        ({"question": "q", "answer": "a"}, QA),
        ({"qText": "q", "answers": ["a"]}, QA),
        ({"qText": "q", "answers": [{"aText": "a", "votes": 3}]}, QA),
        ({"system": "s", "conversations": [{"from": "user", "value": "q"}]}, [("system", "s"), ("user", "q")]),
    ],
)
def test_a_known_shape_is_recognised(record, expected):
    assert said(read(record)) == expected


def test_a_text_is_a_document():
    assert read({"text": "once", "id": 3}) == "once"


def test_conversations_keep_every_turn():
    turns = [{"from": who, "value": str(n)} for n, who in enumerate(["system", "human", "gpt", "human", "gpt"])]
    assert [role for role, _ in said(read({"conversations": turns}))] == [
        "system",
        "user",
        "assistant",
        "user",
        "assistant",
    ]


def test_the_answer_of_gsm8k_is_kept_as_it_is():
    answer = "48/2 = <<48/2=24>>24\n#### 72"
    assert said(read({"question": "q", "answer": answer}))[-1] == ("assistant", answer)


def test_messages_win_over_text():
    record = {"text": "t", "messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}
    assert said(read(record)) == QA


def test_a_null_field_is_as_good_as_none():
    assert said(read({"messages": None, "prompt": "q", "response": "a"})) == QA


@pytest.mark.parametrize(
    "answer",
    [
        "<think>\nt\n</think>\n\na",
        "<|begin_of_thought|>\n\nt\n\n<|end_of_thought|>\n\n<|begin_of_solution|>\n\na\n\n<|end_of_solution|>",
        "<|begin_of_thought|>t<|end_of_thought|>a",
    ],
)
def test_both_spellings_of_thinking_become_a_message(answer):
    assert said(read({"prompt": "q", "response": answer})) == [("user", "q"), ("think", "t"), ("assistant", "a")]


def test_empty_thinking_is_no_message():
    assert said(read({"prompt": "q", "response": "<think>\n\n</think>\na"})) == QA


def test_a_thought_that_never_ends_stays_in_the_answer():
    assert said(read({"prompt": "q", "response": "<think>a"}))[-1] == ("assistant", "<think>a")


def test_thinking_tags_in_a_question_are_left_alone():
    question = "what does <think>x</think> mean?"
    assert said(read({"prompt": question, "response": "a"}))[0] == ("user", question)


def test_reasoning_content_of_a_message_is_thinking():
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a", "reasoning_content": "t"}]
    assert said(read({"messages": turns})) == [("user", "q"), ("think", "t"), ("assistant", "a")]


def test_one_of_many_answers_is_chosen_by_question_and_seed():
    record = {"qText": "q", "answers": [str(number) for number in range(100)]}
    first = said(read(record))[-1]
    assert said(read(record))[-1] == first
    chosen = {said(read(record, seed=seed))[-1] for seed in range(20)}
    assert len(chosen) > 10
    assert said(read({**record, "qText": "other"}))[-1] != first


def test_fields_map_nested_keys():
    record = {"task": {"ask": "q"}, "replies": [{"body": "a"}], "why": "t", "who": "s"}
    fields = {"input": "task.ask", "output": "replies.0.body", "thinking": "why", "system": "who"}
    expected = [("system", "s"), ("user", "q"), ("think", "t"), ("assistant", "a")]
    assert said(read(record, fields)) == expected


def test_a_key_with_dots_in_its_name_is_found_whole():
    assert read({"a.b": "whole", "a": {"b": "nested"}}, {"text": "a.b"}) == "whole"


def test_a_list_of_premises_is_joined_by_newlines():
    record = {"premises": ["p1", "p2"], "label": "a"}
    assert said(read(record, {"input": "premises", "output": "label"}))[0] == ("user", "p1\np2")


def test_fields_map_nested_messages():
    record = {"log": {"turns": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}}
    assert said(read(record, {"messages": "log.turns"})) == QA


def test_thinking_may_be_missing_where_it_is_mapped():
    fields = {"input": "q", "output": "a", "thinking": "why", "system": "meta.who"}
    assert said(read({"q": "q", "a": "a", "why": None}, fields)) == QA


@pytest.mark.parametrize(
    ("record", "fields", "message"),
    [
        ({"foo": 1, "bar": 2}, {}, r"line 7: no known kind of record; it has foo, bar\.[\s\S]*data\.fields"),
        ({}, {}, "it has nothing"),
        ({"prompt": "q", "response": 4}, {}, "'response' is a number, not text"),
        ({"prompt": ["q", 3], "response": "a"}, {}, "'prompt' is a list, not text"),
        ({"text": True}, {}, "'text' is true or false, not text"),
        ({"text": {"a": 1}}, {}, "'text' is an object, not text"),
        ({"qText": "q", "answers": []}, {}, "'answers' is an empty list"),
        ({"qText": "q", "answers": [{"votes": 1}]}, {}, "'answers' is an object, not text"),
        ({"q": "q"}, {"input": "q", "output": "reply.0"}, r"no field 'reply\.0' \(it has q\)"),
        ({"q": "q", "r": ["a"]}, {"input": "q", "output": "r.1"}, r"no field 'r\.1'"),
        ({"t": None}, {"text": "t"}, "'t' is null, not text"),
        ({"messages": "hi"}, {}, "'messages' is text, not a list of messages"),
        ({"messages": ["hi"]}, {}, r"'messages\.0' is text, not an object"),
        ({"messages": [{"who": "x"}]}, {}, r"'messages\.0' has who, not role and content"),
        (
            {"messages": [{"role": "tool", "content": "x"}]},
            {},
            r"'messages\.0\.role' is 'tool', not one of system",
        ),
        ({"messages": [{"role": "user", "content": None}]}, {}, r"'messages\.0\.content' is null, not text"),
        ({"messages": []}, {}, "line 7: A conversation has no messages"),
        ({"conversations": [{"from": "gpt", "value": "x"}]}, {}, "line 7: Message 1 has role 'assistant'"),
    ],
)
def test_what_does_not_fit_is_named(record, fields, message):
    with pytest.raises(DataError, match=message):
        read(record, fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"imput": "q"}, r"maps 'imput', which no record has[\s\S]*did you mean 'input'"),
        ({"output": "a"}, "but needs 'text', or 'messages', or 'input' and 'output'"),
        ({"thinking": "a"}, "but needs 'text'"),
        ({"text": "a", "input": "q"}, "maps 'input' besides 'text', where it has no meaning"),
    ],
)
def test_a_mapping_without_sense_is_a_setting_to_change(fields, message):
    with pytest.raises(ConfigError, match=message):
        read({"q": "q", "a": "a"}, fields)


# The layouts of named data sets, as their own files have them: made-up texts, every key that a row has there.

OPENHERMES = {
    "custom_instruction": None,
    "topic": None,
    "model_name": None,
    "model": None,
    "skip_prompt_formatting": False,
    "category": "orca",
    "conversations": [
        {"from": "system", "value": "You answer in one word.", "weight": None},
        {"from": "human", "value": "What do bees make?", "weight": None},
        {"from": "gpt", "value": "Honey.", "weight": None},
        {"from": "human", "value": "And cows?", "weight": None},
        {"from": "gpt", "value": "Milk.", "weight": None},
    ],
    "views": None,
    "language": None,
    "id": None,
    "title": None,
    "idx": None,
    "hash": None,
    "avatarUrl": None,
    "system_prompt": None,
    "source": "CogStackMed",
}
PLATYPUS = {
    "input": "",
    "output": "Halve the base, then multiply by the height.",
    "instruction": "How is the area of a triangle found?",
    "data_source": "scibench",
}
TAGS = (
    "Put your thinking between <|begin_of_thought|> and <|end_of_thought|>, the solution between "
    "<|begin_of_solution|> and <|end_of_solution|>."
)


def openthoughts(answer, *, system=TAGS):
    turns = [{"from": "user", "value": "What is 2+2?"}, {"from": "assistant", "value": answer}]
    return {"system": system, "conversations": turns}


def in_format(format, record):
    return read_record(record, where="set.jsonl, line 3", fields={}, format=format)


def turns(content):
    return [(message.role, message.text) for message in content]


def test_every_turn_of_an_openhermes_conversation_is_kept():
    assert turns(in_format("openhermes", OPENHERMES)) == [
        ("system", "You answer in one word."),
        ("user", "What do bees make?"),
        ("assistant", "Honey."),
        ("user", "And cows?"),
        ("assistant", "Milk."),
    ]


def test_openhermes_may_hold_the_system_prompt_in_a_column_of_its_own():
    record = {**OPENHERMES, "conversations": OPENHERMES["conversations"][1:3], "system_prompt": "Be brief."}
    assert turns(in_format("openhermes", record))[0] == ("system", "Be brief.")
    blank = {**record, "system_prompt": " "}
    assert turns(in_format("openhermes", blank))[0] == ("user", "What do bees make?")


def test_an_empty_system_turn_is_none():
    record = {"conversations": [{"from": "system", "value": ""}, *OPENHERMES["conversations"][1:3]]}
    assert turns(in_format("openhermes", record))[0] == ("user", "What do bees make?")


def test_an_openhermes_conversation_that_begins_with_the_answer_is_refused():
    record = {"conversations": OPENHERMES["conversations"][2:]}
    with pytest.raises(DataError, match=r"^set\.jsonl, line 3: Message 1 has role 'assistant' after 'start'"):
        in_format("openhermes", record)


def test_platypus_is_alpaca_with_or_without_an_input():
    question, answer = PLATYPUS["instruction"], PLATYPUS["output"]
    assert turns(in_format("platypus", PLATYPUS)) == [("user", question), ("assistant", answer)]
    more = {**PLATYPUS, "input": "base 3, height 4"}
    assert turns(in_format("platypus", more))[0] == ("user", f"{question}\n\nbase 3, height 4")
    assert turns(in_format("platypus", {**PLATYPUS, "input": None}))[0] == ("user", question)


@pytest.mark.parametrize("missing", ["instruction", "output"])
def test_platypus_without_a_field_names_it(missing):
    record = {key: value for key, value in PLATYPUS.items() if key != missing}
    with pytest.raises(DataError, match=rf"^set\.jsonl, line 3: no field '{missing}' \(it has "):
        in_format("platypus", record)


@pytest.mark.parametrize(
    "answer",
    [
        "<|begin_of_thought|>\n\nTwo and two.\n\n<|end_of_thought|>\n\n<|begin_of_solution|>\n\nIt is 4.\n\n"
        "<|end_of_solution|>",
        "<|begin_of_thought|>Two and two.<|end_of_thought|>\nIt is 4.",
        "<think>\nTwo and two.\n</think>\n\nIt is 4.",
        "<|think|>\nTwo and two.\n<|/think|>\nIt is 4.",
    ],
)
def test_thinking_is_found_in_every_spelling(answer):
    assert turns(in_format("openthoughts", openthoughts(answer))) == [
        ("user", "What is 2+2?"),
        ("think", "Two and two."),
        ("assistant", "It is 4."),
    ]


def test_an_openthoughts_answer_without_thinking_is_an_answer():
    assert turns(in_format("openthoughts", openthoughts("It is 4.", system="Be kind."))) == [
        ("system", "Be kind."),
        ("user", "What is 2+2?"),
        ("assistant", "It is 4."),
    ]


def test_a_thought_that_never_ends_is_refused():
    with pytest.raises(DataError, match=r"an answer begins with <\|begin_of_thought\|> that is never closed"):
        in_format("openthoughts", openthoughts("<|begin_of_thought|> Two and two, and then"))


def test_the_metadata_subset_of_openthoughts_is_read_too():
    record = {
        "problem": "Print hello.",
        "deepseek_reasoning": "\nEasy.\n",
        "deepseek_solution": "print('hello')",
        "ground_truth_solution": None,
        "domain": "code",
        "source": "taco",
        "test_cases": None,
        "starter_code": "def main():",
    }
    assert turns(in_format("openthoughts", record)) == [
        ("user", "Print hello.\n\ndef main():"),
        ("think", "Easy."),
        ("assistant", "print('hello')"),
    ]


@pytest.mark.parametrize(
    "conversation",
    [
        exchange("What is 2+2?", "The answer is 4.", thinking="2+2 equals 4."),
        exchange("Hello", "Hello!\nHow are you?"),
        Conversation(
            (
                Message("system", "You are brief."),
                Message("user", "One?"),
                Message("assistant", "1"),
                Message("user", "Two?"),
                Message("think", "one\nmore"),
                Message("assistant", "2"),
            )
        ),
    ],
)
def test_a_file_of_the_first_forge_reads_back_what_the_template_writes(conversation):
    assert in_format("forge1", {"text": written("forge1", conversation)}) == conversation


@pytest.mark.parametrize("text", ["Hello", "<|bos|>\n<|user|>Hi<|/user|>\n<|assistant|>Hello", ""])
def test_what_forge1_did_not_write_is_refused(text):
    with pytest.raises(DataError, match=r"'text' is not written as forge1 does, at '"):
        in_format("forge1", {"text": text})


def test_a_format_that_is_not_known_is_named():
    with pytest.raises(
        ConfigError, match=r"no record format \(data\.format\) named 'openhermse'.*\n.*did you mean"
    ):
        in_format("openhermse", OPENHERMES)


def test_every_format_may_be_set():
    assert set(get_args(DataConfig.model_fields["format"].annotation)) == {"auto", *FORMATS}


@pytest.mark.shared
def test_real_sharegpt_conversations_are_kept_whole(shared_data):
    records = json.loads((shared_data / "qa" / "sharegpt_identity.json").read_text())
    kept = [in_format("openhermes", record) for record in records]
    assert len(kept) == 500
    assert [len(content.messages) for content in kept] == [len(record["conversations"]) for record in records]
    assert max(len(content.messages) for content in kept) == 6
