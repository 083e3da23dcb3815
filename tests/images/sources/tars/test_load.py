"""WebDataset shards as --data: parts, labels, what is ignored, and the places that the index names."""

import io
import json
import pickle
import sys
import tarfile
from pathlib import Path

import pytest
from PIL import Image
from tars import examples, folder, png, shard

from reslab.errors import ReslabError, UsageError
from reslab.images.account import take
from reslab.images.data import Augment, Encoded, ImageData, Normalize, load, training_batches
from reslab.images.sources.tars import load as loading
from reslab.images.sources.tars.headers import members
from reslab.run import absolute


def reds(data: ImageData) -> list[int]:
    """The red values of the training and test images, in order."""
    return [int(part.pixels(i)[0, 0, 0]) for part in (data.train, data.test) for i in range(len(part))
            if isinstance(part, Encoded)]  # fmt: skip


def test_shards_are_split_and_read(tmp_path: Path) -> None:
    data = load(str(folder(tmp_path / "pets")), memory=0)
    assert (data.name, data.classes, len(data.train), len(data.test)) == ("pets", ("0", "1"), 24, 6)
    assert sorted(reds(data)) == list(range(30))
    assert [int(label) for label in data.train.labels] == [red % 2 for red in reds(data)[:24]]
    assert data.train.name(0) == f"data-000.tar member {reds(data)[0]:04d}.png"
    in_memory = load(str(tmp_path / "pets"))
    assert in_memory.train.pixels[:, 0, 0, 0].tolist() == reds(data)[:24]
    assert take(data).parts[0].by_class == (12, 12)


def test_in_memory_the_fingerprint_is_that_of_a_folder(tmp_path: Path) -> None:
    """It stands for classes, pixels and labels there, wherever these come from."""
    for k in range(10):
        (tmp_path / f"files/{k % 2}").mkdir(parents=True, exist_ok=True)
        (tmp_path / f"files/{k % 2}/{k}.png").write_bytes(png(k))
    order = [*range(0, 10, 2), *range(1, 10, 2)]
    shard(tmp_path / "one.tar", examples(order))
    packed, loose = load(str(tmp_path / "one.tar")), load(str(tmp_path / "files"))
    assert packed.fingerprint == loose.fingerprint
    other = [(name, png(99) if name == "0009.png" else content) for name, content in examples(order)]
    assert load(str(shard(tmp_path / "two.tar", other))).fingerprint != packed.fingerprint


def test_encoded_the_fingerprint_does_not_depend_on_the_packing(tmp_path: Path) -> None:
    folder(tmp_path / "a", shards=3, each=10)
    folder(tmp_path / "b", shards=2, each=15)
    one, other = (load(str(tmp_path / name), memory=0) for name in "ab")
    assert one.fingerprint == other.fingerprint
    assert one.fingerprint != load(str(folder(tmp_path / "c", shards=3, each=9)), memory=0).fingerprint


