"""The life of a run folder, whatever is trained in it: made, compared, taken up, finished."""

import os
from collections.abc import Collection, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from reslab.errors import UsageError, arg
from reslab.run import Run
from reslab.train.recipe import Recipe, read, write

DONE = "results/train.json"


def make_folder(
    run: Run, recipe: Recipe, about: dict[str, Any], *, command: str, ours: Sequence[str] = (),
    without: Sequence[str] = (),
) -> None:  # fmt: skip
    """Make a run folder with its recipe and data.json; what else it needs comes next, and spec.json last.

    `ours`: files and folders that such a run may have before its spec.json; `without`: keys its recipe leaves out.
    Raises UsageError where something else lies there.
    """
    if run.folder.is_dir() and not all(begun(path.name) or path.name in ours for path in run.folder.iterdir()):
        raise UsageError(f"{run.folder} is not empty and not a run folder; choose another ", arg("folder"))
    run.make()
    run.write_text("recipe.toml", f"# {command or 'made in Python'}\n{write(recipe, without=without)}")
    run.write_json("data.json", about)


def finished(folder: Path | str) -> bool:
    """Whether a run folder holds a result and the weights it is of; without them it is trained on from last.pt."""
    return Run(folder).has(DONE) and Run(folder).has("weights.safetensors")


def begun(name: str) -> bool:
    """Whether a folder's entry is of those that `prepare` makes before spec.json: it may have been killed there."""
    asides = (".recipe.toml.", ".data.json.", ".spec.json.")
    return name in ("results", "recipe.toml", "data.json") or name.startswith(asides)


def absolute(word: str, names: Collection[str] = ()) -> str:
    """A data word that is a path and none of the `names`, so that the run can be resumed from any folder."""
    return str(Path(word).resolve()) if word not in names and Path(word).exists() else word


def storable(options: dict[str, Any]) -> dict[str, Any]:
    """The data's options as JSON, without asking for a download again."""
    kept = {key: value for key, value in options.items() if value is not None and key != "download"}
    return {key: str(Path(v).resolve()) if key == "root" else v for key, v in kept.items()}


def same(
    run: Run, recipe: Recipe, about: dict[str, Any], **others: tuple[dict[str, Any], dict[str, Any]]
) -> None:  # fmt: skip
    """Raise UsageError unless the folder's recipe, data and all `others`, (there, asked), are these."""
    stored = {
        **others,
        "recipe": (asdict(read_recipe(run)), asdict(recipe)),
        "data": tuple({"fingerprint": d.get("fingerprint")} for d in (run.read_json("data.json"), about)),
    }
    for what, (old, new) in stored.items():
        if what == "data" and old != new:
            raise UsageError(f"{run.folder} holds another run (the data differ); choose another ", arg("folder"))
        differ = [f"{key} {old.get(key)!r} there, {new[key]!r} asked" for key in new if old.get(key) != new[key]]
        if differ:
            raise UsageError(
                f"{run.folder} holds another run ({what}: {'; '.join(differ[:3])}); choose another ",
                arg("folder"),
            )


def pick_device(name: str = "auto") -> torch.device:
    """The device to train on: CUDA, MPS or the CPU where "auto". Raises UsageError for one that is not there."""
    if name == "auto":
        kind = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        return torch.device(kind)
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(f"device {name!r} is not to be had here; `reslab doctor` shows what is") from error
    return device


def read_recipe(run: Run) -> Recipe:
    """The recipe of a run folder. Raises UsageError where it has none."""
    if not run.has("recipe.toml"):
        raise UsageError(
            f"{run.path('recipe.toml')} is missing; restore a copy of it, or train anew in another ", arg("folder")
        )
    return read(run.path("recipe.toml"))


def configure(recipe: Recipe) -> None:
    """Set the process's threads and determinism as the recipe says."""
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    if recipe.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(recipe.deterministic)  # off again after a run that was
    torch.backends.cudnn.benchmark = not recipe.deterministic


def first_comment(run: Run) -> str:
    """The command that made the folder: it heads the recipe."""
    return run.path("recipe.toml").read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
