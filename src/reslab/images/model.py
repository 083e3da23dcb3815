"""A finished run as a model that predicts images: `reslab.load(RUN)` gives its net with `predict`."""

import functools
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from torch import nn

from reslab.errors import ReslabError, ReslabWarning, Sentence, UsageError
from reslab.images.calibrate import described
from reslab.images.calling import answer, check, line_of, predictions
from reslab.images.decoding import Part, workers_for
from reslab.images.inputs import Source
from reslab.images.predict import stream
from reslab.images.preprocess import Preprocess, of_run
from reslab.nets import weights
from reslab.nets.predictions import Mirror, Precision, Prediction
from reslab.nets.published import PREFIX, local
from reslab.nets.specs import FAMILIES, MODULES
from reslab.run import MEMBERS, Run
from reslab.stored.published import is_published
from reslab.train.folder import DONE
from reslab.train.tune import Choice, native_bf16

F = TypeVar("F", bound=Callable[..., Any])
BATCH = 64
WEIGHTS = "weights.safetensors"
ATTACHED = ("predict", "classes", "preprocess")


@dataclass(eq=False, repr=False)
class Predictor:
    """`model.predict`: predicts images with the net of a run; its device is where the net is."""

    net: nn.Module
    classes: tuple[str, ...]
    preprocess: Preprocess
    temperature: float  # 1 if the probabilities are not calibrated
    calibration: Sentence  # how they are, or why they are not
    several: bool = False  # whether an image may have several labels

    def __call__(
        self, images: Any, *, tta: Mirror = "none", batch: int = BATCH, workers: int | None = None,
        precision: Precision = "fp32",
    ) -> Any:  # fmt: skip
        """The Prediction of one image, or the Predictions of several.

        images: a path, the bytes of a file, a PIL image, an array (H, W) or (H, W, C), a tensor (C, H, W) of uint8 or
        of floats from 0 to 1; several: a list of these, an array (N, H, W, C), a tensor (N, C, H, W). tta "flip": the
        mean probability of each image and its mirror image. `workers` decode files; None: chosen by their size.
        precision "auto": bf16 if the device computes it natively. Raises UsageError for what is no image,
        BrokenImage for a file that cannot be read.
        """

        def probabilities(sources: list[Source]) -> Iterator[Part]:
            return self.stream(sources, tta=tta, batch=batch, workers=workers, precision=precision)

        return answer(self, images, probabilities)

    def stream(
        self, sources: Sequence[Source], *, tta: Mirror = "none", batch: int = BATCH, workers: int | None = None,
        precision: Precision = "fp32",
    ) -> Iterator[Part]:  # fmt: skip
        """The probabilities of many images, a batch at a time; of broken ones, the reason. Memory stays bounded."""
        check(tta=tta, batch=batch, workers=workers)
        device = place_of(self.net)
        return stream(
            self.net, sources, self.preprocess, device=device, batch=batch,
            workers=workers_for(sources) if workers is None else workers, choice=choice_for(precision, device),
            temperature=self.temperature, several=self.several, flip=tta == "flip",
        )  # fmt: skip

    def predictions(self, part: Part, names: Sequence[str]) -> list[Prediction]:
        """The predictions of one part of `stream`, whose images have these names."""
        return predictions(self, part, names)

    def chosen(self, precision: str) -> str:
        """The precision that "auto" stands for here, or that was asked. Raises UsageError for an unknown one."""
        return choice_for(precision, place_of(self.net)).precision

    def __repr__(self) -> str:
        return line_of(self, self.preprocess.shape)


def choice_for(precision: str, device: torch.device) -> Choice:
    """How the net is run: fp32 as evaluating runs it, to the bit; bf16 with NHWC, which is then the faster format.

    Raises UsageError for an unknown precision.
    """
    if precision not in ("auto", "fp32", "bf16"):
        raise UsageError(f"precision must be auto, fp32 or bf16, got {precision!r}")
    fast = native_bf16(device) if precision == "auto" else precision == "bf16"
    return Choice(precision="bf16", memory_format="NHWC") if fast else Choice()


