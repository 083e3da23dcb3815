"""Slimming a language model of transformers: which layers go, judged by the next token of texts held out from it."""

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from reslab.errors import UsageError, arg
from reslab.look.graph.example import rows
from reslab.look.measure import Batch, Metric
from reslab.nets.words import Loaded
from reslab.nets.words import load as load_word
from reslab.progress import Progress, silent
from reslab.qa.data.language import length_of
from reslab.qa.data.texts import TextData, load_text_data
from reslab.run import Run
from reslab.slim.earlier import before, remember
from reslab.slim.families.language_run import (
    MODEL,
    LanguageSpec,
    OnTexts,
    data_of,
    digest_of,
    interval,
    prepare,
    read_language_spec,
    save_model,
    windows,
)
from reslab.slim.families.language_task import asking, loss, measured, of_tokens
from reslab.slim.families.pairs import pairs_of
from reslab.slim.family import Family
from reslab.slim.generating import generation
from reslab.slim.healing.distilled import Distillation
from reslab.slim.healing.family import Taught, mark_taught
from reslab.slim.identity import identity
from reslab.slim.record import Arm, Score, What
from reslab.train.checkpoint import as_file
from reslab.train.folder import DONE, pick_device, read_recipe
from reslab.train.life import train_run
from reslab.train.recipe import Recipe, change
from reslab.train.start import Start, mark_of
from reslab.train.tune import Choice, native_bf16

SAMPLES, TESTS, BATCH = 200, 500, 8  # windows of the plan and of the test part; in one batch of the plan
PROMPTS, NEW = 32, 32  # prompts of as many tokens as are then generated
HOW = Distillation(weight=0.9, temperature=1.0)  # tokens are many: at 1 the teacher's few likely ones count
RECIPE = Recipe(  # for a model whose own training is not known
    epochs=1, batch=16, optimizer="adamw", lr=1e-4, weight_decay=0.01, decay_all=False, clip=1.0, schedule="linear",
    warmup=0.1, compile="off",
)  # fmt: skip
SLOWER = 4.0  # times slower than in the first training


