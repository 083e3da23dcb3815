"""The page of `reslab look`: the network with all measurements beside it, then the figures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reslab.errors import UsageError
from reslab.report import words
from reslab.report.folder import Facts, dicts, facts, items
from reslab.report.look import depth, lesions, many, paths, signal
from reslab.report.look.blocks import Block, blocks, main_metric
from reslab.report.look.effects import ends as interval_ends
from reslab.report.look.effects import of_share
from reslab.report.look.folder import Look, read_looks
from reslab.report.look.harm import extremes
from reslab.report.look.network import network
from reslab.report.look.words import Metric, large, several
from reslab.report.render import draw, target

SECTIONS = (
    lesions.lesions,
    many.many,
    paths.paths,
    depth.influence,
    depth.readout,
    signal.responses,
    signal.gradients,
)


def write(folders: Path | Sequence[Path], *, out: Path | None = None, single_file: bool | None = None) -> Path:
    """Draw the results of `reslab look` in a folder as one page, by default `<folder>/look.html`.

    Several folders are drawn side by side, by default as look.html in the current folder. `single_file` as for
    `reslab.report.write`. Returns the path of the page. Raises UsageError for a folder without results and for an
    existing file that is not a page of reslab, ReslabError if a file is damaged or the page cannot be written.
    """
    many = [folders] if isinstance(folders, str | Path) else list(folders)
    if not many:
        raise UsageError("no folders to draw: name at least one")
    chosen = [Path(folder) for folder in many]
    place = target(out, chosen[0] / "look.html" if len(chosen) == 1 else Path("look.html"))
    home = chosen[0] if len(chosen) == 1 else None
    return draw(page_of(chosen), place, home=home, single_file=single_file)


def page_of(folders: Sequence[Path]) -> Facts:
    """What look.html.j2 shows."""
    looks = read_looks(folders)
    one = looks[0] if len(looks) == 1 else None
    sections = [section for make in SECTIONS if (section := make(looks))]
    figures = [figure for section in sections for figure in section["figures"]]
    found = blocks(one) if one else []
    return {
        "template": "look.html.j2",
        "title": one.label if one else f"A look inside {len(looks)} models",
        "one": one,
        "meta": meta(one) if one else "",
        "looks": looks,
        "head": headline(one, found) if one else None,
        "table": [summary(look) for look in looks] if not one else [],
        "network": network(one, found) if one else None,
        "sections": sections,
        "figures": {figure["id"]: figure for figure in figures},
        "commands": list(dict.fromkeys(command for look in looks for command in look.commands)),
        "notes": notes(one) if one else [],
    }


def meta(look: Look) -> str:
    """The line under the title: the data and the model's size."""
    data, size = look.data, look.model.get("parameters")
    parts = [f"On {data['name']}{f', {part} part' if (part := data.get('part')) else ''}"] if data.get("name") else []
    parts += [f"{words.count(size)} parameters"] if words.is_number(size) else []
    machine = facts(facts(look.about.get("settings")).get("environment"))
    if machine.get("device"):
        parts.append(str(machine.get("device_name") or machine["device"]))
    return " · ".join(parts)


def headline(look: Look, found: list[Block]) -> Facts:
    """The main results: the intact model, numbers of merges and paths, which blocks hurt most and least."""
    metric, merges = main_metric(look) or main_metric(look, "readout"), look.merges
    return {
        "whole": whole(look, metric),
        "merges": len(merges),
        "words": " ".join(shape_of_it(look)),
        "cuttable": sum(each.get("cuttable") is True for each in merges) if "merges" in look.results else None,
        "cards": extremes(look, found, main_metric(look)),
        "what": "block" if merges else "layer",
        "without": metric.name if metric else "",
    }


def shape_of_it(look: Look) -> list[str]:
    """Projections, nesting and paths, one sentence for each that the model has."""
    turns = sum(each.get("kind") == "projection" for each in look.merges)
    inside = sum(bool(each.get("depth")) for each in look.merges)
    counts = paths.counts(look)
    span = look["paths"].get("effective_exact") or look["paths"].get("effective")
    sentences = []
    if turns:
        sentences.append(f"{turns} of them use{'s' if turns == 1 else ''} a projection shortcut.")
    if inside:
        sentences.append(f"{inside} {'is' if inside == 1 else 'are'} nested in the branches of others.")
    if counts and isinstance(span, list) and len(span) == 2:
        sentences.append(
            f"They form {large(sum(counts))} paths; 95 % of the gradient flows through paths of {span[0]} to "
            f"{span[1]} blocks."
        )
    return sentences


def whole(look: Look, metric: Metric | None) -> Facts | None:
    """The intact model by the first metric that is not relative to itself."""
    stored = look["lesions"].get("whole")
    if not isinstance(stored, dict):
        stored = (dicts(look["readout"].get("depths")) or [{}])[-1].get("values")
    value = metric.of(stored) if metric else None
    if metric is None or value is None or metric.key in ("drift", "kl"):
        return None
    n = look["lesions"].get("n") or look["readout"].get("n")
    rest = [Metric(key) for key in ("loss",) if isinstance(stored, dict) and key in stored and metric.key != key]
    more = [f"{other.name} {other.text(other.of(stored))}" for other in rest]
    around = interval_ends(metric, of_share(metric, value, n))
    return {"name": metric.name, "text": metric.text(value), "n": n, "more": more, "interval": around}


def summary(look: Look) -> Facts:
    """A row of the table that compares several models."""
    metric = main_metric(look) or main_metric(look, "readout")
    counts = paths.counts(look)
    return {
        "label": look.label,
        "class": look.model.get("class"),
        "data": look.data.get("name"),
        "parameters": look.model.get("parameters"),
        "merges": len(look.merges),
        "paths": large(sum(counts)) if counts else words.NONE if look.merges else "1",
        "whole": (whole(look, metric) or {}).get("text", words.NONE),
        "interval": (whole(look, metric) or {}).get("interval", ""),
        "folder": str(look.folder),
    }


def notes(look: Look) -> list[str]:
    """Notes of the measurements for the reader, each once."""
    found: list[Any] = [*items(look.model.get("notes"))]
    for verb in ("merges", "lesions"):
        found += items(look[verb].get("notes"))
    if sums := dicts(look["merges"].get("sums")):
        found.append(f"{several(len(sums), 'sum')} of two equal terms, not counted as residual connections")
    if look["lesions"].get("why") and look.merges:
        found.append(f"each lesion was measured in a separate pass: {look['lesions']['why']}")
    return list(dict.fromkeys(f"{note[:1].upper()}{note[1:].rstrip('.')}." for note in map(str, found) if note))
