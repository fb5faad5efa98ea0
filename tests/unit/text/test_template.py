"""How conversations are written, what of them is learnt, and how replies are read back."""

import pytest

from hornbook.config.tokenizers import BPETokenizerConfig, BytesTokenizerConfig
from hornbook.errors import ConfigError, DataError
from hornbook.text.conversation import Conversation, Message, exchange
from hornbook.text.template import (
    TEMPLATES,
    Reply,
    parse_reply,
    render,
    render_batch,
    render_prompt,
    stop_ids,
    text_document,
    text_prompt,
)
from hornbook.text.tokenizer_kinds import build_tokenizer

BYTES = build_tokenizer(BytesTokenizerConfig(), [])
THOUGHT = exchange("2+2?", "4.", thinking="It is 4.")
TURNS = Conversation((Message("system", "Be brief."), *THOUGHT, *exchange("3+3?", "6.")))


def spelt(rendered):
    return BYTES.decode(rendered.ids, specials=True)


def learnt(rendered):
    kept = [index for index, counts in zip(rendered.ids, rendered.learn, strict=True) if counts]
    return BYTES.decode(kept, specials=True)


def test_forge1_is_written_as_the_original_does():
    conversation = exchange("What is 2+2?", "The answer is 4.", thinking="2+2 equals 4.").with_system(
        "You are ..."
    )
    assert spelt(render("forge1", conversation, BYTES)) == (
        "<|bos|>\n<|system|>You are ...<|/system|>\n<|user|>What is 2+2?<|/user|>\n"
        "<|think|>\n2+2 equals 4.\n<|/think|>\n<|assistant|>The answer is 4.<|/assistant|>\n<|eos|>"
    )


def test_forge1_marks_where_there_is_no_thinking():
    assert spelt(render("forge1", exchange("a", "b"), BYTES)) == (
        "<|bos|>\n<|user|>a<|/user|>\n<|no_think|>\n<|assistant|>b<|/assistant|>\n<|eos|>"
    )


def test_blank_thinking_is_no_thinking():
    assert render("forge1", exchange("a", "b", thinking=" \n"), BYTES) == render(
        "forge1", exchange("a", "b"), BYTES
    )


def test_forge1_opens_and_ends_a_conversation_once():
    ids = render("forge1", TURNS, BYTES).ids
    assert [ids.count(BYTES.specials[name]) for name in ("<|bos|>", "<|eos|>", "<|/assistant|>")] == [1, 1, 2]


def test_forge1_learns_what_the_model_must_write_itself():
    assert learnt(render("forge1", TURNS, BYTES)) == (
        "<|think|>\nIt is 4.\n<|/think|>\n<|assistant|>4.<|/assistant|>\n"
        "<|no_think|>\n<|assistant|>6.<|/assistant|>\n<|eos|>"
    )


def test_plain_needs_no_special_token_but_the_end():
    rendered = render("plain", TURNS, BYTES)
    assert spelt(rendered) == (
        "System: Be brief.\nUser: 2+2?\nThinking: It is 4.\nAssistant: 4.<|eos|>\nUser: 3+3?\nAssistant: 6.<|eos|>"
    )
    assert learnt(rendered) == "Thinking: It is 4.\nAssistant: 4.<|eos|>Assistant: 6.<|eos|>"


def test_text_writes_what_is_said_and_nothing_else():
    rendered = render("text", TURNS, BYTES)
    assert spelt(rendered) == "Be brief.\n2+2?\nIt is 4.\n4.<|eos|>3+3?\n6.<|eos|>"
    assert learnt(rendered) == "It is 4.\n4.<|eos|>6.<|eos|>"


@pytest.mark.parametrize("template", sorted(TEMPLATES))
def test_everything_is_learnt_on_request(template):
    assert all(render(template, TURNS, BYTES, learn="everything").learn)


@pytest.mark.parametrize("template", sorted(TEMPLATES))
def test_many_at_once_are_written_as_one_by_one(template):
    tokenizer = build_tokenizer(BPETokenizerConfig(vocab_size=300), ["Be brief. It is 4. " * 9])
    batch = render_batch(template, [THOUGHT, TURNS, exchange("", "")], tokenizer, threads=2)
    assert batch == [render(template, said, tokenizer) for said in (THOUGHT, TURNS, exchange("", ""))]


