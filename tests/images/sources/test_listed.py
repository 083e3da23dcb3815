"""CSV, TSV and parquet lists of images: what they mean, and one sentence for each fault."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from reslab.errors import UsageError
from reslab.images.data import ImageData, load
from reslab.images.sources.tags import in_order
from reslab.train.split import labels_split

Fill = Callable[..., Path]
PLAIN = "\n".join(f"im/{k}.png,{'cat' if k % 2 else 'dog'}" for k in range(10))  # five of each
TURNED = "\n".join(",".join(line.split(",")[::-1]) for line in PLAIN.split("\n"))


@pytest.fixture
def listing(fill: Fill, tmp_path: Path) -> Callable[..., ImageData]:
    """listing("file,label\\n...", size=4): the data of a list beside im/0.png to im/9.png."""
    fill("im", 10)

    def made(text: str | bytes, name: str = "photos.csv", *, encoding: str = "utf-8", **options: Any) -> ImageData:
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
        return load(str(tmp_path / name), **options)

    return made


Listing = Callable[..., ImageData]


def names(data: ImageData) -> dict[str, str]:
    """The class of each file."""
    found = {}
    for part in data.parts.values():
        assert hasattr(part, "name")
        found |= {part.name(i): data.classes[int(part.labels[i])] for i in range(len(part))}
    return found


RIGHT = {f"im/{k}.png": "cat" if k % 2 else "dog" for k in range(10)}


@pytest.mark.parametrize(
    ("text", "name", "encoding"),
    [
        ("file,label\n" + PLAIN, "l.csv", "utf-8"),
        ("label,File Name\n" + TURNED, "l.csv", "utf-8"),
        ("file;label\r\n" + PLAIN.replace(",", ";").replace("\n", "\r\n"), "l.csv", "utf-8-sig"),
        ("sep=;\nfile;label\n" + PLAIN.replace(",", ";"), "l.CSV", "utf-8"),
        ("image\tbreed\n" + PLAIN.replace(",", "\t"), "l.tsv", "utf-16"),
        (PLAIN, "l.csv", "utf-8"),  # no line of names
        ("file,label,\n" + PLAIN.replace("\n", ",\n") + ",", "l.csv", "utf-8"),
        ('file, label\n\n"im/0.png", "dog"\n./im//1.png,cat\n' + "\n".join(PLAIN.split("\n")[2:]), "l.csv", "utf-8"),
        ("file,label\n" + PLAIN.replace("/", "\\"), "l.csv", "cp1252"),
    ],
)  # fmt: skip
def test_a_list_means_the_same_in_any_dress(listing: Listing, text: str, name: str, encoding: str) -> None:
    data = listing(text, name, encoding=encoding, memory=0)
    assert (names(data), data.classes, len(data.test), data.split) == (RIGHT, ("cat", "dog"), 2, True)
    assert data.fingerprint == listing("file,label\n" + PLAIN, memory=0).fingerprint


def test_absolute_paths_and_a_root(listing: Listing, tmp_path: Path) -> None:
    """A path in the folder is named relative to it, so moving all changes nothing; one outside is counted."""
    here = names(listing("file,label\n" + PLAIN.replace("im/", f"{tmp_path}/im/"), memory=0))
    assert here == RIGHT
    (tmp_path / "lists").mkdir()
    text = "file,label\n" + PLAIN
    assert names(listing(text, "lists/a.csv", root=tmp_path, memory=0)) == RIGHT
    outside = listing(text.replace("im/", "../im/"), "lists/b.csv", memory=0)
    assert "10 images lie outside lists, such as ../im/0.png" in outside.notes
    assert set(names(outside)) == {f"../im/{k}.png" for k in range(10)}


def test_rows_of_parts(listing: Listing) -> None:
    rows = [f"im/{k}.png,{k % 2},{part}" for k, part in enumerate(["Train"] * 4 + ["valid"] * 2 + ["testing"] * 4)]
    data = listing("file,label,split\n" + "\n".join(rows))
    assert [len(part) for part in data.parts.values()] == [4, 2, 4]
    assert data.about.startswith("Images listed in photos.csv (columns file and label), with its train, validation and "
                                 "test rows")  # fmt: skip
    two = listing("file,label,split\n" + "\n".join(rows).replace("testing", "train"))
    assert (len(two.train), len(two.test), two.validation, two.split) == (8, 2, None, False)


def test_what_is_left_out_is_counted(listing: Listing) -> None:
    text = f"id,path,label\n{PLAIN}\nim/3.png,cat\nim/lost.png,cat".replace("\n", "\n7,").replace("7,id", "id")
    data = listing(text)
    assert data.line() == ("2 classes: cat, dog; 8 + 2 images, RGB 8x8; 1 repeated row left out; 1 listed file does "
                           "not exist and is left out, such as im/lost.png; columns that are not used: id")  # fmt: skip


def test_class_names_are_what_the_file_says(listing: Listing) -> None:
    rows = "\n".join(f"im/{k}.png,{name}" for k, name in enumerate(["01", "1", "10", "9", "01", "1", "10", "9"]))
    data = listing("file,class\n" + rows)
    assert data.classes == ("01", "1", "10", "9")
    assert "'01' and '1' are 2 classes, though they are the same number" in data.notes
    assert in_order({"10", "9", "-1", "0"}) == ("-1", "0", "9", "10")
    assert in_order({"10", "9", "x"}) == ("10", "9", "x")
    assert in_order({"²", "1"}) == ("1", "²")


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("file,label\n" + PLAIN + "\nim/3.png,dog", {},
         "line 12 labels im/3.png 'dog', and photos.csv line 5 'cat'; remove one of these rows or"),
        ("file,label\n" + PLAIN + "\nim/3.png,", {}, "photos.csv line 12 has no label; write one, or remove the row"),
        ("file,label\n" + PLAIN + "\n,cat", {}, "photos.csv line 12 names no file in the column 'file'"),
        ("file,label\n" + PLAIN + "\nim/3.png", {}, "line 12 has 1 cell, but the first line has 2; put a"),
        ("file,label\n" + PLAIN + '\n"im/3.png,cat', {}, "photos.csv line 12 cannot be read: unexpected end of data"),
        ("file,label,split\nim/0.png,a,train\nim/1.png,a,tset", {}, "'tset' in the column 'split', which is none"),
        ("file,label,split\nim/0.png,a,train\nim/0.png,a,test", {}, "into the test part, and photos.csv line 2 into"),
        ("file,label,split\nim/0.png,a,train\nim/1.png,fox,val", {}, "line 3 has the class 'fox' in the test part"),
        ("file,label,split\nim/0.png,a,train\nlost.png,a,test", {}, "line 3: lost.png of the test part does not exist"),
        ("file,label,split\nim/0.png,a,test", {}, "has no training rows that can be used; its parts are test"),
        ("file,label\na.png,x\nb.png,y", {}, r"none of the 2 files that .* lists is in .* \(first: a.png\); set root"),
        ("file,label\nim/1,x", {}, "but im/1.png is, so write the names with their endings"),
        ("file,label\nC:\\im\\1.png,x", {}, "it is a path of another machine, so write paths relative"),
        ("file,label\nhttps://x.org/1.png,x", {}, "a list holds local files, so download the images first"),
        ("file,label\n" + PLAIN, {"root": Path("/nowhere")}, "no folder /nowhere, in which the images of"),
        ("file,label\n/dev/zero,x", {}, "none of the 1 files that .* lists is in"),
        ("a,b,c\n1,2,3", {}, "has no column of files .* its columns are a, b, c; set file_column"),
        ("file,a,b\nim/0.png,1,x", {}, r"several that could hold the labels \(a, b\); choose with label_columns=\"a\""),
        ("file,label\n" + PLAIN, {"file_column": "flie"}, r"has no column 'flie'; did you mean 'file'\?"),
        ("file,label\n" + PLAIN, {"label_columns": ["file"]}, "'file' of .* cannot hold labels and files or parts"),
        ("file,a,b\nim/0.png,1,2", {"label_columns": ["a", "b"]}, "line 2 has '2' in the label column 'b': several"),
        ("file,a,b\nim/0.png,1,0\nim/1.png,-1,0", {}, "line 3 has '-1' in the label column 'a', beside cells with 0"),
        ("file,a,b\nim/0.png,1,0\nim/0.png,1,1", {}, "line 3 and photos.csv line 2 give im/0.png different labels"),
        ("", {}, "photos.csv is empty; give a file with columns such as file,label"),
        ("file,label\n", {}, "photos.csv holds no rows"),
        ("file,file\na,b", {}, "has two columns named 'file'"),
        (b"\x89PNG\0", {}, "photos.csv is no text file; write it as UTF-8"),
    ],
)  # fmt: skip
def test_each_fault_is_one_sentence(listing: Listing, text: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        listing(text, **options)
    assert "\n" not in str(caught.value)


def test_flags_of_lists_are_refused_for_other_data(fill: Fill, tmp_path: Path) -> None:
    fill("d/a", 2), fill("d/b", 2)
    for word in (str(tmp_path / "d"), "digits"):
        with pytest.raises(UsageError, match=r"label_separator is for a CSV, TSV or parquet file that lists images"):
            load(word, label_separator=";")


def test_several_label_columns_are_labels(listing: Listing) -> None:
    rows = "\n".join(f"im/{k}.png,{k % 2},{int(k < 4)},{k}" for k in range(10))
    data = listing("file,odd,low,size\n" + rows, label_columns=["low", "odd"], memory=0)
    assert (data.several, data.classes, data.describe()["several"]) == (True, ("low", "odd"), True)
    assert data.line().startswith("2 labels: low, odd; 8 + 2 images, RGB 8x8; 3 images have no label")
    for part in data.parts.values():
        assert hasattr(part, "name")
        numbers = [int(Path(part.name(i)).stem) for i in range(len(part))]
        assert part.labels.tolist() == [[int(k < 4), k % 2] for k in numbers]
    minus = listing("file,odd,low\n" + "\n".join(f"im/{k}.png,{1 if k % 2 else -1},1" for k in range(10)))
    assert (minus.several, minus.train.labels[:, 0].sum().item() + minus.test.labels[:, 0].sum().item()) == (True, 5)
    assert "-1 counts as 0 in the label columns" in minus.notes


def test_labels_joined_in_one_cell_or_over_several_rows(listing: Listing) -> None:
    cells = ["cat;dog", "dog", "", " cat ; bird", "dog"] * 2
    joined = "file,tags\n" + "\n".join(f"im/{k}.png,{cell}" for k, cell in enumerate(cells))
    data = listing(joined, label_separator=";", memory=0)
    assert (data.classes, data.several) == (("bird", "cat", "dog"), True)
    one = "file,tags\n" + "\n".join(
        f"im/{k}.png,{cell.strip()}" for k, row in enumerate(cells) for cell in row.split(";")
    )
    again = listing(one, label_separator=";", memory=0)
    assert again.fingerprint == data.fingerprint
    assert "the labels of 4 further rows added to those of the same files" in again.notes
    plain = listing(joined.replace(",\n", ",dog\n"))
    assert "'cat ; bird' is one class; if it is several labels of an image, set the label separator ';'" in plain.notes


def test_a_parquet_file_of_paths_is_a_list(listing: Listing, tmp_path: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    files = [f"im/{k}.png" for k in range(10)]
    pq.write_table(
        pa.table({"file": files, "label": ["cat" if k % 2 else "dog" for k in range(10)]}), tmp_path / "p.parquet"
    )
    assert names(load(str(tmp_path / "p.parquet"), memory=0)) == RIGHT
    pq.write_table(pa.table({"file": files, "tags": [["a", "b"], ["a"]] * 5}), tmp_path / "q.parquet")
    assert load(str(tmp_path / "q.parquet"), label_separator=";").classes == ("a", "b")
    pq.write_table(pa.table({"file": files, "label": [None, 1] * 5}), tmp_path / "r.parquet")
    with pytest.raises(UsageError, match=r"r\.parquet row 0 and 4 more have no label"):
        load(str(tmp_path / "r.parquet"))


def test_a_folder_of_parquet_files_of_paths_is_one_list(fill: Fill, tmp_path: Path) -> None:
    """Its parts are the files' names; paths are relative to the files' folder; a fault names file and row."""
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    fill("d/data/im", 12)
    parts = {"train-0": range(4), "train-1": range(4, 7), "val": range(7, 9), "test": range(9, 12)}
    for name, some in parts.items():
        rows = {
            "file": [f"im/{k}.png" for k in some],
            "label": [float(k % 2) for k in some],
            "split": ["x"] * len(some),
        }
        pq.write_table(pa.table(rows), tmp_path / f"d/data/{name}.parquet")
    data = load(str(tmp_path / "d"), memory=0)
    assert (data.name, data.split, data.classes) == ("d", False, ("0.0", "1.0"))
    assert {name: [part.name(i) for i in range(len(part))] for name, part in data.parts.items()} == {  # type: ignore[union-attr]
        "train": [f"im/{k}.png" for k in range(7)], "validation": ["im/7.png", "im/8.png"],
        "test": [f"im/{k}.png" for k in range(9, 12)]}  # fmt: skip
    assert "columns that are not used: split" in data.line()
    assert load(str(tmp_path / "d"), label_columns=["split"], memory=0).classes == ("x",)
    rows = {"file": ["im/1.png", ""], "label": [1.0, 0.0], "split": ["x", "x"]}
    pq.write_table(pa.table(rows), tmp_path / "d/data/train-1.parquet")
    with pytest.raises(UsageError, match=r"^train-1.parquet row 1 names no file in the column 'file'"):
        load(str(tmp_path / "d"))
    pq.write_table(pa.table({"file": ["im/1.png"], "kind": ["x"]}), tmp_path / "d/data/train-1.parquet")
    with pytest.raises(UsageError, match=r"train-1.parquet has the columns file, kind, and train-0.parquet has file,"):
        load(str(tmp_path / "d"))


def test_the_split_of_labels_is_fixed_and_has_each_label_in_both_parts() -> None:
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        labels = (torch.rand(100, 6, generator=generator) < torch.tensor([0.03, 0.05, 0.1, 0.3, 0.6, 1.0])).long()
        train, test = labels_split(labels)
        assert torch.equal(torch.cat([train, test]).sort().values, torch.arange(100))
        assert torch.equal(labels_split(labels)[1], test)
        for k in range(6):
            if labels[:, k].sum() > 1:
                assert labels[train, k].sum() > 0
                assert labels[test, k].sum() > 0
        assert 15 <= len(test) <= 25


@pytest.mark.parametrize(
    ("labels", "test"),
    [
        ([[0, 0]] * 10, 2),  # no labels at all: a fifth
        ([[1, 1], [1, 1]], 1),  # two images with both labels
        ([[1, 0], [0, 1]], 1),  # each label once: a test part all the same
    ],
)
def test_hard_splits_of_labels(labels: list[list[int]], test: int) -> None:
    assert [len(rows) for rows in labels_split(torch.tensor(labels))] == [len(labels) - test, test]


def test_one_image_cannot_be_split() -> None:
    with pytest.raises(UsageError, match="there is 1 image: splitting off a test part needs two or more"):
        labels_split(torch.tensor([[1]]))
