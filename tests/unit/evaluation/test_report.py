"""Scores as JSON and as a table."""

import json
import math

import pytest

from hornbook.errors import CheckpointError
from hornbook.evaluation.report import Score, scores_from_json, scores_to_json, scores_to_markdown

MATHS = Score("maths", 0.83, "exact match", 100, 0.745, 0.891)
LOSS = Score("validation", 1.23456, "nats per token", 262_144)


def test_scores_come_back_from_json_as_they_were():
    assert scores_from_json(scores_to_json([MATHS, LOSS]), where="x") == [MATHS, LOSS]


def test_a_number_that_is_not_finite_is_null_in_json():
    text = scores_to_json([Score("diverged", math.inf, "perplexity", 10)])
    assert json.loads(text)[0]["value"] is None
    assert math.isnan(scores_from_json(text, where="x")[0].value)


@pytest.mark.parametrize("text", ["", "{", "3", '[{"name": "maths"}]', '[{"value": 1, "colour": 2}]', "[3]"])
def test_a_file_that_holds_no_scores_is_named(text):
    with pytest.raises(CheckpointError, match=r"evaluation\.json: these are not scores") as caught:
        scores_from_json(text, where="evaluation.json")
    assert "evaluate again" in caught.value.fix


def test_a_table_shows_shares_as_percentages_with_their_interval():
    assert scores_to_markdown([MATHS]) == (
        "| what  | score  | 95 % interval    | measured on  |\n"
        "| ----- | ------ | ---------------- | ------------ |\n"
        "| maths | 83.0 % | 74.5 % to 89.1 % | 100 problems |\n"
    )


def test_a_table_names_the_unit_of_a_loss_and_leaves_an_unknown_interval_empty():
    row = scores_to_markdown([LOSS]).splitlines()[2]
    assert [cell.strip() for cell in row.split("|")[1:-1]] == [
        "validation",
        "1.235 nats per token",
        "",
        "262k tokens",
    ]


def test_a_bar_in_a_name_does_not_break_the_table():
    assert "a\\|b" in scores_to_markdown([Score("a|b", 1.0, "bits per byte", 5)])


def test_no_scores_make_a_table_without_rows():
    assert len(scores_to_markdown([]).splitlines()) == 2
