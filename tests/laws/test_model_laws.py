"""What every architecture must obey, over CONFIGS: a new one is held to all of it by being listed."""

import pytest
import torch

from hornbook.models.build import build_model, count_parameters
from hornbook.models.catalog import CONFIGS
from hornbook.nn.attention import PATHS, use_attention
from hornbook.nn.losses import chunked_next_token_loss, next_token_loss
from hornbook.proofs.model import prove_model

TINY = {"vocab_size": 40, "context": 16, "width": 32, "num_layers": 2}

VARIANTS = {
    "llama": [
        {},
        {"num_kv_heads": 2, "qk_norm": True},
        {"activation": "relu2", "residual_init": "zero", "tied": False},
    ],
    "gpt": [{}, {"dropout": 0.2, "bias": False, "tied": False}],
    "grug": [
        {},
        {"cnn_channels": (24, 40), "cnn_kernels": (4, 3), "norm": "post", "positions": "learned"},
        {"streams": "two", "num_group_layers": 1, "group_size": 3, "feed_forward": "curved", "dropout": 0.2},
    ],
    "rnn": [
        {},
        {"cell": "rnn", "num_layers": 1},
        {"cell": "lstm", "embedding_width": 16, "tied": False},
        {"cell": "gru", "dropout": 0.2},
    ],
    "brahma": [{}, {"pattern": "D", "chunk_size": 5, "conv_width": 3}, {"pattern": "AAD", "num_layers": 3}],
}
"""Settings under which the laws are tried besides the defaults; an architecture need not be here."""

CASES = [
    pytest.param(CONFIGS[arch](**TINY | changes), id=f"{arch}-{number}")
    for arch in sorted(CONFIGS)
    for number, changes in enumerate(VARIANTS.get(arch, [{}]))
]


@pytest.fixture(params=CASES)
def model(request):
    return build_model(request.param, seed=0)


@pytest.fixture
def tokens(model):
    return torch.randint(model.config.vocab_size, (2, 12))


def test_the_configs_arithmetic_equals_the_counted_parameters(model):
    assert model.config.num_parameters() == count_parameters(model)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("path", PATHS)
def test_every_proof_passes(model, dtype, path):
    use_attention(model, path)
    failed = [p for p in prove_model(model, device=torch.device("cpu"), dtype=dtype) if not p.passed]
    assert not failed


def test_later_tokens_never_change_earlier_logits(model, tokens):
    model.eval()
    changed = tokens.clone()
    changed[:, 8:] = (changed[:, 8:] + 1) % model.config.vocab_size
    torch.testing.assert_close(model(tokens)[:, :8], model(changed)[:, :8], rtol=0, atol=1e-6)


def test_step_by_step_equals_whole(model, tokens):
    model.eval()
    state = model.init_state(rows=2, tokens=12)
    steps = torch.cat([model(tokens[:, t : t + 1], state) for t in range(12)], dim=1)
    torch.testing.assert_close(steps, model(tokens), rtol=1e-4, atol=1e-5)
    assert state.length == 12


def test_saved_then_loaded_weights_give_the_same_logits(model, tokens):
    model.eval()
    other = build_model(model.config, seed=1).eval()
    assert not torch.equal(other(tokens), model(tokens))
    other.load_state_dict({name: tensor.clone() for name, tensor in model.state_dict().items()})
    assert torch.equal(other(tokens), model(tokens))


def test_the_chunked_loss_equals_the_plain_one(model, tokens):
    model.eval()
    plain, count = next_token_loss(model(tokens[:, :-1]), tokens[:, 1:])
    chunked, same = chunked_next_token_loss(
        model.hidden(tokens[:, :-1]), model.head_weight(), tokens[:, 1:], chunk_rows=5
    )
    torch.testing.assert_close(chunked, plain)
    assert count == same
    weights = list(model.parameters())
    expected = torch.autograd.grad(plain, weights)
    torch.testing.assert_close(torch.autograd.grad(chunked, weights), expected, rtol=1e-4, atol=1e-4)


def test_logits_have_the_shape_of_tokens_by_vocabulary(model, tokens):
    assert model(tokens).shape == (2, 12, model.config.vocab_size)
    assert model.hidden(tokens).shape[:2] == (2, 12)
    assert model.head_weight().shape[0] == model.config.vocab_size
