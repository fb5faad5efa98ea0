"""A run that is killed anywhere and continued ends bit for bit like one that was left alone."""

import os
import random
import signal

import pytest

from hornbook.commands.train import RESUMABLE
from hornbook.runlog.events import Finished, Step
from hornbook.runlog.reader import read_events

STEPS, SAVE_EVERY = 24, 4  # as in conftest.py
WATCHED_STEP = 16
"""A checkpoint whose saving also drops an older one."""


def finish(trainer, run, uninterrupted):
    """Continue `run` to its end and compare everything that must not depend on interruption."""
    answer = trainer.train(run)
    assert answer["status"] == 0, answer["output"]
    assert trainer.result(run) == uninterrupted
    assert not [name for name in os.listdir(run / "checkpoints") if name.startswith(".partial")]


def kill_randomly(trainer, run, *, kills: int, seed: int) -> int:
    """Start and kill the run `kills` times at random moments; return how many kills came before its end."""
    moments = random.Random(seed)
    cut_short = 0
    for _ in range(kills):
        answer = trainer.train(run, kill_after=moments.uniform(0.05, 1.0))
        cut_short += answer["status"] == -signal.SIGKILL
    return cut_short


def test_the_run_really_learns_and_writes_every_step(trainer, uninterrupted):
    steps = [event for event in read_events(trainer.folder / "whole" / "events.jsonl") if isinstance(event, Step)]
    assert [event.step for event in steps] == list(range(1, STEPS + 1))
    assert steps[-1].loss < steps[0].loss


def test_two_uninterrupted_runs_are_equal_bit_for_bit(trainer, uninterrupted):
    assert trainer.train(trainer.folder / "again")["status"] == 0
    assert trainer.result(trainer.folder / "again") == uninterrupted


def test_another_seed_is_another_run(trainer, uninterrupted):
    """The comparison of these tests can fail."""
    assert trainer.train(trainer.folder / "seed", "training.seed=1")["status"] == 0
    assert trainer.result(trainer.folder / "seed")["weights"] != uninterrupted["weights"]


def test_three_random_kills_change_nothing(trainer, uninterrupted):
    run = trainer.folder / "three"
    kill_randomly(trainer, run, kills=3, seed=0)
    finish(trainer, run, uninterrupted)


@pytest.mark.slow
def test_twenty_random_kills_change_nothing(trainer, uninterrupted):
    cut_short = 0
    for seed in range(5):
        run = trainer.folder / f"twenty-{seed}"
        cut_short += kill_randomly(trainer, run, kills=4, seed=seed)
        finish(trainer, run, uninterrupted)
    assert cut_short >= 10, f"only {cut_short} of 20 kills came before the end of the run"


def test_a_kill_in_the_middle_of_a_save_changes_nothing(trainer, uninterrupted):
    run = trainer.folder / "middle"
    answer = trainer.train(run, watch_step=WATCHED_STEP, kill_at_call=12)
    assert answer["status"] == -signal.SIGKILL
    finish(trainer, run, uninterrupted)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_kill_before_every_file_system_call_of_a_save_changes_nothing(trainer, uninterrupted):
    calls = trainer.train(trainer.folder / "count", watch_step=WATCHED_STEP)["calls"]
    assert calls > 40, f"a save of only {calls} calls was not watched whole"
    for call in range(calls):
        run = trainer.folder / f"call-{call}"
        answer = trainer.train(run, watch_step=WATCHED_STEP, kill_at_call=call)
        assert answer["status"] == -signal.SIGKILL, f"call {call}: {answer['output']}"
        finish(trainer, run, uninterrupted)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_saves_and_leaves_with_a_code_that_says_resumable(trainer, uninterrupted, number):
    run = trainer.folder / f"signal-{number}"
    answer = trainer.train(
        run, "training.steps=100000", wait_for=str(run / "events.jsonl"), kill_after=0.1, send=number
    )
    assert answer["status"] == RESUMABLE, answer["output"]
    assert f"Stopped by {signal.Signals(number).name} after step" in answer["output"]
    steps = [event.step for event in read_events(run / "events.jsonl") if isinstance(event, Step)]
    assert (run / "checkpoints" / f"step-{steps[-1]:08d}" / "MANIFEST.json").exists()


def test_a_signal_before_the_first_step_is_resumable_too(trainer, uninterrupted):
    run = trainer.folder / "early"
    answer = trainer.train(run, kill_after=0.1, send=signal.SIGTERM)
    assert answer["status"] == RESUMABLE, answer["output"]
    finish(trainer, run, uninterrupted)


def test_a_run_stopped_by_a_signal_continues_bit_for_bit(trainer, uninterrupted):
    run = trainer.folder / "stopped"
    answer = trainer.train(run, wait_for=str(run / "events.jsonl"), kill_after=0.0, send=signal.SIGTERM)
    assert answer["status"] == RESUMABLE, answer["output"]
    finish(trainer, run, uninterrupted)


