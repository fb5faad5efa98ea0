"""Wrong settings are explained: which, written where, and what to write instead."""

import pickle

import pytest

from hornbook.errors import SettingsError
from hornbook.run import make_run


def explain(*arguments):
    with pytest.raises(SettingsError) as caught:
        make_run("demo", arguments, environment={})
    return caught.value


@pytest.mark.parametrize(
    ("argument", "guess"),
    [
        ("training.stesp=1", "training.steps"),
        ("modle.width=1", "model.width"),
        ("lr=1", "optimizer.lr"),
        ("training.lr=1", "optimizer.lr"),
        ("optimiser.lr=1", "optimizer.lr"),
        ("learning_rate=1", "optimizer.lr"),
        ("model.n_layer=1", "model.num_layers"),
        ("training.every_steps=1", "checkpoint.every_steps, evaluation.every_steps, sampling.every_steps"),
        ("stesp=1", "training.steps"),
    ],
)
def test_an_unknown_setting_suggests_what_was_meant(argument, guess):
    name = argument.partition("=")[0]
    text = str(explain(argument))
    assert text.startswith(f"{name} (argument '{argument}'): unknown setting.\nfix: did you mean {guess}")


def test_an_unknown_setting_like_nothing_lists_its_section():
    text = str(explain("schedule.zzz=1"))
    assert text.endswith(
        "fix: known are schedule.warmup_steps, schedule.warmup_fraction, schedule.final_fraction, schedule.name."
    )


def test_an_unknown_section_like_nothing_lists_the_sections():
    assert "the sections are run, data, curriculum, tokenizer" in str(explain("zzz.qqq=1"))


def test_a_section_is_no_setting():
    assert "this is a section, not a setting.\nfix: set training.steps" in str(explain("training=5"))


def test_a_setting_of_another_kind_says_which():
    text = str(explain("optimizer.name=adamw", "optimizer.momentum=1"))
    assert "not a setting of the chosen optimizer.\nfix: it belongs to optimizer.name=muon" in text


def test_an_unknown_kind_suggests_the_nearest():
    text = str(explain("optimizer.name=muom"))
    assert text == (
        "optimizer.name (argument 'optimizer.name=muom'): there is no 'muom'.\n"
        "fix: did you mean 'muon'? Choose from adamw, muon, adam, plain_adam, lion, sgd."
    )


def test_settings_of_an_unknown_kind_are_not_blamed_as_well():
    assert len(explain("optimizer.name=muom").problems) == 1


def test_a_wrong_choice_suggests_the_nearest():
    assert "did you mean 'fp32'? Choose from auto, fp32, bf16, fp16." in str(explain("precision.dtype=fp23"))


def test_a_wrong_type_says_what_is_taken_and_the_default():
    text = str(explain("training.steps=many"))
    assert "training.steps (argument 'training.steps=many'): must be a valid integer" in text
    assert "training.steps takes whole number above 0; the default is 1000. Optimizer steps in total" in text


def test_a_value_out_of_range_is_shown():
    assert "must be greater than 0, not -1" in str(explain("optimizer.lr=-1"))


def test_a_long_wrong_value_is_cut():
    assert max(map(len, str(explain(f"training.steps=x{'y' * 500}z")).splitlines()[1:])) < 300


def test_a_missing_value_says_how_to_give_it():
    text = str(explain("tokenizer.kind=external"))
    assert text.startswith("tokenizer.path (not set): must be given.\nfix: add tokenizer.path=VALUE: text.")


def test_a_wrong_item_of_a_list_is_named():
    assert "optimizer.betas[1]" in str(explain("optimizer.betas=[0.9, 3]"))
    text = str(explain("data.path=''", "data.sources=[{pth='a'}]"))
    assert "data.sources[0].path" in text
    assert "data.sources[0].pth" in text


def test_a_wrong_value_of_a_table_is_named_by_its_key():
    assert "data.fields.output (argument 'data.fields.output=3'): must be a valid string" in str(
        explain("data.fields.output=3")
    )


def test_settings_that_disagree_say_what_to_change():
    text = str(explain("model.context=256", "training.batch_tokens=1000"))
    assert text == (
        "training.batch_tokens = 1000 is not a multiple of model.context = 256.\nfix: set it to 768 or 1024."
    )


def test_several_problems_survive_the_way_between_processes():
    error = explain("training.stesp=1", "lr=1")
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error)
    assert len(again.problems) == 2
