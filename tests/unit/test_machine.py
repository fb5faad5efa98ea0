"""What was measured on this machine is read without torch, and never trusted blindly."""

import json

import pytest

from hornbook.machine import Machine, cache_folder, read_machine


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    cache_folder().mkdir(parents=True)
    return cache_folder()


def write(cache, name, question, *, choice="matmul", milliseconds=1.0, device="cpu X"):
    content = {
        "key": {"question": question, "device": device},
        "choice": choice,
        "milliseconds": {choice: milliseconds},
    }
    (cache / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")


def test_nothing_measured_is_an_empty_machine(cache):
    assert read_machine() == Machine("cpu")
    assert read_machine().matmul_flops("fp32") is None
    assert read_machine().choice("precision") is None


def test_the_rate_of_large_products_is_read_by_format(cache):
    write(cache, "a", "peak side=1000 dtype=torch.float32", milliseconds=20.0)
    assert read_machine().matmul_flops("fp32") == pytest.approx(1e11)
    assert read_machine().matmul_flops("bf16") is None


def test_a_choice_is_found_by_what_it_was_about(cache):
    write(cache, "a", "precision rows=8 width=64 inner_width=256", choice="bf16")
    assert read_machine().choice("precision", rows=8, width=64) == "bf16"
    assert read_machine().choice("precision", rows=9) is None


def test_auto_is_the_accelerator_where_one_was_measured(cache):
    write(cache, "a", "peak side=1000 dtype=torch.float32", device="cpu X")
    write(cache, "b", "peak side=1000 dtype=torch.bfloat16", device="cuda Y")
    assert read_machine("auto").device == "cuda"
    assert read_machine("cpu").matmul_flops("bf16") is None
    assert read_machine("cuda:1").matmul_flops("bf16")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"key": 3}', '{"key": {"question": "", "device": ""}}'])
def test_what_cannot_be_read_counts_as_not_there(cache, content):
    (cache / "bad.json").write_text(content, encoding="utf-8")
    assert read_machine() == Machine("cpu")
