"""Shards with a fault: each gives one sentence that names shard and member, in whatever process it is found."""

import bz2
import gzip
import io
import lzma
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tars import examples, folder, png, shard

from reslab.errors import ReslabError, UsageError
from reslab.images.data import Augment, Encoded, Normalize, load, training_batches
from reslab.images.sources.tars.index import make, places, stored

GRAY = Normalize.from_dict({"mean": [[[0.0]]], "std": [[[1.0]]]})
GOOD = examples(range(10))


def changed(**new: bytes | None) -> list[tuple[str, bytes]]:
    """The good members with some contents replaced, or left out (None), by names with _ for the dot."""
    replaced = [(name, new.get(f"_{name.replace('.', '_')}", content)) for name, content in GOOD]
    return [(name, content) for name, content in replaced if content is not None]


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        (changed(_0003_cls=None), r"s.tar: the image 0003.png has no label beside it: write it as 0003.cls, .json .*"),
        (changed(_0003_png=None), r"s.tar: the member 0003.cls has no image beside it; write the image, or .*"),
        ([*GOOD[:4], ("0001.png", png(1)), *GOOD[4:]], r"s.tar has the member 0001.png twice; write it again with one"),
        ([*GOOD[:4], ("0001.cls", b"1"), *GOOD[4:]], r"s.tar has the member 0001.cls twice; write it again with one"),
        ([*GOOD[:4], ("0001.jpg", png(1)), *GOOD[4:]],
         r"s.tar has two images of the key 0001: 0001.png and 0001.jpg; write it again with one"),
        ([*GOOD, ("0001.jpg", png(1)), ("0001.cls", b"1")],
         r"s.tar has members of the key 0001 in two places, the second at 0001.jpg; .*"),
        (changed(_0004_cls=b""), r"s.tar: the member 0004.cls is empty"),
        (changed(_0004_cls=b"x" * 1001), r"s.tar: the member 0004.cls has 1,001 characters; a class name has .*"),
        (changed(_0004_cls=b"x" * (2**20 + 1)), r"s.tar: the member 0004.cls has 1,048,577 bytes, and a label .*"),
        (changed(_0004_cls=b"\xff\xfe"), r"s.tar: the member 0004.cls is no text in UTF-8, so it holds no label"),
        ([("a.v2.png", png(1)), ("a.cls", b"1")],
         r"s.tar: the member a.cls has no image beside it, only .v2.png \(a name is split at its first dot\); .*"),
        ([*GOOD, ("x.png", png(1)), ("x.txt", b"1")],
         r"s.tar: the image x.png has its label in .txt, and those before it have theirs in .cls; write all .*"),
        ([("a.png", png(1)), ("a.json", b"{")], r"s.tar: the member a.json is no JSON, so it holds no label"),
        ([("a.png", png(1)), ("a.json", b'{"b": 1}')], r"s.tar: the member a.json has no key label; its keys are b"),
        ([("a.png", png(1)), ("a.json", b'{"label": 1.5}')], r"s.tar: the member a.json has the label 1.5; a .*"),
        ([("a.png", png(1)), ("a.json", b"[" * 10**5)], r"s.tar: the member a.json is no JSON, so it holds no label"),
        ([], r"s.tar holds no images with labels"),
        ([("x.npy", b"1")], r"s.tar holds no images with labels, but 1 other member, such as x.npy: its key is 'x' .*"),
        ([("v1.0.png", png(1)), ("v1.0.cls", b"1")],
         r"s.tar holds no images with labels, but 2 other members, such as v1.0.cls: its key is 'v1' and its kind "
         r".0.cls, as a key ends at the first dot"),
    ],
)  # fmt: skip
def test_members_that_do_not_fit(tmp_path: Path, members: list[tuple[str, bytes]], sentence: str) -> None:
    shard(tmp_path / "s.tar", members)
    with pytest.raises(ReslabError, match=f"{sentence}$") as found:
        load(str(tmp_path / "s.tar"))
    assert len(str(found.value).splitlines()) == 1


def test_a_shard_cut_anywhere_is_refused(tmp_path: Path) -> None:
    """At every boundary of a block, and within blocks: only the whole tar, with its two empty blocks, is read."""
    whole = shard(tmp_path / "whole.tar", GOOD, format=tarfile.USTAR_FORMAT).read_bytes()
    end = len(whole.rstrip(b"\0"))
    end += -end % 512 + 1024
    path = tmp_path / "s.tar"
    path.write_bytes(whole[:end])
    assert len(load(str(path)).train) == 8
    for size in [*range(512, end, 512), 700, 5000, end - 1]:
        path.write_bytes(whole[:size])
        with pytest.raises(ReslabError, match=r"s.tar is cut short"):
            load(str(path))
    path.write_bytes(b"")
    with pytest.raises(ReslabError, match=r"s.tar is cut short"):
        load(str(path))


