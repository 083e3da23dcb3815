"""Compare heads: train each from several seeds on the same windows and encoder, which is frozen or trained too."""

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from safetensors.torch import save

from reslab.errors import ReslabError, UsageError
from reslab.progress import Progress, Rows, quiet
from reslab.qa.data.questions import QuestionData
from reslab.qa.data.windows import Windows, windows
from reslab.qa.features import Features, bounds_of
from reslab.qa.folder import PARTS, Reading, prepare
from reslab.qa.net.net import QASpec, build_qa
from reslab.qa.task import QATask
from reslab.qa.train import frozen_features, train
from reslab.run import Run, environment
from reslab.statistics import mean, std
from reslab.stored.digest import sealed_tensors
from reslab.stored.tensors import read_metadata, read_tensors
from reslab.stored.write import write_aside
from reslab.train.checkpoint import LAST
from reslab.train.folder import configure, finished, pick_device
from reslab.train.recipe import IMAGES, Recipe, change
from reslab.train.tune import Choice, make_step, native_bf16

WARM, TIMED = 1, 5  # steps of each head, interleaved
NEEDED = ("exact", "f1", "ece", "parameters", "trained_parameters", "head_parameters")  # of each run's result
STEPS, DONE = "results/steps.json", "results/compare.json"


@dataclass(frozen=True, kw_only=True)
class Trial:
    """The settings that all heads share."""

    data: QuestionData
    word: str
    reading: Reading
    spec: QASpec  # its head is replaced
    tokenizer: Any
    recipe: Recipe
    seeds: int = 3
    rates: Mapping[str, float] = field(default_factory=dict)  # learning rates of heads that differ from the recipe's

    def recipe_of(self, head: str, seed: int) -> Recipe:
        return change(self.recipe, seed=seed, lr=self.rates.get(head, self.recipe.lr))


def compare(
    folder: Path | str, trial: Trial, heads: Sequence[str], *, device: str = "auto", rows: Rows = quiet,
    command: str = "",
) -> dict[str, Any]:  # fmt: skip
    """Train every head from every seed, each in a separate folder; finished runs are not trained again.

    All use one precision: the recipe's, or by default bf16 if the device supports it natively. The result, also in
    results/compare.json, is rewritten after each run, over the seeds so far; seed 0 of all heads comes first.
    """
    if trial.seeds < 1 or not heads:
        raise UsageError(f"need at least one head and one seed, got {len(heads)} and {trial.seeds}")
    out, place = Run(folder), pick_device(device)
    out.make()
    precision = trial.recipe.precision
    if precision == "auto":
        precision = "bf16" if native_bf16(place) else "fp32"
    recipe = change(trial.recipe, precision=precision, compile="off", evaluate_every=1e6)
    configure(recipe)
    trial = replace(trial, recipe=recipe)
    runs = {(head, seed): begin(out, trial, head, seed) for seed in range(trial.seeds) for head in heads}
    steps = out.read_json(STEPS) if out.has(STEPS) else {}
    parts, features = None, None
    for run in runs.values():
        if not finished(run.folder) or not set(heads) <= set(steps):
            if parts is None:
                parts = {part: cut(trial, part) for part in PARTS}
                features = shared_features(out, trial, parts, place, rows("features"))
                if not set(heads) <= set(steps):
                    steps = times(trial, heads, parts, features, place)
                    out.write_json(STEPS, steps)
            progress = rows(run.folder.name)
            train(run.folder, data=trial.data, parts=parts, features=features, device=device, progress=progress)
            run.path(LAST).unlink(missing_ok=True)  # it holds another copy of the encoder
        env = environment(str(place), torch.get_num_threads())
        out.write_json(DONE, table(trial, heads, runs, steps, command=command, env=env))
    return out.read_json(DONE)


def begin(out: Run, trial: Trial, head: str, seed: int) -> Run:
    spec = replace(trial.spec, name=f"{trial.spec.name}-{head}", head=head)  # type: ignore[arg-type]
    return prepare(
        out.path(f"{head}-s{seed}"), spec=spec, tokenizer=trial.tokenizer, data=trial.data, word=trial.word,
        reading=trial.reading, recipe=trial.recipe_of(head, seed),
    )  # fmt: skip


