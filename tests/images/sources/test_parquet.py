"""Parquet files as the hub writes them, with labels right and wrong; and hf:NAME."""

import errno
import os
import pickle
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from parquets import pa, png, pq, reds, write

from reslab.errors import BrokenImage, ReslabError, UsageError
from reslab.images.data import Encoded, load
from reslab.images.sources import copied
from reslab.images.sources.assemble import Loading
from reslab.images.sources.cells import schema
from reslab.images.sources.parquet import load_parquet


def test_one_file_is_split(tmp_path: Path) -> None:
    file = write(tmp_path / "pets.parquet", [0] * 5 + [1] * 5, names=["cat", "dog"])
    data = load(str(file))
    assert (data.name, data.classes) == ("pets", ("cat", "dog"))
    assert data.train.labels.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert sorted(reds(data.train) + reds(data.test)) == list(range(10))


@pytest.mark.parametrize(
    "names", [("training", "eval-1"), ("train", "dev"), ("Train", "holdout"), ("train", "testing")]
)
def test_names_of_parts(names: tuple[str, str], tmp_path: Path) -> None:
    """The same as those of folders."""
    write(tmp_path / f"d/{names[0]}.parquet", [1, 0], names=["a", "b"])
    write(tmp_path / f"d/{names[1]}.parquet", [0], names=["a", "b"])
    data = load(str(tmp_path / "d"))
    assert (len(data.train), len(data.test)) == (2, 1)


def test_folder_with_its_own_parts(tmp_path: Path) -> None:
    write(tmp_path / "d/train-00000-of-00002.parquet", [1, 0], names=["a", "b"])
    write(tmp_path / "d/train-00001-of-00002.parquet", [1], names=["a", "b"], images=[png(99)])
    write(tmp_path / "d/validation.parquet", [0], names=["a", "b"])
    data = load(str(tmp_path / "d"))
    assert data.train.labels.tolist() == [1, 0, 1]
    assert reds(data.train) == [0, 1, 99]
    assert len(data.test) == 1


@pytest.mark.parametrize("values", [["cow", "ant"] * 5, [7, 3] * 5], ids=["strings", "numbers"])
def test_classes_from_the_values(tmp_path: Path, values: list) -> None:
    data = load(str(write(tmp_path / "d.parquet", values, plain=True, image="picture", label="kind")))
    assert data.classes == tuple(str(value) for value in sorted(set(values)))
    assert data.train.labels.bincount().tolist() == [4, 4]
    assert data.train.labels[0] == 1  # cow comes after ant, 7 after 3


def test_categorical_and_boolean_labels(tmp_path: Path) -> None:
    words = pa.array(["cow", "ant"] * 5).dictionary_encode()
    assert load(str(write(tmp_path / "d.parquet", words))).classes == ("ant", "cow")
    assert load(str(write(tmp_path / "e.parquet", [True, False] * 5))).classes == ("False", "True")


def test_whole_numbers_among_floats(tmp_path: Path) -> None:
    """pandas makes floats of integers where a merge leaves gaps; 0.5 is no class, and NaN is no label."""
    data = load(str(write(tmp_path / "d.parquet", [1.0, 0.0] * 5)))
    assert data.classes == ("0", "1")
    assert data.train.labels.tolist() == [1 - red % 2 for red in reds(data.train)]
    write(tmp_path / "e/train.parquet", [1, 0, 1])
    write(tmp_path / "e/test.parquet", [1.0, 0.0])
    assert load(str(tmp_path / "e")).test.labels.tolist() == [1, 0]
    for odd, said in ((0.5, "has the label 0.5, which is no whole number"), (float("inf"), "has the label inf"),
                      (float("nan"), "row 1 has label None")):  # fmt: skip
        with pytest.raises(UsageError, match=said):
            load(str(write(tmp_path / "d.parquet", [1.0, odd, 0.0, 0.0, 1.0], names=["a", "b"])))


