"""Continuing ids: one batch, many lengths, one state."""

import pytest
import torch

from hornbook.config.model import ModelConfig
from hornbook.errors import ConfigError, HornbookError
from hornbook.inference import generate as generate_module
from hornbook.inference.generate import Decoding, generate, start_row
from hornbook.inference.sampler import GREEDY, SamplingSettings
from hornbook.models.build import build_model
from hornbook.models.contract import LanguageModel
from hornbook.models.gpt.config import GPTConfig
from hornbook.models.llama.config import LlamaConfig
from hornbook.models.rnn.config import RNNConfig

CONFIGS: list[ModelConfig] = [
    LlamaConfig(vocab_size=61, width=32, num_layers=2, num_heads=4, num_kv_heads=2, context=64),
    GPTConfig(vocab_size=61, width=32, num_layers=2, num_heads=4, context=64, dropout=0.5),
    RNNConfig(vocab_size=61, width=32, num_layers=2, context=64, cell="lstm"),
]
PROMPTS = [[5, 6, 7, 8, 9, 10, 11], [1], [40, 41, 42], [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9], [1, 2, 3]]
SAMPLED = SamplingSettings(temperature=1.0, top_p=0.95, seed=4)


def tiny_model(config: ModelConfig = CONFIGS[0], *, context: int = 64) -> LanguageModel:
    """A model whose weights are large enough that its greedy text is not one token for ever."""
    model = build_model(config.model_copy(update={"context": context}), seed=0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(3.0)
    return model


def greedy_by_recomputing(model: LanguageModel, prompt: list[int], count: int) -> list[int]:
    """The same text the slow way: the whole prefix through the model at every token."""
    ids = list(prompt)
    model.eval()
    for _ in range(count):
        ids.append(int(model(torch.tensor([ids]))[0, -1].argmax()))
    return ids[len(prompt) :]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.arch)
def test_sampling_from_the_state_equals_sampling_from_the_whole_prefix(config):
    model = tiny_model(config)
    expected = [greedy_by_recomputing(model, prompt, 20) for prompt in PROMPTS]
    assert [c.ids for c in generate(model, PROMPTS, settings=GREEDY, max_tokens=20)] == expected
    assert len({tuple(ids) for ids in expected}) > 1, "a constant model would prove nothing"


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.arch)
def test_a_prompt_among_longer_and_shorter_ones_is_continued_as_it_is_alone(config):
    model = tiny_model(config)
    alone = [generate(model, [prompt], settings=GREEDY, max_tokens=24)[0] for prompt in PROMPTS]
    assert generate(model, PROMPTS, settings=GREEDY, max_tokens=24) == alone


def test_a_sample_depends_on_the_place_of_its_prompt_and_not_on_the_neighbours():
    model = tiny_model()
    among = generate(model, PROMPTS, settings=SAMPLED, max_tokens=24)
    others = [[7, 7], *PROMPTS[1:3], [9] * 30]
    assert generate(model, others, settings=SAMPLED, max_tokens=24)[1:3] == among[1:3]


def test_the_same_prompt_twice_gives_two_samples_and_the_same_seed_the_same_ones():
    model = tiny_model()
    first = generate(model, [[1, 2]] * 2, settings=SAMPLED, max_tokens=20)
    assert first[0] != first[1]
    assert first == generate(model, [[1, 2]] * 2, settings=SAMPLED, max_tokens=20)
    assert first != generate(
        model, [[1, 2]] * 2, settings=SamplingSettings(temperature=1.0, seed=5), max_tokens=20
    )


def test_torchs_own_random_numbers_are_neither_used_nor_moved():
    model = tiny_model()
    before = torch.get_rng_state()
    generate(model, PROMPTS, settings=SAMPLED, max_tokens=5)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(("name", "value"), [("MOST_ROWS", 2), ("STATE_BYTES", 1), ("FEED_TOKENS", 10)])
def test_how_the_work_is_cut_changes_nothing(monkeypatch, name, value):
    model = tiny_model()
    whole = generate(model, PROMPTS, settings=SAMPLED, max_tokens=20)
    monkeypatch.setattr(generate_module, name, value)
    assert generate(model, PROMPTS, settings=SAMPLED, max_tokens=20) == whole


def test_a_stop_token_ends_its_row_and_is_the_last_it_wrote():
    model = tiny_model()
    free = generate(model, PROMPTS, settings=SAMPLED, max_tokens=24)
    stops = frozenset(free[0].ids[4:6])
    for was, now in zip(
        free, generate(model, PROMPTS, settings=SAMPLED, max_tokens=24, stop_ids=stops), strict=True
    ):
        end = next((n + 1 for n, token in enumerate(was.ids) if token in stops), None)
        assert now.ids == was.ids[:end]
        assert now.stopped == ("length" if end is None else "stop")


def test_finished_rows_leave_the_batch():
    model = tiny_model()
    rows = [start_row(model, number, prompt) for number, prompt in enumerate(PROMPTS)]
    decoding = Decoding(model, rows, settings=GREEDY, max_tokens=8)
    sizes = []
    while decoding.speaking:
        decoding.step()
        sizes.append(len(decoding.rows))
    assert sizes[0] == 5
    assert sizes[-1] == 1
    assert all(len(row.written) == 8 for row in rows)


