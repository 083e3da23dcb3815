"""How images are read: the options of their data, as they are stored and compared."""

from pathlib import Path
from typing import Any

LIST = ("file_column", "label_columns", "part_column", "label_separator")  # options of a list of images


def storable(options: dict[str, Any]) -> dict[str, Any]:
    """The data's options as JSON, without asking for a download again."""
    kept = {key: value for key, value in options.items() if value is not None and key != "download"}
    return {key: str(Path(v).resolve()) if key == "root" else list(v) if isinstance(v, tuple) else v
            for key, v in kept.items()}  # fmt: skip


def how_read(options: dict[str, Any]) -> dict[str, Any]:
    """Those of the stored options that may lead to other images of the same files."""
    return {key: options.get(key) for key in ("size", "level", "white", "max_pixels", "interpolation", "rgb", *LIST)}
