"""Adam written out, for reading, and for devices that have neither torch's fused kernel nor its `lerp_`.

Kingma and Ba 2014, arXiv:1412.6980, algorithm 1; decoupled decay: Loshchilov and Hutter, arXiv:1711.05101. It uses
sums, products, roots and choices only. The bias correction is computed as what it is: the mean and the mean square
begin at zero, so each is divided by the weight it has given to gradients so far, which follows the same rule as the
mean itself with 1 in the gradient's place. In exact numbers that is the paper's 1 - b^t; in float32 the two agree to
a few units in the last place. tests/unit/training/test_optimizers.py compares 200 steps with torch's.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Moments:
    """What Adam remembers of one parameter: two running averages, and the weight each holds, () float32."""

    mean: Tensor
    square: Tensor
    mean_weight: Tensor
    square_weight: Tensor

    @classmethod
    def of_nothing(cls, weight: Tensor) -> "Moments":
        """Begin: no gradient was seen."""
        nothing = torch.zeros((), device=weight.device)
        return cls(torch.zeros_like(weight), torch.zeros_like(weight), nothing, nothing.clone())

    def after(self, gradient: Tensor, b1: float, b2: float) -> "Moments":
        """Return the averages with one more gradient in them."""
        return Moments(
            mean=b1 * self.mean + (1 - b1) * gradient,
            square=b2 * self.square + (1 - b2) * gradient * gradient,
            mean_weight=b1 * self.mean_weight + (1 - b1),
            square_weight=b2 * self.square_weight + (1 - b2),
        )

    def direction(self, eps: float) -> Tensor:
        """Return the mean gradient over the root of the mean squared gradient."""
        mean = self.mean / self.mean_weight
        square = self.square / self.square_weight
        return mean / (square.sqrt() + eps)


class PlainAdam(torch.optim.Optimizer):
    """Adam, or AdamW if `decoupled`.

    Args:
        params: parameters, or groups of them with a `weight_decay` each.
        lr: learning rate.
        betas: decay of the mean and of the mean square.
        eps: added to the root.
        weight_decay: added to the gradient as a share of the weight or, decoupled, a share of `lr` by which a weight
            shrinks a step.
        decoupled: which of the two.

    A step with `found_inf` set to a nonzero tensor changes nothing, without waiting for the device.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        *,
        lr: float,
        betas: tuple[float, float],
        eps: float,
        weight_decay: float = 0.0,
        decoupled: bool = False,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})
        self.decoupled = decoupled
        self.found_inf: Tensor | None = None

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Apply one update; `closure` is not supported."""
        assert closure is None, "PlainAdam takes no closure"
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._update(weight, weight.grad, group)

    def _update(self, weight: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        """Update one parameter and what is remembered of it."""
        state = self.state[weight]
        if not state:
            state.update(vars(Moments.of_nothing(weight)))
        before, decay = Moments(**state), group["weight_decay"]
        if not self.decoupled:
            gradient = gradient + decay * weight
        after = before.after(gradient, *group["betas"])
        shrunk = weight * (1 - group["lr"] * decay) if self.decoupled else weight
        self._replace(weight, shrunk - group["lr"] * after.direction(group["eps"]))
        for name, value in vars(after).items():
            self._replace(state[name], value)

    def _replace(self, old: Tensor, new: Tensor) -> None:
        """Put `new` into `old`, unless this step must be skipped."""
        old.copy_(new if self.found_inf is None else torch.where(self.found_inf > 0, old, new))
