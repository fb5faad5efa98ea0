import pytest
import torch

from hornbook.nn import initialise


def generator():
    return torch.Generator().manual_seed(1)


def test_fan_in_keeps_the_size_of_what_passes_through():
    layer, x = initialise.linear(512, 256), torch.randn(64, 512)
    initialise.fan_in(layer.weight, generator=generator())
    assert layer(x).std().item() == pytest.approx(initialise.LLAMA_GAIN, rel=0.05)


@pytest.mark.parametrize(("rule", "factor"), [("scaled", 1 / 4), ("zero", 0.0)])
def test_residual_projections_shrink_by_their_rule(rule, factor):
    weight = torch.randn(4, 4)
    before = weight.clone()
    initialise.residual(weight, rule=rule, num_layers=8)
    torch.testing.assert_close(weight, before * factor)


def test_layers_are_made_without_drawing_from_torchs_generator():
    before = torch.random.get_rng_state()
    initialise.linear(4, 4, bias=True)
    initialise.embedding(4, 4)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_kernel_near_the_identity_passes_its_input_through():
    kernel = torch.empty(300, 1, 4)
    initialise.near_identity(kernel, std=0.1, generator=generator())
    noise = kernel - torch.tensor([0.0, 0.0, 0.0, 1.0])
    assert noise.std().item() == pytest.approx(0.1, rel=0.1)
    initialise.near_identity(kernel, std=0.0, generator=generator())
    assert kernel.unique().tolist() == [0.0, 1.0] and kernel[..., -1].eq(1).all()