def test_a_finished_run_says_so_and_stays_as_it_is(trainer, uninterrupted):
    run = trainer.folder / "finished"
    assert trainer.train(run)["status"] == 0
    before = (run / "events.jsonl").read_bytes()
    answer = trainer.train(run)
    assert answer["status"] == 0
    assert f"is finished already after {STEPS} steps" in answer["output"]
    assert "training.steps=" in answer["output"] and "--start-over" in answer["output"]
    assert trainer.result(run) == uninterrupted
    finished = [event for event in read_events(run / "events.jsonl") if isinstance(event, Finished)]
    assert len(finished) == 1 and (run / "events.jsonl").read_bytes().startswith(before)


def test_starting_over_needs_a_flag_and_keeps_the_old_run(trainer, uninterrupted):
    run = trainer.folder / "over"
    assert trainer.train(run)["status"] == 0
    answer = trainer.train(run, options=["--start-over"])
    assert answer["status"] == 0 and "is now in" in answer["output"]
    assert trainer.result(run) == trainer.result(run.with_name("over-before-1")) == uninterrupted


def test_other_settings_are_refused_by_name_and_accepted_by_a_flag(trainer):
    run = trainer.folder / "changed"
    assert trainer.train(run, "training.steps=8", "training.max_minutes=none")["status"] == 0
    answer = trainer.train(run, "optimizer.lr=0.001")
    assert answer["status"] == 2
    assert "was trained with other settings: optimizer.lr = 0.005 is now 0.001" in answer["output"]
    answer = trainer.train(run, "optimizer.lr=0.001", options=["--accept-changes"])
    assert answer["status"] == 0 and "Accepted: optimizer.lr" in answer["output"]


def test_other_data_is_refused(trainer):
    run = trainer.folder / "other-data"
    assert trainer.train(run, "training.steps=8")["status"] == 0
    kept = trainer.text.read_text()
    try:
        trainer.text.write_text(kept + " six" * 50)
        answer = trainer.train(run)
    finally:
        trainer.text.write_text(kept)
    assert answer["status"] == 2
    assert "was trained with another data" in answer["output"] and "--start-over" in answer["output"]


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_used(trainer, uninterrupted):
    run = trainer.folder / "damaged"
    answer = trainer.train(run, watch_step=20, kill_at_call=3)
    assert answer["status"] == -signal.SIGKILL
    newest, before = sorted(os.listdir(run / "checkpoints"), reverse=True)[:2]
    weights = run / "checkpoints" / newest / "optimizer.safetensors"
    data = bytearray(weights.read_bytes())
    data[-5] ^= 4
    weights.write_bytes(data)
    answer = trainer.train(run)
    assert answer["status"] == 0
    assert f"{newest}/optimizer.safetensors is damaged: its sha256 differs." in answer["output"]
    assert f"Continuing from {before}" in answer["output"]
    result = trainer.result(run)
    result["checkpoints"].remove(f"damaged-{newest}")
    assert result == uninterrupted


def test_a_full_disk_is_a_warning_and_the_last_save_an_error_that_loses_nothing(trainer, uninterrupted):
    run = trainer.folder / "full"
    assert trainer.train(run, watch_step=8, kill_at_call=0)["status"] == -signal.SIGKILL
    answer = trainer.train(run, max_file=6_000)
    assert answer["status"] == 2
    assert "warning: Checkpoint not saved, trying again at the next" in answer["output"]
    assert "could not be saved" in answer["output"] and "fix: free the disk" in answer["output"]
    assert "Traceback" not in answer["output"]
    finish(trainer, run, uninterrupted)


def test_a_folder_that_may_not_be_written_to_is_said_in_two_lines(trainer):
    locked = trainer.folder / "locked"
    locked.mkdir()
    locked.chmod(0o555)
    request = {"user": 65534} if os.getuid() == 0 else {}
    answer = trainer.train(locked / "run", **request)
    assert answer["status"] == 2, answer["output"]
    assert answer["output"].splitlines()[-2:][0].startswith("error: ")
    assert "cannot be made: Permission denied" in answer["output"]


def test_a_second_trainer_of_a_folder_is_refused(trainer):
    from hornbook.storage.atomic import FolderLock

    run = trainer.folder / "second"
    run.mkdir()
    with FolderLock(run, "training"):
        answer = trainer.train(run)
    assert answer["status"] == 2
    assert f"is in use by pid {os.getpid()}" in answer["output"]


def test_saves_are_where_the_settings_say(trainer, uninterrupted):
    assert uninterrupted["checkpoints"][-1] == f"step-{STEPS:08d}"
    assert f"step-{STEPS - SAVE_EVERY:08d}" in uninterrupted["checkpoints"]


def test_an_attempt_that_never_saved_a_step_binds_nothing(trainer):
    run = trainer.folder / "attempt"
    answer = trainer.train(run, watch_step=SAVE_EVERY, kill_at_call=0)
    assert answer["status"] == -signal.SIGKILL
    assert trainer.train(run, "training.seed=5", "training.steps=4")["status"] == 0


def test_the_formats_of_a_run_can_be_changed_if_that_is_said(trainer):
    run = trainer.folder / "formats"
    assert trainer.train(run, "training.steps=8")["status"] == 0
    assert "precision.dtype = 'fp32' is now 'bf16'" in trainer.train(run, "precision.dtype=bf16")["output"]
    answer = trainer.train(run, "precision.dtype=bf16", options=["--accept-changes"])
    assert answer["status"] == 0 and "bf16 as set" in answer["output"]
