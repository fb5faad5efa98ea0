"""Causal convolution in which every output channel reads every input channel; it reads and writes `ConvTail`.

The depthwise one, in which a channel reads only itself, is in `nn/convolution.py`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hornbook.nn.state import ConvTail


class CausalConvolution(nn.Module):
    """Mix each token with the ones before it: (B, T, I) -> (B, T, O).

    y_t = bias + sum over j < W of w_j x_(t-j), tap W - 1 - j of the weight holding w_j, as `torch.nn.Conv1d` does.
    The zeros of the padding all stand before the first token, so there is nothing of the future to be seen and an
    even window is as good as an odd one.

    Args:
        inputs: channels I read.
        outputs: channels O written.
        window: tokens W that an output sees, its own included.
        bias: whether a number a channel is added; a norm right behind makes it useless.
    """

    def __init__(self, inputs: int, outputs: int, window: int, *, bias: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, window))
        self.bias = nn.Parameter(torch.empty(outputs)) if bias else None

    @property
    def window(self) -> int:
        """Tokens W that an output sees."""
        return self.weight.shape[2]

    def forward(self, x: Tensor, *, reach: Tensor | None = None, state: ConvTail | None = None) -> Tensor:
        """Convolve.

        Args:
            x: (B, T, I).
            reach: (B, T) int, how many tokens before each position may be seen, from `document_positions`; none
                means all. Never given with a state.
            state: the inputs before these; it takes over the last of these.

        Returns:
            (B, T, O).
        """
        B, T, _ = x.shape
        before = self.window - 1
        past = x.new_zeros(B, before, x.shape[2]) if state is None else state.inputs.to(x.dtype)
        padded = torch.cat([past, x], dim=1)  # (B, W - 1 + T, I)
        if state is not None:
            state.inputs = padded[:, T:].to(state.inputs.dtype, copy=True)
        if reach is None:
            return F.conv1d(padded.transpose(1, 2), self.weight, self.bias).transpose(1, 2)
        # What a border cuts off differs from position to position, so the windows are written out.
        taps = [padded[:, tap : tap + T] * (reach[:, :, None] >= before - tap) for tap in range(self.window)]
        weight = self.weight.transpose(1, 2).flatten(1)  # (O, W I)
        return F.linear(torch.cat(taps, dim=-1), weight, self.bias)
