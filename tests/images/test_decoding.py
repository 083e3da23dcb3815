"""Images are decoded without torch, by threads, in order, the broken ones reported."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reslab.images import decoding
from reslab.images.data.decode import Reading
from reslab.images.decoding import Part, in_batches
from reslab.images.pixels import PixelReader

READER = PixelReader(shape=(3, 8, 6), reading=Reading(limit=1000))
CHAIN = "decoding gather inputs pixels written data.decode"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """25 images, each of one color that is its number; numbers 7 and 20 are no images, and number 9 is too large."""
    root = tmp_path_factory.mktemp("images")
    for i in range(25):
        side = 40 if i == 9 else 20
        Image.new("L" if i == 3 else "RGB", (side, side), (i,) * 3 if i != 3 else i).save(root / f"{i:02}.png")
    (root / "07.png").write_bytes(b"nothing")
    (root / "20.png").unlink()
    return [root / f"{i:02}.png" for i in range(25)]


@pytest.mark.parametrize("threads", [0, 3])
def test_batches_come_in_order_with_what_was_broken(files: list[Path], threads: int) -> None:
    parts = list(in_batches(files, READER, batch=8, threads=threads))
    assert [part.index for part in parts] == [
        [0, 1, 2, 3, 4, 5, 6], [8, 10, 11, 12, 13, 14, 15], [16, 17, 18, 19, 21, 22, 23], [24]]  # fmt: skip
    for part in parts:
        assert part.pixels.shape == (len(part.index), 8, 6, 3)
        assert part.pixels.dtype == np.uint8
        assert [set(one.flat) for one in part.pixels] == [{i} for i in part.index]
    assert [i for part in parts for i, _ in part.broken] == [7, 9, 20]
    assert "more than 1,000 pixels" in parts[1].broken[0][1]
    assert Counter(key for part in parts for key in part.remarks) == {"gray": 1}


def test_threads_decode_few_images_in_advance(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Two batches of 4 are decoded before the first is taken, and after it stops nothing else is."""
    begun: list[Path] = []
    one = decoding.decode_one
    monkeypatch.setattr(decoding, "decode_one", lambda source, reader: (begun.append(source), one(source, reader))[1])
    parts = in_batches(files, READER, batch=4, threads=2)
    next(parts)
    parts.close()
    assert 4 <= len(begun) <= 8


def test_a_picture_given_twice_is_loaded_once_at_a_time(files: list[Path]) -> None:
    with Image.open(files[1]) as image:
        (part,) = in_batches([image] * 20, READER, batch=20, threads=4)
        assert (part.pixels == 1).all()


def test_no_part_of_the_chain_imports_torch() -> None:
    modules = ", ".join(["reslab.nets.predictions", *(f"reslab.images.{name}" for name in CHAIN.split())])
    code = f"import sys, {modules}; print(sorted({{'torch', 'sklearn', 'pandas', 'plotly'}} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


def test_an_image_without_finite_scores_is_broken() -> None:
    values = np.array([[0.2, 0.8], [np.nan, np.nan], [1.0, 0.0], [np.inf, 0.0]])
    part = Part(index=[0, 2, 3, 5], values=values, broken=[(1, "no image")], remarks=Counter(), done=6)
    assert (part.index, part.values.tolist()) == ([0, 3], [[0.2, 0.8], [1.0, 0.0]])
    assert [i for i, _ in part.broken] == [1, 2, 5]
    assert "not finite" in part.broken[1][1]
    none = Part(index=[], values=np.empty((0, 0)), broken=[], remarks=Counter(), done=0)
    assert (none.index, none.broken) == ([], [])