def test_the_caller_can_end_a_row():
    model, heard = tiny_model(), []

    def listen(number: int, token: int) -> bool:
        heard.append((number, token))
        return number == 1 and len([n for n, _ in heard if n == 1]) == 3

    completions = generate(model, PROMPTS, settings=GREEDY, max_tokens=9, on_token=listen)
    assert [c.stopped for c in completions] == ["length", "caller", "length", "length", "length"]
    assert [[token for n, token in heard if n == number] for number in range(5)] == [c.ids for c in completions]


def test_a_full_context_slides_to_its_last_half():
    model = tiny_model(context=16)
    expected, window = [], [1, 2, 3]
    while len(expected) < 50:
        if len(window) > 16:
            window = window[-8:]
        expected.append(greedy_by_recomputing(model, window, 1)[0])
        window.append(expected[-1])
    completions = generate(model, [[1, 2, 3], [4, 5, 6, 7, 8]], settings=GREEDY, max_tokens=50)
    assert completions[0].ids == expected
    assert all(c.slid and len(c.ids) == 50 and c.stopped == "length" for c in completions)


def test_without_sliding_a_full_context_ends_the_text():
    model = tiny_model(context=16)
    (completion,) = generate(model, [[1, 2, 3]], settings=GREEDY, max_tokens=50, slide=False)
    assert completion.stopped == "context"
    assert completion.ids == greedy_by_recomputing(model, [1, 2, 3], 14)
    assert not completion.slid


def test_a_context_of_one_token_still_speaks():
    assert len(generate(tiny_model(context=1), [[1, 2]], settings=GREEDY, max_tokens=5)[0].ids) == 5


def test_a_prompt_longer_than_the_context_keeps_its_end_and_says_so():
    model, prompt = tiny_model(context=16), list(range(1, 31))
    (completion,) = generate(model, [prompt], settings=GREEDY, max_tokens=3)
    assert completion.cut == 14
    assert completion.ids == generate(model, [prompt[14:]], settings=GREEDY, max_tokens=3)[0].ids


def test_a_strong_penalty_repeats_no_token_of_the_prompt_or_the_text():
    settings = SamplingSettings(temperature=0, repetition_penalty=1e6)
    model = tiny_model()
    for prompt, completion in zip(
        PROMPTS, generate(model, PROMPTS, settings=settings, max_tokens=30), strict=True
    ):
        assert len(set(completion.ids) | set(prompt)) == 30 + len(set(prompt))


def test_dropout_is_off_while_generating_and_back_afterwards():
    model = tiny_model(CONFIGS[1]).train()
    first = generate(model, PROMPTS, settings=GREEDY, max_tokens=10)
    assert model.training
    assert first == generate(model.eval(), PROMPTS, settings=GREEDY, max_tokens=10)


def test_the_model_can_be_trained_after_it_has_spoken():
    model = tiny_model().train()
    generate(model, PROMPTS, settings=GREEDY, max_tokens=3)
    model(torch.tensor(PROMPTS[:1])).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_autocast_decides_the_dtype_of_the_memory():
    model = tiny_model()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        decoding = Decoding(model, [start_row(model, 0, [1, 2])], settings=GREEDY, max_tokens=4)
        decoding.step()
    assert decoding.state.num_bytes() * 2 == model.init_state(1, 6).num_bytes()


def test_no_prompts_give_no_completions():
    assert generate(tiny_model(), [], settings=GREEDY, max_tokens=4) == []


def test_logits_that_are_not_finite_are_refused():
    model = tiny_model()
    with torch.no_grad():
        model.head_weight()[7] = torch.nan
    with pytest.raises(HornbookError, match="logits are not finite at token 0 after prompt 0") as caught:
        generate(model, [[1, 2, 3]], settings=SAMPLED, max_tokens=4)
    assert "earlier checkpoint" in caught.value.fix


@pytest.mark.parametrize(
    ("prompt", "max_tokens", "message"),
    [
        ([], 4, "Prompt 1 has no tokens."),
        ([3, 61], 4, "Prompt 1 holds ids from 3 to 61; the model knows 0 to 60."),
        ([-1, 2], 4, "Prompt 1 holds ids from -1 to 2"),
        ([1], 0, "max_tokens = 0 leaves nothing to write."),
    ],
)
def test_an_impossible_request_is_refused_by_name(prompt, max_tokens, message):
    with pytest.raises(ConfigError, match=message):
        generate(tiny_model(), [[1], prompt], settings=GREEDY, max_tokens=max_tokens)


def test_a_model_whose_memory_has_no_limit_reads_and_writes_beyond_its_context():
    model = tiny_model(CONFIGS[2], context=8)
    prompt = [n % 61 for n in range(3, 23)]
    (completion,) = generate(model, [prompt], settings=GREEDY, max_tokens=30, slide=False)
    assert completion.ids == greedy_by_recomputing(model, prompt, 30)
    assert (completion.cut, completion.slid, completion.stopped) == (0, False, "length")


def test_rows_of_a_constant_memory_count_by_its_size():
    model = tiny_model(RNNConfig(vocab_size=61, width=32, num_layers=2, context=64))
    size = model.config.state_bytes_per_row(4)
    assert size == model.init_state(1, 10).num_bytes()
    rows = [start_row(model, number, [1]) for number in range(7)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generate_module, "STATE_BYTES", 3 * size)
        batches = list(generate_module._batches(model, rows, max_tokens=10_000))
    assert [len(batch) for batch in batches] == [3, 3, 1]
