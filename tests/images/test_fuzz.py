"""20,000 damaged image files and 1,000 damaged parquet files: each is read or refused in one sentence, and quickly."""

import io
import random
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from parquets import png, write
from PIL import Image

from reslab.errors import BrokenImage, ReslabError
from reslab.images.data import decode, load
from reslab.images.data.decode import header

KINDS = {"BMP": "RGB", "GIF": "P", "JPEG": "RGB", "PNG": "RGBA", "PPM": "RGB", "TIFF": "I;16", "WEBP": "RGB"}


def damaged(whole: bytes, chance: random.Random) -> bytes:
    """A copy with some bytes changed, a piece cut out or repeated, or cut short."""
    found = bytearray(whole)
    for _ in range(chance.choice((1, 1, 2, 8, 40))):
        at = chance.randrange(len(found))
        found[at] = chance.choice((0, 1, 127, 128, 255, chance.randrange(256)))
    start = chance.randrange(len(found))
    kind = chance.randrange(6)
    if kind == 0:
        del found[start:]
    elif kind == 1:
        del found[start : start + chance.randrange(1, 30)]
    elif kind == 2:
        found[start:start] = found[: chance.randrange(1, 30)]
    return bytes(found)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_damaged_images() -> None:
    chance = random.Random(0)
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 20, 3), dtype=np.uint8))
    wholes = []
    for kind, mode in KINDS.items():
        out = io.BytesIO()
        (noise.convert("L").convert("I").convert(mode) if mode == "I;16" else noise.convert(mode)).save(out, kind)
        wholes.append(out.getvalue())
    read, slowest, reasons = 0, 0.0, set[str]()
    for k in range(20_000):
        content = damaged(wholes[k % len(wholes)], chance)
        began = time.perf_counter()
        for work in (lambda source: header(source, name="x"), lambda source: decode(source, channels=3, name="x")):
            try:
                work(content)
                read += 1
            except BrokenImage as error:
                reasons.add(error.reason)
        slowest = max(slowest, time.perf_counter() - began)
    assert 4_000 < read < 40_000  # some are read, some are not
    assert slowest < 5
    assert not any("\n" in reason for reason in reasons)


@pytest.mark.slow
def test_damaged_parquet_files(tmp_path: Path) -> None:
    chance = random.Random(0)
    file = write(tmp_path / "d.parquet", [0, 1] * 5, names=["a", "b"], images=[png(k) for k in range(10)])
    whole = file.read_bytes()
    read = 0
    for _ in range(1_000):
        file.write_bytes(damaged(whole, chance))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                load(str(file))
                read += 1
            except ReslabError:
                pass
    assert 0 < read < 1_000
