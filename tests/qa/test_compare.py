"""Heads compared on one encoder: every run in its folder, none twice, means over seeds."""

from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pytest
import torch
from safetensors.torch import load as parse

from reslab.errors import UsageError
from reslab.qa.compare import Trial, compare
from reslab.qa.folder import Reading, load
from reslab.qa.net.net import QASpec
from reslab.run import Run
from reslab.train.recipe import Recipe

pytest.importorskip("transformers")

RECIPE = Recipe(iterations=3, batch=4, optimizer="adamw", lr=1e-3, precision="fp32", threads=1, checkpoint_seconds=1e9)


@pytest.fixture
def trial(facts: Path, bert: tuple[Path, Any]) -> Trial:
    reading, data = load(str(facts), Reading(rule="", stride=8, share=0.2))
    spec = QASpec(name="bert", encoder=str(bert[0]), length=48, train_last=0)
    return Trial(data=data, word=str(facts), reading=reading, spec=spec, tokenizer=bert[1], recipe=RECIPE, seeds=2,
                 rates={"linear": 0.01})  # fmt: skip


def test_every_head_from_every_seed_once(trial: Trial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, heads = tmp_path / "compared", ["linear", "bilstm"]
    result = compare(folder, trial, heads, device="cpu")
    runs = {head: [Run(folder / f"{head}-s{seed}") for seed in (0, 1)] for head in heads}
    for row in result["heads"]:
        found = [run.read_json("results/train.json") for run in runs[row["head"]]]
        f1 = [one["f1"] for one in found]
        assert (row["f1"], row["f1_std"], row["f1_each"]) == (mean(f1), stdev(f1), f1)
        assert [one["seed"] for one in found] == [0, 1]
        assert all(one["frozen_features"] for one in found)
        assert row["seeds"] == 2
        assert row["step_milliseconds"] > 0
    linear, bilstm = result["heads"]
    assert linear["head_parameters"] == 2 * 16 + 2
    # each LSTM: 4 gates of 8, which read 16 numbers and 8, two biases each; 16 x 16 + 16; a norm of 2 x 16; 2 x 16 + 2
    assert bilstm["head_parameters"] == 2 * 4 * 8 * (16 + 8 + 2) + 272 + 32 + 34
    assert (linear["lr"], bilstm["lr"]) == (0.01, 0.001)
    assert Run(folder).read_json("results/compare.json") == result
    assert not list(folder.glob("*/last.pt"))

    monkeypatch.setattr("reslab.train.life.fit", None)  # nothing is trained again, nor the encoder run
    monkeypatch.setattr("reslab.qa.compare.frozen_features", None)
    assert compare(folder, trial, heads, device="cpu") == result


def test_stopped_it_goes_on_with_the_same_features(
    trial: Trial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "compared"
    compare(folder, trial, ["linear"], device="cpu")
    (folder / "linear-s1" / "results" / "train.json").unlink()
    monkeypatch.setattr("reslab.qa.compare.frozen_features", None)
    first = Run(folder).read_json("results/compare.json")["heads"]
    again = compare(folder, trial, ["linear"], device="cpu")["heads"]
    assert again == first


def test_a_damaged_file_of_features_is_made_anew(trial: Trial, tmp_path: Path) -> None:
    folder = tmp_path / "compared"
    before = compare(folder, trial, ["linear"], device="cpu")["heads"]
    (folder / "linear-s0" / "results" / "train.json").unlink()
    path = folder / "features.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    assert compare(folder, trial, ["linear"], device="cpu")["heads"] == before
    made, first = parse(path.read_bytes()), parse(whole)
    assert all(torch.equal(made[part], first[part]) for part in ("train", "dev", "test"))


@pytest.mark.parametrize(("heads", "seeds"), [([], 1), (["linear"], 0)])
def test_nothing_to_compare(trial: Trial, heads: list[str], seeds: int, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"at least one head and one seed, got {len(heads)} and {seeds}"):
        compare(tmp_path / "compared", replace(trial, seeds=seeds), heads, device="cpu")
