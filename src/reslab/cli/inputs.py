"""What a model is looked at with: --data -> batches on the device, and the example that finds its merges."""

import re
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from reslab.cli import pictures, tokens
from reslab.cli.models import Loaded
from reslab.cli.options import whole
from reslab.errors import ReslabError, UsageError

NOISE = {"images": 100, "own": 100, "causal": 10, "masked": 10, "encoder": 10}  # random samples by default


@dataclass(frozen=True, kw_only=True)
class _InputFlags:
    data: Annotated[
        str | None,
        Parameter(
            help="Images as for `reslab train`, by default the run's own. For language models and encoders texts: "
            "a .txt, .json (SQuAD's form), .jsonl or .parquet file."
        ),
    ] = None
    part: Annotated[Literal["test", "train"], Parameter(help="Which images.")] = "test"
    samples: Annotated[
        int | None, Parameter(help="How many, drawn by --seed (default: 1000 images, 100 windows).", converter=whole)
    ] = None
    batch: Annotated[
        int | None,
        Parameter(
            help="Samples in a pass (default: 100 images, 10 windows). It bounds the memory: of --samples, only the "
            "inputs themselves are held.",
            converter=whole,
        ),
    ] = None
    normalize: Annotated[
        Literal["pixel", "channel", "imagenet", "none"] | None,
        Parameter(help="What a model that is no run was trained with (default: what it says itself, or imagenet)."),
    ] = None
    labels: Annotated[bool, Parameter(help="--no-labels where the labels are not those the model learned.")] = True
    column: Annotated[str | None, Parameter(help="Of a .parquet or .jsonl with texts (default: text).")] = None
    length: Annotated[
        int | None,
        Parameter(help="Tokens in a window of text (default: 128, or what the model takes).", converter=whole),
    ] = None
    random: Annotated[bool, Parameter(help="Random inputs in place of data.", negative=())] = False
    input: Annotated[str | None, Parameter(help="Shape of a random input, such as 3x224x224.")] = None
    seed: Annotated[int, Parameter(help="Of samples, masked words, initialization, draws.", converter=whole)] = 0


InputFlags = Annotated[_InputFlags, Parameter(name="*", group="Inputs")]


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Batches on the device, how many samples they hold, and what look.json says of them."""

    batches: list[Any]  # (example, labels or None)
    n: int
    data: dict[str, Any]

    def unlabelled(self) -> "Inputs":
        """The same without labels."""
        return replace(self, batches=[(example, None) for example, _ in self.batches])

    def first(self, n: int) -> "Inputs":
        """The first n samples."""
        from reslab.look.example import batch_size, rows

        kept, left = [], n
        for example, labels in self.batches:
            many = min(left, batch_size(example))
            if many:
                kept.append((rows(example, 0, many), None if labels is None else labels[:many]))
            left -= many
        return replace(self, batches=kept, n=n - left)


def gather(
    loaded: Loaded, flags: _InputFlags, options: dict[str, Any], device: Any, dtype: Any, images: Any = None
) -> Inputs:
    """The batches that the flags ask for. `options` are the data's (root, size, download), `images` they if loaded.

    Raises UsageError for flags or data that do not serve this model, ReslabError for numbers that are not finite.
    """
    from reslab.look.example import batch_size

    check(flags)
    if flags.random:
        batches, data = random_batches(loaded, flags, device, dtype)
    elif loaded.example is not None and flags.data is None:
        batches, data = given_batches(loaded, flags, device, dtype)
    elif loaded.kind in ("images", "own"):
        batches, data = pictures.image_batches(loaded, flags, options, device, dtype, images)
    else:
        batches, data = tokens.text_batches(loaded, flags, device)
    for example, _ in batches:
        check_finite(example, data["name"])
    found = Inputs(batches=batches, n=sum(batch_size(example) for example, _ in batches), data=data)
    return found if flags.labels else found.unlabelled()


def check(flags: _InputFlags) -> None:
    """Raise UsageError for a flag that cannot be."""
    for name in ("samples", "batch"):
        value = getattr(flags, name)
        if value is not None and value < 1:
            raise UsageError(f"{name} must be positive, got {value}")
    if flags.seed < 0:
        raise UsageError(f"seed must be zero or more, got {flags.seed}")
    if flags.length is not None and flags.length < 2:
        raise UsageError(f"length must be two or more, got {flags.length}")
    if flags.random and flags.data is not None:
        raise UsageError(f"--random takes the place of data: leave out --random or --data {flags.data}")


def given_batches(loaded: Loaded, flags: _InputFlags, device: Any, dtype: Any) -> tuple[list[Any], dict[str, Any]]:
    """The example (and labels) that the user's own function returned, cut into batches."""
    import torch

    from reslab.look.example import batch_size, rows

    whole_batch = moved(loaded.example, device, dtype)
    many = batch_size(whole_batch)
    n, step = min(many, flags.samples or many), flags.batch or pictures.BATCH
    if n == 0:
        raise UsageError(f"{loaded.word}: its example input holds no sample")
    labels = None if loaded.labels is None else torch.as_tensor(loaded.labels).to(device)
    if labels is not None and (not labels.dim() or len(labels) != many):
        raise UsageError(f"{loaded.word}: its labels are {list(labels.shape)}, its example input has {many} samples")
    batches = [
        (rows(whole_batch, i, min(n, i + step)), None if labels is None else labels[i : min(n, i + step)])
        for i in range(0, n, step)
    ]
    return batches, {"name": f"the example input of {loaded.word}"}


