"""`reslab data prepare`: what is written, what stays as it is, and what an interruption leaves."""

import csv
import io
import json
import os
import signal
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from prepared import jpeg, shards

from reslab.errors import OtherSettings, ReslabError, UsageError
from reslab.images.data import Augment, Encoded, ImageData, Normalize, load, training_batches
from reslab.images.data.decode import Reading
from reslab.images.prepare import fill, job
from reslab.images.prepare.encode import Form
from reslab.images.prepare.job import Asked
from reslab.images.prepare.verify import faults, manifest_in
from reslab.train.signals import Interrupted

FORM = Form(side=288, quality=90, reading=Reading())


@pytest.fixture(scope="module")
def pets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty small JPEGs of two classes, some with dots in their names."""
    root = tmp_path_factory.mktemp("pets") / "pets"
    for name in ("cat", "dog"):
        (root / name).mkdir(parents=True)
        for k in range(20):
            (root / name / f"{name}.{k}.v2.jpg").write_bytes(jpeg(24 + k, 20, quality=75))
    return root


def stream(data: ImageData, *, start: int = 0, stop: int = 6, workers: int = 0) -> Iterator[Any]:
    gray = Normalize.from_dict({"mean": [[[0.0]]] * 3, "std": [[[1.0]]] * 3})
    augment = Augment(kind="none", flip=True)
    return training_batches(data.train, batch=7, start=start, stop=stop, seed=3, augment=augment, normalize=gray,
                            device="cpu", workers=workers)  # fmt: skip


def test_training_from_shards_sees_the_same_examples_in_the_same_order(pets: Path, tmp_path: Path) -> None:
    """Small JPEGs are copied, so that even the pixels are equal; in memory, so is the fingerprint."""
    manifest = shards(pets, tmp_path / "s", shard_images=9)
    assert (manifest.copied, [one.images for one in manifest.parts["train"]]) == (40, [9, 9, 9, 5])
    for memory in (0, 2**31):
        loose, packed = (load(str(word), memory=memory) for word in (pets, tmp_path / "s"))
        assert (packed.classes, packed.split, len(packed.test)) == (loose.classes, loose.split, 8)
        for one, other in zip(stream(loose), stream(packed, workers=2 * (memory == 0)), strict=True):
            assert torch.equal(one.index, other.index)
            assert torch.equal(one.x, other.x)
            assert torch.equal(one.y, other.y)
    assert loose.fingerprint == packed.fingerprint


def test_members(pets: Path, tmp_path: Path) -> None:
    """WebDataset splits names at the first dot, so keys have none; Python's tarfile reads what is written."""
    manifest = shards(pets, tmp_path / "s")
    with tarfile.open(tmp_path / "s/train-00000.tar") as tar:
        names = tar.getnames()
        label = tar.extractfile(names[-1])
        assert label is not None
        assert label.read() == b"1"
        image = tar.extractfile(names[0])
        assert image is not None
        first = load(str(pets), memory=0).train
        assert isinstance(first, Encoded)
        assert image.read() == (pets / first.name(0)).read_bytes()
        known = first.name(0).removesuffix(".jpg").replace("cat.", "cat_").replace(".v2", "_v2")
    assert names[:2] == [known.replace("/", "/00000000-") + ending for ending in (".jpg", ".cls")]
    assert len(names) == 64
    assert (manifest.complete, manifest.split, manifest.classes) == (True, True, ["cat", "dog"])


def test_the_same_images_give_the_same_bytes(pets: Path, tmp_path: Path) -> None:
    one, other = (shards(pets, tmp_path / name) for name in "ab")
    assert one.parts == other.parts


@pytest.mark.parametrize(
    ("content", "copied", "size"),
    [
        (jpeg(300, 288), True, (300, 288)),
        (jpeg(40, 30), True, (40, 30)),  # never enlarged
        (jpeg(40, 30, mode="L"), True, (40, 30)),
        (jpeg(40, 30, mode="CMYK"), False, (40, 30)),
        (jpeg(400, 300), False, (384, 288)),
        (jpeg(300, 400), False, (288, 384)),
        (jpeg(2000, 1000), False, (576, 288)),
    ],
)
def test_sizes(content: bytes, copied: bool, size: tuple[int, int]) -> None:
    found = FORM.written(content, name="x")
    with Image.open(io.BytesIO(found.content)) as image:
        assert (found.copied, image.size, image.format) == (copied, size, "JPEG")
    assert not copied or found.content == content


