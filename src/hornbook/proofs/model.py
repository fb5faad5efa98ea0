"""Is a model honest: no position sees its future or another document, and any split into calls equals one call.

The proofs take any `LanguageModel` as a black box, on the device and in the number format it will be used in. Each is
tried with the model's own weights, with every matrix shaken (a projection that starts at zero hides whatever lies
behind it) and with shaken weights so large that a finite mask would be outvoted by the scores (karpathy/minGPT#75).
Two ways are used, since each sees what the other may miss: changing tokens and comparing logits, which a leak
smaller than rounding survives, and the gradient of a logit by the embeddings, which is exactly zero or a leak.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.func import functional_call

from hornbook.models.contract import LanguageModel
from hornbook.nn.state import DecodeState
from hornbook.proofs.proof import Proof

FEWEST_TOKENS, MOST_TOKENS = 24, 128
"""Bounds on the length of the sequences tried; between them it falls with the model's size."""

FORWARD_FLOPS = 2e8
"""What one forward pass of a proof may cost, unless FEWEST_TOKENS cost more."""

SMOOTH = ("its own weights", "shaken weights")
"""The weights with which rounding stays small. With the large ones scores are so far apart that other kernels round
to another winner, and fused ones find gradients that are not numbers: those only meet themselves."""

LARGE_FACTORS = (2.0**16, 2.0**8, 2.0**4)
"""How much larger the large weights are: the first of these that keeps the logits finite."""

SAME = {torch.float32: 1e-5, torch.bfloat16: 1e-2, torch.float16: 2e-3}
"""Tolerance, as a share of the largest logit, where the same kernels see the same numbers: equal bits are expected.

Not demanded: a kernel may add in an order that depends on what it may skip. A real leak moves logits by percents.
"""

CLOSE = {torch.float32: 1e-4, torch.bfloat16: 5e-2, torch.float16: 1e-2}
"""Tolerance, as a share of the largest logit, where other kernels compute the same: calls of other lengths."""


def prove_model(model: LanguageModel, *, device: torch.device, dtype: torch.dtype, seed: int = 0) -> list[Proof]:
    """Prove a model causal, deaf to other documents and equal in one call or many.

    The model's weights, gradients and modes and torch's random state are left as they were.

    Args:
        model: on `device`, its weights in float32.
        device: where it will run.
        dtype: of its matrix products; other than float32 they run under autocast.
        seed: of the tokens tried, the shaken weights and dropout.

    Returns:
        Six proofs, in the order in which a failure explains the most.
    """
    with _untouched(model, device):
        subject = _Subject(model, device, dtype, seed)
        return [
            _causal_by_perturbation(subject),
            _causal_by_gradient(subject),
            _isolated_by_perturbation(subject),
            _isolated_by_gradient(subject),
            _calls_equal_one(subject),
            _states_are_independent(subject),
        ]


@dataclass
class _Worst:
    """The largest of many deviations, and where it was seen."""

    limit: float
    value: float = 0.0
    where: str = ""
    tried: int = 0

    def see(self, value: float, where: str) -> None:
        self.tried += 1
        # NaN is worse than any number: written this way, it wins.
        if not value <= self.value:
            self.value, self.where = value, where

    @property
    def passed(self) -> bool:
        return self.value <= self.limit