class Texts(Family):
    """A language model and texts as a family of slimming (slim/family.py).

    `word`: a run folder of `language_model`, a Hugging Face folder, hf:NAME, or what `reslab.nets.words.load` gave.
    `data`: as for `load_text_data`; by default those of the run.
    The plan is measured on windows of the validation texts, the scores on the test texts. `changes`: keys of the recipe
    of healing. Raises UsageError for a model that is no language model, and for texts that do not fit it.
    """

    name, measure, lower_is_better = "texts", "loss", True

    def __init__(
        self, word: str | Path | Loaded, data: str | TextData | None = None, *, column: str | None = None,
        length: int | None = None, samples: int = SAMPLES, tests: int = TESTS, device: str = "auto", seed: int = 0,
        changes: Mapping[str, Any] | None = None, how: Distillation = HOW, trained_epochs: float | None = None,
    ) -> None:  # fmt: skip
        how.check()
        self.loaded = word if isinstance(word, Loaded) else load_word(str(word))
        self.ask, self.how, self.seed = asking(self.loaded), how, seed
        self.run = run_of(self.loaded.word)
        if data is None and self.run:
            data, column = data_of(self.run)
        if data is None:
            raise UsageError(f"{self.loaded.word} needs texts to be slimmed with: ", arg("data"), " names a .txt, "
                             ".json, .jsonl or .parquet file, or a folder of them")  # fmt: skip
        self.column = column
        self.data = load_text_data(data, column=column) if isinstance(data, str) else data
        known = read_language_spec(self.run) if self.run else None
        length = length_of(self.loaded, length or (known.length if known else None))
        self.spec = LanguageSpec(name=self.loaded.name, kind=self.ask.kind, length=length, windows=(samples, tests),
                                 config=digest_of(self.loaded.model.config))  # fmt: skip
        self.spec.check()
        self.device = pick_device(device)
        self.model: nn.Module = self.loaded.model.to(self.device).eval()
        self.parts: dict[str, Tensor] = windows(self.loaded, self.data, self.spec)
        self.first = read_recipe(self.run) if self.run else RECIPE
        own = {"lr": self.first.lr / SLOWER} if self.run else {}
        self.known = before(self.run, self.loaded.word).named(trained_epochs)
        self.trained_epochs, self.unknown = self.known.epochs, self.known.unknown
        healing = {"epochs": max(1.0, round(self.trained_epochs / 4, 2)) if self.trained_epochs else 1.0, **own}
        self.recipe = change(self.first, **{**healing, **(changes or {})})
        self.heal_epochs = self.recipe.epochs

    @property
    def examples(self) -> int:
        """Training windows."""
        return len(self.parts["train"])

    def asked(self, part: str, start: int, stop: int) -> Batch:
        ids, labels = self.ask(self.parts[part][start:stop])
        return {"input_ids": ids.to(self.device)}, labels.to(self.device)

    def batches(self) -> list[Batch]:
        """Windows of the validation texts, with the tokens to predict."""
        many = len(self.parts["validation"])
        return [self.asked("validation", k, min(many, k + BATCH)) for k in range(0, many, BATCH)]

    @cached_property
    def example(self) -> Any:
        """Two of these windows."""
        given = self.asked("validation", 0, 2)[0]
        return rows(given, 0, 2)

    def metrics(self) -> list[str | Metric]:
        return [loss]

    @property
    def data_name(self) -> str:
        return self.data.name

    def planned_on(self) -> str:
        n, length = self.parts["validation"].shape
        return f"{n:,} windows of {length} tokens of the validation texts of {self.data.about}"

    def identity(self) -> dict[str, Any]:
        return identity(
            self.recipe,
            self.how,
            data=self.data.fingerprint,
            trained_epochs=self.trained_epochs,
            length=self.spec.length,
        )

    def average_norms(self, model: nn.Module) -> bool:
        return False  # language models have no BatchNorm

    @cached_property
    def choice(self) -> Choice:
        """The precision of every training and score: the recipe's, else the first training's, else the device's."""
        trained = self.run.read_json(DONE) if self.run else {}
        known = (self.recipe.precision, (trained.get("choice") or {}).get("precision"))
        fast = "bf16" if native_bf16(self.device) else "fp32"
        return Choice(precision=next((one for one in known if one in ("fp32", "bf16")), fast), memory_format="")

    def evaluate(self, model: nn.Module) -> Score:
        """Nats per token on the test texts, resampled by window."""
        losses, wrong = measured(model.to(self.device), self.parts["test"], self.ask, device=self.device,
                                 choice=self.choice)  # fmt: skip
        return score_of(losses, 100 * float(wrong.mean()))

    def generation(self, model: nn.Module) -> dict[str, Any] | None:
        """What a slim causal model writes beside the intact one (slim/generating.py); None for a masked model."""
        if self.ask.kind != "causal":
            return None
        ids = self.parts["test"].to(self.device)
        return generation(model, self.model, ids, tokenizer=self.loaded.tokenizer, prompts=PROMPTS,
                          prompt_tokens=min(NEW, ids.shape[1]), new_tokens=NEW).as_dict()  # fmt: skip

    def save(self, model: nn.Module, folder: Path) -> None:
        """Write a Hugging Face folder with the tokenizer; transformers loads it."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        save_model(model, Path(folder))
        self.loaded.tokenizer.save_pretrained(folder)

    def train(
        self, folder: Path, *, what: What, net: nn.Module, teacher: nn.Module | None, epochs: float, seed: int,
        progress: Progress = silent,
    ) -> Arm:  # fmt: skip
        """One training in a run folder, whose model/ is a Hugging Face folder.

        A scratch model has random weights and the recipe of the first training; where that is not known, the recipe of
        healing and its length, and so less training than the intact model once had.
        """
        model: Any = net
        scratch = what == "scratch"
        first = self.known.recipe if scratch else None
        recipe = change(first or self.recipe, epochs=epochs, seed=seed, precision=self.choice.precision,
                        keep=self.recipe.keep, early_stop=0)  # fmt: skip
        start = None
        if not scratch:
            tensors = as_file(net.state_dict())
            start = Start(tensors=tensors, mark=mark_of(tensors))
        spec = replace(self.spec, config=digest_of(model.config))
        run = prepare(folder, spec=spec, config=model.config, tokenizer=self.loaded.tokenizer, data=self.data,
                      column=self.column, recipe=recipe, start=start)  # fmt: skip
        own: Any = OnTexts(self.data, self.parts)
        if teacher is not None and what == "healed":
            mark_taught(run, teacher, self.how)
            own = Taught(own, teacher, self.how, divergence=lambda task: of_tokens,
                         pairs=pairs_of(net, teacher) if self.how.features else ())  # fmt: skip
        found = train_run(run.folder, own, device=str(self.device), progress=progress)
        remember(run, self.known, what=what, recipe=recipe)
        score = Score(value=found["test_loss"], low=found["test_loss_low"], high=found["test_loss_high"],
                      n=found["test_n"], more={key: found[key] for key in ("perplexity", "token_error")})  # fmt: skip
        return Arm(what=what, score=score, seed=seed, epochs=found["epochs"], seconds=found["seconds"],
                   run=run.folder.name)  # fmt: skip


def score_of(losses: Tensor, error: float) -> Score:
    """The mean loss of windows with its interval, and the perplexity and share of wrong tokens beside it."""
    low, high = interval(losses)
    value = float(losses.mean())
    return Score(value=value, low=low, high=high, n=len(losses),
                 more={"perplexity": math.exp(min(value, 700.0)), "token_error": error})  # fmt: skip


def run_of(word: str) -> Run | None:
    """The finished run folder that a word names, or whose model/ it names; None for another model."""
    for folder in (Path(word), Path(word).parent):
        run = Run(folder)
        if run.has("spec.json") and run.has(DONE) and run.read_json("spec.json").get("family") == LanguageSpec.family:
            return run if folder == Path(word) or Path(word).name == MODEL else None
    return None
