"""Ids in, ids out: prefill, step, stop. What the ids mean as text is the business of `speak.py`.

Every row of a batch is a list of ids: its prompt, then what it has written. A model's state has one length for all
of its rows, so the rows move forward together, by one rule:

    feed every row up to the end of the shortest; each row that is now at its end writes a token.

That rule is the prefill (the first step feeds the prompts), the decoding (then one token a step) and the answer to
prompts of different lengths (a longer one is still being fed while the shorter ones already write). There is no
padding and no mask: the state of a row holds the ids of that row and nothing else, so what a row writes does not
depend on its neighbours. Nothing is computed twice, but for the sliding described at `Decoding`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from hornbook.errors import ConfigError, HornbookError
from hornbook.inference.sampler import UNDEFINED, SamplingSettings, choose, uniform
from hornbook.models.contract import LanguageModel
from hornbook.models.modes import only_using
from hornbook.nn.state import DecodeState

MOST_ROWS = 128
"""Rows decoded together: beyond this, twice the rows take nearly twice the time."""

STATE_BYTES = 2**30
"""Memory a batch's state may take; a batch has fewer rows if it would take more."""

FEED_TOKENS = 16_384
"""Tokens, over all rows, fed in one call: a long prompt is fed in pieces, so that its activations stay small."""


@dataclass
class Row:
    """One prompt and what is being written after it.

    Args:
        index: number of the prompt among those given; with the seed it decides the row's chance.
        ids: what the model has been or will be fed: prompt and continuation, without what has slid away.
        cut: tokens dropped from the front of a prompt longer than the context, where the model has such a limit.
        written: the continuation, the stop token included.
        stopped: why it ended ("stop", "length", "context", "caller"), or "" while it goes on.
        slid: whether the beginning was forgotten on the way.
    """

    index: int
    ids: list[int]
    cut: int = 0
    written: list[int] = field(default_factory=list)
    stopped: str = ""
    slid: bool = False


@dataclass(frozen=True)
class Completion:
    """What was written after one prompt; the fields are those of `Row`."""

    ids: list[int]
    stopped: str
    cut: int
    slid: bool


def generate(
    model: LanguageModel,
    prompts: Sequence[Sequence[int]],
    *,
    settings: SamplingSettings,
    max_tokens: int,
    stop_ids: frozenset[int] = frozenset(),
    on_token: Callable[[int, int], bool | None] | None = None,
    slide: bool = True,
) -> list[Completion]:
    """Continue each prompt, in batches of similar length.

    Args:
        model: runs on its own device, in its own dtype or autocast's where the caller has switched that on.
        prompts: ids, each at least one.
        settings: how tokens are chosen.
        max_tokens: most tokens to write after each prompt.
        stop_ids: a row that writes one of these ends with it.
        on_token: called with (prompt number, id) of every token as it is written; True ends that row.
        slide: go on when the context is full, see `Decoding`; otherwise the row ends there.

    Returns:
        One completion a prompt, in their order.

    Raises:
        ConfigError: if a prompt is empty or holds an id the model does not know, or max_tokens is below 1.
        HornbookError: if the model's logits are not finite.
    """
    rows = [start_row(model, number, prompt) for number, prompt in enumerate(prompts)]
    with only_using(model):
        for batch in _batches(model, rows, max_tokens):
            decoding = Decoding(
                model, batch, settings=settings, max_tokens=max_tokens, stop_ids=stop_ids, slide=slide
            )
            while decoding.speaking:
                for row in decoding.step():
                    if on_token is not None and on_token(row.index, row.written[-1]):
                        row.stopped = row.stopped or "caller"
    return [Completion(row.written, row.stopped, row.cut, row.slid) for row in rows]


def start_row(model: LanguageModel, number: int, prompt: Sequence[int]) -> Row:
    """Make the row of a prompt; one longer than the model can take in keeps its end.

    Raises:
        ConfigError: if it is empty or holds an id the model does not know.
    """
    V = model.config.vocab_size
    if not prompt:
        raise ConfigError(
            f"Prompt {number} has no tokens.", fix="begin with the tokenizer's eos_id, the separator."
        )
    if not 0 <= min(prompt) <= max(prompt) < V:
        raise ConfigError(
            f"Prompt {number} holds ids from {min(prompt)} to {max(prompt)}; the model knows 0 to {V - 1}.",
            fix="encode it with the tokenizer the model was trained with.",
        )
    limit = model.config.position_limit
    cut = 0 if limit is None else max(0, len(prompt) - limit)
    return Row(number, list(prompt[cut:]), cut)


