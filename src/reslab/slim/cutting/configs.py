"""The configs of a transformers model that could describe it with fewer layers, in the order in which to try them.

Nothing here knows a field by name alone: a count is a number that equals the number of layers, a list per layer is as
long as there are layers, and a list of layers holds increasing numbers below it. Which of them are meant is decided by
building the model from each candidate and comparing (structure.py), so a wrong guess costs a try and nothing else.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, groupby, product
from typing import Any

Spec = dict[str, Any]  # config.to_dict()
Path = tuple[str | int, ...]
COUNTS = ("layer", "depth")  # in the names of counts that are tried first
MOST_LISTS = 5  # beyond that, not every subset of the lists is tried


@dataclass(frozen=True, kw_only=True)
class Removal:
    """Which layers of a list go."""

    layers: int  # how many there were
    removed: tuple[int, ...]  # increasing

    @property
    def kept(self) -> tuple[int, ...]:
        return tuple(i for i in range(self.layers) if i not in self.removed)

    def renumbered(self, indices: Sequence[int]) -> list[int]:
        """The new indices of these layers, without those that go."""
        return [self.kept.index(i) for i in indices if i in self.kept]


@dataclass(frozen=True, kw_only=True)
class Shorter:
    """One candidate: the config's fields, and what was changed in them."""

    spec: Spec
    changed: tuple[str, ...]  # "num_hidden_layers: 4 -> 3"


Change = tuple[Path, Any]  # where, and the new value


def counts(spec: Spec, layers: int, *, at: Path = ()) -> list[Path]:
    """Where the number of layers may stand: every whole number that equals it, those with "layer" in the name first."""
    found: list[Path] = []
    for key, value in spec.items():
        path = (*at, key)
        if isinstance(value, dict):
            found += counts(value, layers, at=path)
        elif isinstance(value, list):  # the depths of stages
            found += [(*path, i) for i, item in enumerate(value) if whole(item) and item == layers]
        elif whole(value) and value == layers:
            found.append(path)
    return sorted(found, key=lambda path: not any(word in str(path).lower() for word in COUNTS))


def whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def candidates(spec: Spec, count: Path, removal: Removal, *, common: frozenset[str]) -> Iterator[Shorter]:
    """The config with fewer layers at `count`: with every list per layer shortened, then with some left as they are.

    `common`: the fields that all configs have, such as lists of token ids; none of them is per layer.
    """
    lists = per_layer(owner(spec, count), count, removal, common)
    for left in range(len(lists) + 1 if len(lists) <= MOST_LISTS else 1):
        for those in combinations(range(len(lists)), left):
            yield changed(spec, count, removal, [each for i, each in enumerate(lists) if i not in those])


def mended(
    spec: Spec, count: Path, removal: Removal, *, common: frozenset[str], groups: Sequence[Sequence[int]]
) -> Iterator[Shorter]:
    """With one or two more fields changed, for layers whose kind follows from their index.

    A number up to the number of layers may count the first or the last of them, or be a period: then 1, with a list of
    the layers of one kind. `groups`: the new indices of the layers of each kind.
    """
    fields = owner(spec, count)
    lists, at = per_layer(fields, count, removal, common), count[: -2 if whole(count[-1]) else -1]
    others = {(*at, key): value for key, value in fields.items() if key not in common and (*at, key) != count}
    numbers = [(path, value) for path, value in others.items() if whole(value) and 0 < value <= removal.layers]
    first = [(path, value - sum(i < value for i in removal.removed)) for path, value in numbers]
    last = [(path, value - sum(i >= removal.layers - value for i in removal.removed)) for path, value in numbers]
    periods = [(path, 1) for path, value in numbers if value > 1]
    short = [path for path, value in others.items()
             if isinstance(value, list) and all(map(whole, value)) and len(value) < removal.layers]  # fmt: skip
    kinds = [(path, list(group)) for path in short for group in groups]
    indices = [(path, removal.renumbered(value)) for path, value in others.items() if rising(value, removal.layers)]
    single: list[list[Change]] = [[one] for one in [*first, *last, *indices, *periods, *kinds]]
    for more in [*single, *([one, other] for one, other in product(periods, kinds))]:
        yield changed(spec, count, removal, [*lists, *more])


