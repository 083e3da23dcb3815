"""Write what a run's page shows of single images: results/pictures.json and results/duplicates.json."""

from typing import Any

from reslab.images.calibrate import Scored
from reslab.images.data.images import ImageData, Part
from reslab.images.pictures import duplicates
from reslab.images.pictures.gather import gather
from reslab.images.task import ImageTask
from reslab.progress import Progress, in_phase, silent
from reslab.run import Run

PICTURES, DUPLICATES = "results/pictures.json", "results/duplicates.json"


def keep(
    run: Run, data: ImageData, scored: Scored, *, validation: tuple[Part, Scored] | None = None,
    temperature: float | None = None, progress: Progress = silent, **about: Any,
) -> None:  # fmt: skip
    """Store the pictures of the test part of the run's own data, and once what the parts share.

    Without `validation`, what was stored of that part stays. Nothing is stored for scores that are not finite.
    """
    before = run.read_json(PICTURES).get("validation") if run.has(PICTURES) and validation is None else None
    found = gather(data.test, scored, classes=data.classes, temperature=temperature, validation=validation, **about)
    if found is not None:
        run.write_json(PICTURES, {**({"validation": before} if before else {}), **found})
    if not run.has(DUPLICATES):
        told = in_phase(progress, "comparing test images with training images")
        run.write_json(DUPLICATES, duplicates.gather(data, progress=told))


def keep_of_training(run: Run, data: ImageData, task: ImageTask, result: dict[str, Any], *, progress: Progress) -> None:
    """The same at the end of training, from the scores of its last evaluation; of the validation part, too."""
    held = task.parts["validation"]
    keep(run, data, task.scored["test"], validation=None if held is None else (held, task.scored["validation"]),
         temperature=(result.get("temperature") or {}).get("temperature"), progress=progress, views="single view",
         precision=result["choice"]["precision"],
         **{key: result[f"test_{key}"] for key in ("error", "balanced", "majority")})  # fmt: skip
