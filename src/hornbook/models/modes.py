"""Using a model without teaching it."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def only_using(model: nn.Module) -> Iterator[None]:
    """Switch off dropout and gradients inside the block; after it the model is in the mode it was in."""
    training = model.training
    if training:
        model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        if training:
            model.train()
