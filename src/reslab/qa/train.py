"""From a run folder to a net that answers questions, through the one training loop."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from reslab.errors import ReslabError
from reslab.progress import Progress, in_phase, silent
from reslab.qa import features as cache
from reslab.qa.data.questions import QuestionData
from reslab.qa.data.windows import Windows
from reslab.qa.features import Features, fits
from reslab.qa.folder import OURS, PARTS, cut, read_reading, stored_data
from reslab.qa.judge import judge
from reslab.qa.net.net import QANet, QASpec, build_qa, parameters, read_qa_spec, to_dict
from reslab.qa.net.pretrained import Pretrained
from reslab.qa.scores import write_predictions
from reslab.qa.settings import SETTINGS, Settings
from reslab.qa.task import QATask
from reslab.run import Run
from reslab.train.begin import alone, beginning
from reslab.train.checkpoint import write_weights
from reslab.train.folder import DONE, configure, finished, first_comment, pick_device, read_recipe
from reslab.train.loop import fit
from reslab.train.recipe import Recipe
from reslab.train.training import Training
from reslab.train.tune import Choice, native_bf16

CACHE = 8e9  # bytes of a frozen encoder's features that are kept; with more it is run anew in each step


def train(
    folder: Path | str, *, data: QuestionData | None = None, parts: dict[str, Windows] | None = None,
    features: dict[str, Features] | None = None, device: str = "auto", progress: Progress = silent, command: str = "",
) -> dict[str, Any]:  # fmt: skip
    """Train the net of a prepared run folder, going on from its last checkpoint; its result, also in results/.

    `parts` and `features`: the windows of train, dev and test and what a frozen encoder gives for them, where they are
    known from another run on the same. A finished run is not touched: its stored result comes back.
    """
    run = Run(folder)
    if finished(folder):
        return run.read_json(DONE, "net", "data", "exact", "f1", "test_n")
    spec, recipe = read_qa_spec(run), read_recipe(run)
    with alone(run):
        place = pick_device(device)
        configure(recipe)
        data = stored_data(run) if data is None else data
        if data.fingerprint != run.read_json("data.json", "fingerprint")["fingerprint"]:
            raise ReslabError(f"these questions are not those that {run.folder} was begun with")
        with beginning(run, recipe, place, folders=OURS):
            net = begin(run, spec)
            if recipe.checkpointing:
                net.checkpoint()
            if parts is None:
                parts = {part: cut(getattr(data, part), run, spec, report=data.report) for part in PARTS}
            fits(net.encoder, parts["train"])
            if features is None and spec.train_last == 0:
                features = frozen_features(net, parts, recipe, place, progress=progress)
            task = QATask(parts, recipe, place, rule=read_reading(run).rule, features=features)
            if not run.has("last.pt"):
                run.log(event="questions", iteration=0, problems=data.report.counts,
                        **{part: len(windows.questions) for part, windows in parts.items()})  # fmt: skip
            training = fit(task, net, recipe=recipe, run=run, progress=progress)
        return finish(training, task, spec, run, command=command or first_comment(run), problems=data.report.counts)


def begin(run: Run, spec: QASpec) -> QANet:
    """The net, with the encoder's own weights at first; what a checkpoint will replace is built from its shape."""
    shape = run.path("encoder")
    again = run.has("last.pt") and (shape / "config.json").is_file()
    net = build_qa(spec, shape=shape if again else None)
    if isinstance(net.encoder, Pretrained) and not again:
        net.encoder.model.config.save_pretrained(shape)
    return net


def frozen_features(
    net: QANet, parts: dict[str, Windows], recipe: Recipe, device: torch.device, *, progress: Progress = silent
) -> dict[str, Features] | None:
    """What the frozen encoder gives for all windows; None where that is more than CACHE."""
    tokens = sum(int(windows.sizes(np.arange(len(windows))).sum()) for windows in parts.values())
    if 2 * tokens * net.encoder.hidden > CACHE:
        return None
    fast = recipe.precision == "bf16" or (recipe.precision == "auto" and native_bf16(device))
    choice = Choice(precision="bf16" if fast else "fp32")
    encoder, found = net.encoder.to(device), {}
    for part, windows in parts.items():
        reading = in_phase(progress, f"reading the {part} part with the frozen encoder")
        found[part] = cache.compute(encoder, windows, device=device, choice=choice, progress=reading)
    return found


def finish(
    training: Training, task: QATask, spec: QASpec, run: Run, *, command: str, problems: dict[str, int]
) -> dict[str, Any]:
    """Judge on the test part by what the dev part says; weights, predictions, result. The result means finished."""
    for part in ("validation", "test"):
        if part not in task.spans:  # taken up after its last step
            task.evaluate(training.kept, part, training.choice)
    reading = read_reading(run)
    dev, test = task.parts["dev"].questions, task.parts["test"].questions
    found = judge(dev, task.spans["validation"], test, task.spans["test"], rule=reading.rule)
    write_weights(run, training.kept, to_dict(spec))
    write_predictions(run.path("predictions.json"), found.predictions)
    if found.evaluation.threshold is not None:
        write_predictions(run.path("no_answer.json"), found.no_answer)
    settings = Settings(
        rule=reading.rule, length=spec.length, stride=reading.stride, temperature=found.temperature.temperature,
        threshold=found.evaluation.threshold, ece=found.after.ece,
    )  # fmt: skip
    run.write_json(SETTINGS, asdict(settings))
    seconds = time.perf_counter() - training.began
    net = training.kept
    assert isinstance(net, QANet)
    every, trained = parameters(net)
    result = {
        "net": spec.name, "data": run.read_json("data.json")["name"], "rule": reading.rule,
        "exact": found.evaluation.exact, "f1": found.evaluation.f1, "test_n": found.evaluation.n,
        "test": asdict(found.evaluation), "dev": asdict(found.dev), "temperature": asdict(found.temperature),
        "ece_before": found.before.ece, "ece": found.after.ece, "reliability": asdict(found.after),
        "head": spec.head, "parameters": every, "trained_parameters": trained,
        "head_parameters": parameters(net.head)[0],
        "frozen_features": bool(task.features), "windows": task.examples,
        "iterations": training.iteration, "batch": training.recipe.batch, "epochs": round(training.epoch, 3),
        "seed": training.recipe.seed, "train_error": training.epoch_error, "seconds": round(seconds, 2),
        "examples_per_second": round(training.iteration * training.recipe.batch / max(seconds, 1e-9), 2),
        "choice": training.choice.as_dict(), "problems": problems, "command": command,
    }  # fmt: skip
    run.write_json(DONE, result)
    return result
