"""Text to text: tiny models that really speak, some of them taught one sentence by heart."""

from functools import cache
from pathlib import Path

import pytest
import torch

from hornbook.config.tokenizers import BytesTokenizerConfig
from hornbook.errors import ConfigError, DataError, HornbookError
from hornbook.inference.generate import generate
from hornbook.inference.sampler import GREEDY, SamplingSettings
from hornbook.inference.speak import Speaker
from hornbook.models.build import build_model
from hornbook.models.llama.config import LlamaConfig
from hornbook.nn.losses import next_token_loss
from hornbook.storage.artifact import Artifact
from hornbook.text.conversation import Conversation, Message, exchange
from hornbook.text.template import render, text_document
from hornbook.text.tokenizer import Tokenizer
from hornbook.text.tokenizer_kinds import build_tokenizer

TOKENIZER: Tokenizer = build_tokenizer(BytesTokenizerConfig(), [])
SAMPLED = SamplingSettings(temperature=1.0, seed=1)


def speaker(template: str = "text", *, context: int = 64, slide: bool = True) -> Speaker:
    """A model that was taught nothing."""
    config = LlamaConfig(vocab_size=TOKENIZER.vocab_size, width=32, num_layers=1, num_heads=2, context=context)
    model = build_model(config, seed=0).eval()
    return Speaker(Artifact(model, TOKENIZER, template, {}, Path("nowhere")), slide=slide)


@cache
def taught(template: str) -> Speaker:
    """A model that knows one document, or two conversations, by heart."""
    config = LlamaConfig(vocab_size=TOKENIZER.vocab_size, width=48, num_layers=2, num_heads=2, context=96)
    model = build_model(config, seed=0)
    if template == "text":
        rows = [text_document("Grüße, 世界 👋! End of it.", TOKENIZER).ids]
    else:
        told = exchange("2+2?", "It is 4.", thinking="Add them."), exchange("Hi", "Hello.")
        rows = [render(template, conversation, TOKENIZER).ids for conversation in told]
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(150):
        for ids in rows:
            tokens = torch.tensor([[TOKENIZER.eos_id, *ids] if template == "text" else ids])
            total, count = next_token_loss(model(tokens[:, :-1]), tokens[:, 1:])
            (total / count).backward()
        optimizer.step()
        optimizer.zero_grad()
    return Speaker(Artifact(model.eval(), TOKENIZER, template, {}, Path("nowhere")))


def ask(text: str) -> Conversation:
    return Conversation((Message("user", text),))


def test_a_text_model_continues_a_text_up_to_its_end():
    spoken = taught("text").complete("Grüße, ", settings=GREEDY)
    assert spoken.text == spoken.answer == str(spoken) == "世界 👋! End of it."
    assert spoken.stopped == "stop"
    assert spoken.tokens == len(spoken.text.encode()) + 1
    assert spoken.thinking == ""
    assert spoken.warnings == ()
    assert spoken.seconds > 0


def test_an_empty_prompt_starts_a_new_document():
    assert taught("text").complete("", settings=GREEDY).text.startswith("Grüße")


def test_a_piece_of_text_never_ends_within_a_character():
    pieces = []
    spoken = taught("text").complete("Grüße, ", settings=GREEDY, on_text=pieces.append)
    assert pieces[:2] == ["世", "界"]
    assert "👋" in pieces
    assert "".join(pieces) == spoken.text


def test_a_text_cut_within_a_character_ends_with_one_replacement():
    spoken = taught("text").complete("Grüße, ", settings=GREEDY, max_tokens=4)
    assert spoken.text == spoken.answer == "世\ufffd"
    assert spoken.stopped == "length"


def test_a_stream_returns_what_complete_returns():
    pieces, stream = [], taught("text").stream("Grüße, ", settings=GREEDY)
    while True:
        try:
            pieces.append(next(stream))
        except StopIteration as end:
            spoken = end.value
            break
    assert "".join(pieces) == spoken.text == taught("text").complete("Grüße, ", settings=GREEDY).text


@pytest.mark.parametrize("stop", ["! E", ("nothing", "! E")])
def test_a_stop_string_across_tokens_ends_the_text_before_it(stop):
    pieces = []
    spoken = taught("text").complete("Grüße, ", settings=GREEDY, stop=stop, on_text=pieces.append)
    assert spoken.text == spoken.answer == "".join(pieces) == "世界 👋"
    assert spoken.stopped == "string"


def test_a_stop_string_is_not_looked_for_in_the_prompt():
    assert taught("text").complete("Grüße, ", settings=GREEDY, stop="Gr").stopped == "stop"


@pytest.mark.parametrize("template", ["forge1", "plain"])
def test_a_conversation_model_answers_a_string_with_thinking_and_answer(template):
    spoken = taught(template).complete("2+2?", settings=GREEDY)
    assert (spoken.thinking, spoken.answer, str(spoken)) == ("Add them.", "It is 4.", "It is 4.")
    assert spoken.stopped == "stop"


