"""The run folder of a language model's training: model/ in it is a Hugging Face folder, which loads without reslab."""

import copy
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from reslab.errors import ReslabError, UsageError
from reslab.extras import need
from reslab.nets.hub import loading, quiet
from reslab.nets.specs import of_family, read_stored
from reslab.nets.words import Loaded
from reslab.qa.data.language import token_windows
from reslab.qa.data.texts import TextData, load_text_data
from reslab.qa.settings import check_seal, seal
from reslab.run import Run, absolute
from reslab.slim.families.language_task import Kind, LanguageTask, asking
from reslab.statistics import bootstrap
from reslab.stored.digest import digest
from reslab.train.checkpoint import LAST, write_weights
from reslab.train.life import Account, Pair, Work, prepare_run
from reslab.train.recipe import IMAGES, Recipe, refuse_images
from reslab.train.start import Start, start_net
from reslab.train.training import Training

MODEL = "model"  # in the run folder: config and tokenizer from the beginning, weights at the end
CLASSES = {"causal": "AutoModelForCausalLM", "masked": "AutoModelForMaskedLM"}
UNLIKE = ("transformers_version", "architectures", "use_cache", "dtype", "torch_dtype")  # of one model at two times
EVERY = 10**9  # windows: all that the texts fill
PARTS = ("train", "validation", "test")


@dataclass(frozen=True, kw_only=True)
class LanguageSpec:
    """A language model in a run folder, besides its config, which lies in model/."""

    name: str  # of its class, for lists
    kind: Kind
    length: int  # tokens of a window
    config: str  # digest of the model's config
    windows: tuple[int, int] = (200, 500)  # most windows of the validation and of the test part

    family: ClassVar[str] = "language"

    def check(self) -> None:
        """Raise UsageError for invalid values."""
        if self.kind not in CLASSES:
            raise UsageError(f"kind must be causal or masked, got {self.kind!r}")
        if self.length < 2 or min(self.windows) < 1:
            raise UsageError(f"length must be two or more and windows positive, got {self.length} and {self.windows}")


def read_language_spec(run: Run) -> LanguageSpec:
    """The spec of a run folder whose net is for texts. Raises as `read_stored` does."""

    def parse(data: dict[str, Any]) -> LanguageSpec:
        found: LanguageSpec = of_family(data, {LanguageSpec.family: LanguageSpec}, "a spec for texts")
        return found

    return read_stored(run, "texts", parse)


def prepare(
    folder: Path | str, *, spec: LanguageSpec, config: Any, tokenizer: Any, data: TextData, column: str | None,
    recipe: Recipe, start: Start | None = None, command: str = "",
) -> Run:  # fmt: skip
    """Make a run folder for a model of this config, or find the same run in it. Raises UsageError as `prepare_run`."""
    run = Run(folder)
    recipe.check()
    refuse_images(recipe)
    spec.check()
    whole = {"family": spec.family, **asdict(spec)}
    about = {"word": absolute(data.name), "reading": {"text": column}, **data.describe()}

    def stored() -> dict[str, Pair]:
        return {"net": (asdict(read_language_spec(run)), asdict(spec))}

    def fill() -> None:
        config.save_pretrained(run.path(MODEL))
        tokenizer.save_pretrained(run.path(MODEL))
        seal(run, MODEL)

    return prepare_run(run, spec=whole, recipe=recipe, about=about, stored=stored, made=(MODEL,), without=IMAGES,
                       command=command, fill=fill, start=start)  # fmt: skip


def data_of(run: Run) -> tuple[str, str | None]:
    """(the word of a run folder's texts, their column)."""
    about = run.read_json("data.json", "word")
    return str(about["word"]), (about.get("reading") or {}).get("text")


def digest_of(config: Any) -> str:
    """What tells the models of two configs apart: not where a config came from, nor its library's version."""
    kept = {key: value for key, value in config.to_dict().items() if key not in UNLIKE and not key.startswith("_")}
    return digest(json.dumps(kept, sort_keys=True, default=str).encode())[:16]


def windows(loaded: Loaded, data: TextData, spec: LanguageSpec) -> dict[str, Tensor]:
    """The windows of each part, (N, length). Raises UsageError if the texts do not fill one, or do not fit."""
    most = dict(zip(PARTS, (EVERY, *spec.windows), strict=True))
    found = {}
    for part in PARTS:
        try:
            found[part] = token_windows(loaded, getattr(data, part), length=spec.length, count=most[part], seed=0)
        except UsageError as error:
            raise UsageError(f"{data.name}, {part} part: ", error) from error
    return found


