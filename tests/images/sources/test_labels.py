"""A label number means what its own file says."""

import json
from pathlib import Path

import pytest
from parquets import pa, png, pq, reds, write

from reslab.errors import ReslabWarning, UsageError
from reslab.images.data import load
from reslab.images.sources.labels import Labels, classes_of


def by_name(part, classes: tuple[str, ...]) -> dict[int, str]:
    """Each image's red value, by which it is known, and the name of its class."""
    return dict(zip(reds(part), (classes[label] for label in part.labels.tolist()), strict=True))


CATS = [png(k) for k in (10, 11)]
DOGS = [png(k) for k in (20, 21)]
RIGHT = {10: "cat", 11: "cat", 20: "dog", 21: "dog"}


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ([1, 1, 0, 0], ["dog", "cat"]),  # another order
        ([2, 2, 1, 1], ["bird", "dog", "cat"]),  # a name more, which no image has
        (["cat", "cat", "dog", "dog"], None),
        (pa.array(["cat", "cat", "dog", "dog"]).dictionary_encode(), None),
    ],
)
def test_a_test_file_with_its_own_numbers(tmp_path: Path, labels: list, names: list[str] | None) -> None:
    write(tmp_path / "train.parquet", [0, 0, 1, 1], names=["cat", "dog"], images=CATS + DOGS)
    write(tmp_path / "test.parquet", labels, names=names, images=CATS + DOGS)
    data = load(str(tmp_path))
    assert data.classes == ("cat", "dog")
    assert by_name(data.train, data.classes) == by_name(data.test, data.classes) == RIGHT