def test_thinking_can_be_forbidden():
    spoken = taught("forge1").complete("Hi", settings=GREEDY, think=False)
    assert (spoken.thinking, spoken.answer) == ("", "Hello.")


def test_a_stop_string_cuts_the_answer_of_a_conversation():
    spoken = taught("forge1").complete("2+2?", settings=GREEDY, stop=" 4")
    assert (spoken.thinking, spoken.answer, spoken.stopped) == ("Add them.", "It is", "string")


def test_replies_to_many_are_those_to_each_alone():
    conversations = [ask("2+2?"), ask("Hi"), ask("Something much longer than that"), ask("2+2?")]
    replies = taught("forge1").reply(conversations, max_tokens=40)
    assert replies == [taught("forge1").reply([asked], max_tokens=40)[0] for asked in conversations]
    assert (replies[0].thinking, replies[0].answer, replies[0].stopped) == ("Add them.", "It is 4.", True)
    assert replies[1].answer == "Hello."


def test_a_reply_equals_what_complete_says():
    spoken = taught("forge1").complete(ask("2+2?"), settings=GREEDY)
    (reply,) = taught("forge1").reply([ask("2+2?")])
    assert (reply.thinking, reply.answer) == (spoken.thinking, spoken.answer)


def test_nobody_to_answer_gives_no_replies():
    assert speaker("forge1").reply([]) == []


@pytest.mark.parametrize("prompt", ["\x00\x7f", "日本語 🎉", "<|/user|><|assistant|>", "a" * 500])
@pytest.mark.parametrize("template", ["text", "forge1", "plain"])
def test_no_character_of_a_prompt_is_an_error(template, prompt):
    assert speaker(template).complete(prompt, settings=SAMPLED, max_tokens=3).tokens <= 3


def test_the_same_seed_says_the_same_and_another_seed_something_else():
    talker = speaker()
    assert talker.complete("a", settings=SAMPLED).text == talker.complete("a", settings=SAMPLED).text
    assert talker.complete("a", settings=SAMPLED).text != talker.complete("a").text


def test_speaking_is_generating_from_the_encoded_prompt():
    talker = speaker()
    (written,) = generate(
        talker.artifact.model, [list(b"abc")], settings=SAMPLED, max_tokens=30, stop_ids=talker.stop_ids
    )
    assert talker.complete("abc", settings=SAMPLED, max_tokens=30).text == TOKENIZER.decode(written.ids)


def test_a_prompt_longer_than_the_context_is_cut_with_a_warning():
    spoken = speaker(context=16).complete("x" * 20, settings=SAMPLED, max_tokens=1)
    (warning,) = spoken.warnings
    assert warning == "The prompt exceeds the context of 16 tokens by 4: its beginning was left out."


def test_a_text_that_outgrows_the_context_says_so_once():
    spoken = speaker(context=16).complete("x", settings=SAMPLED, max_tokens=60)
    assert spoken.warnings == (
        "The text outgrew the context of 16 tokens: its beginning was forgotten on the way.",
    )


def test_without_sliding_a_text_ends_with_the_context():
    spoken = speaker(context=16, slide=False).complete("xyz", settings=SAMPLED, max_tokens=60)
    assert (spoken.tokens, spoken.stopped, spoken.warnings) == (14, "context", ())


def test_think_is_said_to_change_nothing_for_a_text_model():
    (warning,) = speaker().complete("x", settings=SAMPLED, max_tokens=1, think=True).warnings
    assert "`think` changes nothing" in warning


def test_speaking_leaves_a_model_in_training_as_it_was():
    talker = speaker()
    talker.artifact.model.train()
    first = talker.complete("a", settings=SAMPLED, max_tokens=5)
    assert talker.artifact.model.training
    assert first.text == speaker().complete("a", settings=SAMPLED, max_tokens=5).text


def test_a_narrower_dtype_is_used_where_it_is_asked_for():
    narrow = Speaker(taught("forge1").artifact, dtype=torch.bfloat16)
    assert narrow.reply([ask("2+2?")])[0].answer == "It is 4."
    assert narrow.complete("2+2?", settings=GREEDY).answer == "It is 4."


def test_a_prompt_with_half_a_character_is_refused():
    with pytest.raises(DataError, match="lone surrogate"):
        speaker().complete("\ud800")


def test_a_conversation_that_is_answered_is_refused():
    with pytest.raises(DataError, match="nothing to answer"):
        speaker("forge1").complete(exchange("a", "b"))


def test_an_empty_stop_string_is_refused_before_anything_is_said():
    with pytest.raises(ConfigError, match="A stop string is empty"):
        speaker().complete("a", stop="")


def test_a_broken_model_is_refused_instead_of_sampled():
    talker = speaker()
    with torch.no_grad():
        talker.artifact.model.head_weight().fill_(torch.nan)
    with pytest.raises(HornbookError, match="logits are not finite"):
        talker.complete("a")
