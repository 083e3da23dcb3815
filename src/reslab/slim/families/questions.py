"""Slimming a reader: which layers of its encoder and head go, judged by the questions of its own run folder."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from reslab.errors import UsageError
from reslab.look.graph.example import rows
from reslab.look.measure import Batch, Metric
from reslab.progress import Progress, silent
from reslab.qa.answers import Spans, predictions, rank
from reslab.qa.data.windows import Windows
from reslab.qa.folder import PARTS, cut, load_tokenizer, prepare, read_reading, stored_data, stored_word
from reslab.qa.judge import Judged, judge
from reslab.qa.net.net import QANet, QASpec, read_qa_spec
from reslab.qa.predict import inputs, predict
from reslab.qa.reader import trained_net
from reslab.qa.rules import RULES
from reslab.qa.scores import read_predictions, write_predictions
from reslab.qa.settings import SETTINGS, TOKENIZER, WEIGHTS, read_settings
from reslab.qa.train import OnQuestions
from reslab.run import Run
from reslab.slim.earlier import before, remember
from reslab.slim.families.pairs import pairs_of
from reslab.slim.families.reader import encoder_config, untrained, write_reader
from reslab.slim.families.spans import loss_of_spans, of_spans, score_of
from reslab.slim.family import Family
from reslab.slim.healing.distilled import Distillation
from reslab.slim.healing.family import Taught, mark_taught
from reslab.slim.identity import identity
from reslab.slim.record import Arm, Score, What
from reslab.train.checkpoint import LAST, as_file
from reslab.train.folder import DONE, pick_device, read_recipe
from reslab.train.life import train_run
from reslab.train.order import shuffled
from reslab.train.recipe import change
from reslab.train.start import Start, mark_of
from reslab.train.tune import Choice, native_bf16

SAMPLES, BATCH = 300, 16  # windows of the plan
HOW = Distillation(weight=0.9, temperature=2.0)  # spans are sharper than classes: 4 would flatten 256 tokens


class Questions(Family):
    """The run folder of a reader as a family of slimming (slim/family.py).

    The plan is measured on windows of the run's dev part, the scores on its test part. `changes`: keys of the recipe
    of healing. Raises UsageError for a folder
    that is no finished training, or that has no questions of its own.
    """

    name, measure, lower_is_better = "questions", "f1", False

    def __init__(
        self, run: Path | str, *, samples: int = SAMPLES, device: str = "auto", seed: int = 0,
        changes: Mapping[str, Any] | None = None, how: Distillation = HOW, trained_epochs: float | None = None,
    ) -> None:  # fmt: skip
        self.run, self.seed, self.samples, self.how = Run(run), seed, samples, how
        self.spec: QASpec = read_qa_spec(self.run)
        if samples < 1:
            raise UsageError(f"samples must be positive, got {samples}")
        if not self.run.has(WEIGHTS) or not self.run.has(SETTINGS):
            raise UsageError(f"{run} cannot be slimmed yet: its training is not finished")
        if not self.run.has("data.json") or not self.run.has("recipe.toml"):
            raise UsageError(f"{run} holds a reader without its questions and recipe; name the run folder in which it "
                             "was trained")  # fmt: skip
        self.first, self.reading = read_recipe(self.run), read_reading(self.run)
        self.recipe = change(self.first, **(changes or {}))
        self.settings = read_settings(self.run, most=self.spec.length)
        self.device = pick_device(device)
        self.data = stored_data(self.run)
        done = self.run.read_json(DONE) if self.run.has(DONE) else {}
        # Epochs on questions: those of a pretrained encoder are not among them.
        self.known = before(self.run, str(run)).named(trained_epochs)
        self.trained_epochs, self.unknown = self.known.epochs, self.known.unknown
        asked = (changes or {}).get("epochs")
        self.heal_epochs = float(asked or max(1.0, (done.get("epochs") or 2.0) / 2))
        self.model: nn.Module = trained_net(self.run, self.spec).to(self.device).eval()
        self.model.folder = self.run.folder  # type: ignore[assignment]  # with which a cut of it can be saved

    @cached_property
    def parts(self) -> dict[str, Windows]:
        """The windows of train, dev and test."""
        return {part: cut(getattr(self.data, part), self.run, self.spec, report=self.data.report) for part in PARTS}

    @property
    def examples(self) -> int:
        """Training windows."""
        return int(self.parts["train"].known.sum())

    @cached_property
    def sampled(self) -> np.ndarray:
        """The windows of the dev part on which the plan is measured, similar lengths side by side."""
        windows = self.parts["dev"]
        known = np.flatnonzero(windows.known)
        if not len(known):
            raise UsageError(f"no window of {self.run.folder}'s dev part holds an answer, so nothing can be planned")
        chosen = np.sort(known[shuffled(len(known), self.seed).numpy()[: self.samples]])
        return chosen[np.argsort(windows.sizes(chosen), kind="stable")]

    def batches(self) -> list[Batch]:
        """Windows of the dev part; labels (B, 2): the first and last token of the answer, 0 for none."""
        found: list[Batch] = []
        for k in range(0, len(self.sampled), BATCH):
            batch = self.parts["dev"].batch(self.sampled[k : k + BATCH]).to(self.device)
            found.append((inputs(batch), torch.stack([batch.start, batch.end], dim=1)))
        return found

    @cached_property
    def example(self) -> Any:
        """Two of these windows."""
        return rows(inputs(self.parts["dev"].batch(self.sampled[-2:]).to(self.device)), 0, 2)

    def metrics(self) -> list[str | Metric]:
        return [loss_of_spans]

    @property
    def data_name(self) -> str:
        return self.data.name

    def planned_on(self) -> str:
        total = len(self.parts["dev"])
        return f"{len(self.sampled):,} of the {total:,} windows of the dev part of {self.data.about}"

    def identity(self) -> dict[str, Any]:
        return identity(self.recipe, self.how, data=self.data.fingerprint, trained_epochs=self.trained_epochs)

    def average_norms(self, model: nn.Module) -> bool:
        return False  # readers have no BatchNorm

    @cached_property
    def choice(self) -> Choice:
        """The precision of every training and score: the recipe's, else the first training's, else the device's."""
        trained = self.run.read_json(DONE) if self.run.has(DONE) else {}
        known = (self.recipe.precision, (trained.get("choice") or {}).get("precision"))
        fast = "bf16" if native_bf16(self.device) else "fp32"
        return Choice(precision=next((one for one in known if one in ("fp32", "bf16")), fast))

    def spans(self, model: nn.Module, part: str) -> Spans:
        """The model's best spans in every window of a part."""
        assert isinstance(model, QANet)
        model.to(self.device)
        return predict(model, self.parts[part], device=self.device, choice=self.choice, most=self.settings.max_answer)

    def judged(self, model: nn.Module) -> Judged:
        """The model's answers: threshold and temperature fitted on the dev part, the test part scored."""
        dev, test = (self.parts[part].questions for part in ("dev", "test"))
        return judge(dev, self.spans(model, "dev"), test, self.spans(model, "test"), rule=self.reading.rule)

    def evaluate(self, model: nn.Module) -> Score:
        """F1 and exact match (%) on the test part; a threshold of "no answer" is fitted on the dev part."""
        questions = self.parts["test"].questions
        if RULES[self.reading.rule].empty:
            return score_of(questions, self.judged(model).predictions, rule=self.reading.rule)
        ranked = rank(self.spans(model, "test"), len(questions))
        return score_of(questions, predictions(questions, ranked)[0], rule=self.reading.rule)

    def save(self, model: nn.Module, folder: Path) -> None:
        """Write a folder that reslab.qa.load, `reslab qa ask` and `reslab qa eval` take; calibrated on the dev part."""
        assert isinstance(model, QANet)
        found = self.judged(model)
        settings = replace(self.settings, temperature=found.temperature.temperature, ece=found.after.ece,
                           threshold=found.evaluation.threshold)  # fmt: skip
        write_reader(model, Path(folder), self.run, settings)
        write_predictions(Path(folder) / "predictions.json", found.predictions)

    def train(
        self, folder: Path, *, what: What, net: nn.Module, teacher: nn.Module | None, epochs: float, seed: int,
        progress: Progress = silent,
    ) -> Arm:  # fmt: skip
        """One training by the run's own recipe (with `changes`, but from nothing), as long as `epochs`.

        See `slim.family`, and `reader.untrained` for what a training from nothing begins with.
        """
        assert isinstance(net, QANet)
        first = self.known.recipe if what == "scratch" else None
        recipe = change(first or self.recipe, epochs=epochs, seed=seed, precision=self.choice.precision,
                        keep=self.recipe.keep, early_stop=0)  # fmt: skip
        begun = net
        if what == "scratch":
            whole = self.model
            assert isinstance(whole, QANet)
            begun = untrained(whole, net, seed=seed, example=self.example)
        tensors = as_file(begun.state_dict())
        spec: QASpec = net.spec  # type: ignore[assignment]
        run = prepare(
            folder, spec=spec, tokenizer=load_tokenizer(self.run.path(TOKENIZER)), data=self.data,
            word=stored_word(self.run), reading=self.reading, recipe=recipe,
            start=Start(tensors=tensors, mark=mark_of(tensors)), shape=encoder_config(net),
        )  # fmt: skip
        # The teacher reads every window with its own encoder, so a frozen encoder's vectors cannot be stored.
        own: Any = OnQuestions(self.data, self.parts, None if teacher is None else {})
        if teacher is not None:
            mark_taught(run, teacher, self.how)
            own = Taught(own, teacher, self.how, divergence=lambda task: of_spans,
                         pairs=pairs_of(net, teacher) if self.how.features else ())  # fmt: skip
        result = train_run(run.folder, own, device=str(self.device), progress=progress)
        remember(run, self.known, what=what, recipe=recipe)
        run.path(LAST).unlink(missing_ok=True)  # it holds two more copies of the encoder
        score = score_of(self.parts["test"].questions, read_predictions(run.path("predictions.json")),
                         rule=self.reading.rule)  # fmt: skip
        return Arm(what=what, score=score, seed=seed, epochs=result["epochs"], seconds=result["seconds"],
                   run=run.folder.name)  # fmt: skip
