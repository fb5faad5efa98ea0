"""Which step falls into which phase."""

import pytest

from hornbook.data.curriculum import Curriculum, Phase, make_curriculum, sets_of
from hornbook.errors import DataError
from hornbook.run import RunConfig


def phase(steps, batch_rows=1, rows=10, name=""):
    return Phase(name, (0,), rows, batch_rows, steps, steps)


def run(*phases, **curriculum):
    return RunConfig.model_validate({"curriculum": {"phases": phases, **curriculum}, "training": {"steps": 40}})


def test_every_step_has_one_place():
    course = Curriculum((phase(3), phase(1), phase(2)))
    assert [(course.at(step).index, course.at(step).step) for step in range(course.steps)] == [
        (0, 0),
        (0, 1),
        (0, 2),
        (1, 0),
        (2, 0),
        (2, 1),
    ]


def test_beyond_the_end_the_last_phase_goes_on():
    place = Curriculum((phase(3), phase(2))).at(9)
    assert (place.index, place.step) == (1, 6)


def test_rows_are_counted_phase_by_phase():
    course = Curriculum((phase(3, batch_rows=4), phase(2, batch_rows=16)))
    assert [course.rows_until(step) for step in range(6)] == [0, 4, 8, 12, 28, 44]


def test_a_phase_that_is_cut_ends_there_and_keeps_the_steps_it_was_planned_for():
    course = Curriculum((phase(10), phase(5), phase(5))).cut_all([4, 6])
    assert course.starts == (0, 4, 6, 11)
    assert [course.at(step).index for step in (3, 4, 5, 6)] == [0, 1, 1, 2]
    assert [one.steps for one in course.phases] == [10, 5, 5]
    assert course.rows_until(11) == 11


def test_a_cut_at_the_end_of_a_phase_changes_nothing_of_it():
    course = Curriculum((phase(10), phase(5)))
    assert course.cut(10) == course


def test_a_limit_ends_the_run_wherever_it_is():
    assert Curriculum((phase(3), phase(3)), max_steps=4).steps == 4
    assert Curriculum((phase(3), phase(3)), max_steps=9).steps == 6


def test_epochs_are_counted_when_they_are_complete():
    one = phase(8, batch_rows=4, rows=10)
    assert [one.epoch(step) for step in range(6)] == [0, 0, 0, 1, 1, 2]


def test_a_run_without_phases_is_one_of_everything():
    (whole,) = make_curriculum(run(), [7, 5]).phases
    assert (whole.name, whole.parts, whole.rows, whole.steps) == ("", (0, 1), 12, 40)


def test_phases_take_their_rows_their_batches_and_their_rates():
    config = run(
        {"path": "a", "epochs": 2, "lr": 0.5, "batch_rows": 3}, {"path": "b"}, {"path": "combined", "epochs": 0.5}
    )
    course = make_curriculum(config, [7, 50])
    assert [(one.name, one.parts, one.rows, one.batch_rows, one.steps, one.lr) for one in course.phases] == [
        ("a", (0,), 7, 3, 5, 0.5),
        ("b", (1,), 50, config.batch_rows, 4, None),
        ("combined", (0, 1), 57, config.batch_rows, 2, None),
    ]


def test_a_phase_without_text_is_named():
    with pytest.raises(DataError, match="Phase 'b' of the curriculum has no token to learn from"):
        make_curriculum(run({"path": "a"}, {"path": "b"}), [7, 0])


def test_what_is_held_out_belongs_to_the_first_phase_that_reads_it():
    assert sets_of(run({"path": "a"}, {"path": ["b", "a"]}, {"path": "combined"})) == {"a": (0,), "b+a": (1,)}
    assert sets_of(run()) == {}
