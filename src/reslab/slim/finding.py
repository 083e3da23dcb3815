"""Find the blocks of a model that can be removed: what passes its input on once its residual connections are disabled.

Nothing is taken from names. A pass with every residual connection disabled shows what each candidate still does, and
a pass with all removable blocks replaced must give the output of the model with those blocks disabled.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from reslab.blocks import Residual, Streams
from reslab.errors import ReslabError, UsageError, first_line
from reslab.look.edit.edits import silence
from reslab.look.edit.intervene import acting
from reslab.look.graph.example import Example, scores
from reslab.look.graph.merges import Merges, find, plain
from reslab.look.graph.passes import as_it_was, call
from reslab.slim.block import Block, Blocks
from reslab.slim.candidates import FOLLOWS, Candidate, candidates
from reslab.slim.running import close
from reslab.slim.surgery import bypassed
from reslab.slim.watching import Seen, watch

ELSEWHERE = "a value computed in the branch is also"  # in Merge.why


def find_blocks(model: nn.Module, example: Example, *, parts: bool = False) -> Blocks:
    """The blocks of `model` that can be removed, in forward order, and those that cannot, with the reason.

    `example` is a small input, as for `look.find`; `parts` adds the branches of blocks with several, such as attention
    or MLP alone. The model is left unchanged. Raises UsageError if it does not accept the example, or holds numbers
    that are not in single or double precision, or blocks that gate or mix their skips.
    """
    model = plain(model)
    refuse_numbers(model)
    refuse_blocks(model)
    merges = find(model, example)
    found = candidates(model, merges)
    seen, macs = watch(model, example, merges, found)
    named = [each.module for each in found if is_named(model, each, seen[each.module])]
    if named:
        merges = find(model, example, modules=named)
        found = candidates(model, merges)
    blocks = judged(model, merges, found, seen, named)
    blocks += parts_of(model, merges, blocks, seen) if parts else ()
    return checked(model, example, Blocks(
        model=type(model).__name__, merges=merges, blocks=blocks, params=sum(p.numel() for p in model.parameters()),
        macs=of_one(macs, merges), notes=notes(model, merges, found, blocks),
    ))  # fmt: skip


def refuse_numbers(model: nn.Module) -> None:
    """Raise UsageError for a model whose cut could not be checked: quantized, in half precision or without values."""
    name = type(model).__name__
    for module in model.modules():
        kind = type(module)
        if "quantized" in kind.__module__ or kind.__module__.startswith(("bitsandbytes", "torchao")):
            raise UsageError(f"{name} holds quantized layers ({kind.__name__}): slim the model in single precision, "
                             "then quantize it")  # fmt: skip
    for path, tensor in model.named_parameters():
        if tensor.is_meta:
            raise UsageError(f"{name}: {path} is on the meta device and has no values; load the weights first")
        if tensor.is_quantized or not (tensor.is_floating_point() or tensor.is_complex()):
            raise UsageError(f"{name} holds weights in {kind_of(tensor)} ({path}): slim the model in single precision, "
                             "then quantize it")  # fmt: skip
        if tensor.dtype in (torch.float16, torch.bfloat16) or tensor.element_size() < 2:
            raise UsageError(f"{name} is in {kind_of(tensor)} ({path}), in which a cut cannot be checked: slim "
                             "model.float(), then convert the result")  # fmt: skip


def refuse_blocks(model: nn.Module) -> None:
    """Raise UsageError for reslab's own blocks that are no plain sum: what they do would remain without the branch."""
    for path, module in model.named_modules():
        done = "mixes streams" if isinstance(module, Streams) else "gates its skip"
        if isinstance(module, Streams) or (isinstance(module, Residual) and module.gate is not None):
            raise UsageError(f"{type(model).__name__} cannot be slimmed: its block {path} {done}, which would remain "
                             "without the branch")  # fmt: skip


