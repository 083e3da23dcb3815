"""The degradation problem and its cure (He et al. 2015, sections 1 and 4.2; Figures 4 and 6).

Plain and residual twins of several depths, trained alike on the same batches in the same order, over several
seeds: does depth hurt the plain net's TRAINING error, and does it help the residual one?
"""

import datetime
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from reslab.data import ImageData
from reslab.data import load as load_data
from reslab.errors import UsageError
from reslab.nets import ResNetSpec, build, from_dict, spec
from reslab.run import Run, environment
from reslab.study.verdict import verdicts
from reslab.train.parallel import Told, fair_jobs, train_all
from reslab.train.recipe import Recipe, change, read, write
from reslab.train.start import configure, pick_device, prepare
from reslab.train.task import ImageTask, split
from reslab.train.tune import choose

KINDS = ("plain", "residual")


def degradation(
    out: Path | str,
    *,
    data: str = "digits",
    depths: Sequence[int] = (20, 56),
    seeds: int = 2,
    recipe: Recipe,
    options: dict[str, Any] | None = None,
    net_options: dict[str, Any] | None = None,
    jobs: int = 0,
    device: str = "auto",
    command: str = "",
    told: Told = lambda folder, line: None,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Train every twin that is not yet trained under `out` and write study.json there; its content.

    `options` go to the data's loading, `net_options` to every net's spec. Runs are folders under `out` and are
    never run twice. Raises UsageError for settings that make no study.
    """
    check(depths, seeds)
    study = Run(out)
    loaded = load_data(data, **(options or {}))
    jobs = jobs or fair_jobs(len(depths) * seeds * len(KINDS))
    recipe = settle(study, recipe, loaded, depths, jobs=jobs, device=device, net_options=net_options or {}, say=say)
    folders = []
    for depth in sorted(depths, reverse=True):  # the longest first: the shorter ones fill the gaps at the end
        for seed in range(seeds):
            for kind in KINDS:
                name = f"{'resnet' if kind == 'residual' else kind}{depth}"
                run = prepare(
                    study.path(f"{name}-s{seed}"),
                    net=resnet(name, **(net_options or {})),
                    data=loaded,
                    word=data,
                    recipe=change(recipe, seed=seed),
                    options=options,
                    command=command,
                )
                folders.append(run.folder)
    how = f"{recipe.precision} {recipe.memory_format}"
    say(f"{len(folders)} runs, {jobs} at a time, {recipe.threads or 'PyTorch-chosen'} threads each, {how}")
    train_all(folders, jobs=jobs, device=device, told=told)
    result = gather(study, folders, data=loaded, recipe=recipe, command=command, device=device)
    study.write_json("study.json", result)
    return result


def resnet(name: str, **options: Any) -> ResNetSpec:
    found = spec(name, **options)
    assert isinstance(found, ResNetSpec)
    return found


def check(depths: Sequence[int], seeds: int) -> None:
    if len(set(depths)) < 2:
        raise UsageError(f"the study compares depths: give at least two, got {', '.join(map(str, depths))}")
    if seeds < 1:
        raise UsageError(f"seeds must be positive, got {seeds}")
    for depth in depths:
        resnet(f"resnet{depth}")  # names what is wrong with the depth
    if len({resnet(f"resnet{depth}").stem for depth in depths}) > 1:
        raise UsageError(f"the depths {', '.join(map(str, depths))} are of two families; compare within one")


def settle(
    study: Run, recipe: Recipe, data: ImageData, depths: Sequence[int], *, jobs: int, device: str,
    net_options: dict[str, Any], say: Callable[[str], None],
) -> Recipe:  # fmt: skip
    """Decide once, for all twins alike, what the recipe leaves to the machine: precision, layout, threads.

    The decision is kept in the study's folder, so that going on later compares like with like.
    """
    study.make()
    if study.has("recipe.toml"):
        kept = read(study.path("recipe.toml"))
        wanted = {k: v for k, v in asdict(recipe).items() if v not in ("auto", 0) and k not in ("threads",)}
        differ = [f"{k} {getattr(kept, k)!r} there, {v!r} asked" for k, v in wanted.items() if getattr(kept, k) != v]
        if differ:
            raise UsageError(f"{study.folder} holds another study ({'; '.join(differ[:3])}); name a new one with --out")
        return kept
    place = pick_device(device)
    if not recipe.threads and place.type == "cpu":
        recipe = change(recipe, threads=max(1, torch.get_num_threads() // jobs))
    before = torch.get_num_threads()
    configure(recipe)
    task = ImageTask(data, recipe, place)
    channels, height, width = data.shape
    deepest = resnet(f"resnet{max(depths)}", **{**net_options, "classes": len(data.classes), "channels": channels,
                                              "size": min(height, width)})  # fmt: skip
    batch = next(iter(task.batches(0, 1)))
    choice = choose(build(deepest).to(place), (batch.x, batch.y), task.loss, recipe=recipe,
                    steps=recipe.length(task.images))  # fmt: skip
    torch.set_num_threads(before)
    if choice.milliseconds:
        say(f"fastest here: {choice} ({', '.join(f'{k} {v:.0f} ms' for k, v in choice.milliseconds.items())})")
    recipe = change(recipe, precision=choice.precision, memory_format=choice.memory_format,
                    compile="on" if choice.compile else "off")  # fmt: skip
    study.write_text("recipe.toml", write(recipe))
    return recipe


def gather(
    study: Run, folders: Sequence[Path], *, data: ImageData, recipe: Recipe, command: str, device: str
) -> dict[str, Any]:
    """Everything that the runs measured, in one structure for the page."""
    runs, curves = [], []
    for folder in sorted(folders):
        run = Run(folder)
        result, net = run.read_json("results/train.json"), from_dict(run.read_json("spec.json"))
        who = {"net": net.name, "kind": "plain" if net.name.startswith("plain") else "residual", "depth": net.depth,
               "seed": result["seed"]}  # fmt: skip
        keys = (
            "parameters",
            "train_error",
            "train_error_eval",
            "test_error",
            "seconds",
            "images_per_second",
            "iterations",
            "test_n",
        )
        kept = {key: result[key] for key in keys}
        runs.append({**who, "folder": folder.name, "train_n": len(split(data.train, recipe)[0]), **kept})
        events = run.metrics()
        train = [[e["iteration"], e["error"]] for e in events if e["event"] == "train"]
        test = [[e["iteration"], e["error"]] for e in events if e["event"] == "eval" and e["part"] == "test"]
        curves.append({**who, "train": train, "test": test})
    table = summarize(runs)
    return {
        "study": "degradation",
        "title": "The degradation problem and its cure",
        "created": datetime.date.today().isoformat(),
        "command": command,
        "data": data.describe(),
        "recipe": asdict(recipe),
        "env": environment(str(pick_device(device)), recipe.threads or torch.get_num_threads()),
        "drops": result["drops"],
        "runs": runs,
        "curves": curves,
        "table": table,
        "verdicts": verdicts(runs),
        "caveats": caveats(runs, data, recipe),
    }


def summarize(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean and standard deviation (n - 1) over seeds of every net; None for the deviation of one run."""
    table = []
    for kind in KINDS:
        for depth in sorted({run["depth"] for run in runs}):
            same = [run for run in runs if run["kind"] == kind and run["depth"] == depth]
            row = {
                "net": same[0]["net"],
                "kind": kind,
                "depth": depth,
                "n": len(same),
                "parameters": same[0]["parameters"],
            }
            for key, short in (("train_error", "train"), ("train_error_eval", "train_eval"), ("test_error", "test")):
                values = [run[key] for run in same]
                row[f"{short}_mean"] = statistics.fmean(values)
                row[f"{short}_std"] = statistics.stdev(values) if len(values) > 1 else None
            table.append(row)
    return table


def caveats(runs: list[dict[str, Any]], data: ImageData, recipe: Recipe) -> list[str]:
    """What a reader must know before comparing these numbers with the paper's."""
    seeds, iterations = len({run["seed"] for run in runs}), runs[0]["iterations"]
    lines = [
        f"{iterations:,} iterations of {recipe.batch} images on {data.name}; the paper: 64,000 of 128 on CIFAR-10.",
        "The training error is that of the last epoch, counted while training (batch statistics), as in the paper's "
        "figures; the table also gives it for the final weights in evaluation mode.",
    ]
    if seeds == 1:
        lines.append("One seed a net: a difference between two nets has no spread to be held against.")
    if recipe.precision == "bf16":
        lines.append("Convolutions ran in bf16 (weights, norms' statistics and loss in fp32), alike for every net.")
    return lines
