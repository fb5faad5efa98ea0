"""The difference of two means, with its 95 % interval: Welch's t interval for unequal spreads.

Welch 1947, Biometrika 34, pages 28 to 35. It is taken over seeds, unpaired on purpose: two architectures that share
a seed share the order of their data but not one starting weight, so their luck is their own; pairing them would
halve the degrees of freedom and gain nothing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, variance

_CONFIDENCE = 0.95
_STEPS = 400
"""Intervals of Simpson's rule; the error of a quantile is then below 1e-9."""


@dataclass(frozen=True, slots=True)
class Difference:
    """How much larger the second mean is than the first; `low` and `high` are None where a side has one value."""

    value: float
    low: float | None
    high: float | None

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval is known and zero lies outside it."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def difference(first: Sequence[float], second: Sequence[float]) -> Difference:
    """Return the mean of `second` minus the mean of `first`, with its interval; neither may be empty."""
    value = fmean(second) - fmean(first)
    if min(len(first), len(second)) < 2:
        return Difference(value, None, None)
    parts = [variance(values) / len(values) for values in (first, second)]
    if not sum(parts):  # every run gave one and the same number
        return Difference(value, value, value)
    spread = sum(part**2 / (len(values) - 1) for part, values in zip(parts, (first, second), strict=True))
    half = math.sqrt(sum(parts)) * t_quantile(sum(parts) ** 2 / spread)
    return Difference(value, value - half, value + half)


def mean_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Return the 95 % t interval of a mean (Student 1908), None for a single value."""
    if len(values) < 2:
        return None
    half = math.sqrt(variance(values) / len(values)) * t_quantile(len(values) - 1)
    return fmean(values) - half, fmean(values) + half


def t_quantile(freedom: float) -> float:
    """Return how many standard errors hold 95 % of Student's t with `freedom` degrees, at least 1.

    With t = sqrt(freedom) tan(angle) the density becomes a power of the cosine, which is integrated and bisected.
    """
    assert freedom >= 1, f"{freedom} degrees of freedom"
    scale = 2 / math.sqrt(math.pi) * math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2))
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        angle = (low + high) / 2
        inside = scale * _cosine_power(angle, freedom - 1) < _CONFIDENCE
        low, high = (angle, high) if inside else (low, angle)
    return math.sqrt(freedom) * math.tan(low)


def _cosine_power(angle: float, power: float) -> float:
    """Integrate cos(x) ** power from 0 to `angle` by Simpson's rule."""
    width = angle / _STEPS
    values: list[float] = [math.cos(number * width) ** power for number in range(_STEPS + 1)]
    return width / 3 * (values[0] + 4 * sum(values[1::2]) + 2 * sum(values[2:-1:2]) + values[-1])
