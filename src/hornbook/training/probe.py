"""Which operators a device lacks: every operation of real training steps, run there and on the CPU, and compared.

No list of operators is kept. Tiny models of every architecture are trained for a step by every optimizer, forward and
backward, and each operation that torch dispatches on the way is tried. One that fails is computed on the CPU instead,
so that a single pass finds all that is missing.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from hornbook.config.optimizing import OptimizerConfig
from hornbook.errors import ConfigError
from hornbook.models.build import build_model
from hornbook.models.catalog import CONFIGS
from hornbook.models.contract import LanguageModel
from hornbook.nn.attention import PATHS, use_attention
from hornbook.nn.losses import next_token_loss
from hornbook.training.optimizers import build_optimizers

TINY = {"vocab_size": 32, "context": 16, "width": 32, "num_layers": 2}

RELATIVE, ABSOLUTE = 1e-3, 1e-4
"""How far results may differ: orders of summation differ between devices, formats should not."""

UNSPECIFIED = ("empty", "new_empty")
"""Operations whose results hold whatever lay there."""

OPTIMIZER_KINDS = get_args(get_args(OptimizerConfig)[0])


@dataclass
class Tried:
    """What came of an operator on a device.

    Args:
        name: torch's name, "aten.mm.default".
        verdict: "agrees", "differs", "fails", "falls back" (to the CPU, said by a warning) or "unchecked" (random, or
            a kernel that the CPU has not).
        reason: why, empty where it agrees.
        where: the first model or optimizer that needed it.
    """

    name: str
    verdict: str
    reason: str
    where: str


WORST = ("agrees", "unchecked", "falls back", "differs", "fails")
"""Verdicts, from good to bad: the worst of an operator's calls is told."""


class OperatorProbe(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Tries every operation inside the block on `device` and on the CPU."""

    def __init__(self, device: torch.device) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.device, self.where = device, ""
        self.tried: dict[str, Tried] = {}

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run one operation twice and return the device's result, or that of the CPU where the device has none."""
        kwargs = kwargs or {}
        copied_args, copied_kwargs = tree_map(_on_cpu, (args, kwargs))
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            try:
                result, failure = func(*args, **kwargs), ""
            except RuntimeError as error:  # NotImplementedError is one
                result, failure = None, str(error).strip().splitlines()[0]
        try:
            expected = func(*copied_args, **copied_kwargs)
        except RuntimeError:
            if failure:
                raise  # it fails everywhere: no matter of the device
            self._note(func, "unchecked", "a kernel of its own")
            return result
        if failure:
            self._note(func, "fails", failure)
            return self._moved(func, expected, (args, kwargs), (copied_args, copied_kwargs))
        fallback = next((str(one.message) for one in heard if "CPU" in str(one.message)), "")
        self._note(func, *_verdict(func, result, expected, fallback))
        return result

    def at(self, where: str) -> "OperatorProbe":
        """Say what the operations that follow belong to."""
        self.where = where
        return self

    def _note(self, func: Any, verdict: str, reason: str) -> None:
        before = self.tried.get(str(func))
        if before is None or WORST.index(verdict) > WORST.index(before.verdict):
            self.tried[str(func)] = Tried(str(func), verdict, reason, before.where if before else self.where)

    def _moved(self, func: Any, expected: Any, arguments: Any, copies: Any) -> Any:
        """Put what the CPU computed where the device should have put it."""
        for argument, copy in zip(tree_leaves(arguments), tree_leaves(copies), strict=True):
            if isinstance(argument, Tensor) and func._schema.is_mutable:
                argument.copy_(copy)
        written = [
            argument.name
            for argument in func._schema.arguments
            if argument.alias_info and argument.alias_info.is_write
        ]
        if written and len(func._schema.returns) == 1:
            names = [argument.name for argument in func._schema.arguments]
            return arguments[0][names.index(written[0])]
        return tree_map(lambda value: value.to(self.device) if isinstance(value, Tensor) else value, expected)


def probe_operators(device: torch.device) -> tuple[list[Tried], list[str]]:
    """Try what training needs on `device`.

    Returns:
        What came of each operator, by name; and a sentence for each optimizer that refuses the device.
    """
    probe, refused = OperatorProbe(device), []
    for arch, kind in sorted(CONFIGS.items()):
        model = build_model(kind(**TINY), seed=0).to(device)
        for path in PATHS:
            use_attention(model, path)
            with probe.at(arch):
                _forward_and_backward(model, device)
    for config in (kind() for kind in OPTIMIZER_KINDS):
        model = build_model(CONFIGS["llama"](**TINY), seed=0).to(device)
        try:
            optimizers = build_optimizers(model, config, matrix_dtype=torch.float32)
        except ConfigError as error:
            refused.append(error.problem)
            continue
        for parameter in model.parameters():
            parameter.grad = parameter.detach().clone()
        with probe.at(f"optimizer {config.name}"):
            optimizers.step(torch.zeros((), device=device))
    return sorted(probe.tried.values(), key=lambda one: one.name), refused


def _forward_and_backward(model: LanguageModel, device: torch.device) -> None:
    """Train on two rows, once as one document each and once as two."""
    tokens = torch.arange(2 * 17, device=device).view(2, 17) % TINY["vocab_size"]
    for documents in (None, (tokens[:, :-1] > 7).int()):
        loss, _ = next_token_loss(model(tokens[:, :-1], documents=documents), tokens[:, 1:])
        loss.backward()  # type: ignore[no-untyped-call]


def _on_cpu(value: Any) -> Any:
    """Copy a tensor to the CPU; a device becomes the CPU; all else stays."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    return torch.device("cpu") if isinstance(value, torch.device) else value


def _verdict(func: Any, result: Any, expected: Any, fallback: str) -> tuple[str, str]:
    """Compare what came of one call."""
    if fallback:
        return "falls back", fallback.splitlines()[0]
    if torch.Tag.nondeterministic_seeded in func.tags:
        return "unchecked", "random numbers"
    if func._schema.name.partition("::")[2].startswith(UNSPECIFIED):
        return "agrees", ""
    for ours, theirs in zip(tree_leaves(result), tree_leaves(expected), strict=True):
        if not isinstance(ours, Tensor):
            continue
        ours = ours.detach().cpu()
        if ours.shape != theirs.shape:
            return "differs", f"shape {tuple(ours.shape)} instead of {tuple(theirs.shape)}"
        if not torch.allclose(ours.double(), theirs.double(), rtol=RELATIVE, atol=ABSOLUTE, equal_nan=True):
            return "differs", f"by up to {(ours.double() - theirs.double()).abs().max().item():.2g}"
    return "agrees", ""
