"""Small JPEGs, and data sets that are prepared as shards."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from reslab.images.data import load
from reslab.images.prepare.job import Asked, prepare
from reslab.stored.shards import Shards

NOISE = np.random.default_rng(0)


def jpeg(width: int, height: int, *, mode: str = "RGB", **options: Any) -> bytes:
    shape = (height, width) if mode == "L" else (height, width, 4 if mode == "CMYK" else 3)
    out = io.BytesIO()
    Image.fromarray(NOISE.integers(0, 256, shape, dtype=np.uint8), mode if mode == "CMYK" else None).save(
        out, "JPEG", **options
    )
    return out.getvalue()


def shards(source: Path | str, out: Path, **asked: Any) -> Shards:
    return prepare(load(str(source), memory=0), out, word=str(source), cache=out, asked=Asked(workers=0, **asked))
