"""Lion: every weight moves by the same amount, in the direction most gradients agree on.

Chen et al. 2023, "Symbolic discovery of optimization algorithms", arXiv:2302.06675, algorithm 2. Two decays, used for
two different things: the first mixes the gradient in for the direction of this step, the second for the memory.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


class Lion(torch.optim.Optimizer):
    """Signed momentum with decoupled weight decay.

        direction = sign(b1 momentum + (1 - b1) gradient)
        weight    = weight - lr (direction + weight_decay weight)
        momentum  = b2 momentum + (1 - b2) gradient

    Args:
        params: parameters, or groups of them with a `weight_decay` each.
        lr: what every weight moves by in a step.
        betas: b1 and b2.
        weight_decay: share of `lr` by which a weight shrinks a step.

    A step with `found_inf` set to a nonzero tensor changes nothing, without waiting for the device.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        *,
        lr: float,
        betas: tuple[float, float],
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})
        self.found_inf: Tensor | None = None

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Apply one update; `closure` is not supported."""
        assert closure is None, "Lion takes no closure"
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._update(weight, weight.grad, group)

    def _update(self, weight: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        """Update one parameter, its momentum included."""
        (b1, b2), lr = group["betas"], group["lr"]
        state = self.state[weight]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(weight)
        momentum: Tensor = state["momentum"]
        apply: float | Tensor = 1.0
        if self.found_inf is not None:
            # An update that must be skipped multiplies by zero. Its gradient may hold NaN, and 0 * NaN is NaN: the
            # momentum takes its place, and mixing a number with itself by lerp gives that number, to the last bit.
            skip = self.found_inf > 0
            apply = torch.where(skip, 0.0, 1.0)
            gradient = torch.where(skip, momentum, gradient)
        direction = momentum.lerp(gradient, 1 - b1).sign_()
        if group["weight_decay"]:
            weight.mul_(1 - apply * (lr * group["weight_decay"]))
        weight.sub_(direction * (apply * lr))
        momentum.lerp_(gradient, 1 - b2)
