"""The loss of a micro-batch as one compiled function, and the plain one again where compiling fails.

Compiled are what every training step computes alike: the model forward and backward, at fixed shapes. Judging and
talking stay plain. Compiled products round differently, so which way a run goes is one of its kept choices.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from hornbook.data.batch import Batch
from hornbook.models.contract import LanguageModel
from hornbook.nn.losses import chunked_next_token_loss, next_token_loss
from hornbook.training.precision import Precision
from hornbook.training.step import CHUNKED_LOSS_FROM, total_loss

LossFunction = Callable[[LanguageModel, Batch], Tensor]
"""Sums the loss over the targets of a micro-batch, as `hornbook.training.step.total_loss` does."""

SAME_LOSS = 2e-3
"""How far, as a share of it, the compiled loss of a micro-batch may be from the plain one: bfloat16 keeps 8 bits, and
what they round averages out over the targets."""


class CompiledLoss:
    """Sums the loss with torch.compile; a failure is told once, and from then on the plain way is taken.

    The whole function is one graph: what cannot be compiled raises instead of running plain in silence, and so does
    the ninth shape (torch gives up silently otherwise).

    Attributes:
        failed: whether it went back to the plain way.
    """

    def __init__(self, model: LanguageModel, tell: Callable[[str], None]) -> None:
        chunked = model.config.vocab_size >= CHUNKED_LOSS_FROM
        self.failed = False
        self._tell, self._chunked = tell, chunked
        self._function = torch.compile(_hidden if chunked else _whole_loss, fullgraph=True, dynamic=False)

    def __call__(self, model: LanguageModel, batch: Batch) -> Tensor:
        """Sum the loss over the targets of `batch`: () float32, in nats."""
        if not self.failed:
            try:
                return self._compiled(model, batch)
            except Exception as error:  # torch raises a dozen kinds here, its compilers many more
                self.give_up(f"torch.compile failed ({type(error).__name__}: {_first_line(error)})")
        return total_loss(model, batch)

    def give_up(self, reason: str) -> None:
        """Take the plain way from now on, and say why."""
        self.failed = True
        self._tell(f"Not compiled: {reason}; training goes on without, a little slower.")

    def _compiled(self, model: LanguageModel, batch: Batch) -> Tensor:
        if not self._chunked:
            return self._function(model, batch.tokens, batch.targets, batch.documents)
        # The chunked loss computes its own gradient in place, which a graph would only unroll.
        hidden = self._function(model, batch.tokens, batch.documents)
        return chunked_next_token_loss(hidden, model.head_weight(), batch.targets)[0]


def compile_loss(
    model: LanguageModel, batch: Batch, precision: Precision, *, tell: Callable[[str], None]
) -> CompiledLoss:
    """Compile the loss of `model` for micro-batches shaped like `batch`, and hold it against the plain one.

    Args:
        model: keeps its weights; has no gradients before or after.
        batch: a micro-batch of the run, on the model's device.
        precision: the number format of the run.
        tell: receives the reason if there is no compiled loss.
    """
    compiled = CompiledLoss(model, tell)
    losses = []
    for function in (total_loss, compiled):
        with precision.autocast():
            loss = function(model, batch)
        try:
            loss.backward()  # type: ignore[no-untyped-call]
        except Exception as error:
            if function is total_loss or compiled.failed:
                raise
            compiled.give_up(f"the backward pass failed ({type(error).__name__}: {_first_line(error)})")
        losses.append(float(loss.detach()))
        model.zero_grad(set_to_none=True)
    plain, ours = losses
    if not compiled.failed and not abs(ours - plain) <= SAME_LOSS * abs(plain):
        compiled.give_up(f"the compiled loss of the first rows is {ours:.6g}, the plain one {plain:.6g}")
    return compiled


def _whole_loss(model: LanguageModel, tokens: Tensor, targets: Tensor, documents: Tensor | None) -> Tensor:
    return next_token_loss(model(tokens, documents=documents), targets)[0]


def _hidden(model: LanguageModel, tokens: Tensor, documents: Tensor | None) -> Tensor:
    return model.hidden(tokens, documents=documents)


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "no message")[:200]