class Decoding:
    """Rows being continued together.

    A full context slides: the last half of it is fed again as the beginning of a new state, and the row goes on,
    having forgotten the rest. That costs one extra token fed per token written, on average, and only there.
    Rows fill the context at the same moment, because no prompt is longer than it. A model whose memory has no limit
    never slides.

    Args:
        model: see `generate`, as for all that follow.
        rows: at least one, from `start_row`; changed in place.
    """

    def __init__(
        self,
        model: LanguageModel,
        rows: Sequence[Row],
        *,
        settings: SamplingSettings,
        max_tokens: int,
        stop_ids: frozenset[int] = frozenset(),
        slide: bool = True,
    ) -> None:
        if max_tokens < 1:
            raise ConfigError(f"max_tokens = {max_tokens} leaves nothing to write.", fix="give 1 or more.")
        self.model, self.rows, self.settings = model, list(rows), settings
        self.max_tokens, self.stop_ids, self.slide = max_tokens, stop_ids, slide
        self.limit = model.config.position_limit
        self.capacity = _capacity(model, rows, max_tokens)
        self.state = self._empty_state()
        self.seen = self._seen_in_prompts()

    @property
    def speaking(self) -> bool:
        """Whether any row goes on."""
        return any(not row.stopped for row in self.rows)

    def step(self) -> list[Row]:
        """Feed the rows, and let those at their end write; return the rows that wrote, which may be none.

        Raises:
            HornbookError: if the model's logits are not finite.
        """
        self._release()
        with only_using(self.model):
            logits = self._feed()  # (B, V)
            at_end = [number for number, row in enumerate(self.rows) if len(row.ids) == self.state.length]
            chosen = self._choose(logits) if at_end else []
        wrote = []
        for number in at_end:
            row = self.rows[number]
            if row.stopped:
                row.ids.append(0)  # see _release
            else:
                self._write(number, chosen[number])
                wrote.append(row)
        return wrote

    def _feed(self) -> Tensor:
        """Feed every row up to the end of the shortest, or as far as one call goes; return the last logits."""
        ends = min(len(row.ids) for row in self.rows)
        if self.limit is not None and ends > self.limit:
            ends = self._slide(self.limit)
        start = self.state.length
        ends = min(ends, start + max(1, FEED_TOKENS // len(self.rows)))
        tokens = torch.tensor([row.ids[start:ends] for row in self.rows], device=self._device)  # (B, T)
        last = self.model.hidden(tokens, self.state)[:, -1]  # (B, D): the other logits are not wanted
        return F.linear(last, self.model.head_weight())

    def _choose(self, logits: Tensor) -> list[int]:
        """Choose a token for every row; those not yet at their end ignore theirs."""
        settings, draws = self.settings, []
        if settings.temperature > 0:
            draws = [uniform(settings.seed, prompt=row.index, position=len(row.written)) for row in self.rows]
        return choose(logits, settings, draws=draws, seen=self.seen).tolist()

    def _write(self, number: int, token: int) -> None:
        """Let a row say `token`, and see whether that was its last."""
        row = self.rows[number]
        if token == UNDEFINED:
            raise HornbookError(
                f"The model's logits are not finite at token {len(row.written)} after prompt {row.index}.",
                fix="use an earlier checkpoint, or generate in fp32; `hornbook inspect RUN --prove` tells more.",
            )
        row.ids.append(token)
        row.written.append(token)
        if self.seen is not None:
            self.seen[number, token] = True
        if token in self.stop_ids:
            row.stopped = "stop"
        elif len(row.written) == self.max_tokens:
            row.stopped = "length"
        elif self.limit is not None and len(row.ids) > self.limit and not self.slide:
            row.stopped = "context"

    def _slide(self, limit: int) -> int:
        """Forget the older half of a full context; return the length of what is kept."""
        kept = max(1, limit // 2)
        for row in self.rows:
            row.ids = row.ids[-kept:]
            row.slid = row.slid or not row.stopped
        self.state = self._empty_state()
        return kept

    def _release(self) -> None:
        """Let finished rows leave the batch.

        Leaving copies the memory of those who stay, so it waits until a quarter can leave at once; until then a
        finished row is fed zeros.
        """
        staying = [number for number, row in enumerate(self.rows) if not row.stopped]
        if len(staying) <= len(self.rows) * 3 // 4:
            index = torch.tensor(staying, device=self._device)
            self.state = self.state.rows(index)
            self.seen = None if self.seen is None else self.seen[index]
            self.rows = [self.rows[number] for number in staying]

    def _empty_state(self) -> DecodeState:
        device, dtype = self._device, self.model.head_weight().dtype
        if torch.is_autocast_enabled(device.type):
            dtype = torch.get_autocast_dtype(device.type)
        return self.model.init_state(len(self.rows), self.capacity, dtype=dtype)

    def _seen_in_prompts(self) -> Tensor | None:
        """Mark the tokens of each prompt, (B, V) bool, if a repetition penalty asks for it."""
        if self.settings.repetition_penalty == 1:
            return None
        seen = torch.zeros(len(self.rows), self.model.config.vocab_size, dtype=torch.bool, device=self._device)
        for number, row in enumerate(self.rows):
            seen[number, row.ids] = True
        return seen

    @property
    def _device(self) -> torch.device:
        return self.model.head_weight().device


def _capacity(model: LanguageModel, rows: Sequence[Row], max_tokens: int) -> int:
    """Count the tokens a row's state must hold."""
    most = max(len(row.ids) for row in rows) + max_tokens
    return min(most, model.config.position_limit or most)


def _batches(model: LanguageModel, rows: Sequence[Row], max_tokens: int) -> Iterator[list[Row]]:
    """Group rows of similar length, as many at once as memory allows."""
    if not rows:
        return
    config = model.config
    row_bytes = config.state_bytes_per_token(4) * _capacity(model, rows, max_tokens) + config.state_bytes_per_row(
        4
    )
    size = max(1, min(MOST_ROWS, STATE_BYTES // max(1, row_bytes)))
    by_length = sorted(rows, key=lambda row: len(row.ids))
    for start in range(0, len(by_length), size):
        yield by_length[start : start + size]
