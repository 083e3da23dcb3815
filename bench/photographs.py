"""The claims of docs/photographs.md: pretrained weights fine-tuned, frozen, and none, in equal time; rare classes.

    PYTHONPATH=src python bench/photographs.py ../shared/data [--seeds 3] [--budget 120] [--out runs/photographs]

Equal time means equal CPU seconds of the whole training (one thread): one epoch of each way is timed first, and each
way gets as many epochs as fit into --budget. All ways read the same images at 32 pixels, with the same validation
part. The second part trains on 190 images of one class and 10 of another, with and without class weights. Runs that
are finished in --out are read, not repeated, so an interrupted run of this script goes on.
"""

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from reslab.run import processor
from reslab.statistics import compare_rates, mean, plus_minus, std, wilson

NET = ["--net", "resnet56", "--shortcut", "A-both", "--size", "32", "--threads", "1", "--workers", "0", "--precision",
       "fp32", "--memory-format", "NHWC", "--validation", "0.1", "--look", "0"]  # fmt: skip
RARE, COMMON = "persian_cat", "golden_retriever"


def train(out: Path, *words: str) -> dict[str, Any]:
    """The result of one `reslab train`, with the CPU seconds that it took."""
    note = out.with_suffix(".json")
    if note.exists():
        return json.loads(note.read_text())
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "reslab", "train", *words, *NET, "--out", str(out), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    result = {**json.loads(done.stdout), "cpu": cpu}
    note.write_text(json.dumps(result))
    return result


def weights_of(data: Path) -> Path:
    """akamaster's ResNet-56, trained on CIFAR-10."""
    return next((data / "weights" / "akamaster").glob("resnet56-*"))


def equal_time(data: Path, out: Path, *, seeds: int, budget: float) -> None:
    """Fine-tuned, frozen, frozen with features computed once, and from scratch."""
    start = ["--recipe", "finetune", "--weights", str(weights_of(data))]
    ways = {
        "fine-tuned": start,
        "frozen backbone": [*start, "--freeze", "backbone"],
        "frozen backbone, no augmentation": [*start, "--freeze", "backbone", "--augment", "none", "--no-flip"],
        "from scratch": ["--recipe", "photos"],
    }
    words = ["--data", str(data / "photos" / "tiny10")]
    errors: dict[str, list[float]] = {}
    print(f"{processor()}, CPU, 1 thread, {budget:g} CPU seconds each; tiny10 at 32 pixels, n = {seeds} seeds\n")
    print("| way | epochs | CPU s | test error | 95 % interval of one run |\n|---|---|---|---|---|")
    for name, way in ways.items():
        slug = re.sub(r"\W+", "-", name)
        begin = train(out / f"time-{slug}-begin", *words, *way, "--iterations", "1")["cpu"]
        each = train(out / f"time-{slug}-epoch", *words, *way, "--epochs", "1")["cpu"] - begin
        epochs = min(100, max(1, round((budget - begin) / each)))
        found = [train(out / f"{slug}-s{seed}", *words, *way, "--epochs", str(epochs), "--seed", str(seed))
                 for seed in range(seeds)]  # fmt: skip
        errors[name] = [one["test_error"] for one in found]
        n = found[0]["test_n"]
        around = wilson(round(errors[name][0] * n / 100), n)
        print(f"| {name} | {epochs} | {mean([one['cpu'] for one in found]):.0f} | "
              f"{plus_minus(mean(errors[name]), std(errors[name]), unit=' %')} | "
              f"{100 * around.low:.1f} to {100 * around.high:.1f} % |", flush=True)  # fmt: skip
    best, *others = sorted(errors, key=lambda name: mean(errors[name]))
    for name in others:
        apart = compare_rates(errors[name], errors[best], images=n)
        print(f"{name} minus {best}: {apart.value:.2f} points ({apart.low:.2f} to {apart.high:.2f}), "
              f"p = {apart.p:.2g}")  # fmt: skip


def rare(data: Path, out: Path, *, seeds: int) -> None:
    """190 images of one class and 10 of another: balanced error with and without class weights."""
    start = ["--weights", str(weights_of(data))]
    print("\n| 190 : 10 | balanced error | error |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "rare"
        for part, name, count in (("train", COMMON, 190), ("train", RARE, 10), ("val", COMMON, 50), ("val", RARE, 50)):
            where = folder / ("train" if part == "train" else "test") / name
            where.mkdir(parents=True)
            for file in sorted((data / "photos" / "tiny10" / part / name).iterdir())[:count]:
                os.symlink(file.resolve(), where / file.name)
        ways = {
            "plain": [],
            "class weights": ["--class-weights", "balanced"],
            "balanced sampling": ["--sampling", "balanced"],
        }
        for name, way in ways.items():
            slug = name.replace(" ", "-")
            found = [train(out / f"rare-{slug}-s{seed}", "--data", str(folder), "--recipe", "finetune", *start,
                           "--epochs", "10", "--keep", "last", "--seed", str(seed), *way)
                     for seed in range(seeds)]  # fmt: skip
            both = {key: [one[key] for one in found] for key in ("test_balanced", "test_error")}
            print(f"| {name} | " + " | ".join(plus_minus(mean(v), std(v), unit=" %") for v in both.values()) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--budget", type=float, default=120, help="CPU seconds of each training")
    parser.add_argument("--out", type=Path, default=Path("runs/photographs"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    equal_time(args.data, args.out, seeds=args.seeds, budget=args.budget)
    rare(args.data, args.out, seeds=args.seeds)


if __name__ == "__main__":
    main()