def test_a_prompt_ends_where_the_model_chooses_to_think():
    prompt = Conversation((Message("user", "hi"),))
    start = "<|bos|>\n<|user|>hi<|/user|>\n"
    written = [
        BYTES.decode(render_prompt("forge1", prompt, BYTES, think=t), specials=True) for t in (None, True, False)
    ]
    assert written == [start, f"{start}<|think|>\n", f"{start}<|no_think|>\n"]


def test_a_plain_prompt_can_force_thinking():
    prompt = Conversation((Message("user", "hi"),))
    written = [BYTES.decode(render_prompt("plain", prompt, BYTES, think=t)) for t in (None, True, False)]
    assert written == ["User: hi\n", "User: hi\nThinking:", "User: hi\nAssistant:"]


def test_earlier_turns_of_a_prompt_are_written_as_in_training():
    prompt = Conversation((*TURNS, Message("user", "5+5?")))
    whole = render("forge1", Conversation((*TURNS, *exchange("5+5?", "10"))), BYTES)
    ids = render_prompt("forge1", prompt, BYTES)
    assert whole.ids[: len(ids)] == ids


@pytest.mark.parametrize(
    ("template", "names"), [("forge1", {"<|/assistant|>", "<|eos|>"}), ("plain", {"<|eos|>"})]
)
def test_replies_stop_at(template, names):
    assert stop_ids(template, BYTES) == {BYTES.specials[name] for name in names}


def test_a_reply_cut_short_in_thought_has_no_answer():
    ids = BYTES.encode("half a thou")
    assert parse_reply("forge1", ids, BYTES, think=True) == Reply("half a thou", "", stopped=False)
    assert parse_reply("plain", ids, BYTES, think=True) == Reply("half a thou", "", stopped=False)
    chosen = [BYTES.specials["<|think|>"], *BYTES.encode("\nhalf")]
    assert parse_reply("forge1", chosen, BYTES) == Reply("half", "", stopped=False)


def test_a_reply_without_any_structure_is_an_answer():
    assert parse_reply("forge1", BYTES.encode("just words"), BYTES) == Reply("", "just words", stopped=False)
    assert parse_reply("plain", BYTES.encode("just words"), BYTES) == Reply("", "just words", stopped=False)


def test_what_follows_the_stop_token_is_not_read():
    ids = [BYTES.specials["<|assistant|>"], *b"yes", BYTES.specials["<|/assistant|>"], *b"no"]
    assert parse_reply("forge1", ids, BYTES) == Reply("", "yes", stopped=True)


def test_an_answer_keeps_its_own_spaces_and_lines():
    said = exchange("q", " a\n\nAssistant: b \n", thinking="\n t \n")
    for template in ("forge1", "plain"):
        start = len(render_prompt(template, Conversation(said.messages[:1]), BYTES))
        reply = parse_reply(template, render(template, said, BYTES).ids[start:], BYTES)
        assert (reply.thinking, reply.answer) == ("\n t \n", " a\n\nAssistant: b \n")


def test_a_document_ends_with_eos_and_is_learnt_whole():
    rendered = text_document("ab", BYTES)
    assert rendered.ids == [97, 98, BYTES.eos_id]
    assert rendered.learn == [True, True, True]


def test_an_empty_text_prompt_begins_after_the_document_before():
    assert text_prompt("", BYTES) == [BYTES.eos_id]
    assert text_prompt("ab", BYTES) == [97, 98]


def test_a_conversation_without_answer_cannot_be_learnt():
    with pytest.raises(
        DataError, match=r"ends with 'user', so there is no answer to learn[\s\S]*assistant message"
    ):
        render("forge1", Conversation((Message("user", "a"),)), BYTES)


def test_a_conversation_with_answer_cannot_be_prompted():
    with pytest.raises(
        DataError, match=r"ends with 'assistant', so there is nothing to answer[\s\S]*user message"
    ):
        render_prompt("plain", exchange("a", "b"), BYTES)


def test_an_unknown_template_is_named():
    with pytest.raises(ConfigError, match=r"no template named 'forge2'[\s\S]*did you mean 'forge1'"):
        render("forge2", THOUGHT, BYTES)


def test_a_lone_surrogate_is_refused():
    with pytest.raises(DataError, match=r"lone surrogate \(U\+D800\) at character 1"):
        render("forge1", exchange("a\ud800", "b"), BYTES)
