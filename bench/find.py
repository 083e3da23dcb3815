"""The claims: finding the residual connections costs a few forward passes, once, and no more memory than one.

find() against one forward pass of ResNet-50 (one image of 224x224) and of a 12-layer BERT (128 tokens, random
weights, extra `text`), alternately in one process; both also with `values=True`, which does not try shapes alone first.
Then the peak memory of each with a larger batch, in processes of their own: python bench/find.py [--rounds 7]
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

import reslab
from reslab.look import find
from reslab.look.graph.example import batch_size, repeated
from reslab.look.graph.passes import call
from reslab.run import processor


def seconds(work: Callable[[], object]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


def middle(times: list[float]) -> str:
    return f"{1000 * statistics.median(times):.0f} ms"


def memory(name: str, model: nn.Module, example: Any) -> None:
    """Print the peak memory of a pass and of find(), beyond what was there before, for 16 copies of the example."""
    if not Path("/proc/self/clear_refs").exists():
        print("  the peak memory is only measured on Linux")
        return
    many = repeated(example, 16)
    with torch.no_grad():
        find(model, example)  # what is imported or made once
        one = peaks(lambda: call(model, many))
        for how, values in (("find", False), ("find, values=True", True)):
            own = peaks(lambda values=values: find(model, many, values=values))
            print(f"  {how}: {own:.0f} MB, one pass {one:.0f} MB: {own / one:.2f}x (batch of {batch_size(many)})")


def peaks(work: Callable[[], object], times: int = 7) -> float:
    """The median of several: the allocator's habits make a peak differ by a quarter."""
    return statistics.median(peak(work) for _ in range(times))


def peak(work: Callable[[], object]) -> float:
    """How many MB the process needs at most while it works, in a child."""
    read, write = os.pipe()
    if not (child := os.fork()):
        Path("/proc/self/clear_refs").write_text("5")  # resets the peak
        before = resident("VmHWM")
        work()
        os.write(write, str(resident("VmHWM") - before).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as file:
        text = file.read()
    os.waitpid(child, 0)
    return float(text)


def resident(what: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what)) / 1024


def models() -> Iterator[tuple[str, nn.Module, Any]]:
    yield "ResNet-50", reslab.net("resnet50").eval(), torch.randn(1, 3, 224, 224)
    try:
        import transformers
    except ImportError:
        print("transformers is not installed: no BERT")
        return
    ids = torch.randint(0, 30000, (1, 128))
    yield "BERT, 12 layers", transformers.BertModel(transformers.BertConfig()).eval(), {"input_ids": ids}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    print(f"{processor()}, {torch.get_num_threads()} threads, torch {torch.__version__}; seconds of CPU")
    for name, model, example in models():
        with torch.no_grad():
            call(model, example)
            found = find(model, example)
            passes, finds, with_values = [], [], []
            for _ in range(args.rounds):
                passes.append(seconds(lambda model=model, example=example: call(model, example)))
                finds.append(seconds(lambda model=model, example=example: find(model, example)))
                with_values.append(seconds(lambda model=model, example=example: find(model, example, values=True)))
        print(f"{name:<16} {len(found)} merges, found on {found.found_on}: one pass {middle(passes)}")
        for how, times in (("find", finds), ("find, values=True", with_values)):
            ratios = [f / p for f, p in zip(times, passes, strict=True)]
            spread = f"({min(ratios):.1f} to {max(ratios):.1f}, n = {len(ratios)})"
            print(f"  {how}: {middle(times)}, {statistics.median(ratios):.1f}x {spread}")
        memory(name, model, example)


if __name__ == "__main__":
    main()
