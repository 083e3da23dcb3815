"""The claim: folding the two convolutions of every SDS layer into one makes the head faster, and changes no score.

The published head (5 layers, 512 tokens, hidden 768) on the CPU, unfolded and folded alternately, in fp32 and in bf16.
Prints each side's median CPU time per window and the ratio. 8 length² multiply-adds per position become 3, so the ratio
is at most 2.67 for full windows, more for short ones: python bench/qa_fold.py [--rounds 9] [--batch 4] [--tokens 512]
"""

import argparse
import statistics
import time

import torch
from torch import Tensor

from reslab.nets.heads import ConvSDSHead, Head
from reslab.run import processor


def timed(head: Head, x: Tensor) -> float:
    """CPU seconds per window; other work on the machine does not count."""
    begin = time.process_time()
    head(x)
    return (time.process_time() - begin) / len(x)


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=512)
    args = parser.parse_args()
    torch.manual_seed(0)
    head = ConvSDSHead().eval()
    folded = head.fold()
    x = torch.randn(args.batch, args.tokens, 768)
    print(f"{processor()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    print(f"{args.batch} windows of {args.tokens} tokens; scores differ by {(head(x) - folded(x)).abs().max():.1e}")
    for dtype in (torch.float32, torch.bfloat16):
        sides = {"as trained": head.to(dtype), "folded": folded.to(dtype)}
        seen: dict[str, list[float]] = {name: [] for name in sides}
        for side in sides.values():
            timed(side, x.to(dtype))
        for _ in range(args.rounds):
            for name, side in sides.items():
                seen[name].append(timed(side, x.to(dtype)))
        for name, values in seen.items():
            print(f"{str(dtype)[6:]:<9} {name:<10} {1000 * statistics.median(values):7.1f} ms of CPU a window "
                  f"({1000 * min(values):.1f} to {1000 * max(values):.1f}, n = {len(values)})")  # fmt: skip
        ratios = [a / b for a, b in zip(*seen.values(), strict=True)]
        print(f"{str(dtype)[6:]:<9} folded is {statistics.median(ratios):.2f}x as fast "
              f"({min(ratios):.2f} to {max(ratios):.2f})")  # fmt: skip


if __name__ == "__main__":
    main()
