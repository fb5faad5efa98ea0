"""Logits in, tokens out: how the next token is chosen. Pure functions of their arguments.

The order is fixed, because it matters: repetition penalty on the logits; temperature; top-k; top-p over what top-k
left; min-p. Tokens that tie with the last one kept are kept as well, so what is kept depends on values alone.

Chance is an argument too. One number in [0, 1) decides a token, and `uniform` computes it from the seed, the
prompt's number and the position: what else is in the batch, and what was drawn before, never changes a sample.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from hornbook.config.sections import SamplingConfig
from hornbook.errors import ConfigError

UNDEFINED = -1
"""What `choose` returns for a row whose logits have no largest finite value (NaN, infinity, nothing allowed)."""


@dataclass(frozen=True, kw_only=True)
class SamplingSettings:
    """How tokens are chosen.

    Args:
        temperature: 0 always takes the likeliest token; the settings below then change nothing but the penalty.
        top_k: choose among the k likeliest; 0 among all.
        top_p: choose among the likeliest that together have this probability (Holtzman et al., arXiv:1904.09751).
        min_p: drop what is less likely than this share of the likeliest (Nguyen et al., arXiv:2407.01082).
        repetition_penalty: above 1 makes tokens of the prompt and of the text so far less likely.
        seed: the same seed gives the same text.

    Raises:
        ConfigError: if a value is out of range, naming it.
    """

    temperature: float = 0.8
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        penalty = self.repetition_penalty
        self._require(
            self.temperature >= 0 and math.isfinite(self.temperature), "temperature", "a number of 0 or more"
        )
        self._require(isinstance(self.top_k, int) and self.top_k >= 0, "top_k", "a whole number of 0 or more")
        self._require(0 < self.top_p <= 1, "top_p", "a number above 0 and at most 1")
        self._require(0 <= self.min_p <= 1, "min_p", "a number between 0 and 1")
        self._require(penalty > 0 and math.isfinite(penalty), "repetition_penalty", "a number above 0")

    @classmethod
    def from_config(cls, config: SamplingConfig, *, seed: int = 0) -> Self:
        """Take what `config` and this class have in common."""
        shared = cls.__dataclass_fields__.keys() & SamplingConfig.model_fields.keys()
        return cls(seed=seed, **{name: getattr(config, name) for name in shared})

    def _require(self, holds: bool, name: str, range_text: str) -> None:
        if not holds:
            raise ConfigError(f"{name} = {getattr(self, name)} is impossible.", fix=f"give {range_text}.")


GREEDY = SamplingSettings(temperature=0.0)


def uniform(seed: int, *, prompt: int, position: int) -> float:
    """Return the number in [0, 1) that decides token `position` of the text written for `prompt`."""
    digest = hashlib.blake2b(f"{seed}/{prompt}/{position}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest) >> 11) * 2.0**-53


def choose(
    logits: Tensor, settings: SamplingSettings, *, draws: Sequence[float], seen: Tensor | None = None
) -> Tensor:
    """Choose one token a row.

    Args:
        logits: (B, V), any float dtype.
        settings: how.
        draws: B numbers in [0, 1), see `uniform`; not read at temperature 0.
        seen: (B, V) bool, the tokens the repetition penalty applies to; none applies no penalty.

    Returns:
        (B,) int64; UNDEFINED where the logits are not usable, so that the caller needs one look at the device.
    """
    logits = logits.float()
    usable = logits.amax(-1).isfinite()
    if seen is not None:
        logits = penalise(logits, seen, settings.repetition_penalty)
    if settings.temperature == 0:
        chosen = logits.argmax(-1)
    else:
        weights = keep_likely(soften(logits, settings.temperature), settings)
        chosen = pick(weights, torch.tensor(draws, dtype=weights.dtype, device=weights.device))
    return torch.where(usable, chosen, UNDEFINED)


def penalise(logits: Tensor, seen: Tensor, penalty: float) -> Tensor:
    """Make the `seen` tokens less likely: divide positive logits by `penalty`, multiply negative ones by it.

    Keskar et al. 2019, arXiv:1909.05858, section 4.1, divide every logit; dividing a negative one would raise it,
    so here the sign decides.
    """
    return torch.where(seen, torch.where(logits > 0, logits / penalty, logits * penalty), logits)


def soften(logits: Tensor, temperature: float) -> Tensor:
    """Return unnormalised probabilities at `temperature`, the likeliest token having 1: (B, V) -> (B, V).

    In float64 where the device has it: a sum over a large vocabulary then keeps its rare tokens.
    """
    precise = torch.float32 if logits.device.type == "mps" else torch.float64
    logits = logits.to(precise)
    return ((logits - logits.amax(-1, keepdim=True)) / temperature).exp()


def keep_likely(weights: Tensor, settings: SamplingSettings) -> Tensor:
    """Set the weight of what top-k, then top-p, then min-p exclude to 0: (B, V) -> (B, V)."""
    if 0 < settings.top_k < weights.shape[-1]:
        weights = _drop_below(weights, weights.topk(settings.top_k).values[:, -1:])
    if settings.top_p < 1:
        falling = weights.sort(descending=True).values
        before = falling.cumsum(-1) - falling  # (B, V), the mass of everything likelier
        kept = (before < settings.top_p * falling.sum(-1, keepdim=True)).sum(-1, keepdim=True).clamp(min=1)
        weights = _drop_below(weights, falling.gather(-1, kept - 1))
    if settings.min_p > 0:
        weights = _drop_below(weights, settings.min_p * weights.amax(-1, keepdim=True))
    return weights


def pick(weights: Tensor, draws: Tensor) -> Tensor:
    """Invert the cumulative distribution: `weights` (B, V) >= 0 and `draws` (B,) in [0, 1) give (B,) int64.

    A token of weight 0 is never picked: the sum does not rise at it.
    """
    cumulative = weights.cumsum(-1)
    found = torch.searchsorted(cumulative, draws[:, None] * cumulative[:, -1:], right=True)[:, 0]
    return found.clamp(max=weights.shape[-1] - 1)  # NaN weights, which `choose` reports


def _drop_below(weights: Tensor, least: Tensor) -> Tensor:
    return weights.masked_fill(weights < least, 0.0)
