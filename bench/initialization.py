"""Signals and gradients at initialization, plain and residual, with and without BatchNorm.

He et al. 2015, section 4.1, state that in plain nets with BN neither forward nor backward signals vanish, but show no
numbers. This script measures them: He's initialization, training mode, random images (or --data), medians over seeds.
Prints a Markdown table, for docs/looking-inside.md:

python bench/initialization.py [--depths 20 56 110] [--seeds 3] [--data digits]
"""

import argparse
import statistics

import torch

import reslab
from reslab.images.data import load
from reslab.images.data import measure as measure_data
from reslab.look.flow.gradients import Gradients, gradients
from reslab.look.flow.health import LOST, Health, name


def batch(word: str | None, n: int) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Images, labels and how many channels: normal noise, or the first images of a data set's training part."""
    if word is None:
        source = torch.Generator().manual_seed(0)
        return torch.randn(n, 3, 32, 32, generator=source), torch.randint(0, 10, (n,), generator=source), 3
    data = load(word)
    x = measure_data(data.train, mean="channel", std=True)(data.train.subset(range(n)).pixels)  # type: ignore[union-attr]
    return x, data.train.labels[:n], data.shape[0]


def row(depth: int, kind: str, norm: bool, found: list[Gradients]) -> str:
    """One line of the table: each cell has the factor per layer, over all layers, and the verdict on the medians."""

    def cell(of: str) -> str:
        healths: list[Health] = [getattr(each, of) for each in found]
        layers = len(found[0].layers) - 2  # steps from the first layer to the last but the head
        change = statistics.median(health.change for health in healths)
        spread = statistics.median(0 if h.ratio is None else torch.tensor(h.ratio).log10().item() for h in healths)
        return f"{10 ** (change / layers):.3f} a layer, 10^{change:+.1f}: {name(change, spread)}"

    loss = statistics.median(each.loss for each in found)
    cells = [f"{kind}-{depth}", "yes" if norm else "no", cell("signal"), cell("activations"), cell("weights")]
    return f"| {' | '.join(cells)} | {loss:.3g} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--depths", type=int, nargs="+", default=[20, 56, 110])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--data", default=None)
    args = parser.parse_args()
    x, y, channels = batch(args.data, args.batch)
    print(
        f"At initialization, training mode, {args.batch} {args.data or 'random'} images, medians of {args.seeds} "
        f"seeds: the factor a layer and over all layers. Vanishes, explodes: by more than 10^{LOST}.\n"
    )
    print(
        "| net | BN | signal, towards the output | activations' gradients, towards the input "
        "| weights' gradients / weights, towards the input | loss |\n|---|---|---|---|---|---|"
    )
    for depth in args.depths:
        for kind in ("plain", "resnet"):
            for norm in (True, False):
                found = []
                for seed in range(args.seeds):
                    torch.manual_seed(seed)
                    net = reslab.net(f"cifar_{kind}{depth}", norm=norm, channels=channels)
                    found.append(gradients(net, [(x, y)], training=True))
                print(row(depth, kind, norm, found), flush=True)


if __name__ == "__main__":
    main()
