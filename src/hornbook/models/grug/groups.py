"""The second stream of a grug: attention over groups of bytes, of which every byte reads the last complete one.

Its positions are a start, which says nothing of the text, and then one a complete group. A group is complete with
its last byte, so position number (t + 1) // size is the last that byte t may read.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hornbook.models.grug.config import GrugConfig
from hornbook.models.grug.layers import Block
from hornbook.nn import initialise
from hornbook.nn.attention import document_mask, document_positions
from hornbook.nn.embedding import POSITIONS
from hornbook.nn.precision import compute_dtype
from hornbook.nn.state import ConvTail, Joined, KeyValue, LayerState, Recurrent

NO_DOCUMENT = -1
"""The document of what only fills a row up; nobody reads it."""


class GroupStream(nn.Module):
    """What the groups say to each byte: (B, T, X) -> (B, T, A)."""

    def __init__(self, config: GrugConfig) -> None:
        super().__init__()
        A, self.size, self.num_heads = config.groups_width, config.group_size, config.num_heads
        self.dropout = config.embedding_dropout
        self.start = nn.Parameter(torch.zeros(A))
        self.summary = initialise.linear(config.group_size * config.front_width, A, bias=True)
        self.positions = POSITIONS[config.positions](config.most_groups, A)
        self.blocks = nn.ModuleList(
            Block(config, A, config.num_group_layers) for _ in range(config.num_group_layers)
        )

    def forward(self, x: Tensor, past: int, documents: Tensor | None, state: Joined | None) -> Tensor:
        """Return what each byte is told.

        Args:
            x: (B, T, X), what the byte stream reads as well.
            past: bytes before these, which `state` knows of.
            documents: see `LanguageModel.hidden`; groups are counted anew in each.
            state: of the calls before, from `init_state`.

        Returns:
            (B, T, A).
        """
        if documents is not None:
            return self._packed(x, documents)
        T = x.shape[1]
        first, last = past // self.size, (past + T) // self.size  # groups complete before this call, and after it
        told = self._groups(x, past, first, last, state)  # (B, 1 + last - first, A)
        index = (torch.arange(past + 1, past + T + 1, device=x.device) // self.size) - first  # (T,)
        return told.index_select(1, index)

    def init_state(self, rows: int, tokens: int, *, device: torch.device, dtype: torch.dtype) -> Joined:
        """Return the bytes of a group not yet complete, what the last complete one says, and every block's memory."""
        X, A, H = self.summary.in_features // self.size, self.summary.out_features, self.num_heads
        shape = (rows, H, 1 + tokens // self.size, A // H)
        blocks: dict[str, LayerState] = {
            str(layer): KeyValue.empty(shape, device=device, dtype=dtype) for layer in range(len(self.blocks))
        }
        waiting = ConvTail.empty((rows, self.size - 1, X), device=device, dtype=dtype)
        return Joined(waiting=waiting, latest=Recurrent.empty((rows, 1, A), device=device, dtype=dtype), **blocks)

    def _groups(self, x: Tensor, past: int, first: int, last: int, state: Joined | None) -> Tensor:
        """Return the positions from `first` on: the one already known, or the start, then those completed now."""
        B, _, X = x.shape
        if state is not None:
            waiting = state["waiting"]
            assert isinstance(waiting, ConvTail)
            seen = torch.cat([waiting.inputs.to(x.dtype), x], dim=1)  # (B, size - 1 + T, X)
            waiting.inputs = seen[:, x.shape[1] :].to(waiting.inputs.dtype, copy=True)
            x = seen[:, self.size - 1 - past % self.size :]  # from the first byte of the group that is open
        count = last - first
        groups: Tensor = self.summary(x[:, : count * self.size].reshape(B, count, self.size * X))  # (B, count, A)
        if past == 0:
            groups = torch.cat([self.start.to(groups.dtype).expand(B, 1, -1), groups], dim=1)
        if groups.shape[1]:
            groups = self._attend(groups, slice(first + 1 if past else 0, last + 1), None, state)
        if state is not None:
            latest = state["latest"]
            assert isinstance(latest, Recurrent)
            if past:
                groups = torch.cat([latest.memory.to(groups.dtype), groups], dim=1)
            latest.memory = groups[:, -1:].to(latest.memory.dtype, copy=True)
        return groups

    def _packed(self, x: Tensor, documents: Tensor) -> Tensor:
        """Do the same for rows of several documents: each row lists the positions of all of its documents."""
        B, T, X = x.shape
        place = document_positions(documents)  # (B, T)
        starts, ends = place == 0, (place + 1) % self.size == 0
        known = (starts.long() + ends.long()).cumsum(1)  # (B, T): positions of the row that byte t may count
        length = int(known[:, -1].max())
        offset = torch.arange(B, device=x.device)[:, None] * length
        read = (offset + known - 1).flatten()  # (B T,): where in all rows' positions each byte reads
        at_end, at_start = ends.flatten().nonzero()[:, 0], starts.flatten().nonzero()[:, 0]  # bytes of all rows
        window = torch.arange(1 - self.size, 1, device=x.device)
        bytes_ = x.flatten(0, 1).index_select(0, (at_end[:, None] + window).flatten())
        groups = self.summary(bytes_.view(-1, self.size * X))  # (groups of all rows, A)
        # A start stands before the group that its own byte completes, which only a group of one byte does.
        slots = torch.cat([read[at_start] - ends.flatten()[at_start].long(), read[at_end]])
        listed = torch.cat([self.start.to(groups.dtype).expand(len(at_start), -1), groups])
        rows = groups.new_zeros(B * length, groups.shape[-1]).index_copy(0, slots, listed).view(B, length, -1)
        owners = torch.full((B * length,), NO_DOCUMENT, device=x.device, dtype=torch.long)
        owners[slots] = documents.flatten()[torch.cat([at_start, at_end])].long()
        told = self._attend(rows, None, owners.view(B, length), None)
        return told.flatten(0, 1).index_select(0, read).view(B, T, -1)

    def _attend(
        self, groups: Tensor, positions: slice | None, documents: Tensor | None, state: Joined | None
    ) -> Tensor:
        """Run the blocks over (B, C, A); `positions` counts those of whole rows, `documents` the others."""
        place = positions if documents is None else document_positions(documents)
        x = F.dropout(groups + self.positions(place), self.dropout, self.training)
        mask = None if documents is None else document_mask(documents, compute_dtype(x))
        for layer, block in enumerate(self.blocks):
            x = block(x, mask, state[str(layer)] if state else None)  # (B, C, A)
        return x
