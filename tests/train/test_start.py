"""A new run that starts from the weights of another, finished or not, or from a checkpoint file."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from quick import QUICK
from safetensors.torch import load_file

from reslab import nets
from reslab.errors import ReslabError, UsageError
from reslab.images.data import ImageData
from reslab.images.train import prepare, train
from reslab.run import Run
from reslab.tables import train as tables_train
from reslab.train.recipe import Recipe, change
from reslab.train.signals import Interrupted

STILL: dict[str, Any] = {"iterations": 1, "lr": 1e-30, "weight_decay": 0.0}  # what it starts from is what it ends with
ROOMS = Path(__file__).parents[2] / "docs" / "examples" / "rooms.csv"


def started(folder: Path, few: ImageData, start: Path, recipe: Recipe, net: str = "resnet8") -> Run:
    return prepare(folder, net=nets.spec(net), data=few, word="digits", recipe=recipe, start=start)


def weights(path: Path) -> dict[str, torch.Tensor]:
    """Of layers, without BatchNorm's averages, which a training changes whatever its rate."""
    state = load_file(path) if path.suffix == ".safetensors" else torch.load(path, weights_only=True)["net"]
    return {name: tensor for name, tensor in state.items() if "running" not in name and "tracked" not in name}


@pytest.mark.parametrize("finished", [True, False])
def test_the_net_begins_as_the_other_ended(
    finished: bool, begin: Any, few: ImageData, tmp_path: Path, stopped_after: Any
) -> None:
    other = begin(tmp_path / "other", few)
    if finished:
        train(other.folder, data=few, device="cpu")
    else:
        with stopped_after(7), pytest.raises(Interrupted):
            train(other.folder, data=few, device="cpu")
    run = started(tmp_path / "run", few, other.folder, change(QUICK, **STILL))
    train(run.folder, data=few, device="cpu")
    ended = weights(other.path("weights.safetensors" if finished else "last.pt"))
    found = weights(run.path("weights.safetensors"))
    assert found.keys() == ended.keys()
    assert all(torch.equal(found[name], ended[name]) for name in found)
    fresh = begin(tmp_path / "fresh", few, **STILL)
    train(fresh.folder, data=few, device="cpu")
    assert not torch.equal(weights(fresh.path("weights.safetensors"))["head.weight"], found["head.weight"])


def test_stopped_and_resumed_is_bit_identical(
    begin: Any, few: ImageData, tmp_path: Path, same_end: Any, stopped_after: Any
) -> None:
    other = begin(tmp_path / "other", few, iterations=2)
    train(other.folder, data=few, device="cpu")
    whole, broken = (started(tmp_path / name, few, other.folder, QUICK) for name in ("whole", "broken"))
    train(whole.folder, data=few, device="cpu")
    with stopped_after(5), pytest.raises(Interrupted):
        train(broken.folder, data=few, device="cpu")
    train(broken.folder, data=few, device="cpu")
    same_end(whole, broken)


def test_other_weights_are_another_run(begin: Any, few: ImageData, tmp_path: Path) -> None:
    ones = [begin(tmp_path / f"other{seed}", few, iterations=1, seed=seed) for seed in (0, 1)]
    for one in ones:
        train(one.folder, data=few, device="cpu")
    run = started(tmp_path / "run", few, ones[0].folder, QUICK)
    assert started(tmp_path / "run", few, ones[0].folder, QUICK).folder == run.folder
    with pytest.raises(UsageError, match=r"with different settings \(start: [0-9a-f]{16} there, [0-9a-f]{16} "):
        started(tmp_path / "run", few, ones[1].folder, QUICK)
    with pytest.raises(UsageError, match=r"\(start: [0-9a-f]{16} there, none requested"):
        begin(tmp_path / "run", few)


