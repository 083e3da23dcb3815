"""One damaged shard of several: one sentence that names the file."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from reslab.errors import BrokenImage, ReslabError
from reslab.images.data import load

pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")


def png(k: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (4, 4), (k, 0, 0)).save(out, "PNG")
    return out.getvalue()


def write(path: Path, rows: int, broken: int | None = None) -> None:
    cells = [b"oops" if k == broken else png(k) for k in range(rows)]
    table = pa.table({"image": cells, "label": [k % 2 for k in range(rows)]})
    pq.write_table(table, path, use_dictionary=False, compression="none")


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """train-0, train-1 and train-2 with six images each, and test-0 and test-1 with two."""
    (tmp_path / "d").mkdir()
    for name, rows in (("train-0", 6), ("train-1", 6), ("train-2", 6), ("test-0", 2), ("test-1", 2)):
        write(tmp_path / f"d/{name}.parquet", rows)
    return tmp_path / "d"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-50])


def scramble(path: Path) -> None:
    """Other bytes in the header of the image column's page; the footer stays."""
    content = bytearray(path.read_bytes())
    start = pq.read_metadata(path).row_group(0).column(0).data_page_offset
    content[start : start + 12] = b"\xff" * 12
    path.write_bytes(bytes(content))


DAMAGED = "/d/train-1.parquet is damaged or not a parquet file"


@pytest.mark.parametrize("memory", [2**31, 0])
@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (cut, DAMAGED),
        (lambda path: path.write_bytes(b""), DAMAGED),
        (lambda path: path.write_text("<html>404</html>"), DAMAGED),
        (lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"),
         "/d/train-1.parquet is a pointer of Git LFS, not the file itself; run `git lfs pull`"),
        (scramble, "cannot read the images of .*/d/train-1.parquet: .*; write or download it again"),
    ],
    ids=["cut", "empty", "page", "pointer", "scrambled"],
)  # fmt: skip
def test_a_damaged_shard_is_named(
    shards: Path, monkeypatch: pytest.MonkeyPatch, harm: Callable[[Path], None], said: str, memory: int
) -> None:
    monkeypatch.setenv("RESLAB_DATA", str(shards.parent / "cache"))
    harm(shards / "train-1.parquet")
    with pytest.raises(ReslabError, match=said) as caught:
        load(str(shards), memory=memory)
    assert "\n" not in str(caught.value)
    assert not list((shards.parent / "cache").rglob("*.arrows*"))


def test_broken_images_are_named_by_their_shard_and_keep_the_fingerprint(
    shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESLAB_DATA", str(shards.parent / "cache"))
    before = load(str(shards), memory=0)
    assert [before.train.name(i) for i in (0, 5, 6, 17)] == [  # type: ignore[union-attr]
        "train-0.parquet row 0", "train-0.parquet row 5", "train-1.parquet row 0", "train-2.parquet row 5",
    ]  # fmt: skip
    assert before.train.sources.key(6) == "d/ row 6"  # type: ignore[union-attr]
    write(shards / "train-1.parquet", 6, broken=2)
    assert load(str(shards)).skipped[0].startswith("train-1.parquet row 2: ")
    write(shards / "test-1.parquet", 2, broken=1)
    with pytest.raises(BrokenImage, match=r"test-1\.parquet row 1"):
        load(str(shards))