class OnTexts:
    """The part of training that is specific to texts. `parts`: the windows, if they are known from another run."""

    what, depth = "texts", 0
    made: tuple[str, ...] = (MODEL,)
    needs: tuple[str, ...] = ("net", "data", "test_loss", "test_n")

    def __init__(self, data: TextData | None = None, parts: dict[str, Tensor] | None = None) -> None:
        self.given, self.parts = data, parts

    def read(self, run: Run) -> None:
        self.spec = read_language_spec(run)

    def load(self, work: Work) -> tuple[str, str]:
        word, column = data_of(work.run)
        self.data = load_text_data(word, column=column) if self.given is None else self.given
        return word, self.data.fingerprint

    def changes(self, run: Run) -> str:
        return ""

    def build(self, work: Work) -> tuple[LanguageTask, nn.Module]:
        run = work.run
        check_seal(run, MODEL)
        self.loaded = from_config(run, self.spec)
        start_net(run, self.loaded.model)
        if self.parts is None:
            self.parts = windows(self.loaded, self.data, self.spec)
        self.task = LanguageTask(self.parts, asking(self.loaded), work.recipe, work.device)
        return self.task, self.loaded.model

    def finish(self, work: Work, training: Training, account: Account) -> dict[str, Any]:
        """The loss on the test part; model/ becomes a folder that transformers loads."""
        run, net, found = work.run, training.kept, {}
        for part in ("validation", "test"):
            found[part] = self.task.evaluate(net, part, training.choice) or {}
        low, high = interval(self.task.losses["test"])
        write_weights(run, net, {"family": self.spec.family, **asdict(self.spec)})
        save_model(net, run.path(MODEL))
        seal(run, MODEL)
        run.path(LAST).unlink(missing_ok=True)  # it holds two more copies of the weights
        test, ask = found["test"], self.task.ask
        return {
            "net": self.spec.name, "kind": ask.kind, "test_loss": test["loss"], "test_loss_low": low,
            "test_loss_high": high, "perplexity": math.exp(min(test["loss"], 700.0)), "test_n": test["n"],
            "token_error": test["error"], "validation_loss": found["validation"]["loss"],
            "validation_error": found["validation"]["error"],
            "parameters": sum(p.numel() for p in net.parameters()), "windows": self.task.examples,
            "train_error": training.epoch_error, **account(),
        }  # fmt: skip


def interval(losses: Tensor) -> tuple[float, float]:
    """The 95 % interval of the mean of windows' losses, resampled by window."""
    values = losses.double().numpy()
    found = bootstrap(lambda rows: {"loss": float(values[rows].mean())}, len(values))["loss"]
    return found.low, found.high


def from_config(run: Run, spec: LanguageSpec) -> Loaded:
    """The model of the config in a run folder, from torch's random state, and its tokenizer."""
    transformers = need("transformers", extra="text", why="a language model")
    where = str(run.path(MODEL))
    with loading(where, where), quiet(transformers):
        config = transformers.AutoConfig.from_pretrained(where, trust_remote_code=False)
        tokenizer = transformers.AutoTokenizer.from_pretrained(where, trust_remote_code=False)
        model = initialized(config, spec.kind)
    return Loaded(model=model, kind=spec.kind, word=where, name=spec.name, tokenizer=tokenizer)


def initialized(config: Any, kind: Kind) -> nn.Module:
    """A model of this config with random weights, without a cache while it trains."""
    import transformers

    model: nn.Module = getattr(transformers, CLASSES[kind]).from_config(copy.deepcopy(config), dtype=torch.float32)
    model.config.use_cache = False  # type: ignore[union-attr]
    return model


def save_model(net: nn.Module, folder: Path) -> None:
    """Write config.json and model.safetensors by transformers' own save; the tokenizer's files stay as they are."""
    import transformers

    model: Any = net
    was = getattr(model.config, "use_cache", None)
    try:
        if was is not None:
            model.config.use_cache = True  # what generates afterwards is to use it
        with quiet(transformers):
            model.save_pretrained(folder)
    except (OSError, RuntimeError, ValueError) as error:
        raise ReslabError(f"{folder}: {type(net).__name__} cannot be saved: {error}") from error
    finally:
        if was is not None:
            model.config.use_cache = was
