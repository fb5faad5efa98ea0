"""`Speaker`: text in, text out. It puts a model, its tokenizer and its template together; `generate.py` does the work.

A prompt is written exactly as training wrote it. A model taught conversations is spoken to in conversations: a
string is what the user says. A model taught plain text continues a string; an empty one starts a new document.
Text is never refused for its characters: what the vocabulary lacks is written as bytes.
"""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch

from hornbook.inference.generate import Decoding, Row, generate, start_row
from hornbook.inference.sampler import GREEDY, SamplingSettings
from hornbook.inference.stops import StopStrings, before
from hornbook.models.modes import only_using
from hornbook.storage.artifact import Artifact
from hornbook.text.conversation import Conversation, Message
from hornbook.text.template import Reply, parse_reply, render_prompt, stop_ids, text_prompt

MAX_TOKENS = 256


@dataclass(frozen=True)
class Spoken:
    """What was said to one prompt.

    Args:
        text: all of it, without special tokens.
        thinking: the thinking before the answer; "" where there was none.
        answer: what comes after the thinking; all of the text where the template has no thinking.
        tokens: how many the model wrote, the stop token included.
        seconds: time the model took, reading the prompt included.
        stopped: why it ended: "stop" (the model ended it), "string" (a stop string), "length", "context".
        warnings: sentences the user should see.
    """

    text: str
    thinking: str
    answer: str
    tokens: int
    seconds: float
    stopped: str
    warnings: tuple[str, ...]

    def __str__(self) -> str:
        return self.answer


class Speaker:
    """A model that is spoken to in text.

    Args:
        artifact: the model, where it is and as it is; it need not have been saved.
        dtype: format of the matrix products, by autocast; none leaves everything in float32.
        slide: go on when the context is full, forgetting its older half; otherwise the text ends there.
    """

    def __init__(self, artifact: Artifact, *, dtype: torch.dtype | None = None, slide: bool = True) -> None:
        self.artifact, self.dtype, self.slide = artifact, dtype, slide
        self.stop_ids = stop_ids(artifact.template, artifact.tokenizer)

    def complete(
        self,
        prompt: str | Conversation,
        *,
        settings: SamplingSettings = SamplingSettings(),
        max_tokens: int = MAX_TOKENS,
        stop: str | Sequence[str] = (),
        think: bool | None = None,
        on_text: Callable[[str], None] | None = None,
    ) -> Spoken:
        """Continue or answer `prompt`.

        Args:
            prompt: text to continue, or what the user says, as the model was taught; a Conversation, which ends
                with the user's turn, adds earlier turns and a system prompt.
            settings: how tokens are chosen.
            max_tokens: most tokens to write.
            stop: the text ends before the first of these to appear, wherever the tokens are cut.
            think: True makes the model think first, False makes it answer at once, None leaves it the choice.
            on_text: called with each piece of text as it is written; a piece never ends within a character.

        Raises:
            ConfigError: if a setting is impossible.
            DataError: if the prompt holds a lone surrogate, or does not end with the user's turn.
            HornbookError: if the model's logits are not finite.
        """
        pieces = self.stream(prompt, settings=settings, max_tokens=max_tokens, stop=stop, think=think)
        # Entered here once: autocast then converts each weight once, not at every token.
        with only_using(self.artifact.model), self._autocast():
            while True:
                try:
                    piece = next(pieces)
                except StopIteration as end:
                    spoken: Spoken = end.value
                    return spoken
                if on_text is not None:
                    on_text(piece)

    def stream(
        self,
        prompt: str | Conversation,
        *,
        settings: SamplingSettings = SamplingSettings(),
        max_tokens: int = MAX_TOKENS,
        stop: str | Sequence[str] = (),
        think: bool | None = None,
    ) -> Generator[str, None, Spoken]:
        """Yield the pieces of what `complete` would say, as they are written, and return the whole."""
        model, tokenizer = self.artifact.model, self.artifact.tokenizer
        strings = (stop,) if isinstance(stop, str) else tuple(stop)
        stops, characters, said, seconds = StopStrings(strings), tokenizer.stream(), "", 0.0
        row = start_row(model, 0, self._prompt_ids(prompt, think))
        with self._autocast():
            decoding = Decoding(
                model,
                [row],
                settings=settings,
                max_tokens=max_tokens,
                stop_ids=self.stop_ids,
                slide=self.slide,
            )
        while decoding.speaking:
            begin = time.perf_counter()
            with self._autocast():
                wrote = decoding.step()
            seconds += time.perf_counter() - begin
            piece = stops.push(characters.push(row.written[-1])) if wrote else ""
            if stops.found:
                row.stopped = "string"
            elif row.stopped:
                piece += stops.push(characters.flush()) + stops.flush()
            if piece:
                said += piece
                yield piece
        return self._spoken(row, said, seconds, strings, think)

    def reply(
        self,
        conversations: Sequence[Conversation],
        *,
        settings: SamplingSettings = GREEDY,
        max_tokens: int = MAX_TOKENS,
        think: bool | None = None,
    ) -> list[Reply]:
        """Answer many conversations at once, each as it would be answered alone.

        Raises:
            DataError: if a conversation does not end with the user's turn.
            HornbookError: if the model's logits are not finite.
        """
        template, tokenizer = self.artifact.template, self.artifact.tokenizer
        prompts = [render_prompt(template, asked, tokenizer, think=think) for asked in conversations]
        with self._autocast():
            completions = generate(
                self.artifact.model,
                prompts,
                settings=settings,
                max_tokens=max_tokens,
                stop_ids=self.stop_ids,
                slide=self.slide,
            )
        return [parse_reply(template, written.ids, tokenizer, think=think) for written in completions]

    def _prompt_ids(self, prompt: str | Conversation, think: bool | None) -> list[int]:
        """Write the prompt as training wrote what comes before the first learnt token."""
        template, tokenizer = self.artifact.template, self.artifact.tokenizer
        if isinstance(prompt, str):
            if template == "text":
                return text_prompt(prompt, tokenizer)
            prompt = Conversation((Message("user", prompt),))
        return render_prompt(template, prompt, tokenizer, think=think)

    def _spoken(self, row: Row, said: str, seconds: float, strings: Sequence[str], think: bool | None) -> Spoken:
        reply = parse_reply(self.artifact.template, row.written, self.artifact.tokenizer, think=think)
        return Spoken(
            text=said,
            thinking=before(reply.thinking, strings),
            answer=before(reply.answer, strings),
            tokens=len(row.written),
            seconds=seconds,
            stopped=row.stopped,
            warnings=tuple(self._warnings(row, think)),
        )

    def _warnings(self, row: Row, think: bool | None) -> Iterator[str]:
        context = self.artifact.config.context
        if row.cut:
            yield f"The prompt exceeds the context of {context} tokens by {row.cut}: its beginning was left out."
        if row.slid:
            yield f"The text outgrew the context of {context} tokens: its beginning was forgotten on the way."
        if think is not None and self.artifact.template == "text":
            yield "This model was taught text without thinking: `think` changes nothing."

    def _autocast(self) -> AbstractContextManager[object]:
        device = self.artifact.model.head_weight().device
        return torch.autocast(device.type, dtype=self.dtype, enabled=self.dtype is not None)
