"""Commands on the stand-in for a GPU, and small runs trained there."""

import csv
from pathlib import Path

import numpy as np
from far import Far, stand_in
from PIL import Image
from rows import flats
from shipping import facts

from reslab.cli import main

NET = "--net resnet8 --batch 16 --compile off --workers 0"
TABLE = "--batch 16 --compile off --sizes depth=2 width=8 inner=8 embedding=4 bins=4"
TEXT = "--batch 4 --compile off --vocabulary 300 --hidden 16 --encoder-layers 2 --length 48"


class Place:
    """A folder of small data, and a device: place("eval run") runs the command there.

    In the words, @ is the folder of the data and % the beginning of the names of runs. It fails if the command does, or
    if more than `here` convolutions and products of matrices were computed on the CPU: a new net's residual connections
    are found there.
    """

    def __init__(self, folder: Path, kind: str) -> None:
        self.folder, self.kind = folder, kind

    def named(self, word: str) -> str:
        return word.replace("@", f"{self.folder}/").replace("%", f"{self.folder}/{self.kind}-")

    def __call__(self, words: str, *, here: int = 0) -> None:
        lines = [self.named(word) for word in words.split()]
        with stand_in(self.kind):
            assert main([*lines, "--device", self.kind]) == 0, words
            assert Far.products["there"] > 0, "nothing was computed on the device"
            assert Far.products["here"] <= here, "something was computed on the CPU"


def filled(folder: Path) -> Path:
    """Images of three classes, a list of some with two labels, a table, questions and a text."""
    draws = np.random.default_rng(0)
    for k in range(3):
        (folder / f"pngs/c{k}").mkdir(parents=True)
        for i in range(12):
            pixels = draws.integers(0, 80, (12, 12, 3)) + 80 * k
            Image.fromarray(pixels.astype(np.uint8)).save(folder / f"pngs/c{k}/{i}.png")
    names = [(f"pngs/c{k}/{i}.png", ("a", "b", "a;b")[k]) for k in range(3) for i in range(12)]
    table = flats()
    table["large"] = ["yes" if size > 50 else "no" for size in table["size"]]
    table["price"] = [3 * size + 0.5 for size in table["size"]]
    for name in ("sea", "bus"):
        table[name] = [int(name in near) for near in table["near"]]
    rows_of_table = zip(*table.values(), strict=True)
    for file, rows in (("list.csv", [("file", "label"), *names]), ("flats.csv", [[*table], *rows_of_table])):
        with (folder / file).open("w", newline="") as out:
            csv.writer(out).writerows(rows)
    facts(folder / "facts.json", unanswerable=True)
    (folder / "text.txt").write_text("Ada was born in Rome in 1807. Later Ada went away. " * 3)
    return folder
