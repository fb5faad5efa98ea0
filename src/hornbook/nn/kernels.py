"""Kernels of other packages, each with a slow twin in plain torch that takes the same numbers.

flash-linear-attention (extra `gpu`; Yang and Zhang 2024, github.com/fla-org/flash-linear-attention) has the gated delta
rule in Triton: over chunks for training, token by token for decoding. Its products of chunks run in bfloat16 or float16
with sums in float32; `hornbook.nn.recurrence` is the twin.
"""

from importlib.util import find_spec

import torch
import torch.nn.functional as F
from torch import Tensor

NARROW = (torch.bfloat16, torch.float16)
"""What the kernels over chunks are made for; some versions refuse float32, others round it to TF32."""


def why_no_fla(device: torch.device, dtype: torch.dtype) -> tuple[str, str] | None:
    """Say what keeps flash-linear-attention from computing in `dtype` on `device`, and what to do; none if nothing."""
    if device.type != "cuda":
        return (
            f"flash-linear-attention computes on CUDA devices, not on {device}",
            "set precision.delta_rule = 'plain'",
        )
    if find_spec("fla") is None or find_spec("triton") is None:
        return (
            "flash-linear-attention is not installed",
            "pip install 'hornbook[gpu]', or set precision.delta_rule = 'plain'",
        )
    if dtype not in NARROW:
        return (
            f"flash-linear-attention computes in bf16 or fp16, not in {str(dtype).removeprefix('torch.')}",
            "set precision.dtype = 'bf16', or precision.delta_rule = 'plain'",
        )
    return None


def delta_by_fla(
    parts: tuple[Tensor, Tensor, Tensor, Tensor, Tensor],
    memory: Tensor | None,
    *,
    documents: Tensor | None,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor]:
    """Apply the gated delta rule by flash-linear-attention.

    Args:
        parts: query, key, value, log decay and strength as `hornbook.nn.recurrence.Delta` holds them.
        memory: (B, H, K, V) after the tokens before these; none starts empty. Never given with documents.
        documents: (B, T) int, as models take it; kernels read each as a sequence of its own.
        dtype: what queries, keys and values are rounded to for the products of chunks.

    Returns:
        What was read, (B, H, T, V) float32, and the memory after the last token of each row.
    """
    from fla.ops.gated_delta_rule import chunk_gated_delta_rule, fused_recurrent_gated_delta_rule

    q, k, v, g, b = (part.transpose(1, 2).contiguous() for part in parts)  # (B, T, H, K) or (B, T, H)
    B, T = g.shape[:2]
    settings = {"scale": 1.0, "initial_state": memory, "output_final_state": True}
    if T == 1:
        seen, memory = fused_recurrent_gated_delta_rule(q, k, v, g=g, beta=b, **settings)
        return seen.float().transpose(1, 2), memory
    q, k, v = (part.to(dtype) for part in (q, k, v))
    if documents is None:
        seen, memory = chunk_gated_delta_rule(q, k, v, g, b, **settings)
        return seen.float().transpose(1, 2), memory
    # Rows one after the other, cut where a row or a document begins.
    bounds = sequence_bounds(documents)  # waits for the device: how many there are is not known before
    rows = (part.flatten(0, 1)[None] for part in (q, k, v, g, b))  # (1, B T, H, ...)
    seen, memory = chunk_gated_delta_rule(*rows, cu_seqlens=bounds, **settings)
    last = torch.searchsorted(bounds, torch.arange(1, B + 1, device=bounds.device) * T) - 1
    return seen.view(B, T, *seen.shape[2:]).float().transpose(1, 2), memory[last]


def sequence_bounds(documents: Tensor) -> Tensor:
    """Return where each document of the rows (B, T), laid one after the other, begins, and B T: (n + 1) int64."""
    starts = F.pad(documents.diff(dim=1) != 0, (1, 0), value=True).flatten()  # (B T)
    begins = starts.nonzero()[:, 0]
    return torch.cat([begins, begins.new_tensor([starts.numel()])])
