"""A recurrent network: every token is read once, and what matters of it is carried on in a memory of fixed size.

    x = embedding(tokens)
    for each cell:  x[t] = memory[t] = cell(x[t], memory[t - 1])
    logits = head(x)

Elman 1990, "Finding structure in time"; Graves 2013, arXiv:1308.0850. The cells are in `hornbook.nn.cells`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hornbook.models.contract import LanguageModel
from hornbook.models.rnn.config import MEMORIES, RNNConfig
from hornbook.nn import initialise
from hornbook.nn.cells import Borders, Cell
from hornbook.nn.state import DecodeState, Recurrent


class RNN(LanguageModel):
    """The whole model.

    Args:
        config: its numbers.
        generator: where the starting weights are drawn from; a CPU generator.
    """

    def __init__(self, config: RNNConfig, *, generator: torch.Generator) -> None:
        super().__init__()
        self.config: RNNConfig = config
        widths = [config.input_width, *[config.width] * (config.num_layers - 1)]
        self.embedding = initialise.embedding(config.vocab_size, config.input_width)
        self.blocks = nn.ModuleList(Cell(config.cell, inner, config.width) for inner in widths)
        self.head = None if config.tied else initialise.linear(config.width, config.vocab_size)
        self._initialise(generator)

    def hidden(self, tokens: Tensor, state: DecodeState | None = None, documents: Tensor | None = None) -> Tensor:
        B, T = tokens.shape
        borders = None if documents is None else Borders.of(documents)
        x = self._drop(self.embedding(tokens))  # (B, T, E)
        if borders is not None:
            x = borders.pack(x)  # (N, E)
        for layer, cell in enumerate(self.blocks):
            x = self._drop(cell(x, borders, state.layers[layer] if state else None))  # (B, T, D) or (N, D)
        if state:
            state.length += T
        return x if borders is None else borders.unpack(x, B)

    def head_weight(self) -> Tensor:
        return self.embedding.weight if self.head is None else self.head.weight

    def init_state(self, rows: int, tokens: int, *, dtype: torch.dtype | None = None) -> DecodeState:
        shape = (rows, MEMORIES[self.config.cell], self.config.width)
        device = self.embedding.weight.device
        # Whatever dtype is asked for: a memory is written anew at every token, and narrow roundings would add up.
        return DecodeState([Recurrent.empty(shape, device=device, dtype=torch.float32) for _ in self.blocks])

    def _drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.config.dropout, self.training)

    def _initialise(self, generator: torch.Generator) -> None:
        """Fill embedding and head so that the first logits are small, and the first cell for what it will read."""
        std = self.config.width**-0.5 if self.head is None else 1.0
        initialise.normal(self.embedding.weight, std=std, generator=generator)
        for layer, cell in enumerate(self.blocks):
            assert isinstance(cell, Cell)
            cell.initialise(generator, input_std=std if layer == 0 else 1.0)
        if self.head is not None:
            initialise.normal(self.head.weight, std=self.config.width**-0.5, generator=generator)
