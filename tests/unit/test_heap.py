"""Freed memory is kept, or returned, as it was asked."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, torch
from hornbook.heap import keep_freed_memory, return_freed_memory

def faults():
    for _ in range(20):
        torch.zeros(2**22)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.zeros(2**24)
        torch.zeros(2**22)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(faults(), keep_freed_memory() and faults(), return_freed_memory() and faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library decides for itself")
def test_freed_memory_is_kept_for_the_next_step_or_returned():
    done = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, check=True, text=True)
    unsaid, kept, returned = map(int, done.stdout.split())
    assert 0 <= kept < unsaid / 4
    assert kept < returned / 4
