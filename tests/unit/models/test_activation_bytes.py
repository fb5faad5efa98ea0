"""What a config says the backward pass keeps is what torch saves for it."""

import pytest
import torch
from torch import nn

from hornbook.config.model import ModelConfig
from hornbook.models.brahma.config import BrahmaConfig
from hornbook.models.build import build_model
from hornbook.models.gpt.config import GPTConfig
from hornbook.models.grug.config import GrugConfig
from hornbook.models.llama.config import LlamaConfig
from hornbook.models.rnn.config import RNNConfig
from hornbook.nn.attention import use_attention

ROWS = 8
SIZE = {"vocab_size": 300, "context": 48, "width": 48, "num_layers": 3, "num_heads": 6}
RECURRENT = {name: SIZE[name] for name in ("vocab_size", "context", "width", "num_layers")}
CONFIGS = {
    "llama swiglu": LlamaConfig(**SIZE),
    "llama relu2": LlamaConfig(**SIZE, activation="relu2"),
    "llama groups": LlamaConfig(**SIZE, num_kv_heads=2),
    "llama qk-norm": LlamaConfig(**SIZE, qk_norm=True),
    "gpt": GPTConfig(**SIZE),
    "gpt dropout": GPTConfig(**SIZE, dropout=0.1),
    "grug": GrugConfig(**SIZE, norm="post", feed_forward="curved"),
    "grug relu": GrugConfig(**SIZE, cnn_channels=(64,), cnn_kernels=(5,), cnn_activation="relu", cnn_norm=False),
    "grug streams": GrugConfig(**SIZE, cnn_channels=(64, 48), cnn_kernels=(5, 3), streams="two"),
    "grug dropout": GrugConfig(
        **SIZE,
        cnn_channels=(64, 48),
        cnn_kernels=(5, 3),
        streams="two",
        dropout=0.1,
        cnn_dropout=0.1,
        embedding_dropout=0.1,
        output_dropout=0.1,
    ),
    "brahma": BrahmaConfig(**SIZE),
    "brahma delta": BrahmaConfig(**SIZE, pattern="D", chunk_size=20),
    "brahma attention": BrahmaConfig(**SIZE, pattern="A"),
    "rnn": RNNConfig(**RECURRENT, cell="rnn"),
    "rnn gru": RNNConfig(**RECURRENT),
    "rnn gru dropout": RNNConfig(**RECURRENT, dropout=0.1),
    "rnn lstm": RNNConfig(**RECURRENT, cell="lstm"),
    "rnn narrow embedding": RNNConfig(**RECURRENT, embedding_width=32, tied=False),
}


def saved_bytes_per_token(config: ModelConfig, *, dtype: torch.dtype, attention: str) -> float:
    """Bytes of every tensor saved between tokens and logits, the weights and their cast copies apart."""
    model = build_model(config, seed=0)
    use_attention(model, attention)
    weights = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    shapes = {parameter.shape for parameter in model.parameters()}
    shapes.add(torch.Size([3 * config.width, config.width]))  # brahma's query, key and value matrices as one
    shapes |= {torch.Size(reversed(shape)) for shape in shapes}
    kept, sizes = [], {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor)  # alive, so that no address is given away twice
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights and tensor.shape not in shapes:
            sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    tokens = torch.randint(config.vocab_size, (ROWS, config.context), generator=torch.Generator().manual_seed(0))
    hooks = torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor)
    with hooks, torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
        nn.functional.linear(model.hidden(tokens), model.head_weight())
    return sum(sizes.values()) / tokens.numel()


@pytest.mark.parametrize("attention", ["sdpa", "matmul"])
@pytest.mark.parametrize(("dtype", "value_bytes"), [(torch.float32, 4), (torch.bfloat16, 2)])
@pytest.mark.parametrize("name", CONFIGS)
def test_the_arithmetic_of_activations_equals_what_torch_saves(name, dtype, value_bytes, attention):
    config = CONFIGS[name]
    said = config.activation_bytes_per_token(value_bytes, scores=attention == "matmul")
    saved = saved_bytes_per_token(config, dtype=dtype, attention=attention)
    # Not counted: one number a token and norm, the rotary tables. They weigh most at this small width.
    assert said == pytest.approx(saved, rel=0.08 if "dropout" in name else 0.04)
