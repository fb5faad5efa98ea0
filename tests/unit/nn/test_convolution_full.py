import pytest
import torch
import torch.nn.functional as F

from hornbook.nn.attention import document_positions
from hornbook.nn.convolution_full import CausalConvolution
from hornbook.nn.state import ConvTail


def filled(inputs=3, outputs=5, window=4, *, bias=True):
    layer = CausalConvolution(inputs, outputs, window, bias=bias)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_()
    return layer


@pytest.mark.parametrize("window", [1, 2, 3, 4])
@pytest.mark.parametrize("bias", [False, True])
def test_it_is_torchs_convolution_padded_on_the_left(window, bias):
    layer, x = filled(window=window, bias=bias), torch.randn(2, 7, 3)
    expected = F.conv1d(F.pad(x.transpose(1, 2), (window - 1, 0)), layer.weight, layer.bias).transpose(1, 2)
    torch.testing.assert_close(layer(x), expected)
    assert layer(x).shape == (2, 7, 5)


def test_nothing_of_the_future_is_seen():
    layer, x = filled(window=4), torch.randn(1, 9, 3, requires_grad=True)
    for position in range(9):
        [gradient] = torch.autograd.grad(layer(x)[0, position].sum(), x)
        seen = gradient[0].abs().sum(-1).nonzero()[:, 0].tolist()
        assert seen == list(range(max(0, position - 3), position + 1))


def test_documents_are_convolved_as_if_each_were_alone():
    layer, lengths = filled(window=4), (1, 5, 2, 8)
    pieces = [torch.randn(2, length, 3) for length in lengths]
    documents = torch.repeat_interleave(torch.arange(4), torch.tensor(lengths)).expand(2, -1)
    packed = layer(torch.cat(pieces, dim=1), reach=document_positions(documents))
    torch.testing.assert_close(packed, torch.cat([layer(piece) for piece in pieces], dim=1))


@pytest.mark.parametrize("window", [1, 4])
def test_a_state_carries_what_the_window_reaches_back_to(window):
    layer, x = filled(window=window), torch.randn(2, 9, 3)
    state = ConvTail.empty((2, window - 1, 3), device=x.device, dtype=x.dtype)
    pieces = [layer(piece, state=state) for piece in x.split([1, 2, 5, 1], dim=1)]
    torch.testing.assert_close(torch.cat(pieces, dim=1), layer(x))
    assert state.inputs.shape == (2, window - 1, 3)


def test_what_the_state_holds_is_a_copy():
    layer, x = filled(), torch.randn(1, 6, 3)
    state = ConvTail.empty((1, 3, 3), device=x.device, dtype=x.dtype)
    layer(x, state=state)
    assert state.inputs.untyped_storage().nbytes() == 3 * 3 * 4
