"""Print the main results of `reslab look` in a few lines; the page has the rest."""

import math
from collections.abc import Sequence
from statistics import median
from typing import Any

from reslab.cli import say

FEW = 5  # lines shown of a ranking


def merges(found: Any) -> None:
    """Print every residual connection as a row, then why blocks can be removed or not."""
    if found:
        rows = [
            (f"{'  ' * m.depth}{m.index}", place(m.module), m.kind, size(m.before), size(m.shape),
             f"{m.params:,}", say.millions(m.macs // found.batch), "yes" if m.cuttable else "no") for m in found
        ]  # fmt: skip
        say.table(("block", "module", "kind", "from", "to", "parameters", "MACs", "removable"), rows,
                  title=f"{found.model}: {len(found)} residual connections (MACs per sample)")  # fmt: skip
        reasons: dict[str, list[int]] = {}
        for m in found:
            reasons.setdefault(f"{'removable' if m.cuttable else 'not removable'}: {m.why}", []).append(m.index)
        for why, indices in reasons.items():
            print(f"{spans(indices)} {why}")
    if found.sums:
        sums = ", ".join(place(m.path) for m in found.sums)
        print(f"sums of two equal terms, not counted as residual connections: {sums}")
    for note in found.notes:
        print(note)


def responses(found: Any) -> None:
    shown = [found.layers[i] for i in found.ranked]
    if shown:
        most, least = shown[0], shown[-1]
        print(f"standard deviation of {len(shown)} layers' responses: median {number(found.median)}, largest "
              f"{number(most.std)} ({most.module}), smallest {number(least.std)} ({least.module})")  # fmt: skip
    remarks(found)


def gradients(found: Any) -> None:
    mode = "training" if found.training else "eval"
    print(f"loss {number(found.loss)} ({found.of}), n = {found.n}, {mode} mode")
    for what, health in (("response gradient", found.activations), ("weight gradient", found.weights),
                         ("forward signal", found.signal)):  # fmt: skip
        ratio = "" if health.ratio is None else f" (largest/smallest {number(health.ratio, 2)})"
        print(f"{what}: {health.words}{ratio}")
    remarks(found)


def lesions(found: Any) -> None:
    name = found.metrics[0]
    how = "in one growing pass" if found.method == "growing" else f"in one pass per lesion: {found.why}"
    print(f"intact model: {values(found.whole)}, n = {found.n} (measured {how})")
    for title, rows in (("one block disabled", found.single), ("one layer disabled", found.layers)):
        worst = sorted(rows, key=lambda row: -row.values[name])
        if worst:
            middle = figure(name, median(row.values[name] for row in rows))
            print(f"{title}: median {name} {middle}; largest effects:")
        for row in worst[:FEW]:
            at = f"block {row.merge}" if hasattr(row, "merge") else f"layer {row.layer}"
            print(f"  {at} ({place(row.module)}, {row.kind}): {values(row.values)}")
    for drawn in found.random:
        seen = drawn.values[name]
        print(f"{blocks(drawn.k)} disabled: median {name} {figure(name, median(seen))} "
              f"(range {figure(name, min(seen))} to {figure(name, max(seen))}, {len(seen)} draws)")  # fmt: skip
    remarks(found)


def paths(found: Any) -> None:
    entry = "the input" if found.at == "input" else found.at
    print(f"{number(sum(found.counts))} paths of 0 to {found.merges} blocks, gradient at {entry}, n = {found.n}; "
          f"their gradients sum to the full one within {number(found.deviation, 1)} (relative)")  # fmt: skip
    first, last = found.effective_exact
    print(
        f"Exact: 95 % of the gradient norm comes from lengths {first} to {last} "
        f"({share(found.effective_exact_share)} of all paths)"
    )
    if found.effective:
        first, last = found.effective
        print(f"Estimated from {found.sampled_paths} sampled paths per length: 95 % of the gradient norm comes from "
              f"lengths {first} to {last} ({share(found.effective_share)} of all paths)")  # fmt: skip


def influence(found: Any) -> None:
    ordered = sorted(found.merges, key=lambda step: step.influence)
    downhill = [step for step in found.merges if step.cosine is not None]
    print(f"block influence 1 - cos(x, h), n = {found.n}; smallest:")
    for step in ordered[:FEW]:
        ratio = "" if step.ratio is None else f", |F|/|x| {number(step.ratio, 3)}"
        print(f"  block {step.index} ({place(step.module)}): {number(step.influence, 3)}{ratio}")
    if downhill:
        many = sum(step.cosine < 0 for step in downhill)
        print(f"{many} of {len(downhill)} blocks move along the negative gradient: cos(F, dL/dh) < 0")


def readout(found: Any) -> None:
    name = found.metrics[0]
    depths = found.depths
    places = sorted({0, *(round(i * (len(depths) - 1) / (FEW + 1)) for i in range(FEW + 2))})
    some = "" if len(places) == len(depths) else f"; {len(places)} of them"
    print(f"answers read out at {len(depths)} depths, n = {found.n}{some}:")
    for depth in (depths[i] for i in places):
        after = (
            "before the first block"
            if depth.module is None
            else f"after block {depth.depth - 1} ({place(depth.module)})"
        )
        print(f"  {after}: {values(depth.values)}")
    best = min(depths, key=lambda depth: depth.values[name])
    if best.values[name] < depths[-1].values[name]:
        print(f"the best {name} is not the last: {figure(name, best.values[name])} at depth {best.depth}")


def remarks(found: Any) -> None:
    for note in found.notes:
        print(note)


def values(metrics: dict[str, float]) -> str:
    return ", ".join(f"{name} {figure(name, value)}" for name, value in metrics.items())


def figure(name: str, value: float) -> str:
    return say.percent(100 * value) if name == "error" else number(value)


def number(value: float, digits: int = 4) -> str:
    """A number in so many digits: 1,024 or 0.0312; beyond what people read, a power of ten: 1.8 × 10^16."""
    if value == 0 or (isinstance(value, float) and not math.isfinite(value)):
        return f"{value:g}"
    if isinstance(value, int) and abs(value) < 10**6:
        return f"{value:,}"
    if isinstance(value, float):
        value = float(f"{value:.{digits - 1}e}")
    power = math.floor(math.log10(abs(value)) + 1e-12)  # of an int, too, that no float holds
    if -4 <= power < 6:
        return f"{value:,.{max(0, digits - 1 - power)}f}"
    head = 10 ** (math.log10(abs(value)) - power)
    return f"{'-' * (value < 0)}{head:.{min(1, digits - 1)}f} × 10^{power}"


def share(value: float) -> str:
    """A share in percent: 100 %, 95 %, 2.6 %."""
    percent = 100 * value
    return "100 %" if percent >= 99.95 else f"{number(percent, 3 if percent >= 99 else 2)} %"


def blocks(many: int) -> str:
    return "1 random block" if many == 1 else f"{many} random blocks"


def size(shape: Sequence[int]) -> str:
    """The shape of one sample."""
    return "x".join(map(str, shape[1:]))


def place(module: str) -> str:
    """A module's path; the model itself has none."""
    return module or "the model itself"


def spans(numbers: Sequence[int]) -> str:
    """1, 2, 3, 7 as 1-3, 7."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)
