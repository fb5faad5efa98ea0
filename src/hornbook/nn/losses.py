"""Next-token loss as a sum and a count: who adds up over micro-batches and ranks divides once, at the end.

`next_token_loss` reads logits. `chunked_next_token_loss` reads what the head reads and never holds all logits:
for large vocabularies, where they outweigh the rest of the model. Both give the same numbers.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from hornbook.errors import ShapeError
from hornbook.nn.precision import compute_dtype

IGNORE = -100
"""The target of a position that does not count; torch's own default."""


def next_token_loss(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Sum the next-token loss over the positions that count.

    Args:
        logits: (B, T, V), any float dtype; the softmax runs in float32.
        targets: (B, T) int64; IGNORE marks positions that do not count.

    Returns:
        total: () float32, in nats.
        count: () int64; may be 0, then total is 0.0. Divide after summing over ranks and micro-batches, never
            before: means of means are not the mean.

    Raises:
        ShapeError: if the two disagree on (B, T).
    """
    _check_positions("logits", logits, targets)
    flat = logits.flatten(0, -2).float()
    total = F.cross_entropy(flat, targets.flatten(), ignore_index=IGNORE, reduction="sum")
    return total, count_targets(targets)


def chunked_next_token_loss(
    hidden: Tensor, weight: Tensor, targets: Tensor, *, chunk_rows: int = 1024
) -> tuple[Tensor, Tensor]:
    """Sum the next-token loss of `hidden @ weight.T` without ever holding all logits.

    The gradient is computed in the forward pass, chunk by chunk, in the memory of the logits themselves: nothing
    of size V is kept for the backward pass but the gradient of `weight`. Under autocast the products run in its
    dtype, everything between them in float32, and the weight's gradient is summed in float32.

    Args:
        hidden: (B, T, D).
        weight: (V, D), the head.
        targets: (B, T) int64; IGNORE marks positions that do not count.
        chunk_rows: positions whose logits exist at once; memory is about 4 * chunk_rows * V bytes.

    Returns:
        total: () float32 and count: () int64, as `next_token_loss` of the logits would.

    Raises:
        ShapeError: if `hidden` and `targets` disagree on (B, T), or `hidden` and `weight` on D.
    """
    _check_positions("hidden", hidden, targets)
    if hidden.shape[-1] != weight.shape[-1]:
        raise ShapeError(
            f"hidden is {tuple(hidden.shape)} and the head {tuple(weight.shape)}: their last axes differ.",
            fix="pass the matrix of model.head_weight(), (V, D), for a hidden of (B, T, D).",
        )
    rows, dtype = hidden.flatten(0, -2), compute_dtype(hidden)
    if torch.is_grad_enabled():
        total = _ChunkedLoss.apply(rows, weight, targets.flatten(), chunk_rows, dtype)  # type: ignore[no-untyped-call]
    else:
        total, _, _ = _loss_and_gradients(rows, weight, targets.flatten(), chunk_rows, dtype, (False, False))
    return total, count_targets(targets)


def count_targets(targets: Tensor) -> Tensor:
    """Count the positions that count: () int64, left on the device."""
    return (targets != IGNORE).sum()


class _ChunkedLoss(torch.autograd.Function):
    """The total and, for the backward pass, its finished gradients."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, chunk_rows: int, dtype: torch.dtype
    ) -> Tensor:
        needed = (ctx.needs_input_grad[0], ctx.needs_input_grad[1])
        total, *gradients = _loss_and_gradients(hidden, weight, targets, chunk_rows, dtype, needed)
        ctx.save_for_backward(*gradients)
        return total

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight = (g if g is None else g * upstream[0].to(g.dtype) for g in ctx.saved_tensors)
        return hidden, weight, None, None, None


def _loss_and_gradients(
    hidden: Tensor, weight: Tensor, targets: Tensor, chunk_rows: int, dtype: torch.dtype, needed: tuple[bool, bool]
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Return the total of (N, D) rows and the needed gradients of (hidden, weight), in their own dtypes."""
    head = weight.to(dtype)
    total = torch.zeros((), dtype=torch.float32, device=hidden.device)
    hidden_gradient = torch.empty_like(hidden) if needed[0] else None
    weight_gradient = torch.zeros_like(weight, dtype=torch.float32) if needed[1] else None
    for start in range(0, hidden.shape[0], chunk_rows):
        part = slice(start, start + chunk_rows)
        rows = hidden[part].to(dtype)
        counts = targets[part] != IGNORE
        index = targets[part].where(counts, 0)[:, None]  # (R, 1)
        logits = (rows @ head.T).float()  # (R, V)
        normaliser = logits.logsumexp(-1, keepdim=True)  # (R, 1)
        total += ((normaliser - logits.gather(-1, index))[:, 0] * counts).sum()
        if not any(needed):
            continue
        # d total / d logits = softmax(logits) - onehot(target), and zero where the position does not count.
        gradient = logits.sub_(normaliser).exp_()
        gradient.scatter_add_(-1, index, gradient.new_full(index.shape, -1.0))
        gradient = gradient.mul_(counts[:, None]).to(dtype)
        if hidden_gradient is not None:
            hidden_gradient[part] = gradient @ head
        if weight_gradient is not None:
            weight_gradient += gradient.T @ rows
    if weight_gradient is not None:
        weight_gradient = weight_gradient.to(weight.dtype)
    return total, hidden_gradient, weight_gradient


def _check_positions(name: str, values: Tensor, targets: Tensor) -> None:
    if values.shape[:-1] != targets.shape:
        raise ShapeError(
            f"{name} is {tuple(values.shape)} and targets {tuple(targets.shape)}: they disagree on the positions.",
            fix=f"give {name} as (B, T, width) and targets as (B, T), of the same rows and tokens.",
        )
