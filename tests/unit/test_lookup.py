"""A name that is not there names the nearest and all there are."""

import pytest

from hornbook.errors import ConfigError
from hornbook.lookup import lookup, suggest

TABLE = {"adamw": 1, "muon": 2}


def test_a_known_name_gives_its_value():
    assert lookup(TABLE, "muon", what="optimizer") == 2


def test_an_unknown_name_is_told_with_the_nearest():
    with pytest.raises(ConfigError) as caught:
        lookup(TABLE, "adamm", what="optimizer")
    assert str(caught.value) == (
        "There is no optimizer named 'adamm'.\nfix: did you mean 'adamw'? Known: adamw, muon."
    )


def test_a_name_like_nothing_gets_the_list_alone():
    assert suggest("xyz", TABLE) == "Known: adamw, muon."
