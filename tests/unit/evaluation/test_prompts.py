"""The timed suite and its checks."""

from pathlib import Path

import pytest

from hornbook.config.tokenizers import BytesTokenizerConfig
from hornbook.evaluation.prompts import SUITE, SuitePrompt, ask_suite, says_any, says_numbers, says_word
from hornbook.inference.sampler import SamplingSettings
from hornbook.inference.speak import Speaker
from hornbook.models.build import build_model
from hornbook.models.llama.config import LlamaConfig
from hornbook.storage.artifact import Artifact
from hornbook.text.tokenizer_kinds import build_tokenizer


def tiny_speaker(template: str) -> Speaker:
    tokenizer = build_tokenizer(BytesTokenizerConfig(), [])
    config = LlamaConfig(vocab_size=tokenizer.vocab_size, width=32, num_layers=1, num_heads=2, context=128)
    return Speaker(Artifact(build_model(config, seed=0), tokenizer, template, {}, Path("nowhere")))


GOOD = {
    "15 * 23": "15 * 23 = 345.",
    "train": "It travels 150 miles.",
    "prime": "2, 3, 5, 7, 11, 13, 17 and 19",
    "capital": "The capital is Paris.",
    "Sort": "1, 2, 5, 8, 9",
    "sky": "Air scatters blue light more than red.",
    "apples": "She has 2 left.",
}


@pytest.mark.parametrize("prompt", SUITE, ids=lambda prompt: prompt.text)
def test_each_check_knows_a_right_answer_from_a_wrong_one(prompt):
    good = next((answer for key, answer in GOOD.items() if key in prompt.text), None)
    assert (prompt.check is None) == (good is None)
    if prompt.check is not None:
        assert prompt.check(good)
        assert not prompt.check(prompt.text)
        assert not prompt.check("")


def test_there_are_eight_different_prompts():
    assert len({prompt.text for prompt in SUITE}) == 8


@pytest.mark.parametrize(
    ("answer", "right"),
    [("345", True), ("It is 345.", True), ("345.0", True), ("3450", False), ("13,345", False), ("3 45", False)],
)
def test_a_number_is_compared_as_a_number(answer, right):
    assert says_numbers(345)(answer) == right


def test_a_large_number_may_be_written_with_commas():
    assert says_numbers(12_345)("12,345 in all")


def test_numbers_must_follow_each_other():
    assert says_numbers(1, 2, 5)("5, 2, 1 sorted: 1, 2, 5")
    assert not says_numbers(1, 2, 5)("1, 2, 3, 5")


def test_a_word_is_found_whole_and_in_any_case():
    assert says_word("Paris")("PARIS!")
    assert not says_word("Paris")("Parisian")


def test_a_word_is_known_by_its_beginning():
    assert says_any("scatter", "Rayleigh")("By RAYLEIGH's law")
    assert not says_any("scatter")("unscattered")


@pytest.mark.parametrize("template", ["text", "forge1"])
def test_every_prompt_is_asked_in_order_timed_and_marked(template):
    results = list(ask_suite(tiny_speaker(template), max_tokens=5))
    assert [result.prompt for result in results] == [prompt.text for prompt in SUITE]
    assert all(0 < result.tokens <= 5 and result.seconds > 0 for result in results)
    assert [result.passed is None for result in results] == [prompt.check is None for prompt in SUITE]
    assert all(result.thought == bool(result.thinking.strip()) for result in results)


def test_a_suite_of_ones_own_is_marked_by_its_own_checks():
    suite = (SuitePrompt("a", lambda answer: True), SuitePrompt("b", lambda answer: False), SuitePrompt("c"))
    results = ask_suite(tiny_speaker("text"), suite, max_tokens=2, settings=SamplingSettings(seed=1))
    assert [result.passed for result in results] == [True, False, None]


def test_a_prompt_longer_than_the_context_is_answered_with_a_warning():
    (result,) = ask_suite(tiny_speaker("text"), [SuitePrompt("x" * 200)], max_tokens=2)
    assert "exceeds the context" in result.warnings[0]
