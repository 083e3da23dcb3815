"""Take over the tensors of a checkpoint, run or library into a net; the head may be of other classes, or missing."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from reslab.errors import Sentence, UsageError, arg, tell
from reslab.nets.catalog import Spec
from reslab.nets.headless import Head, Shape, head_of, with_classes
from reslab.nets.matched import Match
from reslab.nets.matching import doubts, match_shapes
from reslab.nets.meta import shapes_of
from reslab.nets.model import ModelSpec
from reslab.nets.models import model_spec
from reslab.nets.naming import in_our_names, our_name
from reslab.nets.resembling import resemblance
from reslab.nets.resnet import ResNetSpec

AUXILIARY = {  # heads beside the head that torchvision's weights hold, and that only its own training uses
    "torchvision:googlenet": ("aux1", "aux2"),
    "torchvision:inception_v3": ("AuxLogits",),
}
LISTED = 4  # tensors in a sentence


@dataclass(frozen=True, kw_only=True)
class Adopted:
    """The tensors for a net by its own names, and what became of the others."""

    tensors: dict[str, Tensor]
    how: str  # "by name", "by torchvision's names", "by order and shape"
    skipped: tuple[str, ...] = ()  # of the checkpoint
    new: tuple[str, ...] = ()  # of the net
    head: Head  # the net's
    doubt: Sentence | None = None  # what shapes cannot show

    def line(self) -> str:
        """`60 tensors loaded by name; skipped: fc.weight, fc.bias; new: head.weight, head.bias`."""
        parts = [f"{len(self.tensors)} tensors loaded {self.how}"]
        parts += [f"{what}: {shortened(names)}" for what, names in (("skipped", self.skipped), ("new", self.new))
                  if names]  # fmt: skip
        return "; ".join(parts)

    def without_head(self) -> "Adopted":
        """The same with a new head."""
        kept = {name: tensor for name, tensor in self.tensors.items() if name not in self.head}
        lost = tuple(name for name in self.tensors if name in self.head)
        return replace(self, tensors=kept, skipped=(*self.skipped, *lost), new=tuple(self.head))

    def permuted(self, order: list[int]) -> "Adopted":
        """The same with the head's classes in another order: class i of the net is class order[i] of the weights."""
        rows = torch.tensor(order)
        changed = dict(self.tensors)
        for name, dims in self.head.items():
            for dim in dims:
                changed[name] = changed[name].index_select(dim, rows)
        return replace(self, tensors=changed)


def adopt(spec: Spec, state: Mapping[str, Tensor], *, where: str) -> Adopted:
    """The tensors of `state` that belong to the net of `spec`; those of its head only if the number of classes agrees.

    A head of other classes is skipped, a missing one is new; which tensors are the head, the net's structure shows.
    Anything else that differs is refused with UsageError: it names the net that the tensors of `where` look like.
    """
    shapes = shapes_of(spec)
    head = head_of(spec, shapes)
    bare = {name: shape for name, shape in shapes.items() if name not in head}
    aside = AUXILIARY.get(spec.word, ()) if isinstance(spec, ModelSpec) else ()
    state = {name: tensor for name, tensor in state.items() if name.partition(".")[0] not in aside}
    for theirs, how in readings(spec, state):
        counts = counts_in(theirs.values(), shapes, head, but=spec.classes)
        tries = [(with_classes(shapes, head, n), n == spec.classes) for n in (spec.classes, *counts)]
        for wanted, kept in [*tries, (bare, False)]:
            found = attempt(spec, wanted, theirs)
            if found is not None:
                warning, certain = doubts(spec, list(state)) if how else (found.warning, found.certain)
                if certain and warning:
                    raise UsageError(f"{where}: ", warning)
                return made(replace(found, warning=warning), theirs, head, how, kept=kept,
                            names={our_name(name) or name: name for name in state} if how else {})  # fmt: skip
    raise refused(spec, shapes, head, state, where)


def readings(spec: Spec, state: Mapping[str, Tensor]) -> list[tuple[Mapping[str, Tensor], str]]:
    """The tensors under the names to try, and how the names were read."""
    ours = in_our_names(state) if isinstance(spec, ResNetSpec) and spec.activation == "post" else None
    return [*([(ours, "by torchvision's names")] if ours else []), (state, "")]


def counts_in(tensors: Iterable[Tensor], shapes: dict[str, Shape], head: Head, *, but: int) -> list[int]:
    """The numbers of classes that the head would have if one of these tensors were the head's first."""
    if not head:
        return []
    name, dims = max(head.items(), key=lambda one: len(shapes[one[0]]))  # the matrix, rather than its bias
    wanted, found = shapes[name], dict[int, None]()
    for tensor in tensors:
        if tensor.dim() == len(wanted) and all(tensor.shape[i] == n for i, n in enumerate(wanted) if i not in dims):
            sizes = {tensor.shape[i] for i in dims}
            if len(sizes) == 1 and but not in sizes:
                found[sizes.pop()] = None
    return list(found)[::-1]  # the head comes last


