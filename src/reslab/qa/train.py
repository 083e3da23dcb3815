"""Train a net that answers questions in a run folder, through the one training loop."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from reslab.progress import Progress, in_phase, silent
from reslab.qa import features as cache
from reslab.qa.account import announce
from reslab.qa.data.questions import QuestionData
from reslab.qa.data.windows import Windows
from reslab.qa.features import Features, fits
from reslab.qa.folder import MADE, PARTS, answer_limit, cut, load_stored, read_reading, stored_word
from reslab.qa.judge import judge
from reslab.qa.net.net import QANet, QASpec, build_qa, parameters, read_qa_spec, to_dict
from reslab.qa.net.pretrained import Pretrained
from reslab.qa.scores import write_predictions
from reslab.qa.settings import SETTINGS, SHAPE, Settings, check_seal, seal
from reslab.qa.task import QATask
from reslab.run import Run
from reslab.train.checkpoint import write_weights
from reslab.train.life import Account, Work, train_run
from reslab.train.recipe import Recipe
from reslab.train.start import START, start_net
from reslab.train.training import Training
from reslab.train.tune import Choice, native_bf16
from reslab.train.world import ALONE, World

CACHE = 8e9  # bytes: a frozen encoder's features are stored up to this size; otherwise it runs in each step


def train(
    folder: Path | str, *, data: QuestionData | None = None, parts: dict[str, Windows] | None = None,
    features: dict[str, Features] | None = None, device: str = "auto", progress: Progress = silent, command: str = "",
    world: World = ALONE,
) -> dict[str, Any]:  # fmt: skip
    """Train the net of a prepared run folder, resuming from its last checkpoint; its result, also in results/.

    `parts` and `features`: the windows of train, dev and test and a frozen encoder's features of them, if known from
    another run on the same data. A finished run is not changed; its stored result is returned. Raises as `train_run`
    does.
    """
    return train_run(folder, OnQuestions(data, parts, features), device=device, progress=progress, command=command,
                     world=world)  # fmt: skip


class OnQuestions:
    """The part of training that is specific to questions."""

    what, depth = "questions", 0
    made: tuple[str, ...] = MADE
    needs: tuple[str, ...] = ("net", "data", "exact", "f1", "test_n")

    def __init__(
        self, data: QuestionData | None, parts: dict[str, Windows] | None, features: dict[str, Features] | None
    ) -> None:
        self.given, self.parts, self.features = data, parts, features

    def read(self, run: Run) -> None:
        self.spec, self.reading = read_qa_spec(run), read_reading(run)

    def load(self, work: Work) -> tuple[str, str]:
        self.data = load_stored(work.run) if self.given is None else self.given
        return stored_word(work.run), self.data.fingerprint

    def changes(self, run: Run) -> str:
        return ""

    def build(self, work: Work) -> tuple[QATask, QANet]:
        run, recipe = work.run, work.recipe
        net = build_net(run, self.spec)
        if recipe.checkpointing:
            net.checkpoint()
        if self.parts is None:
            self.parts = {part: cut(getattr(self.data, part), run, self.spec, report=self.data.report)
                          for part in PARTS}  # fmt: skip
            announce(self.data)
        fits(net.encoder, self.parts["train"])
        if self.features is None and self.spec.train_last == 0:
            self.features = frozen_features(net, self.parts, recipe, work.device, progress=work.progress,
                                            world=work.world)  # fmt: skip
        self.most = answer_limit(self.parts, self.reading, self.data.report)
        self.task = QATask(self.parts, recipe, work.device, rule=self.reading.rule, features=self.features,
                           most=self.most, world=work.world)  # fmt: skip
        if not run.has("last.pt"):
            run.log(event="questions", iteration=0, problems=self.data.report.counts,
                    **{part: len(windows.questions) for part, windows in self.parts.items()})  # fmt: skip
        return self.task, net

    def finish(self, work: Work, training: Training, account: Account) -> dict[str, Any]:
        """Score the test part with settings from the dev part; write weights, predictions and settings."""
        run, task, spec, rule = work.run, self.task, self.spec, self.reading.rule
        for part in ("validation", "test"):
            if part not in task.spans:  # resumed after its last step
                task.evaluate(training.kept, part, training.choice)
        if not work.world.leads:
            return {}
        dev, test = task.parts["dev"].questions, task.parts["test"].questions
        found = judge(dev, task.spans["validation"], test, task.spans["test"], rule=rule)
        write_weights(run, training.kept, to_dict(spec))
        write_predictions(run.path("predictions.json"), found.predictions)
        if found.evaluation.threshold is not None:
            write_predictions(run.path("no_answer.json"), found.no_answer)
        settings = Settings(
            rule=rule, length=spec.length, stride=self.reading.stride, temperature=found.temperature.temperature,
            threshold=found.evaluation.threshold, ece=found.after.ece, max_answer=self.most,
        )  # fmt: skip
        run.write_json(SETTINGS, asdict(settings))
        shared = account()
        net = training.kept
        assert isinstance(net, QANet)
        every, trained = parameters(net)
        return {
            "net": spec.name, "rule": rule,
            "exact": found.evaluation.exact, "f1": found.evaluation.f1, "test_n": found.evaluation.n,
            "test": asdict(found.evaluation), "dev": asdict(found.dev), "temperature": asdict(found.temperature),
            "ece_before": found.before.ece, "ece": found.after.ece, "reliability": asdict(found.after),
            "head": spec.head, "parameters": every, "trained_parameters": trained,
            "head_parameters": parameters(net.head)[0], "frozen_features": bool(task.features),
            "max_answer": self.most,
            "windows": task.examples, "train_error": training.epoch_error, "problems": self.data.report.counts,
            **shared,
        }  # fmt: skip


def build_net(run: Run, spec: QASpec) -> QANet:
    """The net with the encoder's pretrained weights; random ones where a checkpoint or the start's weights follow.

    The start of a net with fewer layers than its encoder's folder has brings its shape with it (see `prepare`).
    """
    shape = run.path(SHAPE)
    again = (run.has("last.pt") or run.has(START)) and (shape / "config.json").is_file()
    if again:
        check_seal(run, SHAPE)
    net = build_qa(spec, shape=shape if again else None)
    if isinstance(net.encoder, Pretrained) and not again and run.writes:
        net.encoder.model.config.save_pretrained(shape)
        seal(run, SHAPE)
    start_net(run, net)
    return net


def frozen_features(
    net: QANet, parts: dict[str, Windows], recipe: Recipe, device: torch.device, *, progress: Progress = silent,
    world: World = ALONE,
) -> dict[str, Features] | None:  # fmt: skip
    """The frozen encoder's features of all windows; None if they need more than CACHE bytes."""
    tokens = sum(int(windows.sizes(np.arange(len(windows))).sum()) for windows in parts.values())
    if 2 * tokens * net.encoder.hidden > CACHE:
        return None
    fast = recipe.precision == "bf16" or (recipe.precision == "auto" and native_bf16(device))
    choice = Choice(precision="bf16" if fast else "fp32")
    encoder, found = net.encoder.to(device), {}
    for part, windows in parts.items():
        reading = in_phase(progress, f"reading the {part} part with the frozen encoder")
        found[part] = cache.compute(encoder, windows, device=device, choice=choice, progress=reading,
                                    world=world)  # fmt: skip
    return found
