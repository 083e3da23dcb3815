"""Layouts that can be taken for another, files that are not images, and what is reported of them."""

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from reslab.errors import UsageError
from reslab.images.data import load

Fill = Callable[..., Path]


@pytest.mark.parametrize("names", [("training", "testing"), ("Training", "dev"), ("train", "eval"),
                                   ("TRAIN", "holdout"), ("train", "Evaluation")])  # fmt: skip
def test_other_names_of_parts(fill: Fill, tmp_path: Path, names: tuple[str, str]) -> None:
    for name in ("a", "b"):
        fill(f"d/{names[0]}/{name}", 3)
        fill(f"d/{names[1]}/{name}", 1)
    data = load(str(tmp_path / "d"))
    assert (data.classes, len(data.train), len(data.test)) == (("a", "b"), 6, 2)


def test_a_taxonomy_asks_for_the_level(fill: Fill, tmp_path: Path) -> None:
    for name in ("mammal/cat", "mammal/dog", "bird/owl"):
        fill(f"d/{name}", 5)
    with pytest.raises(UsageError, match=r"every folder in .*d holds only folders, such as bird/owl and mammal/cat: "
                       r"set level=1 if bird and mammal are classes, or level=2 if owl and cat are; if "):  # fmt: skip
        load(str(tmp_path / "d"))
    assert load(str(tmp_path / "d"), level=1).classes == ("bird", "mammal")
    data = load(str(tmp_path / "d"), level=2)
    assert data.classes == ("bird/owl", "mammal/cat", "mammal/dog")
    assert (len(data.train), len(data.test)) == (12, 3)


@pytest.mark.parametrize("names", [("set1", "set2"), ("train_images", "test_images"), ("fold_0", "fold_1")])
def test_parts_with_unknown_names_are_not_classes(fill: Fill, tmp_path: Path, names: tuple[str, str]) -> None:
    for part in names:
        for name in ("a", "b"):
            fill(f"d/{part}/{name}", 2)
    with pytest.raises(UsageError, match=r"holds only folders.* if the folders are parts, name them train and test"):
        load(str(tmp_path / "d"))


def test_a_folder_around_the_class_folders(fill: Fill, tmp_path: Path) -> None:
    fill("d/images/a", 2)
    fill("d/images/b", 2)
    with pytest.raises(UsageError, match=r"d holds one folder, images, .*such as a: give .*d/images if"):
        load(str(tmp_path / "d"))


def test_a_taxonomy_inside_the_parts(fill: Fill, tmp_path: Path) -> None:
    for part, n in (("train", 3), ("test", 1)):
        fill(f"d/{part}/mammal/cat", n)
        fill(f"d/{part}/bird/owl", n)
    with pytest.raises(UsageError, match="level=2 if owl and cat are"):
        load(str(tmp_path / "d"))
    assert load(str(tmp_path / "d"), level=2).classes == ("bird/owl", "mammal/cat")
    with pytest.raises(UsageError, match="level must be positive, got 0"):
        load(str(tmp_path / "d"), level=0)


def test_a_test_part_beside_the_classes(fill: Fill, tmp_path: Path) -> None:
    for name in ("a", "b", "test/a", "test/b"):
        fill(f"d/{name}", 2)
    with pytest.raises(UsageError, match=r"has test/ with class folders but no train/: add train/, or set level=1"):
        load(str(tmp_path / "d"))
    assert load(str(tmp_path / "d"), level=1).classes == ("a", "b", "test")
    shutil.move(tmp_path / "d/test", tmp_path / "d/more")
    with pytest.raises(UsageError, match=r"more holds folders with the names of classes \(a, b\) and no image"):
        load(str(tmp_path / "d"))


def test_hidden_folders_inside_a_class_hold_no_images_of_it(fill: Fill, tmp_path: Path) -> None:
    for name in ("a", "b"):
        fill(f"d/{name}", 4)
    for hidden in (".ipynb_checkpoints", ".Trash-1000/files", "__MACOSX", "@eaDir/1.jpg", "$RECYCLE.BIN", "lost+found",
                   "more/.thumbnails"):  # fmt: skip
        fill(f"d/a/{hidden}", 1)
    fill("d/a/more", 1)
    fill("d/.Trash-1000/files", 2)
    data = load(str(tmp_path / "d"))
    assert len(data.train) + len(data.test) == 9
    (ignored,) = data.ignored
    assert (ignored.reason, ignored.files) == ("hidden folder", 9)


