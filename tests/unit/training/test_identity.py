"""A run goes on with its own settings unless the user says otherwise."""

import pytest

from hornbook.errors import CheckpointError
from hornbook.run import RunConfig
from hornbook.training.identity import FREE, check_same_run


def dump(**sections) -> dict:
    return RunConfig.model_validate(sections).model_dump(mode="json")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"training": {"seed": 1}}, "training.seed = 0 is now 1"),
        ({"model": {"arch": "llama", "width": 128}}, "model.width = 256 is now 128"),
        ({"tokenizer": {"kind": "chars"}}, "tokenizer.kind = 'bytes' is now 'chars'"),
        ({"optimizer": {"name": "adamw", "lr": 0.5}}, "optimizer.lr = 0.001 is now 0.5"),
        ({"schedule": {"name": "linear"}}, "schedule.name = 'cosine' is now 'linear'"),
        ({"precision": {"dtype": "bf16"}}, "precision.dtype = 'auto' is now 'bf16'"),
        ({"data": {"learn": "everything"}}, "data.learn = 'answers' is now 'everything'"),
        ({"evaluation": {"max_tokens": 8}}, "evaluation.max_tokens = 262144 is now 8"),
        ({"training": {"batch_tokens": 512}}, "training.batch_tokens = 4096 is now 512"),
    ],
)
def test_a_setting_that_changes_the_result_is_refused_by_name(change, named):
    with pytest.raises(CheckpointError) as error:
        check_same_run(dump(), dump(**change), where="runs/x", accept=False)
    assert error.value.problem.startswith("runs/x was trained with other settings: ")
    assert named in error.value.problem
    assert "--accept-changes" in error.value.fix and "--start-over" in error.value.fix


def phases(*described: tuple[str, float]) -> dict:
    return {"phases": [{"path": path, "lr": lr} for path, lr in described]}


def test_the_phases_of_a_curriculum_are_compared_wherever_their_files_lie():
    first = dump(curriculum=phases(("here/a", 1.0), ("here/b", 1.0), ("here/a", 2.0), ("combined", 1.0)))
    moved = dump(curriculum=phases(("there/a", 1.0), ("there/b", 1.0), ("there/a", 2.0), ("combined", 1.0)))
    assert check_same_run(first, moved, where="runs/x", accept=False) == []
    swapped = dump(curriculum=phases(("here/a", 1.0), ("here/b", 1.0), ("here/b", 3.0), ("combined", 1.0)))
    told = check_same_run(first, swapped, where="runs/x", accept=True)
    assert told == [
        "curriculum.phases[2].lr = 2.0 is now 3.0",
        "curriculum.phases[2].path = [0] is now [1]",
    ]


def test_accepted_differences_are_told():
    told = check_same_run(dump(), dump(training={"seed": 1}), where="runs/x", accept=True)
    assert told == ["training.seed = 0 is now 1"]


def test_more_steps_other_logging_and_another_folder_are_the_same_run():
    other = dump(
        training={"steps": 2000, "threads": 1},
        logging={"every_steps": 3},
        run={"folder": "elsewhere"},
        sampling={"temperature": 0.0},
        checkpoint={"keep_last": 9},
    )
    assert check_same_run(dump(), other, where="runs/x", accept=False) == []


def test_every_free_setting_exists():
    settings = dump()
    for name in FREE:
        value = settings
        for part in name.split("."):
            assert part in value, f"{name} is free but there is no such setting"
            value = value[part]
