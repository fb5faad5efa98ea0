import torch

from hornbook.nn.norms import LayerNorm, RMSNorm, unit_length


def test_rms_norm_is_the_formula_of_the_paper():
    norm, x = RMSNorm(6, eps=1e-5), torch.randn(2, 3, 6)
    torch.nn.init.normal_(norm.weight)
    expected = x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt() * norm.weight
    torch.testing.assert_close(norm(x), expected)


def test_rms_norm_has_the_gradient_of_the_formula():
    norm = RMSNorm(5, eps=1e-5)
    x = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    torch.nn.init.normal_(norm.weight)
    gradients = torch.autograd.grad(norm(x).square().sum(), (x, norm.weight))
    formula = x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt() * norm.weight
    expected = torch.autograd.grad(formula.square().sum(), (x, norm.weight))
    # The norm computes in float32 even here.
    torch.testing.assert_close(gradients, expected, rtol=1e-4, atol=1e-5)


def test_rms_norm_takes_its_mean_in_float32_for_narrow_inputs():
    norm, x = RMSNorm(4096, eps=1e-5), torch.full((1, 4096), 300.0, dtype=torch.float16)
    assert norm(x).isfinite().all()  # 4096 squares of 300 overflow float16


def test_layer_norm_is_torchs():
    norm, x = LayerNorm(6, eps=1e-5, bias=True), torch.randn(2, 3, 6)
    torch.testing.assert_close(norm(x), torch.nn.functional.layer_norm(x, (6,)))


def test_layer_norm_without_bias_shifts_nothing():
    norm = LayerNorm(6, eps=1e-5, bias=False)
    assert [name for name, _ in norm.named_parameters()] == ["weight"]
    torch.testing.assert_close(norm(torch.randn(4, 6)).mean(-1), torch.zeros(4), atol=1e-6, rtol=0)


def test_norms_answer_in_the_dtype_of_the_product_that_follows():
    x = torch.randn(2, 6)
    with torch.autocast("cpu", torch.bfloat16):
        assert RMSNorm(6, eps=1e-5)(x).dtype == torch.bfloat16
        assert LayerNorm(6, eps=1e-5, bias=True)(x).dtype == torch.bfloat16
    assert RMSNorm(6, eps=1e-5)(x).dtype == torch.float32


def test_unit_length_is_the_formula_with_its_gradient():
    x = torch.randn(2, 3, 5, dtype=torch.float64, requires_grad=True)
    expected = x / (x.square().sum(-1, keepdim=True) + 1e-6).sqrt()
    torch.testing.assert_close(unit_length(x, eps=1e-6), expected)
    assert torch.autograd.gradcheck(lambda x: unit_length(x, eps=1e-6), (x,))


def test_a_vector_of_zeros_stays_one():
    assert not unit_length(torch.zeros(2, 4), eps=1e-6).any()
