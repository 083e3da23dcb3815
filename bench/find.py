"""The claim: finding the residual connections costs about as much as a few forward passes, once.

find() against one forward pass of ResNet-50 (one image of 224x224) and of a 12-layer BERT (128 tokens, random
weights, extra `text`), alternately in one process: python bench/find.py [--rounds 7]
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

import reslab
from reslab.look import find
from reslab.look.graph.passes import call
from reslab.run import processor


def seconds(work: Callable[[], object]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


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
            passes, finds = [], []
            for _ in range(args.rounds):
                passes.append(seconds(lambda model=model, example=example: call(model, example)))
                finds.append(seconds(lambda model=model, example=example: find(model, example)))
        ratios = [f / p for f, p in zip(finds, passes, strict=True)]
        print(
            f"{name:<16} {len(found)} merges: find {1000 * statistics.median(finds):.0f} ms, one pass "
            f"{1000 * statistics.median(passes):.0f} ms: {statistics.median(ratios):.1f}x "
            f"({min(ratios):.1f} to {max(ratios):.1f}, n = {len(ratios)})"
        )


if __name__ == "__main__":
    main()
