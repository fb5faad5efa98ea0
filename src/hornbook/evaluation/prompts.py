"""A short, timed suite of prompts: for reading what a model says, with a check where the answer is known.

It is a look, not a measurement: eight prompts tell nothing apart. `exam.py` measures.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from hornbook.inference.sampler import GREEDY, SamplingSettings
from hornbook.inference.speak import MAX_TOKENS, Speaker

Check = Callable[[str], bool]
"""Says whether an answer is right."""


@dataclass(frozen=True)
class SuitePrompt:
    """One prompt of a suite; `check` is None where no single answer is right."""

    text: str
    check: Check | None = None


@dataclass(frozen=True)
class SuiteResult:
    """What a model said to one prompt, how long it took, and whether it was right: None where nobody can say.

    Args:
        thought: whether it thought before it answered.
        stopped: why it ended, as inference.speak.Spoken.
    """

    prompt: str
    thought: bool
    thinking: str
    answer: str
    tokens: int
    seconds: float
    stopped: str
    warnings: tuple[str, ...]
    passed: bool | None


def says_numbers(*numbers: float) -> Check:
    """Check that these numbers stand in the answer one after the other, with no other number between them."""

    def check(answer: str) -> bool:
        found = [float(text.replace(",", "")) for text in re.findall(r"\d+(?:,\d{3})*(?:\.\d+)?", answer)]
        wanted, size = list(map(float, numbers)), len(numbers)
        return any(found[start : start + size] == wanted for start in range(len(found) - size + 1))

    return check


def says_word(word: str) -> Check:
    """Check that this word stands in the answer, in capitals or not."""
    pattern = re.compile(rf"\b{re.escape(word)}\b", re.IGNORECASE)
    return lambda answer: pattern.search(answer) is not None


def says_any(*beginnings: str) -> Check:
    """Check that a word with one of these beginnings stands in the answer, in capitals or not."""
    pattern = re.compile(rf"\b(?:{'|'.join(map(re.escape, beginnings))})", re.IGNORECASE)
    return lambda answer: pattern.search(answer) is not None


SUITE = (
    SuitePrompt("What is 15 * 23?", says_numbers(345)),
    SuitePrompt("A train travels at 60 mph for 2.5 hours. How many miles does it travel?", says_numbers(150)),
    SuitePrompt("List the prime numbers below 20.", says_numbers(2, 3, 5, 7, 11, 13, 17, 19)),
    SuitePrompt("Write a haiku about programming."),
    SuitePrompt("Why is the sky blue?", says_any("scatter", "Rayleigh")),
    SuitePrompt("What is the capital of France?", says_word("Paris")),
    SuitePrompt("Sort these numbers from smallest to largest: 5, 2, 8, 1, 9", says_numbers(1, 2, 5, 8, 9)),
    SuitePrompt("Ana has 3 apples and gives 1 of them away. How many has she left?", says_numbers(2)),
)
"""The eight prompts every model is asked."""


def ask_suite(
    speaker: Speaker,
    suite: Sequence[SuitePrompt] = SUITE,
    *,
    settings: SamplingSettings = GREEDY,
    max_tokens: int = MAX_TOKENS,
    think: bool | None = None,
) -> Iterator[SuiteResult]:
    """Ask the prompts one by one, each timed alone, and yield each result as it is there.

    Raises:
        HornbookError: if the model's logits are not finite.
    """
    for prompt in suite:
        spoken = speaker.complete(prompt.text, settings=settings, max_tokens=max_tokens, think=think)
        yield SuiteResult(
            prompt=prompt.text,
            thought=bool(spoken.thinking.strip()),
            thinking=spoken.thinking,
            answer=spoken.answer,
            tokens=spoken.tokens,
            seconds=spoken.seconds,
            stopped=spoken.stopped,
            warnings=spoken.warnings,
            passed=None if prompt.check is None else prompt.check(spoken.answer),
        )
