"""The claim: bf16 costs no accuracy. Trains the same runs in fp32 and in bf16 and prints errors, mean and spread.

python bench/precision.py --data digits --net resnet20 resnet56 --seeds 3 --recipe digits --out runs/precision-digits
"""

import argparse
import json
import statistics
from pathlib import Path

from scipy.stats import ttest_ind

from reslab.images.data import load
from reslab.images.train import prepare
from reslab.nets import spec
from reslab.run import processor
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
            spread = f" ± {statistics.stdev(errors[precision]):.2f}" if args.seeds > 1 else ""
            speed = statistics.median(result["examples_per_second"] for result in results)
            print(
                f"{net} {precision}: test error {statistics.fmean(errors[precision]):.2f}{spread} % "
                f"(n = {args.seeds}), training error {statistics.fmean(r['train_error'] for r in results):.2f} %, "
                f"median {speed:,.0f} images/s"
            )
        if args.seeds > 1:
            print(f"{net}: Welch p = {ttest_ind(*errors.values(), equal_var=False).pvalue:.2f}")


if __name__ == "__main__":
    main()
