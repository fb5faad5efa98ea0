"""Human sizes: reading and writing counts, bytes, durations. Nothing else formats numbers.

Counts are decimal (1k = 1,000), bytes binary (1 KiB = 1,024), durations in seconds.
"""

import re

from hornbook.errors import ConfigError

_COUNT = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "g": 10**9, "t": 10**12}
_BYTES = {"": 1, "b": 1}
_BYTES |= {prefix + suffix: 1024**power for power, prefix in enumerate("kmgt", 1) for suffix in ("", "b", "ib")}
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def count_text(count: float) -> str:
    """1234567 -> '1.23M'; below 10,000 the number itself with thousands separators."""
    if abs(count) < 10_000:
        return f"{count:,.1f}" if abs(count) < 100 and not float(count).is_integer() else f"{count:,.0f}"
    for suffix, scale in (("T", 10**12), ("B", 10**9), ("M", 10**6), ("k", 10**3)):
        if abs(count) >= scale * 0.9995:
            return f"{_three_digits(count / scale)}{suffix}"
    return f"{count:,.0f}"


def bytes_text(size: float) -> str:
    """1288490189 -> '1.20 GiB'."""
    for suffix, scale in (("TiB", 1024**4), ("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024)):
        if abs(size) >= scale:
            return f"{_three_digits(size / scale)} {suffix}"
    return f"{size:,.0f} B"


def duration_text(seconds: float) -> str:
    """11100 -> '3h05m'; under a minute with one decimal: '7.3s'."""
    if seconds < 59.95:
        return f"{seconds:.1f}s"
    total = round(seconds)
    if total < 3600:
        return f"{total // 60}m{total % 60:02d}s"
    minutes = round(seconds / 60)
    if minutes < 2880:
        return f"{minutes // 60}h{minutes % 60:02d}m"
    return f"{minutes // 1440}d{minutes % 1440 // 60:02d}h"


def percent_text(fraction: float) -> str:
    """0.8312 -> '83.1 %'."""
    return f"{100 * fraction:.1f} %"


def parse_count(text: str) -> int:
    """'64k' -> 64000. Raises ConfigError if `text` is no count."""
    return _parse(text, _COUNT, "a count such as 64k or 1.5M")


def parse_bytes(text: str) -> int:
    """'1.5 GiB' -> 1610612736. Raises ConfigError if `text` is no size."""
    return _parse(text, _BYTES, "a size such as 512 MiB or 4GB")


def parse_seconds(text: str) -> float:
    """'3h05m' -> 11100.0. Raises ConfigError if `text` is no duration."""
    parts = re.findall(r"([0-9]+\.?[0-9]*)([smhd])", text.replace(" ", "").lower())
    if not parts or "".join(number + unit for number, unit in parts) != text.replace(" ", "").lower():
        raise ConfigError(f"'{text}' is not a duration.", fix="write it like 90s, 15m or 3h05m.")
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def _three_digits(value: float) -> str:
    """Three significant digits without an exponent: 1.23, 12.3, 123."""
    decimals = 2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0
    return f"{value:.{decimals}f}"


def _parse(text: str, scales: dict[str, int], expected: str) -> int:
    found = re.fullmatch(r"\s*([0-9][0-9_,]*\.?[0-9]*)\s*([a-z]*)\s*", text.lower())
    if not found or found[2] not in scales:
        raise ConfigError(f"'{text}' is not {expected}.", fix=f"write {expected}.")
    return round(float(found[1].replace(",", "").replace("_", "")) * scales[found[2]])
