"""The search for the config that builds what is left of a transformers model."""

import contextlib
import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from reslab.errors import UsageError, first_line
from reslab.look.graph.example import Example, scores
from reslab.look.graph.passes import call
from reslab.slim.cutting.building import built
from reslab.slim.cutting.configs import COUNTS, Removal, Shorter, candidates, counts, mended
from reslab.slim.cutting.forms import NotExpressed, apart
from reslab.slim.cutting.structure import ABSENT, Difference, Lists, differences, lists_of

TOLERANCE = 1e-5  # of the outputs: absolute, or relative to the largest of them where that is above 1
ROUNDED = {torch.float16: 1e-2, torch.bfloat16: 5e-2}  # of models in these types


@dataclass(frozen=True, kw_only=True)
class Search:
    """The search for the config of one shorter list."""

    root: nn.Module
    inside: str  # the path of the transformers model in it
    path: str  # of the list of layers
    options: Mapping[str, Any]
    known: frozenset[tuple[str, str]]  # differences that the intact model has, too

    def run(
        self, indices: tuple[int, ...], example: Example, wanted: Tensor
    ) -> tuple[nn.Module, tuple[str, ...], list[str], float]:
        """The model with the shorter list, what its config changed, notes, and its difference from `wanted`."""
        layers = len(self.root.get_submodule(self.path))  # type: ignore[arg-type]
        removal, why, refused = Removal(layers=layers, removed=indices), "", list[str]()
        for shorter, fresh in self.tries(removal, refused):
            left, notes, wrong = self.fitted(removal, fresh)
            if wrong:
                why = why or f"{wrong[0]}"
                continue
            try:
                found = scores(call(left, example))
            except UsageError as error:
                why = why or f"{error}"
                continue
            far = apart(found, wanted)
            if far <= ROUNDED.get(wanted.dtype, TOLERANCE):
                return left, shorter.changed, notes, far
            why = why or f"its outputs would differ by {far:.2g} from those of the intact model with them disabled"
        name, which = type(self.root.get_submodule(self.inside)).__name__, ", ".join(map(str, indices))
        reason = why or next(iter(refused), f"no number of its config is the length of {self.path}")
        raise NotExpressed(f"transformers has no config for {name} without {self.path} {which}: {reason}")

    def tries(self, removal: Removal, refused: list[str]) -> Iterator[tuple[Shorter, nn.Module]]:
        """The candidates that build a list of the right length, simple ones first; why the library refused others."""
        import transformers

        inner: Any = self.root.get_submodule(self.inside)
        spec, common = inner.config.to_dict(), frozenset(transformers.PretrainedConfig().to_dict())
        groups = kinds([inner.get_submodule(self.within)[i] for i in removal.kept])
        right = []
        for count in counts(spec, removal.layers):
            for one in candidates(spec, count, removal, common=common):
                if (fresh := self.fresh(inner, one, removal, refused)) is not None:
                    right += [count] if count not in right else []
                    yield one, fresh
        for count in right:
            for one in mended(spec, count, removal, common=common, groups=groups):
                if (fresh := self.fresh(inner, one, removal, refused)) is not None:
                    yield one, fresh

    @property
    def within(self) -> str:
        """The path of the list in the transformers model."""
        return self.path.removeprefix(f"{self.inside}." if self.inside else "")

    def fresh(self, inner: nn.Module, one: Shorter, removal: Removal, refused: list[str]) -> nn.Module | None:
        """The model of a candidate, if it has the right number of layers there."""
        try:
            fresh = built(inner, one.spec, self.options)
            length = len(fresh.get_submodule(self.within))  # type: ignore[arg-type]
        except Exception as error:  # the library refuses the config, in errors of many classes
            if any(word in one.changed[0].lower() for word in COUNTS):
                refused.append(f"{one.changed[0]} is refused: {first_line(error)}")
            return None
        return fresh if length == len(removal.kept) else None

    def fitted(self, removal: Removal, fresh: nn.Module) -> tuple[nn.Module, list[str], list[Difference]]:
        """The model without the layers, in the form of `fresh`; and what does not agree with it."""
        root = shared(self.root)
        inner = root.get_submodule(self.inside)
        theirs = dict(lists_of(fresh))
        shorter = [path for path, held in lists_of(inner) if len(held) == removal.layers
                   and len(theirs.get(path, ())) == len(removal.kept)]  # fmt: skip
        gone = {}
        for path in shorter:
            held: Any = inner.get_submodule(path)
            gone[path] = {i: held[i] for i in removal.removed}
            for i in reversed(removal.removed):
                del held[i]
        lists = Lists(kept=dict.fromkeys(shorter, removal.kept), layers=removal.layers)
        notes = [f"{path} became shorter with {self.path}" for path in shorter if path != self.within]
        moved = move(inner, fresh, lists, gone)
        notes += [f"{path} was in a removed layer, and moved to the layer that takes its place" for path in moved]
        holders = {path.rpartition(".")[0] for path in moved}
        found = differences(inner, fresh)
        lost, wrong = lists.lost(found), list[Difference]()
        for each in found:
            module = inner.get_submodule(each.path) if each.name else inner
            if each.name and (lists.follows(each) or (each.path in holders and isinstance(each.built, bool))):
                setattr(module, each.name, each.built)
            elif each.built == ABSENT and lists.goes(each, lost) and each.name not in module._parameters:
                delattr(module, each.name)
            elif (lists.before(each.path), each.name) not in self.known:
                wrong.append(each)
        if not wrong:
            take_configs(inner, fresh)
        return root, notes, wrong


