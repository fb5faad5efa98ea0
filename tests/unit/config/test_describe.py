"""What is said about the settings is what the settings are."""

import subprocess
import sys
from pathlib import Path

import pytest

from hornbook.config.describe import REQUIRED, list_settings, reference_page, tags, type_text, value_text
from hornbook.run import RunConfig

ROOT = Path(__file__).parents[3]
SETTINGS = {(setting.name, setting.kind): setting for setting in list_settings(RunConfig)}


def test_every_setting_is_explained():
    tags_of_sections = {f"{section}.{tag}" for section, (tag, _) in tags(RunConfig).items()}
    silent = [name for (name, _), setting in SETTINGS.items() if not setting.help and name not in tags_of_sections]
    assert silent == []


def test_bounds_are_said_in_words():
    assert SETTINGS["data.validation_fraction", ""].type_text == "number at least 0 and below 0.5"


def test_what_may_be_unset_says_none():
    assert SETTINGS["training.max_minutes", ""].type_text == "number above 0 or none"


def test_choices_are_listed():
    assert SETTINGS["precision.dtype", ""].type_text == "auto, fp32, bf16, fp16"


def test_a_setting_of_one_kind_says_which():
    assert ("optimizer.momentum", "muon") in SETTINGS
    assert ("optimizer.momentum", "adamw") not in SETTINGS


def test_a_tag_is_one_setting_with_every_kind_as_a_choice():
    assert SETTINGS["optimizer.name", ""].type_text == "adamw, muon, adam, plain_adam, lion, sgd"
    assert SETTINGS["optimizer.name", ""].default == "adamw"


def test_a_setting_without_default_is_required():
    assert SETTINGS["tokenizer.path", "external"].default is REQUIRED
    assert SETTINGS["tokenizer.path", "external"].default_text == "required"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (None, "none"),
        ("a", '"a"'),
        ((1, "b"), '[1, "b"]'),
        ({"input": "q"}, '{input = "q"}'),
        (1e-3, "0.001"),
    ],
)
def test_defaults_are_written_as_in_a_recipe(value, text):
    assert value_text(value) == text


def test_a_pair_of_numbers_is_described():
    assert type_text(tuple[float, float]) == "[number, number]"


def test_the_reference_page_is_current():
    page = (ROOT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
    assert page == reference_page(RunConfig), "run python scripts/write_reference.py"


def test_the_reference_page_names_every_setting():
    page = reference_page(RunConfig)
    assert [name for name, _ in SETTINGS if f"`{name}`" not in page] == []


def test_the_script_writes_the_page(tmp_path):
    script = (ROOT / "scripts" / "write_reference.py").read_text(encoding="utf-8")
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "write_reference.py").write_text(script, encoding="utf-8")
    subprocess.run([sys.executable, "scripts/write_reference.py"], cwd=tmp_path, check=True)
    assert (tmp_path / "docs" / "reference" / "settings.md").read_text(encoding="utf-8") == reference_page(
        RunConfig
    )