def test_only_names_that_systems_make_are_hidden(fill: Fill, tmp_path: Path) -> None:
    """Speech Commands has a class __background__, trackers write #1, social media @name: all are classes."""
    classes = ("#1", "#x", "$x", "@x", "__background__", "_x", "recycle", "~x")
    for name in classes:
        fill(f"d/{name}", 5)
    for name in ("@eaDir", "$RECYCLE.BIN", "lost+found", ".x", "__MACOSX", "__pycache__", "#recycle"):
        fill(f"d/{name}", 1)
    data = load(str(tmp_path / "d"))
    assert data.classes == classes
    (ignored,) = data.ignored
    assert (ignored.reason, ignored.files) == ("hidden folder", 7)


def test_the_account_of_what_is_ignored(fill: Fill, tmp_path: Path) -> None:
    for name, n in (("ant", 16), ("bee", 16), ("cat", 16)):
        fill(f"d/train/{name}", n)
        fill(f"d/test/{name}", 4)
    fill("d/old/ant", 9)
    fill("d/train", 1)  # beside the class folders
    folder = tmp_path / "d/train/ant"
    for name in ("1.HEIC", "2.heic", "3", "4.txt", ".DS_Store", "Thumbs.db"):
        (folder / name).write_bytes(b"x")
    (folder / "linked").symlink_to(tmp_path / "d/train/bee", target_is_directory=True)
    (tmp_path / "d/train/dog").symlink_to(tmp_path / "nowhere", target_is_directory=True)
    data = load(str(tmp_path / "d"))
    found = {one.reason: (one.files, one.examples) for one in data.ignored}
    assert found == {
        "old/": (9, tuple(f"old/ant/{k}.png" for k in range(5))),
        ".heic": (2, ("train/ant/1.HEIC", "train/ant/2.heic")),
        "hidden file": (2, ("train/ant/.DS_Store", "train/ant/Thumbs.db")),
        "no extension": (1, ("train/ant/3",)),
        ".txt": (1, ("train/ant/4.txt",)),
        "linked folder": (1, ("train/ant/linked",)),
        "link that leads nowhere": (1, ("train/dog",)),
        "outside the class folders": (1, ("train/0.png",)),
    }
    assert data.line() == (
        "3 classes: ant, bee, cat; 48 + 12 images, RGB 8x8; 16 files ignored: old/ (9), .heic (2), .txt (1), "
        "link that leads nowhere (1), linked folder (1), no extension (1), outside the class folders (1)"
    )


