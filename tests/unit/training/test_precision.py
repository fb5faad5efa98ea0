"""Number formats a run asks for."""

import pytest
import torch

from hornbook.training.precision import allow_tf32


def test_only_cuda_knows_tf32():
    before = torch.backends.cuda.matmul.allow_tf32
    assert not allow_tf32(torch.device("cpu"), True)
    assert torch.backends.cuda.matmul.allow_tf32 == before


@pytest.mark.parametrize("allowed", [True, False])
def test_on_cuda_it_is_switched_as_asked(allowed):
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    try:
        assert allow_tf32(torch.device("cuda"), allowed) == allowed
        assert (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32) == (allowed, allowed)
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before
