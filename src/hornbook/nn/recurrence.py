"""The gated delta rule: a memory of fixed size that forgets, and corrects what it holds under a key.

    S_t = exp(g_t) (I - b_t k_t k_t^T) S_(t-1) + b_t k_t v_t^T        o_t = S_t^T q_t

for each head, with |k_t| = 1, g_t <= 0 and 0 < b_t < 2. Yang et al. 2024, arXiv:2412.06464, eq. 10; strengths b above
1 give the transition the eigenvalue 1 - b < 0, which turns a stored value over: Grazzi et al. 2024, arXiv:2411.12537.

Two forms of one function: `delta_steps` goes token by token, `delta_chunks` a chunk of tokens at a time.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


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
    x: Delta, memory: Tensor | None = None, *, documents: Tensor | None = None, chunk_size: int = 64
) -> tuple[Tensor, Tensor]:
    """Apply the rule to whole chunks of tokens: the numbers of `delta_steps`, in products of matrices.

    Inside a chunk that begins with memory S, with G the running sum of g and M_ij = exp(G_i - G_j) for j <= i:

        (I + strict_tril(b_i M_ij k_i.k_j)) U = b (V - exp(G) K S)        u_j is what token j changes under its key
        O = exp(G) Q S + (tril(Q K^T) M) U        S' = exp(G_C) S + sum over j of exp(G_C - G_j) k_j u_j^T

    Args:
        x: what to read, write and forget.
        memory: (B, H, K, V) after the tokens before these; none starts empty. Never given with documents.
        documents: (B, T) int, as models take it: at each change the memory starts empty again.
        chunk_size: most tokens of a chunk; the tokens are shared out evenly.

    Returns:
        What was read, (B, H, T, V), and the memory after the last token, of the last document.
    """
    B, H, T, K = x.query.shape
    N = -(-T // chunk_size)
    C = -(-T // N)
    if padding := N * C - T:
        # Zero keys write nothing and a zero log decay forgets nothing: the memory passes through.
        x = Delta(*(F.pad(part, (0, 0) * (part.dim() - 3) + (0, padding)) for part in x))
    q, k, v, g, b = (part.reshape(B, H, N, C, *part.shape[3:]) for part in x)  # (B, H, N, C, K) or (B, H, N, C)
    borders = _Borders(documents, padding, N, C) if documents is not None else None

    total = g.cumsum(-1) if borders is None else borders.sums(g)  # (B, H, N, C), G
    hidden = torch.ones(C, C, dtype=torch.bool, device=q.device).triu_(1) if borders is None else borders.hidden
    # Masked before exp: above the diagonal the differences are positive and may overflow.
    fade = (total[..., :, None] - total[..., None, :]).masked_fill(hidden, -torch.inf).exp()  # (B, H, N, C, C), M
    written = b[..., None] * k
    system, weights = written @ k.mT * fade, q @ k.mT * fade  # (B, H, N, C, C)
    since, until = total.exp()[..., None], fade[..., -1, :, None]  # (B, H, N, C, 1)
    if borders is not None:
        since = since * borders.entered
    sides = torch.cat([b[..., None] * v, since * written], dim=-1)  # (B, H, N, C, V + K)
    solved = torch.linalg.solve_triangular(system, sides, upper=False, unitriangular=True)
    fresh, stale = solved.split([v.shape[-1], K], dim=-1)

    memory = v.new_zeros(B, H, K, v.shape[-1]) if memory is None else memory
    before, changes = [], []
    leave, keep = (k * until).mT.unbind(2), since[..., -1:, :].unbind(2)
    for new, old, out, kept in zip(fresh.unbind(2), stale.unbind(2), leave, keep, strict=True):
        change = new - old @ memory  # (B, H, C, V), U
        before.append(memory)
        changes.append(change)
        memory = kept * memory + out @ change
    seen = (q * since) @ torch.stack(before, dim=2) + weights @ torch.stack(changes, dim=2)  # (B, H, N, C, V)
    return seen.flatten(2, 3)[:, :, :T], memory


class _Borders:
    """What the borders of documents forbid inside chunks.

    Args:
        documents: (B, T).
        padding: tokens to add at the end.
        number: N of the chunks.
        size: C of the chunks.
    """

    def __init__(self, documents: Tensor, padding: int, number: int, size: int) -> None:
        padded = torch.cat([documents, documents[:, -1:].expand(-1, padding)], dim=1)
        chunks = padded.view(-1, 1, number, size)  # (B, 1, N, C)
        earlier = torch.ones(size, size, dtype=torch.bool, device=documents.device).tril_()
        visible = earlier & (chunks[..., :, None] == chunks[..., None, :])  # (B, 1, N, C, C)
        last = chunks[..., -1].roll(1, dims=-1)[..., None]  # (B, 1, N, 1): the document the memory is of
        entered = chunks == last
        entered[:, :, 0] = False
        self.hidden, self.visible, self.entered = ~visible, visible, entered[..., None]

    def sums(self, log_decay: Tensor) -> Tensor:
        """Sum up from the first token of each document in the chunk, (B, H, N, C).

        A running sum minus its value at the border would do, but for the gradient: not exactly zero across it.
        """
        return (self.visible.to(log_decay.dtype) @ log_decay[..., None])[..., 0]
