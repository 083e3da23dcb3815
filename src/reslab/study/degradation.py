"""The degradation problem and its cure (He et al. 2015, sections 1 and 4.2; Figures 4 and 6).

Plain and residual nets of several depths and seeds are trained in the same way on the same batches in the same order.
Does depth hurt the plain net's TRAINING error, and does it help the residual one?
"""

import datetime
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from reslab.errors import ReslabError, UsageError, arg
from reslab.images.data import ImageData
from reslab.images.data import load as load_data
from reslab.images.task import ImageTask, train_size
from reslab.images.train import prepare
from reslab.nets import ResNetSpec, build, read_spec, spec
from reslab.progress import Rows, quiet
from reslab.run import Run, environment
from reslab.statistics import mean, std
from reslab.stored.read import warn_if_cut
from reslab.stored.write import explained
from reslab.study.caveats import caveats
from reslab.study.jobs import fair_jobs, train_all
from reslab.study.verdict import verdicts
from reslab.train.folder import check_resources, configure, pick_device
from reslab.train.life import shown
from reslab.train.recipe import Recipe, change, read, write
from reslab.train.tune import choose

KINDS = ("plain", "residual")
KEPT = ("parameters", "train_error", "train_error_eval", "test_error", "seconds", "iterations", "test_n")  # of a result


