"""The claim: bf16 costs no accuracy. Trains the same runs in fp32 and in bf16 and prints errors, mean and spread.

python bench/precision.py --data digits --net resnet20 resnet56 --seeds 3 --recipe digits --out runs/precision-digits
"""

import argparse
import json
import statistics
from pathlib import Path

from reslab.images.data import load
from reslab.images.train import prepare
from reslab.nets import spec
from reslab.run import processor
from reslab.statistics import compare_rates, counting_variance, equivalence, mean, p_text, plus_minus, std
from reslab.study.jobs import fair_jobs, train_all
from reslab.train.folder import DONE
from reslab.train.recipe import change, read


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="digits")
    parser.add_argument("--recipe", default="digits")
    parser.add_argument("--net", nargs="+", default=["resnet20"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=float)
    parser.add_argument("--drops", type=float, nargs="+")
    parser.add_argument("--out", type=Path, default=Path("runs/precision"))
    parser.add_argument("--margin", type=float, default=1.0, help="points; fix it before the runs")
    args = parser.parse_args()
    changes = {key: value for key, value in (("epochs", args.epochs), ("drops", args.drops)) if value}
    recipe = read(args.recipe, threads=1, memory_format="NHWC", compile="off", **changes)
    data, folders = load(args.data), {}
    for seed in range(args.seeds):
        for net in args.net:
            for precision in ("fp32", "bf16"):
                chosen = change(recipe, precision=precision, seed=seed)
                folder = args.out / f"{net}-{precision}-s{seed}"
                prepare(folder, net=spec(net), data=data, word=args.data, recipe=chosen)
                folders[net, precision, seed] = folder
    train_all(list(folders.values()), jobs=fair_jobs(len(folders)))
    print(f"{processor()}, {args.data}, recipe {args.recipe}, {recipe.length(len(data.train))} iterations")
    for net in args.net:
        errors = {}
        for precision in ("fp32", "bf16"):
            results = [json.loads((folders[net, precision, s] / DONE).read_text()) for s in range(args.seeds)]
            errors[precision] = [result["test_error"] for result in results]
            speed = statistics.median(result["examples_per_second"] for result in results)
            error = plus_minus(mean(errors[precision]), std(errors[precision]), unit="%")
            print(
                f"{net} {precision}: test error {error} "
                f"(n = {args.seeds}), training error {mean([r['train_error'] for r in results]):.2f} %, "
                f"median {speed:,.0f} images/s"
            )
        if args.seeds > 1:
            print(f"{net}: {verdict(errors['fp32'], errors['bf16'], images=results[0]['test_n'], margin=args.margin)}")


def verdict(a: list[float], b: list[float], *, images: int, margin: float) -> str:
    """A difference that is not significant does not show equality: the claim is that it is within the margin."""
    found = compare_rates(a, b, images=images)
    noise = counting_variance(mean(a), images), counting_variance(mean(b), images)
    alike = equivalence(a, b, margin=margin, floor=noise)
    between = f"95 % interval {found.low:.2f} to {found.high:.2f}"
    shown = "shown" if alike.shown else "not shown"
    return (
        f"fp32 minus bf16 {found.value:.2f} points ({between}), Welch p {p_text(found.p)}; "
        f"equal to within {margin:g} points: {shown} (two one-sided tests, p {p_text(alike.p)})"
    )


if __name__ == "__main__":
    main()
