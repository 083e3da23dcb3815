"""Train on images from Python: `reslab.train(data, net=..., lr=...)` gives a run, as `reslab train` makes it."""

import contextlib
import inspect
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import Any

from reslab.errors import UsageError
from reslab.images.data import ImageData, load
from reslab.images.data.arrays import of_arrays
from reslab.images.evaluate import Evaluation
from reslab.images.evaluate import evaluate as measure_error
from reslab.images.matching import fitted
from reslab.images.model import load as load_model
from reslab.images.parts import measured_part
from reslab.images.plan import Asked
from reslab.images.preprocess import of_run
from reslab.images.setup import set_up
from reslab.images.train import like_run, stored_data
from reslab.images.train import train as train_folder
from reslab.nets import Net
from reslab.progress import Progress, shown, silent
from reslab.report import write as write_report
from reslab.run import Run
from reslab.stored.shards import Name
from reslab.train.folder import DONE, finished, pick_device
from reslab.train.joined import joined
from reslab.train.made_once import for_all
from reslab.train.recipe import Recipe
from reslab.train.world import ALONE, World

RECIPE = tuple(field.name for field in fields(Recipe))
DATA = tuple(name for name in inspect.signature(load).parameters if name not in ("word", "memory", "crops"))
NET = (
    "shortcut",
    "block",
    "activation",
    "stride_on",
    "stem",
    "init",
    "norm",
    "zero_last_norm",
    "scale",
    "gate",
    "streams",
)  # as in a folder's name
Data = str | Path | ImageData | tuple[Any, ...]


class ImageRun(Run):
    """A finished run on images: its net, its result, its page. `device`: where `evaluate` runs."""

    def __init__(self, path: Path | str, *, data: ImageData | None = None, device: str = "auto") -> None:
        super().__init__(path)
        self.data, self.device = data, device

    def __repr__(self) -> str:
        return f"ImageRun({str(self.folder)!r})"

    @property
    def result(self) -> dict[str, Any]:
        """results/train.json. Raises ReslabError if it is missing or damaged."""
        return self.read_json(DONE)

    @cached_property
    def model(self) -> Net:
        """What `reslab.load` gives for the folder: the trained net in eval mode, with `predict`."""
        return load_model(self.folder)

    @property
    def page(self) -> Path:
        """The path of report.html, which is written if it is missing."""
        page = self.path("report.html")
        return page if page.exists() else write_report(self.folder)

    def evaluate(self, data: Data | None = None, *, part: Name | None = None) -> Evaluation:
        """The net's error on the run's own data, or on others whose classes are matched by name, as `reslab eval` does.

        `part`: "test", "train" or "validation"; None: the test part, or all images of other data without one.
        Nothing is stored. Raises UsageError for data that do not fit the net, ReslabError if the run's data have
        changed.
        """
        images = self.own() if data is None else as_data(data, like=self)
        net, about = self.model, self.read_json("data.json")
        images = fitted(net.spec, images, about.get("classes"), several=bool(about.get("several")))
        word = str(data) if isinstance(data, str | Path) else None
        chosen, _ = measured_part(self.folder, images, part, word=word)
        place = pick_device(self.device)
        return measure_error(net.to(place), chosen, normalize=of_run(self).normalize.to(place), device=place)

    def own(self) -> ImageData:
        """The data that the run was trained on."""
        return stored_data(self) if self.data is None else self.data


def as_data(data: Data, *, like: Run | None = None, **options: Any) -> ImageData:
    """The data set that a word, a path, or arrays give, as `train` takes them; one that is given stays."""
    if isinstance(data, ImageData):
        return data
    if isinstance(data, tuple):
        if len(data) not in (2, 4):
            raise UsageError("data must be a word, a path, or arrays (images, classes), with or without test images "
                             f"and their classes, got {len(data)} arrays")  # fmt: skip
        return of_arrays(*data)
    word = str(data)
    return load(word, **{**(like_run(like, word) if like else {}), **options})


def train(
    data: Data | None = None, *, net: str | None = None, weights: str | Path | None = None,
    recipe: str | Path | None = None, out: str | Path | None = None, device: str = "auto",
    progress: Progress | None = None, **settings: Any,
) -> ImageRun:  # fmt: skip
    """Train a net on images and return its run; the same call again resumes, and does nothing for a finished run.

    data: as --data of `reslab train`, an ImageData, or arrays: images uint8 (N, H, W) or (N, H, W, C) and classes (N,),
    with or without test images and their classes; None: those of the run in `weights`, or digits. weights: a run or
    file to start from, or "default" (also as `start`, the name in messages). recipe: a name or a TOML file. out: the
    run folder; None: one under runs/. progress: None shows it on standard error. `settings`: keys of a recipe
    (lr=0.01), options of the net (shortcut="B") and of `images.data.load` (size=64). What is not given is chosen as
    docs/images.md says; the run's choices.json has the reasons. In processes that torchrun started, all call this and
    train one net together; rank 0 alone shows progress and writes. Raises UsageError for settings that cannot be
    trained, ReslabError for failures.
    """
    weights = settings.pop("start", None) if weights is None else weights
    changes, options = ({key: settings[key] for key in keys if key in settings} for keys in (RECIPE, DATA))
    others = sorted(settings.keys() - {*RECIPE, *DATA, *NET})
    net_options = {key: settings[key] for key in (*NET, *others) if key in settings}
    if options and isinstance(data, ImageData | tuple):
        raise UsageError(f"{next(iter(options))} is for data that are read from files, not for arrays")
    asked = Asked(
        data=given_data(data), net=net, net_options=net_options,
        recipe=None if recipe is None else str(recipe), changes=changes, options=options,
        start=None if weights is None else str(weights),
    )  # fmt: skip
    with joined() as world:
        world.agreed(lambda: world.device(device))  # before a folder is made
        run, images = for_all(world, lambda: set_up(asked, out))
        if images is None and isinstance(asked.data, ImageData):
            images = asked.data
        train_and_show(run, images, device=device, progress=progress, world=world)
    return ImageRun(run.folder, data=images, device=device)


def given_data(data: Data | None) -> str | ImageData | None:
    """A word stays one, as it is loaded with other options; arrays are a data set."""
    return str(data) if isinstance(data, str | Path) else None if data is None else as_data(data)


def train_and_show(
    run: Run, data: ImageData | None, *, device: str = "auto", progress: Progress | None = None, world: World = ALONE
) -> tuple[dict[str, Any], Path]:
    """Train in a prepared folder and write its page; (the result, the page's path).

    Of several processes, `world`, rank 0 alone shows progress and writes the page.
    """
    before, page = finished(run.folder), run.path("report.html")
    with contextlib.ExitStack() as stack:
        if progress is None and world.leads:
            progress = stack.enter_context(shown(run.folder.name))
        result = train_folder(run.folder, data=data, device=device, progress=(world.leads and progress) or silent,
                              world=world)  # fmt: skip
    world.by_first(lambda: None if before and page.exists() else write_report(run.folder))
    return result, page
