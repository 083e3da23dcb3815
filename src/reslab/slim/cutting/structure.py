"""Whether a model is built as its config says: module by module, the shapes of weights and every plain attribute.

A flag that follows from a layer's index (a sliding window, a mixture of experts, a first layer that differs) shows here
although a short input would give equal outputs.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

BARE = frozenset(nn.Module().__dict__)
ABSENT = "absent"
TENSOR = "a tensor of shape "
NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One thing that the config builds differently."""

    path: str  # of the module
    name: str  # of its attribute or weight; "" is the module itself
    ours: Any
    built: Any

    @property
    def tensor(self) -> bool:
        """Whether it is a weight or a buffer, of another shape or missing in one of the models."""
        return any(isinstance(value, str) and value.startswith(TENSOR) for value in (self.ours, self.built))

    def __str__(self) -> str:
        where = ".".join(part for part in (self.path, self.name) if part)
        return f"{where} would be {self.built}, not {self.ours}"


def differences(ours: nn.Module, built: nn.Module) -> list[Difference]:
    """Everything in which two models differ besides the values of their weights, in the order of the modules."""
    mine, theirs = (dict(model.named_modules(remove_duplicate=False)) for model in (ours, built))
    found = list[Difference]()
    for path in [*mine, *(path for path in theirs if path not in mine)]:
        one, other = mine.get(path), theirs.get(path)
        if one is None or other is None or named(one) != named(other):
            if not any(path.startswith(f"{each.path}.") for each in found if not each.name):
                found.append(Difference(path=path, name="", ours=kind(one), built=kind(other)))
            continue
        a, b = facts(one), facts(other)
        found += [Difference(path=path, name=name, ours=a.get(name, ABSENT), built=b.get(name, ABSENT))
                  for name in [*a, *(name for name in b if name not in a)]
                  if repr(a.get(name, ABSENT)) != repr(b.get(name, ABSENT))]  # fmt: skip
    return found


def named(module: nn.Module) -> tuple[str, str]:
    """Its class by name: torch makes a class of its own for each parametrized module (weight norm)."""
    return type(module).__module__, type(module).__qualname__


def kind(module: nn.Module | None) -> str:
    return ABSENT if module is None else type(module).__name__


def facts(module: nn.Module) -> dict[str, Any]:
    """The plain attributes of a module, and the shapes of its own weights and buffers."""
    tensors = [*module._parameters.items(), *module._buffers.items()]
    shapes = {name: f"{TENSOR}{list(tensor.shape)}" for name, tensor in tensors if tensor is not None}
    held = {name: value for name, value in vars(module).items()
            if name not in BARE and not name.startswith("_") and value is not None and plain(value)}  # fmt: skip
    return {**held, **shapes}


def plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(plain(item) for item in value)
    return isinstance(value, bool | int | float | str | type(None))


@dataclass(frozen=True, kw_only=True)
class Lists:
    """The lists of layers that became shorter, and which entries they kept."""

    kept: Mapping[str, Sequence[int]]  # by the path of the list
    layers: int  # how many entries there were

    def entry(self, path: str) -> tuple[str, int] | None:
        """The list in which a module lies, and its index there now."""
        for name in self.kept:
            if path.startswith(f"{name}."):
                return name, int(path[len(name) + 1 :].partition(".")[0])
        return None

    def before(self, path: str) -> str:
        """The path that a module had in the intact model."""
        found = self.entry(path)
        if found is None:
            return path
        name, now = found
        return f"{name}.{self.kept[name][now]}{path[len(f'{name}.{now}') :]}"

    def lost(self, found: Sequence[Difference]) -> set[tuple[str, str]]:
        """The kinds of layers of which none is left, by the module that lists them."""
        return {(each.path, kind) for each in found if isinstance(each.ours, list | tuple) and self.follows(each)
                for kind in {*each.ours} - {*each.built} if isinstance(kind, str)}  # fmt: skip

    def goes(self, each: Difference, lost: set[tuple[str, str]]) -> bool:
        """Whether a module keeps it for a kind of layers of which none is left, such as a table of rotations."""
        return any(each.path == path and each.name.startswith(f"{kind}_") for path, kind in lost)

    def follows(self, each: Difference) -> bool:
        """Whether it is a layer's index, the number of layers, a list per layer, or the kinds that there are.

        A tensor never is: the weights are the model's own, whatever the shape that the config would give them.
        """
        if each.tensor:
            return False
        old, new, found = each.ours, each.built, self.entry(each.path)
        left = next(iter(self.kept.values()))
        if isinstance(old, list | tuple) and isinstance(new, list | tuple):
            kinds = found is None and all(isinstance(item, str) for item in old) and {*new} <= {*old}
            return kinds or (len(old) == self.layers and list(new) == [old[i] for i in left])
        if isinstance(old, str) and isinstance(new, str) and found is not None:
            was, now = self.kept[found[0]][found[1]], found[1]
            return NUMBER.sub(lambda n: str(now) if int(n[0]) == was else n[0], old) == new  # a key: "conv.2"
        if not all(isinstance(value, int) and not isinstance(value, bool) for value in (old, new)):
            return isinstance(old, float) and isinstance(new, float)  # a rate or a scale: judged by the outputs
        if (old, new) == (self.layers, len(left)):
            return True
        return found is not None and old - new == self.kept[found[0]][found[1]] - found[1]


def lists_of(model: nn.Module) -> Iterator[tuple[str, nn.ModuleList | nn.Sequential]]:
    """Every list of modules of a model."""
    for path, module in model.named_modules(remove_duplicate=False):
        if isinstance(module, nn.ModuleList | nn.Sequential):
            yield path, module
