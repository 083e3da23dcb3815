"""Works that train models of other kinds than images, and that slim nets: small, but whole."""

from pathlib import Path
from typing import Any

import pytest
import torch

from reslab.images.data import load
from reslab.progress import silent
from reslab.study import own
from reslab.study.grid.works import WORKS
from reslab.study.work.layers import deleted, differs, entropy

DIGITS = {"word": "digits", "options": {}}
SIZES = {"width": 8, "inner": 8, "embedding": 2, "depth": 2, "drop_path": 0.0}


def run(work: str, folder: Path, settings: dict[str, Any], *needs: Path) -> dict[str, Any]:
    folder.mkdir(parents=True, exist_ok=True)
    module = WORKS[work].load()
    assert module.cost(settings) > 0
    found: dict[str, Any] = module.work(folder, settings, needs, device="cpu", progress=silent)
    return found


def test_a_table_with_planted_columns(tmp_path: Path) -> None:
    settings = {"preset": "published", "sizes": SIZES, "changes": {"iterations": 2, "validation": 0.0},
                "data": own.described("planted"), "seed": 1}  # fmt: skip
    found = run("table", tmp_path, settings)
    assert found["mask_gap"] == pytest.approx(found["mask_real"] - found["mask_shuffled"])
    assert found["masks"] == sorted(found["masks"], reverse=True)
    assert sum(found["is_real"]) == 30
    assert len(found["masks"]) == 60
    assert 0 < found["log_loss"] < 2


@pytest.mark.slow
def test_removed_blocks_equal_disabled_ones_and_new_statistics_do_not(tmp_path: Path) -> None:
    assert len(load("digits").test) == 360
    train = {"net": "resnet14", "recipe": "digits", "options": {"widths": [4, 8, 8]}, "changes": {"epochs": 1},
             "data": DIGITS, "seed": 1}  # fmt: skip
    run("train", tmp_path / "train", train)
    settings = {"net": "resnet14", "remove": 2, "data": DIGITS, "seed": 1}
    found = run("slim", tmp_path / "slim", settings, tmp_path / "train")
    assert found["disabled_apart"] < 1e-6
    assert len(found["removed"]) == 2
    assert "healed_error" not in found
    other = run("slim", tmp_path / "other", {**settings, "against": "norms"}, tmp_path / "train")
    assert other["disabled_apart"] > 1e-3
    assert other["removed"] == found["removed"]


@pytest.mark.slow
def test_slimmed_and_trained_short(tmp_path: Path) -> None:
    train = {"net": "resnet14", "recipe": "digits", "options": {"widths": [4, 8, 8]}, "changes": {"epochs": 2},
             "data": DIGITS, "seed": 1}  # fmt: skip
    run("train", tmp_path / "train", train)
    settings = {"net": "resnet14", "remove": 2, "epochs": 1.0, "data": DIGITS, "seed": 3}
    found = run("slim", tmp_path / "slim", settings, tmp_path / "train")
    for arm in ("intact", "cut", "norms", "healed", "intact_longer", "scratch"):
        assert 0 <= found[f"{arm}_error"] <= 100
    stored = (tmp_path / "slim" / "scratch" / "recipe.toml").read_text()
    assert "seed = 3" in stored
    assert "epochs = 3" in stored


@pytest.mark.slow
def test_a_reader_with_and_without_shortcuts(tmp_path: Path) -> None:
    settings = {"recipe": "qa-frozen", "length": 24, "vocabulary": 300, "changes": {"iterations": 2}, "train_last": 0,
                "encoder": {"hidden": 16, "layers": 1, "heads": 2}, "data": own.described("boxes"),
                "seed": 1}  # fmt: skip
    found = [run("answers", tmp_path / shortcut, {**settings, "shortcut": shortcut})
             for shortcut in ("identity", "none")]  # fmt: skip
    assert found[0]["parameters"] == found[1]["parameters"]
    assert found[0]["test_n"] == 500
    assert all(0 <= one["exact"] <= 100 for one in found)


@pytest.mark.slow
def test_layers_of_a_language_model(tmp_path: Path) -> None:
    shape = {"layers": 4, "hidden": 32, "heads": 2, "vocabulary": 300, "length": 32}
    settings = {**shape, "changes": {"iterations": 60, "batch": 8, "lr": 5e-3}, "data": own.described("python"),
                "seed": 1}  # fmt: skip
    trained = run("texts", tmp_path / "texts", settings)
    look = {"share": 0.25, "data": own.described("python"), "seed": 1}
    found = run("layers", tmp_path / "layers", look, tmp_path / "texts")
    assert found["loss"] == pytest.approx(trained["validation_loss"], abs=0.2)  # half the windows
    assert len(found["rises"]) == len(found["influences"]) == 4
    assert found["removed"] == [2]  # the later half but the last layer is layer 2 alone
    assert found["cut_rise"] == pytest.approx(found["rises"][2], abs=1e-4)
    assert found["late"] == found["rises"][2]
    assert found["cut_difference"] < 1e-4
    assert found["cache_differs"] == 0
    naive = run("layers", tmp_path / "naive", {**look, "removal": "deleted"}, tmp_path / "texts")
    assert naive["cache_differs"] == 1
    most = run("layers", tmp_path / "most", {**look, "order": "most"}, tmp_path / "texts")
    assert most["removed"] == [max(range(4), key=lambda i: found["influences"][i])]


def test_entropy_by_hand() -> None:
    """Tokens 0, 0, 1 with one added to each count: shares 3/5 and 2/5; the first of each window is not guessed."""
    train, held = torch.tensor([[0, 0, 1]]), torch.tensor([[1, 0, 1]])
    expected = -(torch.tensor(0.6).log() + torch.tensor(0.4).log()) / 2
    assert entropy(train, held) == pytest.approx(float(expected))


def test_a_cache_that_was_not_checked_neither_differs_nor_agrees() -> None:
    assert differs("generated 8 tokens for each of 8 prompts: the same with the cache as without") == 0
    assert differs("!the model cannot generate with its cache") == 1
    assert differs("generation was not checked: generate fails without a cache, too: a fault") is None


def test_deleted_leaves_the_model_and_counts_layers() -> None:
    class Config:
        num_hidden_layers = 3

    class Block:
        container, module = "layers", "layers.1"

    net = torch.nn.Module()
    net.layers = torch.nn.ModuleList(torch.nn.Linear(1, 1) for _ in range(3))
    net.config = Config()
    short = deleted(net, [Block()])
    assert (len(short.layers), short.config.num_hidden_layers, len(net.layers)) == (2, 2, 3)
    torch.testing.assert_close(short.layers[1].weight, net.layers[2].weight)
