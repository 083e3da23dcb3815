"""Memory that was freed is not fetched anew from the system."""

import platform
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from torch.nn import Linear

from reslab.train import training
from reslab.train.recipe import Recipe

COUNTED = """
import resource
import torch
from reslab.train.heap import keep_freed
if {keep}:
    assert keep_freed()
torch.set_num_threads(1)
for k in range(20):
    if k == 10:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    live = [torch.ones(5 * 2**20) for _ in range(3)]
    del live
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_freed_memory_is_used_again_without_page_faults() -> None:
    """60 MB ten times over: 150,000 pages of 4 KiB if each time is the first, next to none if it is kept."""
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("another C library than glibc")
    done = subprocess.run([sys.executable, "-c", COUNTED.format(keep=True)], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 500


def test_a_training_on_the_cpu_keeps_what_it_frees(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(training, "keep_freed", lambda: asked.append(True))
    with pytest.raises(AttributeError):  # the task has no examples
        training.Training(SimpleNamespace(device=torch.device("cpu")), Linear(1, 1), recipe=Recipe(), run=None)
    assert asked == [True]
    with pytest.raises(AttributeError):
        training.Training(SimpleNamespace(device=torch.device("meta")), Linear(1, 1), recipe=Recipe(), run=None)
    assert asked == [True]