def owner(spec: Spec, count: Path) -> Spec:
    """The part of the config that holds the count."""
    for key in count[: -2 if whole(count[-1]) else -1]:
        spec = spec[key]  # type: ignore[index]
    return spec


def per_layer(fields: Spec, count: Path, removal: Removal, common: frozenset[str]) -> list[Change]:
    """Every field with a value per layer, shortened: lists by their length, mappings by their keys, lists of layers."""
    if whole(count[-1]):  # one stage of several: the lists are per stage
        return []
    at, found = count[:-1], backbone(fields, count[:-1], removal)
    common = common | {str(path[-1]) for path, _ in found}
    for key, value in fields.items():
        if key in common or key.endswith(("token_id", "token_ids")):
            continue
        if isinstance(value, list) and len(value) == removal.layers:
            found.append(((*at, key), [value[i] for i in removal.kept]))
        elif isinstance(value, dict) and value and all(str(name).isdigit() for name in value):
            if all(int(name) < removal.layers for name in value):
                kept = {i: removal.kept.index(i) for i in removal.kept}
                found.append(((*at, key), {kept[int(i)]: one for i, one in value.items() if int(i) in kept}))
        elif (kinds := of_runs(value)) is not None and len(kinds) == removal.layers:
            found.append(((*at, key), as_runs([kinds[i] for i in removal.kept])))
        elif rising(value, removal.layers) and any(word in key for word in ("layer", "ind", "idx")):
            found.append(((*at, key), removal.renumbered(value)))
    return found


def of_runs(value: Any) -> list[Any] | None:
    """The entries that [[["global", "local"], 2], ...] stands for, each run repeated; None if it is of another form."""
    if not (
        isinstance(value, list) and value and all(isinstance(run, list | tuple) and len(run) == 2 for run in value)
    ):
        return None
    if not all(isinstance(kinds, list | tuple) and whole(times) and times > 0 for kinds, times in value):
        return None
    return [kind for kinds, times in value for _ in range(times) for kind in kinds]


def as_runs(kinds: Sequence[Any]) -> list[Any]:
    """The same the other way, each run of one kind: [[["global"], 2], [["local"], 1]]."""
    return [[[kind], len(list(run))] for kind, run in groupby(kinds)]


def backbone(fields: Spec, at: Path, removal: Removal) -> list[Change]:
    """The outputs of a backbone: after layer v, where 0 is the stem; then after as many as are left of the first v."""
    names, indices = fields.get("stage_names"), fields.get("out_indices")
    if not isinstance(names, list) or len(names) != removal.layers + 1 or not isinstance(indices, list):
        return []
    left = list(dict.fromkeys(sum(i < v % len(names) for i in removal.kept) for v in indices))
    names = names[: len(removal.kept) + 1]
    return [((*at, "stage_names"), names), ((*at, "out_indices"), left),
            ((*at, "out_features"), [names[v] for v in left])]  # fmt: skip


def rising(value: Any, layers: int) -> bool:
    """Whether it may be a list of layers by their indices."""
    return (isinstance(value, list) and 0 < len(value) < layers and all(map(whole, value))
            and value == sorted(set(value)) and value[0] >= 0 and value[-1] < layers)  # fmt: skip


def changed(spec: Spec, count: Path, removal: Removal, changes: Sequence[Change]) -> Shorter:
    """The config with these changes, and the words for them."""
    new, words = copy.deepcopy(spec), []
    for path, value in [(count, len(removal.kept)), *changes]:
        place = new
        for key in path[:-1]:
            place = place[key]  # type: ignore[index]
        old, name = place[path[-1]], ".".join(map(str, path))  # type: ignore[index]
        place[path[-1]] = value  # type: ignore[index]
        if old != value:
            words.append(f"{name}: {brief(old)} -> {brief(value)}")
    return Shorter(spec=new, changed=tuple(words))


def brief(value: Any) -> str:
    """The value; of a long list its length."""
    return f"{len(value)} entries" if isinstance(value, list | dict) and len(value) > 8 else repr(value)
