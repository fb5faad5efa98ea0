"""The recipes are listed with what they are."""

import json

from hornbook.cli import run as run_command
from hornbook.commands.recipes import head_comments, recipes


def test_recipes_say_what_they_are_and_whether_they_need_data():
    found = {recipe.name: recipe for recipe in recipes()}
    assert not found["demo"].needs_data
    assert found["text"].needs_data
    assert all(recipe.what for recipe in found.values())


def test_a_size_that_depends_on_the_data_is_not_guessed():
    found = {recipe.name: recipe for recipe in recipes()}
    assert found["shakespeare"].parameters is None
    assert found["demo"].parameters > 0


def test_the_comments_at_the_head_are_the_description():
    assert head_comments("# one\n# two\n\n# not this\n") == ["one", "two"]
    assert head_comments("[data]\n") == ["(not described)"]


def test_the_command_names_every_recipe(capsys):
    assert run_command(["recipes"]) == 0
    text = capsys.readouterr().out
    assert all(recipe.name in text for recipe in recipes())


def test_json_is_a_list(capsys):
    assert run_command(["recipes", "--json"]) == 0
    assert {row["name"] for row in json.loads(capsys.readouterr().out)} == {recipe.name for recipe in recipes()}
