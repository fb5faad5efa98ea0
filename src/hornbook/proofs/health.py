"""Is a model fit to train: its loss at the start, a gradient for every weight, activations of a sane size.

One forward and one backward pass over a few rows of real data, before the first step. What is found is said in one
sentence that names the layer.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import Tensor, nn
from torch.func import functional_call

from hornbook.data.batch import Batch
from hornbook.models.contract import LanguageModel
from hornbook.nn.feedforward import GELU, ReLU2, SwiGLU
from hornbook.nn.losses import IGNORE, next_token_loss
from hornbook.proofs.proof import Proof

ROWS, LOGITS = 4, 2**26
"""Most rows of the batch that are looked at, and most logits, unless one row has more."""

LOSS_SHARE = 0.15
"""How far, as a share of ln V, the first loss may be from ln V: a model that knows nothing guesses evenly."""

FAINT, LOUD = 1e-6, 1e4
"""Between these the root mean square of every layer's output must lie."""

DULL, BLINDING = 0.05, 20.0
"""Between these a feed-forward's activations must lie, as a share of what they were made of: fresh ones of SwiGLU,
squared ReLU and GELU lie between 0.2 and 1 (root mean squares, inputs of variance 1)."""

FILL_STD = 0.02
"""Standard deviation that stands in for matrices of zeros while gradients are looked at."""

FEED_FORWARDS = (SwiGLU, ReLU2, GELU)
"""Every feed-forward is one of these, or made from one: they write with `up`, and `down` reads."""

Autocast = Callable[[], AbstractContextManager[object]]


