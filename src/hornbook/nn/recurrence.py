"""The gated delta rule: a memory of fixed size that forgets, and corrects what it holds under a key.

    S_t = exp(g_t) (I - b_t k_t k_t^T) S_(t-1) + b_t k_t v_t^T        o_t = S_t^T q_t

for each head, with |k_t| = 1, g_t <= 0 and 0 < b_t < 2. Yang et al. 2024, arXiv:2412.06464, eq. 10; strengths b above
1 give the transition the eigenvalue 1 - b < 0, which turns a stored value over: Grazzi et al. 2024, arXiv:2411.12537.

Two forms of one function: `delta_steps` goes token by token, `delta_chunks` a chunk of tokens at a time.
`GatedDeltaRule` picks between them, or hands the same numbers to the kernels of flash-linear-attention.
"""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hornbook.lookup import lookup
from hornbook.nn.kernels import delta_by_fla


class Delta(NamedTuple):
    """What the rule reads at every token; float32 or float64.

    Args:
        query: (B, H, T, K).
        key: (B, H, T, K), of length 1 (or 0, which writes nothing).
        value: (B, H, T, V).
        log_decay: (B, H, T), g <= 0.
        strength: (B, H, T), b in (0, 2).
    """

    query: Tensor
    key: Tensor
    value: Tensor
    log_decay: Tensor
    strength: Tensor


class GatedDeltaRule(nn.Module):
    """The rule without its projections: no parameters, these belong to the model.

    Args:
        chunk_size: most tokens of a chunk on the plain path.
    """

    def __init__(self, *, chunk_size: int) -> None:
        super().__init__()
        self.chunk_size = chunk_size
        self.path = "plain"

    def forward(
        self, x: Delta, memory: Tensor | None = None, *, documents: Tensor | None = None, narrow: torch.dtype
    ) -> tuple[Tensor, Tensor]:
        """Apply the rule.

        Args:
            x: what to read, write and forget.
            memory: (B, H, K, V) after the tokens before these; none starts empty.
            documents: (B, T) int: at each change the memory starts empty again. Never given with a memory.
            narrow: format that the kernels of the path "fla" may round queries, keys and values to.

        Returns:
            What was read, (B, H, T, V), and the memory after the last token.
        """
        # No product here runs in bfloat16: a triangular solve would lose itself in the rounding.
        with torch.autocast(x.query.device.type, enabled=False):
            if self.path == "fla":
                return delta_by_fla(x, memory, documents=documents, dtype=narrow)
            if x.query.shape[2] == 1:
                return delta_steps(x, memory)
            return delta_chunks(x, memory, documents=documents, chunk_size=self.chunk_size)


PATHS = {"plain": "torch alone, anywhere", "fla": "the kernels of flash-linear-attention, on CUDA"}
"""The ways to compute the rule, and what each needs."""


def use_delta_rule(model: nn.Module, path: str) -> None:
    """Set how every gated delta rule inside `model` is computed: a key of PATHS.

    Raises:
        ConfigError: if there is no such path.
    """
    lookup(PATHS, path, what="way to compute the delta rule (precision.delta_rule)")
    for module in model.modules():
        if isinstance(module, GatedDeltaRule):
            module.path = path


