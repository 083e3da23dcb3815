"""Memory stays flat over an epoch, in every process, however large the data are: shards, parquet, files."""

import io
import json
import pickle
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tars import shard

from reslab.images.sources.encoded import ArrowFileCells, Files
from reslab.images.sources.texts import Texts

HELPER = Path(__file__).parents[2] / "helpers" / "memory.py"
GROWTH = 20 * 2**20  # bytes that a process may gain after the first eighth of an epoch
needs_proc = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc: memory cannot be read here")


def images(padding: int) -> Iterator[tuple[int, bytes]]:
    """Endless small JPEGs, each with bytes after its end, which decoders ignore: large files that are quickly read."""
    noise = np.random.default_rng(0)
    out = io.BytesIO()
    Image.fromarray(noise.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(out, "JPEG")
    tail = noise.bytes(2 * padding)
    for k in range(10**9):
        at = k * 37 % padding
        yield k, out.getvalue() + tail[at : at + padding]


def write(kind: str, root: Path, n: int, padding: int) -> Path:
    """n images of two classes: five shards, a parquet file, or class folders."""
    some = islice(images(padding), n)
    if kind == "shards":
        for s in range(5):
            pairs = [(f"{k}.{end}", content) for k, image in islice(some, n // 5)
                     for end, content in (("jpg", image), ("cls", str(k % 2).encode()))]  # fmt: skip
            shard(root / f"d-{s}.tar", pairs)
        return root
    root.mkdir()
    if kind == "files":
        for k, image in some:
            (root / str(k % 2)).mkdir(exist_ok=True)
            (root / str(k % 2) / f"{k}.jpg").write_bytes(image)
        return root
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    with pq.ParquetWriter(root / "d.parquet", pa.schema([("image", pa.binary()), ("label", pa.int64())])) as writer:
        while rows := list(islice(some, 500)):
            writer.write_table(pa.table({"image": [image for _, image in rows], "label": [k % 2 for k, _ in rows]}))
    return root / "d.parquet"


def epoch(word: Path, cache: Path, n: int) -> list[int]:
    """The growth of each process over an epoch with two workers, in bytes; of all images but the test part."""
    done = subprocess.run([sys.executable, str(HELPER), str(word), str(cache), "2"], capture_output=True, text=True,
                          check=False, timeout=3000)  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["images"] == n * 4 // 5 // 50 * 50
    assert len(found["early"]) == len(found["late"]) == 3
    return [late - early for early, late in zip(found["early"], found["late"], strict=True)]


@needs_proc
@pytest.mark.parametrize("kind", ["shards", pytest.param("parquet", marks=pytest.mark.slow)])
def test_memory_is_flat_over_an_epoch(kind: str, tmp_path: Path) -> None:
    """2,000 images in 60 MB: if what is read stayed, each process would gain a third of it."""
    word = write(kind, tmp_path / "d", 2000, 30_000)
    assert max(epoch(word, tmp_path / "cache", 2000)) < GROWTH / 2


@needs_proc
@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", ["shards", "parquet", "files"])
def test_memory_is_flat_over_an_epoch_of_100_000_images(kind: str, tmp_path: Path) -> None:
    """In 500 MB."""
    word = write(kind, tmp_path / "d", 100_000, 4500)
    growth = epoch(word, tmp_path / "cache", 100_000)
    print(kind, [f"{n / 2**20:.1f} MB" for n in growth])
    assert max(growth) < GROWTH


def test_a_million_paths_take_few_bytes_in_every_process() -> None:
    """By count of their arrays; a list of strings takes about 90 bytes more for each."""
    n = 200_000
    files = Files(Path("/data"), Texts.of(f"train/n01440764/n01440764_{k}.JPEG" for k in range(n)))
    assert isinstance(files.paths, Texts)
    held = files.paths.blob.nbytes + files.paths.ends.nbytes
    assert held == sum(8 + len(f"train/n01440764/n01440764_{k}.JPEG") for k in range(n))
    assert held / n < 46
    assert files[n - 1] == Path("/data/train/n01440764/n01440764_199999.JPEG")
    again = pickle.loads(pickle.dumps(files))
    assert (len(again), again.name(0), again.name(12_345)) == (n, files.name(0), files.name(12_345))


@pytest.mark.parametrize("text", ["", "a", "\u00e9t\u00e9/\u732b.png", "half \udcff\ud800 characters", "\U0001f431"])
def test_any_name_survives(text: str) -> None:
    texts = Texts.joined([Texts.of(["x", text]), Texts.of([]), Texts.of([text, "y"])])
    assert [*texts] == ["x", text, text, "y"]
    assert texts[-1] == "y"
    with pytest.raises(IndexError):
        texts[4]


def test_images_of_parquet_are_read_at_their_places(tmp_path: Path) -> None:
    """The places are those that Arrow's own reader finds, with missing images and other sizes of batches."""
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    from reslab.images.sources import cells

    contents = [None if k % 7 == 3 else bytes([k % 251]) * (k % 11) for k in range(700)]
    column = [{"bytes": content, "path": f"{k}.png"} for k, content in enumerate(contents)]
    pq.write_table(pa.table({"image": pa.array(column), "x": range(700)}), tmp_path / "d.parquet", row_group_size=90)
    found = cells.cells_of([(tmp_path / "d.parquet", "image")] * 2, memory=0, cache=lambda: tmp_path / "cache")
    assert isinstance(found, ArrowFileCells)
    assert len(found) == 1400
    for row in range(1400):
        content = contents[row % 700]
        assert found[row] == ({"bytes": None, "path": f"{row % 700}.png"} if content is None else content)


def test_images_of_the_hub_are_read_at_their_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the files of the library `datasets`; where a data set is only a part of them, through the library."""
    datasets = pytest.importorskip("datasets")
    from reslab.images.data import Encoded, load
    from reslab.images.sources.encoded import HubCells, Rows

    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])})
    cells = [{"bytes": image, "path": f"{k}.jpg"} for k, image in islice(images(50), 40)]
    made = datasets.Dataset.from_dict({"image": cells, "label": [k % 2 for k in range(40)]}, features=features)
    made.save_to_disk(str(tmp_path / "d"), num_shards=3)
    split = datasets.load_from_disk(str(tmp_path / "d"))
    monkeypatch.setattr(datasets, "load_dataset", lambda name: datasets.DatasetDict({"train": split}))
    whole = load("hf:someone/pets", memory=0).train
    monkeypatch.setattr(
        datasets, "load_dataset", lambda name: datasets.DatasetDict({"train": split.select([*range(30)])})
    )
    part = load("hf:someone/pets", memory=0).train
    for data, kind in ((whole, ArrowFileCells), (part, HubCells)):
        assert isinstance(data, Encoded)
        assert isinstance(data.sources, Rows)
        assert isinstance(data.sources.cells, kind)
        assert [data.sources[row] for row in range(30)] == [cell["bytes"] for cell in cells[:30]]
    assert isinstance(whole, Encoded)
    again = pickle.loads(pickle.dumps(whole.sources))
    assert again[39] == cells[39]["bytes"]
