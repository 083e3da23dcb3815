"""A saved and loaded model predicts the same bits; a damaged folder is reported in one sentence."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from reslab import look
from reslab.errors import ReslabError, UsageError
from reslab.tables import ResidualClassifier, ResidualRegressor, TableModel, load
from reslab.tables.data.frame import Report, read_frame

FAST: dict[str, Any] = {
    "sizes": {"width": 8, "inner": 8, "depth": 2, "embedding": 4, "bins": 4}, "recipe": {"epochs": 1},
    "device": "cpu", "random_state": 0,
}  # fmt: skip


@pytest.fixture(scope="module")
def saved(flats: Any, large: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = ResidualClassifier(**FAST, members=2).fit(flats, large)
    return found.save(tmp_path_factory.mktemp("models") / "two")


def targets(flats: Any, large: Any) -> dict[str, Any]:
    size = np.array(flats["size"])
    return {
        "classes": large, "whole": np.array(flats["rooms"]), "booleans": large == "yes",
        "labels": np.stack([large == "yes", size > 60], axis=1).astype(int),
        "numbers": size, "several": np.stack([size, -size], axis=1),
    }  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*the same information as the target")  # its targets are columns
@pytest.mark.parametrize("what", ["classes", "whole", "booleans", "labels", "numbers", "several"])
@pytest.mark.parametrize("members", [1, 2])
def test_a_round_trip(what: str, members: int, flats: Any, large: Any, tmp_path: Path) -> None:
    y = targets(flats, large)[what]
    kind = ResidualRegressor if what in ("numbers", "several") else ResidualClassifier
    found = kind(**FAST, members=members).fit(flats, y)
    torch.manual_seed(7)
    before = torch.get_rng_state()
    model = load(found.save(tmp_path / "kept"), device="cpu")
    assert torch.equal(torch.get_rng_state(), before)
    assert isinstance(model, TableModel)
    predicted = model.predict(flats)
    assert np.array_equal(predicted, found.predict(flats))
    assert (predicted.dtype, predicted.shape) == (found.predict(flats).dtype, y.shape)
    assert np.array_equal(model.scores(flats), found.model_.scores(flats))
    assert model.columns == tuple(flats)
    assert not [path.name for path in (tmp_path / "kept").rglob("*") if path.suffix in (".pt", ".pkl")]


def test_columns_in_any_order_and_what_is_unknown_is_told(saved: Path, flats: Any) -> None:
    model, report = load(saved, device="cpu"), Report()
    turned = dict(reversed(flats.items()))
    assert np.array_equal(model.predict_proba(turned), model.predict_proba(flats))
    strange = {**flats, "city": ["Lima"] * 60, "more": [1] * 60}
    model.predict(strange, report=report)
    assert sorted(report.lines()) == [
        "column 'city': 60 of 60 rows have values never or rarely seen in training (e.g. 'Lima'); treated as "
        "unknown", "column 'more': not in the training table; ignored",
    ]  # fmt: skip
    with pytest.raises(UsageError, match="missing column: 'size'"):
        model.predict({name: column for name, column in flats.items() if name != "size"})


def test_what_is_inside_scores_the_same_rows_cut_anyhow(saved: Path, flats: Any) -> None:
    """After the columns, and with what words say by themselves: here all of it is made to say something."""
    model = load(saved, device="cpu")
    assert model.members[1].net.direct is not None
    torch.nn.init.normal_(model.members[1].net.direct.bags.table)
    module, inputs = model.inside(flats, member=1)
    whole = module(**inputs).softmax(dim=1).double().detach()
    alone = model.of_table(model.members[1], model.tables(read_frame(flats))[1])
    np.testing.assert_allclose(whole.numpy(), alone, rtol=1e-4, atol=1e-5)
    some = torch.tensor([3, 3, 0])
    cut = module(**{key: value[some] for key, value in inputs.items()}).softmax(dim=1).double()
    torch.testing.assert_close(cut, whole[some], rtol=1e-4, atol=1e-5)
    assert len(look.find(module, inputs)) == 4  # the start, a mask and two of a layer


def test_nothing_is_written_over(saved: Path, tmp_path: Path) -> None:
    model = load(saved, device="cpu")
    (tmp_path / "kept").mkdir()
    model.save(tmp_path / "kept")
    for taken in (saved, tmp_path / "kept", saved / "members.json"):
        with pytest.raises(UsageError, match="is not an empty folder; choose another one"):
            model.save(taken)


FILES = ["members.json", *(f"s1/{name}" for name in (
    "spec.json", "encoder.json", "encoder.safetensors", "target.json", "weights.safetensors"))]  # fmt: skip


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("content", [None, b"", b"{}", b"[1]", b"half", b"\x80\x02"], ids=repr)
def test_damaged_files_are_said_in_a_sentence(name: str, content: bytes | None, saved: Path, tmp_path: Path) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(saved, folder)
    whole = (folder / name).read_bytes()
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(whole[: len(whole) // 2] if content == b"half" else content)
    with pytest.raises(ReslabError) as caught:
        load(folder, device="cpu")
    assert "\n" not in str(caught.value).strip()
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize(("name", "change"), [
    ("members.json", {"members": 3}), ("members.json", {"members": []}), ("members.json", {"members": ["s7"]}),
    ("s1/spec.json", {"width": "wide"}), ("s1/spec.json", {"width": 9}), ("s1/spec.json", {"family": "qa"}),
    ("s1/spec.json", {"width": 10**6, "inner": 10**6}), ("s1/spec.json", {"depth": 10**9}),
    ("s1/encoder.json", {"columns": 3}), ("s1/encoder.json", {"columns": [{"owner": "size"}]}),
    ("s1/encoder.json", {"kinds": 5}), ("s1/encoder.json", {"format": 99}),
    ("s1/encoder.json", {"columns": []}), ("s1/encoder.json", {"kinds": {}}),
    ("s1/target.json", {"classes": {"dtype": "nothing", "values": []}}), ("s1/target.json", {"kind": "numbers"}),
])  # fmt: skip
def test_what_does_not_fit_is_said_in_a_sentence(name: str, change: Any, saved: Path, tmp_path: Path) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(saved, folder)
    data = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps({**data, **change}))
    with pytest.raises(ReslabError) as caught:
        load(folder, device="cpu")
    assert "\n" not in str(caught.value).strip()


@pytest.mark.parametrize(("field", "value"), [
    ("owner", "x"), ("owner", []), ("mean", None), ("scale", "x"), ("missing", 3), ("values", ["a", 3]),
    ("values", ["a"] * 99), ("ngrams", 1.5), ("buckets", None),
])  # fmt: skip
def test_columns_that_are_damaged_are_said(field: str, value: Any, saved: Path, tmp_path: Path) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(saved, folder)
    data = json.loads((folder / "s1/encoder.json").read_text())
    next(one for one in data["columns"] if field in one)[field] = value
    (folder / "s1/encoder.json").write_text(json.dumps(data))
    with pytest.raises(ReslabError, match="damaged"):
        load(folder, device="cpu")


def test_of_a_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a run folder"):
        load(tmp_path)


@pytest.mark.filterwarnings("ignore:.*the same information as the target")  # its targets are columns
def test_numbers_have_no_probabilities(flats: Any) -> None:
    found = ResidualRegressor(**FAST).fit(flats, flats["size"])
    with pytest.raises(UsageError, match="use predict"):
        found.model_.predict_proba(flats)