@dataclass
class _Subject:
    """A model, the tokens it is tried on, and the weights it is tried with."""

    model: LanguageModel
    device: torch.device
    dtype: torch.dtype
    seed: int
    name: str = field(init=False)
    tokens: Tensor = field(init=False)
    weights: dict[str, dict[str, Tensor]] = field(init=False)

    def __post_init__(self) -> None:
        self.name = type(self.model).__name__
        config = self.model.config
        affordable = int(FORWARD_FLOPS / (2 * max(1, sum(p.numel() for p in self.model.parameters()))))
        length = min(config.context, max(FEWEST_TOKENS, min(MOST_TOKENS, affordable)))
        generator = torch.Generator().manual_seed(self.seed)
        self.tokens = torch.randint(config.vocab_size, (2, length), generator=generator).to(self.device)
        self.weights = dict(zip(SMOOTH, ({}, self._shaken()), strict=True))

    @property
    def length(self) -> int:
        return self.tokens.shape[1]

    def all_weights(self) -> Iterator[tuple[str, dict[str, Tensor]]]:
        """Give the smooth weights, then the shaken ones enlarged in place: a third copy may not fit.

        Factors are powers of two, so that dividing by them restores every bit.
        """
        yield from self.weights.items()
        shaken = self.weights[SMOOTH[1]]
        matrices = [weight for weight in shaken.values() if weight.dim() > 1]
        for factor in LARGE_FACTORS:
            torch._foreach_mul_(matrices, factor)
            finite = bool(self.logits(self.tokens, shaken).isfinite().all())
            if finite:
                yield f"weights {factor:.0f} times as large", shaken
            torch._foreach_mul_(matrices, 1 / factor)
            if finite:
                break

    def changed(self, part: slice) -> Tensor:
        """Return the first row with every token of `part` replaced by another."""
        tokens = self.tokens[:1].clone()
        tokens[:, part] = (tokens[:, part] + 1) % self.model.config.vocab_size
        return tokens

    def logits(
        self,
        tokens: Tensor,
        weights: dict[str, Tensor],
        *,
        state: DecodeState | None = None,
        documents: Tensor | None = None,
        training: bool = False,
    ) -> Tensor:
        """Run the model with these weights; in training mode with the same dropout every time."""
        self.model.train(training)
        torch.manual_seed(self.seed)
        with torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype != torch.float32):
            logits: Tensor = functional_call(self.model, weights, (tokens, state, documents))
        return logits.float()

    def documents(self) -> Tensor:
        """Return a row of three documents, (1, T), as even as can be."""
        numbers = torch.arange(self.length, device=self.device) * min(3, self.length) // self.length
        return numbers[None].to(torch.int32)

    def _shaken(self) -> dict[str, Tensor]:
        """Return the weights, every matrix with noise added that keeps the size of what passes through it."""
        generator = torch.Generator(self.device).manual_seed(self.seed)
        shaken = {}
        for name, weight in self.model.named_parameters():
            shaken[name] = weight.detach()
            if weight.dim() > 1:
                noise = torch.randn(weight.shape, generator=generator, device=self.device, dtype=weight.dtype)
                shaken[name] = noise.mul_(weight.shape[1:].numel() ** -0.5).add_(weight.detach())
        return shaken