@pytest.mark.parametrize("format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_places_are_those_that_tarfile_finds(tmp_path: Path, format: int) -> None:
    """Long names, deep names, names that are not ASCII, empty members, folders and links, in each format."""
    names = ["a.png", "b/" * 60 + "c.png", "d/e.png", "x" * 60 + "/" + "y" * 90 + ".png"]
    names += [] if format == tarfile.USTAR_FORMAT else ["z" * 180 + ".png", "\u00e9t\u00e9/\u732b.png"]
    path = tmp_path / "s.tar"
    with tarfile.open(path, "w", format=format) as tar:
        tar.addfile(tarfile.TarInfo("d/"))
        tar.add(tmp_path, arcname="folder", recursive=False)
        link = tarfile.TarInfo("link.png")
        link.type, link.linkname, link.size = tarfile.SYMTYPE, "/etc/passwd", 0
        tar.addfile(link)
        for k, name in enumerate(names):
            about = tarfile.TarInfo(name)
            about.size = 700 * k
            tar.addfile(about, io.BytesIO(bytes([k + 1]) * about.size))
    with tarfile.open(path) as tar, path.open("rb") as file:
        known = [(one.name, one.offset_data, one.size) for one in tar if one.isfile()]
        known = [one for one in known if one[0].rstrip("/") != "d"]  # tarfile takes it for a file
        found = list(members(path, file, path.stat().st_size))
    assert [(one.name, one.offset, one.size) for one in found if one.regular] == known
    assert [one.name for one in found if not one.regular] == ["link.png"]


def test_a_size_may_stand_in_a_pax_record_alone(tmp_path: Path) -> None:
    """As that of a member above 8 GiB does: the field of the header holds 0."""
    path = tmp_path / "large.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in (("a.cls", b"1"), ("b.cls", b"0" * 700)):
            about = tarfile.TarInfo(name)
            about.size, about.pax_headers = len(content), {"size": str(len(content))}
            tar.addfile(about, io.BytesIO(content))
    data = bytearray(path.read_bytes())
    with tarfile.open(path) as tar:
        for one in tar:
            header = data[one.offset_data - 512 : one.offset_data]
            header[124:136], header[148:156] = b"0" * 11 + b"\0", b" " * 8
            header[148:156] = b"%06o\0 " % sum(header)
            data[one.offset_data - 512 : one.offset_data] = header
    path.write_bytes(data)
    with path.open("rb") as file:
        found = list(members(path, file, len(data)))
    with tarfile.open(path) as tar:
        assert [(one.name, one.offset, one.size) for one in found] == [
            (one.name, one.offset_data, one.size) for one in tar
        ]
    assert [one.size for one in found] == [1, 700]


@pytest.mark.parametrize(
    ("ending", "contents", "classes"),
    [
        ("cls", [b"1", b"0\n"] * 5, ("0", "1")),
        ("cls", [b"1.0", b"0"] * 5, ("0", "1")),
        ("cls", [b"1.5", b"0.5"] * 5, ("0.5", "1.5")),
        ("json", [b'{"label": 1.0}', b'{"label": 0}'] * 5, ("0", "1")),
        ("cls", [b"dog", b"cat"] * 5, ("cat", "dog")),
        ("txt", [b"dog", b" cat\n"] * 5, ("cat", "dog")),
        ("json", [b'{"label": 7, "w": 1}', b'{"label": 12, "w": 1}'] * 5, ("7", "12")),
        ("json", [b'{"class": "dog"}', b'{"class": "cat"}'] * 5, ("cat", "dog")),
        ("json", [b'"dog"', b'"cat"'] * 5, ("cat", "dog")),
    ],
)
def test_labels(tmp_path: Path, ending: str, contents: list[bytes], classes: tuple[str, ...]) -> None:
    pairs = [pair for k, content in enumerate(contents) for pair in ((f"{k}.png", png(k)), (f"{k}.{ending}", content))]
    assert load(str(shard(tmp_path / "s.tar", pairs))).classes == classes


def test_class_names_beside_the_shards(tmp_path: Path) -> None:
    folder(tmp_path / "pets")
    (tmp_path / "pets/classes.txt").write_text("cat\ndog\n")
    assert load(str(tmp_path / "pets")).classes == ("cat", "dog")
    (tmp_path / "pets/classes.txt").write_text("cat\n")
    with pytest.raises(
        UsageError, match=r"data-000.tar member 0001.png has label 1, which is not one of the 1 classes"
    ):
        load(str(tmp_path / "pets"))


def test_several_labels(tmp_path: Path) -> None:
    tags = [["sea"], ["sea", "sun"], [], ["sun"]] * 5
    pairs = [pair for k, tag in enumerate(tags)
             for pair in ((f"{k}.png", png(k)), (f"{k}.json", json.dumps({"labels": tag}).encode()))]  # fmt: skip
    data = load(str(shard(tmp_path / "s.tar", pairs)))
    assert (data.classes, data.several) == (("sea", "sun"), True)
    assert data.train.labels.sum(0).tolist() == [8, 8]


def test_a_txt_stands_in_for_a_json_without_a_label(tmp_path: Path) -> None:
    pairs = [(f"{k}.{end}", content) for k in range(10) for end, content in
             (("png", png(k)), ("json", b'{"url": "x"}'), ("txt", b"ab"[k % 2 :][:1]))]  # fmt: skip
    assert load(str(shard(tmp_path / "s.tar", pairs))).classes == ("a", "b")


def test_parts_by_names_and_by_folders(tmp_path: Path) -> None:
    for name, first in (("train-0", 0), ("train-1", 10), ("val-0", 20), ("test-0", 30), ("extra", 40)):
        shard(tmp_path / f"files/{name}.tar", examples(range(first, first + 10)))
        shard(tmp_path / f"folders/{name[:-2]}/0{name[-1]}.tar", examples(range(first, first + 10)))
    for word in ("files", "folders"):
        data = load(str(tmp_path / word), memory=0)
        assert reds(data) == [*range(20), *range(30, 40)]
        assert data.validation is not None
        assert len(data.validation) == 10
        assert data.line().endswith("1 file ignored: not a train or test shard")
    pattern = str(tmp_path / "folders/{train,val}/0{0,1}.tar")
    with pytest.raises(UsageError, match=r"folders/val/01.tar does not exist: the pattern"):
        load(pattern)
    assert reds(load(pattern.replace("0{0,1}", "*"), memory=0)) == list(range(30))
    for name in ("test-0", "val-0"):
        (tmp_path / f"files/{name}.tar").unlink()
    with pytest.raises(UsageError, match=r"files needs train\*.tar and test\*.tar .* but holds extra.tar, train-0.tar"):
        load(str(tmp_path / "files"))


def test_patterns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder(tmp_path / "a", shards=12, each=3, name="train")
    for word in ("a/train-{000..011}.tar", "a/train-*.tar", "a/train-0{00,01,02}.tar", "a/train-0{0[0-9],10,11}.tar"):
        data = load(str(tmp_path / word), memory=0)
        n = 9 if "00,01" in word else 36
        assert (sorted(reds(data)), data.split) == (list(range(n)), True)
    with pytest.raises(UsageError, match=r"a/train-012.tar does not exist, nor do 2 more of the 15: the pattern"):
        load(str(tmp_path / "a/train-{000..014}.tar"))
    with pytest.raises(UsageError, match=r"no .tar file matches .*/b-\*.tar"):
        load(str(tmp_path / "a/b-*.tar"))
    assert len(load(str(tmp_path / "a/train-{000..011..5}.tar"), memory=0).train) == 9 - 2  # 0, 5 and 10
    with pytest.raises(UsageError, match="counts from 5 to 7 by 0"):
        load(str(tmp_path / "a/train-{5..7..0}.tar"))
    with pytest.raises(UsageError, match="counts from 5 to 2"):
        load(str(tmp_path / "a/train-{5..2}.tar"))
    monkeypatch.chdir(tmp_path)
    assert absolute("a/train-{000..011}.tar") == str(tmp_path / "a/train-{000..011}.tar")  # as a run stores it


def test_an_archive_beside_its_folder_of_images_is_ignored(tmp_path: Path) -> None:
    for k in range(10):
        (tmp_path / f"d/{k % 2}").mkdir(parents=True, exist_ok=True)
        (tmp_path / f"d/{k % 2}/{k}.png").write_bytes(png(k))
    shard(tmp_path / "d/images.tar", examples(range(3)))
    assert load(str(tmp_path / "d")).line().endswith("1 file ignored: .tar")


def test_what_is_not_used_is_counted_and_pickles_are_never_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (sys.exit, ("unpickled",))

    pairs = [(f"{k}.{end}", content) for k in range(10) for end, content in
             (("png", png(k)), ("cls", str(k % 2).encode()), ("pyd", pickle.dumps(Bomb())), ("seg.png", b""),
              ("__key__", b""))]  # fmt: skip
    data = load(str(shard(tmp_path / "s.tar", [*pairs, ("._0.png", b"x"), ("README", b"x")])))
    assert {one.reason: one.files for one in data.ignored} == {
        ".pyd (pickled: never read)": 10, ".seg.png": 10, ".__key__": 10, "hidden file": 1, "no extension": 1,
    }  # fmt: skip


def test_names_are_never_paths(tmp_path: Path) -> None:
    """Absolute names and those that lead out are names of members; nothing is unpacked."""
    pairs = examples(range(10), key="../../{}") + examples(range(10, 20), key="/etc/{}")
    path = shard(tmp_path / "in/s.tar", pairs)
    data = load(str(path))
    assert len(data.train) == 16
    assert sorted(one.name for one in tmp_path.rglob("*")) == [".reslab-index", "in", "s.tar", "s.tar.index"]


def test_broken_images_are_skipped_in_training_and_named(tmp_path: Path) -> None:
    pairs = examples(range(10))
    pairs[4] = (pairs[4][0], b"oops")
    shard(tmp_path / "d/train.tar", pairs)
    shard(tmp_path / "d/test.tar", examples(range(4)))
    why = "it is not an image that Pillow can read as BMP, GIF, JPEG, PNG, PPM, TIFF or WebP"
    data = load(str(tmp_path / "d"))
    assert data.skipped == (f"train.tar member 0002.png: {why}",)
    stay = load(str(tmp_path / "d"), memory=0)
    normalize = Normalize.from_dict({"mean": [[[0.0]]], "std": [[[1.0]]]})
    batches = training_batches(stay.train, batch=10, start=0, stop=1, seed=0, augment=Augment(kind="none"),
                               normalize=normalize, device="cpu")  # fmt: skip
    assert next(batches).skipped == data.skipped


def test_the_index_lies_in_the_cache_where_the_folder_is_not_writable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path, write: object, **_: object) -> Path:
        if ".reslab-index" in str(path):
            raise ReslabError(f"cannot write {path}: permission denied")
        return write_aside(path, write)

    from reslab.images.sources.tars import index

    write_aside = index.write_aside
    monkeypatch.setattr(index, "write_aside", refused)
    data = load(str(folder(tmp_path / "d")), root=tmp_path / "cache")
    assert len(list((tmp_path / "cache/shards").rglob("*.index"))) == 3
    monkeypatch.setattr(loading, "make_all", None)  # not made again
    assert load(str(tmp_path / "d"), root=tmp_path / "cache").fingerprint == data.fingerprint