def test_damaged_headers_and_other_files(tmp_path: Path) -> None:
    path = shard(tmp_path / "s.tar", GOOD, format=tarfile.USTAR_FORMAT)
    whole = bytearray(path.read_bytes())
    whole[1024 + 140] ^= 1  # in the second member's header
    path.write_bytes(whole)
    with pytest.raises(
        ReslabError, match=r"s.tar is damaged after its member 0000.png: no header stands at byte 1,024"
    ):
        load(str(path))
    path.write_text("<html>404</html>" * 100)
    with pytest.raises(UsageError, match=r"s.tar is not a tar file, or damaged at its start"):
        load(str(path))
    one = shard(tmp_path / "one.tar", GOOD).read_bytes()
    path.write_bytes(one + one)
    with pytest.raises(ReslabError, match=r"s.tar goes on after its end, as two tars that were joined by cat do"):
        load(str(path))


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_compressed_shards_are_refused(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    """By name and by content; alone, and in a folder."""
    whole = shard(tmp_path / "whole" / "s.tar", GOOD).read_bytes()
    (tmp_path / "d").mkdir()
    (tmp_path / "d/s.tar").write_bytes(pack(whole))
    with pytest.raises(UsageError, match=r"s.tar is compressed with \w+, .* unpack it once with `\w+ s.tar`"):
        load(str(tmp_path / "d"))
    (tmp_path / "d/s.tar").rename(tmp_path / "d/s.tar.gz")
    for word in ("d", "d/s.tar.gz"):
        with pytest.raises(UsageError, match=r"s.tar.gz is a compressed tar, .*; unpack it once"):
            load(str(tmp_path / word))


def test_large_names_cost_no_memory(tmp_path: Path) -> None:
    """A header that claims a name of 8 GB, in a file that is as long as it says (a sparse one)."""
    about = tarfile.TarInfo("././@LongLink")
    about.type, about.size = tarfile.GNUTYPE_LONGNAME, 8 * 10**9
    path = tmp_path / "s.tar"
    path.write_bytes(about.tobuf(tarfile.GNU_FORMAT))
    os.truncate(path, 8 * 10**9 + 4096)
    with pytest.raises(ReslabError, match=r"s.tar is damaged: a name in it has 8,000,000,000 bytes"):
        load(str(path))


def test_an_unknown_label_names_shard_and_member(tmp_path: Path) -> None:
    shard(tmp_path / "d/train.tar", GOOD)
    shard(tmp_path / "d/test.tar", [*examples(range(4)), ("x.png", png(1)), ("x.cls", b"5")])
    with pytest.raises(UsageError, match=r"test.tar member x.png has label 5, which is not one of the 2 classes"):
        load(str(tmp_path / "d"))
    shard(tmp_path / "d/test.tar", [("x.png", png(1)), ("x.cls", b"-1")])
    with pytest.raises(UsageError, match=r"label -1, .*unlabeled"):
        load(str(tmp_path / "d"))


def test_a_changed_shard_gets_a_new_index(tmp_path: Path) -> None:
    """Also where size and time stay: then the fingerprint of its ends, or the member's header, tells."""
    path = folder(tmp_path / "d", shards=1) / "data-000.tar"
    before, cache = load(str(tmp_path / "d"), memory=0), tmp_path / "cache"
    shard(path, [(name, png(99) if name == "0003.png" else content) for name, content in GOOD])
    assert stored(path, cache) is None
    assert {int(part.pixels(i)[0, 0, 0]) for part in load(str(tmp_path / "d"), memory=0).parts.values()
            if isinstance(part, Encoded) for i in range(len(part))} == {*range(10), 99} - {3}  # fmt: skip
    other, was = path.read_bytes().replace(b"0009.png", b"000x.png"), path.stat()
    assert stored(path, cache) is not None
    assert len(other) == was.st_size
    path.write_bytes(other)
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
    assert stored(path, cache) is None
    assert isinstance(before.train, Encoded)


def test_a_damaged_or_foreign_index_is_made_again(tmp_path: Path) -> None:
    path = folder(tmp_path / "d", shards=2) / "data-000.tar"
    good = load(str(tmp_path / "d"), memory=0)
    index, cache = places(path, tmp_path)[0], tmp_path / "cache"
    content = index.read_bytes()
    harms = [content[:-9], b"", b"\x80\x04K\x01.", content[:-40] + bytes(8) + content[-32:],
             places(path.with_name("data-001.tar"), tmp_path)[0].read_bytes()]  # fmt: skip
    for harm in harms:
        index.write_bytes(harm)
        assert stored(path, cache) is None
        assert load(str(tmp_path / "d"), memory=0).fingerprint == good.fingerprint
    assert stored(path, cache) is not None


def test_numbers_of_an_index_are_checked(tmp_path: Path) -> None:
    """Whoever can write the index could seal it again: no number in it leads out of the shard or of a table."""
    import json

    from safetensors.numpy import save

    from reslab.images.sources.tars.index import KEY
    from reslab.stored.digest import sealed_tensors
    from reslab.stored.tensors import read_arrays, read_inside

    path = folder(tmp_path / "d", shards=1) / "data-000.tar"
    load(str(tmp_path / "d"), memory=0)
    file = places(path, tmp_path)[0]
    arrays, about = read_arrays(file), read_inside(file, KEY)
    for name, value in (("offset", 0), ("size", 10**9), ("label", 7), ("label", -1), ("ends", 10**6), ("mode", 9),
                        ("reason", 0)):  # fmt: skip
        odd = {key: array.copy() for key, array in arrays.items()}
        odd[name][3] = value
        with file.open("wb") as out:
            sealed_tensors(save(odd, {KEY: json.dumps(about)}))(out)
        assert stored(path, tmp_path) is None, name
    with file.open("wb") as out:
        sealed_tensors(save(arrays, {KEY: json.dumps(about)}))(out)
    assert stored(path, tmp_path) is not None


@pytest.mark.parametrize("workers", [0, 2])
def test_a_shard_that_changes_while_it_is_used(tmp_path: Path, workers: int) -> None:
    """One sentence, from a worker, too; and no image is skipped as if it were broken."""
    path = folder(tmp_path / "d", shards=1) / "data-000.tar"
    data = load(str(tmp_path / "d"), memory=0)

    def read() -> None:
        for _ in training_batches(data.train, batch=4, start=0, stop=4, seed=0, augment=Augment(kind="none"),
                                  normalize=GRAY, device="cpu", workers=workers):  # fmt: skip
            pass

    read()
    content = np.frombuffer(path.read_bytes(), np.uint8).copy()
    content[:] = np.roll(content, 512)
    path.write_bytes(content.tobytes())
    with pytest.raises(
        ReslabError, match=r"^.*/data-000.tar changed while it was used: .* is no longer where it was"
    ) as e:
        read()
    assert len(str(e.value).splitlines()) == 1
    path.unlink()
    fresh = load(str(folder(tmp_path / "e", shards=1)), memory=0)
    (tmp_path / "e/data-000.tar").unlink()
    why = r"^cannot read .*/e/data-000.tar, which is in use \(No such file or directory\); restore it"
    assert isinstance(fresh.train, Encoded)
    with pytest.raises(ReslabError, match=why):
        fresh.train.pixels(0)


def test_a_shard_that_is_written_while_it_is_indexed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from reslab.images.sources.tars import index

    path = shard(tmp_path / "s.tar", GOOD)
    real = index.scanned

    def meanwhile(shard: Path, file: io.BufferedReader, now: dict[str, Any]) -> object:
        found = real(shard, file, now)
        with path.open("ab") as more:
            more.write(bytes(512))
        return found

    monkeypatch.setattr(index, "scanned", meanwhile)
    with pytest.raises(ReslabError, match=r"s.tar changed while it was read; wait until it is written"):
        load(str(path))


@pytest.mark.parametrize("seed", [0])
def test_odd_bytes_give_an_index_or_one_sentence(tmp_path: Path, seed: int) -> None:
    """Changed bytes and blocks in a tar, with right checksums in every second one; and in its index."""
    names = [*examples(range(3), key="{:04d}\u00e9"), ("x" * 150 + ".png", png(1)), ("x" * 150 + ".cls", b"1")]
    path, rng, loaded = tmp_path / "s.tar", np.random.default_rng(seed), 0
    said: list[str] = []
    whole = shard(path, names).read_bytes()
    for k in range(60):
        data = bytearray(whole)
        for _ in range(rng.integers(1, 4)):
            at, other = (512 * int(block) for block in rng.integers(len(data) // 512, size=2))
            if rng.integers(3):
                data[at + int(rng.integers(512))] = int(rng.integers(256))
            else:
                data[at : at + 512] = data[other : other + 512]
        for at in range(0, len(data), 512) if k % 2 else ():
            block = data[at : at + 512]
            if block[257:262] == b"ustar":
                data[at + 148 : at + 156] = b"%06o\0 " % (sum(block[:148]) + 256 + sum(block[156:]))
        path.write_bytes(data)
        try:
            index = make(path, tmp_path)
        except ReslabError as error:
            said.append(str(error))
            continue
        assert stored(path, tmp_path) is not None
        loaded += 1
        content = bytearray(index.read_bytes())
        content[int(rng.integers(len(content)))] ^= 1 << int(rng.integers(8))
        index.write_bytes(content)
        assert stored(path, tmp_path) is None
    assert loaded + len(said) == 60
    assert min(loaded, len(said)) > 0
    assert all(len(one.splitlines()) == 1 for one in said)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_shard_that_is_rewritten_in_place_while_it_is_used(tmp_path: Path, workers: int) -> None:
    """Same names, same sizes, other pixels: no header tells, the time of change does."""
    path = folder(tmp_path / "d", shards=1) / "data-000.tar"
    data = load(str(tmp_path / "d"), memory=0)
    content = path.read_bytes()
    at = content.index(b"IDAT")
    path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    with pytest.raises(ReslabError, match=r"data-000.tar changed while it was used: its size or time of change is no"):
        for _ in training_batches(data.train, batch=8, start=0, stop=1, seed=0, augment=Augment(kind="none"),
                                  normalize=GRAY, device="cpu", workers=workers):  # fmt: skip
            pass
    path.write_bytes(content)
    assert load(str(tmp_path / "d"), memory=0).fingerprint == data.fingerprint


def test_a_shard_of_which_only_the_time_of_change_was_set_back_is_known_by_its_headers(tmp_path: Path) -> None:
    path = folder(tmp_path / "d", shards=1) / "data-000.tar"
    data = load(str(tmp_path / "d"), memory=0)
    was = path.stat()
    path.write_bytes(path.read_bytes().replace(b"0003.png", b"000x.png"))
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
    assert isinstance(data.train, Encoded)
    row = next(i for i in range(len(data.train)) if data.train.name(i).endswith("0003.png"))
    with pytest.raises(ReslabError, match=r"0003.png is no longer where it was"):
        data.train.pixels(row)


@pytest.mark.parametrize(
    ("cls", "stated", "agree"),
    [
        (b"1", b'{"label": 1}', True),
        (b"1", b"1", True),
        (b"1", b'{"labels": [1], "url": "x"}', True),
        (b"cat", b'{"class": " cat"}', True),
        (b"1", b'{"label": "cat"}', True),  # a number and a name cannot be compared
        (b"1", b'[{"box": [1, 2]}]', True),  # no label
        (b"1", b'{"label": null}', True),
        (b"1", b'{"y": 40, "x": 3}', True),
        (b"1", b"oops", True),
        (b"1", b'{"label": 2}', False),
        (b"1", b"2", False),
        (b"cat", b'{"class": "dog"}', False),
        (b"1", b'{"labels": [1, 2]}', False),
        (b"1", b'{"labels": ["cat", "dog"]}', False),
    ],
)
def test_labels_that_disagree(tmp_path: Path, cls: bytes, stated: bytes, agree: bool) -> None:
    """Of a .cls and a .json with a label beside it: an error unless they are alike. The .cls is taken."""
    other = b"0" if cls.isdigit() else b"ant"
    pairs = [(f"{k}.{end}", content) for k in range(10) for end, content in
             (("png", png(k)), ("cls", cls if k > 7 else other), ("json", stated if k > 7 else b"{}"))]  # fmt: skip
    path = shard(tmp_path / "s.tar", pairs)
    if agree:
        assert load(str(path)).classes == (other.decode(), cls.decode())
    else:
        said = r"s.tar: the member 8.json has the label .*, and the .cls beside it has \w+; write one of them, or both"
        with pytest.raises(ReslabError, match=said):
            load(str(path))


def test_two_lists_of_class_names_that_differ(tmp_path: Path) -> None:
    folder(tmp_path / "d")
    for name in ("classes.txt", "classnames.txt"):
        (tmp_path / "d" / name).write_text("cat\ndog\n")
    assert load(str(tmp_path / "d")).classes == ("cat", "dog")
    (tmp_path / "d/classnames.txt").write_text("dog\ncat\n")
    with pytest.raises(UsageError, match=r"d/classes.txt and classnames.txt beside it name other classes; remove one"):
        load(str(tmp_path / "d"))
