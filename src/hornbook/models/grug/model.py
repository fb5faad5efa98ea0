"""A grug: bytes through causal convolutions, then attention; optionally a second stream over groups of bytes.

    x = front_end(embedding(bytes))                          convolutions, each padded on the left only
    b = blocks(projection(x) + positions)                    the byte stream
    g = blocks(summary(x, a group at a time) + positions)    the group stream: a start, then every complete group
    logits = head(norm([b at t, g of the last group that byte t completes or comes after]))

What a group says reaches its own last byte and all later ones, never an earlier one, so the group stream is as causal
as the byte stream. In a packed row both begin anew at every document, groups included.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hornbook.models.contract import LanguageModel
from hornbook.models.grug.config import GrugConfig
from hornbook.models.grug.groups import GroupStream
from hornbook.models.grug.layers import Block, FrontEnd
from hornbook.nn import initialise
from hornbook.nn.attention import check_length, document_mask, document_positions
from hornbook.nn.convolution_full import CausalConvolution
from hornbook.nn.embedding import POSITIONS, LearnedPositions
from hornbook.nn.norms import LayerNorm
from hornbook.nn.precision import compute_dtype
from hornbook.nn.state import DecodeState, Joined, KeyValue, LayerState

EMBEDDING_STD = {"learned": initialise.GPT2_STD, "sinusoidal": 1.0}
"""As large as the positions added to it: GPT-2 draws both alike; sines have a root mean square of 0.7, for which
Vaswani et al. 2017, section 3.4, enlarge the embedding to 1."""


class Grug(LanguageModel):
    """The whole model.

    Args:
        config: its numbers.
        generator: where the starting weights are drawn from; a CPU generator.
    """

    def __init__(self, config: GrugConfig, *, generator: torch.Generator) -> None:
        super().__init__()
        self.config: GrugConfig = config
        D, A, X = config.width, config.groups_width, config.front_width
        self.embedding = initialise.embedding(config.vocab_size, config.input_width)
        self.front_end = FrontEnd(config) if config.cnn_channels else None
        self.projection = None if X == D else initialise.linear(X, D, bias=True)
        self.positions = POSITIONS[config.positions](config.context, D)
        self.blocks = nn.ModuleList(Block(config, D, config.num_layers) for _ in range(config.num_layers))
        self.groups = GroupStream(config) if config.streams == "two" else None
        self.norm = LayerNorm(D + A, eps=config.norm_eps, bias=True)
        self.head = initialise.linear(D + A, config.vocab_size)
        self._initialise(generator)

    def hidden(self, tokens: Tensor, state: DecodeState | None = None, documents: Tensor | None = None) -> Tensor:
        past, T = state.length if state else 0, tokens.shape[1]
        check_length(past, T, self.config.context)
        reach = None if documents is None else document_positions(documents)  # (B, T)
        entries = state.layers if state else [None] * (self.config.num_layers + 2)  # see init_state

        x = self.embedding(tokens)  # (B, T, E)
        if self.front_end is not None:
            x = self.front_end(x, reach, entries[-2])  # (B, T, X)
        stream = x if self.projection is None else self.projection(x)  # (B, T, D)
        stream = stream + self.positions(slice(past, past + T) if reach is None else reach)
        stream = F.dropout(stream, self.config.embedding_dropout, self.training)
        mask = None if documents is None else document_mask(documents, compute_dtype(stream))
        for layer, block in enumerate(self.blocks):
            stream = block(stream, mask, entries[layer])  # (B, T, D)
        if self.groups is not None:
            told = self.groups(x, past, documents, entries[-1])  # (B, T, A)
            stream = torch.cat([stream, told.to(stream.dtype)], dim=-1)  # (B, T, D + A)
        if state:
            state.length += T
        return F.dropout(self.norm(stream), self.config.output_dropout, self.training)

    def head_weight(self) -> Tensor:
        return self.head.weight

    def init_state(self, rows: int, tokens: int, *, dtype: torch.dtype | None = None) -> DecodeState:
        """Return keys and values of every block, then the front end's memory, then that of the group stream."""
        D, H, device, dtype = (
            self.config.width,
            self.config.num_heads,
            self.head.weight.device,
            dtype or torch.float32,
        )
        shape = (rows, H, tokens, D // H)
        blocks: list[LayerState] = [KeyValue.empty(shape, device=device, dtype=dtype) for _ in self.blocks]
        front = Joined() if self.front_end is None else self.front_end.init_state(rows, device=device, dtype=dtype)
        groups = (
            Joined() if self.groups is None else self.groups.init_state(rows, tokens, device=device, dtype=dtype)
        )
        return DecodeState([*blocks, front, groups])

    def _initialise(self, generator: torch.Generator) -> None:
        """Fill everything that is not a norm.

        Matrices and convolutions keep the size of what they read (`initialise.fan_in`); with norms before, what a
        block adds is shrunk with the depth (`initialise.residual`); behind, the norms hold it. Biases start at zero.
        """
        for layer in self.modules():
            if isinstance(layer, nn.Linear | CausalConvolution):
                initialise.fan_in(layer.weight.detach().flatten(1), generator=generator)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
            elif isinstance(layer, LearnedPositions):
                initialise.normal(layer.weight, std=initialise.GPT2_STD, generator=generator)
        for block in self.blocks if self.groups is None else [*self.blocks, *self.groups.blocks]:
            assert isinstance(block, Block)
            block.shrink_residuals()
        std = EMBEDDING_STD[self.config.positions]
        initialise.normal(self.embedding.weight, std=std, generator=generator)
        initialise.normal(self.head.weight, std=initialise.GPT2_STD, generator=generator)
