"""An exported table's nets predict what their run predicts, with the same notes and errors."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rows import flats
from shipping import SIZES, ship

from reslab.errors import ReslabError, UsageError
from reslab.ship.export.tables import TableExport
from reslab.ship.folder import read_config
from reslab.ship.predict.tables import TablePredictor, load
from reslab.tables import ResidualClassifier, ResidualRegressor, TableModel
from reslab.tables import load as load_run
from reslab.tables.data.frame import Report, read_frame


@pytest.fixture(scope="module")
def run(tiny_table: Path) -> TableModel:
    return load_run(tiny_table, device="cpu")


@pytest.fixture(scope="module")
def folder(shipped_table: Path) -> Path:
    return shipped_table


@pytest.fixture(scope="module")
def shipped(folder: Path) -> TablePredictor:
    return load(folder, read_config(folder), threads=1)


def test_the_predictions_of_the_run(run: TableModel, shipped: TablePredictor) -> None:
    assert shipped.columns == run.columns == tuple(flats())
    assert shipped.calibration == run.calibration is not None
    np.testing.assert_allclose(shipped.predict_proba(flats()), run.predict_proba(flats()), atol=1e-5)
    assert np.array_equal(shipped.predict(flats()), run.predict(flats()))
    assert set(shipped.predict(flats())) == {"no", "yes"}


def test_any_number_of_rows(run: TableModel, shipped: TablePredictor) -> None:
    for many in (1, 2, 7, 33):
        rows = {name: column[:many] for name, column in flats().items()}
        np.testing.assert_allclose(shipped.scores(rows), run.scores(rows), atol=1e-5)


def test_rows_without_any_word_or_number(run: TableModel, shipped: TablePredictor) -> None:
    """Empty lists, missing texts, missing numbers; and one long list beside short ones."""
    empty = {name: [None] * 3 for name in flats()} | {"near": ["", "sea|park|bus|" * 9, None]}
    np.testing.assert_allclose(shipped.scores(empty), run.scores(empty), atol=1e-5)


def test_notes_and_errors_of_the_run(run: TableModel, shipped: TablePredictor) -> None:
    strange = {**flats(), "city": ["Lima"] * 60, "more": [1] * 60}
    told = []
    for model in (run, shipped):
        report = Report()
        model.predict(strange, report=report)
        told.append(list(report.lines()))
        with pytest.raises(UsageError, match="missing column: 'size'"):
            model.predict({name: column for name, column in flats().items() if name != "size"})
        with pytest.warns(UserWarning, match="60 of 60 rows have values never or rarely seen in training"):
            model.predict_proba({**flats(), "city": ["Lima"] * 60})
    assert told[0] == told[1] != []


def test_rows_from_a_file_and_in_any_order(tiny_table: Path, run: TableModel, shipped: TablePredictor) -> None:
    file = tiny_table.parent / "flats.csv"
    expected = run.scores(read_frame(file, how=run.format).without("large"))
    np.testing.assert_allclose(shipped.scores(read_frame(file, how=shipped.format).without("large")), expected,
                               atol=1e-5)  # fmt: skip
    turned = {name: column[::-1] for name, column in reversed(flats().items())}
    np.testing.assert_allclose(shipped.scores(turned)[::-1], shipped.scores(flats()), atol=1e-6)


def test_members_that_read_the_table_alike_read_it_once(shipped: TablePredictor) -> None:
    one, two = shipped.members
    assert one.encoder is two.encoder
    assert one.engine is not two.engine


@pytest.mark.slow  # test_commands.py does the same on the command line
def test_it_predicts_without_torch(folder: Path, shipped: TablePredictor) -> None:
    code = """if True:
        import json, sys
        from pathlib import Path
        from reslab.ship.folder import read_config
        from reslab.ship.predict.tables import load
        folder = Path(sys.argv[1])
        found = load(folder, read_config(folder), threads=1).predict_proba(json.loads(sys.argv[2]))
        print(json.dumps([found.tolist(), "torch" in sys.modules]))
    """
    done = subprocess.run([sys.executable, "-c", code, str(folder), json.dumps(flats())], capture_output=True,
                          text=True, check=True)  # fmt: skip
    found, heavy = json.loads(done.stdout)
    assert not heavy
    np.testing.assert_allclose(found, shipped.predict_proba(flats()), atol=1e-6)


def test_a_config_of_another_table_is_damaged(folder: Path) -> None:
    config = read_config(folder)
    with pytest.raises(ReslabError, match="is damaged: it names 1 members and 2 graphs"):
        load(folder, replace(config, about={**config.about, "members": ["s0"]}))
    with pytest.raises(ReslabError, match="is damaged: it names 2 members"):
        load(folder, replace(config, about={**config.about, "members": ["s0", "../s1"]}))
    with pytest.raises(ReslabError, match=r"its graph and encoder\.json are of different columns"):
        load(folder, replace(config, inputs=config.inputs[:-1]))
    with pytest.raises(ReslabError, match=r"its graphs and target\.json are of different targets"):
        load(folder, replace(config, outputs=()))


KINDS: dict[str, Any] = {
    "labels": (ResidualClassifier, lambda size: np.stack([size > 50, size > 60], axis=1).astype(int)),
    "numbers": (ResidualRegressor, lambda size: 3 * size),
    "several": (ResidualRegressor, lambda size: np.stack([size, -size], axis=1)),
    "whole": (ResidualClassifier, lambda size: np.arange(len(size)) % 3),
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*the same information as the target")  # its targets are columns
@pytest.mark.parametrize("preset", ["gated", "mlp", "resnet", "published"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("engine", ["openvino", "onnx"])
def test_every_kind_of_target_and_net(kind: str, preset: str, engine: str, tmp_path: Path) -> None:
    estimator, of = KINDS[kind]
    y = of(np.array(flats()["size"]))
    model = estimator(sizes=SIZES, recipe={"epochs": 2}, device="cpu", random_state=0, members=1, net=preset)
    model.fit(flats(), y).save(tmp_path / "model")
    subject = TableExport(tmp_path / "model")
    shipped = load(ship(subject, engine, tmp_path / "shipped"), read_config(tmp_path / "shipped"))
    scale = 1 if y.dtype.kind == "i" else y.std()
    np.testing.assert_allclose(shipped.scores(flats()), subject.model.scores(flats()), atol=1e-4 * scale)
    found, expected = shipped.predict(flats()), subject.model.predict(flats())
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)


@pytest.mark.slow
@pytest.mark.parametrize("family", [("size", "rooms"), ("city", "lift"), ("near", "says"), ("says",)])
@pytest.mark.parametrize("engine", ["openvino", "onnx"])
def test_tables_of_one_family_of_columns(family: tuple[str, ...], engine: str, tmp_path: Path) -> None:
    rows = {name: column for name, column in flats().items() if name in family}
    y = np.array(["yes" if size > 50 else "no" for size in flats()["size"]])
    kinds = {"rooms": "number", "says": "text"}
    model = ResidualClassifier(sizes=SIZES, recipe={"epochs": 2}, device="cpu", random_state=0, members=1,
                               kinds={name: kind for name, kind in kinds.items() if name in family})  # fmt: skip
    model.fit(rows, y).save(tmp_path / "model")
    subject = TableExport(tmp_path / "model")
    shipped = load(ship(subject, engine, tmp_path / "shipped"), read_config(tmp_path / "shipped"))
    np.testing.assert_allclose(shipped.scores(rows), subject.model.scores(rows), atol=1e-5)
