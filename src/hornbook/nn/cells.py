"""Torch's fused recurrent cells behind one face: a layer reads (B, T, I), writes (B, T, D), and may go on from a state.

Documents packed into a row are run as sequences of their own (`Borders`), so that the memory starts afresh at each
border without a mask in the recurrence, and short documents side by side instead of one after the other.
"""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from hornbook.nn import initialise
from hornbook.nn.attention import document_positions
from hornbook.nn.state import Recurrent

CELLS: dict[str, Callable[..., nn.RNNBase]] = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
"""Torch's module of each kind of cell."""

FORGET_GATE = 1
"""Place of the forget gate among the four of torch's LSTM: input, forget, cell, output."""


@dataclass(frozen=True)
class Borders:
    """How the documents of a batch lie in torch's packed order: all first tokens, then all second ones, and so on.

    Args:
        order: (N,) int64, the place in the flattened (B, T) of each packed token; longer documents come first.
        back: (N,) int64, the packed place of each token of the flattened (B, T).
        batch_sizes: (longest,) int64 on the CPU, how many documents have a first token, a second, ...
    """

    order: Tensor
    back: Tensor
    batch_sizes: Tensor

    @classmethod
    def of(cls, documents: Tensor) -> "Borders":
        """Find the documents of `documents`, (B, T): runs of one number within a row."""
        place = document_positions(documents).flatten()  # (N,)
        number = (place == 0).cumsum(0) - 1  # (N,) which document, counted over the batch
        lengths = number.bincount()
        rank = lengths.argsort(descending=True, stable=True).argsort()  # (documents,)
        order = (place * len(lengths) + rank[number]).argsort()
        back = torch.empty_like(order)
        back[order] = torch.arange(len(order), device=order.device)
        return cls(order, back, place.bincount().cpu())

    def pack(self, x: Tensor) -> Tensor:
        """(B, T, D) -> (N, D) in packed order."""
        return x.flatten(0, 1)[self.order]

    def unpack(self, x: Tensor, rows: int) -> Tensor:
        """(N, D) in packed order -> (B, T, D)."""
        return x[self.back].view(rows, -1, x.shape[-1])


class Cell(nn.Module):
    """One layer of a recurrent network, on torch's kernel for a whole sequence.

    Made without torch's global generator, and not yet filled: call `initialise`.

    Args:
        kind: a key of CELLS.
        inner: width I of what it reads.
        width: width D of what it remembers and writes.
    """

    def __init__(self, kind: str, inner: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.cell = CELLS[kind](inner, width, batch_first=True, device="meta").to_empty(device="cpu")

    @property
    def memories(self) -> int:
        """Vectors carried from token to token: an LSTM has two."""
        return 2 if isinstance(self.cell, nn.LSTM) else 1

    def forward(self, x: Tensor, borders: Borders | None = None, state: Recurrent | None = None) -> Tensor:
        """Run over the sequences of `x`.

        Args:
            x: (B, T, I); with borders (N, I), in packed order.
            borders: where the memory starts afresh. Never given with a state.
            state: (B, memories, D) float32, what the tokens before have left; replaced. None starts with zeros.

        Returns:
            (B, T, D), or (N, D) in packed order.
        """
        with _supported_precision(x):
            if borders is not None:
                written: Tensor = self.cell(PackedSequence(x, borders.batch_sizes))[0].data
                return written
            before = None if state is None else self._before(state.memory)
            written, after = self.cell(x, before)
        if state is not None:
            left = torch.stack(after if isinstance(after, tuple) else (after,))  # (memories, 1, B, D)
            state.memory = left[:, 0].transpose(0, 1).float()  # (B, memories, D)
        return written

    def initialise(self, generator: torch.Generator, *, input_std: float = 1.0) -> None:
        """Fill the weights.

        What multiplies the memory is orthogonal, gate by gate (Saxe et al. 2014, arXiv:1312.6120; for recurrence Henaff
        et al. 2016, arXiv:1602.06662): it neither fades nor grows what it carries. What multiplies the input keeps its
        size (LeCun et al. 1998, section 4.6). Biases are zero, but an LSTM's forget gate opens with 1 (Gers et al.
        2000; Jozefowicz et al. 2015, section 4.2).

        Args:
            generator: on the CPU.
            input_std: standard deviation of what the cell will read.
        """
        for name, weight in self.cell.named_parameters():
            if name.startswith("weight_hh"):
                for gate in torch.split(weight.detach(), self.width):
                    nn.init.orthogonal_(gate, generator=generator)
            elif name.startswith("weight_ih"):
                initialise.normal(weight, std=1 / (input_std * math.sqrt(weight.shape[1])), generator=generator)
            else:
                nn.init.zeros_(weight)
                if isinstance(self.cell, nn.LSTM) and name.startswith("bias_ih"):
                    weight.detach().chunk(4)[FORGET_GATE].fill_(1.0)

    def _before(self, memory: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """(B, memories, D) -> what torch's module takes: (1, B, D), or two of them."""
        parts = memory.transpose(0, 1).unsqueeze(1).contiguous()  # (memories, 1, B, D)
        return (parts[0], parts[1]) if self.memories == 2 else parts[0]


def _supported_precision(x: Tensor) -> AbstractContextManager[object]:
    """Leave float16 aside on a CPU, where torch's LSTM has no kernel for it and the other cells lose tenfold."""
    if x.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
        return torch.autocast("cpu", enabled=torch.get_autocast_dtype("cpu") != torch.float16)
    return nullcontext()
