"""DirectML: graphics processors of any make on Windows and WSL, where the user's own environment has torch_directml.

It is no dependency, since it is bound to torch 2.4.1. Everything is asked of the package when it is needed.
"""

from types import ModuleType
from typing import TYPE_CHECKING

from hornbook.errors import DeviceError

if TYPE_CHECKING:
    import torch

NAME = "directml"

KIND = "privateuseone"
"""What torch calls the kind of a device that a package of its own brings."""


def find_directml() -> ModuleType | None:
    """Return torch_directml if it is installed, works with this torch and sees a device; else none."""
    try:
        import torch_directml  # type: ignore[import-not-found,unused-ignore]
    except (ImportError, OSError, RuntimeError):  # absent, made for another torch, or without its driver
        return None
    return torch_directml if torch_directml.is_available() else None  # type: ignore[no-any-return,unused-ignore]


def pick_directml(name: str) -> "torch.device":
    """Return the device "directml", or "directml:1" and so on by number.

    Raises:
        DeviceError: if torch_directml is not usable here, or has no device of that number.
    """
    package, number = find_directml(), name.partition(":")[2]
    if package is None:
        raise DeviceError(
            "training.device = 'directml' needs the package torch_directml and a DirectX 12 device; "
            "this environment has not both.",
            fix="in an environment of its own: pip install torch-directml (it brings torch 2.4.1, the last it works "
            "with). On NVIDIA use cuda, on AMD under Linux torch's ROCm build, on Intel xpu, else training.device=cpu.",
        )
    count = package.device_count()
    if number and not (number.isdecimal() and int(number) < count):
        raise DeviceError(
            f"There is no device '{name}'; DirectML has the numbers 0 to {count - 1}.", fix="use one of them."
        )
    return package.device(int(number)) if number else package.device()  # type: ignore[no-any-return]


def directml_name(device: "torch.device") -> str:
    """Return what DirectML calls a device it gave."""
    package = find_directml()
    return str(package.device_name(device.index or 0)) if package else KIND