def test_weights_that_do_not_fit(begin: Any, few: ImageData, tmp_path: Path) -> None:
    other = begin(tmp_path / "other", few, iterations=1)
    with pytest.raises(UsageError, match=r"other has no weights to start from: neither weights"):
        started(tmp_path / "run", few, other.folder, QUICK)
    with pytest.raises(UsageError, match="no such file"):
        started(tmp_path / "run", few, tmp_path / "none.pt", QUICK)
    train(other.folder, data=few, device="cpu")
    with pytest.raises(UsageError, match=r"other holds resnet8, another net than resnet14 \(stages: \(1, 1, 1\) there"):
        started(tmp_path / "run", few, other.folder, QUICK, net="resnet14")
    assert not (tmp_path / "run").exists()  # the corrected command can use it


def test_a_changed_recipe_has_its_way_on(begin: Any, few: ImageData, tmp_path: Path, stopped_after: Any) -> None:
    """The sentence of a refused checkpoint names the argument that does it."""
    run = begin(tmp_path / "run", few)
    with stopped_after(7), pytest.raises(Interrupted):
        train(run.folder, data=few, device="cpu")
    text = run.path("recipe.toml").read_text().rpartition("# digest")[0].replace("lr = 0.05", "lr = 0.4")
    run.path("recipe.toml").write_text(text)
    with pytest.raises(ReslabError) as caught:
        train(run.folder, data=few, device="cpu")
    assert str(caught.value).endswith(f'in a new run that starts from these weights: start="{run.folder}"')
    new = started(tmp_path / "new", few, run.folder, change(QUICK, lr=0.4))
    assert train(new.folder, data=few, device="cpu")["iterations"] == 12


def test_a_table_that_is_read_otherwise(tmp_path: Path) -> None:
    """Other training rows have other ranks and values: the same weights would be given other numbers."""
    recipe = change(QUICK, memory_format="auto", workers=2, iterations=1, lr=1e-30)
    reading = tables_train.Reading(target=("let",), sizes={"width": 8, "depth": 2})
    data = tables_train.load(str(ROOMS), reading, recipe)
    about: dict[str, Any] = {"word": str(ROOMS), "data": data, "preset": "gated", "recipe": recipe}
    tables_train.prepare(tmp_path / "other", reading=reading, **about)
    tables_train.train(tmp_path / "other", data=data, device="cpu")
    run = tables_train.prepare(tmp_path / "run", reading=reading, start=tmp_path / "other", **about)
    tables_train.train(run.folder, data=data, device="cpu")
    found, ended = (weights(tmp_path / name / "weights.safetensors") for name in ("run", "other"))
    assert all(torch.allclose(found[name], ended[name]) for name in ended)
    split = replace(reading, split=100)
    about |= {"data": tables_train.load(str(ROOMS), split, recipe)}
    with pytest.raises(UsageError, match="do not fit: its reading of the columns is another one than this run's"):
        tables_train.prepare(tmp_path / "third", reading=split, start=tmp_path / "other", **about)


def test_an_unfinished_run_gives_what_it_would_keep(
    begin: Any, few: ImageData, tmp_path: Path, stopped_after: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The average of the weights, not those of the last step."""
    other = begin(tmp_path / "other", few, ema=0.9)
    with stopped_after(7), pytest.raises(Interrupted):
        train(other.folder, data=few, device="cpu")
    saved = torch.load(other.path("last.pt"), weights_only=True)
    caplog.set_level("INFO", "reslab")
    run = started(tmp_path / "run", few, other.folder, QUICK)
    found = load_file(run.path("start.safetensors"))
    assert torch.equal(found["head.weight"], saved["ema"]["module.head.weight"])
    assert not torch.equal(found["head.weight"], saved["net"]["head.weight"])
    assert any(
        "is not finished: its weights are taken as they are at iteration 7, averaged" in m for m in caplog.messages
    )


def test_weights_that_are_no_numbers_are_refused(few: ImageData, tmp_path: Path) -> None:
    state = nets.net("resnet8", channels=1, size=8).state_dict()
    state["head.bias"][3] = float("nan")
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(ReslabError, match=r"w.pth: its weights contain NaN \(head.bias\)"):
        started(tmp_path / "run", few, tmp_path / "w.pth", QUICK)
    assert not (tmp_path / "run").exists()
