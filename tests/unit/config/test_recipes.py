"""A recipe file: its name, its small version, and what was claimed of it."""

import pytest

from hornbook.config.recipes import Claim, demo_recipes, read_recipe
from hornbook.errors import ConfigError
from hornbook.run import make_run

RECIPE = """
[model]
arch = "gpt"
width = 384

[optimizer]
name = "muon"
lr = 0.02

[training]
steps = 100

[demo.model]
width = 32

[demo.optimizer]
name = "adamw"

[demo.training]
steps = 3

[[claims]]
claim = "~1M parameters"
original = "README"
truth = "2,000,000"
"""


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(RECIPE, encoding="utf-8")
    return str(path)


def refused(recipe):
    with pytest.raises(ConfigError) as caught:
        read_recipe(str(recipe))
    return str(caught.value)


def test_the_small_version_lies_over_the_recipe(mine):
    run = make_run(f"{mine}+demo", environment={})
    assert (run.model.arch, run.model.width, run.training.steps) == ("gpt", 32, 3)


def test_another_kind_in_the_small_version_drops_what_the_recipe_says_of_the_first(mine):
    run = make_run(f"{mine}+demo", environment={})
    assert (run.optimizer.name, run.optimizer.lr) == ("adamw", 1e-3)


def test_without_the_plus_the_small_version_is_not_read(mine):
    run = make_run(mine, environment={})
    assert (run.model.width, run.training.steps) == (384, 100)


def test_the_small_version_has_a_run_of_its_own(mine):
    assert make_run(f"{mine}+demo", environment={}).folder == "runs/mine-demo"
    assert make_run(mine, environment={}).folder == "runs/mine"


def test_an_argument_wins_over_the_small_version(mine):
    assert make_run(f"{mine}+demo", ["training.steps=9"], environment={}).training.steps == 9


def test_claims_are_read_and_are_no_settings(mine):
    assert read_recipe(mine).claims == (Claim("~1M parameters", "README", "2,000,000"),)


def test_a_recipe_without_a_small_version_says_which_have_one():
    message = refused("text+demo")
    assert "recipe text has no small version of itself" in message
    assert all(name in message for name in demo_recipes())


def test_another_word_after_the_plus_is_no_recipe():
    assert "There is no recipe named 'text+large'" in refused("text+large")


@pytest.mark.parametrize(
    "claims", ["claims = 3", '[[claims]]\nclaim = "much"', '[[claims]]\nclaim="a"\noriginal="b"\ntruth=3']
)
def test_claims_of_another_shape_are_refused(tmp_path, claims):
    path = tmp_path / "bad.toml"
    path.write_text(claims, encoding="utf-8")
    assert "is not a list of claims" in refused(path)
    assert "claim, original, truth" in refused(path)