def test_the_column_named_label_is_never_passed_over(tmp_path: Path) -> None:
    """Beside it, an index or another number is not the label; a coordinate y is one only where nothing else can be."""
    file, cells = tmp_path / "d.parquet", [png(k) for k in range(10)]
    for kind, label in (("list<.*>", [[1, 2]] * 10), ("date32", pa.array(range(10), pa.date32()))):
        pq.write_table(pa.table({"image": cells, "label": label, "index": range(10)}), file)
        with pytest.raises(UsageError, match=rf"d.parquet: its column 'label' holds {kind}.*, and a label is a whole"):
            load(str(file))
    pq.write_table(pa.table({"image": cells, "label": [0.0, 1.0] * 5, "index": range(10)}), file)
    assert load(str(file)).classes == ("0", "1")
    pq.write_table(pa.table({"image": cells, "kind": ["ant", "bee"] * 5, "y": [0.5] * 10}), file)
    assert load(str(file)).classes == ("ant", "bee")
    pq.write_table(pa.table({"image": cells, "y": [0.0, 1.0] * 5}), file)
    assert load(str(file)).classes == ("0", "1")


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        ([0, 1, 2, 0], r"d.parquet row 2 has label 2, which is not one of the 2 classes"),
        ([0, 1, -1, 0], r"row 2 has label -1, .*unlabeled"),
        ([0, 1, None, 0], r"row 2 has label None"),
    ],
)
def test_label_out_of_range(tmp_path: Path, labels: list, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        load(str(write(tmp_path / "d.parquet", labels, names=["a", "b"])))


def test_test_label_unknown_in_training(tmp_path: Path) -> None:
    write(tmp_path / "d/train.parquet", ["ant", "cow"])
    write(tmp_path / "d/test.parquet", ["ant", "bee"])
    with pytest.raises(UsageError, match=r"test.parquet row 1 has label 'bee'"):
        load(str(tmp_path / "d"))


def test_columns_that_do_not_serve(tmp_path: Path) -> None:
    file = tmp_path / "d.parquet"
    pq.write_table(pa.table({"x": [1.0], "label": [0]}), file)
    with pytest.raises(UsageError, match=r"no image column .*; the columns are x, label"):
        load(str(file))
    pq.write_table(pa.table({"image": [b"x"], "p": [0], "q": [0]}), file)
    with pytest.raises(UsageError, match=r"2 candidates \(p, q\) for the label column"):
        load(str(file))
    file.write_bytes(b"not parquet")
    with pytest.raises(UsageError, match=r"is damaged or not a parquet file"):
        load(str(file))
    write(tmp_path / "e/train.parquet", [0])
    with pytest.raises(UsageError, match=r"needs train\*.parquet and test\*.parquet .* but holds train.parquet"):
        load(str(tmp_path / "e"))


def test_broken_rows(tmp_path: Path) -> None:
    cells = [png(0), b"oops", None, png(3)]
    write(tmp_path / "d/train.parquet", [0] * 4, images=cells)
    write(tmp_path / "d/test.parquet", [0])
    data = load(str(tmp_path / "d"))
    assert reds(data.train) == [0, 3]
    assert data.skipped == (
        "train.parquet row 1: it is not an image that Pillow can read as BMP, GIF, JPEG, PNG, PPM, TIFF or WebP",
        "train.parquet row 2: it is empty",
    )
    write(tmp_path / "d/test.parquet", [0] * 4, images=cells)
    with pytest.raises(BrokenImage, match=r"test.parquet row 1"):
        load(str(tmp_path / "d"))


def test_larger_than_memory(tmp_path: Path) -> None:
    file = write(tmp_path / "d.parquet", [0, 1] * 10)
    whole = load(str(file))
    cache = tmp_path / "cache"
    data = load_parquet(file, loading=Loading(memory=0), cache=lambda: cache)
    assert isinstance(data.train, Encoded)
    assert [data.train.pixels(i).tolist() for i in range(16)] == whole.train.pixels.tolist()
    (spilled,) = (cache / "arrow").iterdir()
    travelled = pickle.dumps(data.train.sources)
    assert len(travelled) < 1000  # the path, not the images
    assert pickle.loads(travelled)[3] == png(3)
    load_parquet(file, loading=Loading(memory=0), cache=lambda: cache)
    assert list((cache / "arrow").iterdir()) == [spilled]


def test_the_copy_is_announced_and_a_changed_file_is_copied_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Changed within its last bytes alone: size and time of change stay."""
    monkeypatch.setattr(copied, "WORTH", 0)
    file = write(tmp_path / "d.parquet", [0, 1] * 10)
    cache = tmp_path / "cache"
    with caplog.at_level("INFO", logger="reslab"):
        load_parquet(file, loading=Loading(memory=0), cache=lambda: cache)
    (first,) = (cache / "arrow").iterdir()
    (line,) = (record.getMessage() for record in caplog.records if "uncompressed" in record.getMessage())
    assert line.startswith(f"copying the images of d.parquet once, uncompressed, to {first} (")
    stat, name = file.stat(), copied.key([(file, "image")])
    content = bytearray(file.read_bytes())
    content[-9] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert copied.key([(file, "image")]) != name == first.stem


def test_a_full_disk_leaves_no_half_copy(tmp_path: Path) -> None:
    file = write(tmp_path / "d.parquet", [0, 1] * 10)

    def full(_: Any) -> Iterator[Any]:
        raise OSError(errno.ENOSPC, "No space left on device")
        yield

    with pytest.raises(ReslabError, match=r"arrow is full: the uncompressed copy of the images takes about .*; choose"):
        copied.copied([(file, "image")], tmp_path / "cache", full, schema())
    assert list((tmp_path / "cache" / "arrow").iterdir()) == []


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path / "d.parquet", [0, 0])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageError, match=r"needs the package pyarrow: pip install 'reslab\[data\]'"):
        load(str(file))
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UsageError, match=r"hf:pets needs the package datasets: pip install 'reslab\[data\]'"):
        load("hf:pets")


def test_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")

    def split(labels: list[int]):
        features = datasets.Features({"img": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])})
        rows = {"img": [{"bytes": png(k), "path": None} for k in range(len(labels))], "label": labels}
        return datasets.Dataset.from_dict(rows, features=features)

    splits = datasets.DatasetDict({"train": split([1, 0, 1]), "validation": split([0])})
    monkeypatch.setattr(datasets, "load_dataset", lambda name: splits)
    data = load("hf:someone/pets")
    assert (data.name, data.classes) == ("hf:someone/pets", ("cat", "dog"))
    assert data.train.labels.tolist() == [1, 0, 1]
    assert reds(data.train) == [0, 1, 2]
    assert "train and validation splits" in data.about
    assert load("hf:someone/pets", memory=0).train.pixels(2)[0, 0, 0] == 2

    def offline(name: str):
        raise ConnectionError("no network\nand a long tale")

    monkeypatch.setattr(datasets, "load_dataset", offline)
    with pytest.raises(ReslabError, match=r"could not load the data set hf:someone/pets: no network$"):
        load("hf:someone/pets")


def test_real_mnist(shared: Path) -> None:
    means = np.array([0.1307, 0.1325])  # of MNIST's train and test images, in every tutorial
    data = load(str(shared / "data" / "mnist" / "test.parquet"), memory=0)
    assert (data.shape, len(data.train), len(data.test)) == ((1, 28, 28), 8000, 2000)
    some = np.mean([data.train.pixels(i).float().mean() / 255 for i in range(0, 8000, 16)])
    assert abs(some - means[1]) < 0.01


def test_real_cifar(shared: Path) -> None:
    data = load(str(shared / "data" / "cifar10-jpeg" / "test.parquet"))  # enough images for decoding processes
    assert (data.shape, len(data.train), len(data.test), data.skipped) == ((3, 32, 32), 8000, 2000, ())
    assert data.classes[:4] == ("airplane", "automobile", "bird", "cat")
    mean = data.train.pixels.double().mean((0, 2, 3)) / 255
    assert mean.tolist() == pytest.approx([0.4942, 0.4851, 0.4504], abs=0.004)  # of CIFAR-10's test images


def repeated(file: Path, cell: bytes, rows: int, *, label: str = "a") -> Path:
    """A file in which every row holds the same cell and label, stored once."""
    schema = pa.schema([("image", pa.binary()), ("label", pa.string())])
    with pq.ParquetWriter(file, schema, compression="zstd", dictionary_pagesize_limit=2**30) as writer:
        many = pa.array(np.zeros(rows, dtype=np.int8))
        held = pa.DictionaryArray.from_arrays(many, pa.array([cell])), pa.DictionaryArray.from_arrays(many, [label])
        writer.write_table(pa.table(dict(zip(schema.names, held, strict=True))).cast(schema))
    return file


def test_a_small_file_of_millions_of_rows_is_refused_at_once(tmp_path: Path) -> None:
    file = repeated(tmp_path / "d.parquet", b"x", 3_000_000)
    assert file.stat().st_size < 40_000
    began = time.perf_counter()
    with pytest.raises(UsageError, match=r"claims 3,000,000 images in .* bytes, which cannot hold as many different"):
        load(str(file))
    assert time.perf_counter() - began < 1


@pytest.mark.parametrize(("cell", "label"), [(8 * 10**6, 1), (1, 8 * 10**6)], ids=["image", "label"])
def test_a_small_file_of_large_repeated_cells_is_refused_at_once(cell: int, label: int, tmp_path: Path) -> None:
    """Ten times 8 MB in a few kilobytes."""
    file = repeated(tmp_path / "d.parquet", bytes(cell), 10, label="a" * label)
    assert file.stat().st_size < 40_000
    began = time.perf_counter()
    with pytest.raises(ReslabError, match=r"unpacks to more than 2,000 times its size"):
        load(str(file))
    assert time.perf_counter() - began < 3


def test_a_clone_of_a_hub_data_set(tmp_path: Path) -> None:
    """Its files are in data/; a name in capitals is read, too."""
    write(tmp_path / "pets/data/train-00000-of-00001.PARQUET", [0, 1, 0], names=["a", "b"])
    write(tmp_path / "pets/data/validation-00000-of-00001.parquet", [1], names=["a", "b"])
    write(tmp_path / "pets/data/extra.parquet", [1], names=["a", "b"])
    (tmp_path / "pets/README.md").write_text("---\n")
    (tmp_path / "pets/.git").mkdir()
    data = load(str(tmp_path / "pets"))
    assert (data.name, data.train.labels.tolist(), len(data.test)) == ("pets", [0, 1, 0], 1)
    assert "1 file ignored: not a train or test file" in data.line()
    write(tmp_path / "pets/more/train.parquet", [1])
    with pytest.raises(UsageError, match=r"2 folders with parquet files \(data, more\); give one of them"):
        load(str(tmp_path / "pets"))
    assert load(str(write(tmp_path / "D.Parquet", [0, 1] * 5))).classes == ("0", "1")


def test_a_parquet_file_in_a_class_folder_is_not_the_data_set(fill: Callable[..., Path], tmp_path: Path) -> None:
    for name in "ab":
        fill(f"d/{name}", 5)
    write(tmp_path / "d/a/train.parquet", [0, 1])
    assert load(str(tmp_path / "d")).line().endswith("1 file ignored: .parquet")


def test_an_image_outside_its_parquet_file_that_vanished(tmp_path: Path) -> None:
    """Encoded or in memory, it is skipped and named."""
    (tmp_path / "0.png").write_bytes(png(7))
    cells = [{"bytes": None, "path": f"{k}.png"} for k in (0, 1)] + [{"bytes": png(9), "path": None}] * 2
    table = pa.table({"image": pa.array(cells), "label": [0, 0, 1, 1]})
    for part in ("train", "test"):
        pq.write_table(table if part == "train" else table.slice(2), tmp_path / f"{part}.parquet")
    data = load(str(tmp_path))
    assert (reds(data.train), data.skipped) == ([7, 9, 9], ("train.parquet row 1: there is no such file",))
    assert len(load(str(tmp_path), memory=0, root=tmp_path / "cache").train) == 4
