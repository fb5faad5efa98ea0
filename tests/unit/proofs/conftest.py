"""The same random numbers in every test of this folder, whatever ran before."""

import pytest
import torch


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)