def kind_of(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def is_named(model: nn.Module, each: Candidate, seen: Seen) -> bool:
    """Whether the whole module is removed, although a norm follows its last addition (BERT, post-norm)."""
    kinds = {merge.kind for merge in each.merges}
    alike = seen.shapes[0] == seen.shapes[1] and seen.returns is not None and seen.times == 1
    if seen.same or not alike or kinds != {"identity"} or not each.remaining or seen.matrices_after:
        return False
    return all("norm" in op or only_vectors(model, path) for op, path in each.remaining)


def only_vectors(model: nn.Module, path: str) -> bool:
    """Whether a module has weights, and they are vectors, as those of a norm."""
    weights = list(model.get_submodule(path).parameters()) if path else []
    return bool(weights) and all(p.dim() < 2 for p in weights)


def judged(
    model: nn.Module, merges: Merges, found: Sequence[Candidate], seen: dict[str, Seen], named: Sequence[str]
) -> tuple[Block, ...]:
    """A block of each candidate."""
    whole = {merge.path: merge for merge in merges if merge.named}
    outside = users(model)
    blocks = []
    for i, each in enumerate(found):
        watched, module = seen[each.module], model.get_submodule(each.module)
        measured = (whole[each.module],) if each.module in named else each.merges
        branch = each.module not in named and not watched.same
        why_not = obstacle(model, each, watched, branch, [other.module for other in found])
        own = sum(p.numel() for p in set(module.parameters()) if outside[id(p)] <= inside(module, p))
        blocks.append(Block(
            index=i, module=each.module, kind="branch" if branch and watched.keeps is not None else "block",
            container=each.container,
            merges=tuple(merge.index for merge in measured),
            params=sum(merge.params for merge in measured) if branch else own,
            macs=of_one(sum(merge.macs for merge in measured), merges), removable=not why_not,
            why=why_not or reason(each, watched, branch=branch, named=each.module in named),
            entries=each.entries, keeps=(watched.keeps or ()) if branch else (), returns=watched.returns or "x",
        ))  # fmt: skip
    return tuple(blocks)


def parts_of(model: nn.Module, merges: Merges, blocks: Sequence[Block], seen: dict[str, Seen]) -> tuple[Block, ...]:
    """The branches of blocks with several, each as a block by itself; they come after the blocks."""
    found: list[Block] = []
    at = {merge.out: merge for merge in merges if not merge.named}
    for block in blocks:
        for site, (path, returns) in seen[block.module].parts.items():
            found.append(Block(
                index=len(blocks) + len(found), module=path, kind="part", container=block.container,
                merges=(at[site].index,), params=sum(p.numel() for p in model.get_submodule(path).parameters()),
                macs=of_one(at[site].macs, merges), removable=seen[block.module].times == 1, returns=returns,
                why="measured: with zeros in its place its branch adds nothing" if seen[block.module].times == 1
                else block.why,
            ))  # fmt: skip
    return tuple(found)


def of_one(macs: int, merges: Merges) -> int:
    """Multiply-adds of one example, from those of a pass of the whole batch that the merges were found on."""
    return round(macs / merges.batch)


def users(model: nn.Module) -> dict[int, int]:
    """How many modules hold each parameter, by its id."""
    found: dict[int, int] = {}
    for module in model.modules():
        for p in module._parameters.values():
            if p is not None:
                found[id(p)] = found.get(id(p), 0) + 1
    return found


def inside(module: nn.Module, weight: nn.Parameter) -> int:
    """How many of the modules in `module` hold the weight."""
    return sum(p is weight for part in module.modules() for p in part._parameters.values())


def obstacle(model: nn.Module, each: Candidate, seen: Seen, branch: bool, all_of_them: Sequence[str]) -> str:
    """Why a candidate cannot be removed; "" if nothing is known against it."""
    inner = [path for path in all_of_them if path.startswith(f"{each.module}.")]
    hidden = [merge for merge in each.merges if not merge.reachable]
    elsewhere = [merge.why for merge in each.merges if ELSEWHERE in merge.why]
    if seen.times > 1:
        return f"it is called {seen.times} times in a pass (its weights are shared), so it is needed more than once"
    if inner:
        return f"it contains other blocks, which can be removed one by one: {inner[0]}"
    if seen.outside:
        return f"{seen.outside} is also called while the block does not run, so it is needed elsewhere"
    if hidden:
        return f"residual connection {hidden[0].index} in it cannot be edited: {hidden[0].why}"
    if elsewhere:
        return elsewhere[0]
    if seen.returns is None:
        return "the form in which it returns its result is not recognized"
    if not branch:
        alone = each.entries == 1
        return f"it is the only entry of {each.container}, which would be empty without it" if alone else ""
    if seen.keeps is None or len(each.merges) != 1 or seen.returns != "x":
        whys = [merge.why for merge in each.merges if not merge.cuttable]
        whys += [f"{one.op.removesuffix('_')}{FOLLOWS}" for one in seen.left]
        rest = "; ".join(dict.fromkeys(whys[:1]))
        return f"with its residual connections disabled it does not pass its input on ({rest or 'measured'})"
    return ""


def reason(each: Candidate, seen: Seen, *, branch: bool, named: bool) -> str:
    """Why a candidate can be removed."""
    if named:
        return "the whole module goes, with the norm after its addition"
    if branch:
        kept = [name.removeprefix(f"{each.module}.") for name in seen.keeps or ()]
        return f"its branch goes; {' and '.join(kept) or 'its skip'} stay{'s' * (len(kept) < 2)}"
    if len(each.merges) == 1:
        why = each.merges[0].why.partition(": without its branch")[0]
        return f"without its branch it passes its input on: {why if each.merges[0].cuttable else 'measured'}"
    return f"measured: with its {len(each.merges)} residual connections disabled it passes its input on"


def checked(model: nn.Module, example: Example, blocks: Blocks) -> Blocks:
    """The blocks, after passes with the removable ones replaced; those with which a pass differs are not removable.

    All at once, then every second one: a block may compute what the next ones need (T5's position bias).
    """
    some, smaller = ([block for block in blocks.removable if (block.kind == "part") is part] for part in (False, True))
    even = [block.module for block in blocks if block.kind != "part"][::2]
    sides = [[part for part in smaller if part.module.startswith(tuple(f"{path}." for path in even)) is side]
             for side in (True, False)]  # fmt: skip
    groups = [group for group in (some, some[::2], some[1::2], smaller, *sides) if group]
    doubtful = [group for group in groups if differs(model, example, blocks, group)]
    alone = {block.index: block for group in doubtful for block in group}
    wrong = {index: why for index, block in alone.items() if (why := differs(model, example, blocks, [block]))}
    return replace(blocks, blocks=tuple(
        replace(block, removable=False, why=wrong[block.index]) if block.index in wrong else block for block in blocks
    ))  # fmt: skip


def differs(model: nn.Module, example: Example, blocks: Blocks, some: Sequence[Block]) -> str:
    """How a pass without the blocks differs from one with them disabled; "" if it does not."""
    edits = {i: silence() for block in some for i in block.merges}
    with as_it_was(model), torch.inference_mode(False), torch.no_grad():
        with acting(model, blocks.merges, edits):
            disabled = scores(call(model, example))
        try:
            with bypassed(model, some):
                removed = scores(call(model, example))
        except (ReslabError, *ERRORS) as error:
            return f"the model does not run without it: {first_line(error)}"
    return "" if close(disabled, removed) else "without it the model's output is not that with it disabled"


ERRORS: tuple[Any, ...] = (RuntimeError, ValueError, TypeError, LookupError, AttributeError, AssertionError)


def notes(model: nn.Module, merges: Merges, found: Sequence[Candidate], blocks: Sequence[Block]) -> tuple[str, ...]:
    """What is not offered, and what `look.find` says."""
    held = {i for block in blocks for i in block.merges} | {merge.index for each in found for merge in each.merges}
    left = [merge for merge in merges if merge.index not in held and merge.depth == 0 and not merge.named]
    out = list(merges.notes)
    if left:
        out.append(f"{len(left)} residual connections lie in no module that could be removed alone: "
                   f"{listed([merge.module or type(model).__name__ for merge in left])}")  # fmt: skip
    if not any(block.removable for block in blocks):
        out.append("no removable block was recognized")
    return tuple(out)


def listed(names: Sequence[str]) -> str:
    some = list(dict.fromkeys(names))
    return ", ".join(some[:3]) + (" and others" if len(some) > 3 else "")
