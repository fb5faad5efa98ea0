"""Muon: momentum whose matrices are made orthogonal before they are applied.

Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks". The update of an (r, c) matrix is
multiplied by 0.2 sqrt(max(r, c)), which gives it the root mean square of an AdamW update (Liu et al. 2025,
arXiv:2502.16982, section 2.2), so that its learning rate does not depend on the width.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

# Coefficients of the quintic iteration, chosen by Jordan et al. for the steepest slope at zero: singular values end
# between about 0.7 and 1.2 rather than at 1, which trains as well.
QUINTIC = (3.4445, -4.7750, 2.0315)


def orthogonalise(matrices: Tensor, *, iterations: int, dtype: torch.dtype) -> Tensor:
    """Return the nearest matrices whose singular values are about 1: (n, r, c) -> (n, r, c).

    Newton-Schulz iteration on all n matrices at once; products run in `dtype`, the result has the input's.
    """
    a, b, c = QUINTIC
    tall = matrices.shape[-2] > matrices.shape[-1]
    x: Tensor = matrices.mT if tall else matrices
    # The iteration converges for spectral norms up to 1; the Frobenius norm bounds them. 1.02 allows for bf16.
    x = (x / (x.norm(dim=(-2, -1), keepdim=True) * 1.02 + 1e-7)).to(dtype)
    for _ in range(iterations):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return (x.mT if tall else x).to(matrices.dtype)


class Muon(torch.optim.Optimizer):
    """Muon over 2-D parameters with Nesterov momentum and decoupled weight decay.

    Args:
        params: matrices only; equal shapes are orthogonalised together.
        lr: learning rate on AdamW's scale.
        momentum: share of the old momentum kept a step.
        weight_decay: share of `lr` by which a weight shrinks a step.
        iterations: Newton-Schulz iterations.
        dtype: number format of the iteration's products.

    A step with `found_inf` set to a nonzero tensor changes nothing, without waiting for the device.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        *,
        lr: float,
        momentum: float,
        weight_decay: float,
        iterations: int,
        dtype: torch.dtype,
    ) -> None:
        super().__init__(params, {"lr": lr})
        self.momentum, self.weight_decay = momentum, weight_decay
        self.iterations, self.dtype = iterations, dtype
        self.found_inf: Tensor | None = None

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Apply one update; `closure` is not supported."""
        assert closure is None, "Muon takes no closure"
        for group in self.param_groups:
            same_shape: dict[tuple[int, ...], list[Tensor]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    same_shape[tuple(parameter.shape)].append(parameter)
            for parameters in same_shape.values():
                self._update(parameters, group["lr"])

    def _update(self, parameters: list[Tensor], lr: float) -> None:
        """Update parameters that share one shape."""
        for parameter in parameters:
            if "momentum" not in self.state[parameter]:
                self.state[parameter]["momentum"] = torch.zeros_like(parameter)
        momenta = [self.state[parameter]["momentum"] for parameter in parameters]
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        # An update that must be skipped multiplies by zero; NaN gradients are replaced, since 0 * NaN is NaN.
        apply: float | Tensor = 1.0
        if self.found_inf is not None:
            skip = self.found_inf > 0
            apply = torch.where(skip, 0.0, 1.0)
            gradients = [torch.where(skip, momentum, g) for g, momentum in zip(gradients, momenta, strict=True)]
        torch._foreach_lerp_(momenta, gradients, 1 - self.momentum)
        nesterov = torch.stack(torch._foreach_lerp(gradients, momenta, self.momentum))
        rows, columns = parameters[0].shape
        update = orthogonalise(nesterov, iterations=self.iterations, dtype=self.dtype)
        update = update * (apply * (0.2 * max(rows, columns) ** 0.5 * lr))
        if self.weight_decay:
            torch._foreach_mul_(parameters, 1 - apply * (lr * self.weight_decay))
        torch._foreach_sub_(parameters, list(update.unbind()))
