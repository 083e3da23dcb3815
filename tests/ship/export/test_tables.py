"""What a table's run brings to its export: its own validation rows, the accuracy by hand, typed fields."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rows import flats
from shipping import SIZES

from reslab.errors import ReslabError, UsageError
from reslab.ship.export.job import export
from reslab.ship.export.passes import evenly
from reslab.ship.export.subjects import subject as named_by
from reslab.ship.export.summed import vectors_of
from reslab.ship.export.tables import TableExport
from reslab.ship.exportable import RANDOM
from reslab.tables import ResidualRegressor
from reslab.tables import load as load_run
from reslab.tables.data.frame import read_frame
from reslab.tables.data.rows import Rows
from reslab.tables.data.table import Table
from reslab.tables.net.net import TableNet
from reslab.tables.vectors import Texts


@pytest.fixture(scope="module")
def subject(tiny_table: Path) -> TableExport:
    return TableExport(tiny_table)


def test_the_proof_is_the_validation_part_and_its_accuracy(subject: TableExport, tiny_table: Path) -> None:
    examples = subject.proof(1000)
    n = len(examples[0])
    data = subject.data
    assert data is not None
    assert n == len(data.frames["validation"])
    assert examples[0].where == f"{n} of the {n} validation rows of {tiny_table.parent / 'flats.csv'}"
    outputs = [subject.reference(which, one.inputs) for which, one in enumerate(examples)]
    right = subject.right(outputs, examples)
    expected = load_run(tiny_table, device="cpu").predict(data.frames["validation"]) == data.values["validation"]
    assert right is not None
    assert right.tolist() == expected.astype(float).tolist()
    assert set(subject.decisions(outputs).tolist()) <= {0, 1}
    assert len(subject.calibration(5)[1]) == 5


def test_the_graph_gives_the_outputs_of_the_net(subject: TableExport) -> None:
    """From the sums of bags, made without torch; the net sums them itself."""
    rows = read_frame(flats())
    for member, graph in zip(subject.model.members, subject.graphs(), strict=True):
        assert isinstance(member.net, TableNet)
        assert member.net.direct is not None
        table, vectors = member.encoder.table.rows(rows), vectors_of(member.net)
        inputs = table.inputs(np.arange(60), vectors)
        assert inputs["bags"].shape == (60, 2, 4 + 2)  # two columns; vectors of 4 and the direct weights of 2 classes
        (found,) = graph.module(*map(torch.from_numpy, inputs.values()))
        np.testing.assert_allclose(found.numpy(), member.net(**Table.of(table).batch(np.arange(60))).numpy(), atol=1e-5)


def test_sums_that_differ_are_refused(subject: TableExport, monkeypatch: Any) -> None:
    monkeypatch.setattr("reslab.ship.export.tables.vectors_of", lambda net: vectors_of(net) * 1.01)
    with pytest.raises(ReslabError, match="gives other scores for the sums of its bags than for the bags"):
        subject.proof(9)


def test_the_fields_of_a_form(subject: TableExport) -> None:
    fields = {one["name"]: one for one in subject.about()["fields"]}
    sizes = flats()["size"]
    assert list(fields) == list(flats())
    assert fields["size"]["kind"] == "number"
    assert min(sizes) <= fields["size"]["low"] < fields["size"]["middle"] < fields["size"]["high"] <= max(sizes)
    assert fields["city"] == {"name": "city", "kind": "category", "values": fields["city"]["values"], "low": None,
                              "high": None, "middle": None}  # fmt: skip
    assert sorted(fields["city"]["values"]) == ["Oslo", "Rome"]
    assert sorted(fields["near"]["values"]) == ["bus", "park", "sea"]
    assert fields["says"]["kind"] == "text"
    assert (fields["since"]["kind"], fields["since"]["low"][:2], len(fields["since"]["low"])) == ("date", "20", 10)


@pytest.mark.filterwarnings("ignore:.*the same information as the target")  # its target is a column
def test_numbers_are_right_by_the_variance_they_explain(tmp_path: Path) -> None:
    """The mean of the rows' shares is R squared, if no row is worse than the mean."""
    y = 3 * np.array(flats()["size"])
    ResidualRegressor(sizes=SIZES, recipe={"epochs": 1}, device="cpu", random_state=0, members=1).fit(flats(), y).save(
        tmp_path / "model"
    )
    subject = TableExport(tmp_path / "model")
    examples = subject.proof(4)
    assert (examples[0].where, len(examples[0])) == (RANDOM, 4)
    assert subject.right([subject.reference(0, examples[0].inputs)], examples) is None
    assert subject.notes == [f"compared on random inputs: {tmp_path / 'model'} holds a model without its table"]
    assert subject.about()["target"] == []
    outputs = [subject.reference(0, examples[0].inputs)]
    said = subject.decisions(outputs)
    from dataclasses import replace

    std = y.std()
    known = [replace(examples[0], targets=said + np.array([[0.0], [std / 2], [std], [2 * std]]))]
    right = subject.right(outputs, known)
    assert right is not None
    assert right.tolist() == pytest.approx([1, 0.75, 0, 0], abs=1e-6)


def test_a_text_encoder_is_no_part_of_the_run(subject: TableExport, monkeypatch: Any) -> None:
    from dataclasses import replace

    model = load_run(subject.word, device="cpu")
    texts = Texts(folder="/models/minilm", fingerprint="", columns=("says",), width=8)
    model.members = tuple(replace(one, encoder=replace(one.encoder, texts=texts)) for one in model.members)
    monkeypatch.setattr("reslab.ship.export.tables.load", lambda *_, **__: model)
    with pytest.raises(UsageError, match="reads its texts with the encoder /models/minilm, which is no part of it"):
        TableExport(subject.word)


def test_flat_rows_are_those_of_the_table(subject: TableExport) -> None:
    """Bit for bit those of `Table.batch`, on tensors."""
    rows: Rows = subject.model.members[0].encoder.table.rows(read_frame(flats()))
    chosen = np.random.default_rng(3).integers(0, 60, 23)
    found, batch = rows.inputs(chosen), {name: one.numpy() for name, one in Table.of(rows).batch(chosen).items()}
    ids, weights, starts = rows.flat(chosen)
    found |= {"bag_ids": ids, "bag_weights": weights, "bag_offsets": starts[:-1]}
    assert found.keys() == batch.keys()
    for name, array in found.items():
        assert array.dtype == batch[name].dtype
        assert np.array_equal(array, batch[name], equal_nan=name == "numbers")
    assert starts[-1] == len(ids)


def test_evenly_spaced_rows() -> None:
    assert evenly(5, 9).tolist() == [0, 1, 2, 3, 4]
    assert evenly(101, 3).tolist() == [0, 50, 100]


def test_openvino_has_no_int8_for_tables(tiny_table: Path, tmp_path: Path) -> None:
    """Its answers depend on how many rows it is given at a time (2026.4)."""
    with pytest.raises(ReslabError, match="the scores of a row depend on how many rows it is given at a time"):
        export(tiny_table, out=tmp_path / "out", precision="int8")
    assert list(tmp_path.iterdir()) == []


def test_options_for_images_are_named_as_they_were_given(tiny_table: Path) -> None:
    given: dict[str, Any] = {"options": {"white": 3.0}, "net_options": {"shortcut": "B"}, "weights": False}
    with pytest.raises(UsageError, match=r"leave out white, shortcut, weights$") as refused:
        named_by(str(tiny_table), **given)
    flags = refused.value.sentence.worded(lambda one: f"--{one.name}")
    assert flags.endswith("leave out --white, --shortcut, --weights")