def place_of(net: nn.Module) -> torch.device:
    """The device of the net's weights."""
    first = next((tensor for tensor in (*net.parameters(), *net.buffers())), None)
    return torch.device("cpu") if first is None else first.device


def predictor(net: nn.Module, run: Run) -> Predictor:
    """The predictor of a finished run whose net was loaded. Raises ReslabError for a missing or damaged file."""
    about = run.read_json("data.json", "classes")
    classes, several = tuple(about["classes"]), bool(about.get("several"))
    if (many := getattr(getattr(net, "spec", None), "classes", len(classes))) != len(classes):
        raise ReslabError(f"{run.path('data.json')} is damaged: it names {len(classes)} classes, and the net has "
                          f"{many}; restore a copy of it")  # fmt: skip
    result = run.read_json(DONE) if run.has(DONE) else {}
    fitted = (result.get("temperature") or {}).get("temperature")
    return Predictor(net, classes, of_run(run), temperature=fitted or 1.0, calibration=described(result),
                     several=several)  # fmt: skip


def attach(net: Any, source: Path) -> None:
    """Give a net that was loaded from `source` its `predict`, `classes` and `preprocess`, if that is a run's.

    Attributes of these names that a model of another library has are kept, with a warning.
    """
    if source.name != WEIGHTS and not source.is_dir():
        net.predict = Refused(UsageError(f"{source} is a checkpoint file, which does not say how its images are read: "
                                         "predict with a run folder, or call the net on tensors"))  # fmt: skip
        return
    run = Run(source.parent if source.name == WEIGHTS else source)
    if is_published(source) and not run.has("data.json"):
        net.predict = Refused(UsageError(f"{source} does not say how its images are read, nor its classes: it has no "
                                         "data.json, which `reslab push` writes; call the net on tensors"))  # fmt: skip
        return
    try:
        made = predictor(net, run)
    except ReslabError as error:
        net.predict = Refused(error)
        return
    if taken := [name for name in ATTACHED if hasattr(net, name)]:
        warnings.warn(ReslabWarning(f"the model's own {', '.join(taken)} stays; reslab.images.model.predictor(model, "
                                    "reslab.run.Run(FOLDER)) predicts images"), stacklevel=4)  # fmt: skip
    for name, value in (("predict", made), ("classes", made.classes), ("preprocess", made.preprocess)):
        if name not in taken:
            setattr(net, name, value)


class Refused:
    """A `predict` that says why it cannot."""

    def __init__(self, why: ReslabError) -> None:
        self.why, self.kind = why.sentence, UsageError if isinstance(why, UsageError) else ReslabError

    def __call__(self, *images: Any, **options: Any) -> Any:
        """Raises UsageError, or ReslabError for a file that is missing or damaged."""
        raise self.kind(self.why)


def predicting(load: F) -> F:
    """`nets.load`, whose nets can also predict images; runs of questions and tables are opened by their own `load`."""

    @functools.wraps(load)
    def loading(source: Any, *args: Any, **options: Any) -> Any:
        if isinstance(source, str) and source.startswith(PREFIX):
            source = local(source)
        if not args and not options and isinstance(source, str | Path) and (use := other_use(Path(source))):
            return import_module(MODULES[use]).load(source)
        net = load(source, *args, **options)
        attach(net, Path(source))
        return net

    loading.__doc__ = (load.__doc__ or "").rstrip() + (
        "\n\n    The net of a run has `classes`, `preprocess` (an image to a normalized tensor) and `predict`:\n"
        '    load(RUN).predict("a.jpg"). For runs of questions and tables this gives what reslab.qa.load and\n'
        "    reslab.tables.load give, whose types are theirs.\n    "
    )
    return cast(F, loading)


def other_use(folder: Path) -> str | None:
    """ "questions" or "tables" for a run folder of such a net; None for any other."""
    run = Run(folder)
    if run.has(MEMBERS):
        return "tables"
    if not run.has("spec.json"):
        return None
    use = FAMILIES.get(str(run.read_json("spec.json").get("family")), "images")
    return use if use in MODULES else None


load = predicting(weights.load)
