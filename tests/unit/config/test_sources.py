"""Where settings come from, which one wins, and how text becomes a value."""

import pytest

from hornbook.config.recipes import read_recipe, shipped_recipes
from hornbook.config.sources import gather, parse_value
from hornbook.errors import ConfigError, SettingsError
from hornbook.run import RunConfig


def made(recipe="demo", *arguments, **environment):
    return gather(RunConfig, str(recipe), arguments, environment)


def config(*arguments, **environment):
    return made("demo", *arguments, **environment)[0]


def problem(*arguments, recipe="demo", **environment):
    with pytest.raises(SettingsError) as caught:
        made(recipe, *arguments, **environment)
    return str(caught.value)


@pytest.fixture
def recipe_file(tmp_path):
    def write(text, name="mine.toml"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_a_recipe_gives_its_name_and_values(recipe_file):
    run, _ = made(recipe_file("[training]\nsteps = 7"))
    assert (run.recipe, run.training.steps) == ("mine", 7)


def test_the_environment_wins_over_the_recipe():
    assert config(HORNBOOK_TRAINING__STEPS="7").training.steps == 7


def test_an_argument_wins_over_the_environment():
    assert config("training.steps=9", HORNBOOK_TRAINING__STEPS="7").training.steps == 9


def test_the_last_of_two_arguments_wins():
    assert config("training.steps=9", "training.steps=10").training.steps == 10


def test_the_environment_sets_a_table_setting_by_its_keys():
    assert config(HORNBOOK_DATA__FIELDS__INPUT="ask").data.fields == {"input": "ask"}


def test_other_variables_of_ours_are_no_settings():
    assert config(HORNBOOK_CACHE="/elsewhere", PATH="/bin") == config()


def test_a_whole_section_may_be_an_inline_table():
    assert config("training={steps=3, seed=4}").training.seed == 4


def test_tables_are_merged_setting_by_setting(recipe_file):
    path = recipe_file('[data.fields]\ninput = "q"\noutput = "a"')
    assert made(path, "data.fields={output='b'}")[0].data.fields == {"input": "q", "output": "b"}


def test_every_value_remembers_where_it_came_from():
    _, origins = made("demo", "training.steps=9", HORNBOOK_TRAINING__SEED="3")
    assert origins["training.steps"] == "argument 'training.steps=9'"
    assert origins["training.seed"] == "environment variable HORNBOOK_TRAINING__SEED"
    assert origins["model.width"] == "recipe demo"


def test_another_kind_drops_what_lower_places_said_about_the_section():
    run = config("optimizer.name=adamw")
    assert run.optimizer == RunConfig().optimizer


def test_the_same_kind_again_keeps_what_lower_places_said():
    assert config("optimizer.name=muon").optimizer == config().optimizer


def test_another_kind_keeps_what_its_own_place_said():
    assert config("optimizer.lr=0.5", "optimizer.name=adamw").optimizer.lr == 0.5


def test_the_kind_need_not_be_written_when_it_is_the_default(recipe_file):
    assert made(recipe_file("[optimizer]\nlr = 0.5"))[0].optimizer.lr == 0.5


def test_naming_the_default_kind_keeps_what_was_said_without_naming_it(recipe_file):
    assert made(recipe_file("[optimizer]\nlr = 0.5"), "optimizer.name=adamw")[0].optimizer.lr == 0.5


def test_another_kind_than_the_default_drops_what_was_said_for_the_default(recipe_file):
    path = recipe_file("[optimizer]\nlr = 0.5")
    assert made(path, "optimizer.name=muon")[0].optimizer.lr != 0.5


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("1e-3", 1e-3),
        ("true", True),
        ('"true"', "true"),
        ("[1, 2]", [1, 2]),
        ("{a = 1}", {"a": 1}),
        ("auto", "auto"),
        ("a b", "a b"),
        ("runs/x", "runs/x"),
        ("2024-01-01", "2024-01-01"),
        ("1\nb = 2", "1\nb = 2"),
        ("[" * 50_000, "[" * 50_000),
        ("9" * 5_000, "9" * 5_000),
    ],
)
def test_text_that_is_toml_is_read_as_toml_and_the_rest_as_text(text, value):
    assert parse_value(text) == value


def test_counts_may_have_a_suffix():
    assert config("training.steps=2k").training.steps == 2_000


def test_sizes_in_bytes_are_binary():
    assert config("data.max_line_bytes=2 MiB").data.max_line_bytes == 2 * 2**20


def test_none_unsets():
    assert config("evaluation.max_tokens=none").evaluation.max_tokens is None


def test_none_is_text_where_text_is_wanted():
    assert config("run.note=none").run.note == "none"


