import math

import pytest
import torch
import torch.nn.functional as F

from hornbook.errors import ShapeError
from hornbook.models.build import build_model
from hornbook.models.llama.config import LlamaConfig
from hornbook.nn.losses import next_token_loss

SMALL = LlamaConfig(vocab_size=50, width=32, num_heads=4, num_kv_heads=2, num_layers=2, context=12)


def small(**changes):
    return build_model(SMALL.model_copy(update=changes), seed=0)


def by_hand(model, tokens):
    """The same model in the plainest torch: one head at a time, complex numbers for the rotation."""
    config, weights = model.config, dict(model.named_parameters())
    T, K, R = tokens.shape[1], config.head_width, config.num_heads // config.kv_heads
    rates = config.rope_base ** (-torch.arange(0, K, 2) / K)
    turn = torch.polar(torch.ones(T, K // 2), torch.outer(torch.arange(T), rates))

    def norm(x, weight):
        return x / (x.square().mean(-1, keepdim=True) + config.norm_eps).sqrt() * weight

    def turned(x):
        pairs = torch.complex(x[..., : K // 2].contiguous(), x[..., K // 2 :].contiguous()) * turn
        return torch.cat([pairs.real, pairs.imag], dim=-1)

    x = weights["embedding.weight"][tokens]
    for layer in range(config.num_layers):
        w = {name.split(".", 2)[2]: p for name, p in weights.items() if name.startswith(f"blocks.{layer}.")}
        y = norm(x, w["attention_norm.weight"])
        q, k, v = (F.linear(y, w[f"attention.{name}.weight"]) for name in ("query", "key", "value"))
        heads = []
        for h in range(config.num_heads):
            group = slice(h // R * K, (h // R + 1) * K)
            qh, kh = turned(q[..., h * K : (h + 1) * K]), turned(k[..., group])
            scores = (qh @ kh.mT / math.sqrt(K)).masked_fill(torch.ones(T, T).triu(1).bool(), -torch.inf)
            heads.append(scores.softmax(-1) @ v[..., group])
        x = x + F.linear(torch.cat(heads, dim=-1), w["attention.output.weight"])
        y = norm(x, w["feed_forward_norm.weight"])
        inner = F.silu(F.linear(y, w["feed_forward.gate.weight"])) * F.linear(y, w["feed_forward.up.weight"])
        x = x + F.linear(inner, w["feed_forward.down.weight"])
    return F.linear(norm(x, weights["norm.weight"]), model.head_weight())


@pytest.mark.parametrize("tied", [True, False])
def test_the_logits_are_those_of_the_model_written_by_hand(tied):
    model, tokens = small(tied=tied), torch.randint(50, (2, 9))
    torch.testing.assert_close(model(tokens), by_hand(model, tokens), rtol=1e-4, atol=1e-5)


def test_the_names_of_the_weights_are_frozen():
    block = [
        "attention_norm.weight",
        "attention.query.weight",
        "attention.key.weight",
        "attention.value.weight",
        "attention.output.weight",
        "attention.query_norm.weight",
        "attention.key_norm.weight",
        "feed_forward_norm.weight",
        "feed_forward.gate.weight",
        "feed_forward.up.weight",
        "feed_forward.down.weight",
    ]
    names = ["embedding.weight", *(f"blocks.0.{name}" for name in block), "norm.weight", "head.weight"]
    assert list(small(num_layers=1, tied=False, qk_norm=True).state_dict()) == names


def test_normalised_queries_keep_scores_small_whatever_the_projection():
    model, tokens = small(qk_norm=True), torch.randint(50, (1, 8))
    plain = model(tokens)
    with torch.no_grad():
        model.blocks[0].attention.query.weight.mul_(1000.0)
    torch.testing.assert_close(model(tokens), plain, rtol=1e-3, atol=1e-3)


def test_zero_residual_projections_make_every_block_the_identity():
    model, tokens = small(residual_init="zero"), torch.randint(50, (1, 8))
    torch.testing.assert_close(model.hidden(tokens), model.norm(model.embedding(tokens)))


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("residual_init", ["scaled", "zero"])
@pytest.mark.parametrize("width", [64, 768])
def test_the_first_loss_is_near_that_of_guessing(tied, residual_init, width):
    config = LlamaConfig(
        vocab_size=1000, width=width, num_heads=4, num_layers=3, tied=tied, residual_init=residual_init
    )
    tokens = torch.randint(1000, (2, 65))
    with torch.no_grad():
        total, count = next_token_loss(build_model(config, seed=0)(tokens[:, :-1]), tokens[:, 1:])
    assert (total / count).item() == pytest.approx(math.log(1000), rel=0.05)


def test_the_state_holds_what_the_config_says_a_token_costs():
    model = small()
    state = model.init_state(rows=3, tokens=10)
    assert state.num_bytes() == 3 * 10 * model.config.state_bytes_per_token(4)
    assert model.init_state(
        3, 10, dtype=torch.bfloat16
    ).num_bytes() == 3 * 10 * model.config.state_bytes_per_token(2)


def test_a_bfloat16_state_works_under_autocast():
    model, tokens = small().eval(), torch.randint(50, (2, 8))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        state = model.init_state(2, 8, dtype=torch.bfloat16)
        parts = torch.cat([model(tokens[:, :5], state), model(tokens[:, 5:], state)], dim=1)
        torch.testing.assert_close(parts, model(tokens), rtol=0, atol=0.05)  # logits of size 1 in 8 bits


def test_more_tokens_than_the_context_are_refused():
    model = small()
    with pytest.raises(ShapeError, match=r"13 tokens \(0 before, 13 now\) exceed the model's context of 12"):
        model(torch.zeros(1, 13, dtype=torch.int64))


def test_the_context_counts_what_the_state_has_seen():
    model = small()
    state = model.init_state(1, 12)
    model(torch.zeros(1, 12, dtype=torch.int64), state)
    with pytest.raises(ShapeError, match=r"13 tokens \(12 before, 1 now\)"):
        model(torch.zeros(1, 1, dtype=torch.int64), state)
