"""Memory that was freed is not fetched anew from the system."""

import os
import platform
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.nn import Linear

from reslab.progress import silent
from reslab.train import prepared
from reslab.train.recipe import Recipe

COUNTED = """
import resource
import torch
from reslab.train.heap import keep_freed
if {keep}:
    assert keep_freed()
torch.set_num_threads(1)
for k in range(8):
    if k == 4:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    live = [torch.ones(12 * 2**20) for _ in range(3)]
    del live
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""

HUGE = """
from reslab.train.heap import keep_freed
keep_freed()
size = found = 0
for line in open("/proc/self/smaps"):
    name, _, value = line.partition(":")
    size = int(value.split()[0]) if name == "Size" else size
    found += size if name == "VmFlags" and "hg" in value.split() else 0
print(found)
"""


def counted(code: str) -> int:
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        pytest.skip("another C library than glibc")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_freed_memory_is_used_again_without_page_faults() -> None:
    """144 MB four times over: 140,000 pages of 4 KiB if each time is the first, next to none if it is kept.

    A block has 48 MB, more than glibc takes from its heap by itself.
    """
    assert counted(COUNTED.format(keep=True)) < 500


def test_the_heap_asks_for_huge_pages() -> None:
    """Linux marks what was asked for in huge pages with "hg" and counts it in kB: half of the memory, up to 8 GiB."""
    if not Path("/sys/kernel/mm/transparent_hugepage/enabled").is_file():
        pytest.skip("no huge pages")
    size = counted(HUGE)
    wanted = min(2**33, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2)
    assert wanted - 2 * 2**21 <= size * 1024 <= wanted


def test_a_training_on_the_cpu_keeps_what_it_frees(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(prepared, "keep_freed", lambda: asked.append("yes"))
    how: Any = {"run": None, "saved": None, "progress": silent, "stopped": lambda: 0}
    for device in ("cpu", "meta"):
        task: Any = SimpleNamespace(device=torch.device(device))  # it has no data: the rest cannot be prepared
        with pytest.raises(AttributeError):
            prepared.Prepared(task, Linear(1, 1), recipe=Recipe(), **how)
    assert asked == ["yes"]