def test_training_texts_and_test_numbers_with_names(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", ["dog", "cat", "cat", "dog"], images=[DOGS[0], *CATS, DOGS[1]])
    write(tmp_path / "test.parquet", [0, 0, 1, 1], names=["dog", "cat"], images=DOGS + CATS)
    data = load(str(tmp_path))
    assert data.classes == ("cat", "dog")
    assert by_name(data.train, data.classes) == by_name(data.test, data.classes) == RIGHT


def test_shards_with_their_own_numbers(tmp_path: Path) -> None:
    """Of one part; the second also has other column names and types."""
    write(tmp_path / "train-0.parquet", [0, 1], names=["cat", "dog"], images=[CATS[0], DOGS[0]])
    write(tmp_path / "train-1.parquet", [1, 0], names=["dog", "cat"], images=[CATS[1], DOGS[1]], image="img",
          label="labels", plain=True)  # fmt: skip
    write(tmp_path / "test.parquet", ["cat", "dog"], images=[CATS[0], DOGS[0]])
    data = load(str(tmp_path))
    assert by_name(data.train, data.classes) == RIGHT
    encoded = load(str(tmp_path), memory=0, root=tmp_path / "cache").train
    assert [encoded.pixels(i)[0, 0, 0].item() for i in range(4)] == [10, 20, 11, 21]


def test_numbers_without_names_beside_names_are_reported(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", [0, 0, 1, 1], names=["cat", "dog"], images=CATS + DOGS)
    write(tmp_path / "test.parquet", [0, 0, 1, 1], images=CATS + DOGS)
    with pytest.warns(UserWarning, match=r"test.parquet does not name its classes: 0 as cat, 1 as dog, as the train"):
        data = load(str(tmp_path))
    assert by_name(data.test, data.classes) == RIGHT


def test_names_beside_numbers_without_names_are_refused(tmp_path: Path) -> None:
    """Nobody says which number is which name."""
    write(tmp_path / "train.parquet", [0, 0, 1, 1], images=CATS + DOGS)
    write(tmp_path / "test.parquet", [0, 0, 1, 1], names=["cat", "dog"], images=CATS + DOGS)
    with pytest.raises(UsageError, match=r"test.parquet row 0 has label 0 \('cat'\), which is not one of the 2"):
        load(str(tmp_path))


def test_numbers_of_another_set_of_numbers_are_refused(tmp_path: Path) -> None:
    """Classes 3 and 7, without names: 1 is none of them, and not the second."""
    write(tmp_path / "train.parquet", [3, 3, 7, 7], images=CATS + DOGS)
    write(tmp_path / "test.parquet", [1, 7], images=[CATS[0], DOGS[0]])
    with pytest.raises(UsageError, match=r"row 0 has label 1, which is not one of the 2 classes"):
        load(str(tmp_path))


def test_numbers_beside_texts_are_refused(tmp_path: Path) -> None:
    """Sorted texts are no numbering: 0 may be cat or dog."""
    write(tmp_path / "train.parquet", ["cat", "cat", "dog", "dog"], images=CATS + DOGS)
    write(tmp_path / "test.parquet", [0, 0, 1, 1], images=CATS + DOGS)
    with pytest.raises(UsageError, match=r"test.parquet row 0 has label 0, which is not one of the 2 classes"):
        load(str(tmp_path))
    write(tmp_path / "train-2.parquet", [0, 1], images=[CATS[0], DOGS[0]])
    with pytest.raises(UsageError, match=r"train-2.parquet numbers its classes and train.parquet names them"):
        load(str(tmp_path))


def test_digits_as_texts_and_as_numbers_are_the_same_classes(tmp_path: Path) -> None:
    write(tmp_path / "train-0.parquet", ["3", "7"], images=[CATS[0], DOGS[0]])
    write(tmp_path / "train-1.parquet", [7, 3], images=[DOGS[1], CATS[1]])
    write(tmp_path / "test.parquet", [3, 7], images=[CATS[0], DOGS[0]])
    data = load(str(tmp_path))
    assert (data.classes, data.train.labels.tolist(), data.test.labels.tolist()) == (("3", "7"), [0, 1, 1, 0], [0, 1])


def test_no_rows(tmp_path: Path) -> None:
    empty = pa.table({"image": pa.array([], pa.binary()), "label": pa.array([], pa.int64())})
    pq.write_table(empty, tmp_path / "d.parquet")
    with pytest.raises(UsageError, match=r"d.parquet holds no rows"):
        load(str(tmp_path / "d.parquet"))


def test_arrow_views(tmp_path: Path) -> None:
    images, labels = pa.array(CATS + DOGS, pa.binary_view()), pa.array(["cat", "cat", "dog", "dog"], pa.string_view())
    pq.write_table(pa.table({"image": images, "label": labels}), tmp_path / "d.parquet")
    assert load(str(tmp_path / "d.parquet")).classes == ("cat", "dog")


def test_names_in_a_dictionary_as_in_a_readme(tmp_path: Path) -> None:
    file = write(tmp_path / "d.parquet", [10, *range(10)] * 2)
    names = {str(k): f"n{k}" for k in range(11)}
    features = {"label": {"_type": "ClassLabel", "names": names}}
    table = pq.read_table(file).replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, file)
    data = load(str(file))
    assert data.classes == tuple(f"n{k}" for k in range(11))
    rows = [10, *range(10)] * 2  # image k is of row k
    assert data.train.labels.tolist() == [rows[k] for k in reds(data.train)]


def test_two_classes_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="names two classes 'cat'"):
        load(str(write(tmp_path / "d.parquet", [0, 1] * 5, names=["cat", "cat"])))


def test_one_unicode_spelling(tmp_path: Path) -> None:
    """é as one character and as two."""
    write(tmp_path / "train.parquet", ["caf\u00e9", "tea"])
    write(tmp_path / "test.parquet", ["cafe\u0301", "tea"])
    data = load(str(tmp_path))
    assert (data.classes, data.test.labels.tolist()) == (("caf\u00e9", "tea"), [0, 1])


