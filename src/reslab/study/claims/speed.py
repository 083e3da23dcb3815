"""How fast this machine is: a second of the kind of work that claims are made of, against docs/claims.md's machine."""

import statistics
import time

import torch
from torch import nn

STEP = 0.0203  # CPU seconds of one step below on one core of the machine of docs/claims.md
SECONDS = 1.0
BURSTS = 7  # a neighbor that takes a moment of the caches spoils one or two, not the median
PAUSE = 0.05


def speed(*, seconds: float = SECONDS) -> float:
    """CPU speed of one core of this machine, that of docs/claims.md's being 1: the median of several short bursts.

    Other processes do not count, as far as the system's CPU time can tell.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            layers = [layer for _ in range(4) for layer in (nn.Conv2d(16, 16, 3, padding=1, bias=False),
                                                            nn.BatchNorm2d(16), nn.ReLU())]  # fmt: skip
            net, x = nn.Sequential(*layers), torch.randn(64, 16, 16, 16)
        times = [step_time(net, x, seconds=seconds / BURSTS) for _ in range(BURSTS)]
    finally:
        torch.set_num_threads(threads)
    return STEP / statistics.median(times)


def step_time(net: nn.Module, x: torch.Tensor, *, seconds: float) -> float:
    """CPU seconds of a training step: the median of a short burst, after a pause that lets others run."""
    time.sleep(PAUSE)
    times: list[float] = []
    began = time.perf_counter()
    while len(times) < 3 or time.perf_counter() - began < seconds:
        at = time.process_time()
        net.zero_grad()
        net(x).square().mean().backward()
        times.append(time.process_time() - at)
    return statistics.median(times)
