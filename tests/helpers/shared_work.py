"""Small trainings of each family for several processes to share, and what one process makes of them."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from ranks import together
from rows import flats

from reslab.images.data import load
from reslab.images.train import prepare as prepare_images
from reslab.nets import spec
from reslab.qa.folder import Reading as QuestionReading
from reslab.qa.folder import load as load_questions
from reslab.qa.folder import prepare as prepare_questions
from reslab.qa.folder import small
from reslab.qa.net.net import QASpec
from reslab.run import Run
from reslab.tables.reading import Reading
from reslab.tables.train import load as load_table
from reslab.tables.train import prepare as prepare_table
from reslab.train.recipe import Recipe, change

QUICK = Recipe(
    iterations=8, batch=15, lr=0.01, precision="fp32", memory_format="NCHW", compile="off", threads=1, workers=0,
    checkpoint_seconds=1e9, evaluate_every=2.0,
)  # fmt: skip
TEXT: dict[str, Any] = {"batch": 5, "schedule": "linear", "decay_all": False,
                        "memory_format": "auto", "workers": 2}  # fmt: skip


def pictures(root: Path) -> Path:
    """Three classes of 20 gray images of 8 x 8."""
    noise = np.random.default_rng(0)
    for k in range(3):
        (root / f"class{k}").mkdir(parents=True)
        for i in range(20):
            pixels = noise.integers(0, 80, (8, 8)) + 80 * k
            Image.fromarray(pixels.astype(np.uint8)).save(root / f"class{k}" / f"{i}.png")
    return root


class Work:
    """The run folders, the jobs of several processes, and what one process finds."""

    def __init__(self, root: Path) -> None:
        self.root, self.jobs, self.names = root, list[dict[str, Any]](), list[str]()
        self.alone: dict[str, Any] = {}
        self.ranks: dict[str, list[Any]] = {}  # by job: what each process found
        self.data = load(str(pictures(root / "pictures")))

    def images(self, name: str, **changes: Any) -> Run:
        return prepare_images(self.root / name, net=spec("resnet8"), data=self.data, word=str(self.root / "pictures"),
                              recipe=change(QUICK, **changes))  # fmt: skip

    def questions(self, name: str) -> Run:
        word = str(self.root / "facts.json")
        reading, data = load_questions(word, QuestionReading(rule="", stride=8, share=0.2))
        encoder, tokenizer = small(data, vocabulary=300, hidden=16, layers=1, heads=2, length=48, dropout=0.0)
        net = QASpec(name="net", encoder=encoder, head="tokens", layers=1, length=48, answerable=True)
        return prepare_questions(self.root / name, spec=net, tokenizer=tokenizer, data=data, word=word, reading=reading,
                                 recipe=change(QUICK, **TEXT))  # fmt: skip

    def table(self, name: str) -> Run:  # its net has a BatchNorm, and a regularizer in the backward pass
        columns = flats()
        columns["large"] = ["yes" if size > 50 else "no" for size in columns["size"]]
        with (self.root / "flats.csv").open("w", newline="") as out:
            writer = csv.writer(out)
            writer.writerow(columns)
            writer.writerows(zip(*columns.values(), strict=True))
        sizes = {"width": 8, "inner": 8, "depth": 2, "embedding": 4, "bins": 4, "dropout": 0.0}
        how = Reading(target=("large",), sizes=sizes, class_weight={"yes": 3.0, "no": 1.0})
        recipe = change(QUICK, **{**TEXT, "batch": 11, "validation": 0.2, "sync_bn": True})
        data = load_table(str(self.root / "flats.csv"), how, recipe)
        return prepare_table(self.root / name, word=str(self.root / "flats.csv"), reading=how, data=data,
                             preset="gated", recipe=recipe)  # fmt: skip

    def ask(self, name: str, do: str, **words: Any) -> None:
        self.names.append(name)
        self.jobs.append({"do": do, **words})

    def run(self, size: int = 2) -> None:
        """Let so many processes do the jobs that were asked for since the last time."""
        found = together(size, self.jobs, self.root / f"by {size}")
        self.ranks |= dict(zip(self.names, map(list, zip(*found, strict=True)), strict=True))
        self.jobs, self.names = [], []


def lines(run: Path, event: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [one for one in found if one["event"] == event]


def resumed_exactly(work: Work) -> None:
    """Assert that "broken" and then "resumed" saw the rows of "whole", and ended with its bits."""
    for k, whole in enumerate(work.ranks["whole"]):
        assert [*work.ranks["broken"][k]["rows"], *work.ranks["resumed"][k]["rows"]] == whole["rows"]
    ends = [torch.load(work.root / name / "last.pt", weights_only=True) for name in ("whole", "broken")]
    for key in ("net", "optimizer", "ema", "schedule", "sums", "iteration", "skipped"):
        for a, b in zip(*(torch.utils._pytree.tree_leaves(end[key]) for end in ends), strict=True):
            assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b, key
    first, again = (work.ranks[name][0]["result"] for name in ("whole", "resumed"))
    assert (first["test_error"], first["test_loss"]) == (again["test_error"], again["test_loss"])
