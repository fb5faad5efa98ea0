"""What commands print is aligned, and shows what a terminal would swallow."""

import sys

import pytest

from hornbook.commands.display import program, show_pieces, show_rows, visible


def test_rows_are_aligned_numbers_to_the_right(capsys):
    show_rows([["a", "1", "x"], ["long", "1,000"]])
    assert capsys.readouterr().out == "  a         1  x\n  long  1,000\n"


def test_no_rows_print_nothing(capsys):
    show_rows([])
    assert capsys.readouterr().out == ""


def test_control_characters_are_shown():
    assert visible("a\nb\tc\x1b") == "a↵b\\tc\\x1b"


def test_without_colours_bars_stand_between_pieces(capsys):
    show_pieces([("a", "dim"), ("b", "bold")])
    assert capsys.readouterr().out == "a|b\n"


def test_with_colours_line_breaks_show_theirs(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    show_pieces([("a\nb", "bold green")])
    text = capsys.readouterr().out
    assert "↵\x1b[0m\n" in text
    assert "\x1b[1;32m" in text


@pytest.mark.parametrize(
    ("started", "found", "told"),
    [
        (".venv/bin/hornbook", None, ".venv/bin/hornbook"),
        (".venv/bin/hornbook", "/usr/bin/hornbook", "hornbook"),
        ("/usr/lib/python3/hornbook/__main__.py", None, "hornbook"),
    ],
)
def test_a_command_is_told_as_this_user_would_type_it(monkeypatch, started, found, told):
    monkeypatch.setattr(sys, "argv", [started])
    monkeypatch.setattr("shutil.which", lambda name: found)
    assert program() == told
