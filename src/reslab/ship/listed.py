"""Files of an exported folder that its checksums do not list: which, and whether they would be read. No torch."""

import mmap
import os
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath

from reslab.errors import ReslabError
from reslab.ship.record import Config
from reslab.stored.files import named

# What predictors read beside the graph, if it is there.
OWN = frozenset({"checksums.json", "config.json", "README.md", "LICENSE", "proof.json", "spec.json", "encoder.json",
                 "encoder.safetensors", "target.json", "calibration.json", "vectors.safetensors",
                 "weights.safetensors", "tokenizer.json"})  # fmt: skip
INSIDE = frozenset({"tokenizer", "encoder"})  # folders that are read
BESIDE = {"openvino": ".bin", "torch": ".safetensors"}  # engine: ending of the weights of a graph
LOCATION = b"\x0a\x08location\x12"  # in an ONNX file: where a weight lies that is not in the file; its length follows


def foreign(folder: Path, sums: Collection[str]) -> Iterator[str]:
    """Whatever lies in the folder and is not listed, links and empty folders too, in order."""
    parents = {str(parent) for name in sums for parent in PurePosixPath(name).parents}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name not in sums and (name not in parents or path.is_symlink()):
            yield name


def check_links(folder: Path) -> None:
    """Raise ReslabError for a link that leads out of the folder, unless it is one of the Hugging Face Hub's cache."""
    root = folder.resolve()
    homes = [root]
    if root.parent.name == "snapshots":  # the cache keeps each file once, and folders of links to them
        homes.append(root.parent.parent / "blobs")
    for path in sorted(root.rglob("*")):
        if path.is_symlink() and not any(Path(os.path.realpath(path)).is_relative_to(home) for home in homes):
            raise ReslabError(f"{named(folder / path.relative_to(root))} is a link to a file outside of the folder, "
                              "which may change: put the file itself there")  # fmt: skip


def is_read(name: str) -> bool:
    """Whether predicting would read this file beside the graphs' own, listed or not."""
    path = PurePosixPath(name)
    return path.name in OWN or bool(INSIDE & set(path.parts[:-1]))


def graph_files(folder: Path, config: Config) -> set[str]:
    """The files of the graphs: those that config.json names, and those that their engine reads with them."""
    found = set(config.files)
    for name in config.files:
        path = PurePosixPath(name)
        if config.engine in BESIDE:
            found.add(path.with_suffix(BESIDE[config.engine]).as_posix())
        if config.engine == "onnx":
            found |= {os.path.normpath(path.parent / one) for one in beside(folder / name)}
    return found


def beside(file: Path) -> set[str]:
    """The files, as an ONNX file names them, that hold its weights."""
    if not file.is_file() or not file.stat().st_size:
        return set()
    found = set()
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = data.find(LOCATION)
        while at >= 0:
            start = at + len(LOCATION)
            length, start = varint(data, start)
            found.add(bytes(data[start : start + length]).decode("utf-8", "replace"))
            at = data.find(LOCATION, start)
    return found


def varint(data: mmap.mmap, at: int) -> tuple[int, int]:
    """A protocol buffer's whole number of at most two bytes (a name is no longer), and where it ends."""
    pair = data[at : at + 2]
    if len(pair) < 2 or pair[0] < 128:
        return (pair[0] if pair else 0), at + 1
    return pair[0] - 128 + 128 * pair[1], at + 2
