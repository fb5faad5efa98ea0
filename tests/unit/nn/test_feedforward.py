import pytest
import torch
import torch.nn.functional as F
from torch import nn

from hornbook.nn.feedforward import GELU, CurvedGELU, ReLU2, SwiGLU


def filled(module):
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    return module


def test_swiglu_is_the_formula():
    part, x = filled(SwiGLU(4, 6)), torch.randn(3, 4)
    gate = x @ part.gate.weight.T
    expected = (gate * gate.sigmoid() * (x @ part.up.weight.T)) @ part.down.weight.T
    torch.testing.assert_close(part(x), expected)


def test_squared_relu_is_the_formula():
    part, x = filled(ReLU2(4, 6)), torch.randn(3, 4)
    expected = (x @ part.up.weight.T).clamp_min(0) ** 2 @ part.down.weight.T
    torch.testing.assert_close(part(x), expected)


def test_gelu_is_the_tanh_form_with_biases():
    part, x = filled(GELU(4, 6, bias=True)), torch.randn(3, 4)
    u = x @ part.up.weight.T + part.up.bias
    inner = 0.5 * u * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (u + 0.044715 * u**3)))
    torch.testing.assert_close(part(x), inner @ part.down.weight.T + part.down.bias)


def curved(width=6, inner_width=10, *, curvature):
    layer = CurvedGELU(width, inner_width, bias=True, curvature=curvature)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_(std=0.3)
    return layer


@pytest.mark.parametrize("curvature", [-1.2, 0.0, 2.0])
def test_curved_is_its_formula(curvature):
    layer, x = curved(curvature=curvature), 0.3 * torch.randn(4, 6)
    h = x @ layer.up.weight.T + layer.up.bias
    denominator = 1 + curvature * (h**2).mean(-1, keepdim=True) / 2
    assert (denominator > CurvedGELU.FLOOR).all()
    expected = F.gelu(h / denominator, approximate="tanh") @ layer.down.weight.T + layer.down.bias
    torch.testing.assert_close(layer(x), expected)


def test_without_curvature_curved_is_gelu():
    bent, x = curved(curvature=0.0), torch.randn(4, 6)
    plain = GELU(6, 10, bias=True)
    plain.load_state_dict(bent.state_dict())
    torch.testing.assert_close(bent(x), plain(x))


def test_curved_activations_cannot_pass_the_pole():
    layer = curved(curvature=-1.2)
    h = layer.up(100 * torch.ones(1, 6))
    torch.testing.assert_close(
        layer(100 * torch.ones(1, 6)), layer.down(F.gelu(h / CurvedGELU.FLOOR, approximate="tanh"))
    )


def test_the_energy_says_the_same_at_every_width():
    h = torch.randn(3, 8)
    assert torch.equal(CurvedGELU.energy(h.repeat(1, 4)), CurvedGELU.energy(h))