def attempt(spec: Spec, shapes: dict[str, Shape], state: Mapping[str, Tensor]) -> Match | None:
    """The match of the tensors to these shapes, or None."""
    try:
        return match_shapes(spec, {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}, state)
    except UsageError as error:
        if "several nets" in str(error) or "whole numbers" in str(error):
            raise
        return None


def made(
    found: Match, state: Mapping[str, Tensor], head: Head, how: str, *, kept: bool, names: Mapping[str, str]
) -> Adopted:
    """`names`: those in the checkpoint, of tensors that were renamed."""
    loaded = [(ours, theirs) for ours, theirs in found.pairs if kept or ours not in head]
    used = {theirs for _, theirs in loaded}
    rest = [name for name in state if name not in used and not name.endswith("num_batches_tracked")]
    skipped = tuple(names.get(name, name) for name in rest)
    return Adopted(
        tensors={ours: state[theirs].detach().cpu().contiguous() for ours, theirs in loaded},
        how=how or found.how, skipped=skipped, new=() if kept else tuple(head), head=head,
        doubt=Sentence(found.warning) if found.warning else None,
    )  # fmt: skip


def refused(
    spec: Spec, shapes: dict[str, Shape], head: Head, state: Mapping[str, Tensor], where: str
) -> UsageError:  # fmt: skip
    """The error for a checkpoint of another net, or of the same net for another image size."""
    theirs = {name: tuple(t.shape) for name, t in state.items() if not name.endswith("num_batches_tracked")}
    unlike = {name for name in shapes if name in theirs and theirs[name] != shapes[name] and name not in head}
    if isinstance(spec, ModelSpec) and unlike and all(name in theirs for name in shapes if name not in head):
        sized = [name for name in unlike if follows_size(spec, shapes, name)]
        if len(sized) == len(unlike):
            first = sized[0]
            usual = usual_size(spec)
            what = (arg("size", usual),) if usual != spec.size else (arg("size"), " to the size it was trained with")
            return UsageError(f"{where} is of {spec.name} for images of another size: {first} is "
                              f"{dims(theirs[first])} there and {dims(shapes[first])} for {spec.size} pixels; set ",
                              *what)  # fmt: skip
    if unlike:
        first = min(unlike, key=list(shapes).index)
        why = f"{first} is {dims(theirs[first])} there and {dims(shapes[first])} in the net"
    else:
        lacking = [name for name in shapes if name not in theirs and name not in head]
        why = f"{len(theirs)} tensors there, {len(shapes)} in the net"
        why += f", which has {lacking[0]}" if lacking and len(lacking) < len(shapes) / 2 else ""
    return UsageError(f"{where} is not of {spec.name} ({why}); {resemblance(state)}")


def usual_size(spec: ModelSpec) -> int:
    """The image size that the word alone gives."""
    if spec.origin == "hf":  # its config keeps it
        size = spec.config.get("image_size")
        return size if isinstance(size, int) else spec.size
    return spec.size if spec.origin == "file" else model_spec(spec.word).size


def follows_size(spec: Spec, shapes: dict[str, Shape], name: str) -> bool:
    """Whether a tensor's shape follows the image size, as position embeddings do."""
    try:
        other = replace(spec, size=2 * spec.size)
        if isinstance(other, ModelSpec):
            doubled = {key: 2 * value if isinstance(value, int) and key in ("img_size", "image_size") else value
                       for key, value in other.arguments.items()}  # fmt: skip
            if not doubled and other.origin == "timm":
                doubled = {"img_size": other.size}
            elif not doubled and other.origin == "torchvision":
                doubled = {"image_size": other.size}
            other = replace(other, arguments=doubled)
        return shapes_of(other).get(name) != shapes[name]
    except Exception:  # it has no such argument
        return False


def dims(shape: Shape) -> str:
    return "x".join(map(str, shape)) or "a number"


def shortened(names: tuple[str, ...]) -> str:
    """The first few names, and how many there are."""
    more = f", ... ({len(names)} in all)" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


def report(found: Adopted, where: str) -> None:
    """Log what was taken over."""
    tell("weights of %s: %s", where, found.line())


def as_json(found: Adopted) -> dict[str, Any]:
    """For start.json."""
    return {"how": found.how, "loaded": len(found.tensors), "skipped": list(found.skipped), "new": list(found.new)}
