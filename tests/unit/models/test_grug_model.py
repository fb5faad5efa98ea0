import math

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError

from hornbook.errors import ShapeError
from hornbook.models.build import build_model, count_parameters
from hornbook.models.grug.config import GrugConfig
from hornbook.nn.losses import next_token_loss
from hornbook.proofs.model import prove_model

SMALL = GrugConfig(vocab_size=50, width=32, num_heads=4, num_layers=2, context=24)
FRONT = {"cnn_channels": (20, 24), "cnn_kernels": (4, 3)}
TWO = {"streams": "two", "num_group_layers": 1, "group_size": 3}
CASES = {
    "plain": {},
    "front end": FRONT,
    "front end of a single token, no norm": {"cnn_channels": (32,), "cnn_kernels": (1,), "cnn_norm": False},
    "embedding of its own width": {"embedding_width": 12, "cnn_activation": "relu", **FRONT},
    "learned positions": {"positions": "learned"},
    "post-norm": {"norm": "post"},
    "curved": {"feed_forward": "curved", "feed_forward_multiple": 2},
    "two streams": TWO,
    "groups of one byte": TWO | {"group_size": 1},
    "groups longer than the context": TWO | {"group_size": 25},
    "everything": {
        **FRONT,
        **TWO,
        "group_width": 16,
        "positions": "learned",
        "norm": "post",
        "feed_forward": "curved",
        "dropout": 0.1,
        "cnn_dropout": 0.1,
        "embedding_dropout": 0.1,
        "output_dropout": 0.1,
    },
}


def changed(**changes):
    return GrugConfig(**SMALL.model_dump() | changes)


def small(**changes):
    return build_model(changed(**changes), seed=0)


@pytest.fixture(params=CASES)
def model(request):
    return small(**CASES[request.param])


def by_torch(model, tokens):
    """The same model, without group stream, on torch's own Conv1d and TransformerEncoderLayer."""
    config, weights = model.config, model.state_dict()
    x = weights["embedding.weight"][tokens]
    for layer, kernel in enumerate(config.cnn_kernels):
        name = f"front_end.layers.{layer}"
        x = F.conv1d(F.pad(x.transpose(1, 2), (kernel - 1, 0)), weights[f"{name}.convolution.weight"])
        x = F.gelu(x).transpose(1, 2)
        x = F.layer_norm(x, x.shape[-1:], weights[f"{name}.norm.weight"], weights[f"{name}.norm.bias"])
    if "projection.weight" in weights:
        x = F.linear(x, weights["projection.weight"], weights["projection.bias"])
    x = x + model.positions.table[: tokens.shape[1]]
    mask = torch.nn.Transformer.generate_square_subsequent_mask(tokens.shape[1])
    for layer in range(config.num_layers):
        twin = torch.nn.TransformerEncoderLayer(
            config.width,
            config.num_heads,
            4 * config.width,
            dropout=0.0,
            activation=lambda u: F.gelu(u, approximate="tanh"),
            norm_first=config.norm == "pre",
            batch_first=True,
        )
        w = {name.split(".", 2)[2]: p for name, p in weights.items() if name.startswith(f"blocks.{layer}.")}
        renamed = {
            f"self_attn.in_proj_{part}": torch.cat([w[f"attention.{name}.{part}"] for name in PROJECTIONS])
            for part in PARTS
        }
        renamed |= {f"{theirs}.{part}": w[f"{ours}.{part}"] for theirs, ours in TWINS.items() for part in PARTS}
        twin.load_state_dict(renamed)
        x = twin(x, src_mask=mask, is_causal=True)
    x = F.layer_norm(x, (config.width,), weights["norm.weight"], weights["norm.bias"], config.norm_eps)
    return F.linear(x, model.head_weight())


PROJECTIONS, PARTS = ("query", "key", "value"), ("weight", "bias")
TWINS = {
    "self_attn.out_proj": "attention.output",
    "linear1": "feed_forward.up",
    "linear2": "feed_forward.down",
    "norm1": "attention_norm",
    "norm2": "feed_forward_norm",
}


@pytest.mark.parametrize("changes", [{}, FRONT, FRONT | {"norm": "post"}], ids=["plain", "front end", "post-norm"])
def test_the_logits_are_those_of_torchs_own_layers(changes):
    model, tokens = small(**changes), torch.randint(50, (2, 9))
    torch.testing.assert_close(model(tokens), by_torch(model, tokens), rtol=1e-4, atol=1e-5)


def test_every_variant_is_honest(model):
    assert not [p for p in prove_model(model, device=torch.device("cpu"), dtype=torch.float32) if not p.passed]


def test_every_variant_counts_its_parameters(model):
    assert model.config.num_parameters() == count_parameters(model)


def test_every_variant_starts_near_the_loss_of_guessing(model):
    tokens = torch.randint(50, (4, 25))
    with torch.no_grad():
        total, count = next_token_loss(model.eval()(tokens[:, :-1]), tokens[:, 1:])
    assert (total / count).item() == pytest.approx(math.log(50), rel=0.05)


