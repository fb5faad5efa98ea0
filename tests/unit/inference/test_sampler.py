"""How the next token is chosen."""

import math

import pytest
import torch

from hornbook.config.sections import SamplingConfig
from hornbook.errors import ConfigError
from hornbook.inference.sampler import (
    GREEDY,
    UNDEFINED,
    SamplingSettings,
    choose,
    keep_likely,
    penalise,
    pick,
    soften,
    uniform,
)

ALMOST_ONE = 1 - 2.0**-53


def weights_of(*probabilities: float) -> torch.Tensor:
    return torch.tensor([probabilities], dtype=torch.float64)


def kept(weights: torch.Tensor, **settings: float) -> list[int]:
    return keep_likely(weights, SamplingSettings(**settings))[0].nonzero()[:, 0].tolist()


def test_temperature_zero_takes_the_likeliest_and_the_first_of_equals():
    logits = torch.tensor([[0.0, 3.0, 1.0], [2.0, 2.0, 1.0]])
    assert choose(logits, GREEDY, draws=[0.9, 0.9]).tolist() == [1, 0]


def test_frequencies_follow_the_softmax_at_a_temperature():
    logits, count = torch.tensor([1.0, 0.0, -1.0, 2.0]), 20_000
    draws = [uniform(3, prompt=0, position=position) for position in range(count)]
    chosen = choose(logits.expand(count, 4), SamplingSettings(temperature=0.7), draws=draws)
    expected = (logits / 0.7).softmax(-1)
    # Five standard deviations of a frequency of 1/2; the draws are fixed, so this never flickers.
    torch.testing.assert_close(chosen.bincount(minlength=4) / count, expected, rtol=0, atol=5 * 0.5 / count**0.5)


def test_a_tiny_temperature_is_greedy_and_stays_finite():
    logits = torch.tensor([[5.0, 5.1, -3.0]])
    assert choose(logits, SamplingSettings(temperature=1e-30), draws=[ALMOST_ONE]).tolist() == [1]


def test_draws_are_a_function_of_seed_prompt_and_position_alone():
    numbers = {(s, p, n): uniform(s, prompt=p, position=n) for s in range(3) for p in range(12) for n in range(12)}
    assert uniform(2, prompt=1, position=0) == numbers[2, 1, 0]
    assert len(set(numbers.values())) == len(numbers)
    assert all(0 <= number < 1 for number in numbers.values())


def test_a_row_is_chosen_alike_whatever_stands_beside_it():
    logits = torch.randn(6, 50, generator=torch.Generator().manual_seed(0))
    draws = [uniform(0, prompt=row, position=0) for row in range(6)]
    settings = SamplingSettings(top_k=20, top_p=0.9, min_p=0.01)
    together = choose(logits, settings, draws=draws).tolist()
    assert together == [choose(logits[i : i + 1], settings, draws=draws[i : i + 1]).item() for i in range(6)]


def test_top_k_keeps_the_k_likeliest_and_what_ties_with_the_last():
    assert kept(weights_of(0.1, 1.0, 0.5, 0.3), top_k=2) == [1, 2]
    assert kept(weights_of(0.5, 1.0, 0.5, 0.3), top_k=2) == [0, 1, 2]
    assert kept(weights_of(0.5, 1.0), top_k=9) == [0, 1]


def test_top_p_keeps_the_smallest_set_that_has_the_probability():
    weights = weights_of(0.125, 0.5, 0.25, 0.125)
    assert kept(weights, top_p=0.5) == [1]
    assert kept(weights, top_p=0.51) == [1, 2]
    assert kept(weights, top_p=0.75) == [1, 2]
    assert kept(weights, top_p=1e-9) == [1]


def test_top_p_agrees_with_the_definition_written_as_a_loop():
    generator = torch.Generator().manual_seed(1)
    for _ in range(50):
        weights = torch.rand(1, 30, generator=generator, dtype=torch.float64) ** 4
        order, total, expected = weights[0].argsort(descending=True).tolist(), 0.0, []
        for token in order:
            if total >= 0.6 * weights.sum().item():
                break
            expected.append(token)
            total += weights[0, token].item()
        assert kept(weights, top_p=0.6) == sorted(expected)


