"""The network as a table: one row per block, one column with small bars per measure, all numbers on request."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from reslab.report.figures import charts
from reslab.report.folder import Facts, facts
from reslab.report.look.blocks import Block, color, common, layers_by_merge, short_name, stages_of
from reslab.report.look.folder import Look
from reslab.report.look.words import Metric, aligned, metrics, small
from reslab.report.words import NONE, is_number, plain, short

# Kinds of residual connections, with their glyphs in templates/network.html.j2.
DRAWN = {"identity": "identity", "projection": "projection", "scaled": "projection", "mixed": "projection"}
KINDS = {
    "projection": "projection: the shortcut transforms its input",
    "scaled": "scaled: the skip has a gain",
    "mixed": "mixed: the skip mixes several streams",
}
DEEPEST = 4  # levels of nesting that are indented; deeper ones show it in their numbers only


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of measurements beside the blocks."""

    key: str
    head: str
    about: str
    text: Callable[[Any], str] | None = None  # default: three digits
    base: float = 0  # where a bar begins
    signed: bool = False  # bars to both sides of the middle


def network(look: Look, found: list[Block]) -> Facts | None:
    """What network.html.j2 shows, and the numbers that network.js opens."""
    if not found:
        return None
    columns = [c for c in columns_of(look, found) if any(is_number(block.values.get(c.key)) for block in found)]
    bars = [scaled(column, found) for column in columns]
    prefix = common([block.module for block in found])
    labels = labels_of(look, found)
    return {
        "kind": "merges" if look.merges else "layers",
        "columns": [{"key": c.key, "head": c.head, "about": c.about} for c in columns],
        "rows": list(rows(found, columns, bars, prefix)),
        "prefix": prefix,
        "width": len(columns) + 2,
        "stages": stages_of(found),
        "marked": any(block.marked for block in found),
        "hollow": any(block.facts.get("cuttable") is False for block in found),
        "nested": any(block.depth for block in found),
        "data": {  # for network.js
            "columns": [c.about for c in columns],
            "values": [[charts.finite(block.values.get(c.key)) for block in found] for c in columns],
            "labels": list(labels),
            "facts": [[fact(block) for fact in labels.values()] for block in found],
            "layers": layer_tables(look, found),
        },
    }


def columns_of(look: Look, found: list[Block]) -> Iterator[Column]:
    """Every measure that has a column, measured or not."""
    lesions, single = look["lesions"], "block" if look.merges else "layer"
    whole = lesions.get("whole")
    for metric in metrics(lesions):
        if metric.key == "loss" and len(metrics(lesions)) > 2:
            continue  # in the block's own numbers
        at = metric.of(whole) if metric.key in ("error", "loss") else None
        beside = f"; the intact model: {metric.text(at)}" if at is not None else ""
        yield Column(key=f"without:{metric.key}", head=f"{metric.short} if disabled", text=stored(metric),
                     base=facts(whole).get(metric.key) or 0,
                     about=f"{metric.title} with this {single} disabled{beside}")  # fmt: skip
    yield Column(key="influence:influence", head="influence", about="Block influence, 1 − cos(x, x + F)")
    yield Column(key="influence:ratio", head="|F| / |x|", about="Norm of the branch’s output, relative to the skip")
    yield Column(key="influence:cosine", head="cos(F, ∇L)", signed=True,
                 about="Cosine between the branch’s output and the loss’s gradient; negative: downhill")  # fmt: skip
    yield Column(key="responses:branch", head="response", about="Standard deviation of the branch’s output")
    yield Column(key="gradients:out", head="gradient", about="Norm of the loss’s gradient at the sum, per sample")
    for metric in metrics(look["readout"])[:1]:
        yield Column(key=f"read:{metric.key}", head=f"{metric.short} read out", text=stored(metric),
                     about=f"{metric.title} of the model’s answers read out after this block")  # fmt: skip
    yield Column(key="std", head="response", about="Standard deviation of the layer's response")
    yield Column(key="weight", head="|∂L/∂W|", about="Norm of the loss’s gradient with respect to the weights")
    yield Column(key="activation", head="|∂L/∂a|",
                 about="Norm of the loss’s gradient with respect to the response, per sample")  # fmt: skip
    yield Column(key="signal", head="signal", about="Root mean square of the response")
    yield Column(key="params", head="parameters", about="Parameters of the branch", text=short)
    batch = look["merges"].get("batch")
    samples = batch if is_number(batch) and batch > 0 else 1
    yield Column(key="macs", head="MACs", about="Multiply-adds of the branch, per sample",
                 text=lambda value: short(value / samples) if is_number(value) else NONE)  # fmt: skip


def stored(metric: Metric) -> Callable[[Any], str] | None:
    """How a stored value is written; an error in percent."""
    return (lambda value: metric.text(metric.value(value))) if metric.key == "error" else None


def scaled(column: Column, found: list[Block]) -> list[str]:
    """Each block's bar for look.css: where it begins and ends, in percent of the cell."""
    values = [block.values.get(column.key) for block in found]
    sizes = [value - column.base if is_number(value) else 0.0 for value in values]
    most = max((abs(size) for size in sizes), default=0) or 1
    if column.signed:
        halves = [50 * size / most for size in sizes]
        return [f"--a:{50 + min(0, half):.3g}%;--b:{50 + max(0, half):.3g}%" if half else "" for half in halves]
    return [f"--b:{100 * size / most:.3g}%" if size > 0 else "" for size in sizes]