def test_headers_in_the_index_are_those_of_the_images(tmp_path: Path) -> None:
    """What the survey of an index says is what reading each image's header says."""
    from reslab.images.data.survey import Headers, survey

    out = io.BytesIO()
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new("L", (6, 9)).save(out, "JPEG", exif=turned)
    deep = io.BytesIO()
    Image.new("I;16", (7, 7)).save(deep, "PNG")
    pairs = [*examples(range(8)), ("g.jpg", out.getvalue()), ("g.cls", b"0"), ("h.png", deep.getvalue()),
             ("h.cls", b"1"), ("i.png", b""), ("i.cls", b"0")]  # fmt: skip
    data = load(str(shard(tmp_path / "s.tar", pairs)), memory=0, root=tmp_path)
    assert isinstance(data.train, Encoded)
    sources, rows = data.train.sources, data.train.rows
    for limit in (None, 10):
        fast = survey(sources, rows, limit=limit)
        slow = [found for _, found in Headers(sources, rows, limit)[0]]
        sizes = {(one.height, one.width) for one in slow if not isinstance(one, tuple)}
        assert set(fast.sizes) == sizes
        assert sum(fast.modes.values()) == sum(not isinstance(one, tuple) for one in slow)
        assert [(one.name, one.reason) for one in fast.broken] == [one for one in slow if isinstance(one, tuple)]
