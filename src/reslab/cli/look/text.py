"""Print the main results of `reslab look` in a few lines; the page has the rest."""

import math
from collections.abc import Sequence
from statistics import median
from typing import Any

from reslab.cli import say
from reslab.statistics.effects import change, of_share

FEW = 5  # lines shown of a ranking
ON = {"shapes": "shapes alone", "values": "the input's values"}


def merges(found: Any) -> None:
    """Print every residual connection as a row, then why blocks can be removed or not."""
    if found:
        rows = [
            (f"{'  ' * m.depth}{m.index}", place(m.module), m.kind, size(m.before), size(m.shape),
             f"{m.params:,}", say.millions(m.macs // found.batch), "yes" if m.cuttable else "no") for m in found
        ]  # fmt: skip
        say.table(("block", "module", "kind", "from", "to", "parameters", "MACs", "removable"), rows,
                  title=f"{found.model}: {len(found)} residual connections, "
                        f"found on {ON[found.found_on]} (MACs per sample)")  # fmt: skip
        reasons: dict[str, list[int]] = {}
        for m in found:
            reasons.setdefault(f"{'removable' if m.cuttable else 'not removable'}: {m.why}", []).append(m.index)
        for why, indices in reasons.items():
            print(f"{ranges(indices)} {why}")
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
    print(f"intact model: {values(found.whole, found.n)}, n = {found.n} (measured {how})")
    for title, rows in (("block", found.single), ("layer", found.layers)):
        if rows:
            alone(found, title, rows)
    for drawn in found.random:
        seen = drawn.values[name]
        print(f"{blocks(drawn.k)} disabled: median {name} {figure(name, median(seen))}{share_of(name, seen, found.n)} "
              f"(range {figure(name, min(seen))} to {figure(name, max(seen))}, {draws(len(seen))})")  # fmt: skip
    swapped: dict[int, list[Any]] = {}
    for each in found.reorder:
        swapped.setdefault(each.swaps, []).append(each)
    for swaps, each in swapped.items():
        seen = [one.values[name] for one in each]
        print(f"{swaps} {'pair' if swaps == 1 else 'pairs'} of blocks swapped: median {name} "
              f"{figure(name, median(seen))}{share_of(name, seen, found.n)} (range {figure(name, min(seen))} to "
              f"{figure(name, max(seen))}, {draws(len(seen))}, Kendall's tau "
              f"{min(one.tau for one in each):.2f} to {max(one.tau for one in each):.2f})")  # fmt: skip
    remarks(found)


def alone(found: Any, title: str, rows: Sequence[Any]) -> None:
    """The median over blocks disabled alone, and those with the largest effects, if any has one."""
    name = found.metrics[0]
    middle = figure(name, median(row.values[name] for row in rows))
    start = f"one {title} disabled: median {name} {middle}"
    if all(row.values == found.whole for row in rows):
        print(f"{start}; disabling any one {title} changes nothing")
        return
    print(f"{start}; largest effects{' (95 % interval of the difference)' if spans(found, rows[0]) else ''}:")
    for row in sorted(rows, key=lambda row: -row.values[name])[:FEW]:
        at = f"block {row.merge}" if hasattr(row, "merge") else f"layer {row.layer}"
        print(f"  {at} ({place(row.module)}, {row.kind}): {values(row.values)}{spans(found, row)}")


def spans(found: Any, row: Any) -> str:
    """` (+1.2 to +3.4 points)`: the interval of the first metric's difference from the intact model."""
    name = found.metrics[0]
    if name not in row.spread or name not in found.whole:
        return ""
    around = change(name, row.values[name], found.whole[name], found.n, row.spread[name])
    if around is None:
        return ""
    low, high = around.low, around.high
    return f" ({100 * low:+.1f} to {100 * high:+.1f} points)" if name == "error" else f" ({low:+.3g} to {high:+.3g})"


def share_of(name: str, seen: Sequence[float], n: int) -> str:
    """The 95 % interval of the median error over the samples; "" for other metrics."""
    around = of_share(name, median(seen), n)
    return f", 95 % interval {100 * around.low:.1f} to {100 * around.high:.1f}" if around else ""


def draws(many: int) -> str:
    return "1 draw" if many == 1 else f"{many} draws"


def paths(found: Any) -> None:
    entry = "the input" if found.at == "input" else found.at
    print(f"{number(sum(found.counts))} paths of 0 to {found.merges} blocks, gradient at {entry}, n = {found.n}; "
          f"their gradients sum to the full one within {number(found.deviation, 1)} (relative)")  # fmt: skip
    if found.flat:
        print(f"{found.flat} of {found.n} samples have no gradient: they are not counted in the shares of the lengths")
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
        print(f"  {after}: {values(depth.values, found.n)}")
    best, last = min(depths, key=lambda depth: depth.values[name]), depths[-1]
    if best.values[name] < last.values[name]:
        around = change(name, best.values[name], last.values[name], found.n, None)
        shown = around is None or around.high < 0
        more = "" if shown else ", but the 95 % interval of the difference contains zero"
        print(f"the best {name} is not the last: {figure(name, best.values[name])} after {several(best.depth)}{more}")


def remarks(found: Any) -> None:
    for note in found.notes:
        print(note)


def values(metrics: dict[str, float], n: int = 0) -> str:
    """Each metric's value; of the error, its 95 % interval over n samples."""
    parts = []
    for name, value in metrics.items():
        around = of_share(name, value, n)
        between = f" (95 % interval {100 * around.low:.1f} to {100 * around.high:.1f})" if around else ""
        parts.append(f"{name} {figure(name, value)}{between}")
    return ", ".join(parts)


def several(blocks: int) -> str:
    return "1 block" if blocks == 1 else f"{blocks} blocks"


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


def ranges(numbers: Sequence[int]) -> str:
    """1, 2, 3, 7 as 1-3, 7."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)