def rows(found: list[Block], columns: list[Column], bars: list[list[str]], prefix: str) -> Iterator[Facts]:
    of, last = stages_of(found), -1
    says = [column.text or aligned([block.values.get(column.key) for block in found]) for column in columns]
    for i, block in enumerate(found):
        cells = [
            {"text": say(block.values.get(column.key)), "bar": bar[i]}
            for column, say, bar in zip(columns, says, bars, strict=True)
        ]
        yield {
            "index": block.index,
            "name": short_name(block.module, prefix),
            "module": block.module,
            "glyph": glyph(block),
            "cuttable": block.facts.get("cuttable", True) is True,
            "level": min(block.depth, DEEPEST),
            "color": color(block, of).removeprefix("@"),
            "shape": sides(block.shape),
            "cells": cells,
            "stage": stage_of(found, block) if block.stage != last else None,
        }
        last = block.stage


def glyph(block: Block) -> str:
    return DRAWN.get(block.kind, "layer")


def stage_of(found: list[Block], block: Block) -> Facts:
    """The heading above the first block of a stage."""
    own = [each for each in found if each.stage == block.stage]
    shape = next((each.shape for each in own if each.depth == 0), block.shape)
    return {
        "number": block.stage,  # from 0, as blocks and modules' names are
        "shape": sides(shape),
        "first": own[0].index,
        "last": own[-1].index,
    }


def sides(shape: Any) -> str:
    return " × ".join(map(str, shape)) if isinstance(shape, list | tuple) and shape else NONE


Fact = Callable[[Block], str]


def labels_of(look: Look, found: list[Block]) -> dict[str, Fact]:
    """The numbers shown for an opened block: label -> how to format the value."""
    merges = bool(look.merges)
    labels: dict[str, Fact] = {}

    def measure(key: str, text: Callable[[Any], str]) -> Fact:
        return lambda block: text(block.values.get(key))

    def fact(key: str, text: Callable[[Any], str] = plain) -> Fact:
        return lambda block: text(block.facts.get(key))

    if merges:
        batch = look["merges"].get("batch")
        labels["kind"] = kind
        labels["shape"] = lambda block: f"{sides(dropped(block.facts.get('before'), batch))} → {sides(block.shape)}"
        labels["can it be removed?"] = cuttable
        labels["added in module"] = fact("path")
        labels["nested in the branch of block"] = fact("parent")
        labels["parameters of the branch"] = fact("params")
        labels["parameters of the shortcut"] = fact("shortcut_params")
    else:
        labels["kind"], labels["shape"] = fact("kind"), lambda block: sides(block.shape)
    columns = [c for c in columns_of(look, found) if c.key != "params"]
    labels |= {c.about: measure(c.key, c.text or small) for c in columns}
    for metric in metrics(look["lesions"]):
        if f"{metric.title} with" not in " ".join(labels):
            labels[f"{metric.title} with it disabled"] = measure(f"without:{metric.key}", stored(metric) or small)
    labels["Standard deviation of the skip"] = measure("responses:skip", small)
    labels["Standard deviation of the sum"] = measure("responses:out", small)
    labels["Root mean square of the sum"] = measure("gradients:signal", small)
    for metric in metrics(look["readout"])[1:]:
        labels[f"{metric.title} read out after it"] = measure(f"read:{metric.key}", stored(metric) or small)
    kept = {label: [f(block) for block in found] for label, f in labels.items()}
    return {label: labels[label] for label, texts in kept.items() if any(text not in (NONE, "") for text in texts)}


def kind(block: Block) -> str:
    named = ", named by you" if block.facts.get("named") else ""
    return f"{KINDS.get(block.kind, block.kind)}{named}"


def cuttable(block: Block) -> str:
    can = block.facts.get("cuttable")
    why = block.facts.get("why")
    return NONE if can is None else f"{'yes' if can else 'no'}{f': {why}' if why else ''}"


def dropped(shape: Any, batch: Any) -> Any:
    return shape[1:] if isinstance(shape, list) and shape and shape[0] == batch else shape


LAYER = {
    "module": ("layer", plain),
    "kind": ("kind", plain),
    "kernel": ("kernel", sides),
    "shape": ("shape", sides),
    "std": ("response", small),
    "weight": ("|∂L/∂W|", small),
    "weight_size": ("|W|", small),
    "activation": ("|∂L/∂a|", small),
    "signal": ("signal", small),
}


def layer_tables(look: Look, found: list[Block]) -> Facts:
    """The layers of each merge's branch: one head, and rows by the merge's position on the page."""
    if not look.merges:
        return {}
    inside = layers_by_merge(look)
    keys = [key for key in LAYER if any(each.get(key) is not None for each in look.layers)]
    return {
        "head": [LAYER[key][0] for key in keys],
        "rows": [
            [[LAYER[key][1](each.get(key)) for key in keys] for each in inside.get(block.index, [])] for block in found
        ],
    }