def cut(trial: Trial, part: str) -> Windows:
    return windows(getattr(trial.data, part), trial.tokenizer, length=trial.spec.length, stride=trial.reading.stride,
                   report=trial.data.report)  # fmt: skip


def shared_features(
    out: Run, trial: Trial, parts: dict[str, Windows], place: torch.device, progress: Progress
) -> dict[str, Features] | None:
    """The output of the frozen encoder for all windows, computed once and stored in features.safetensors."""
    if trial.spec.train_last != 0:
        return None
    about = {"data": trial.data.fingerprint, "encoder": str(trial.spec.encoder), "reading": str(trial.reading),
             "length": str(trial.spec.length), "precision": trial.recipe.precision}  # fmt: skip
    path = out.path("features.safetensors")
    with contextlib.suppress(ReslabError, KeyError):  # not there yet, or truncated: computed again
        if read_metadata(path) == about:
            tensors = read_tensors(path)
            return {part: Features(tensors[part], bounds_of(parts[part])) for part in PARTS}
    net = build_qa(replace(trial.spec, head="linear", layers=None))
    found = frozen_features(net, parts, trial.recipe, place, progress=progress)
    if found is not None:
        write_aside(path, sealed_tensors(save({part: one.values for part, one in found.items()}, metadata=about)))
    return found


def times(
    trial: Trial, heads: Sequence[str], parts: dict[str, Windows], features: dict[str, Features] | None,
    place: torch.device,
) -> dict[str, float]:  # fmt: skip
    """Median milliseconds per training step of each head, without the update; the heads are timed in turn.

    On a CPU this is process time, so that other processes do not count.
    """
    task = QATask(parts, trial.recipe, place, rule=trial.reading.rule, features=features)
    batch, choice = next(task.batches(0, 1)), Choice(precision=trial.recipe.precision)
    steps = {}
    for head in heads:
        net = build_qa(replace(trial.spec, head=head))  # type: ignore[arg-type]
        steps[head] = make_step(choice, net, batch.x, batch.y, task.loss)
    clock = time.process_time if place.type == "cpu" else time.perf_counter
    seen: dict[str, list[float]] = {head: [] for head in heads}
    for turn in range(WARM + TIMED):
        for head, step in steps.items():
            began = clock()
            step()
            if turn >= WARM:
                seen[head].append(clock() - began)
    return {head: round(1000 * median(values), 2) for head, values in seen.items()}


def table(
    trial: Trial, heads: Sequence[str], runs: dict[tuple[str, int], Run], steps: dict[str, float], *, command: str,
    env: dict[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """The finished runs by head: mean and standard deviation over seeds."""
    rows = []
    for head in heads:
        done = [run.read_json("results/train.json", *NEEDED) for (name, _), run in runs.items()
                if name == head and finished(run.folder)]  # fmt: skip
        row: dict[str, Any] = {"head": head, "seeds": len(done), "lr": trial.recipe_of(head, 0).lr,
                               "step_milliseconds": steps.get(head)}  # fmt: skip
        if done:
            row |= {key: done[0][key] for key in ("head_parameters", "trained_parameters", "parameters")}
        for key in ("exact", "f1", "ece"):
            values = [one[key] for one in done]
            row |= {key: mean(values) if values else None, f"{key}_std": std(values),
                    f"{key}_each": values}  # fmt: skip
        rows.append(row)
    recipe = {key: value for key, value in asdict(trial.recipe).items() if key not in IMAGES}
    return {
        "heads": rows, "encoder": str(trial.spec.encoder), "train_last": trial.spec.train_last,
        "length": trial.spec.length, "reading": asdict(trial.reading), "data": trial.data.describe(),
        "seeds": trial.seeds, "recipe": recipe, "env": env, "command": command,
    }  # fmt: skip