def test_the_line_of_a_small_set(fill: Fill, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As it is shown before a training."""
    for name in ("ant", "bee", "cat"):
        fill(f"d/{name}", 20, size=(32, 32))
    for k in range(5):
        (tmp_path / f"d/ant/{k}.heic").write_bytes(b"x")
    with caplog.at_level("INFO", logger="reslab"):
        load(str(tmp_path / "d")).announce()
    line = "3 classes: ant, bee, cat; 48 + 12 images, RGB 32x32; 5 files ignored: .heic"
    assert caplog.messages == [f"d: {line}"]


def test_many_classes_are_not_all_named(fill: Fill, tmp_path: Path) -> None:
    for k in range(12):
        fill(f"d/c{k:02}", 2)
    assert load(str(tmp_path / "d")).line().startswith("12 classes: c00, c01, c02, ..., c11; 12 + 12 images")


def test_only_regular_files_are_read(fill: Fill, tmp_path: Path) -> None:
    """A fifo would wait for ever."""
    for name in ("a", "b"):
        folder = fill(f"d/{name}", 4)
    os.mkfifo(folder / "fifo.png")
    (folder / "device.png").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(folder / "s.png")) if len(str(folder)) < 90 else os.mkfifo(folder / "s.png")
        data = load(str(tmp_path / "d"))
    (ignored,) = data.ignored
    assert (ignored.reason, ignored.files) == ("not a regular file", 3)
    assert len(data.train) + len(data.test) == 8


@pytest.mark.parametrize("memory", [2**30, 0])
def test_links_that_lead_nowhere_are_broken_images(fill: Fill, tmp_path: Path, memory: int) -> None:
    """In memory and encoded: skipped and named in the training part, an error in the test part."""
    for name in ("a", "b"):
        fill(f"d/train/{name}", 3)
        fill(f"d/test/{name}", 1)
    (tmp_path / "d/train/a/9.png").symlink_to(tmp_path / "nowhere.png")
    data = load(str(tmp_path / "d"), memory=memory)
    if memory:
        assert data.skipped == ("train/a/9.png: there is no such file",)
    else:
        assert len(data.train) == 7
        assert data.line() == "2 classes: a, b; 7 + 2 images, RGB 8x8; 1 broken image"


def test_two_unicode_spellings_are_one_class(fill: Fill, tmp_path: Path) -> None:
    one, other = "caf\u00e9", "cafe\u0301"
    fill(f"d/train/{one}", 3)
    fill(f"d/train/{other}", 2)
    fill("d/train/tea", 2)
    fill(f"d/test/{other}", 1)
    fill("d/test/tea", 1)
    data = load(str(tmp_path / "d"))
    assert (data.classes, data.train.labels.tolist(), data.test.labels.tolist()) == (
        (one, "tea"),
        [0] * 5 + [1] * 2,
        [0, 1],
    )
    assert "are one class: the names differ only in how Unicode spells them" in data.line()


def test_names_that_look_alike_are_told(fill: Fill, tmp_path: Path) -> None:
    for name in ("cat", "cat ", "Dog", "dog", "owl"):
        fill(f"d/{name}", 5)
    line = load(str(tmp_path / "d")).line()
    assert "'cat' and 'cat ' are 2 classes, though their names are almost the same" in line
    assert "'Dog' and 'dog' are 2 classes" in line
    assert "owl'" not in line


@pytest.mark.parametrize("parts", [True, False])
def test_images_deeper_than_their_class_folder_are_told(fill: Fill, tmp_path: Path, parts: bool) -> None:
    """One stray image makes a class of a taxonomy's branch: 10 images of cats and dogs, 5 of owls."""
    for part in ("train/", "test/") if parts else ("",):
        for name in ("mammal/cat", "mammal/dog", "bird/owl", "mammal", "bird"):
            fill(f"d/{part}{name}", 1 if "/" not in name else 5)
    data = load(str(tmp_path / "d"))
    assert data.classes == ("bird", "mammal")
    first = "train/" if parts else ""
    assert (f"15 images lie in folders within the class folders, such as {first}bird/owl, {first}mammal/cat, "
            "and are of the outer class") in data.line()  # fmt: skip
    assert "lie in folders within" not in load(str(tmp_path / "d"), level=2).line()


def test_names_that_are_not_text(fill: Fill, tmp_path: Path) -> None:
    """Bytes that are no UTF-8, and a line break: the line stays one line that can be printed."""
    for name in (b"caf\xe9", b"a\nb"):
        folder = os.path.join(os.fsencode(tmp_path), b"d", name)
        os.makedirs(folder)
        for k in range(2):
            shutil.copy(fill("one", 1) / "0.png", os.path.join(folder, b"%d\xff.png" % k))
    for memory in (0, 2**30):
        line = load(str(tmp_path / "d"), memory=memory).line()
        assert line.startswith("2 classes: a\\nb, caf\\udce9; 2 + 2 images")


@pytest.mark.parametrize("empty_folder", [True, False])
def test_a_test_part_may_lack_a_class(fill: Fill, tmp_path: Path, empty_folder: bool) -> None:
    for name in ("a", "b"):
        fill(f"d/train/{name}", 3)
    fill("d/val/a", 2)
    if empty_folder:
        (tmp_path / "d/val/b").mkdir()
    data = load(str(tmp_path / "d"))
    assert data.test.labels.tolist() == [0, 0]
    assert "no test image of 1 class: b" in data.line()


def test_an_empty_test_part(fill: Fill, tmp_path: Path) -> None:
    fill("d/train/a", 2)
    (tmp_path / "d/test/a").mkdir(parents=True)
    with pytest.raises(UsageError, match=r"d/test holds no images; fill it or remove it"):
        load(str(tmp_path / "d"))


def test_an_empty_file_is_called_empty(fill: Fill, tmp_path: Path) -> None:
    folder = fill("d/train/a", 2)
    fill("d/test/a", 1)
    (folder / "9.png").touch()
    assert load(str(tmp_path / "d")).skipped == ("train/a/9.png: it is empty",)


def test_a_folder_is_read_without_a_home(fill: Fill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache's folder is not needed."""
    fill("d/a", 2)
    fill("d/b", 2)

    def homeless(path: Path) -> Path:
        if str(path).startswith("~"):
            raise RuntimeError("Could not determine home directory.")
        return path

    monkeypatch.setattr(Path, "expanduser", homeless)
    monkeypatch.delenv("RESLAB_DATA", raising=False)
    assert len(load(str(tmp_path / "d")).train) == 2
    with pytest.raises(UsageError, match="home folder is unknown"):
        load("~/pictures")
