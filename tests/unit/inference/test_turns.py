import pytest

from hornbook.inference.turns import QUIT_WORDS, Turn, read_turn


@pytest.mark.parametrize("word", sorted(QUIT_WORDS))
@pytest.mark.parametrize("written", ["{}", "  {}\n", "{}\r\n"])
def test_a_quit_word_ends_however_it_is_written(word, written):
    assert read_turn(written.format(word)).ends
    assert read_turn(written.format(word.upper())).ends


@pytest.mark.parametrize("line", ["quit smoking", "the exit", "qq", "Q:", "quit."])
def test_a_quit_word_in_a_sentence_is_a_word(line):
    assert read_turn(line) == Turn(prompt=line)


@pytest.mark.parametrize("line", ["", "\n", "  \t \r\n"])
def test_an_empty_line_asks_again_or_stands_for_the_default(line):
    assert read_turn(line) == Turn()
    assert read_turn(line, default_prompt="Sing, ") == Turn(prompt="Sing, ")


def test_blanks_around_a_prompt_stay():
    assert read_turn("  def \n").prompt == "  def "


def test_accents_are_composed():
    assert read_turn("cafe\u0301").prompt == "caf\u00e9"


def test_half_a_surrogate_pair_is_shown_as_broken():
    assert read_turn("a\udcffb").prompt == "a\ufffd\ufffd\ufffdb"
