import math

import pytest
import torch
import torch.nn.functional as F

from hornbook.errors import ShapeError
from hornbook.models.build import build_model
from hornbook.models.gpt.config import GPTConfig
from hornbook.nn.losses import next_token_loss

SMALL = GPTConfig(vocab_size=50, width=32, num_heads=4, num_layers=2, context=12)


def small(**changes):
    return build_model(SMALL.model_copy(update=changes), seed=0)


def by_torch(model, tokens):
    """The same model on torch's own TransformerEncoderLayer, with its causal mask."""
    config, weights = model.config, model.state_dict()
    x = weights["embedding.weight"][tokens] + weights["positions.weight"][: tokens.shape[1]]
    mask = torch.nn.Transformer.generate_square_subsequent_mask(tokens.shape[1])
    for layer in range(config.num_layers):
        twin = torch.nn.TransformerEncoderLayer(
            config.width,
            config.num_heads,
            4 * config.width,
            dropout=0.0,
            activation=lambda u: F.gelu(u, approximate="tanh"),
            norm_first=True,
            batch_first=True,
        )
        w = {name.split(".", 2)[2]: p for name, p in weights.items() if name.startswith(f"blocks.{layer}.")}
        projections = ("query", "key", "value")
        renamed = {
            "self_attn.in_proj_weight": torch.cat([w[f"attention.{name}.weight"] for name in projections]),
            "self_attn.in_proj_bias": torch.cat([w[f"attention.{name}.bias"] for name in projections]),
        }
        twins = {
            "self_attn.out_proj": "attention.output",
            "linear1": "feed_forward.up",
            "linear2": "feed_forward.down",
            "norm1": "attention_norm",
            "norm2": "feed_forward_norm",
        }
        renamed |= {f"{theirs}.{part}": w[f"{ours}.{part}"] for theirs, ours in twins.items() for part in PARTS}
        twin.load_state_dict(renamed)
        x = twin(x, src_mask=mask, is_causal=True)
    x = F.layer_norm(x, (config.width,), weights["norm.weight"], weights["norm.bias"], config.norm_eps)
    return F.linear(x, model.head_weight())


PARTS = ("weight", "bias")


def test_the_logits_are_those_of_torchs_own_layers():
    model, tokens = small(), torch.randint(50, (2, 9))
    torch.testing.assert_close(model(tokens), by_torch(model, tokens), rtol=1e-4, atol=1e-5)


def test_dropout_acts_in_training_only():
    model, tokens = small(dropout=0.5), torch.randint(50, (1, 8))
    assert not torch.equal(model(tokens), model(tokens))
    model.eval()
    assert torch.equal(model(tokens), model(tokens))


def test_without_biases_there_are_none():
    assert not [name for name in small(bias=False).state_dict() if name.endswith("bias")]


def test_biases_start_at_zero():
    biases = {name: p for name, p in small().state_dict().items() if name.endswith("bias")}
    assert biases and not any(p.any() for p in biases.values())


def test_positions_restart_in_every_document():
    model, tokens = small(), torch.randint(50, (1, 8))
    documents = torch.tensor([[0, 0, 0, 1, 1, 1, 1, 1]], dtype=torch.int32)
    packed = model(tokens, documents=documents)
    torch.testing.assert_close(packed[:, 3:], model(tokens[:, 3:]))


def test_the_first_loss_is_near_that_of_guessing():
    model, tokens = small(vocab_size=1000, width=256, context=64), torch.randint(1000, (2, 65))
    with torch.no_grad():
        total, count = next_token_loss(model(tokens[:, :-1]), tokens[:, 1:])
    assert (total / count).item() == pytest.approx(math.log(1000), rel=0.05)


def test_more_tokens_than_the_context_are_refused():
    model = small()
    state = model.init_state(1, 12)
    model(torch.zeros(1, 10, dtype=torch.int64), state)
    with pytest.raises(ShapeError, match=r"13 tokens \(10 before, 3 now\) exceed the model's context of 12"):
        model(torch.zeros(1, 3, dtype=torch.int64), state)
