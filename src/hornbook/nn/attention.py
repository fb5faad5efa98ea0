"""Causal attention, computed in one of two ways that agree up to rounding; it reads and writes `KeyValue`.

This is where the causal mask is. Masked scores are -inf, never a large finite number that training could outgrow.
Which way is faster depends on the machine and the length: `hornbook.device.measure_attention` measures it, and
`use_attention` sets it on a whole model.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hornbook.errors import ShapeError
from hornbook.lookup import lookup
from hornbook.nn.state import KeyValue

Path = Callable[[Tensor, Tensor, Tensor, Tensor | None, float], Tensor]


class CausalAttention(nn.Module):
    """Softmax attention of each query over the keys at its own and earlier positions.

    Vaswani et al. 2017, arXiv:1706.03762, eq. 1, scaled by K^-1/2; several query heads may share a key and value
    head (Ainslie et al. 2023, arXiv:2305.13245). No parameters: projections belong to the model.

    Args:
        dropout: share of attention weights dropped in training.
    """

    def __init__(self, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = dropout
        self.path = "sdpa"

    def forward(
        self,
        queries: Tensor,
        keys: Tensor,
        values: Tensor,
        *,
        mask: Tensor | None = None,
        state: KeyValue | None = None,
    ) -> Tensor:
        """Attend.

        Args:
            queries: (B, H, T, K).
            keys: (B, G, T, K), G a divisor of H.
            values: (B, G, T, K).
            mask: added to the scores, from `document_mask`; none means plainly causal. Never given with a state.
            state: the keys and values before these, to which these are appended.

        Returns:
            (B, H, T, K).
        """
        if state is not None:
            keys, values = state.append(keys, values)  # (B, G, C, K)
            keys, values = keys.to(queries.dtype), values.to(queries.dtype)
        # A single query has nothing to mask, and one fused call is the least work.
        path = self.path if queries.shape[2] > 1 else "sdpa"
        return PATHS[path](queries, keys, values, mask, self.dropout if self.training else 0.0)


def causal_mask(queries: Tensor, keys: Tensor) -> Tensor:
    """Return the (T, C) mask, 0 or -inf, of queries that are the last T of C positions."""
    T, C = queries.shape[-2], keys.shape[-2]
    return torch.full((T, C), -torch.inf, dtype=queries.dtype, device=queries.device).triu_(C - T + 1)


def document_mask(documents: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the (B, 1, T, T) mask, 0 or -inf, that is causal and ends at the borders of documents, (B, T)."""
    T = documents.shape[1]
    same = documents[:, None, :, None] == documents[:, None, None, :]  # (B, 1, T, T)
    visible = same & torch.ones(T, T, dtype=torch.bool, device=documents.device).tril_()
    return torch.zeros_like(visible, dtype=dtype).masked_fill_(~visible, -torch.inf)


def document_positions(documents: Tensor) -> Tensor:
    """Number the positions of each document from 0: (B, T) -> (B, T) int64."""
    index = torch.arange(documents.shape[1], device=documents.device).expand(documents.shape)
    starts = documents.diff(dim=1, prepend=documents[:, :1]) != 0
    return index - index.where(starts, 0).cummax(dim=1).values


def check_length(past: int, tokens: int, context: int) -> None:
    """Refuse to go beyond the positions a model knows.

    Raises:
        ShapeError: if `past` + `tokens` exceeds `context`.
    """
    if past + tokens > context:
        raise ShapeError(
            f"{past + tokens} tokens ({past} before, {tokens} now) exceed the model's context of {context}.",
            fix=f"give at most {context} tokens in all, or train with a larger model.context.",
        )


def use_attention(model: nn.Module, path: str) -> None:
    """Set how every attention inside `model` is computed: a key of PATHS.

    Raises:
        ConfigError: if there is no such path.
    """
    lookup(PATHS, path, what="way to compute attention (precision.attention)")
    for module in model.modules():
        if isinstance(module, CausalAttention):
            module.path = path


def _sdpa(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, dropout: float) -> Tensor:
    """One call to torch's fused kernels; memory stays linear in T."""
    T, C = queries.shape[-2], keys.shape[-2]
    if mask is None and 1 < T < C:
        mask = causal_mask(queries, keys)  # torch's own flag aligns the first query with the first key
    return F.scaled_dot_product_attention(
        queries,
        keys,
        values,
        attn_mask=mask,
        dropout_p=dropout,
        is_causal=mask is None and T > 1,
        **({"enable_gqa": True} if keys.shape[1] != queries.shape[1] else {}),  # torch knows it from 2.5 on
    )


def _matmul(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, dropout: float) -> Tensor:
    """Two products around a softmax: holds the (B, H, T, C) scores, and wins where they are small.

    The softmax reads and writes the compute dtype and works in float32 inside; widening bfloat16 scores before it
    changes nothing (error 0.79 % of the result either way), since the product has rounded them already. The query
    heads of a group share one product with their key head, laid one after the other along the query axis.
    """
    B, H, T, K = queries.shape
    G, C = keys.shape[1], keys.shape[2]
    q, k, v = queries.reshape(B * G, -1, K), keys.reshape(B * G, C, K), values.reshape(B * G, C, K)
    mask = _grouped(causal_mask(queries, keys) if mask is None else mask, B, G, H // G)
    # Adding the mask inside the product is a pass over the scores less, forward and backward.
    scores = torch.baddbmm(mask, q, k.transpose(1, 2), alpha=K**-0.5)  # (B G, H/G T, C)
    weights = scores.softmax(-1)
    if dropout:
        weights = F.dropout(weights, dropout)
    return torch.bmm(weights, v).view(B, H, T, K)


def _grouped(mask: Tensor, rows: int, groups: int, heads: int) -> Tensor:
    """Repeat a (T, C) or (B, 1, T, C) mask for scores of (B G, H/G T, C), leaving out axes that broadcasting adds."""
    if mask.dim() == 2:
        return mask.repeat(heads, 1)
    return mask[:, :, None].expand(rows, groups, heads, -1, -1).reshape(rows * groups, -1, mask.shape[-1])


PATHS: dict[str, Path] = {"sdpa": _sdpa, "matmul": _matmul}
"""The ways to compute attention, by name. Milliseconds forward and backward, sdpa against matmul, heads of 64, one
thread of Sapphire Rapids, torch 2.13, November 2026: bfloat16 24 x 256 tokens 10.2 against 5.2, 16 x 512 tokens 20.9
against 10.5; float32 11.1 against 10.9, and 28.7 against 37.8."""
