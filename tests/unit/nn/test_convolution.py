import pytest
import torch
import torch.nn.functional as F

from hornbook.nn.attention import document_positions
from hornbook.nn.convolution import ShortConvolution
from hornbook.nn.state import ConvTail

B, T, D = 2, 9, 6
DOCUMENTS = torch.tensor([[0, 0, 0, 0, 0, 1, 1, 2, 2], [3, 4, 4, 4, 4, 4, 4, 4, 4]])


def convolution(window=4, dtype=torch.float64):
    module = ShortConvolution(D, window).to(dtype)
    torch.nn.init.normal_(module.weight)
    return module


def by_torch(module, x):
    """torch's own depthwise convolution."""
    window = module.weight.shape[-1]
    return F.conv1d(F.pad(x.mT, (window - 1, 0)), module.weight, groups=D).mT


@pytest.mark.parametrize("tokens", [1, 2, 9])
@pytest.mark.parametrize("window", [2, 4, 12])
def test_it_is_torchs_depthwise_convolution(window, tokens):
    module, x = convolution(window), torch.randn(B, tokens, D, dtype=torch.float64)
    torch.testing.assert_close(module(x), by_torch(module, x))


@pytest.mark.parametrize("reach", [None, document_positions(DOCUMENTS)], ids=["row", "documents"])
def test_its_gradient_is_that_of_finite_differences(reach):
    module = convolution()
    x = torch.randn(B, T, D, dtype=torch.float64, requires_grad=True)

    def convolved(x, weight):
        return torch.func.functional_call(module, {"weight": weight}, (x,), {"reach": reach})

    assert torch.autograd.gradcheck(convolved, (x, module.weight))


def test_it_stops_at_the_borders_of_documents():
    module, x = convolution(), torch.randn(B, T, D, dtype=torch.float64)
    packed = module(x, reach=document_positions(DOCUMENTS))
    for row in range(B):
        for document in DOCUMENTS[row].unique():
            here = DOCUMENTS[row] == document
            torch.testing.assert_close(packed[row, here], module(x[row : row + 1, here])[0])


@pytest.mark.parametrize("cuts", [[1], [4], [1, 2, 3, 4], [2, 8]])
def test_calls_with_a_state_equal_one_call(cuts):
    module, x = convolution(), torch.randn(B, T, D, dtype=torch.float64)
    tail = ConvTail.empty((B, 3, D), device=torch.device("cpu"), dtype=torch.float64)
    parts = torch.cat([module(part, state=tail) for part in x.tensor_split(cuts, dim=1)], dim=1)
    torch.testing.assert_close(parts, module(x))
    assert torch.equal(tail.inputs, x[:, -3:])


def test_the_tail_shares_no_memory_with_what_was_read():
    module, x = convolution(), torch.randn(B, T, D, dtype=torch.float64)
    tail = ConvTail.empty((B, 3, D), device=torch.device("cpu"), dtype=torch.float64)
    module(x, state=tail)
    assert tail.inputs.untyped_storage().nbytes() == tail.num_bytes()


def test_sums_are_in_the_format_of_the_kernel_and_gradients_in_that_of_the_input():
    module, x = convolution(dtype=torch.float32), torch.randn(B, T, D).bfloat16().requires_grad_()
    y = module(x)
    assert y.dtype == torch.float32
    torch.testing.assert_close(y, by_torch(module, x.float()))
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert gradient.dtype == torch.bfloat16
