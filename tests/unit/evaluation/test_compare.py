"""Two sides are compared fairly, or not at all."""

import dataclasses
import json
from pathlib import Path

import pytest

from hornbook.errors import ConfigError
from hornbook.evaluation.compare import LOSS, MEAN, Examined, compare, two_sides
from hornbook.evaluation.comparison_report import (
    comparison_table,
    comparison_to_json,
    comparison_to_markdown,
    describe_sides,
)

LLAMA, GPT = ({"model.arch": arch, "optimizer.lr": 0.003, "model.width": 32} for arch in ("llama", "gpt"))
GOOD, BAD = (0.8, 0.82, 0.81), (0.5, 0.55, 0.45)


def examined(seed, mark, *, settings=LLAMA, **changes):
    given = {
        "folder": Path(f"runs/{settings['model.arch']}-{seed}"),
        "seed": seed,
        "parameters": 1_000,
        "tokens": 5_000,
        "data": "d",
        "tokenizer": "t",
        "exam": "e",
        "settings": settings,
        "marks": {MEAN: mark, "maths": mark, "logic": 0.5 + seed / 10},
        "loss": 2.0 - mark,
    }
    return Examined(**{**given, **changes})


def side(marks, *, settings=LLAMA, **changes):
    return [examined(seed, mark, settings=settings, **changes) for seed, mark in enumerate(marks)]


def verdicts(comparison):
    return {row.name: row.verdict for row in comparison.rows}


def test_a_clear_difference_is_better_and_no_difference_undecided():
    found = compare(side(BAD), side(GOOD, settings=GPT))
    assert verdicts(found) == {MEAN: "better", "maths": "better", "logic": "undecided", LOSS: "better"}
    mean = found.rows[0]
    assert mean.apart.value == pytest.approx(0.31)
    assert 0 < mean.apart.low < 0.31 < mean.apart.high


def test_the_other_way_round_it_is_worse():
    found = compare(side(GOOD, settings=GPT), side(BAD))
    assert verdicts(found) == {MEAN: "worse", "maths": "worse", "logic": "undecided", LOSS: "worse"}
    assert found.names == ("gpt", "llama")


def test_one_seed_a_side_decides_nothing():
    found = compare(side(BAD[:1]), side(GOOD[:1], settings=GPT))
    assert set(verdicts(found).values()) == {"undecided"}
    assert comparison_table(found)[1][4] == ""


@pytest.mark.parametrize(
    ("what", "changes", "told"),
    [
        ("parameters", {"parameters": 1_011}, "llama has 1,000 parameters and gpt 1,011, 1.1% apart"),
        ("tokens", {"tokens": 5_120}, "llama was trained on 5,000 tokens and gpt on 5,120"),
        ("data", {"data": "other"}, "were not trained with the same data"),
        ("data", {"tokenizer": "other"}, "were not trained with the same tokenizer"),
    ],
)
def test_what_is_unequal_is_refused_and_told_when_allowed(what, changes, told):
    first, second = side(BAD), side(GOOD, settings=GPT, **changes)
    with pytest.raises(ConfigError, match="Not comparable: ") as caught:
        compare(first, second)
    assert told in caught.value.problem
    assert f"--allow {what}" in caught.value.fix
    assert any(told in note for note in compare(first, second, allow=[what]).notes)


def test_models_one_percent_apart_are_equal():
    assert compare(side(BAD), side(GOOD, settings=GPT, parameters=1_010)).notes == ()


def test_other_seeds_are_refused_and_told_when_allowed():
    first, second = side(BAD), side(GOOD[:2], settings=GPT)
    with pytest.raises(ConfigError, match=r"llama has the seeds \[0, 1, 2\] and gpt \[0, 1\]"):
        compare(first, second)
    assert "Allowed" in compare(first, second, allow=["seeds"]).notes[0]


def test_marks_of_other_problems_are_never_compared():
    with pytest.raises(ConfigError, match="were not asked the same problems") as caught:
        compare(side(BAD), side(GOOD, settings=GPT, exam="other"))
    assert "evaluation.problems" in caught.value.fix


