import json

import pytest
import torch

from hornbook.device import (
    describe_device,
    measure_attention,
    measure_precision,
    peak_matmul_rate,
    pick_device,
)
from hornbook.errors import DeviceError
from hornbook.machine import cache_folder
from hornbook.nn.attention import PATHS

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))


def measured(**changes):
    return measure_precision(CPU, **({"rows": 16, "width": 16, "inner_width": 16} | changes))


def attention(**changes):
    shape = {"rows": 1, "heads": 1, "tokens": 8, "head_width": 8, "dtype": torch.float32}
    return measure_attention(PATHS, CPU, **(shape | changes))


def answers():
    return sorted(cache_folder().glob("*.json"))


def test_auto_takes_what_torch_finds():
    found = torch.accelerator.current_accelerator(check_available=True)
    assert pick_device("auto") == (found or CPU)


def test_the_cpu_is_always_there():
    assert pick_device("cpu") == CPU


@pytest.mark.parametrize("name", ["xpu:7", "toaster", "cuda:99", "meta"])
def test_a_device_that_is_not_here_is_refused_with_what_is(name):
    with pytest.raises(DeviceError, match=rf"no device '{name}'; it has cpu.*\nfix: set training.device = 'auto'"):
        pick_device(name)


def test_the_cpu_is_described():
    info = describe_device(CPU)
    assert info.name
    assert info.dtypes == ("fp32", "bf16")
    assert info.threads == torch.get_num_threads()
    assert info.memory_bytes > 2**28


def test_precision_is_chosen_by_time():
    seen = measured()
    assert seen.choice in {"fp32", "bf16"}
    assert set(seen.milliseconds) == {"fp32", "bf16"}
    faster = seen.milliseconds["bf16"] * 1.15 < seen.milliseconds["fp32"]
    assert seen.choice == ("bf16" if faster else "fp32")


def test_attention_is_chosen_by_time():
    seen = attention()
    assert seen.choice == min(seen.milliseconds, key=seen.milliseconds.__getitem__)
    assert set(seen.milliseconds) == set(PATHS)


def test_attention_too_large_to_hold_is_measured_on_fewer_heads():
    assert attention(rows=2**40, heads=2**10).milliseconds


def test_a_second_run_gets_the_first_ones_answer():
    first = measured()
    second = measured()
    assert (first.cached, second.cached) == (False, True)
    assert (second.choice, second.milliseconds) == (first.choice, first.milliseconds)


def test_another_shape_is_another_question():
    measured()
    assert not measured(rows=32).cached


def test_an_unreadable_answer_is_measured_again_and_replaced():
    measured()
    [answer] = answers()
    answer.write_text('{"choice": ')
    assert not measured().cached
    assert measured().cached


def test_an_answer_to_another_question_is_not_believed():
    measured()
    [answer] = answers()
    content = json.loads(answer.read_text())
    content["key"]["torch"] = "0.0"
    answer.write_text(json.dumps(content))
    assert not measured().cached


def test_the_first_of_two_that_measure_at_once_counts_for_both():
    first = attention()
    [answer] = answers()
    finished = answer.read_text()
    answer.unlink()

    def slow(*tensors):
        answer.write_text(finished)  # another process finishes while this one still measures
        return PATHS["sdpa"](*tensors)

    shape = {"rows": 1, "heads": 1, "tokens": 8, "head_width": 8, "dtype": torch.float32}
    second = measure_attention({"sdpa": slow, "matmul": PATHS["matmul"]}, CPU, **shape)
    assert second.milliseconds == first.milliseconds


def test_a_cache_that_cannot_be_written_does_not_stop_anyone(tmp_path):
    (tmp_path / "hornbook").write_text("a file where the folder should be")
    assert measured().choice in {"fp32", "bf16"}
    assert not measured().cached


def test_no_half_written_files_stay():
    measured()
    assert [path.suffix for path in cache_folder().iterdir()] == [".json"]


def test_measuring_leaves_torchs_generator_alone():
    before = torch.random.get_rng_state()
    measured()
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_peak_rate_is_positive_and_remembered():
    first = peak_matmul_rate(CPU, torch.float32)
    assert first > 1e8
    assert peak_matmul_rate(CPU, torch.float32) == first


def test_choices_are_measured_with_one_thread_and_the_threads_are_put_back():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        measured()
        attention()
        assert torch.get_num_threads() == 2
        assert {json.loads(path.read_text())["key"]["threads"] for path in answers()} == {1}
    finally:
        torch.set_num_threads(before)
