"""Steps in fp16: a scaled loss whose first overflows are skipped, and that learns what fp32 learns."""

import pytest
import torch

from hornbook.config.optimizing import AdamWConfig, LionConfig, MuonConfig, PlainAdamConfig, SGDConfig
from hornbook.data.batch import Batch
from hornbook.models.build import build_model
from hornbook.models.llama.config import LlamaConfig
from hornbook.training.optimizers import build_optimizers
from hornbook.training.precision import FIRST_SCALE, LossScale, Precision
from hornbook.training.step import Stepper

CPU = torch.device("cpu")
OPTIMIZERS = [AdamWConfig(lr=1e-2), MuonConfig(), PlainAdamConfig(lr=1e-2), LionConfig(lr=2e-3), SGDConfig()]


def losses(dtype: torch.dtype, config, *, scale: float = FIRST_SCALE) -> tuple[list[float], Stepper, list[bool]]:
    """Learn one batch by heart for 40 steps."""
    model = build_model(LlamaConfig(vocab_size=17, context=12, width=16, num_layers=2, num_heads=2), seed=0)
    precision = Precision(CPU, dtype)
    loss_scale = LossScale(precision)
    loss_scale.factor = torch.tensor(scale if loss_scale.active else 1.0)
    stepper = Stepper(
        model=model,
        optimizers=build_optimizers(model, config, matrix_dtype=precision.matrix_dtype),
        precision=precision,
        loss_scale=loss_scale,
        seed=0,
        clip_norm=1.0,
        micro_batch_rows=4,
    )
    tokens = torch.randint(17, (4, 13), generator=torch.Generator().manual_seed(0))
    batch = Batch(tokens[:, :-1], tokens[:, 1:], None, tuple(range(4)))
    reports = [stepper.step(batch, number, share=1.0) for number in range(40)]
    return [float(one.loss) for one in reports], stepper, [bool(one.skipped) for one in reports]


@pytest.mark.parametrize("config", OPTIMIZERS, ids=lambda config: config.name)
def test_fp16_learns_what_fp32_learns(config):
    whole, _, _ = losses(torch.float32, config)
    half, _, skipped = losses(torch.float16, config)
    assert half[-1] < 0.8 * half[0]
    # 11 bits of every product, 40 steps long, and a step or two that the first scale costs.
    assert half[-1] == pytest.approx(whole[-1], rel=0.2)
    assert sum(skipped) <= 5


@pytest.mark.parametrize("config", OPTIMIZERS, ids=lambda config: config.name)
def test_a_scale_that_is_too_large_is_halved_until_it_fits_and_harms_nothing(config):
    half, stepper, skipped = losses(torch.float16, config, scale=2.0**30)
    first = skipped.index(False)
    assert first >= 5 and skipped[:first] == [True] * first
    assert half[:first] == [half[0]] * first, "a skipped step changed the weights"
    assert float(stepper.loss_scale.factor) < 2.0**30
    assert half[-1] < 0.9 * half[0]
