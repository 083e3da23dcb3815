"""Short recipes for the unchanged nets: each ingredient of fast-cifar alone, beside the paper's recipe cut as short.

Every variant is fast-cifar with one thing changed, or the paper's recipe with its drops at half and three quarters of
as many epochs. Ingredients are chosen by the error on 5,000 images set aside from the training part; the error on the
test part, and that with mirrored images beside (--tta flip), are reported apart. Differences are paired over seeds.

python bench/fast_cifar.py [--data FOLDER] [--net resnet20] [--epochs 8] [--seeds 3] [--only NAME ...] [--out FOLDER]

Resumable: every training is a run folder OUT/EPOCHS/NET/NAME-sSEED, stopped by Ctrl-C and resumed by the same command;
all variants have their first seed before any has its second. A table after each seed, also in OUT/fast-cifar.md.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from reslab.run import processor
from reslab.statistics import mean, mean_interval, plus_minus, std

SHARED = Path(os.environ.get("RESLAB_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
FAST = ("--recipe", "fast-cifar")
VARIANTS = {
    "paper": ("--recipe", "paper-cifar", "--drops", "0.5", "0.75"),
    "fast": FAST,
    "flip-alternate": (*FAST, "--flip-alternate"),
    "ema-0.99": (*FAST, "--ema", "0.99"),
    "ema-0.999": (*FAST, "--ema", "0.999"),
    "cutout-8": (*FAST, "--cutout", "8"),
    "small-24": (*FAST, "--small", "24"),
    "small-20": (*FAST, "--small", "20"),
    "no-smoothing": (*FAST, "--label-smoothing", "0"),
    "no-nesterov": (*FAST, "--no-nesterov"),
    "decay-all": (*FAST, "--decay-all"),
    "cosine": (*FAST, "--schedule", "cosine"),
    "rate-0.4": (*FAST, "--lr", "0.4"),
    "rate-0.8": (*FAST, "--lr", "0.8"),
}


class Trainings:
    """The run folders of one net and one number of epochs."""

    def __init__(self, asked: argparse.Namespace) -> None:
        self.asked = asked
        self.folder = asked.out / f"{asked.epochs:g}" / asked.net

    def run(self, name: str, seed: int) -> Path:
        return self.folder / f"{name}-s{seed}"

    def train(self, name: str, seed: int) -> None:
        """Train, or resume, and evaluate with mirrored images; what is done stays."""
        run, here = self.run(name, seed), self.asked
        if not (run / "results" / "train.json").exists():
            reslab("train", "--data", here.data, "--net", here.net, *VARIANTS[name], "--epochs", f"{here.epochs:g}",
                   "--validation", here.validation, "--seed", str(seed), "--threads", "1", "--precision", "fp32",
                   "--evaluate-every", f"{here.epochs:g}", "--out", str(run))  # fmt: skip
        if not (run / "results" / "eval.json").exists():
            reslab("eval", str(run), "--tta", "flip")

    def result(self, name: str, seed: int) -> dict[str, float] | None:
        path = self.run(name, seed) / "results" / "train.json"
        if not path.exists():
            return None
        found = json.loads(path.read_text())
        flipped = path.with_name("eval.json")
        found["flipped"] = json.loads(flipped.read_text())["mirrored"]["error"] if flipped.exists() else float("nan")
        return found


def reslab(*words: str) -> None:
    done = subprocess.run([sys.executable, "-m", "reslab", *words], check=False)
    if done.returncode:
        sys.exit(done.returncode)  # stopped, or failed with its own sentence


def table(trainings: Trainings, names: Sequence[str], seeds: int) -> str:
    """Errors by variant, mean and standard deviation over seeds, and the paired difference to `fast` in points."""
    asked = trainings.asked
    lines = [f"{asked.net}, {asked.epochs:g} epochs, {Path(asked.data).name}, {processor()}", "",
             "| variant | seeds | validation error | less fast (95 %) | test error | mirrored too | minutes |",
             "|---|---|---|---|---|---|---|"]  # fmt: skip
    for name in names:
        found = {seed: one for seed in range(seeds) if (one := trainings.result(name, seed))}
        if not found:
            continue
        base = {seed: one for seed in found if (one := trainings.result("fast", seed))}
        less = [found[seed]["validation_error"] - base[seed]["validation_error"] for seed in base]
        interval = mean_interval(less) if name != "fast" else None
        gap = f"{mean(less):+.2f}" + (f" ({interval.low:+.2f} to {interval.high:+.2f})" if interval else "")
        minutes = mean([one["seconds"] / 60 for one in found.values()])
        lines.append(f"| {name} | {len(found)} | {errors(found, 'validation_error')} | "
                     f"{gap if less and name != 'fast' else ''} | {errors(found, 'test_error')} | "
                     f"{errors(found, 'flipped')} | {minutes:.0f} |")  # fmt: skip
    return "\n".join(lines) + "\n"


def errors(found: Mapping[int, Mapping[str, float]], key: str) -> str:
    """Mean and standard deviation over seeds."""
    values = [one[key] for one in found.values()]
    return plus_minus(mean(values), std(values), unit="%")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=str(SHARED / "cifar10-jpeg"))
    parser.add_argument("--net", default="resnet20")
    parser.add_argument("--epochs", type=float, default=8)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--validation", default="5000")
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--out", type=Path, default=Path("runs/fast-cifar"))
    asked = parser.parse_args()
    trainings = Trainings(asked)
    print(
        f"{len(asked.only) * asked.seeds} trainings of {asked.net}, {asked.epochs:g} epochs each, in {trainings.folder}"
    )
    for seed in range(asked.seeds):
        for name in asked.only:
            trainings.train(name, seed)
        text = table(trainings, asked.only, asked.seeds)
        print(text)
        (asked.out / "fast-cifar.md").write_text(text)


if __name__ == "__main__":
    main()
