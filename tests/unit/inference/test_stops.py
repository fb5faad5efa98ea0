"""Stop strings over any borders of pieces."""

import itertools

import pytest

from hornbook.errors import ConfigError
from hornbook.inference.stops import StopStrings, before


def told(strings, pieces):
    """Return the pieces passed on, and whether a stop string was found."""
    stops = StopStrings(strings)
    passed = [stops.push(piece) for piece in pieces]
    return [*passed, stops.flush()], stops.found


def cuts(text):
    """Return every way to cut a text into pieces."""
    for borders in itertools.product([False, True], repeat=len(text) - 1):
        pieces, start = [], 0
        for position, border in enumerate(borders, 1):
            if border:
                pieces.append(text[start:position])
                start = position
        yield [*pieces, text[start:]]


@pytest.mark.parametrize(
    ("strings", "text", "expected"),
    [
        (["ab"], "xxabyy", "xx"),
        (["aab"], "aaabx", "a"),
        (["abc", "b"], "xabcx", "xa"),
        (["\nUser:"], "hi\nUser:", "hi"),
        (["zz"], "xyz", "xyz"),
        (["x"], "xyz", ""),
    ],
)
def test_where_a_text_ends_does_not_depend_on_how_it_was_cut(strings, text, expected):
    for pieces in cuts(text):
        passed, found = told(strings, pieces)
        assert "".join(passed) == expected
        assert found == (expected != text)


def test_the_beginning_of_a_stop_string_is_held_back_until_it_is_known_to_be_none():
    assert told(["stop"], ["it s", "t", "umble"])[0] == ["it ", "", "stumble", ""]
    assert told(["stop"], ["it s", "t"])[0] == ["it ", "", "st"]


def test_without_stop_strings_everything_passes_at_once():
    assert told([], ["a", "b"]) == (["a", "b", ""], False)


def test_before_cuts_a_whole_text():
    assert before("one. two.", (".",)) == "one"
    assert before("one", (".",)) == "one"


def test_an_empty_stop_string_is_refused():
    with pytest.raises(ConfigError, match="A stop string is empty") as caught:
        StopStrings(["a", ""])
    assert "leave it out" in caught.value.fix
