"""One optimizer step: micro-batches, a loss divided by counted targets, clipping, and an update that can be refused.

The loss of a step is the sum over its targets divided by their number, counted over the whole step before the
first backward pass. Averaging the means of micro-batches instead would reweight them: with masked prompts each
holds a different number of targets.

Nothing here waits for the device: the numbers of a step come back as tensors, and the loop reads them when it logs.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor

from hornbook.data.batch import Batch
from hornbook.models.contract import LanguageModel
from hornbook.nn.losses import chunked_next_token_loss, next_token_loss
from hornbook.training.optimizers import Optimizers
from hornbook.training.parts import named_part
from hornbook.training.precision import LossScale, Precision
from hornbook.training.randomness import seed_dropout

CHUNKED_LOSS_FROM = 16_384
"""Vocabulary from which the logits of a micro-batch are never whole in memory."""


def total_loss(model: LanguageModel, batch: Batch) -> Tensor:
    """Sum the loss over the targets of `batch`: () float32, in nats."""
    if model.config.vocab_size >= CHUNKED_LOSS_FROM:
        hidden = model.hidden(batch.tokens, documents=batch.documents)
        return chunked_next_token_loss(hidden, model.head_weight(), batch.targets)[0]
    return next_token_loss(model(batch.tokens, documents=batch.documents), batch.targets)[0]


@dataclass(frozen=True)
class StepReport:
    """What one step was. `loss`, `grad_norm` and `skipped` are () tensors on the device."""

    loss: Tensor
    targets: int
    grad_norm: Tensor
    skipped: Tensor
    lr: float


@dataclass(frozen=True)
class Stepper:
    """Everything a step needs but the batch and the rate."""

    model: LanguageModel
    optimizers: Optimizers
    precision: Precision
    loss_scale: LossScale
    seed: int
    clip_norm: float
    micro_batch_rows: int
    loss: Callable[[LanguageModel, Batch], Tensor] = total_loss
    """Sums the loss over the targets of a micro-batch; compiled, it is `hornbook.training.compiling.CompiledLoss`."""
    part: Callable[[str], AbstractContextManager[object]] = named_part
    """Entered around each part of a step: "forward" and "backward" of each micro-batch, "optimizer"."""

    def step(self, batch: Batch, number: int, *, share: float) -> StepReport:
        """Take the step after `number` finished ones on `batch`, which may still be in host memory.

        Args:
            share: the learning rates as a share of their peaks.
        """
        self.optimizers.set_rate(share)
        loss, targets = self.backward(batch, number)
        with self.part("optimizer"):
            grad_norm = self._clip()
            skipped = (~torch.isfinite(grad_norm)).float()
            self.optimizers.step(skipped)
            self.loss_scale.update(skipped)
            self.optimizers.clear_gradients()
        return StepReport(loss, targets, grad_norm, skipped, self.optimizers.lr)

    def optimizer_tensors(self) -> dict[str, Tensor]:
        """Return every tensor that a resumed run needs besides the weights."""
        return self.optimizers.state() | self.loss_scale.state()

    def load_optimizer_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Put back what `optimizer_tensors` returned."""
        scale = {name: tensors[name] for name in self.loss_scale.state()}
        self.loss_scale.load_state(scale)
        self.optimizers.load_state({name: value for name, value in tensors.items() if name not in scale})

    def backward(self, batch: Batch, number: int) -> tuple[Tensor, int]:
        """Add the gradient of the mean loss of `batch`; return that loss and the targets it was divided by."""
        targets = batch.count()
        losses = []
        for index, micro_batch in enumerate(batch.micro_batches(self.micro_batch_rows)):
            seed_dropout(self.seed, step=number, micro_batch=index, rank=0)
            with self.part("forward"), self.precision.autocast():
                total = self.loss(self.model, micro_batch.to(self.precision.device))
            loss = total / max(1, targets)
            with self.part("backward"):
                self.loss_scale.scale(loss).backward()  # type: ignore[no-untyped-call]
            losses.append(loss.detach())
        return torch.stack(losses).sum(), targets

    def _clip(self) -> Tensor:
        """Undo the loss scale, clip in place, and return the norm before clipping."""
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        self.loss_scale.unscale(gradients)
        # What torch.nn.utils does from 2.6 on, by operations that older ones have too.
        norm: Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
        if self.clip_norm:
            torch._foreach_mul_(gradients, (self.clip_norm / (norm + 1e-6)).clamp(max=1.0))
        return norm
