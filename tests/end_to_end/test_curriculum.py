"""A curriculum is one run: killed inside any phase or between two, it ends bit for bit as if left alone."""

import itertools
import json
import signal

import pytest

import hornbook
from hornbook.commands.train import RESUMABLE
from hornbook.runlog.events import Phase, Step, Validation
from hornbook.runlog.reader import read_events

PLAN = """# file | epochs | rate | rows
adding.jsonl | 2 | 3e-3 | 4

# === the second skill ===
naming.jsonl | 3 | 1e-3 | 2
combined.jsonl | 1
"""
RESET = ["curriculum.optimizer=reset", "checkpoint.every_steps=3", "evaluation.every_steps=5"]
IMPATIENT = ["training.patience=1", "training.min_improvement=100", "evaluation.every_steps=2", *RESET[:2]]
NAMES = ["adding", "naming", "combined"]


@pytest.fixture(scope="module")
def course(trainer):
    """A function that trains the curriculum into a run of the given name."""
    folder = trainer.folder / "course"
    folder.mkdir()
    adding = [{"input": f"{n} + {n}", "output": str(2 * n)} for n in range(24)]
    naming = [{"prompt": f"name {n}", "response": "abcdefgh"[n % 8] * 3} for n in range(16)]
    for name, records in (("adding", adding), ("naming", naming)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    (folder / "plan.txt").write_text(PLAN)
    plan = ['data.path=""', f"curriculum.plan={folder / 'plan.txt'}", "curriculum.max_steps=none"]

    def train(name, *settings, **request):
        return trainer.train(trainer.folder / name, *plan, "data.validation_fraction=0.3", *settings, **request)

    return train


def events_of(trainer, name, kind):
    return [event for event in read_events(trainer.folder / name / "events.jsonl") if isinstance(event, kind)]


def borders(trainer, name):
    return [event.step - 1 for event in events_of(trainer, name, Phase)]


RUNS = itertools.count()
"""So that no two tests meet in one run."""

KINDS = {"whole": RESET, "impatient": IMPATIENT}
"""Runs whose phases are gone through to their ends, and runs whose phases validation ends early."""


@pytest.fixture(scope="module")
def alone(course, trainer):
    """A function that says what a run of a kind ends with if it is left alone, and how many steps it takes."""
    known = {}

    def ends(kind):
        if kind not in known:
            answer = course(kind, *KINDS[kind])
            assert answer["status"] == 0, answer["output"]
            steps = len(events_of(trainer, kind, Step))
            known[kind] = steps, trainer.result(trainer.folder / kind, steps), answer["output"]
        return known[kind]

    return ends


def interrupt(trainer, course, alone, kind, at, number):
    """Stop a run before the step that follows `at`, continue it, and compare.

    A signal that arrives before the last step finds the run finished after it; one that kills does not wait.
    """
    settings, (steps, expected, _) = KINDS[kind], alone(kind)
    name = f"{kind}-{at}-{number}-{next(RUNS)}"
    answer = course(name, *settings, at_step=at, send=number)
    left = -number if number == signal.SIGKILL else RESUMABLE if at < steps - 1 else 0
    assert answer["status"] == left, answer["output"]
    answer = course(name, *settings)
    assert answer["status"] == 0, answer["output"]
    result = trainer.result(trainer.folder / name, steps)
    if number != signal.SIGKILL:  # a signal saves where it stops, so near the end other checkpoints are the newest
        result, expected = ({**one, "checkpoints": one["checkpoints"][-1]} for one in (result, expected))
    assert result == expected, f"stopped by {number} after step {at}"


def test_every_phase_has_its_own_rate_batch_and_place_in_the_log(alone, trainer):
    _, _, output = alone("whole")
    phases = events_of(trainer, "whole", Phase)
    assert [(phase.name, phase.index, phase.count) for phase in phases] == [
        (name, number, 3) for number, name in enumerate(NAMES, 1)
    ]
    assert [(phase.batch_rows, phase.lr, phase.optimizer) for phase in phases] == [
        (4, 3e-3, "new"),
        (2, 1e-3, "reset"),
        (4, 5e-3, "reset"),
    ]
    assert [phase.steps for phase in phases] == [
        -(-epochs * phase.rows // phase.batch_rows) for epochs, phase in zip((2, 3, 1), phases, strict=True)
    ]
    assert phases[2].rows == phases[0].rows + phases[1].rows
    rates = {event.step: event.lr for event in events_of(trainer, "whole", Step)}
    assert [rates[phase.step] for phase in phases] == pytest.approx([3e-3, 1e-3, 5e-3])
    assert "naming, epoch 2" in output
    assert "phase 2 of 3, naming: " in (trainer.folder / "whole" / "train.log").read_text()


def test_validation_judges_every_phase_on_one_fixed_mix(alone, trainer):
    alone("whole")
    validations = events_of(trainer, "whole", Validation)
    assert {event.targets for event in validations} == {validations[0].targets}
    assert all(sorted(event.losses) == ["adding", "naming"] for event in validations)
    assert all(0 <= event.train_accuracy <= 1 for event in validations)
    judged, ends = [event.step for event in validations], [*borders(trainer, "whole")[1:], validations[-1].step]
    assert set(ends) <= set(judged)


def test_patience_ends_a_phase_and_the_next_one_begins(alone, trainer):
    """The first validation of a phase is its best and the next one no better; both stand at even steps of the run."""
    steps, _, _ = alone("impatient")
    begun = borders(trainer, "impatient")
    assert [phase.name for phase in events_of(trainer, "impatient", Phase)] == NAMES
    assert begun == [0, 4, 8]
    assert steps == 12


def test_patience_may_end_the_run_instead(course, trainer):
    answer = course("given-up", *IMPATIENT, "curriculum.early_stop=run")
    assert "validation stopped improving" in answer["output"]
    assert [phase.name for phase in events_of(trainer, "given-up", Phase)] == ["adding"]


def test_a_carried_optimizer_is_another_run(course, trainer, alone):
    """The comparison of the tests below can fail."""
    alone("whole")
    second = borders(trainer, "whole")[1]
    course("carried", *RESET, "curriculum.optimizer=carry", f"curriculum.max_steps={second + 3}")
    reset, carried = events_of(trainer, "whole", Step)[: second + 3], events_of(trainer, "carried", Step)
    assert reset[: second + 1] == carried[: second + 1]
    assert reset[second + 1 :] != carried[second + 1 :]


@pytest.mark.parametrize("kind", KINDS)
def test_a_kill_between_two_phases_changes_nothing(course, trainer, alone, kind):
    alone(kind)
    interrupt(trainer, course, alone, kind, borders(trainer, kind)[1], signal.SIGKILL)


def test_a_run_saved_exactly_between_two_phases_goes_on_bit_for_bit(course, trainer, alone):
    alone("whole")
    border = borders(trainer, "whole")[2]
    interrupt(trainer, course, alone, "whole", border - 1, signal.SIGTERM)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_signal_inside_any_phase_and_between_two_changes_nothing(course, trainer, alone, kind, number):
    """Around every border before each step, elsewhere before every fifth."""
    steps = alone(kind)[0]
    near = {border + moved for border in borders(trainer, kind) for moved in (-1, 0, 1)}
    for at in sorted((near | set(range(0, steps, 5)) | {steps - 1}) & set(range(steps))):
        interrupt(trainer, course, alone, kind, at, number)


def test_a_plan_that_changes_is_refused_by_the_phase(course, trainer):
    course("changed", *RESET, "curriculum.max_steps=2")
    plan = trainer.folder / "course" / "plan.txt"
    plan.write_text(PLAN.replace("1e-3", "2e-3"))
    try:
        answer = course("changed", *RESET)
    finally:
        plan.write_text(PLAN)
    assert answer["status"] == 2
    assert "curriculum.phases[1].lr = 0.001 is now 0.002" in answer["output"]


def test_the_lens_shows_the_phase_a_step_was_really_taken_in(alone, trainer):
    alone("impatient")
    run = trainer.folder / "impatient"
    phases = [hornbook.lens(run, step)[0].phase for step in (0, 3, 4, 8)]
    assert phases == ["adding", "adding", "naming", "combined"]
