"""A compiled step computes what the plain one does, always the same; what cannot be compiled is told once."""

import shutil

import pytest
import torch
from torch import Tensor

import hornbook
from hornbook.data.batch import Batch
from hornbook.models.build import build_model
from hornbook.models.llama.config import LlamaConfig
from hornbook.models.llama.model import Llama
from hornbook.storage.tensors import file_hash
from hornbook.training.compiling import compile_loss
from hornbook.training.precision import Precision
from hornbook.training.step import total_loss

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # torch's own, while it compiles
]
COMPILER = any(map(shutil.which, ("g++", "clang++", "c++", "cl")))
needs_a_compiler = pytest.mark.skipif(not COMPILER, reason="no C++ compiler, which torch.compile needs on the CPU")

FP32 = Precision(torch.device("cpu"), torch.float32)
BF16 = Precision(torch.device("cpu"), torch.bfloat16)


def tiny(vocab_size: int = 300) -> LlamaConfig:
    return LlamaConfig(vocab_size=vocab_size, context=16, width=32, num_layers=2, num_heads=4, num_kv_heads=2)


def rows(vocab_size: int = 300, *, documents: bool = False) -> Batch:
    drawn = torch.randint(0, vocab_size, (2, 17), generator=torch.Generator().manual_seed(1))
    borders = (torch.arange(16) >= 9).int().expand(2, 16).contiguous() if documents else None
    return Batch(drawn[:, :-1].contiguous(), drawn[:, 1:].contiguous(), borders, (0, 1))


def gradients(function, model, batch, precision) -> list[Tensor]:
    with precision.autocast():
        loss = function(model, batch)
    loss.backward()
    found = [loss.detach(), *(p.grad for p in model.parameters())]
    model.zero_grad(set_to_none=True)
    return found


@needs_a_compiler
@pytest.mark.parametrize(
    ("vocab_size", "documents", "precision"), [(300, True, FP32), (300, False, BF16), (20_000, False, FP32)]
)
def test_the_compiled_step_is_the_plain_one_up_to_rounding(vocab_size, documents, precision):
    told: list[str] = []
    model, batch = build_model(tiny(vocab_size), seed=0), rows(vocab_size, documents=documents)
    compiled = compile_loss(model, batch, precision, tell=told.append)
    assert not compiled.failed and told == []
    assert all(p.grad is None for p in model.parameters())
    plain, ours = (gradients(function, model, batch, precision) for function in (total_loss, compiled))
    # A fused sum is taken in another order; bfloat16 keeps 8 bits of each product it stores.
    close = 1e-5 if precision is FP32 else 3e-2
    for a, b in zip(plain, ours, strict=True):
        assert float((a - b).abs().max()) <= close * float(a.abs().max())
    again = gradients(compiled, model, batch, precision)
    assert all(torch.equal(a, b) for a, b in zip(ours, again, strict=True))


class Unlucky(Llama):
    """Its forward pass cannot be one graph."""

    def hidden(self, tokens, state=None, documents=None):
        torch._dynamo.graph_break()
        return super().hidden(tokens, state, documents)


class Untrue(Llama):
    """Computes something else when compiled."""

    def hidden(self, tokens, state=None, documents=None):
        found = super().hidden(tokens, state, documents)
        return found * 3 if torch.compiler.is_compiling() else found


def test_what_cannot_be_compiled_is_told_once_and_runs_plainly():
    told: list[str] = []
    model, batch = Unlucky(tiny(), generator=torch.Generator().manual_seed(0)), rows()
    compiled = compile_loss(model, batch, FP32, tell=told.append)
    assert compiled.failed
    for a, b in zip(*(gradients(f, model, batch, FP32) for f in (total_loss, compiled)), strict=True):
        assert torch.equal(a, b)
    assert len(told) == 1 and "Not compiled: torch.compile failed (" in told[0]
    assert "training goes on without" in told[0]


@needs_a_compiler
def test_a_compiled_step_that_computes_something_else_is_not_used():
    told: list[str] = []
    model = Untrue(tiny(), generator=torch.Generator().manual_seed(0))
    assert compile_loss(model, rows(), FP32, tell=told.append).failed
    assert "the compiled loss of the first rows is" in told[0] and "the plain one" in told[0]


@needs_a_compiler
def test_a_compiled_run_that_is_continued_ends_with_the_same_weights(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "text.txt").write_text("It was the best of times, it was the worst of times.\n" * 200)
    settings = ["data.path=text.txt", "tokenizer.kind=bytes", "model.width=32", "model.num_layers=1"]
    settings += ["model.num_heads=2", "model.context=32", "training.batch_tokens=128", "training.threads=1"]
    settings += [
        "precision.dtype=bf16",
        "precision.attention=matmul",
        "schedule.name=constant",
        "training.compile=true",
    ]
    settings += ["sampling.every_steps=0"]

    def trained(name: str, steps: int) -> str:
        said: list[str] = []
        hornbook.train("text", [*settings, f"run.folder=runs/{name}", f"training.steps={steps}"], say=said.append)
        assert any("compiled as set" in line for line in said)
        assert not any("Not compiled" in line for line in said)
        return file_hash(tmp_path / "runs" / name / "model" / "model.safetensors")

    whole = trained("whole", 6)
    trained("cut", 3)
    assert trained("cut", 6) == whole
