import torch

from hornbook.nn.precision import compute_dtype


def test_products_run_in_the_tensors_own_dtype_without_autocast():
    assert compute_dtype(torch.zeros(1, dtype=torch.float64)) == torch.float64


def test_products_run_in_the_dtype_of_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        assert compute_dtype(torch.zeros(1)) == torch.bfloat16


def test_autocast_that_is_switched_off_changes_nothing():
    with torch.autocast("cpu", torch.bfloat16, enabled=False):
        assert compute_dtype(torch.zeros(1)) == torch.float32
