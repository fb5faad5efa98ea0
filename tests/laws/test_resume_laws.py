"""A run that stopped and went on is the run that never stopped, whatever the architecture: over CONFIGS."""

import pytest

import hornbook
from hornbook.models.catalog import CONFIGS
from hornbook.storage.tensors import file_hash

RECIPE = """
[data]
path = "builtin:reasoning"
problems = 120
workers = 1

[tokenizer]
kind = "bytes"

[model]
arch = "{arch}"
context = 32
width = 16
num_layers = 2

[training]
batch_tokens = 64
threads = 1
device = "cpu"

[schedule]
name = "constant"

[precision]
dtype = "fp32"
attention = "sdpa"

[evaluation]
max_tokens = 256

[sampling]
every_steps = 0
"""


@pytest.mark.parametrize("arch", sorted(CONFIGS))
def test_resume_equals_uninterrupted(arch, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "tiny.toml").write_text(RECIPE.format(arch=arch), encoding="utf-8")

    def trained(folder, *steps):
        for count in steps:
            hornbook.train("tiny.toml", [f"run.folder={folder}", f"training.steps={count}"])
        checkpoint = tmp_path / folder / "checkpoints" / "step-00000006"
        return [file_hash(checkpoint / name) for name in ("model/model.safetensors", "optimizer.safetensors")]

    assert trained("stopped", 2, 5, 6) == trained("whole", 6)
