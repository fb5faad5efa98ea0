"""The optimizers by name, which parameters decay, and their state as plain tensors for a checkpoint."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import AdamW

from hornbook.config.optimizing import AdamWConfig, MuonConfig, OptimizerConfig
from hornbook.errors import CheckpointError
from hornbook.lookup import lookup
from hornbook.training.optimizers.muon import Muon


@dataclass(frozen=True)
class Optimizers:
    """One or two torch optimizers that step together, with the names of the parameters they own."""

    parts: tuple[torch.optim.Optimizer, ...]
    names: dict[Tensor, str]

    @property
    def lr(self) -> float:
        """The learning rate of the first group, as reported."""
        return float(self.parts[0].param_groups[0]["lr"])

    def set_rate(self, share: float) -> None:
        """Set every learning rate to `share` of its peak."""
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = group["peak_lr"] * share

    def step(self, skip: Tensor) -> None:
        """Update the weights, unless `skip`, a () float tensor on the device, is nonzero; never waits for it."""
        for part in self.parts:
            part.found_inf = skip  # type: ignore[attr-defined]  # read by torch's fused optimizers and by Muon
            part.step()

    def clear_gradients(self) -> None:
        """Forget all gradients."""
        for part in self.parts:
            part.zero_grad(set_to_none=True)

    def state(self) -> dict[str, Tensor]:
        """Return every tensor of the optimizers' state, named "parameter/key"."""
        return {
            f"{self.names[parameter]}/{key}": value
            for part in self.parts
            for parameter, values in part.state.items()
            for key, value in values.items()
        }

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        """Put back what `state` returned.

        Raises:
            CheckpointError: if a tensor belongs to no parameter.
        """
        owners = {self.names[p]: (part, p) for part in self.parts for g in part.param_groups for p in g["params"]}
        for name, value in tensors.items():
            parameter_name, _, key = name.rpartition("/")
            if parameter_name not in owners:
                raise CheckpointError(
                    f"The optimizer state has '{name}', which is no parameter of this model.",
                    fix="resume with the settings the run was started with.",
                )
            part, parameter = owners[parameter_name]
            # torch's fused AdamW wants its step counter as float32 on the parameter's device.
            part.state[parameter][key] = value.to(parameter.device)


def decays(parameter: Tensor) -> bool:
    """Tell whether weight decay applies: to matrices and embeddings, never to norms, biases and other vectors."""
    return parameter.ndim >= 2


def build_optimizers(model: nn.Module, config: OptimizerConfig, *, matrix_dtype: torch.dtype) -> Optimizers:
    """Build the optimizers of `model`; `matrix_dtype` is the format Muon's products may run in."""
    build: Callable[..., tuple[torch.optim.Optimizer, ...]] = lookup(OPTIMIZERS, config.name, what="optimizer")
    names: dict[Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}
    parts = build(names, config, matrix_dtype)
    for part in parts:
        for group in part.param_groups:
            group["peak_lr"] = group["lr"]
    return Optimizers(parts, names)


def _adamw(
    names: dict[Tensor, str], config: AdamWConfig, matrix_dtype: torch.dtype
) -> tuple[torch.optim.Optimizer, ...]:
    groups = [
        {"params": [p for p in names if decays(p)], "weight_decay": config.weight_decay},
        {"params": [p for p in names if not decays(p)], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    return (AdamW(groups, lr=config.lr, betas=config.betas, eps=config.eps, fused=True),)


def _muon(
    names: dict[Tensor, str], config: MuonConfig, matrix_dtype: torch.dtype
) -> tuple[torch.optim.Optimizer, ...]:
    """Muon for the matrices inside the blocks, AdamW for embeddings, head and vectors."""
    hidden = [p for p, name in names.items() if p.ndim == 2 and name.startswith("blocks.")]
    rest = [p for p in names if not any(p is matrix for matrix in hidden)]
    muon = Muon(
        hidden,
        lr=config.lr,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
        iterations=config.iterations,
        dtype=matrix_dtype,
    )
    return muon, AdamW(rest, lr=config.adam_lr, betas=config.betas, eps=config.eps, weight_decay=0.0, fused=True)


OPTIMIZERS: dict[str, Callable[..., tuple[torch.optim.Optimizer, ...]]] = {"adamw": _adamw, "muon": _muon}
