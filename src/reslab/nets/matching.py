"""Match the tensors of a checkpoint to a net's: by name, or by order and shape; what shapes cannot show is reported."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from reslab.errors import Sentence, UsageError, arg
from reslab.nets.checkpoints import AVERAGED, beginnings, common_prefix
from reslab.nets.matched import Match

OURS = ("stem.", "stages.", "last.", "head.")  # names of tensors in reslab's nets
SAME_TENSORS = ("A", "A-both", "none")  # shortcuts without weights


def match(net: nn.Module, state: Mapping[str, Tensor], *, strict: bool = True) -> Match:
    """Match the tensors of `state` to those of the net and verify every shape; loads nothing.

    By name if the names are the net's, also behind a prefix that all share; otherwise by order, if kind (weight, bias,
    running_mean, ...) and shape agree at every position. If the net is one part of a larger module (`self.resnet`
    beside a criterion), the tensors of that part are taken, and the others are `unused`; `source` tells if there is an
    averaged copy of them, too. With strict=False by name only, without the tensors that differ.

    Raises UsageError with the first names and shapes that disagree, if nothing agrees, or if several parts fit.
    """
    return match_shapes(getattr(net, "spec", None), net.state_dict(), state, strict=strict)


def match_shapes(
    spec: Any, tensors: Mapping[str, Tensor], state: Mapping[str, Tensor], *, strict: bool = True
) -> Match:  # fmt: skip
    """`match` for a net of which the spec, if it has one, and the tensors are known; their values do not count."""
    ours = {k: v for k, v in tensors.items() if not k.endswith("num_batches_tracked")}
    theirs = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    refuse_whole_numbers(theirs)
    if found := matched(spec, ours, theirs, strict=strict):
        return found
    fitting = {}
    for part in beginnings(list(theirs)) if strict else ():
        inner = {k: v for k, v in theirs.items() if k.startswith(part)}
        if len(inner) < len(theirs) and (found := matched(spec, ours, inner, strict=True)):
            fitting[part.rstrip(".")] = replace(found, unused=tuple(k for k in theirs if k not in inner))
    own = [part for part in fitting if not AVERAGED.search(part)]
    if len(fitting) == 1:
        return next(iter(fitting.values()))
    if len(own) == 1:
        copies = ", ".join(repr(part) for part in fitting if part != own[0])
        told = Sentence(f"the weights under {own[0]!r}; the file also holds {copies}, which ", arg("key"), " takes")
        return replace(fitting[own[0]], source=told)
    if fitting:
        raise UsageError(f"the checkpoint holds several nets of this shape, {', '.join(map(repr, fitting))}; name one, "
                         "such as ", arg("key", next(iter(fitting))))  # fmt: skip
    raise UsageError(disagreement(ours, theirs))


def matched(
    spec: Any, ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor], *, strict: bool
) -> Match | None:  # fmt: skip
    """The match of two sets of tensors, by name, by name behind a common prefix, or by order; None if there is none."""
    prefix = common_prefix(list(theirs))
    for before in dict.fromkeys(["", prefix]):
        pairs = [(k, before + k) for k in ours if before + k in theirs and theirs[before + k].shape == ours[k].shape]
        if len(pairs) == len(ours) == len(theirs):
            return Match(how="by name", pairs=tuple(pairs))
        if not strict and pairs:
            same, used = {a for a, _ in pairs}, {b for _, b in pairs}
            missing, unused = tuple(k for k in ours if k not in same), tuple(k for k in theirs if k not in used)
            return Match(how="by name", pairs=tuple(pairs), missing=missing, unused=unused)
    pairs = list(zip(ours, theirs, strict=False))
    named = all(name.removeprefix(prefix).startswith(OURS) for name in theirs)  # by reslab: then the names decide
    agree = strict and not named and all(kind(a) == kind(b) and ours[a].shape == theirs[b].shape for a, b in pairs)
    if len(ours) != len(theirs) or not agree:
        return None
    warning, certain = doubts(spec, [name.removeprefix(prefix) for name in theirs])
    return Match(how="by order and shape", pairs=tuple(pairs), warning=warning, certain=certain)


def refuse_whole_numbers(theirs: Mapping[str, Tensor]) -> None:
    """Raise UsageError for weights of whole numbers: they are a quantized net's, whose scales the file lacks."""
    for name, tensor in theirs.items():
        if kind(name) == "weight" and not tensor.is_floating_point():
            raise UsageError(f"the checkpoint's {name} is {str(tensor.dtype).removeprefix('torch.')}: weights in whole "
                             "numbers have lost their scale; save them as float")  # fmt: skip


