"""DirectML is taken where the user's environment has it; a third-party package of that name stands in for it here."""

import sys

import pytest
import torch

from hornbook.device import pick_device
from hornbook.directml import directml_name, find_directml
from hornbook.errors import DeviceError

PACKAGE = """
import torch

def is_available():
    return {available}

def device_count():
    return 2

def device(number=None):
    return torch.device("cpu")

def device_name(number):
    return f"Some Graphics {{number}}"
"""


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """Make an environment whose torch_directml is the given text."""

    def make(text: str) -> None:
        (tmp_path / "torch_directml.py").write_text(text, encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path)

    monkeypatch.delitem(sys.modules, "torch_directml", raising=False)
    yield make
    sys.modules.pop("torch_directml", None)


def test_it_is_picked_by_name_and_number(environment):
    environment(PACKAGE.format(available=True))
    assert pick_device("directml") == pick_device("directml:1") == torch.device("cpu")
    assert directml_name(torch.device("cpu", 1)) == "Some Graphics 1"


def test_a_number_that_is_not_there_is_refused(environment):
    environment(PACKAGE.format(available=True))
    for name in ("directml:2", "directml:first"):
        with pytest.raises(DeviceError, match=f"no device '{name}'; DirectML has the numbers 0 to 1"):
            pick_device(name)


def test_auto_takes_it_only_where_torch_has_no_accelerator_of_its_own(environment):
    environment(PACKAGE.format(available=True).replace('"cpu"', '"meta"'))
    own = torch.accelerator.current_accelerator(check_available=True)
    assert pick_device("auto") == (own or torch.device("meta"))


def test_without_the_package_the_message_says_what_to_install_and_what_else_to_use():
    with pytest.raises(DeviceError) as caught:
        pick_device("directml")
    text = str(caught.value)
    assert "needs the package torch_directml" in text
    for words in ("pip install torch-directml", "torch 2.4.1", "cuda", "ROCm", "xpu", "training.device=cpu"):
        assert words in text


@pytest.mark.parametrize(
    "text",
    [
        PACKAGE.format(available=False),
        "raise OSError('libdxcore.so: cannot open shared object file')",
        "raise RuntimeError('made for another torch')",
    ],
    ids=["no device", "no driver", "another torch"],
)
def test_a_package_that_does_not_work_here_counts_as_absent(environment, text):
    environment(text)
    assert find_directml() is None
    assert pick_device("auto").type != "privateuseone"
    with pytest.raises(DeviceError, match="this environment has not both"):
        pick_device("directml:0")
