"""Refuse a file of torch.save that would take long to read or fill the memory, before torch opens it."""

import pickletools
import zipfile
from pathlib import Path
from typing import IO

STEPS = 300_000  # of the pickle; a tensor takes about 30, so a checkpoint of 10,000 tensors may have no record at all
MORE = 64  # steps for each record, that is, for each tensor's numbers
PICKLES = 5  # of a file older than PyTorch 1.6: a mark, a version, the system, the object, its storages
SHRUNK = 100  # times; torch.save never deflates, weights deflated by others keep most of their size
SMALL = 2**26  # bytes that any file may claim


class Unbounded(ValueError):  # noqa: N818 - what it says
    """A file holds more than any checkpoint; the message says of what."""


def check_bounds(path: Path | str) -> None:
    """Raise Unbounded for a file whose pickle has too many steps, or whose records claim far more than its size.

    Real checkpoints stay far below: their pickle names tensors, whose numbers are beside it. A file that is damaged, or
    not of torch.save, passes: whoever reads it says so.
    """
    with open(path, "rb") as file:
        if not zipfile.is_zipfile(file):
            file.seek(0)
            count_steps(file, pickles=PICKLES, most=STEPS)
            return
    try:
        archive = zipfile.ZipFile(path)
    except Exception:  # damaged
        return
    with archive:
        each = archive.infolist()
        size = Path(path).stat().st_size
        claimed = sum(one.file_size for one in each)
        if claimed > SMALL + SHRUNK * size:
            raise Unbounded(f"its {len(each):,} records claim {claimed:,} bytes, and the file has {size:,}")
        for one in each:
            if one.filename.rpartition("/")[2] != "data.pkl":
                continue
            try:
                pickle = archive.open(one)
            except Exception:  # encrypted, of another version, ...
                continue
            with pickle:
                count_steps(pickle, pickles=1, most=STEPS + MORE * len(each))


def count_steps(file: IO[bytes], *, pickles: int, most: int) -> None:
    """Raise Unbounded if the first pickles in the file have more than `most` steps in all; damaged ones end early."""
    steps = 0
    for _ in range(pickles):
        try:
            for _step in pickletools.genops(file):
                steps += 1
                if steps > most:
                    break
        except Exception:  # no pickle, or a damaged one
            return
        if steps > most:
            raise Unbounded(f"its pickle has more than {most:,} steps, as no checkpoint of tensors has")
