"""The optimizers by name, which parameters decay, and their state as plain tensors for a checkpoint."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW

from hornbook.config.optimizing import (
    AdamConfig,
    AdamWConfig,
    LionConfig,
    MuonConfig,
    OptimizerConfig,
    PlainAdamConfig,
    SGDConfig,
)
from hornbook.errors import CheckpointError, ConfigError
from hornbook.lookup import lookup
from hornbook.training.optimizers.lion import Lion
from hornbook.training.optimizers.muon import Muon
from hornbook.training.optimizers.plain_adam import PlainAdam

Parts = tuple[torch.optim.Optimizer, ...]

FUSED_ON = ("cpu", "cuda", "mps", "xpu")
"""Kinds of device with torch's fused kernels, which can skip an update without asking the device."""


@dataclass(frozen=True)
class Optimizers:
    """One or two torch optimizers that step together, with the names of the parameters they own."""

    parts: Parts
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
            part.found_inf = skip  # type: ignore[attr-defined]  # read by torch's fused optimizers and by ours
            part.step()

    def forget(self) -> None:
        """Forget what was learnt of the gradients; the next step is like the first."""
        for part in self.parts:
            for values in part.state.values():
                for value in values.values():
                    value.zero_()

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
    """Tell whether weight decay applies: to matrices and embeddings, never to norms, biases and other vectors.

    A depthwise convolution, (D, 1, W), mixes no channels: like a norm's, its weights are a few vectors.
    """
    return parameter.ndim >= 2 and not (parameter.ndim > 2 and parameter.shape[1] == 1)


def hidden_matrices(model: nn.Module) -> list[Tensor]:
    """Return the weights of the linear layers inside `model.blocks`: what Muon may make orthogonal.

    Not the head or a lookup table, and not what has two axes without being a matrix, such as the (D, W) window of a
    convolution.
    """
    return [
        module.weight
        for name, module in model.named_modules()
        if name.startswith("blocks.") and isinstance(module, nn.Linear)
    ]


def build_optimizers(model: nn.Module, config: OptimizerConfig, *, matrix_dtype: torch.dtype) -> Optimizers:
    """Build the optimizers of `model`; `matrix_dtype` is the format Muon's products may run in.

    Raises:
        ConfigError: if the device lacks what the optimizer needs, or the model what the optimizer moves.
    """
    build: Callable[..., Parts] = lookup(OPTIMIZERS, config.name, what="optimizer")
    parts = build(model, config, matrix_dtype)
    for part in parts:
        for group in part.param_groups:
            group["peak_lr"] = group["lr"]
    return Optimizers(parts, {parameter: name for name, parameter in model.named_parameters()})


def _adamw(model: nn.Module, config: AdamWConfig, matrix_dtype: torch.dtype) -> Parts:
    _require_fused(model, config.name)
    groups = _decay_groups(model, config.weight_decay)
    return (AdamW(groups, lr=config.lr, betas=config.betas, eps=config.eps, fused=True),)


def _adam(model: nn.Module, config: AdamConfig, matrix_dtype: torch.dtype) -> Parts:
    _require_fused(model, config.name)
    groups = _decay_groups(model, config.weight_decay)
    return (Adam(groups, lr=config.lr, betas=config.betas, eps=config.eps, fused=True),)


def _sgd(model: nn.Module, config: SGDConfig, matrix_dtype: torch.dtype) -> Parts:
    _require_fused(model, config.name)
    groups = _decay_groups(model, config.weight_decay)
    sgd = SGD(groups, lr=config.lr, momentum=config.momentum, nesterov=config.nesterov, fused=True)
    if config.momentum:
        # torch makes these at the first step without filling them, and would keep what lay there if that very step
        # must be skipped. The first update from zero is the same.
        for parameter in model.parameters():
            sgd.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return (sgd,)


def _lion(model: nn.Module, config: LionConfig, matrix_dtype: torch.dtype) -> Parts:
    return (Lion(_decay_groups(model, config.weight_decay), lr=config.lr, betas=config.betas),)


def _plain_adam(model: nn.Module, config: PlainAdamConfig, matrix_dtype: torch.dtype) -> Parts:
    groups = _decay_groups(model, config.weight_decay)
    return (PlainAdam(groups, lr=config.lr, betas=config.betas, eps=config.eps, decoupled=config.decoupled),)


def _muon(model: nn.Module, config: MuonConfig, matrix_dtype: torch.dtype) -> Parts:
    """Muon for the matrices inside the blocks, AdamW for embeddings, head, vectors and all else."""
    _require_fused(model, config.name)
    hidden = hidden_matrices(model)
    if not hidden:
        raise ConfigError(
            f"optimizer.name = 'muon' moves the matrices of linear layers inside blocks; {type(model).__name__} "
            "has none.",
            fix="set optimizer.name = 'adamw'.",
        )
    owned = set(hidden)
    muon = Muon(
        hidden,
        lr=config.lr,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
        iterations=config.iterations,
        dtype=matrix_dtype,
    )
    rest = [parameter for parameter in model.parameters() if parameter not in owned]
    return muon, AdamW(rest, lr=config.adam_lr, betas=config.betas, eps=config.eps, weight_decay=0.0, fused=True)


def _decay_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Split the parameters into those that decay and those that never do."""
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if decays(p)], "weight_decay": weight_decay},
        {"params": [p for p in parameters if not decays(p)], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def _require_fused(model: nn.Module, name: str) -> None:
    """Refuse a device without torch's fused kernels.

    Raises:
        ConfigError: naming an optimizer that needs none.
    """
    device = next(model.parameters()).device
    if device.type not in FUSED_ON:
        raise ConfigError(
            f"optimizer.name = '{name}' uses torch's fused kernels, which {device.type} devices lack.",
            fix="set optimizer.name = 'plain_adam', which needs only sums, products and roots.",
        )


OPTIMIZERS: dict[str, Callable[..., Parts]] = {
    "adamw": _adamw,
    "muon": _muon,
    "adam": _adam,
    "plain_adam": _plain_adam,
    "lion": _lion,
    "sgd": _sgd,
}