def test_an_image_is_turned_upright_once() -> None:
    """EXIF orientation 6: the top of the image is on the right of the file."""
    turned = Image.Exif()
    turned[0x0112] = 6
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[:, :30, 0] = 255  # the left half of the file, the upper half of the image
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "JPEG", exif=turned)
    found = FORM.written(out.getvalue(), name="x")
    with Image.open(io.BytesIO(found.content)) as image:
        assert (found.copied, image.size, dict(image.getexif())) == (False, (40, 60), {})
        red = np.asarray(image)[..., 0]
    assert red[:25].min() > 200
    assert red[-25:].max() < 50


def test_other_formats(tmp_path: Path) -> None:
    """16-bit gray is scaled as in training; transparency becomes white; a strip longer than a JPEG stays exact."""
    deep = io.BytesIO()
    Image.fromarray(np.array([[0, 1000], [2000, 4000]], np.uint16)).save(deep, "PNG")
    form = Form(side=288, quality=95, reading=Reading(gray={"16-bit": (0.0, 4000.0)}))
    with Image.open(io.BytesIO(form.written(deep.getvalue(), name="x").content)) as image:
        assert image.mode == "L"
        assert np.abs(np.asarray(image).astype(int) - [[0, 64], [128, 255]]).max() < 6
    clear = io.BytesIO()
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(clear, "PNG")
    with Image.open(io.BytesIO(FORM.written(clear.getvalue(), name="x").content)) as image:
        assert np.asarray(image).min() > 250
    strip = io.BytesIO()
    Image.new("L", (70_000, 2), 9).save(strip, "PNG")
    assert FORM.written(strip.getvalue(), name="x").ending == "png"


