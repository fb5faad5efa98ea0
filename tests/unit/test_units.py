"""Numbers are written for people and read back."""

import pytest

from hornbook.errors import ConfigError
from hornbook.units import (
    bytes_text,
    count_text,
    duration_text,
    parse_bytes,
    parse_count,
    parse_seconds,
    percent_text,
)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (9_999, "9,999"),
        (0.5, "0.5"),
        (3_965.7, "3,966"),
        (10_000, "10.0k"),
        (999_499, "999k"),
        (999_600, "1.00M"),
        (1_234_567, "1.23M"),
        (12_345_678, "12.3M"),
        (5e9, "5.00B"),
        (2e12, "2.00T"),
        (-20_000, "-20.0k"),
    ],
)
def test_counts_have_three_digits(count, text):
    assert count_text(count) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (1023, "1,023 B"), (1024, "1.00 KiB"), (1288490189, "1.20 GiB"), (3 * 1024**4, "3.00 TiB")],
)
def test_sizes_are_binary(size, text):
    assert bytes_text(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0s"),
        (7.26, "7.3s"),
        (59.94, "59.9s"),
        (59.96, "1m00s"),
        (61, "1m01s"),
        (3_599.6, "1h00m"),
        (11_100, "3h05m"),
        (2 * 86_400, "2d00h"),
    ],
)
def test_durations_never_show_sixty_of_anything(seconds, text):
    assert duration_text(seconds) == text


def test_shares_are_percent():
    assert percent_text(0.8312) == "83.1 %"


@pytest.mark.parametrize(
    ("text", "count"), [("64k", 64_000), ("1.5M", 1_500_000), ("1,000", 1000), ("2_000", 2000)]
)
def test_counts_are_read(text, count):
    assert parse_count(text) == count


@pytest.mark.parametrize(
    ("text", "size"), [("512", 512), ("1KiB", 1024), ("1.5 GiB", 1610612736), ("4gb", 4 * 2**30), ("16 m", 2**24)]
)
def test_sizes_are_read(text, size):
    assert parse_bytes(text) == size


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("3h05m", 11_100), ("1d 2h", 93_600), ("1.5m", 90)])
def test_durations_are_read(text, seconds):
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "k", "1x", "-3", "1.2.3", "many", "1 k b"])
def test_what_is_no_count_is_refused(text):
    with pytest.raises(ConfigError, match=r"is not a count such as 64k or 1\.5M"):
        parse_count(text)


def test_what_is_no_size_is_refused():
    with pytest.raises(ConfigError, match="'3 apples' is not a size such as 512 MiB"):
        parse_bytes("3 apples")


@pytest.mark.parametrize("text", ["", "90", "3h5", "1.2.3s", "soon"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ConfigError, match="is not a duration"):
        parse_seconds(text)