def _causal_by_perturbation(subject: _Subject) -> Proof:
    """Change every token after a position: its logits and those before must not move."""
    T = subject.length
    cuts = sorted({c for c in (1, T // 2, T - 1) if 0 < c < T})
    worst = _Worst(SAME[subject.dtype])
    for kind, weights in subject.all_weights():
        for training in (False, True):
            mode = "training" if training else "evaluation"
            with torch.no_grad():
                whole = subject.logits(subject.tokens[:1], weights, training=training)
                for cut in cuts:
                    other = subject.logits(subject.changed(slice(cut, None)), weights, training=training)
                    moved = _deviation(other[:, :cut], whole[:, :cut], whole)
                    worst.see(moved, f"changing the tokens from {cut} on, with {kind} in {mode} mode")
    return _verdict(
        "causality by perturbation",
        worst,
        good=f"changing later tokens moved no earlier logit of {subject.name}",
        bad=f"{subject.name} sees the future: {worst.where}, moved earlier logits",
    )


def _causal_by_gradient(subject: _Subject) -> Proof:
    """Differentiate a logit by the embeddings: exactly zero after it, and not zero everywhere before."""
    name, T = "causality by gradient", subject.length
    worst, reach = _Worst(0.0), 0.0
    for kind in SMOOTH:
        weights = subject.weights[kind]
        for position in sorted({0, T // 2, max(T - 2, 0)}):
            seen = _influence(subject, weights, position, documents=None)  # (T,)
            if seen is None:
                return _no_embedding(name, subject)
            worst.see(_largest(seen[position + 1 :]), f"the logits of token {position} with {kind}")
            reach = max(reach, _largest(seen[: position + 1]))
    if reach == 0.0:
        detail = (
            f"no logit of {subject.name} depends on any token, so the test proves nothing: are its weights zero?"
        )
        return Proof(name, False, detail, reach)
    return _verdict(
        name,
        worst,
        good=f"no logit of {subject.name} has a gradient by a later embedding",
        bad=f"{subject.name} sees the future: {worst.where} have a gradient by a later embedding",
    )


def _isolated_by_perturbation(subject: _Subject) -> Proof:
    """Change one document of a packed row: the others must not move; and each must read as it does alone."""
    documents = subject.documents()
    worst = _Worst(CLOSE[subject.dtype])
    for kind, weights in subject.all_weights():
        for training in (False, True):
            mode = "training" if training else "evaluation"
            with torch.no_grad():
                whole = subject.logits(subject.tokens[:1], weights, documents=documents, training=training)
                for start, stop in _spans(documents):
                    outside = (documents[0] != documents[0, start]).nonzero()[:, 0]
                    changed = subject.changed(slice(start, stop))
                    other = subject.logits(changed, weights, documents=documents, training=training)
                    moved = _deviation(other[:, outside], whole[:, outside], whole)
                    # Scaled so that one limit serves both comparisons.
                    moved *= CLOSE[subject.dtype] / SAME[subject.dtype]
                    worst.see(moved, f"changing tokens {start} to {stop - 1}, with {kind} in {mode} mode")
                    if not training and kind in SMOOTH:
                        alone = subject.logits(subject.tokens[:1, start:stop], weights)
                        apart = _deviation(alone, whole[:, start:stop], whole)
                        worst.see(apart, f"taking tokens {start} to {stop - 1} out of their row, with {kind}")
    return _verdict(
        "document isolation by perturbation",
        worst,
        good=f"documents packed into one row do not move each other's logits in {subject.name}",
        bad=f"{subject.name} sees other documents of a packed row: {worst.where}, moved their logits",
    )


def _isolated_by_gradient(subject: _Subject) -> Proof:
    """Differentiate a logit by the embeddings of a packed row: exactly zero outside its document."""
    name, documents = "document isolation by gradient", subject.documents()
    worst = _Worst(0.0)
    for kind in SMOOTH:
        for start, stop in _spans(documents):
            seen = _influence(subject, subject.weights[kind], stop - 1, documents=documents)  # (T,)
            if seen is None:
                return _no_embedding(name, subject)
            outside = torch.cat([seen[:start], seen[stop:]])
            worst.see(_largest(outside), f"the logits of token {stop - 1} with {kind}")
    return _verdict(
        name,
        worst,
        good=f"no logit of {subject.name} has a gradient by another document's embedding",
        bad=f"{subject.name} sees other documents: {worst.where} have a gradient by another document's embedding",
    )


def _calls_equal_one(subject: _Subject) -> Proof:
    """Split a sequence into calls with a state: the logits must be those of one call."""
    T = subject.length
    splits = {
        "two calls": [T // 2],
        "a prompt, then single tokens": range(max(T - 6, 1), T),
        "single tokens, then the rest": [1, 2],
    }
    worst = _Worst(CLOSE[subject.dtype])
    with torch.no_grad():
        for kind in SMOOTH:
            weights = subject.weights[kind]
            whole = subject.logits(subject.tokens, weights)
            for split, cuts in splits.items():
                state = subject.model.init_state(2, T)
                parts = subject.tokens.tensor_split([cut for cut in cuts if 0 < cut < T], dim=1)
                pieces = torch.cat([subject.logits(part, weights, state=state) for part in parts], dim=1)
                worst.see(_deviation(pieces, whole, whole), f"{split} with {kind}")
    return _verdict(
        "one call equals many",
        worst,
        good=f"{subject.name} gives the same logits in one call as in two, or token by token",
        bad=f"{subject.name} forgets or misplaces what it saw: {worst.where}, gave other logits than one call",
    )


def _states_are_independent(subject: _Subject) -> Proof:
    """Continue a clone and chosen rows of a state, and change a row's neighbour: nothing else may move."""
    T, tokens, weights = subject.length, subject.tokens, subject.weights["shaken weights"]
    half, swap = max(T // 2, 1), torch.tensor([1, 0, 1], device=subject.device)
    worst = _Worst(CLOSE[subject.dtype])
    with torch.no_grad():
        whole = subject.logits(tokens, weights)
        neighbour = torch.cat([tokens[:1], subject.changed(slice(None))])
        moved = _deviation(subject.logits(neighbour, weights)[:1], whole[:1], whole)
        worst.see(moved, "changing the other row of the batch")
        if half + 1 < T:
            state = subject.model.init_state(2, T)
            subject.logits(tokens[:, :half], weights, state=state)
            clone, chosen = state.clone(), state.rows(swap)
            # The original goes first, so that a clone that shares its memory writes over what it has written.
            first = subject.logits(tokens[:, half : half + 1], weights, state=state)
            subject.logits(tokens[:, half:].flip(0), weights, state=clone)
            picked = subject.logits(tokens[swap, half:], weights, state=chosen)
            worst.see(_deviation(picked, whole[swap, half:], whole), "choosing rows of a state")
            rest = torch.cat([first, subject.logits(tokens[:, half + 1 :], weights, state=state)], dim=1)
            worst.see(_deviation(rest, whole[:, half:], whole), "continuing after a clone went another way")
    return _verdict(
        "rows and states are independent",
        worst,
        good=f"rows, clones and chosen rows of a state of {subject.name} do not disturb each other",
        bad=f"{subject.name} mixes what must be apart: {worst.where}, moved logits",
    )


def _influence(
    subject: _Subject, weights: dict[str, Tensor], position: int, *, documents: Tensor | None
) -> Tensor | None:
    """Return how much the logits of `position` depend on each position's embeddings, (T,); none without any."""
    leaves: list[Tensor] = []

    def cut(module: nn.Module, inputs: object, output: Tensor) -> Tensor:
        leaves.append(output.detach().requires_grad_())
        return leaves[-1]

    tables = [module for module in subject.model.modules() if isinstance(module, nn.Embedding)]
    hooks = [table.register_forward_hook(cut) for table in tables]
    try:
        with torch.enable_grad():
            logits = subject.logits(subject.tokens[:1], weights, documents=documents)[0, position]
    finally:
        for hook in hooks:
            hook.remove()
    leaves = [leaf for leaf in leaves if leaf.dim() == 3 and leaf.shape[1] == subject.length]
    if not leaves:
        return None
    # A sum of logits would do, but for a head whose columns sum to zero.
    mixture = torch.linspace(-1.0, 2.0, logits.numel(), device=subject.device)
    gradients = torch.autograd.grad((logits * mixture).sum(), leaves, allow_unused=True)
    sizes = [g.float().abs().amax(dim=(0, 2)) for g in gradients if g is not None]  # (T,) each
    return torch.stack(sizes).amax(0) if sizes else torch.zeros(subject.length, device=subject.device)


def _no_embedding(name: str, subject: _Subject) -> Proof:
    detail = f"{subject.name} has no nn.Embedding that gives (B, T, D), so nothing can be differentiated by it."
    return Proof(name, False, detail, None)


def _verdict(name: str, worst: _Worst, *, good: str, bad: str) -> Proof:
    """Phrase what was seen."""
    tries = f"{worst.tried} comparisons, largest {worst.value:.2g}, allowed {worst.limit:.2g}"
    return Proof(name, worst.passed, f"{good if worst.passed else bad} ({tries}).", worst.value)


def _deviation(seen: Tensor, expected: Tensor, scale: Tensor) -> float:
    """Return the largest difference as a share of the largest number in `scale`; not a number if that is none."""
    return float((seen - expected).abs().max() / scale.abs().max().clamp_min(1e-30)) if seen.numel() else 0.0


def _largest(values: Tensor) -> float:
    return float(values.max()) if values.numel() else 0.0


def _spans(documents: Tensor) -> list[tuple[int, int]]:
    """Return (start, stop) of each document of a row (1, T)."""
    lengths = torch.unique_consecutive(documents[0], return_counts=True)[1].tolist()
    stops = torch.tensor(lengths).cumsum(0).tolist()
    return [(stop - length, stop) for length, stop in zip(lengths, stops, strict=True)]


@contextmanager
def _untouched(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Put back the mode of every module and torch's random state."""
    modes = {module: module.training for module in model.modules()}
    drawn = [device] if device.type in ("cuda", "xpu") else []
    try:
        with torch.random.fork_rng(devices=drawn, device_type=device.type if drawn else "cuda"):
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode
