"""Normalisation steps."""

import pytest

from hornbook.errors import ConfigError
from hornbook.text.clean import CLEANERS, clean


@pytest.mark.parametrize(
    ("step", "before", "after"),
    [
        ("unix_lines", "a\r\nb\rc\nd", "a\nb\nc\nd"),
        ("no_controls", "a\0b\x1bc\td\r\n\x7f\x85", "abc\td\r\n"),
        ("one_space", "a \t b  \n c\u00a0d", "a b\n c d"),
        ("few_blank_lines", "a\n\n\n \nb\n\nc", "a\n\nb\n\nc"),
        ("strip", "  a b \n", "a b"),
        ("lower", "ÀB", "àb"),
        ("nfc", "e\u0301", "é"),
        ("nfd", "é", "e\u0301"),
        ("nfkc", "ﬁ e\u0301 Ａ", "fi é A"),
        ("nfkd", "ﬁ é", "fi e\u0301"),
        ("no_html", "<p>a &lt; b<br>c</p><!-- d --><script>e</script><b>f</b> 1 < 2", "a < b\nc\nf 1 < 2"),
        ("plain_quotes", "“it’s” – so", '"it\'s" - so'),
    ],
)
def test_a_step_does_what_its_name_says(step, before, after):
    assert clean(before, [step]) == after


def test_every_step_is_tried_above():
    tried = next(mark for mark in test_a_step_does_what_its_name_says.pytestmark).args[1]
    assert {step for step, _, _ in tried} == set(CLEANERS)


def test_steps_run_in_the_order_given():
    assert clean(" A\r\n", ["unix_lines", "strip", "lower"]) == "a"


def test_no_step_leaves_the_text_untouched():
    assert clean(" A\r\n\0", []) == " A\r\n\0"


def test_an_unknown_step_is_named_with_a_suggestion():
    with pytest.raises(ConfigError, match=r"no cleaning step named 'lowr'[\s\S]*did you mean 'lower'"):
        clean("a", ["lowr"])
