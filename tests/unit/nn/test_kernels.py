import importlib.util

import pytest
import torch
import torch.nn.functional as F

from hornbook.nn.kernels import delta_by_fla, sequence_bounds, why_no_fla
from hornbook.nn.recurrence import Delta, delta_chunks, delta_steps

DOCUMENTS = torch.tensor([[0, 0, 0, 1, 1, 2], [2, 2, 2, 2, 2, 2], [5, 6, 6, 6, 6, 7]], dtype=torch.int32)


def test_a_sequence_begins_with_every_row_and_every_document():
    # The second row goes on with the number the first ended with, and is another document all the same.
    assert sequence_bounds(DOCUMENTS).tolist() == [0, 3, 5, 6, 12, 13, 17, 18]


def test_the_cpu_is_told_that_the_kernels_need_cuda():
    problem, fix = why_no_fla(torch.device("cpu"), torch.bfloat16)
    assert problem == "flash-linear-attention computes on CUDA devices, not on cpu"
    assert fix == "set precision.delta_rule = 'plain'"


@pytest.mark.skipif(importlib.util.find_spec("fla") is not None, reason="flash-linear-attention is installed")
def test_a_missing_package_is_named_with_its_extra():
    problem, fix = why_no_fla(torch.device("cuda"), torch.bfloat16)
    assert problem == "flash-linear-attention is not installed"
    assert "pip install 'hornbook[gpu]'" in fix


@pytest.mark.skipif(importlib.util.find_spec("fla") is None, reason="flash-linear-attention is not installed")
def test_float32_is_refused_rather_than_rounded_in_silence():
    problem, fix = why_no_fla(torch.device("cuda"), torch.float32)
    assert problem == "flash-linear-attention computes in bf16 or fp16, not in float32"
    assert "precision.dtype = 'bf16'" in fix


@pytest.fixture
def cuda():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    pytest.importorskip("fla", reason="flash-linear-attention (extra gpu) is not installed")
    return torch.device("cuda")


def inputs(device, tokens=200):
    B, H, K = 3, 4, 64
    q, k, v = (torch.randn(B, H, tokens, K, device=device) for _ in range(3))
    log_decay = -0.3 * torch.rand(B, H, tokens, device=device)
    strength = 2 * torch.rand(B, H, tokens, device=device)
    return Delta(F.normalize(q, dim=-1), F.normalize(k, dim=-1), v, log_decay, strength)


@pytest.mark.gpu
@pytest.mark.parametrize("given", ["empty", "memory", "documents"])
def test_the_kernels_over_chunks_agree_with_torch_in_result_and_gradient(cuda, given):
    x = inputs(cuda)
    leaves = [part.requires_grad_() for part in x]
    memory = torch.randn(3, 4, 64, 64, device=cuda) if given == "memory" else None
    documents = (torch.arange(200, device=cuda) // 70)[None].expand(3, -1) if given == "documents" else None
    outcomes = []
    for seen, last in (
        delta_by_fla(x, memory, documents=documents, dtype=torch.bfloat16),
        delta_chunks(x, memory, documents=documents),
    ):
        gradients = torch.autograd.grad(seen.square().mean() + last.square().mean(), leaves)
        outcomes.append((seen, last, *gradients))
    for ours, theirs in zip(*outcomes, strict=True):
        # bfloat16 keeps 8 bits: a part in 256 an entry, less where many are summed.
        assert (ours - theirs).norm() < 0.02 * theirs.norm()


@pytest.mark.gpu
def test_the_kernel_of_one_token_agrees_with_torch(cuda):
    x, memory = inputs(cuda, tokens=1), torch.randn(3, 4, 64, 64, device=cuda)
    ours = delta_by_fla(x, memory, documents=None, dtype=torch.bfloat16)
    torch.testing.assert_close(ours, delta_steps(x, memory), rtol=1e-4, atol=1e-4)
