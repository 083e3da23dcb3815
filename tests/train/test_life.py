"""A run folder that cannot be trained leaves nothing; one that was trained before stays."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from reslab import run as run_module
from reslab.cli import main
from reslab.errors import ReslabError, UsageError
from reslab.images import train as images
from reslab.images.card import code
from reslab.images.data import ImageData
from reslab.images.train import prepare, train
from reslab.nets import spec
from reslab.run import Run
from reslab.train import folder as folders
from reslab.train import life
from reslab.train.folder import DONE, check_resources, first_comment, read_recipe
from reslab.train.prepared import Prepared
from reslab.train.recipe import Recipe, read
from reslab.train.session import alone, is_fresh
from reslab.train.signals import Interrupted

QUICK = ["train", "--net", "resnet8", "--iterations", "3", "--batch", "8", "--compile", "off", "--precision", "fp32"]
FAILURES = [KeyboardInterrupt, SystemExit, AttributeError("a fault of ours"), OSError(5, "Input/output error")]


def failing(error: Any) -> Callable[..., Any]:
    def fail(*args: Any, **more: Any) -> Any:
        raise error

    return fail


def test_a_command_with_line_breaks_stays_a_comment(few: ImageData, tmp_path: Path) -> None:
    """The line after a break would be TOML: here it would set the learning rate."""
    run = prepare(tmp_path / "run", net=spec("resnet8"), data=few, word="digits",
                  recipe=read("digits", batch=16, lr=0.25),
                  command="reslab train --out 'a\nlr = 9\x1b[2J\u2028b'")  # fmt: skip
    assert read_recipe(run).lr == 0.25
    assert first_comment(run) == r"reslab train --out 'a\nlr = 9\x1b[2J\u2028b'"


def test_a_card_stays_markdown_whatever_the_command_holds() -> None:
    assert code("reslab train") == "`reslab train`"
    assert code("a `b` ``c\nd") == "``` a `b` ``c\\nd ```"


def test_a_run_with_a_line_break_in_its_name_can_be_trained_and_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped_after: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    out = 'a\nseed = 7\n"b'
    with stopped_after(1):
        assert main([*QUICK, "--threads", "1", "--out", out]) == 143
    assert main([*QUICK, "--threads", "1", "--out", out]) == 0
    card = Run(out).path("README.md").read_text(encoding="utf-8")
    assert 'net = reslab.load("a\\nseed = 7\\n\\"b")' in card
    assert "\nseed = 7" not in card


@pytest.mark.skipif(torch.cuda.is_available(), reason="here CUDA is available")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--device", "cuda"], "device 'cuda' is not available on this machine; run `reslab doctor` to see which are"),
        (["--threads", "100000"], "threads must be at most 256 on this machine (3 usable cores), got 100,000"),
        (["--workers", "1000"], "workers must be at most 256 on this machine (3 usable cores), got 1,000"),
    ],
)
@pytest.mark.parametrize("verb", ["train", "study"])
def test_what_the_machine_does_not_have_is_refused_before_a_folder_is_made(
    verb: str, words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(folders, "usable_cores", lambda: 3)
    command = [*QUICK, "--lr", "0.1"] if verb == "train" else ["study", "degradation", "--iterations", "3"]
    assert main([*command, *words]) == 2
    assert capsys.readouterr().err == f"reslab: {said}\n"
    assert list(tmp_path.iterdir()) == []


def test_the_most_threads_are_four_a_core_or_256(monkeypatch: pytest.MonkeyPatch) -> None:
    for cores, most in ((1, 256), (64, 256), (65, 260)):
        monkeypatch.setattr(folders, "usable_cores", lambda cores=cores: cores)
        check_resources(Recipe(threads=most))
        with pytest.raises(UsageError, match=f"threads must be at most {most} on"):
            check_resources(Recipe(threads=most + 1))


@pytest.mark.parametrize("where", ["configure", "build", "Prepared.choose", "Training.save"])
@pytest.mark.parametrize("error", FAILURES, ids=repr)
def test_any_failure_before_the_first_checkpoint_leaves_no_folder(
    error: Any, where: str, begin: Any, few: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begin(tmp_path / "run", few, memory_format="auto")
    place = {"configure": "reslab.train.life.configure", "build": "reslab.images.train.build",
             "Prepared.choose": "reslab.train.prepared.Prepared.choose"}  # fmt: skip
    monkeypatch.setattr(place.get(where, f"reslab.train.training.{where}"), failing(error))
    with pytest.raises(error if isinstance(error, type) else type(error)):
        train(run.folder, data=few, device="cpu")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["recipe.toml", "data.json", "spec.json"])
def test_a_folder_that_cannot_be_filled_is_not_left(
    name: str, begin: Any, few: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = run_module.write_aside

    def write(path: Path, work: Any) -> Path:
        if path.name == name:
            raise ReslabError("the disk is full")
        return plain(path, work)

    monkeypatch.setattr(run_module, "write_aside", write)
    with pytest.raises(ReslabError, match="the disk is full"):
        begin(tmp_path / "run", few)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("cut", ["recipe.toml", "data.json", "own.json", "own", "spec.json"])
def test_killed_in_any_file_the_same_command_goes_on(cut: str, tmp_path: Path) -> None:
    """It finds files under their temporary names, and training removes them."""
    run, made = Run(tmp_path / "run"), ("own.json", "own")
    run.make()
    aside = run.path(f".{cut}.ab12")
    aside.write_text("{")

    def prepare_again(made: tuple[str, ...]) -> None:
        life.prepare_run(run, spec={}, recipe=Recipe(), about={}, stored=dict, made=made,
                         fill=lambda: run.write_json("own.json", {}))  # fmt: skip

    if cut.startswith("own"):
        with pytest.raises(UsageError, match="is not empty and not a run folder"):
            prepare_again(())
    prepare_again(made)
    assert run.has("spec.json")
    with alone(run, made):
        assert not aside.exists()
    assert all(map(run.has, ("recipe.toml", "data.json", "own.json", "spec.json")))


def test_a_training_sweeps_what_its_family_made(begin: Any, few: ImageData, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("reslab.images.train.OnImages.made", ("own.json",))
    run = begin(tmp_path / "run", few, iterations=1)
    run.path(".own.json.ab12").write_text("{")
    train(run.folder, data=few, device="cpu")
    assert not list(run.folder.glob(".own.json*"))


def test_the_time_of_images_includes_the_last_evaluation(begin: Any, few: ImageData, tmp_path: Path, leap: Any) -> None:
    """The weights are written after it; the model card says the time, and writing it is not counted."""
    run = begin(tmp_path / "run", few, iterations=2)
    leap("reslab.images.train.write_weights", 1000)
    leap("reslab.images.train.write_card", 5000)
    result = train(run.folder, data=few, device="cpu")
    assert 1000 < result["seconds"] < 1100
    assert result["examples_per_second"] == pytest.approx(32 / result["seconds"], abs=0.01)
    assert run.read_json(DONE) == result
    assert f"{result['seconds']:,.0f} s |" in run.path("README.md").read_text()


def test_resources_are_checked_once(begin: Any, few: ImageData, tmp_path: Path, monkeypatch: Any) -> None:
    asked: list[Recipe] = []
    monkeypatch.setattr(life, "check_resources", asked.append)
    monkeypatch.setattr(images, "check_resources", asked.append, raising=False)
    begin(tmp_path / "run", few)
    assert len(asked) == 1


def test_an_older_training_stays(begin: Any, few: ImageData, tmp_path: Path, stopped_after: Any,
                                 monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    """Its checkpoints were deleted to train from the start, and that fails: the log is still there."""
    run = begin(tmp_path / "run", few)
    assert is_fresh(run)
    with stopped_after(7), pytest.raises(Interrupted):
        train(run.folder, data=few, device="cpu")
    for name in ("last.pt", "previous.pt"):
        run.path(name).unlink()
    assert not is_fresh(run)
    monkeypatch.setattr(Prepared, "choose", failing(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        train(run.folder, data=few, device="cpu")
    assert run.has("spec.json")
    with pytest.raises(UsageError, match="device 'abacus' is not available"):
        train(begin(tmp_path / "new", few).folder, data=few, device="abacus")
    assert Run(tmp_path / "new").has("spec.json")  # the same call with another device works