@pytest.mark.parametrize("text", ["2024", "1e5", "true", "{a=1}x"])
def test_a_path_that_looks_like_something_else_stays_text(text):
    assert config(f"data.path={text}").data.path == text


def test_a_list_of_paths_is_a_list():
    assert config("data.path=['a', 'b']").data.path == ("a", "b")


def test_quotes_keep_an_empty_text():
    assert config('run.note=""').run.note == ""


@pytest.mark.parametrize(
    ("argument", "says"),
    [
        ("training.steps", "'training.steps' sets nothing.\nfix: write it as training.steps=VALUE."),
        ("=3", "'=3' names no setting.\nfix: write section.name=value."),
        ("training.=3", "'training.=3' names no setting."),
        ("training.steps=", "'training.steps=' gives no value.\nfix: write training.steps=VALUE"),
    ],
)
def test_a_malformed_argument_is_explained(argument, says):
    assert says in problem(argument)


def test_every_problem_is_told_at_once():
    text = problem("training.stesp=1", "modle.width=2", "optimizer.lr=-1", "nothing")
    assert all(word in text for word in ("training.steps", "model.width", "optimizer.lr", "'nothing'"))


def test_a_problem_of_the_environment_names_the_variable():
    assert "environment variable HORNBOOK_TRAINING__STPES" in problem(HORNBOOK_TRAINING__STPES="1")


def test_a_problem_of_a_recipe_names_the_file(recipe_file):
    path = recipe_file("[training]\nstesp = 1")
    assert f"training.stesp ({path}): unknown setting." in problem(recipe=path)


def test_an_unknown_recipe_suggests_the_nearest():
    with pytest.raises(ConfigError) as caught:
        made("dmeo")
    assert str(caught.value).startswith("There is no recipe named 'dmeo'.\nfix: did you mean 'demo'?")


def test_a_missing_recipe_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"There is no recipe file .*gone\.toml"):
        made(tmp_path / "gone.toml")


def test_a_folder_is_no_recipe(tmp_path):
    with pytest.raises(ConfigError, match="There is no recipe file"):
        made(tmp_path)


def test_a_file_of_another_kind_is_no_recipe(recipe_file):
    with pytest.raises(ConfigError, match="is not a recipe file"):
        made(recipe_file("a", name="mine.txt"))


def test_broken_toml_names_file_and_line(recipe_file):
    with pytest.raises(ConfigError, match=r"mine\.toml cannot be read: .*line 2"):
        made(recipe_file("[training]\nsteps = = 3"))


def test_deep_nesting_is_refused(recipe_file):
    with pytest.raises(ConfigError, match="cannot be read"):
        made(recipe_file("a = " + "[" * 50_000))


def test_a_recipe_that_is_no_text_is_refused(recipe_file):
    with pytest.raises(ConfigError, match="cannot be read"):
        made(recipe_file(b"\xff\xfe\x00"))


def test_a_byte_order_mark_is_ignored(recipe_file):
    assert made(recipe_file(b"\xef\xbb\xbf[training]\nsteps = 7"))[0].training.steps == 7


def test_yaml_is_read_by_its_ending(recipe_file):
    run, _ = made(recipe_file("training:\n  steps: 7\noptimizer:\n  lr: 1e-3\n", name="mine.yaml"))
    assert (run.training.steps, run.optimizer.lr) == (7, 1e-3)


def test_broken_yaml_is_told_in_one_line(recipe_file):
    with pytest.raises(ConfigError) as caught:
        made(recipe_file("training: [1", name="mine.yml"))
    assert "mine.yml cannot be read" in caught.value.problem
    assert "\n" not in caught.value.problem


def test_yaml_that_is_no_table_is_refused(recipe_file):
    with pytest.raises(ConfigError, match="is not a table of settings"):
        made(recipe_file("- 1\n- 2\n", name="mine.yaml"))


@pytest.mark.parametrize("name", ["a b.toml", "..toml", "é.toml"])
def test_a_recipe_whose_name_cannot_name_a_folder_is_refused(recipe_file, name):
    with pytest.raises(ConfigError, match="cannot name a run's folder"):
        made(recipe_file("", name=name))


def test_the_recipe_name_itself_is_no_setting():
    assert "recipe (argument 'recipe=x'): unknown setting." in problem("recipe=x")


def test_infinity_and_nan_are_no_settings():
    assert "optimizer.lr" in problem("optimizer.lr=inf")
    assert "optimizer.lr" in problem("optimizer.lr=nan")


def test_shipped_recipes_have_names_that_can_name_folders():
    assert "demo" in shipped_recipes()
    assert all(read_recipe(name).name == name for name in shipped_recipes())
