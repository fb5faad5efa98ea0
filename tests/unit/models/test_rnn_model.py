import math

import pytest
import torch
from pydantic import ValidationError

from hornbook.config.sections import TrainingConfig
from hornbook.models.build import build_model
from hornbook.models.rnn.config import GATES, PRODUCT_SPEEDS, RNNConfig
from hornbook.nn.losses import next_token_loss
from hornbook.planning import REACHED_SHARE, Known, training_rate
from hornbook.run import RunConfig

SMALL = RNNConfig(vocab_size=50, width=32, num_layers=2, context=12)
CELLS = sorted(GATES)


def small(**changes):
    return build_model(SMALL.model_copy(update=changes), seed=0)


def test_the_names_of_the_weights_are_frozen():
    names = ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"]
    expected = ["embedding.weight", *(f"blocks.0.cell.{name}" for name in names), "head.weight"]
    assert list(small(num_layers=1, tied=False).state_dict()) == expected


@pytest.mark.parametrize("cell", CELLS)
def test_the_memory_is_as_large_after_many_tokens_as_after_one(cell):
    model = small(cell=cell).eval()
    state = model.init_state(rows=3, tokens=1000)
    expected = 3 * model.config.state_bytes_per_row(4)
    sizes = []
    for length in (1, 40, 200):
        model(torch.zeros(3, length, dtype=torch.int64), state)
        sizes.append(state.num_bytes())
    assert sizes == [expected] * 3
    assert model.config.state_bytes_per_token(4) == 0


def test_the_context_is_no_limit():
    model = small().eval()
    assert model.config.position_limit is None
    tokens = torch.randint(50, (1, 40))
    state = model.init_state(1, 40)
    parts = torch.cat([model(tokens[:, :30], state), model(tokens[:, 30:], state)], dim=1)
    torch.testing.assert_close(parts, model(tokens), rtol=1e-4, atol=1e-5)


def test_a_state_stays_in_float32_whatever_is_asked_for():
    state = small().init_state(1, 4, dtype=torch.bfloat16)
    assert {layer.memory.dtype for layer in state.layers} == {torch.float32}


def test_a_narrow_embedding_needs_a_head_of_its_own():
    with pytest.raises(
        ValidationError, match=r"model.tied needs model.embedding_width = 16 to be .* 32; set model"
    ):
        RNNConfig(width=32, embedding_width=16)
    assert RNNConfig(width=32, embedding_width=16, tied=False).input_width == 16


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("cell", CELLS)
def test_the_first_loss_is_near_that_of_guessing(cell, tied):
    model, tokens = small(vocab_size=1000, width=256, cell=cell, tied=tied), torch.randint(1000, (2, 65))
    with torch.no_grad():
        total, count = next_token_loss(model(tokens[:, :-1]), tokens[:, 1:])
    assert (total / count).item() == pytest.approx(math.log(1000), rel=0.05)


def test_dropout_acts_in_training_only():
    model, tokens = small(dropout=0.5), torch.randint(50, (1, 8))
    assert not torch.equal(model(tokens), model(tokens))
    model.eval()
    assert torch.equal(model(tokens), model(tokens))


def test_a_plan_knows_that_recurrent_products_are_slow():
    run = RunConfig(model=RNNConfig(vocab_size=256, cell="gru"), training=TrainingConfig(batch_tokens=4096))
    rate, _ = training_rate(run, Known(matmul_flops=1e12))
    expected = 1e12 * REACHED_SHARE * PRODUCT_SPEEDS["gru"] / run.model.training_flops_per_token()
    assert rate == pytest.approx(expected)