def degradation(
    out: Path | str,
    *,
    data: str = "digits",
    depths: Sequence[int] = (20, 56),
    seeds: int = 3,
    recipe: Recipe,
    options: dict[str, Any] | None = None,
    net_options: dict[str, Any] | None = None,
    jobs: int = 0,
    device: str = "auto",
    command: str = "",
    rows: Rows = quiet,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Train every net that is not yet trained under `out`; returns the content of study.json, written there.

    The seeds count up from the recipe's. `options` go to the data's loading, `net_options` to every net's spec (the
    plain ones stay without shortcuts). Runs are folders under `out`; a finished one is not run again. Raises UsageError
    for settings that do not make a study.
    """
    net_options, depths = net_options or {}, sorted(set(depths))
    check(depths, seeds, net_options)
    study = Run(out)
    refuse_another(study)
    pick_device(device)  # before a folder is made
    check_resources(recipe)
    loaded = load_data(data, **(options or {}))
    loaded.announce()
    jobs = jobs or fair_jobs(len(depths) * seeds * len(KINDS))
    recipe = settle(study, recipe, loaded, depths, jobs=jobs, device=device, net_options=net_options, say=say)
    folders = []
    for depth in reversed(depths):  # the slowest first: the faster ones fill the gaps at the end
        for seed in range(recipe.seed, recipe.seed + seeds):
            for kind in KINDS:
                name = f"{'resnet' if kind == 'residual' else kind}{depth}"
                run = prepare(
                    study.path(f"{name}-s{seed}"),
                    net=resnet(name, **net_options),
                    data=loaded,
                    word=data,
                    recipe=change(recipe, seed=seed),
                    options=options,
                    command=command,
                )
                folders.append(run.folder)
    how = f"{recipe.precision} {recipe.memory_format}"
    threads = "1 thread" if recipe.threads == 1 else f"{recipe.threads or 'PyTorch-chosen'} threads"
    say(f"{len(folders)} runs, {jobs} in parallel, {threads} each, {how}")
    train_all(folders, jobs=jobs, device=device, rows=rows)
    result = gather(study, folders, data=loaded, recipe=recipe, command=command, device=device)
    study.write_json("study.json", result)
    return result


def resnet(name: str, **options: Any) -> ResNetSpec:
    """The spec of one net; a plain one has no shortcuts, whatever `options` say."""
    if name.startswith("plain"):
        options = {key: value for key, value in options.items() if key != "shortcut"}
    found = spec(name, **options)
    assert isinstance(found, ResNetSpec)
    return found


def check(depths: Sequence[int], seeds: int, net_options: dict[str, Any]) -> None:
    if len(depths) < 2:
        raise UsageError(f"the study compares depths: give at least two, got {', '.join(map(str, depths))}")
    if seeds < 1:
        raise UsageError(f"seeds must be positive, got {seeds}")
    if net_options.get("shortcut") == "none":
        raise UsageError(
            "the study compares nets with and without shortcuts: ", arg("shortcut"), " must be A, A-both, B or C"
        )
    # `resnet` explains what is wrong with a depth. ImageNet's nets have four stages, CIFAR's three.
    if len({len(resnet(f"resnet{depth}", **net_options).stages) for depth in depths}) > 1:
        raise UsageError(f"the depths {', '.join(map(str, depths))} are of two families; compare within one")


def refuse_another(study: Run) -> None:
    """Raise UsageError if the folder holds something other than a study."""
    if study.has("study.json") or (study.has("recipe.toml") and not study.has("spec.json")):
        return
    # What a study may have left that was killed before it stored its recipe.
    known = ("results", ".recipe.toml.")
    if study.folder.is_dir() and not all(path.name.startswith(known) for path in study.folder.iterdir()):
        raise UsageError(f"{study.folder} is not empty and not a study folder; choose another ", arg("folder"))


def settle(
    study: Run, recipe: Recipe, data: ImageData, depths: Sequence[int], *, jobs: int, device: str,
    net_options: dict[str, Any], say: Callable[[str], None],
) -> Recipe:  # fmt: skip
    """Decide once, for all nets, what the recipe leaves open: precision, memory format, threads.

    The decision is stored in the study's folder, so that a resumed study uses the same settings.
    """
    with explained(study.folder):
        study.folder.mkdir(parents=True, exist_ok=True)  # now, to report a folder that cannot be written
    if study.has("recipe.toml"):
        kept = read(study.path("recipe.toml"))
        wanted = {k: v for k, v in asdict(recipe).items() if v != "auto" and k != "threads"}
        old = {k: getattr(kept, k) for k in wanted}
        differ = [f"{k}: {shown(old[k])} there, {shown(wanted[k])} requested" for k in wanted if old[k] != wanted[k]]
        if differ:
            raise UsageError(
                f"{study.folder} already contains a study with different settings ({'; '.join(differ[:3])}); "
                "choose another ", arg("folder"),
            )  # fmt: skip
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
                    steps=recipe.length(task.examples))  # fmt: skip
    torch.set_num_threads(before)
    if choice.milliseconds:
        times = ", ".join(f"{way} {ms:.0f} ms" for way, ms in choice.milliseconds.items())
        say(f"fastest on this machine: {choice} ({times})")
    recipe = change(recipe, precision=choice.precision, memory_format=choice.memory_format,
                    compile="on" if choice.compile else "off")  # fmt: skip
    study.write_text("recipe.toml", write(recipe))
    return recipe


def gather(
    study: Run, folders: Sequence[Path], *, data: ImageData, recipe: Recipe, command: str, device: str
) -> dict[str, Any]:
    """Everything that the runs measured, in one structure for the page."""
    runs, curves = [], []
    skipped: dict[str, None] = {}
    for folder in sorted(folders):
        run = Run(folder)
        result, net = run.read_json("results/train.json", *KEPT, "seed", "skipped", "drops"), read_spec(run)
        if empty := [key for key in KEPT if result[key] is None]:
            raise ReslabError(f"{run.path('results/train.json')} has no {empty[0]}: delete {folder} to train it again")
        who = {"net": net.name, "kind": "plain" if net.name.startswith("plain") else "residual", "depth": net.depth,
               "seed": result["seed"]}  # fmt: skip
        speed = result.get("examples_per_second", result.get("images_per_second"))  # its name in older runs
        kept = {**{key: result[key] for key in KEPT}, "examples_per_second": speed}
        skipped.update(dict.fromkeys(result["skipped"]))
        # The training error is that of the last epoch; of a run shorter than one, of the images it used.
        train_n = min(train_size(data, recipe), result["iterations"] * recipe.batch)
        runs.append({**who, "folder": folder.name, "train_n": train_n, **kept})
        events = run.metrics()
        warn_if_cut(run.path("metrics.jsonl"), events, result["iterations"])
        errors = [e for e in events if "iteration" in e and "error" in e]
        train = [[e["iteration"], e["error"]] for e in errors if e["event"] == "train"]
        test = [[e["iteration"], e["error"]] for e in errors if e["event"] == "eval" and e.get("part") == "test"]
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
        "skipped": list(skipped),
        "caveats": caveats(runs, data, recipe, skipped=list(skipped)),
    }


def summarize(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean and standard deviation (n - 1) over seeds of every net; with one run, the deviation is None."""
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
                row[f"{short}_mean"] = mean(values)
                row[f"{short}_std"] = std(values)
            table.append(row)
    return table