def prove_start(model: LanguageModel, batch: Batch, autocast: Autocast) -> list[Proof]:
    """Prove a fresh model ready to train; its weights, gradients and modes are left as they were.

    Args:
        model: freshly initialised.
        batch: real rows, on the model's device; a few of those that have targets are used.
        autocast: makes the context that matrix products run in.

    Returns:
        Four proofs: the loss, the gradients, the activations, the feed-forwards.
    """
    most = max(1, min(ROWS, LOGITS // (batch.tokens.shape[1] * model.config.vocab_size)))
    used = (batch.targets != IGNORE).any(dim=1).nonzero()[:most, 0]
    if not len(used):
        detail = (
            "no token of the first batch is a target, so there is nothing to learn: see data.learn and the lens."
        )
        return [Proof("loss at the start", False, detail)]
    documents = None if batch.documents is None else batch.documents[used]
    rows = Batch(batch.tokens[used], batch.targets[used], documents, tuple(batch.rows[i] for i in used.tolist()))
    was_training = model.training
    model.eval()
    try:
        with _sizes_of_layers(model) as sizes, _sizes_in_feed_forwards(model) as insides, torch.no_grad():
            total, count = _loss(model, {}, rows, autocast)
        return [
            _loss_is_even(model, float(total / count)),
            _everything_learns(model, rows, autocast),
            _sizes_are_sane(model, sizes),
            _feed_forwards_speak(model, insides),
        ]
    finally:
        model.train(was_training)


def _loss_is_even(model: LanguageModel, loss: float) -> Proof:
    """Compare the first loss with that of guessing evenly among V tokens."""
    even = math.log(model.config.vocab_size)
    passed = abs(loss - even) <= LOSS_SHARE * even  # false for NaN
    seen = (
        f"the first loss of {type(model).__name__} is {loss:.3f}; guessing evenly among {model.config.vocab_size} "
    )
    advice = "" if passed else "; lower means the answer leaks, higher that logits start too large"
    return Proof("loss at the start", passed, f"{seen}tokens costs {even:.3f}{advice}.", loss)


def _everything_learns(model: LanguageModel, rows: Batch, autocast: Autocast) -> Proof:
    """Look for weights whose gradient is missing, zero or no number.

    Behind a matrix of zeros nothing has a gradient until the first step has filled it. That is a choice
    (`residual_init = "zero"`), not a fault: such matrices are filled with small noise for this look.
    """
    generator = torch.Generator(rows.tokens.device).manual_seed(0)
    weights = {}
    for name, weight in model.named_parameters():
        weights[name] = weight.detach().requires_grad_()
        if weight.dim() > 1 and not weight.any():
            noise = torch.randn(weight.shape, generator=generator, device=weight.device, dtype=weight.dtype)
            weights[name] = (noise * FILL_STD).requires_grad_()
    with torch.enable_grad():
        # The sum, not the mean: without a scale, fp16 would round the mean's small gradients to zero.
        total, _ = _loss(model, weights, rows, autocast)
        gradients = torch.autograd.grad(total, list(weights.values()), allow_unused=True)
    problems = [
        f"{name} {fault}"
        for name, gradient in zip(weights, gradients, strict=True)
        if (fault := _fault(gradient)) is not None
    ]
    if problems:
        more = f" and {len(problems) - 1} more" if problems[1:] else ""
        return Proof("everything learns", False, f"{problems[0]}{more} in {type(model).__name__}.", len(problems))
    return Proof("everything learns", True, f"all {len(weights)} weights have a gradient.", 0.0)


def _fault(gradient: Tensor | None) -> str | None:
    """Say what is wrong with a gradient."""
    if gradient is None:
        return "is never used, so it has no gradient"
    if not gradient.isfinite().all():
        return "has a gradient that is not a number"
    return None if gradient.any() else "is dead: its gradient is zero everywhere"


def _sizes_are_sane(model: LanguageModel, sizes: dict[str, float]) -> Proof:
    """Judge the root mean square of every layer's output."""
    for name, size in sizes.items():
        if not FAINT <= size <= LOUD:
            fault = "explodes" if size > LOUD else "is silent" if size < FAINT else "is not a number"
            detail = f"the output of {name} in {type(model).__name__} {fault}: its root mean square is {size:.3g}."
            return Proof("activations", False, detail, size)
    spread = f"from {min(sizes.values()):.2g} to {max(sizes.values()):.2g}" if sizes else "not looked at"
    return Proof("activations", True, f"the outputs of {len(sizes)} layers have root mean squares {spread}.")


def _feed_forwards_speak(model: LanguageModel, insides: dict[str, tuple[float, float]]) -> Proof:
    """Compare what each feed-forward's nonlinearity gives with what it was given.

    One that scales by its own energy may scale nearly everything away, or by a pole of its formula into nothing
    sensible. Behind norms and beside the residual stream no other look shows it: the loss is even, every weight has
    some gradient, and the block's output has the size of the stream. It starts as if it were not there.
    """
    shares = {name: after / before if before else math.nan for name, (before, after) in insides.items()}
    for name, share in shares.items():
        if not DULL <= share <= BLINDING:
            fault = "dead" if share < DULL else "blinding" if share > BLINDING else "not a number"
            detail = (
                f"the activations of {name} in {type(model).__name__} start {fault}: {share:.2g} of the size of what "
                f"they are made of, where {DULL:g} to {BLINDING:g} is sane; is something summed over the width?"
            )
            return Proof("feed-forwards speak", False, detail, share)
    spread = (
        f"{min(shares.values()):.2g} to {max(shares.values()):.2g}"
        if shares
        else "not looked at, as there are none"
    )
    detail = f"the activations of {len(shares)} feed-forwards are {spread} of what they are made of."
    return Proof("feed-forwards speak", True, detail, min(shares.values(), default=None))


def _loss(
    model: LanguageModel, weights: dict[str, Tensor], rows: Batch, autocast: Autocast
) -> tuple[Tensor, Tensor]:
    with autocast():
        logits = functional_call(model, weights, (rows.tokens, None, rows.documents))
    return next_token_loss(logits, rows.targets)


@contextmanager
def _sizes_of_layers(model: nn.Module) -> Iterator[dict[str, float]]:
    """Record the root mean square of what each layer returns: the members of every ModuleList, or the parts."""
    lists = [(name, module) for name, module in model.named_modules() if isinstance(module, nn.ModuleList)]
    layers = {f"{name}.{number}": layer for name, stack in lists for number, layer in stack.named_children()}
    sizes: dict[str, float] = {}

    def record(name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(module: nn.Module, inputs: object, output: object) -> None:
            first = output[0] if isinstance(output, tuple) else output
            if isinstance(first, Tensor):
                sizes[name] = _size(first)

        return hook

    parts = layers or dict(model.named_children())
    hooks = [layer.register_forward_hook(record(name)) for name, layer in parts.items()]
    try:
        yield sizes
    finally:
        for handle in hooks:
            handle.remove()


@contextmanager
def _sizes_in_feed_forwards(model: nn.Module) -> Iterator[dict[str, tuple[float, float]]]:
    """Record, for each feed-forward, the size of what `up` writes and of what `down` reads."""
    insides: dict[str, tuple[float, float]] = {}
    before: dict[str, float] = {}

    def written(name: str) -> Callable[[nn.Module, object, Tensor], None]:
        def hook(module: nn.Module, inputs: object, output: Tensor) -> None:
            before[name] = _size(output)

        return hook

    def read(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            insides[name] = before[name], _size(inputs[0])

        return hook

    parts = [(name, module) for name, module in model.named_modules() if isinstance(module, FEED_FORWARDS)]
    hooks = [part.up.register_forward_hook(written(name)) for name, part in parts]
    hooks += [part.down.register_forward_pre_hook(read(name)) for name, part in parts]
    try:
        yield insides
    finally:
        for handle in hooks:
            handle.remove()


def _size(x: Tensor) -> float:
    """Return the root mean square."""
    return float(x.float().square().mean().sqrt())
