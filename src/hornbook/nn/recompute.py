"""Gradient checkpointing: keep only what each block reads, and compute its insides again for the backward pass.

Chen et al. 2016, "Training deep nets with sublinear memory cost", arXiv:1604.06174. A step takes about a third longer,
one more forward pass; its gradients are the same to the last bit, since the same products are computed from the same
numbers, random ones included.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from hornbook.errors import ConfigError


class Recomputed:
    """A block's forward pass that keeps its arguments only, whenever gradients are wanted."""

    def __init__(self, forward: Callable[..., Any]) -> None:
        self.forward = forward

    def __call__(self, *arguments: Any) -> Any:
        if not torch.is_grad_enabled():
            return self.forward(*arguments)
        return checkpoint(self.forward, *arguments, use_reentrant=False)


def recompute_blocks(model: nn.Module) -> None:
    """Let every block of `model` forget its insides after the forward pass; weights and their names stay.

    Raises:
        ConfigError: if the model is not a stack of `blocks`.
    """
    blocks = getattr(model, "blocks", None)
    if not isinstance(blocks, nn.ModuleList):
        raise ConfigError(
            f"training.recompute_activations works on a stack of blocks, which {type(model).__name__} is not.",
            fix="set training.recompute_activations = false, and a smaller training.micro_batch_rows.",
        )
    for block in blocks:
        block.forward = Recomputed(block.forward)