def test_min_p_drops_what_is_far_below_the_likeliest():
    assert kept(weights_of(0.2, 1.0, 0.05, 0.1), min_p=0.1) == [0, 1, 3]


def test_top_p_counts_the_probability_that_top_k_left():
    weights = weights_of(0.4, 0.3, 0.2, 0.1)
    assert kept(weights, top_p=0.5) == [0, 1]
    assert kept(weights, top_p=0.5, top_k=2) == [0]


def test_a_token_of_no_weight_is_never_picked():
    weights = weights_of(0.0, 1.0, 0.0, 1e-12, 0.0).expand(4, 5)
    draws = torch.tensor([0.0, 0.5, 0.999, ALMOST_ONE], dtype=torch.float64)
    assert pick(weights, draws).tolist() == [1, 1, 1, 3]


def test_the_penalty_lowers_positive_and_negative_logits():
    logits = torch.tensor([[2.0, -2.0, 0.0, 3.0]])
    seen = torch.tensor([[True, True, True, False]])
    assert penalise(logits, seen, 2.0).tolist() == [[1.0, -4.0, 0.0, 3.0]]


def test_the_penalty_changes_the_greedy_choice():
    logits, seen = torch.tensor([[-1.0, -1.5]]), torch.tensor([[True, False]])
    settings = SamplingSettings(temperature=0, repetition_penalty=2.0)
    assert choose(logits, settings, draws=[0.0], seen=seen).tolist() == [1]


@pytest.mark.parametrize("settings", [GREEDY, SamplingSettings(top_k=2, top_p=0.9, min_p=0.1)])
@pytest.mark.parametrize("bad", [[math.nan, 1.0, 2.0], [math.inf, 1.0, 2.0], [-math.inf] * 3])
def test_unusable_logits_choose_nothing_and_leave_the_neighbours_alone(bad, settings):
    chosen = choose(torch.tensor([[0.0, 9.0, 0.0], bad]), settings, draws=[0.5, 0.5])
    assert chosen.tolist() == [1, UNDEFINED]


def test_a_forbidden_token_is_no_fault_of_the_logits():
    logits = torch.tensor([[-math.inf, 1.0]])
    assert choose(logits, SamplingSettings(), draws=[0.0]).tolist() == [1]


def test_half_precision_logits_are_compared_in_float32():
    logits = torch.randn(3, 40, generator=torch.Generator().manual_seed(0)).bfloat16()
    settings = SamplingSettings(top_p=0.9)
    assert choose(logits, settings, draws=[0.3] * 3).equal(choose(logits.float(), settings, draws=[0.3] * 3))
    assert soften(logits.float(), 1.0).dtype == torch.float64


@pytest.mark.parametrize(
    ("setting", "range_text"),
    [
        ({"temperature": -0.1}, "a number of 0 or more"),
        ({"temperature": math.nan}, "a number of 0 or more"),
        ({"top_k": -1}, "a whole number of 0 or more"),
        ({"top_k": 2.5}, "a whole number of 0 or more"),
        ({"top_p": 0.0}, "a number above 0 and at most 1"),
        ({"min_p": 1.5}, "a number between 0 and 1"),
        ({"repetition_penalty": 0.0}, "a number above 0"),
        ({"repetition_penalty": math.inf}, "a number above 0"),
    ],
)
def test_an_impossible_setting_is_named(setting, range_text):
    ((name, value),) = setting.items()
    with pytest.raises(ConfigError) as caught:
        SamplingSettings(**setting)
    assert caught.value.problem == f"{name} = {value} is impossible."
    assert caught.value.fix == f"give {range_text}."


def test_settings_come_from_the_section_of_a_run():
    config = SamplingConfig(temperature=0.3, top_k=7, top_p=0.8, min_p=0.02, repetition_penalty=1.3)
    assert SamplingSettings.from_config(config, seed=5) == SamplingSettings(
        temperature=0.3, top_k=7, top_p=0.8, min_p=0.02, repetition_penalty=1.3, seed=5
    )