def test_a_packed_row_says_what_each_document_says_alone(model):
    model.eval()
    lengths = (1, 7, 2, 9, 5)  # shorter than a group, ending with one, and in the middle of one
    pieces = [torch.randint(50, (2, length)) for length in lengths]
    documents = torch.repeat_interleave(torch.arange(5), torch.tensor(lengths)).expand(2, -1)
    packed = model(torch.cat(pieces, dim=1), documents=documents)
    torch.testing.assert_close(packed, torch.cat([model(piece) for piece in pieces], dim=1), rtol=1e-4, atol=1e-5)


def test_rows_of_one_batch_may_be_packed_differently():
    model, tokens = small(**FRONT, **TWO), torch.randint(50, (2, 12))
    documents = torch.tensor([[0] * 12, [0, 0, 1, 1, 1, 1, 1, 2, 3, 3, 3, 3]])
    both = model(tokens, documents=documents)
    alone = [model(tokens[row : row + 1], documents=documents[row : row + 1]) for row in (0, 1)]
    torch.testing.assert_close(both, torch.cat(alone), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_every_split_into_calls_gives_one_calls_logits(name):
    model, tokens = small(**CASES[name]).eval(), torch.randint(50, (2, 24))
    whole = model(tokens)
    for seed in range(4):
        cuts = torch.randperm(23, generator=torch.Generator().manual_seed(seed))[: 5 + 3 * seed] + 1
        state = model.init_state(2, 24)
        parts = tokens.tensor_split(cuts.sort().values, dim=1)
        torch.testing.assert_close(
            torch.cat([model(part, state) for part in parts], 1), whole, rtol=1e-4, atol=1e-5
        )


def test_the_state_is_as_large_as_the_config_says(model):
    config, state = model.config, model.init_state(3, 24)
    said = 3 * (24 * config.state_bytes_per_token(4) + config.state_bytes_per_row(4))
    # A number of bytes a token is rounded up where a group's share of it is none.
    assert state.num_bytes() == pytest.approx(said, rel=0.05)


def test_a_group_reaches_its_last_byte_and_the_later_ones_only():
    model, tokens = small(**TWO).eval(), torch.randint(50, (1, 12))
    with torch.no_grad():
        model.blocks.apply(lambda layer: getattr(layer, "weight", torch.empty(0)).zero_())
        before = model.groups(model.embedding(tokens), 0, None, None)
        other = tokens.clone()
        other[:, 4] = (other[:, 4] + 1) % 50  # in the second group, bytes 3 to 5
        after = model.groups(model.embedding(other), 0, None, None)
    moved = (before != after).any(-1)[0].tolist()
    assert moved == [False] * 5 + [True] * 7


def test_the_group_stream_runs_once_a_group():
    model = small(**TWO)
    lengths = []
    model.groups.blocks[0].register_forward_hook(lambda layer, inputs, output: lengths.append(output.shape[1]))
    state = model.init_state(1, 24)
    for size in (1, 1, 1, 1, 8):
        model(torch.zeros(1, size, dtype=torch.int64), state)
    # The start, nothing at byte 2, the first group at byte 3, nothing at byte 4, then bytes 5 to 12.
    assert lengths == [1, 1, 3]


def test_positions_restart_in_every_document():
    model, tokens = small(), torch.randint(50, (1, 8))
    documents = torch.tensor([[0, 0, 0, 1, 1, 1, 1, 1]], dtype=torch.int32)
    torch.testing.assert_close(model(tokens, documents=documents)[:, 3:], model(tokens[:, 3:]))


@pytest.mark.parametrize("name", ["dropout", "cnn_dropout", "embedding_dropout", "output_dropout"])
def test_dropout_acts_in_training_only(name):
    model, tokens = small(**FRONT, **{name: 0.5}), torch.randint(50, (1, 8))
    assert not torch.equal(model(tokens), model(tokens))
    model.eval()
    assert torch.equal(model(tokens), model(tokens))


def test_sinusoidal_positions_are_neither_learnt_nor_saved():
    longer = build_model(changed(context=48), seed=0)
    longer.load_state_dict(small().state_dict())
    assert not [name for name in longer.state_dict() if "positions" in name]


def test_under_autocast_the_stream_between_post_norms_stays_in_float32():
    model = small(norm="post")
    with torch.autocast("cpu", torch.bfloat16):
        kept = []
        model.blocks[0].register_forward_hook(lambda layer, inputs, output: kept.append(output.dtype))
        logits = model(torch.randint(50, (1, 8)))
    assert kept == [torch.float32]
    assert logits.dtype == torch.bfloat16


def test_more_tokens_than_the_context_are_refused():
    model = small(**TWO)
    state = model.init_state(1, 24)
    model(torch.zeros(1, 20, dtype=torch.int64), state)
    with pytest.raises(ShapeError, match=r"25 tokens \(20 before, 5 now\) exceed the model's context of 24"):
        model(torch.zeros(1, 5, dtype=torch.int64), state)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cnn_channels": (8,)}, "model.cnn_channels has 1 numbers and model.cnn_kernels 0"),
        ({"num_heads": 5}, "model.num_heads = 5 does not divide model.width = 32"),
        (TWO | {"group_width": 30}, "model.num_heads = 4 does not divide model.group_width = 30"),
    ],
)
def test_numbers_that_do_not_fit_together_are_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        changed(**changes)
