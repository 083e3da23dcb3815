"""The inputs for looking inside a model: --data -> batches on the device, or an example that finds its merges."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from reslab.errors import ReslabError, UsageError, arg, tell
from reslab.nets.words import Loaded
from reslab.subject import pictures, tokens

NOISE = {"images": 100, "own": 100, "causal": 10, "masked": 10, "encoder": 10}  # default number of random samples


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The inputs that the user wants; None: the default for the kind of model."""

    data: str | None = None  # images as for `reslab train`, or a file of texts; None: the run's data
    part: Literal["test", "train"] | None = None  # None: test, or all of the data if they have no test part
    samples: int | None = None  # number sampled at random; None: 1000 images, 100 windows
    batch: int | None = None  # samples per pass; None: 100 images, 10 windows
    normalize: Literal["pixel", "channel", "imagenet", "none"] | None = None  # for a model that is not a run
    mean_std: tuple[float, ...] | None = None  # of pixels in 0..1, instead of `normalize`: one each, or per channel
    labels: bool = True
    column: str | None = None  # the column with the texts in a .parquet or .jsonl
    length: int | None = None  # tokens per window of text
    random: bool = False  # use random inputs instead of data
    input: str | None = None  # shape of a random input, such as 3x224x224
    seed: int = 0  # for sampling, masked words and initialization


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Batches on the device, their number of samples, and their description for look.json."""

    batches: list[Any]  # (example, labels or None)
    n: int
    data: dict[str, Any]

    def unlabelled(self) -> "Inputs":
        """The same inputs without labels."""
        return replace(self, batches=[(example, None) for example, _ in self.batches])

    def first(self, n: int) -> "Inputs":
        """The first n samples."""
        return replace(self, batches=first(self.batches, n), n=min(n, self.n))


def first(batches: Sequence[Any], n: int) -> list[Any]:
    """The first n samples of some batches, or all if there are fewer."""
    from reslab.look.graph.example import batch_size, rows

    kept, left = [], n
    for example, labels in batches:
        many = min(left, batch_size(example))
        if many:
            kept.append((rows(example, 0, many), None if labels is None else labels[:many]))
        left -= many
    return kept


def gather(
    loaded: Loaded, flags: Wanted, options: dict[str, Any], device: Any, dtype: Any, images: Any = None
) -> Inputs:
    """The batches for these flags. `options` belong to the data (root, size, download); `images`: the loaded data set.

    Raises UsageError for flags or data that do not fit this model, ReslabError for values that are not finite.
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
    if flags.labels and data.get("several"):
        tell("the images of %s have several labels each, so outputs are compared with the intact model's, not with the "
             "labels", data["name"])  # fmt: skip
        return found.unlabelled()
    return found if flags.labels else found.unlabelled()


def check(flags: Wanted) -> None:
    """Raise UsageError for an invalid flag."""
    for name in ("samples", "batch"):
        value = getattr(flags, name)
        if value is not None and value < 1:
            raise UsageError(f"{name} must be positive, got {value}")
    if flags.seed < 0:
        raise UsageError(f"seed must be zero or more, got {flags.seed}")
    if flags.length is not None and flags.length < 2:
        raise UsageError(f"length must be two or more, got {flags.length}")
    if flags.random and flags.data is not None:
        raise UsageError(arg("random", True), " replaces the data: remove it or ", arg("data", flags.data))


def given_batches(loaded: Loaded, flags: Wanted, device: Any, dtype: Any) -> tuple[list[Any], dict[str, Any]]:
    """The example (and labels) that the user's own function returned, cut into batches."""
    from reslab.look.graph.example import batch_size, rows

    whole_batch = moved(loaded.example, device, dtype)
    many = batch_size(whole_batch)
    n, step = min(many, flags.samples or many), flags.batch or pictures.BATCH
    if n == 0:
        raise UsageError(f"{loaded.word}: its example input has no samples")
    labels = None if loaded.labels is None or not flags.labels else class_labels(loaded).to(device)
    if labels is not None and (not labels.dim() or len(labels) != many):
        raise UsageError(
            f"{loaded.word}: its labels have shape {list(labels.shape)}, but its example input has {many} samples"
        )
    batches = [
        (rows(whole_batch, i, min(n, i + step)), None if labels is None else labels[i : min(n, i + step)])
        for i in range(0, n, step)
    ]
    return batches, {"name": f"the example input of {loaded.word}"}


def class_labels(loaded: Loaded) -> Any:
    """The labels that the user's own function returned. Raises UsageError if they are no whole numbers."""
    import torch

    try:
        labels = torch.as_tensor(loaded.labels)
    except (TypeError, ValueError, RuntimeError) as error:  # texts, lists of different lengths
        raise UsageError(
            f"{loaded.word}: its labels must be whole numbers, one per sample, got {type(loaded.labels).__name__}"
        ) from error
    if labels.is_floating_point() or labels.is_complex():
        kind = str(labels.dtype).removeprefix("torch.")
        raise UsageError(f"{loaded.word}: its labels are {kind}; classes must be whole numbers")
    return labels.long()


def random_batches(loaded: Loaded, flags: Wanted, device: Any, dtype: Any) -> tuple[list[Any], dict[str, Any]]:
    """Normally distributed images without labels, or uniformly sampled tokens."""
    n = flags.samples or NOISE[loaded.kind]
    if takes_tokens(loaded, flags):
        ids = tokens.random_tokens(loaded, flags, n)
        return tokens.token_batches(loaded, flags, ids, device), {"name": "random tokens", "length": ids.shape[1]}
    x, step = moved(noise(loaded, flags, n), device, dtype), flags.batch or pictures.BATCH
    return [(x[i : i + step], None) for i in range(0, n, step)], {"name": "random numbers", "shape": list(x.shape[1:])}


def example(loaded: Loaded, flags: Wanted, device: Any, dtype: Any) -> Inputs:
    """An input that needs no data: the user's own, or a random one in the shape given by --input or the model."""
    from reslab.look.graph.copies import each
    from reslab.qa.data.language import model_inputs

    if flags.input is None and loaded.example is not None:
        found = loaded.example
    elif takes_tokens(loaded, flags):
        found = model_inputs(loaded, tokens.random_tokens(loaded, flags, 2))
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

    shape = parse_shape(flags.input) if flags.input is not None else loaded.shape
    if shape is None:
        raise UsageError(
            f"{loaded.word} returns no example input; give the shape of an input, such as ", arg("input", "3x224x224")
        )
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(flags.seed))


def parse_shape(text: str) -> tuple[int, ...]:
    """3x224x224 as a tuple of integers."""
    if not re.fullmatch(r"[1-9]\d{0,8}(x[1-9]\d{0,8})*", text):
        raise UsageError(f"input must be the shape of one sample, such as 3x224x224, got {text!r}")
    return tuple(map(int, text.split("x")))


def moved(example: Any, device: Any, dtype: Any) -> Any:
    """The example on the device, with its floating-point tensors in the model's dtype."""
    from reslab.look.graph.copies import each

    return each(example, lambda t: t.to(device, dtype) if t.is_floating_point() else t.to(device))


def check_finite(example: Any, name: str) -> None:
    from reslab.look.graph.example import arguments, tensors

    args, kwargs = arguments(example)
    for tensor in tensors([*args, *kwargs.values()]):
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise ReslabError(f"{name}: some values are NaN or infinite; nothing can be measured with them")
