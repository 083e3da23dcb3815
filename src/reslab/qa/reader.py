"""A trained net as a reader: it takes questions and texts and returns answers with positions and probabilities."""

import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from reslab.errors import ReslabError, UsageError
from reslab.nets.checkpoints import read_state
from reslab.nets.heads import Float32Linear
from reslab.nets.published import local
from reslab.nets.weights import filled, refuse_nan
from reslab.progress import Steps
from reslab.qa.answers import Spans
from reslab.qa.asking import Answer, Asker
from reslab.qa.data.question import Question, Report
from reslab.qa.data.questions import answered, split_articles
from reslab.qa.data.windows import Windows
from reslab.qa.judge import Judged, judge
from reslab.qa.net.net import QANet, QASpec, build_qa, read_qa_spec
from reslab.qa.predict import predict
from reslab.qa.settings import (
    SETTINGS,
    SHAPE,
    TOKENIZER,
    WEIGHTS,
    Settings,
    check_seal,
    read_settings,
    read_tokenizer,
)
from reslab.run import Run, missing
from reslab.stored.write import explained, write_aside
from reslab.train.folder import DONE, pick_device
from reslab.train.tune import Choice, native_bf16

__all__ = ["Answer", "Reader", "load", "ready", "trained_net"]


class Reader(Asker):
    """A net that answers questions about texts; `load` makes one."""

    def __init__(
        self, net: QANet, tokenizer: Any, settings: Settings, *, run: Run, device: torch.device, choice: Choice
    ) -> None:
        super().__init__(tokenizer, settings)
        self.net, self.run, self.device, self.choice = net, run, device, choice

    def read(self, cut: Windows, most: int, progress: Steps | None) -> Spans:
        return predict(self.net, cut, device=self.device, choice=self.choice, most=most, progress=progress)

    def calibrate(
        self, questions: Sequence[Question], *, share: float = 0.5, seed: int = 0, progress: Steps | None = None
    ) -> Judged:
        """Fit the temperature (with squad2 also the threshold) on these questions, and measure it on a held-out share.

        Use it for texts of another kind than the training texts. `share` of the questions, in whole articles sampled
        with `seed`, is held out: `.before.ece` and `.after.ece` are the expected calibration errors on it. The reader
        uses the new settings from now on and writes them to the run's qa.json. Raises UsageError if the questions
        cannot be split.
        """
        questions = answered(questions, "calibration", "calibrate", Report())
        fit, held = split_articles(questions, share=share, seed=seed)
        spans = [self.spans(part, progress=progress) for part in (fit, held)]
        found = judge(fit, spans[0], held, spans[1], rule=self.settings.rule)
        self.settings = replace(self.settings, temperature=found.temperature.temperature,
                                threshold=found.evaluation.threshold, ece=found.after.ece)  # fmt: skip
        self.run.write_json(SETTINGS, asdict(self.settings))
        return found

    def save(self, folder: Path | str) -> Path:
        """Write a self-contained folder: spec, weights, tokenizer, settings. Raises UsageError if it is not empty."""
        folder = Path(folder)
        if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
            raise UsageError(f"{folder} is not an empty folder; choose another one")
        if not self.run.has(WEIGHTS):
            raise ReslabError(
                f"{self.run.folder} no longer has {WEIGHTS}, which was there when it was loaded; restore it"
            )
        parts = [TOKENIZER, *([SHAPE] if self.run.path(SHAPE).is_dir() else [])]
        with explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
            for part in parts:
                shutil.copytree(self.run.path(part), folder / part)
        with self.run.path(WEIGHTS).open("rb") as weights:
            write_aside(folder / WEIGHTS, lambda file: shutil.copyfileobj(weights, file))
        Run(folder).write_json(SETTINGS, asdict(self.settings))
        Run(folder).write_json("spec.json", self.run.read_json("spec.json"))  # last: with it the folder is a run
        return folder


def load(run: Path | str, *, device: str = "auto", precision: Literal["auto", "fp32", "bf16"] = "auto") -> Reader:
    """The reader of a finished training, or of a folder that `Reader.save` wrote.

    For inference only: the head is folded, and with precision "auto" bf16 is used if the device supports it natively.
    Nothing is unpickled. Raises UsageError if the folder is not a finished training, ReslabError if it is damaged.
    """
    where = Run(local(run))
    spec = read_qa_spec(where)
    for name in (WEIGHTS, SETTINGS):
        if not where.has(name) and where.has(DONE):
            raise missing(where.path(name))
    if not where.has(WEIGHTS) or not where.has(SETTINGS):
        raise UsageError(f"{run} cannot answer questions yet: its training is not finished")
    settings = read_settings(where, most=spec.length)
    place = pick_device(device)
    if precision not in ("auto", "fp32", "bf16"):
        raise UsageError(f"precision must be auto, fp32 or bf16, got {precision!r}")
    fast = native_bf16(place) if precision == "auto" else precision == "bf16"
    net = trained_net(where, spec)
    choice = Choice(precision="bf16" if fast else "fp32")
    return Reader(ready(net, place, choice), read_tokenizer(where), settings, run=where, device=place, choice=choice)


def trained_net(where: Run, spec: QASpec) -> QANet:
    """The net of a finished training as it was trained, on the CPU. Raises ReslabError for damaged weights."""
    state = read_state(where.path(WEIGHTS))
    check_seal(where, SHAPE)
    with torch.random.fork_rng(devices=[]):  # must not advance the global random state
        net, _ = filled(lambda: build_qa(spec, shape=where.path(SHAPE)), state, where.path(WEIGHTS))
    refuse_nan(net, str(where.folder))
    return net


def ready(net: QANet, device: torch.device, choice: Choice) -> QANet:
    """The net for inference."""
    net.head = net.head.fold()
    net.eval().requires_grad_(False)
    if choice.precision == "bf16":  # autocast would convert the weights again for every batch
        for module in net.modules():
            if isinstance(module, nn.Linear | nn.Conv1d) and not isinstance(module, Float32Linear):
                module.to(torch.bfloat16)
    return net.to(device)
