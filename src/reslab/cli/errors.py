"""Print what stands beside an error of images: the balanced error, the majority's share, the scores of labels."""

from collections.abc import Mapping
from typing import Any

from reslab.cli import say
from reslab.run import Run

LABELS = {"exact_error": "images with a wrong label", "f1_micro": "F1 of all decisions",
          "f1_macro": "mean F1 of the labels", "mean_ap": "mean average precision"}  # fmt: skip
ALWAYS = {False: "always predicting the most frequent class",
          True: "always predicting each label's more frequent value"}  # fmt: skip
ROWS = 30  # labels in the table


def beside(balanced: Any, majority: Any, *, several: bool = False, part: str = "") -> str:
    """What stands beside every error: the balanced error, and the error of a net that learned nothing."""
    return f"balanced {part}error {say.percent(balanced)}, {ALWAYS[several]} {say.percent(majority)}"


def explain(found: Mapping[str, Any], *, classes: int, start: str = "") -> None:
    """Print what an error alone does not say: a warning for very unequal classes, or the scores of several labels.

    `start`: of the keys, "test_" in a training's result.
    """
    if found.get("several"):
        labels(found, start)
        return
    from reslab.report.words import unequal

    if sentence := unequal(found.get(f"{start}balanced"), found.get(f"{start}majority"), classes):
        print(sentence)


def labels(found: Mapping[str, Any], start: str = "") -> None:
    """Print the scores of several labels per image; with their intervals and a table of the labels if there are any."""
    ends, shown = found.get("intervals") or {}, []
    for key, name in LABELS.items():
        around = ends.get(key)
        interval = f" (95 % interval {around[0]:.2f} to {around[1]:.2f})" if around else ""
        shown.append(f"{name} {say.percent(found.get(start + key))}{interval}")
    print(", ".join(shown))
    rows = found.get("labels") or ()
    if rows:
        keys = ("precision", "recall", "f1", "ap")
        columns = ["label", "images", "predicted", "precision", "recall", "F1", "average precision"]
        lines = [(one["name"], f"{one['images']:,}", f"{one['predicted']:,}", *(share(one[key]) for key in keys))
                 for one in rows[:ROWS]]  # fmt: skip
        say.table(columns, lines)
    if len(rows) > ROWS:
        print(f"and {len(rows) - ROWS:,} more labels; --json prints all of them")


def share(value: float | None) -> str:
    """A share from 0 to 1 in percent."""
    return say.percent(None if value is None else 100 * value)


def repeats(run: Run) -> None:
    """Warn about test images of the run's own data that are training images, too; its report shows them."""
    if not run.has("results/duplicates.json"):
        return
    found = run.read_json("results/duplicates.json")
    exact, near, elsewhere = (found.get(key) or 0 for key in ("exact", "near", "elsewhere"))
    if exact or near:
        parts = [f"{exact:,} with the same pixels"] * bool(exact) + [f"{near:,} nearly the same"] * bool(near)
        parts += [f"{elsewhere:,} with another label"] * bool(elsewhere)
        many = exact + near > 1
        are = ("s look like training images" if many else " looks like a training image") if near else (
            "s are training images, too" if many else " is a training image, too")  # fmt: skip
        print(f"warning: {exact + near:,} test image{are} ({', '.join(parts)}); the report shows them")
