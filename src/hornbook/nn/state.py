"""What a model remembers between calls: one entry a layer and the number of tokens seen.

The state is an argument, made by the model (`init_state`) and owned by the caller. A layer's entry is
whatever that layer needs; `inference/` knows only the methods below.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class LayerState(Protocol):
    """The memory of one layer."""

    def clone(self) -> "LayerState":
        """Return an independent copy."""
        ...

    def rows(self, index: Tensor) -> "LayerState":
        """Return an independent state made of the rows `index` (int64, any length), in that order."""
        ...

    def num_bytes(self) -> int:
        """Bytes of memory held."""
        ...


class KeyValue:
    """Keys and values of one attention layer, in buffers of fixed capacity that are read only as far as filled.

    Args:
        keys: (B, G, C, K) buffer.
        values: (B, G, C, K) buffer.
        length: tokens filled so far.
    """

    def __init__(self, keys: Tensor, values: Tensor, length: int = 0) -> None:
        self.keys, self.values, self.length = keys, values, length

    @classmethod
    def empty(cls, shape: tuple[int, int, int, int], *, device: torch.device, dtype: torch.dtype) -> "KeyValue":
        """Allocate for `shape` = (B, G, C, K)."""
        return cls(torch.empty(shape, device=device, dtype=dtype), torch.empty(shape, device=device, dtype=dtype))

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Store (B, G, T, K) keys and values; return all filled so far, (B, G, length, K), as views."""
        start, self.length = self.length, self.length + keys.shape[2]
        assert self.length <= self.keys.shape[2], f"{self.length} tokens in a state of {self.keys.shape[2]}"
        self.keys[:, :, start : self.length] = keys
        self.values[:, :, start : self.length] = values
        return self.keys[:, :, : self.length], self.values[:, :, : self.length]

    def clone(self) -> "KeyValue":
        return KeyValue(self.keys.clone(), self.values.clone(), self.length)

    def rows(self, index: Tensor) -> "KeyValue":
        return KeyValue(self.keys[index], self.values[index], self.length)

    def num_bytes(self) -> int:
        return _bytes(self.keys) + _bytes(self.values)


class ConvTail:
    """The last inputs of a causal convolution: what its window reaches back to.

    Args:
        inputs: (B, W - 1, D) for a window of W, oldest first; zeros before the first token.
    """

    def __init__(self, inputs: Tensor) -> None:
        self.inputs = inputs

    @classmethod
    def empty(cls, shape: tuple[int, int, int], *, device: torch.device, dtype: torch.dtype) -> "ConvTail":
        """Begin with zeros of `shape` = (B, W - 1, D)."""
        return cls(torch.zeros(shape, device=device, dtype=dtype))

    def clone(self) -> "ConvTail":
        return ConvTail(self.inputs.clone())

    def rows(self, index: Tensor) -> "ConvTail":
        return ConvTail(self.inputs[index])

    def num_bytes(self) -> int:
        return _bytes(self.inputs)


class Recurrent:
    """What a recurrence carries from token to token: a tensor whose size does not depend on how many it saw.

    Args:
        memory: (B, ...), rows first.
    """

    def __init__(self, memory: Tensor) -> None:
        self.memory = memory

    @classmethod
    def empty(cls, shape: tuple[int, ...], *, device: torch.device, dtype: torch.dtype) -> "Recurrent":
        """Begin with zeros of `shape` = (B, ...)."""
        return cls(torch.zeros(shape, device=device, dtype=dtype))

    def clone(self) -> "Recurrent":
        return Recurrent(self.memory.clone())

    def rows(self, index: Tensor) -> "Recurrent":
        return Recurrent(self.memory[index])

    def num_bytes(self) -> int:
        return _bytes(self.memory)


class Joined:
    """Several memories of one layer, by name: a layer with a convolution and keys and values has both."""

    def __init__(self, **parts: LayerState) -> None:
        self.parts = parts

    def __getitem__(self, name: str) -> LayerState:
        return self.parts[name]

    def clone(self) -> "Joined":
        return Joined(**{name: part.clone() for name, part in self.parts.items()})

    def rows(self, index: Tensor) -> "Joined":
        return Joined(**{name: part.rows(index) for name, part in self.parts.items()})

    def num_bytes(self) -> int:
        return sum(part.num_bytes() for part in self.parts.values())


@dataclass
class DecodeState:
    """The memory of a whole model for B rows that all have seen `length` tokens."""

    layers: list[LayerState]
    length: int = 0

    def clone(self) -> "DecodeState":
        """Return an independent copy: continuing one does not change the other."""
        return DecodeState([layer.clone() for layer in self.layers], self.length)

    def rows(self, index: Tensor) -> "DecodeState":
        """Return an independent state made of the rows `index` (int64, any length), in that order."""
        return DecodeState([layer.rows(index) for layer in self.layers], self.length)

    def num_bytes(self) -> int:
        """Bytes of memory held."""
        return sum(layer.num_bytes() for layer in self.layers)


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
