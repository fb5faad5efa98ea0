import torch
from torch import nn

from hornbook.nn.feedforward import GELU, ReLU2, SwiGLU


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
