"""The whole run as one value: its cross-checks, and saving and loading it."""

import json

import pytest
from pydantic import ValidationError

from hornbook.errors import CheckpointError, ConfigError, SettingsError
from hornbook.run import RunConfig, load_run, make_run, require_data, save_run


def make(*settings):
    return make_run("demo", settings, environment={})


def test_a_run_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        make().training = None


def test_the_folder_follows_the_recipe_unless_it_is_named():
    assert make().folder == "runs/demo"
    assert make("run.folder=elsewhere").folder == "elsewhere"


def test_the_micro_batch_is_the_batch_unless_it_is_named():
    assert make().micro_batch_rows == make().batch_rows == 32
    assert make("training.micro_batch_rows=4").micro_batch_rows == 4


def test_a_batch_that_is_no_multiple_of_the_context_names_its_neighbours():
    with pytest.raises(
        SettingsError, match=r"not a multiple of model.context = 256\.\nfix: set it to 768 or 1024"
    ):
        make("model.context=256", "training.batch_tokens=1000")


def test_a_batch_below_the_context_names_the_context():
    with pytest.raises(SettingsError, match=r"fix: set it to 256\."):
        make("model.context=256", "training.batch_tokens=100")


def test_micro_batches_must_divide_the_batch():
    with pytest.raises(SettingsError, match="training.micro_batch_rows = 5 does not divide the 32 rows"):
        make("training.micro_batch_rows=5")


def test_path_and_sources_exclude_each_other():
    with pytest.raises(SettingsError, match="data.path and data.sources are both set"):
        make("data.sources=[{path='a'}]")


def test_a_warm_up_may_be_longer_than_a_short_trial():
    assert make("training.steps=2").training.steps == 2


def test_a_recipe_without_data_says_how_to_give_some():
    with pytest.raises(ConfigError) as caught:
        require_data(make_run("shakespeare", environment={}))
    assert str(caught.value) == (
        "Recipe shakespeare needs data of yours: data.path is not set.\n"
        "fix: add data.path=FILE, a file or folder of text, JSONL, CSV or parquet."
    )


def test_a_recipe_with_data_needs_none():
    require_data(make())
    require_data(make_run("text", ["data.sources=[{path='a'}]"], environment={}))


def test_a_saved_run_comes_back_equal(tmp_path):
    config = make("training.max_minutes=3", "data.fields.input=q", "sampling.prompts=['a', 'é']")
    save_run(config, tmp_path / "config.json")
    assert load_run(tmp_path / "config.json") == config


def test_a_saved_run_holds_every_setting_defaults_included(tmp_path):
    save_run(make(), tmp_path / "config.json")
    content = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    assert content["format"] == 1
    assert content["settings"].keys() == RunConfig.model_fields.keys()
    precision = {"dtype": "auto", "attention": "auto", "delta_rule": "auto", "tf32": False}
    assert content["settings"]["precision"] == precision


def test_saving_leaves_nothing_else_behind(tmp_path):
    save_run(make(), tmp_path / "config.json")
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


def test_an_absent_run_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"There is no run in .*: config.json is absent"):
        load_run(tmp_path / "config.json")


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", '{"format": 1}', '{"format": 1, "settings": {"x": 1}}', "[" * 100_000]
)
def test_a_damaged_run_is_named(tmp_path, content):
    path = tmp_path / "config.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"config.json is damaged: .*\nfix: restore the file"):
        load_run(path)


def test_a_run_of_a_newer_format_says_so(tmp_path):
    path = tmp_path / "config.json"
    path.write_text('{"format": 99, "settings": {}}', encoding="utf-8")
    with pytest.raises(CheckpointError, match="has format 99; this Hornbook knows 1"):
        load_run(path)


def test_a_model_s_settings_are_not_a_run_s(tmp_path):
    path = tmp_path / "config.json"
    path.write_text('{"format": 1, "arch": "llama", "config": {}}', encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"is a model folder, not a run\.\nfix: name the run's folder"):
        load_run(path)
