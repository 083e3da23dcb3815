"""Small parquet files of images that can be told apart by their red value."""

import io
import json
from pathlib import Path

import pytest
from PIL import Image

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def png(value: int, size: tuple[int, int] = (4, 4)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, (value, 0, 0)).save(out, "PNG")
    return out.getvalue()


def write(
    file: Path,
    labels: list,
    *,
    names: list[str] | None = None,
    label: str = "label",
    image: str = "image",
    plain: bool = False,
    images: list | None = None,
) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    cells = images or [png(k) for k in range(len(labels))]
    column = pa.array(cells) if plain else pa.array([{"bytes": cell, "path": None} for cell in cells])
    table = pa.table({image: column, label: pa.array(labels)})
    if names:
        features = {label: {"_type": "ClassLabel", "names": names}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, file, row_group_size=3)
    return file


def reds(part) -> list[int]:
    return part.pixels[:, 0, 0, 0].tolist()
