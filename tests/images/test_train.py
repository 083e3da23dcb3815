"""Before the first step: the warnings and errors, and that no half-made run folder remains."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from reslab.errors import BrokenImage, OtherSettings, UsageError
from reslab.images.data import ImageData, load
from reslab.images.task import ImageTask
from reslab.images.train import prepare, train
from reslab.nets import spec
from reslab.run import Run
from reslab.train.folder import configure
from reslab.train.recipe import Recipe

Begin = Callable[..., Run]


def test_drops_that_the_run_does_not_reach_are_warned_of(begin: Begin, few: ImageData, tmp_path: Path) -> None:
    said = r"ends at iteration 12, before its learning rate drops at 12, 32,000; drops=\(0\.5, 0\.75\) sets"
    with pytest.warns(UserWarning, match=said):
        begin(tmp_path / "run", few, drops=[6, 12, 32000])
    begin(tmp_path / "shares", few, drops=[0.5, 0.75])


def test_mirrored_digits_are_warned_of(begin: Begin, digits: ImageData, few: ImageData, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="a mirrored digit is not a digit: set flip=False"):
        begin(tmp_path / "run", digits, augment="crop", flip=True)
    begin(tmp_path / "still", digits, augment="crop")
    begin(tmp_path / "letters", few, augment="crop", flip=True)


def test_one_class_is_nothing_to_learn(few: ImageData, tmp_path: Path) -> None:
    one = replace(few, name="pets", classes=("cat",))
    with pytest.raises(UsageError, match=r"pets has one class only, 'cat': there is nothing to tell apart; "):
        prepare(tmp_path / "run", net=spec("resnet8"), data=one, word="pets", recipe=Recipe(iterations=1))
    assert not (tmp_path / "run").exists()


def test_images_read_in_another_way_are_other_settings(fill: Callable[..., Path], tmp_path: Path) -> None:
    """So that such a run is numbered on. A setting that changes no image, as max_pixels here, does not count."""
    for k, name in enumerate(("d/a/x", "d/b/y")):
        fill(name, 6 + k)
    word = str(tmp_path / "d")

    def begun(**options: Any) -> Run:
        data = load(word, **options)
        recipe = Recipe(iterations=1, batch=4)
        return prepare(tmp_path / "run", net=spec("resnet8"), data=data, word=word, recipe=recipe, options=options)

    begun(level=1)
    begun(level=1, max_pixels=10**6)
    with pytest.raises(OtherSettings, match=r"with different settings \(level: 1 there, 2 requested\); choose"):
        begun(level=2)
    fill("d/a/x", 9)
    with pytest.raises(UsageError, match="already contains a run on different data"):
        begun(level=1)


def test_a_run_that_cannot_begin_leaves_no_folder(
    begin: Begin, few: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begin(tmp_path / "run", few, augment="scale")
    with pytest.raises(UsageError, match="augment 'scale' needs encoded images"):
        train(run.folder, data=few, device="cpu")
    assert not run.folder.exists()
    run = begin(tmp_path / "run", few, augment="crop", iterations=1)  # the command, mended, is not of "another run"
    run.write_text("notes.txt", "mine")
    monkeypatch.setattr(ImageTask, "batches", no_memory)
    with pytest.raises(RuntimeError, match="out of memory"):
        train(run.folder, data=few, device="cpu")
    assert [path.name for path in run.folder.iterdir()] == ["notes.txt"]


def no_memory(*args: Any) -> Any:
    raise RuntimeError("out of memory")


def test_a_run_that_has_begun_keeps_its_folder(
    begin: Begin, few: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped_after: Any
) -> None:
    run = begin(tmp_path / "run", few)
    with stopped_after(2), pytest.raises(Exception, match="stopped at iteration 2"):
        train(run.folder, data=few, device="cpu")
    monkeypatch.setattr(ImageTask, "batches", no_memory)
    with pytest.raises(RuntimeError, match="out of memory"):
        train(run.folder, data=few, device="cpu")
    assert run.has("spec.json")
    assert run.has("last.pt")


def test_a_broken_test_image_is_found_before_the_first_step(begin: Begin, pngs: Path, tmp_path: Path) -> None:
    """Also where the images stay encoded; repaired, the same command trains."""
    folder = tmp_path / "data"
    shutil.copytree(pngs, folder)
    test = load(str(folder), memory=0).test
    whole = {folder / test.name(i): (folder / test.name(i)).read_bytes() for i in (2, 5)}  # type: ignore[union-attr]
    for file in whole:
        file.write_bytes(b"oops")

    def go() -> dict[str, Any]:
        data = load(str(folder), memory=0)
        run = begin(tmp_path / "run", data, word=str(folder), mean="channel", iterations=2)
        return train(run.folder, data=data, device="cpu")

    with pytest.raises(BrokenImage, match=r"broken image class0/\d+\.png: .*, and 1 more, which `reslab data` lists"):
        go()
    assert not (tmp_path / "run").exists()
    for file, content in whole.items():
        file.write_bytes(content)
    assert go()["iterations"] == 2


@pytest.mark.parametrize(("precise_bn", "evaluations"), [(False, ["test", "train"]), (True, ["test", "test", "train"])])
def test_the_last_evaluation_is_not_repeated(
    begin: Begin, few: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precise_bn: bool,
    evaluations: list[str],
) -> None:  # fmt: skip
    """Unless precise BN changes the net after it."""
    parts, plain = [], ImageTask.evaluate

    def evaluate(task: ImageTask, net: Any, part: str, choice: Any) -> Any:
        parts.append(part)
        return plain(task, net, part, choice)

    monkeypatch.setattr(ImageTask, "evaluate", evaluate)
    run = begin(tmp_path / "run", few, iterations=2, precise_bn=precise_bn)
    result = train(run.folder, data=few, device="cpu")
    assert [part for part in parts if part != "validation"] == evaluations
    logged = [event for event in run.metrics() if event["event"] == "eval"][-1]
    assert (logged["error"] == result["test_error"] and logged["loss"] == result["test_loss"]) or precise_bn


def test_determinism_is_of_one_run() -> None:
    configure(Recipe(iterations=1, deterministic=True))
    assert torch.are_deterministic_algorithms_enabled()
    configure(Recipe(iterations=1))
    assert not torch.are_deterministic_algorithms_enabled()