def delta_steps(x: Delta, memory: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Apply the rule token by token.

    Args:
        x: what to read, write and forget.
        memory: (B, H, K, V) after the tokens before these; none starts empty.

    Returns:
        What was read, (B, H, T, V), and the memory after the last token.
    """
    B, H, T, K = x.query.shape
    memory = x.value.new_zeros(B, H, K, x.value.shape[-1]) if memory is None else memory
    decay, strength = x.log_decay.exp()[..., None, None], x.strength[..., None, None]  # (B, H, T, 1, 1)
    seen = []
    for t in range(T):
        key = x.key[:, :, t, None]  # (B, H, 1, K)
        memory = memory * decay[:, :, t]
        change = strength[:, :, t] * (x.value[:, :, t, None] - key @ memory)  # (B, H, 1, V)
        memory = memory + key.mT * change
        seen.append(x.query[:, :, t, None] @ memory)
    return torch.cat(seen, dim=2), memory


def delta_chunks(
    x: Delta, memory: Tensor | None = None, *, documents: Tensor | None = None, chunk_size: int = 32
) -> tuple[Tensor, Tensor]:
    """Apply the rule to whole chunks of tokens: the numbers of `delta_steps`, in products of matrices.

    Args:
        x: what to read, write and forget.
        memory: (B, H, K, V) after the tokens before these; none starts empty. Never given with documents.
        documents: (B, T) int, as models take it: at each change the memory starts empty again.
        chunk_size: most tokens of a chunk; the tokens are shared out evenly.

    Returns:
        What was read, (B, H, T, V), and the memory after the last token, of the last document.
    """
    B, H, T, K = x.query.shape
    V = x.value.shape[-1]
    N = -(-T // chunk_size)
    C = -(-T // N)
    q, k, v, g, b = (_chunked(part, N, C) for part in x)  # (N, B, H, C, K) or (N, B, H, C)
    if documents is None:
        mask, entered = v.new_full((C, C), -torch.inf).triu_(1), None
        total = g.cumsum(-1)  # (N, B, H, C)
    else:
        visible, entered = _borders(documents, N, C)
        mask = torch.zeros_like(visible, dtype=v.dtype).masked_fill_(~visible, -torch.inf)
        # A running sum less its value at the border would do, but for a gradient that is not exactly zero across it.
        total = (visible.to(g.dtype) @ g[..., None])[..., 0]
    memory = v.new_zeros(B, H, K, V) if memory is None else memory
    seen, memory = _Chunks.apply(q, k, v, total, b, memory, (mask, entered))  # type: ignore[no-untyped-call]
    # Laid out token by token, as the projection after it reads it.
    return seen.permute(1, 0, 3, 2, 4).reshape(B, N * C, H, V)[:, :T].transpose(1, 2), memory


class _Chunks(torch.autograd.Function):
    """The rule over N chunks at once, but for the memory, which goes from one to the next.

    In a chunk that begins with memory S, with G the sums of log decays and M_ij = exp(G_i - G_j) for j <= i:

        (I + strict_tril(b_i M_ij k_i.k_j)) U = b (V - exp(G) K S)        u_j is what token j changes under its key
        O = exp(G) Q S + (tril(Q K^T) M) U        S' = exp(G_C) S + sum over j of exp(G_C - G_j) k_j u_j^T

    Torch would derive the gradient, but with a second solve and many more passes over memory: a whole training step
    of a model of 4 x 128 takes a fifth longer.
    """

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> tuple[Tensor, Tensor]:
        """Return what was read, (N, B, H, C, V), and the last memory, (B, H, K, V), from the tensors of a chunk."""
        q, k, v, total, b, memory, (mask, entered) = inputs
        (N, B, H, C, K), V = q.shape, v.shape[-1]
        # Masked before exp: above the diagonal the differences are positive and may overflow.
        fade = (total[..., :, None] - total[..., None, :]).add_(mask).exp_().view(-1, C, C)  # M
        since = total.exp() if entered is None else total.exp().mul_(entered)
        q, k, v, b, since = (
            q.view(-1, C, K),
            k.view(-1, C, K),
            v.view(-1, C, V),
            b.view(-1, C, 1),
            since.view(-1, C, 1),
        )
        written = b * k  # (N B H, C, K)
        system = torch.bmm(written, k.mT).mul_(fade)  # (N B H, C, C)
        weights = torch.bmm(q, k.mT).mul_(fade)
        inverse = _inverse(system)
        changes = torch.bmm(inverse, b * v)  # U, as if the memory were empty
        stale = torch.bmm(inverse, since * written)
        leaving = k * fade[:, -1, :, None]

        memories = changes.new_empty(N + 1, B * H, K, V)
        memories[0] = memory.reshape(-1, K, V)
        steps = (part.view(N, B * H, *part.shape[1:]).unbind() for part in (changes, stale, leaving, since))
        for held, after, change, old, left, share in zip(memories[:-1], memories[1:], *steps, strict=True):
            change.baddbmm_(old, held, alpha=-1)
            torch.mul(held, share[:, -1:], out=after).baddbmm_(left.mT, change)
        memories, memory = memories[:-1].view(-1, K, V), memories[-1].view(B, H, K, V).clone()
        seen = torch.bmm(weights, changes).baddbmm_(q * since, memories)
        ctx.save_for_backward(q, k, v, b, since, fade, weights, inverse, stale, memories, changes)
        ctx.shape = N, B, H
        return seen.view(N, B, H, C, V), memory

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the inputs of `forward`."""
        # Compiled, it is traced under the autocast of the forward pass.
        with torch.autocast(upstream[0].device.type, enabled=False):
            return *_gradients(ctx.saved_tensors, ctx.shape, *upstream), None


def _gradients(
    saved: tuple[Tensor, ...], shape: tuple[int, int, int], d_seen: Tensor, d_memory: Tensor
) -> tuple[Tensor, ...]:
    """Return the gradients of query, key, value, total, strength and memory from those of what `_Chunks` returns."""
    q, k, v, b, since, fade, weights, inverse, stale, memories, changes = saved
    (N, B, H), (C, K), V = shape, q.shape[1:], v.shape[-1]
    d_seen, d_memory = d_seen.reshape(-1, C, V), d_memory.reshape(-1, K, V)
    until = fade[:, -1, :, None]
    written, leaving = b * k, k * until

    # Backwards from chunk to chunk: the gradients of U, and of the memory that each chunk leaves.
    d_changes = torch.bmm(weights.mT, d_seen)
    d_begun = torch.bmm((q * since).mT, d_seen)  # of the memory a chunk begins with, for what it gives to O
    d_left = torch.empty_like(memories)
    parts = (d_changes, d_begun, d_left, stale, leaving, since)
    steps = (part.view(N, B * H, *part.shape[1:]).unbind() for part in parts)
    for d_change, begun, left, old, leave, share in reversed(list(zip(*steps, strict=True))):
        left.copy_(d_memory)
        d_change.baddbmm_(leave, d_memory)
        d_memory = (d_memory * share[:, -1:]).add_(begun).baddbmm_(old.mT, d_change, alpha=-1)

    # What stands to the right of the solve, b V - exp(G) b K S, and the two matrices left of U.
    d_right = torch.bmm(inverse.mT, d_changes)
    d_system = torch.bmm(d_right, changes.mT).tril_(-1).mul_(fade)
    d_weights = torch.bmm(d_seen, changes.mT).mul_(fade)
    d_written = torch.bmm(d_right, memories.mT).mul_(since).baddbmm_(d_system, k).neg_()
    d_query = torch.bmm(d_seen, memories.mT).mul_(since).baddbmm_(d_weights, k)
    d_leaving = torch.bmm(changes, d_left.mT).mul_(until)
    d_key = torch.baddbmm(d_leaving, d_weights.mT, q).baddbmm_(d_system.mT, written, alpha=-1)
    # Every factor exp(G_i) stands beside a query or a written key, every exp(-G_j) beside a key.
    d_total = (d_query * q).add_(d_written * written).sub_(d_key * k).sum(-1)  # (N B H, C)
    kept = (memories * d_left).sum((1, 2)) * since[:, -1, 0]
    d_total[:, -1] += (d_leaving * k).sum((1, 2)).add_(kept)
    d_strength = (d_written * k).sum(-1) + (d_right * v).sum(-1)
    d_key.addcmul_(d_written, b)
    gradients = (d_query, d_key, d_right * b, d_total, d_strength)
    return *(part.view(N, B, H, *part.shape[1:]) for part in gradients), d_memory.view(B, H, K, V)


def _inverse(system: Tensor) -> Tensor:
    """Invert I + strict_tril(system): (n, C, C) -> (n, C, C); its entries stay small, as products of k k^T do."""
    identity = torch.eye(system.shape[-1], dtype=system.dtype, device=system.device).expand_as(system)
    inverse: Tensor = torch.linalg.solve_triangular(system, identity, upper=False, unitriangular=True)
    return inverse


def _chunked(x: Tensor, number: int, size: int) -> Tensor:
    """Cut the tokens of (B, H, T, ...) into chunks and put these first: (N, B, H, C, ...).

    What the last chunk lacks is zeros: a zero key writes nothing and a zero log decay forgets nothing, so that the
    memory passes through.
    """
    B, H, T = x.shape[:3]
    if padding := number * size - T:
        x = F.pad(x, (0, 0) * (x.dim() - 3) + (0, padding))
    return x.reshape(B, H, number, size, *x.shape[3:]).movedim(2, 0).contiguous()


def _borders(documents: Tensor, number: int, size: int) -> tuple[Tensor, Tensor]:
    """Tell what the borders of documents, (B, T), forbid inside chunks.

    Returns:
        Which tokens each may see, (N, B, 1, C, C) bool, and which are of the document that the memory a chunk begins
        with is of, (N, B, 1, C) bool.
    """
    B, T = documents.shape
    padded = torch.cat([documents, documents[:, -1:].expand(B, number * size - T)], dim=1)
    chunks = padded.view(B, number, 1, size).movedim(1, 0)  # (N, B, 1, C)
    earlier = torch.ones(size, size, dtype=torch.bool, device=documents.device).tril_()
    visible = earlier & (chunks[..., :, None] == chunks[..., None, :])
    entered = chunks == chunks[..., -1:].roll(1, dims=0)
    entered[0] = False
    return visible, entered
