"""What is looked at: a model, its merges, and the inputs, from the flags."""

from dataclasses import dataclass, fields, replace
from pathlib import Path
from shlex import join
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from reslab.cli import inputs, models, pictures, say
from reslab.cli.kept import folder
from reslab.cli.options import DataFlags, NetFlags, data_options, given, whole
from reslab.errors import ReslabError, UsageError
from reslab.run import Run, environment


@dataclass(frozen=True, kw_only=True)
class _ModelFlags:
    net: Annotated[str | None, Parameter(help="The net that a checkpoint file is of.")] = None
    weights: Annotated[
        bool | None,
        Parameter(help="timm:, torchvision: with trained weights, fetched once; --no-weights: any as initialized."),
    ] = None
    merge: Annotated[
        list[str] | None,
        Parameter(help="A module that is a merge, its addition hidden in a kernel; may be repeated.", negative=()),
    ] = None
    out: Annotated[
        Path | None,
        Parameter(
            help="Folder of the results (default: the run, or runs/look-NAME); of several models one in it for each."
        ),
    ] = None
    device: Annotated[str, Parameter(help="auto, cpu, cuda, cuda:1, mps.")] = "auto"
    precision: Annotated[Literal["fp32", "bf16", "fp16"], Parameter(help="Of weights and images.")] = "fp32"
    threads: Annotated[int, Parameter(help="CPU threads; 0: PyTorch's choice.", converter=whole)] = 0


ModelFlags = Annotated[_ModelFlags, Parameter(name="*", group="Model")]


@dataclass(frozen=True, kw_only=True)
class _LookFlags:
    model: ModelFlags | None = None
    net: NetFlags | None = None
    given: inputs.InputFlags | None = None
    data: DataFlags | None = None


LookFlags = Annotated[_LookFlags, Parameter(name="*")]


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A model with what it is looked at with, and the folder for what is seen."""

    loaded: models.Loaded
    merges: Any
    inputs: inputs.Inputs
    run: Run
    again: str  # the words that name model and inputs, for the next command
    settings: dict[str, Any]  # for look.json

    @property
    def model(self) -> Any:
        return self.loaded.model

    @property
    def batches(self) -> list[Any]:
        return self.inputs.batches

    @property
    def needs_data(self) -> bool:
        """Whether there is nothing to look at it with but what --data names."""
        return self.loaded.run is None and self.loaded.example is None

    def first(self, n: int) -> "Subject":
        """The same with the first n samples only."""
        return replace(self, inputs=self.inputs.first(n))


def meet(word: str, flags: _LookFlags | None, *, data: bool = True, several: bool = False) -> Subject:
    """Load what `word` names, gather the inputs and find its merges; without `data` by an example of any numbers.

    Raises UsageError or ReslabError in one sentence, before anything is measured.
    """
    import torch

    from reslab.look import find
    from reslab.look.example import rows
    from reslab.train.start import pick_device

    flags = flags or _LookFlags()
    asked, wanted = flags.model or _ModelFlags(), flags.given or inputs._InputFlags()
    inputs.check(wanted)
    place = pick_device(asked.device)
    if asked.threads < 0:
        raise UsageError(f"threads must be zero or more, got {asked.threads}")
    if asked.threads:
        torch.set_num_threads(asked.threads)
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[asked.precision]
    options, images, sizes = data_options(flags.data), None, {}
    if word.startswith("net:") and data and wanted.data is not None:  # made for its data
        images = pictures.chosen(word, None, wanted.data, options)
        sizes = pictures.sizes(images, wanted.data, options)
    loaded = models.load(word, net=asked.net, options={**sizes, **given(flags.net)}, weights=asked.weights,
                         seed=wanted.seed, shape_only=not data)  # fmt: skip
    run = folder(loaded, asked.out, several)
    if not loaded.fake:
        loaded.model.to(place, dtype)
        check_weights(loaded)
    found = (inputs.gather(loaded, wanted, options, place, dtype, images) if data
             else inputs.example(loaded, wanted, place, dtype))  # fmt: skip
    first = rows(found.batches[0][0], 0, 2)
    try:
        merges = find(loaded.model, first, modules=asked.merge or ())
    except UsageError as error:
        raise UsageError(f"{error}{hint(loaded, first, data)}") from error
    if data:
        found = check_answers(loaded, found, asked.precision)
    settings = {"precision": asked.precision, "merge": asked.merge or [], "batch": wanted.batch, "seed": wanted.seed,
                "samples": wanted.samples, "labels": found.batches[0][1] is not None}  # fmt: skip
    return Subject(loaded=loaded, merges=merges, inputs=found, run=run, again=again(word, flags),
                   settings={**settings, "environment": environment(str(place), torch.get_num_threads())})  # fmt: skip


def check_weights(loaded: models.Loaded) -> None:
    """Raise ReslabError for a weight that is no number."""
    for name, tensor in [*loaded.model.named_parameters(), *loaded.model.named_buffers()]:
        if tensor.is_floating_point() and tensor.isnan().any():
            raise ReslabError(f"{loaded.word}: its weights hold NaN ({name}): nothing can be measured in it")


def check_answers(loaded: models.Loaded, found: inputs.Inputs, precision: str) -> inputs.Inputs:
    """Raise where the model's answers are no numbers or not of the data's classes; without classes, without labels."""
    import torch

    from reslab.look.example import as_it_was, call, rows, scores

    example, labels = found.batches[0]
    with torch.no_grad(), as_it_was(loaded.model):
        answer = scores(call(loaded.model, rows(example, 0, 2)))
    if not answer.isfinite().all():
        less = "" if precision == "fp32" else f"; {precision} may be too narrow for it: --precision fp32"
        raise ReslabError(f"{loaded.word} answers with NaN or infinite numbers: nothing can be measured{less}")
    classes = len(found.data["classes"]) if labels is not None and "classes" in found.data else None
    if classes is None:
        return found
    if answer.dim() != 2:
        print(
            f"{loaded.word} gives no scores of classes, but {list(answer.shape[1:])} a sample: measured without labels"
        )
        return found.unlabelled()
    if answer.shape[1] != classes:
        raise UsageError(f"{loaded.word} scores {answer.shape[1]} classes, {found.data['name']} has {classes}: the "
                         "labels mean nothing to it; --no-labels measures without them")  # fmt: skip
    return found


def hint(loaded: models.Loaded, example: Any, data: bool) -> str:
    """What may help where a model does not take an example."""
    if loaded.fake:
        return "; its shapes alone do not do: leave out --no-weights"
    shape = tuple(getattr(example, "shape", ()))[1:]
    if loaded.shape is None or len(shape) != 3 or shape[1:] == loaded.shape[1:]:
        return ""
    how = f"--size {loaded.shape[1]}" if data else f"--input {'x'.join(map(str, loaded.shape))}"
    return f"; it is meant for images of {loaded.shape[1]} pixels: {how}"


def again(word: str, flags: _LookFlags) -> str:
    """The words that name the same model and inputs once more."""
    words = [word]
    for group in (flags.model, flags.net, flags.given, flags.data):
        for field in fields(group) if group else ():
            value = getattr(group, field.name)
            for each in value if isinstance(value, list) else [value]:
                words += say.flags({field.name: each}) if value != field.default else []
    return join(words)
