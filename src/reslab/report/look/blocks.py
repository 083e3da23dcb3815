"""The network as the page shows it: its merges in order, each with its stage and all measurements.

A model without merges is shown as its layers.
"""

from dataclasses import dataclass, field
from typing import Any

from reslab.report.figures import charts
from reslab.report.folder import Facts, dicts, facts, items
from reslab.report.look.folder import Look
from reslab.report.look.words import Metric, metrics
from reslab.report.words import is_number

Values = dict[str, float | None]


@dataclass(frozen=True, kw_only=True)
class Block:
    """One merge, or one layer of a model without merges."""

    index: int
    module: str
    kind: str  # identity, scaled, projection, mixed; or the layer's class
    stage: int  # from 0
    shape: tuple[int, ...]  # of one sample
    depth: int
    facts: Facts  # as found
    values: Values = field(default_factory=dict)  # measurements, by the key of the network's columns

    @property
    def marked(self) -> bool:
        """Whether it changes the shape; a projection may keep it (option C)."""
        return self.kind == "projection" and self.facts.get("before") != self.facts.get("shape", ())


def blocks(look: Look) -> list[Block]:
    """The merges of a model, or its layers if it has none."""
    merges = look.merges
    if not merges:
        return layers(look)
    batch = look["merges"].get("batch")
    stages = staged(merges, batch)
    measured = measures(look)
    return [
        Block(
            index=int(each["index"]),
            module=text(each.get("module")),
            kind=text(each.get("kind") or "identity"),
            stage=stages.get(each["index"], 0),
            shape=sample_shape(each.get("shape"), batch),
            depth=each["depth"] if is_number(each.get("depth")) else 0,
            facts=each,
            values={"params": each.get("params"), "macs": each.get("macs"), **measured.get(each["index"], {})},
        )
        for each in merges
    ]


def layers(look: Look) -> list[Block]:
    """The weighted layers as blocks; a new stage where the shape changes."""
    found, stage, last = [], -1, None
    for index, each in enumerate(look.layers):
        shape = tuple(items(each.get("shape")))
        stage += shape != last or stage < 0
        last = shape
        values = {f"without:{name}": value for name, value in facts(each.get("without")).items()}
        values |= {f"spread:{name}": value for name, value in facts(each.get("spread")).items()}
        values |= {"std": each.get("std"), "weight": each.get("weight"), "activation": each.get("activation")}
        values |= {"signal": each.get("signal"), "size": each.get("weight_size")}
        module, kind = text(each.get("module")), text(each.get("kind"))
        found.append(Block(index=index, module=module, kind=kind, stage=stage, shape=shape, depth=0, facts=each,
                           values=values))  # fmt: skip
    return found


def measures(look: Look) -> dict[Any, Values]:
    """What was measured at each merge, by its index."""
    found: dict[Any, Values] = {}
    for each in dicts(look["lesions"].get("single")):
        stored = facts(each.get("values")).items()
        found.setdefault(each.get("merge"), {}).update({f"without:{name}": value for name, value in stored})
        spread = facts(each.get("spread")).items()
        found[each.get("merge")].update({f"spread:{name}": value for name, value in spread})
    wanted = {
        "influence": ("influence", "ratio", "cosine"),
        "responses": ("skip", "branch", "out"),
        "gradients": ("out", "signal"),
    }
    for verb, keys in wanted.items():
        for each in dicts(look[verb].get("merges")):
            values = {f"{verb}:{key}": each.get(key) for key in keys}
            found.setdefault(each.get("index"), {}).update(values)
    usable = [m["index"] for m in look.merges if m.get("out", True) is not None]
    depths = {each.get("depth"): facts(each.get("values")) for each in dicts(look["readout"].get("depths"))}
    for passed, index in enumerate(usable, 1):
        found.setdefault(index, {}).update({f"read:{name}": value for name, value in depths.get(passed, {}).items()})
    return found


def staged(merges: list[Facts], batch: Any) -> dict[Any, int]:
    """Each merge's stage: a stage ends where the shape changes; a nested merge has the stage of its owner."""
    known = {each["index"]: each for each in merges}
    stages: dict[Any, int] = {}
    stage, last = -1, None
    for each in merges:
        if owner(each, known) is not each:
            continue
        shape = sample_shape(each.get("shape"), batch)
        stage += shape != last or stage < 0
        last = shape
        stages[each["index"]] = stage
    return stages | {i: stages.get(owner(each, known)["index"], 0) for i, each in known.items()}


def owner(merge: Facts, known: dict[Any, Facts]) -> Facts:
    """The outermost merge whose branch contains it, or the merge itself."""
    met = {merge["index"]}
    while merge.get("parent") in known and merge["parent"] not in met:
        merge = known[merge["parent"]]
        met.add(merge["index"])
    return merge


def sample_shape(shape: Any, batch: Any) -> tuple[int, ...]:
    """A shape without the batch dimension, if that is the first."""
    sides = tuple(shape) if isinstance(shape, list | tuple) else ()
    return sides[1:] if sides and sides[0] == batch else sides


def color(block: Block, of: int) -> str:
    """The shade of its stage; the ramp's last shade is not used, as it is too close to the text color."""
    return f"@residual{round(block.stage * (charts.SHADES - 2) / (of - 1)) if of > 1 else 2}"


def stages_of(found: list[Block]) -> int:
    return 1 + max((block.stage for block in found), default=0)


def main_metric(look: Look, verb: str = "lesions") -> Metric | None:
    """The first metric by which the changed model is judged."""
    found = metrics(look[verb])
    return found[0] if found else None


def common(modules: list[str]) -> str:
    """The common path of all modules, which a list need not repeat."""
    paths = [module.split(".") for module in modules]
    shared = []
    for names in zip(*paths, strict=False):
        if len(set(names)) > 1 or len(modules) < 2:
            break
        shared.append(names[0])
    if any(len(path) == len(shared) for path in paths):
        shared = shared[:-1]
    return ".".join(shared)


def short_name(module: str, prefix: str, most: int = 26) -> str:
    inside = module.removeprefix(f"{prefix}.") if prefix else module
    return charts.clipped(inside or "(the model itself)", most)


def text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


def layers_by_merge(look: Look) -> dict[Any, list[Facts]]:
    """The layers in each merge's branch."""
    found: dict[Any, list[Facts]] = {}
    for each in look.layers:
        if each.get("merge") is not None and not each.get("shortcut"):
            found.setdefault(each["merge"], []).append(each)
    return found