def test_broken_images_are_left_out_and_listed(tmp_path: Path, fill: Callable[..., Path]) -> None:
    for name in ("train/a", "train/b", "test/a", "test/b"):
        fill(f"d/{name}", 6)
    good = jpeg(30, 20)
    (tmp_path / "d/train/a/3.png").write_bytes(b"oops")
    (tmp_path / "d/train/a/x.jpg").write_bytes(good[: len(good) // 2])  # small, but must not be copied
    (tmp_path / "d/test/b/5.png").write_bytes(b"")
    manifest = shards(tmp_path / "d", tmp_path / "s")
    assert [one.partition(":")[0] for one in manifest.skipped] == ["train/a/3.png", "train/a/x.jpg", "test/b/5.png"]
    data = load(str(tmp_path / "s"))
    assert (len(data.train), len(data.test), data.split) == (11, 11, False)
    assert "prepared without 3 broken images" in data.line()
    assert data.train.labels.tolist() == [0] * 5 + [1] * 6


def test_several_labels_and_three_parts(tmp_path: Path) -> None:
    rows = [("file", "sea", "sun", "split")]
    for k in range(12):
        (tmp_path / f"{k}.jpg").write_bytes(jpeg(10, 10))
        rows.append((f"{k}.jpg", str(k % 2), str(k // 2 % 2), ("train", "train", "val", "test")[k % 4]))
    with (tmp_path / "list.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    manifest = shards(tmp_path / "list.csv", tmp_path / "s")
    assert sorted(one.name for one in (tmp_path / "s").glob("*.tar")) == [
        "test-00000.tar", "train-00000.tar", "val-00000.tar"]  # fmt: skip
    packed, loose = load(str(tmp_path / "s")), load(str(tmp_path / "list.csv"))
    assert manifest.several
    assert packed.fingerprint == loose.fingerprint
    assert packed.validation is not None


def test_published_data(tmp_path: Path) -> None:
    """Digits are in memory: their images of 8 x 8 go through JPEG as those of files do."""
    shards("digits", tmp_path / "s")
    packed, known = load(str(tmp_path / "s")), load("digits")
    assert (packed.classes, packed.shape, packed.split) == (known.classes, known.shape, known.split)
    assert torch.equal(packed.train.labels, known.train.labels)
    assert not isinstance(packed.train, Encoded)
    assert not isinstance(known.train, Encoded)
    assert (packed.train.pixels.float() - known.train.pixels.float()).abs().mean() < 5


def interrupted_at(monkeypatch: pytest.MonkeyPatch, image: int, harm: Callable[[], None]) -> None:
    """`harm` happens when this many images have been added to shards."""
    real, seen = fill.ShardFile.add, [0]

    def add(file: fill.ShardFile, members: Any) -> None:
        seen[0] += 1
        if seen[0] == image:
            harm()
        real(file, members)

    monkeypatch.setattr(fill.ShardFile, "add", add)


@pytest.mark.parametrize("image", [1, 9, 10, 30, 33, 40])
def test_an_interruption_at_any_image_changes_nothing(
    pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, image: int
) -> None:
    """After SIGTERM, only whole shards are there, and training on them is refused; the same command ends the work."""
    whole = shards(pets, tmp_path / "whole", shard_images=9)
    with monkeypatch.context() as patch:
        interrupted_at(patch, image, lambda: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(Interrupted, match=r"run the same command again") as found:
            shards(pets, tmp_path / "s", shard_images=9)
    assert found.value.exit_code == 128 + signal.SIGTERM
    sizes = {one.file: one.bytes for part in whole.parts.values() for one in part}
    here = [one for one in (tmp_path / "s").iterdir() if ".tar" in one.name]
    assert all(one.stat().st_size == sizes[one.name] for one in here)
    if (tmp_path / "s/reslab-shards.json").exists():
        with pytest.raises(ReslabError, match=r"is not prepared yet: run `reslab data prepare` again"):
            load(str(tmp_path / "s"))
    assert shards(pets, tmp_path / "s", shard_images=9) == whole


def test_what_a_killed_process_leaves_is_swept(pets: Path, tmp_path: Path) -> None:
    whole = shards(pets, tmp_path / "a")
    out = tmp_path / "s"
    data = load(str(pets), memory=0)
    job.begun(data, out, str(pets), Asked())
    (out / ".train-00000.tar.99999.part").write_bytes(b"half")
    assert shards(pets, out).parts == whole.parts
    assert not list(out.glob(".*.part"))


def test_a_full_disk_leaves_whole_shards(pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> None:
        raise OSError(28, "No space left on device")

    real = fill.ShardFile.write

    def write(file: fill.ShardFile, data: bytes) -> None:
        from reslab.stored.write import explained

        with explained(file.path):
            if file.path.name == "train-00001.tar" and file.images == 3:
                full()
        real(file, data)

    with monkeypatch.context() as patch:
        patch.setattr(fill.ShardFile, "write", write)
        with pytest.raises(ReslabError, match=r"train-00001.tar: the disk is full"):
            shards(pets, tmp_path / "s", shard_images=9)
    assert sorted(one.name for one in (tmp_path / "s").iterdir()) == ["reslab-shards.json", "train-00000.tar"]
    monkeypatch.setattr(job.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    with pytest.raises(ReslabError, match=r"s needs about .* MB, and 0.001 MB are free; choose another folder"):
        shards(pets, tmp_path / "s", shard_images=9)


def harms(path: Path) -> Iterator[None]:
    """A byte of an image, the end, the file."""
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    yield
    path.write_bytes(content[:-600])
    yield
    path.unlink()
    yield


def test_damaged_shards_are_found_and_written_anew(pets: Path, tmp_path: Path) -> None:
    whole = shards(pets, tmp_path / "s", shard_images=9)
    path, said = tmp_path / "s/train-00001.tar", []
    for _ in harms(path):
        found = faults(tmp_path / "s", manifest_in(tmp_path / "s"), cache=tmp_path)
        assert list(found) == [("train", 1)]
        said += found.values()
        assert shards(pets, tmp_path / "s", shard_images=9) == whole
        assert faults(tmp_path / "s", whole, cache=tmp_path) == {}
    assert "SHA-256" in said[0]
    assert "it is missing" in said[2]
    path.unlink()
    with pytest.raises(ReslabError, match=r"train-00001.tar is missing, which reslab-shards.json lists"):
        load(str(tmp_path / "s"))
    path.write_bytes(b"x")
    with pytest.raises(ReslabError, match=r"train-00001.tar has 1 bytes, and had [\d,]+ when it was prepared"):
        load(str(tmp_path / "s"))


def test_other_settings_and_other_folders_are_refused(pets: Path, tmp_path: Path) -> None:
    shards(pets, tmp_path / "s")
    with pytest.raises(OtherSettings, match=r"prepared with side 288, .*, and side 64, quality 90, .* is asked for"):
        shards(pets, tmp_path / "s", side=64)
    with pytest.raises(OtherSettings, match=r"s was prepared from other images"):
        shards("digits", tmp_path / "s")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/letter.txt").write_text("x")
    with pytest.raises(UsageError, match=r"mine is not empty and holds no prepared shards; choose another folder"):
        shards(pets, tmp_path / "mine")
    assert [one.name for one in (tmp_path / "mine").iterdir()] == ["letter.txt"]
    for asked in ({"side": 0}, {"quality": 101}, {"shard_mb": 0}, {"shard_images": 0}):
        with pytest.raises(UsageError, match=f"{next(iter(asked))} must be"):
            shards(pets, tmp_path / "t", **asked)
    assert not (tmp_path / "t").exists()


def test_a_manifest_that_was_changed_is_refused(pets: Path, tmp_path: Path) -> None:
    shards(pets, tmp_path / "s")
    path = tmp_path / "s/reslab-shards.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "classes": ["dog", "cat"]}))
    with pytest.raises(ReslabError, match=r"reslab-shards.json was changed after reslab wrote it"):
        load(str(tmp_path / "s"))