def kind(name: str) -> str:
    """The role of a tensor in its layer: weight, bias, running_mean, running_var."""
    return name.rpartition(".")[2]


def doubts(spec: Any, theirs: Sequence[str]) -> tuple[Sentence | None, bool]:
    """(what shapes cannot show about a match by order, whether the names show it to be another net than trained).

    It is where a bottleneck has its stride, and what shortcuts carry. Two families of names are known to decide; all
    others leave a doubt, which is reported.
    """
    if getattr(spec, "block", "") == "bottleneck":
        has, v15 = spec.stride_on, any(re.search(r"(^|\.)layer1\.0\.conv3\.weight$", name) for name in theirs)
        if v15 and has != "3x3":
            return of_others(), True
        if not v15:
            other = "1x1" if has == "3x3" else "3x3"
            return Sentence(f"shapes do not show which of a bottleneck's convolutions strides; {has} is assumed. If "
                            "the trained net was other, outputs will differ: compare its error, and try ",
                            arg("stride_on", other)), False  # fmt: skip
    shortcut = getattr(spec, "shortcut", "")
    if shortcut in SAME_TENSORS:
        padded = {"layer1.0.conv1.weight", "linear.weight"} <= set(theirs)
        if padded and shortcut == "A":
            return Sentence("the names are akamaster's, whose shortcut A pads on both sides; build the net with ",
                            arg("shortcut", "A-both"), ", or its outputs will differ"), True  # fmt: skip
        if not padded or shortcut != "A-both":
            a, b = (arg("shortcut", one) for one in SAME_TENSORS if one != shortcut)
            return Sentence(
                f"shortcuts without weights leave no trace in a checkpoint; {shortcut} is assumed. If the "
                "trained net was other, outputs will differ: compare its error, and try ",
                a,
                " or ",
                b,
            ), False
    return None, False


def of_others() -> Sentence:
    """What to do about torchvision's and timm's bottlenecks in a net with the paper's stride."""
    return Sentence("the names are torchvision's or timm's, whose stride is on the 3x3; build the net with ",
                    arg("stride_on", "3x3"), " (resnet50_v1.5), or its outputs will differ")  # fmt: skip


def disagreement(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor], show: int = 3) -> str | Sentence:
    """A sentence with the first few names and shapes that disagree."""
    if said := about_head(ours, theirs):
        return said
    by_name = [k for k in ours if k in theirs]
    if by_name:
        unlike = [k for k in by_name if theirs[k].shape != ours[k].shape]
        wrong = [f"{k} is {shape(theirs[k])}, but {shape(ours[k])} in the net" for k in unlike]
        wrong += [f"{k} {shape(ours[k])} is missing" for k in ours if k not in theirs]
        wrong += [f"{k} {shape(theirs[k])} is not in the net" for k in theirs if k not in ours]
    else:
        wrong = [
            f"{b} {shape(theirs[b])} is in the place of the net's {a} {shape(ours[a])}"
            for a, b in zip(ours, theirs, strict=False)
            if kind(a) != kind(b) or ours[a].shape != theirs[b].shape
        ]
    more = f"; and {len(wrong) - show} more" if len(wrong) > show else ""
    counts = f"{len(theirs)} tensors in the checkpoint, {len(ours)} in the net"
    return (
        f"the checkpoint is not of this net ({counts}): {'; '.join(wrong[:show])}{more}"
        if wrong
        else (f"the checkpoint is not of this net ({counts})")
    )


def about_head(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> Sentence | None:
    """The sentence for tensors that agree but for the head (the last two), which is missing or of other classes."""
    a, b = list(ours.items()), list(theirs.items())
    body = [(kind(name), value.shape) for name, value in a[:-2]]
    if len(a) < 4 or [(kind(name), value.shape) for name, value in b[: len(body)]] != body:
        return None
    head = ", ".join(f"{name} {shape(value)}" for name, value in a[-2:])
    if len(b) == len(body):
        return Sentence(f"the checkpoint has no head: it holds all of the net but {head}; without it no class is "
                        "predicted, so fine-tune it first")  # fmt: skip
    rest = b[len(body) :]
    if [kind(name) for name, _ in rest] == ["weight", "bias"] and rest[0][1].shape[1:] == a[-2][1].shape[1:]:
        other = ", ".join(f"{name} {shape(value)}" for name, value in rest)
        return Sentence(f"the checkpoint has another head: {other} in the place of {head}; build the net with ",
                        arg("classes", len(rest[1][1])))  # fmt: skip
    return None


def shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"