def move(inner: nn.Module, fresh: nn.Module, lists: Lists, gone: Mapping[str, Mapping[int, nn.Module]]) -> list[str]:
    """Move what only a removed layer had to the layer where the config builds it: T5's table of relative positions."""
    moved = []
    for each in differences(inner, fresh):
        found = lists.entry(each.path)
        if each.name or each.ours != ABSENT or found is None:
            continue
        path, now = found
        rest = each.path.removeprefix(f"{path}.{now}.")
        for i, layer in sorted(gone[path].items(), key=lambda item: abs(item[0] - lists.kept[path][now])):
            with contextlib.suppress(AttributeError):
                module = layer.get_submodule(rest)
                holder, _, name = each.path.rpartition(".")
                if i < lists.kept[path][now] and type(module).__name__ == each.built:
                    inner.get_submodule(holder).register_module(name, module)
                    moved.append(each.path)
                    break
    return moved


def take_configs(inner: nn.Module, fresh: nn.Module) -> None:
    """Give every module the config that its counterpart was built with, and the library's list of tied weights."""
    import transformers

    theirs = dict(fresh.named_modules(remove_duplicate=False))
    for path, module in inner.named_modules(remove_duplicate=False):
        for name, value in list(vars(module).items()):
            if isinstance(value, transformers.PretrainedConfig) and hasattr(theirs[path], name):
                setattr(module, name, getattr(theirs[path], name))
        if isinstance(vars(theirs[path]).get("all_tied_weights_keys"), dict):
            module.all_tied_weights_keys = dict(vars(theirs[path])["all_tied_weights_keys"])


def kinds(layers: Sequence[nn.Module]) -> list[list[int]]:
    """The indices of the layers of each kind, by the classes of their modules."""
    found: dict[tuple[str, ...], list[int]] = {}
    for i, layer in enumerate(layers):
        found.setdefault(tuple(type(module).__name__ for module in layer.modules()), []).append(i)
    return list(found.values()) if len(found) > 1 else []


def shared(model: nn.Module) -> nn.Module:
    """A copy of the modules around the same weights."""
    held = {id(tensor): tensor for tensor in [*model.parameters(), *model.buffers()]}
    return copy.deepcopy(model, dict(held))
