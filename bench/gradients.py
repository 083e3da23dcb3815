"""The claim: logging the norms of all weights and gradients costs under 3 % of training at its default interval.

Steps of ResNet-20 and ResNet-56 (batch 128 of 32x32 images, SGD) with a measurement after every backward pass and
without, alternately in one process; each measurement is also timed by itself. The default is one per 100 steps.
Prints medians and spreads: python bench/gradients.py [--nets resnet20 resnet56] [--rounds 9]
"""

import argparse
import statistics
import tempfile
import time

import torch
import torch.nn.functional as F

import reslab
from reslab.run import Run, processor
from reslab.train.norm_log import NormLog
from reslab.train.optimizer import make_optimizer
from reslab.train.recipe import Recipe, read


class Stepper:
    """One net trained on one batch; measures the seconds per step and the share spent on measuring norms."""

    def __init__(self, name: str, *, every: int, run: Run, device: torch.device) -> None:
        torch.manual_seed(0)
        self.net = reslab.net(name).to(device).train()
        self.optimizer = make_optimizer(self.net, read("paper-cifar"))
        self.watch, self.device = NormLog(self.net, run, every), device
        self.x = torch.randn(128, 3, 32, 32, device=device)
        self.y = torch.randint(0, 10, (128,), device=device)
        self.iteration = 0

    def now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    def step(self) -> tuple[float, float]:
        begin = self.now()
        self.iteration += 1
        self.optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(self.net(self.x), self.y).backward()
        before = self.now()
        self.watch(self.iteration)
        after = self.now()
        self.optimizer.step()
        return self.now() - begin, after - before


def measure(name: str, *, rounds: int, device: torch.device, run: Run) -> None:
    """Time one net's steps with and without the measurement and print its cost."""
    with_looks = Stepper(name, every=1, run=run, device=device)
    without = Stepper(name, every=0, run=run, device=device)
    for _ in range(2):
        with_looks.step(), without.step()
    looked, plain = [], []
    for _ in range(rounds):
        looked.append(with_looks.step())
        plain.append(without.step()[0])
    looks = [look for _, look in looked]
    step, look = statistics.median(plain), statistics.median(looks)
    ratios = [a / b for (a, _), b in zip(looked, plain, strict=True)]
    interval = Recipe().look
    print(
        f"{name}: {len(with_looks.watch.weights)} weights, {span(plain)} ms/step, {span(looks)} ms per norm measurement"
    )
    print(f"  a step with a norm measurement takes {statistics.median(ratios):.3f}x one without ({min(ratios):.3f} to "
          f"{max(ratios):.3f}, n = {rounds}); the measurement is {100 * look / step:.2f} % of a step")  # fmt: skip
    print(f"  at the default, every {interval} iterations: {100 * look / step / interval:.4f} %, at most "
          f"{100 * max(looks) / min(plain) / interval:.4f} %; claim: under 3 %")  # fmt: skip


def span(seconds: list[float]) -> str:
    """Median, minimum and maximum, in milliseconds."""
    least, middle, most = (1000 * value for value in (min(seconds), statistics.median(seconds), max(seconds)))
    return f"{middle:.3g} ({least:.3g} to {most:.3g})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nets", nargs="+", default=["resnet20", "resnet56"])
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    print(f"{processor()}, {torch.get_num_threads()} threads, torch {torch.__version__}, {device}")
    with tempfile.TemporaryDirectory() as folder:
        for name in args.nets:
            measure(name, rounds=args.rounds, device=device, run=Run(folder))


if __name__ == "__main__":
    main()