def test_without_an_exam_the_loss_is_compared_and_that_is_said():
    sides = [side(BAD), side(GOOD, settings=GPT)]
    found = compare(*[[dataclasses.replace(run, exam="", marks={}) for run in one] for one in sides])
    assert verdicts(found) == {LOSS: "better"}
    assert "No exam" in found.notes[0]


def test_settings_that_differ_are_told():
    found = compare(side(BAD), side(GOOD, settings=GPT | {"optimizer.lr": 0.005}))
    assert found.notes == ("optimizer.lr is 0.003 for llama and 0.005 for gpt.",)


def test_one_architecture_twice_is_called_by_what_differs():
    found = compare(side(BAD), side(GOOD, settings=LLAMA | {"optimizer.lr": 0.005}))
    assert found.names == ("optimizer.lr=0.003", "optimizer.lr=0.005")
    assert found.notes == ()


def test_runs_are_put_on_two_sides_by_all_but_the_seed():
    first, second = side(BAD), side(GOOD, settings=GPT)
    mixed = [second[0], first[0], first[1], second[1]]
    assert two_sides(mixed) == ([second[0], second[1]], [first[0], first[1]])


@pytest.mark.parametrize("others", [[], [GPT, GPT | {"optimizer.lr": 0.005}]])
def test_one_or_three_models_are_refused_with_what_differs(others):
    runs = side(BAD[:2]) + [examined(0, 0.5, settings=one) for one in others]
    with pytest.raises(
        ConfigError, match=f"of {1 + len(others)} models?, not of 2: runs/llama-0, runs/llama-1"
    ) as caught:
        two_sides(runs)
    assert ("optimizer.lr" in caught.value.problem) is bool(others)


def test_one_run_named_twice_is_refused():
    with pytest.raises(ConfigError, match=r"Two runs of one model have training.seed = 0, runs.llama-0"):
        two_sides([*side(BAD), *side(BAD), *side(GOOD, settings=GPT)])


def test_the_comparison_is_written_as_json_and_as_a_table():
    found = compare(side(BAD), side(GOOD, settings=GPT))
    written = json.loads(json.dumps(comparison_to_json(found)))
    assert [model["name"] for model in written["models"]] == ["llama", "gpt"]
    assert written["rows"][0]["values"] == [list(BAD), list(GOOD)]
    assert written["rows"][0]["verdict"] == "better"
    titles, mean, *_ = comparison_table(found)
    assert titles == ["", "llama", "gpt", "difference", "95 % interval", "gpt is"]
    assert mean[:4] == [MEAN, "50.0", "81.0", "+31.0"]
    assert describe_sides(found)[0] == "llama: 3 runs (seed 0, 1, 2), 1,000 parameters, 5,000 tokens each"
    text = comparison_to_markdown(found)
    assert "| mean | 50.0 | 81.0 | +31.0 |" in text


def test_losses_are_written_with_four_digits():
    assert comparison_table(compare(side(BAD), side(GOOD, settings=GPT)))[-1][:4] == [
        LOSS,
        "1.5000",
        "1.1900",
        "-0.3100",
    ]


def test_the_spread_of_the_seeds_decides():
    calm = compare(side((0.50, 0.51, 0.52)), side((0.60, 0.61, 0.62), settings=GPT))
    wild = compare(side((0.30, 0.51, 0.72)), side((0.40, 0.61, 0.82), settings=GPT))
    assert (calm.rows[0].verdict, wild.rows[0].verdict) == ("better", "undecided")
    assert calm.rows[0].apart.value == pytest.approx(wild.rows[0].apart.value)


def test_only_the_two_first_seeds_of_one_side_are_not_enough_to_hide_a_third():
    other_tokens = [dataclasses.replace(run, tokens=6_000) if run.seed == 2 else run for run in side(BAD)]
    with pytest.raises(ConfigError, match="llama was trained on 5,000 or 6,000 tokens"):
        compare(other_tokens, side(GOOD, settings=GPT))
