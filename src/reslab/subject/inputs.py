"""What a model is looked at with: --data -> batches on the device, and the example that finds its merges."""

import re
from dataclasses import dataclass, replace
from typing import Any, Literal

from reslab.errors import ReslabError, UsageError, arg
from reslab.nets.words import Loaded
from reslab.subject import pictures, tokens

NOISE = {"images": 100, "own": 100, "causal": 10, "masked": 10, "encoder": 10}  # random samples by default


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which inputs a model is looked at with; None: the default for its kind."""

    data: str | None = None  # images as for `reslab train`, or a file of texts; None: the run's own
    part: Literal["test", "train"] = "test"
    samples: int | None = None  # sampled at random by the seed; None: 1000 images, 100 windows
    batch: int | None = None  # samples in a pass; None: 100 images, 10 windows
    normalize: Literal["pixel", "channel", "imagenet", "none"] | None = None  # of a model that is no run
    labels: bool = True
    column: str | None = None  # of a .parquet or .jsonl with texts
    length: int | None = None  # tokens in a window of text
    random: bool = False  # random inputs in place of data
    input: str | None = None  # shape of a random input, such as 3x224x224
    seed: int = 0  # of samples, masked words, initialization, draws


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
        from reslab.look.graph.example import batch_size, rows

        kept, left = [], n
        for example, labels in self.batches:
            many = min(left, batch_size(example))
            if many:
                kept.append((rows(example, 0, many), None if labels is None else labels[:many]))
            left -= many
        return replace(self, batches=kept, n=n - left)


def gather(
    loaded: Loaded, flags: Wanted, options: dict[str, Any], device: Any, dtype: Any, images: Any = None
) -> Inputs:
    """The batches that the flags ask for. `options` are the data's (root, size, download), `images` they if loaded.

    Raises UsageError for flags or data that do not serve this model, ReslabError for numbers that are not finite.
    """
    from reslab.look.graph.example import batch_size

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


def check(flags: Wanted) -> None:
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
        raise UsageError(arg("random", True), " takes the place of data: leave it out, or ", arg("data", flags.data))


def given_batches(loaded: Loaded, flags: Wanted, device: Any, dtype: Any) -> tuple[list[Any], dict[str, Any]]:
    """The example (and labels) that the user's own function returned, cut into batches."""
    import torch

    from reslab.look.graph.example import batch_size, rows

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


def random_batches(loaded: Loaded, flags: Wanted, device: Any, dtype: Any) -> tuple[list[Any], dict[str, Any]]:
    """Normal numbers as images, without labels; or tokens drawn evenly."""
    n = flags.samples or NOISE[loaded.kind]
    if takes_tokens(loaded, flags):
        ids = tokens.random_tokens(loaded, flags, n)
        return tokens.token_batches(loaded, flags, ids, device), {"name": "random tokens", "length": ids.shape[1]}
    x, step = moved(noise(loaded, flags, n), device, dtype), flags.batch or pictures.BATCH
    return [(x[i : i + step], None) for i in range(0, n, step)], {"name": "random numbers", "shape": list(x.shape[1:])}


def example(loaded: Loaded, flags: Wanted, device: Any, dtype: Any) -> Inputs:
    """An input that needs no data: the user's own, or a random one of the shape that --input or the model says."""
    from reslab.look.graph.example import each

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


def takes_tokens(loaded: Loaded, flags: Wanted) -> bool:
    return loaded.kind in ("causal", "masked", "encoder") and flags.input is None


def noise(loaded: Loaded, flags: Wanted, n: int) -> Any:
    import torch

    shape = sides(flags.input) if flags.input is not None else loaded.shape
    if shape is None:
        raise UsageError(f"{loaded.word} returns no example input: give its shape, such as ", arg("input", "3x224x224"))
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(flags.seed))


def sides(text: str) -> tuple[int, ...]:
    """3x224x224 as numbers."""
    if not re.fullmatch(r"[1-9]\d{0,8}(x[1-9]\d{0,8})*", text):
        raise UsageError(f"input must be the shape of one sample, such as 3x224x224, got {text!r}")
    return tuple(map(int, text.split("x")))


def moved(example: Any, device: Any, dtype: Any) -> Any:
    """The example on the device, its floating-point tensors of the model's type."""
    from reslab.look.graph.example import each

    return each(example, lambda t: t.to(device, dtype) if t.is_floating_point() else t.to(device))


def check_finite(example: Any, name: str) -> None:
    from reslab.look.graph.example import arguments, tensors

    args, kwargs = arguments(example)
    for tensor in tensors([*args, *kwargs.values()]):
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise ReslabError(f"{name}: some numbers are NaN or infinite; nothing can be measured with them")
