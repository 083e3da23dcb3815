"""Train one net on a table, in a run folder of its own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reslab.progress import Progress
from reslab.run import Run
from reslab.statistics import mean
from reslab.study import own
from reslab.study.own.tables import SHUFFLED, TARGET
from reslab.tables.reading import Reading
from reslab.tables.train import load, prepare, train
from reslab.train.recipe import Recipe, read

RUN, FILE = "run", "table.csv"
STEP = (
    1.1e-3  # seconds of a training step for each layer of the gated net, on one core of the machine of docs/claims.md
)
BEFORE = 4.0  # seconds: reading, scoring, which columns matter


def work(
    folder: Path, settings: dict[str, Any], needs: Sequence[Path], *, device: str, progress: Progress
) -> dict[str, Any]:
    """Train the net of `preset` with `sizes` by the recipe "tables" with `changes`, from `seed`, also the split's.

    Scores on the test rows; where the net has masks and the table planted columns, how much higher the masks of the
    others are: mask_gap. A user's table: data = {"word": FILE, "options": {"target": COLUMN}}.
    """
    word, data = settings["data"]["word"], settings["data"]
    if word in own.OWN:
        path, target = own.load(word).write(folder / FILE), TARGET
    else:
        path, target = Path(word), str(data["options"]["target"])
    reading = Reading(target=(target,), split=settings["seed"], sizes=settings["sizes"])
    recipe = recipe_of(settings)
    table = load(str(path), reading, recipe)
    run = prepare(folder / RUN, word=str(path), reading=reading, data=table, preset=settings["preset"],
                  recipe=recipe)  # fmt: skip
    found = train(run.folder, data=table, device=device, progress=progress)
    scores = {key: value for key, value in found["test"].items() if isinstance(value, int | float)}
    return {**scores, "parameters": found["parameters"], **of_masks(Run(run.folder))}


def of_masks(run: Run) -> dict[str, Any]:
    """The mean mask of the planted columns and of the others, on the test rows; nothing without either."""
    columns = run.read_json("results/train.json")["importance"]["columns"]
    masks = {one["column"]: one["mask"] for one in columns if one["mask"] is not None}
    shuffled = [value for name, value in masks.items() if name.startswith(SHUFFLED)]
    real = [value for name, value in masks.items() if not name.startswith(SHUFFLED)]
    if not shuffled or not real:
        return {}
    ranked = sorted(masks, key=lambda name: -masks[name])
    return {"mask_real": mean(real), "mask_shuffled": mean(shuffled), "mask_gap": mean(real) - mean(shuffled),
            "places": list(range(1, len(ranked) + 1)), "masks": [masks[name] for name in ranked],
            "is_real": [float(not name.startswith(SHUFFLED)) for name in ranked]}  # fmt: skip


def recipe_of(settings: dict[str, Any]) -> Recipe:
    same = {"threads": 1, "precision": "fp32", "early_stop": 0}
    return read("tables", **{**same, **settings.get("changes", {}), "seed": settings["seed"]})


def cost(settings: dict[str, Any]) -> float:
    """CPU seconds of the training, on the machine of docs/claims.md; of a user's table as of one of 2,000 rows."""
    word = settings["data"]["word"]
    rows = own.load(word).text.count("\n") if word in own.OWN else 2000
    return BEFORE + STEP * settings["sizes"]["depth"] * recipe_of(settings).length(round(0.8 * rows))