def test_classes_of_several_files() -> None:
    named = Labels(where="x", values=[0], names=("b", "a"))
    assert classes_of([named, Labels(where="y", values=["d", "c"], names=None)]) == ("b", "a", "c", "d")
    assert classes_of([Labels(where="x", values=[10, 9, None], names=None)]) == ("9", "10")


def test_splits_of_the_hub_with_their_own_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")

    def split(labels: list[int], names: list[str]):
        features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=names)})
        rows = {"image": [{"bytes": cell, "path": None} for cell in CATS + DOGS], "label": labels}
        return datasets.Dataset.from_dict(rows, features=features)

    splits = datasets.DatasetDict({"train": split([0, 0, 1, 1], ["cat", "dog"]),
                                   "test": split([1, 1, 0, 0], ["dog", "cat"]),
                                   "validation": split([1, 1, 0, 0], ["dog", "cat"])})  # fmt: skip
    monkeypatch.setattr(datasets, "load_dataset", lambda name: splits)
    data = load("hf:someone/pets")
    assert by_name(data.test, data.classes) == RIGHT
    assert data.validation is not None
    assert by_name(data.validation, data.classes) == RIGHT
    assert data.line().startswith("2 classes: cat, dog; 4 + 4 + 4 images (training, validation, test)")
    monkeypatch.setattr(datasets, "load_dataset", lambda name: datasets.DatasetDict(
        {"training": splits["train"], "eval": splits["test"]}))  # fmt: skip
    data = load("hf:someone/pets")
    assert by_name(data.test, data.classes) == RIGHT
    assert "with its training and eval splits" in data.about


def test_files_whose_labels_are_of_different_columns(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One file with fine labels, the other with coarse ones alone; where both have both, one is taken and named."""
    write(tmp_path / "train-0.parquet", [0, 1], label="fine_label")
    write(tmp_path / "test.parquet", [0, 1], label="fine_label")
    second = write(tmp_path / "train-1.parquet", [0, 1], label="coarse_label")
    with pytest.raises(UsageError, match=r"train-1.parquet has its labels in 'coarse_label', and .*train-0.parquet in "
                                         r"'fine_label'; write both"):  # fmt: skip
        load(str(tmp_path))
    table = pq.read_table(second)
    pq.write_table(table.append_column("fine_label", pa.array([1, 0])), second)
    first = pq.read_table(tmp_path / "train-0.parquet")
    pq.write_table(first.append_column("coarse_label", pa.array([5, 5])), tmp_path / "train-0.parquet")
    with caplog.at_level("INFO", logger="reslab"):
        data = load(str(tmp_path))
    assert data.train.labels.tolist() == [0, 1, 1, 0]
    assert "labels of train-0.parquet: its column fine_label (and not coarse_label)" in caplog.messages


@pytest.mark.parametrize("values", [[-1, 0, 1], ["-1", "0", "1"]])
def test_minus_one_may_mark_unlabeled_images(values: list) -> None:
    with pytest.warns(ReslabWarning, match="d: label -1 is taken as a class of its own; often it marks unlabeled"):
        assert classes_of([Labels(where="d", values=values, names=None)]) == ("-1", "0", "1")
    classes_of([Labels(where="d", values=[-1, 1], names=None)])  # without a warning: two signs


def test_a_missing_file_of_a_counted_set(tmp_path: Path) -> None:
    """As a part of a download. Sets that count from 1 are whole with their last file."""
    for name in ("train-00000-of-00003", "train-00002-of-00003", "test-1-of-2", "test-2-of-2"):
        write(tmp_path / f"{name}.parquet", [0, 1])
    with pytest.warns(ReslabWarning, match="2 of the 3 files train-...-of-00003.parquet are there: "
                                           "train-00001-of-00003.parquet is missing") as found:  # fmt: skip
        load(str(tmp_path))
    assert len(found) == 1
    write(tmp_path / "train-00001-of-00003.parquet", [0, 1])
    load(str(tmp_path))
