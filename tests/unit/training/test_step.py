"""A step divides by counted targets, clips, and refuses what is not finite."""

import pytest
import torch

from hornbook.config.optimizing import AdamWConfig
from hornbook.data.batch import Batch
from hornbook.models.build import build_model
from hornbook.models.gpt.config import GPTConfig
from hornbook.models.llama.config import LlamaConfig
from hornbook.nn.losses import IGNORE
from hornbook.training.optimizers import build_optimizers
from hornbook.training.precision import FIRST_SCALE, GROWTH_INTERVAL_STEPS, LossScale, Precision
from hornbook.training.step import Stepper

CPU = torch.device("cpu")
ROWS, T, V = 8, 12, 17


def stepper(*, micro_batch_rows: int = ROWS, model=None, clip_norm: float = 0.0, dtype=torch.float32):
    model = model or build_model(LlamaConfig(vocab_size=V, context=T, width=16, num_layers=2, num_heads=2), seed=0)
    precision = Precision(CPU, dtype)
    return Stepper(
        model=model,
        optimizers=build_optimizers(model, AdamWConfig(lr=0.1), matrix_dtype=torch.float32),
        precision=precision,
        loss_scale=LossScale(precision),
        seed=0,
        clip_norm=clip_norm,
        micro_batch_rows=micro_batch_rows,
    )


def unevenly_masked_batch() -> Batch:
    """Rows with 12, 11, ... 5 targets: micro-batches hold different numbers of targets."""
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(V, (ROWS, T), generator=generator)
    targets = torch.randint(V, (ROWS, T), generator=generator)
    for row in range(ROWS):
        targets[row, :row] = IGNORE
    targets[4:] = targets[4:].where(torch.arange(T) > 9, IGNORE)
    return Batch(tokens, targets, None, tuple(range(ROWS)))


def gradients(stepper: Stepper, batch: Batch) -> tuple[float, torch.Tensor]:
    loss, _ = stepper.backward(batch, 0)
    return float(loss), torch.cat([p.grad.flatten() for p in stepper.model.parameters() if p.grad is not None])


@pytest.mark.parametrize("micro_batch_rows", [4, 2, 1])
def test_accumulation_equals_one_large_batch_under_masks(micro_batch_rows):
    batch = unevenly_masked_batch()
    whole_loss, whole = gradients(stepper(micro_batch_rows=ROWS), batch)
    loss, gradient = gradients(stepper(micro_batch_rows=micro_batch_rows), batch)
    assert loss == pytest.approx(whole_loss, rel=1e-6)
    torch.testing.assert_close(gradient, whole, rtol=1e-4, atol=1e-7)


def test_means_of_means_would_have_been_noticed():
    """The test above can fail: averaging micro-batch means gives another loss on this batch."""
    batch = unevenly_masked_batch()
    whole_loss, _ = gradients(stepper(), batch)
    means = [gradients(stepper(), part)[0] for part in batch.micro_batches(1)]
    assert abs(sum(means) / len(means) - whole_loss) > 1e-3


def test_a_batch_without_targets_is_a_loss_of_zero():
    batch = unevenly_masked_batch()
    empty = Batch(batch.tokens, torch.full_like(batch.targets, IGNORE), None, batch.rows)
    report = stepper().step(empty, 0, share=1.0)
    assert (float(report.loss), report.targets, float(report.grad_norm)) == (0.0, 0, 0.0)


def test_gradients_are_clipped_to_the_norm_and_the_norm_before_is_reported():
    one = stepper(clip_norm=0.01)
    one.backward(unevenly_masked_batch(), 0)
    norm = one._clip()
    clipped = torch.cat([p.grad.flatten() for p in one.model.parameters() if p.grad is not None]).norm()
    assert float(norm) > 0.1
    assert float(clipped) == pytest.approx(0.01, rel=1e-3)


def test_the_rate_is_the_share_of_the_peak_that_is_asked_for():
    one = stepper()
    rates = [one.step(unevenly_masked_batch(), number, share=share).lr for number, share in enumerate([0.5, 1, 3])]
    assert rates == pytest.approx([0.05, 0.1, 0.3])


def test_a_gradient_that_is_not_finite_changes_no_weight():
    one = stepper()
    with torch.no_grad():
        one.model.norm.weight[0] = torch.inf
    before = [parameter.clone() for parameter in one.model.parameters()]
    report = one.step(unevenly_masked_batch(), 0, share=1.0)
    assert bool(report.skipped)
    for parameter, old in zip(one.model.parameters(), before, strict=True):
        assert torch.equal(parameter, old)


def test_dropout_is_a_function_of_step_and_micro_batch():
    def losses(seed_before: int) -> list[float]:
        torch.manual_seed(seed_before)
        config = GPTConfig(vocab_size=V, context=T, width=16, num_layers=1, num_heads=2, dropout=0.5)
        one = stepper(model=build_model(config, seed=0), micro_batch_rows=4)
        return [float(one.backward(unevenly_masked_batch(), number)[0]) for number in (0, 1, 0)]

    first = losses(seed_before=1)
    assert first[0] == first[2] != first[1]
    assert losses(seed_before=2) == first


def test_bf16_keeps_the_weights_in_float32():
    one = stepper(dtype=torch.bfloat16)
    one.step(unevenly_masked_batch(), 0, share=1.0)
    assert {parameter.dtype for parameter in one.model.parameters()} == {torch.float32}


def test_the_loss_scale_halves_at_an_overflow_and_doubles_after_many_clean_steps():
    scale = LossScale(Precision(CPU, torch.float16))
    scale.update(torch.tensor(1.0))
    assert float(scale.factor) == FIRST_SCALE / 2
    for _ in range(GROWTH_INTERVAL_STEPS):
        scale.update(torch.tensor(0.0))
    assert float(scale.factor) == FIRST_SCALE
    restored = LossScale(Precision(CPU, torch.float16))
    restored.load_state(scale.state())
    assert restored.state() == scale.state()


def test_the_loss_scale_does_not_change_the_gradient():
    batch = unevenly_masked_batch()
    plain, scaled = stepper(), stepper()
    scaled.loss_scale.active = True
    scaled.loss_scale.factor = torch.tensor(FIRST_SCALE)
    for one in (plain, scaled):
        one.backward(batch, 0)
        one._clip()
    for a, b in zip(plain.model.parameters(), scaled.model.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-5, atol=1e-8)
