"""What `reslab data prepare` notices of its own shards, and what broken images change."""

import os
import shutil
import signal
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from prepared import jpeg, shards

from reslab.errors import BrokenImage, OtherSettings, ReslabError
from reslab.images.data import Augment, Encoded, ImageData, Normalize, load, training_batches
from reslab.images.data.decode import Reading
from reslab.images.prepare import job
from reslab.images.prepare.encode import Form
from reslab.images.prepare.shard import ShardFile
from reslab.images.prepare.verify import fault, faults
from reslab.images.sources.tars.index import make, places, stored
from reslab.train.signals import Interrupted


@pytest.fixture
def birds(tmp_path: Path) -> Path:
    """Two classes of ten training images and four test images."""
    root = tmp_path / "birds"
    for part, n in (("train", 10), ("test", 4)):
        for name in ("owl", "wren"):
            (root / part / name).mkdir(parents=True)
            for k in range(n):
                (root / part / name / f"{k}.jpg").write_bytes(jpeg(20, 16))
    return root


def test_a_changed_byte_is_noticed_when_the_index_is_made(birds: Path, tmp_path: Path) -> None:
    """A label that became another class, in a file of the same size: also where an index that did not compare is."""
    shards(birds, tmp_path / "s")
    good, path = load(str(tmp_path / "s"), memory=0), tmp_path / "s/train-00000.tar"
    whole = path.read_bytes()
    with tarfile.open(path) as tar:
        place = tar.getmember(tar.getnames()[1]).offset_data
    path.write_bytes(whole[:place] + b"1" + whole[place + 1 :])
    said = r"train-00000.tar is not as it was prepared: its SHA-256 is not the one that reslab-shards.json lists; copy"
    for _ in range(2):
        with pytest.raises(ReslabError, match=said):
            load(str(tmp_path / "s"), memory=0)
        make(path, tmp_path / "s")  # as if there were no manifest
        assert stored(path, tmp_path) is not None
    path.write_bytes(whole)
    assert load(str(tmp_path / "s"), memory=0).fingerprint == good.fingerprint
    index = places(path, tmp_path)[0]
    was = index.stat().st_mtime_ns
    load(str(tmp_path / "s"), memory=0)
    assert index.stat().st_mtime_ns == was  # compared once


def test_examples_are_counted_and_their_headers_read(birds: Path, tmp_path: Path) -> None:
    """A shard with the right digest that holds another number of examples, or an image that is none."""
    known = shards(birds, tmp_path / "s").parts["test"][0]
    path = tmp_path / "s" / known.file
    assert fault(path, known, tmp_path) == ""
    assert fault(path, replace(known, images=9), tmp_path) == "it holds 8 examples, and 9 were written"
    with ShardFile(tmp_path / "x.tar", 0) as file:
        file.add([("0.jpg", jpeg(8, 8)), ("0.cls", b"0")])
        file.add([("1.jpg", b"oops"), ("1.cls", b"0")])
        odd = file.close(2)
    assert fault(tmp_path / "x.tar", odd, tmp_path).startswith("an image in it cannot be read (it is not an image that")


@pytest.mark.parametrize("cut", [2, 60])
def test_a_small_jpeg_with_damaged_pixels_is_not_copied(cut: int) -> None:
    """Its header is whole, and its size fits; only its pixels end early."""
    whole = jpeg(40, 30)
    form = Form(side=288, quality=90, reading=Reading())
    assert form.written(whole, name="x").copied
    with pytest.raises(BrokenImage, match=r"runcated"):
        form.written(whole[:-cut], name="x")


