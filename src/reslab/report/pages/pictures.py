"""Galleries of single images: mistakes, doubts, what lies behind the confusion matrix, images in both parts."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from reslab.errors import one_line
from reslab.report import words
from reslab.report.figures.charts import clipped
from reslab.report.figures.classes import pooled_by
from reslab.report.folder import Facts, Run, dicts, facts, items

OURS = re.compile(r"data:image/jpeg;base64,[A-Za-z0-9+/]+={0,2}")  # a thumbnail; nothing else becomes an address
LONGEST = 6_000  # characters of one
EXACT = 48  # images of at most this longer side are enlarged without smoothing
PHOTO = 32  # pixels of the shorter side from which images were compared for being nearly the same
POOR = 20  # percent: from this test error on, most doubted labels are mistakes of the net


def pictures(run: Run) -> Facts:
    """What pictures.html.j2 shows; {} for a run that stored none."""
    stored = run.pictures
    if not stored:
        return {}
    names = [str(name) for name in items(stored.get("classes"))]
    several, images = bool(stored.get("several")), dicts(stored.get("images"))
    size = [side for side in items(stored.get("size")) if words.is_number(side)]
    made = [tile(one, names, several=several) for one in images]
    held = facts(stored.get("validation"))
    others = [tile(one, names, several=several) for one in dicts(held.get("images"))]
    error = stored.get("error")
    return {
        "n": stored.get("n"),
        "exact": bool(size) and max(size) <= EXACT,
        "several": several,
        "worst": picked(made, stored.get("worst")),
        "uncertain": picked(made, stored.get("uncertain")),
        "cells": cells(stored, names, made),
        "pool": pooled_by(len(names)),
        "doubts": doubts(facts(stored.get("doubts")), names, made, several=several),
        "held": doubts(facts(held.get("doubts")), names, others, several=several),
        "held_n": held.get("n"),
        "poor": words.is_number(error) and error >= POOR,
        "error": error,
        "mistakes": mistakes(stored),
    }


def picked(made: Sequence[Facts], numbers: Any) -> list[Facts]:
    return [made[k] for k in items(numbers) if k < len(made)]


def address(url: Any) -> str | None:
    """A thumbnail's data URL, None for anything but a JPEG of ours."""
    return url if isinstance(url, str) and len(url) <= LONGEST and OURS.fullmatch(url) else None


def named(names: Sequence[str], k: Any) -> str:
    """The name of class k, on one line and without marks that turn the direction of writing."""
    return one_line(names[k]) if isinstance(k, int) and 0 <= k < len(names) else words.NONE


def tile(one: Facts, names: Sequence[str], *, several: bool) -> Facts:
    """An image with its thumbnail, what it is and what was predicted, in short and in full."""
    file, chance = one_line(one.get("name", "")), words.percent(100 * one.get("confidence", 0), 1)
    if several:
        known, said = (listed(names, one.get(key)) for key in ("labels", "said"))
        label, given = named(names, one.get("label")), one.get("label") in items(one.get("labels"))
        lines, labeled = [f"{clipped(label)}: {chance}", f"labeled: {'yes' if given else 'no'}"], ""
        full = f"labels {known}; predicted {said}; {label} {chance}"
        right = given == (one.get("label") in items(one.get("said")))
    else:
        true, predicted = named(names, one.get("true")), named(names, one.get("predicted"))
        right = one.get("true") == one.get("predicted")
        lines = [f"{clipped(predicted)} ({chance})", "right" if right else f"true: {clipped(true)}"]
        labeled = f"labeled: {clipped(true)}"
        full = f"true {true}, predicted {predicted} ({chance})"
    return {"url": address(one.get("thumbnail")), "file": clipped(base(file), 28), "full": f"{file}: {full}",
            "lines": lines, "labeled": labeled, "right": right}  # fmt: skip


def listed(names: Sequence[str], labels: Any) -> str:
    return ", ".join(named(names, k) for k in items(labels)) or "none"


def base(file: str) -> str:
    """The name of a file without its folders."""
    return file.rstrip("/").rpartition("/")[2]


def cells(stored: Facts, names: Sequence[str], made: Sequence[Facts]) -> list[Facts]:
    """The shown images of each cell of the confusion matrix, mistakes first, in the order of their frequency."""
    sparse = facts(stored.get("confusion"))
    columns = [items(sparse.get(key)) for key in ("true", "predicted", "n")]
    counts = {(i, j): n for i, j, n in zip(*columns, strict=False)}
    found = []
    for one in dicts(stored.get("cells")):
        i, j, tiles = one.get("true"), one.get("predicted"), picked(made, one.get("images"))
        if tiles:
            found.append({"id": f"{i}-{j}", "true": i, "predicted": j, "right": i == j, "tiles": tiles,
                          "n": counts.get((i, j), len(tiles)), "true_name": named(names, i),
                          "predicted_name": named(names, j)})  # fmt: skip
    return found


def mistakes(stored: Facts) -> Facts:
    """How many mistakes there are, in how many cells, and how many of each have their images shown."""
    sparse = facts(stored.get("confusion"))
    wrong = [n for i, j, n in zip(*(items(sparse.get(key)) for key in ("true", "predicted", "n")), strict=False)
             if i != j]  # fmt: skip
    shown = [len(items(one.get("images"))) for one in dicts(stored.get("cells"))
             if one.get("true") != one.get("predicted")]  # fmt: skip
    return {"n": sum(wrong), "cells": len(wrong), "shown": sum(shown), "shown_cells": len(shown)}


def doubts(found: Facts, names: Sequence[str], made: Sequence[Facts], *, several: bool) -> Facts:
    """Labels that may be wrong: how many, and the first of them with the class that they may be of."""
    shown = []
    columns: Iterable[Any] = zip(items(found.get("images")), items(found.get("likely")),
                                 items(found.get("probability")), strict=False)  # fmt: skip
    for k, likely, probability in columns:
        if k < len(made):
            name, chance = clipped(named(names, likely)), words.percent(100 * probability, 1)
            said = [f"{name}: {chance}"] if several else [f"{name}? ({chance})", made[k]["labeled"]]
            shown.append({**made[k], "lines": said})
    return {"n": found.get("n", 0), "tiles": shown}


def duplicates(run: Run) -> Facts:
    """Test images that are training images, too, as pairs of tiles; {} for a run that stored none."""
    stored = run.duplicates
    if not stored:
        return {}
    pairs = []
    for one in dicts(stored.get("pairs")):
        both = [{"url": address(one.get(f"{part}_thumbnail")), "file": clipped(base(one_line(one.get(part, ""))), 28),
                  "full": f"{what} {one_line(one.get(part, ''))}, {one_line(one.get(f'{part}_class', ''))}",
                  "class": clipped(one_line(one.get(f"{part}_class", "")))}
                 for part, what in (("test", "test image"), ("train", "training image"))]  # fmt: skip
        how = "same pixels" if one.get("exact") else f"correlation {one.get('correlation', 0):.3f}"
        unlike = one.get("train_class") != one.get("test_class")
        pairs.append({"sides": both, "how": how, "unlike": unlike})
    found = (stored.get("exact") or 0) + (stored.get("near") or 0)
    sides = [side for side in items(run.data.get("shape"))[1:] if words.is_number(side)]
    return {**stored, "pairs": pairs, "found": found, "photos": bool(sides) and min(sides) >= PHOTO}