def random_batches(loaded: Loaded, flags: _InputFlags, device: Any, dtype: Any) -> tuple[list[Any], dict[str, Any]]:
    """Normal numbers as images, without labels; or tokens drawn evenly."""
    n = flags.samples or NOISE[loaded.kind]
    if takes_tokens(loaded, flags):
        ids = tokens.random_tokens(loaded, flags, n)
        return tokens.token_batches(loaded, flags, ids, device), {"name": "random tokens", "length": ids.shape[1]}
    x, step = moved(noise(loaded, flags, n), device, dtype), flags.batch or pictures.BATCH
    return [(x[i : i + step], None) for i in range(0, n, step)], {"name": "random numbers", "shape": list(x.shape[1:])}


def example(loaded: Loaded, flags: _InputFlags, device: Any, dtype: Any) -> Inputs:
    """An input that needs no data: the user's own, or a random one of the shape that --input or the model says."""
    from reslab.look.example import each

    if flags.input is None and loaded.example is not None:
        found = loaded.example
    elif takes_tokens(loaded, flags):
        found = tokens.called(loaded, tokens.random_tokens(loaded, flags, 2))
    else:
        found = noise(loaded, flags, 2)
    found = moved(found, device, dtype)
    if loaded.fake:
        found = each(found, loaded.fake.from_tensor)
    return Inputs(batches=[(found, None)], n=0, data={})


def takes_tokens(loaded: Loaded, flags: _InputFlags) -> bool:
    return loaded.kind in ("causal", "masked", "encoder") and flags.input is None


def noise(loaded: Loaded, flags: _InputFlags, n: int) -> Any:
    import torch

    shape = sides(flags.input) if flags.input is not None else loaded.shape
    if shape is None:
        raise UsageError(f"{loaded.word} returns no example input: give its shape, such as --input 3x224x224")
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(flags.seed))


def sides(text: str) -> tuple[int, ...]:
    """3x224x224 as numbers."""
    if not re.fullmatch(r"[1-9]\d{0,8}(x[1-9]\d{0,8})*", text):
        raise UsageError(f"input must be the shape of one sample, such as 3x224x224, got {text!r}")
    return tuple(map(int, text.split("x")))


def moved(example: Any, device: Any, dtype: Any) -> Any:
    """The example on the device, its floating-point tensors of the model's type."""
    from reslab.look.example import each

    return each(example, lambda t: t.to(device, dtype) if t.is_floating_point() else t.to(device))


def check_finite(example: Any, name: str) -> None:
    from reslab.look.example import arguments, tensors

    args, kwargs = arguments(example)
    for tensor in tensors([*args, *kwargs.values()]):
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise ReslabError(f"{name}: some numbers are NaN or infinite; nothing can be measured with them")