def test_broken_images_after_the_last_shard(birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They belong to the shard before them; after an interruption they are neither read nor listed again."""
    for k in (7, 8, 9):
        (birds / f"train/wren/{k}.jpg").write_bytes(b"oops")

    def stopping(*_: Any, stopped: Any, **__: Any) -> dict[Any, str]:
        os.kill(os.getpid(), signal.SIGTERM)
        stopped()
        return {}

    with monkeypatch.context() as patch:
        patch.setattr(job, "faults", stopping)
        with pytest.raises(Interrupted, match=r"holds 28 of 28 images in whole shards"):
            shards(birds, tmp_path / "s", shard_images=17)
    manifest = shards(birds, tmp_path / "s", shard_images=17)
    assert [(one.start, one.stop, one.images) for one in manifest.parts["train"]] == [(0, 20, 17)]
    assert [one.partition(":")[0] for one in manifest.skipped] == [f"train/wren/{k}.jpg" for k in (7, 8, 9)]
    assert faults(tmp_path / "s", manifest, cache=tmp_path) == {}
    assert len(load(str(tmp_path / "s")).train) == 17


def test_the_fingerprint_stands_for_classes_and_parts(birds: Path, tmp_path: Path) -> None:
    """So a folder that was begun from other classes, or with fewer images of a part, is never filled on."""
    shards(birds, tmp_path / "s")
    for part in ("train", "test"):
        (birds / part / "wren").rename(birds / part / "wrex")
    with pytest.raises(OtherSettings, match="s was prepared from other images"):
        shards(birds, tmp_path / "s")
    for part in ("train", "test"):
        (birds / part / "wrex").rename(birds / part / "wren")
    shards(birds, tmp_path / "s")
    (birds / "test/wren/3.jpg").unlink()
    with pytest.raises(OtherSettings, match="s was prepared from other images"):
        shards(birds, tmp_path / "s")


def seen(data: ImageData) -> list[torch.Tensor]:
    """The images of the first five batches, as the training sees them."""
    plain = Normalize.from_dict({"mean": [[[0.0]]] * 3, "std": [[[1.0]]] * 3})
    augment = Augment(kind="none", flip=True)
    batches = training_batches(data.train, batch=4, start=0, stop=5, seed=0, augment=augment, normalize=plain,
                               device="cpu")  # fmt: skip
    return [batch.x for batch in batches]


def test_broken_images_leave_the_order_only_of_data_in_memory(birds: Path, tmp_path: Path) -> None:
    """Shards hold 19 images. In memory, so do the data; encoded, the broken one keeps its place in the order of 20."""
    shutil.copytree(birds, tmp_path / "whole")
    (birds / "train/owl/3.jpg").write_bytes(b"oops")
    for source, same in ((tmp_path / "whole", True), (birds, False)):
        out = tmp_path / f"s-{source.name}"
        shards(source, out)
        for memory in (0, 2**31):
            loose, packed = (load(str(word), memory=memory) for word in (source, out))
            assert isinstance(loose.train, Encoded) == (memory == 0)
            assert len(packed.train) == (20 if same else 19)
            assert len(loose.train) == (19 if memory and not same else 20)
            alike = all(
                a.shape == b.shape and torch.equal(a, b) for a, b in zip(seen(loose), seen(packed), strict=True)
            )
            assert alike is (same or memory > 0)


def test_keys_are_plain(birds: Path, tmp_path: Path) -> None:
    """The number of the image, and the name of its file or member; no dot, no space, and of a table only the number."""
    (birds / "train/owl/0.jpg").rename(birds / "train/owl/an owl. (1).jpg")
    shards(birds, tmp_path / "s")
    shards(tmp_path / "s", tmp_path / "again")
    keys = {}
    for name in ("s", "again"):
        with tarfile.open(tmp_path / name / "train-00000.tar") as tar:
            keys[name] = [one for one in tar.getnames() if one.endswith(".jpg")]
    assert keys["s"][0] == "owl/00000000-1.jpg"
    assert "owl/00000009-an_owl__(1).jpg" in keys["s"]
    assert keys["again"][0] == "owl/00000000-00000000-1.jpg"
    pa, pq = (pytest.importorskip(name) for name in ("pyarrow", "pyarrow.parquet"))
    rows = pa.table({"image": [jpeg(8, 8) for _ in range(10)], "label": [k % 2 for k in range(10)]})
    pq.write_table(rows, tmp_path / "some.parquet")
    shards(tmp_path / "some.parquet", tmp_path / "t")
    with tarfile.open(tmp_path / "t/train-00000.tar") as tar:
        assert tar.getnames()[:4] == ["00000000.jpg", "00000000.cls", "00000001.jpg", "00000001.cls"]
