"""Checkpoints are whole or refused: a thousand damaged ones, none believed."""

import json
import os
import random
import shutil
from pathlib import Path

import pytest
import torch

from hornbook.config.tokenizers import BytesTokenizerConfig
from hornbook.errors import CheckpointError
from hornbook.models.build import build_model
from hornbook.models.llama.config import LlamaConfig
from hornbook.runlog.paths import RunFolder
from hornbook.storage.artifact import load_artifact
from hornbook.storage.atomic import PARTIAL
from hornbook.text.tokenizer_kinds import build_tokenizer
from hornbook.training.checkpoint import Saver, find_newest, publish_model, saved_steps, verify_checkpoint

TOKENIZER = build_tokenizer(BytesTokenizerConfig(), [])
CONFIG = LlamaConfig(vocab_size=TOKENIZER.vocab_size, context=8, width=8, num_layers=1, num_heads=2)


def state(step: int, best: int | None = None) -> dict:
    patience = {"best_loss": None if best is None else 1.5, "best_step": best, "worse_in_a_row": 0}
    return {"step": step, "val_loss": 2.0, "judged": True, "patience": patience}


def saver(tmp_path: Path, keep_last: int = 2) -> Saver:
    folder = RunFolder(tmp_path / "run")
    folder.create()
    return Saver(folder, TOKENIZER, "text", keep_last)


def save(one: Saver, step: int, best: int | None = None) -> Path:
    model = build_model(CONFIG, seed=step)
    one.save(model, {"embedding.weight/exp_avg": torch.full((2, 2), float(step))}, state(step, best))
    return one.folder.checkpoint(step)


def refuse_to_warn(message: str) -> None:
    raise AssertionError(message)


def test_what_was_saved_comes_back(tmp_path):
    one = saver(tmp_path)
    save(one, 7)
    found = find_newest(one.folder, warn=refuse_to_warn)
    assert found is not None and found.step == 7 and found.state == state(7)
    model = build_model(CONFIG, seed=0)
    tensors = found.load(model)
    assert torch.equal(tensors["embedding.weight/exp_avg"], torch.full((2, 2), 7.0))
    for a, b in zip(model.parameters(), build_model(CONFIG, seed=7).parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_run_without_checkpoints_begins_at_the_beginning(tmp_path):
    assert find_newest(saver(tmp_path).folder, warn=refuse_to_warn) is None


def test_the_newest_and_the_best_are_kept_by_number_not_by_spelling(tmp_path):
    one = saver(tmp_path)
    for step in (8, 9, 10, 100):
        save(one, step, best=8)
    assert saved_steps(one.folder) == [8, 10, 100]
    assert json.loads(one.folder.best.read_text())["path"] == "checkpoints/step-00000008"


def test_a_checkpoint_can_be_saved_again(tmp_path):
    one = saver(tmp_path)
    save(one, 5)
    save(one, 5)
    assert os.listdir(one.folder.checkpoints) == ["step-00000005"]


def test_leftovers_of_a_dead_process_are_removed(tmp_path):
    one = saver(tmp_path)
    path = save(one, 5)
    shutil.copytree(path, path.with_name(f"{PARTIAL}step-00000006"))
    assert find_newest(one.folder, warn=refuse_to_warn).step == 5
    assert os.listdir(one.folder.checkpoints) == ["step-00000005"]


def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_it_used(tmp_path):
    one = saver(tmp_path)
    save(one, 5)
    (save(one, 6) / "optimizer.safetensors").write_bytes(b"")
    told: list[str] = []
    assert find_newest(one.folder, warn=told.append).step == 5
    assert len(told) == 1 and "step-00000006/optimizer.safetensors has 0 bytes instead of" in told[0]
    assert sorted(os.listdir(one.folder.checkpoints)) == ["damaged-step-00000006", "step-00000005"]


def test_if_every_checkpoint_is_damaged_the_user_decides(tmp_path):
    one = saver(tmp_path)
    for step in (5, 6):
        (save(one, step) / "state.json").unlink()
    with pytest.raises(CheckpointError, match=r"No checkpoint of .* is whole.*state.json is missing") as error:
        find_newest(one.folder, warn=refuse_to_warn)
    assert "--start-over" in error.value.fix
    assert saved_steps(one.folder) == [5, 6]


def test_files_of_another_step_are_refused(tmp_path):
    one = saver(tmp_path)
    five, six = save(one, 5), save(one, 6)
    shutil.rmtree(six)
    shutil.copytree(five, six)
    with pytest.raises(CheckpointError, match="holds the state of step 5"):
        verify_checkpoint(six)


def test_the_published_model_is_that_of_the_step_and_replaces_the_last(tmp_path):
    one = saver(tmp_path)
    for step in (5, 6):
        save(one, step)
        publish_model(one.folder, step)
        artifact = load_artifact(one.folder.root)
        assert artifact.about == {"step": step, "val_loss": 2.0}
        assert torch.equal(artifact.model.head_weight(), build_model(CONFIG, seed=step).head_weight())


def damage(path: Path, other: Path, kind: str, chance: random.Random) -> str:
    """Damage one file of the checkpoint at `path` in one way; return what was done."""
    file = chance.choice(sorted(p for p in path.rglob("*") if p.is_file()))
    data = bytearray(file.read_bytes())
    where = chance.randrange(len(data))
    if kind == "flip":
        data[where] ^= 1 << chance.randrange(8)
    elif kind == "truncate":
        del data[where:]
    elif kind == "zero":
        zeroed = data[where : where + 4096]
        data[where : where + 4096] = bytes(b ^ 0xFF for b in zeroed)
    elif kind == "append":
        data += bytes(chance.randrange(1, 9))
    elif kind == "empty":
        data.clear()
    elif kind == "swap":
        data = bytearray((other / file.relative_to(path)).read_bytes())
    if kind == "delete":
        file.unlink()
    else:
        if bytes(data) == file.read_bytes():
            return "nothing"
        file.write_bytes(data)
    return f"{kind} of {file.relative_to(path)}"


def test_of_a_thousand_damaged_checkpoints_none_is_believed(tmp_path):
    one = saver(tmp_path)
    other, path = save(one, 5), save(one, 6)
    good = tmp_path / "good"
    shutil.copytree(path, good)
    weights = (path / "model" / "model.safetensors").read_bytes()
    chance, believed, tried = random.Random(0), [], 0
    kinds = ["flip", "truncate", "zero", "append", "empty", "swap", "delete"]
    while tried < 1000:
        shutil.rmtree(path)
        shutil.copytree(good, path)
        what = damage(path, other, kinds[tried % len(kinds)], chance)
        if what == "nothing":
            continue
        tried += 1
        try:
            read = verify_checkpoint(path)
        except CheckpointError as error:
            assert str(path) in error.problem, what
            continue
        # A change of the manifest's own white space harms nothing: what it names must then be whole.
        if read != state(6) or (path / "model" / "model.safetensors").read_bytes() != weights:
            believed.append(what)
    assert believed == []
