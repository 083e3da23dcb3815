"""Damaged files: each ends in a result or in a sentence, never in an error that no part of reslab expected.

The files are real ones, of tests/golden/folders; what is done to them is drawn: bytes flipped, cut and doubled, values
of other types, keys left out, 3,000 brackets, numbers of 400 digits, half characters.
"""

import io
import json
import shutil
import struct
import tomllib
import warnings
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from damage import WAYS, as_json, as_toml, damaged
from hypothesis import HealthCheck, given, settings

from reslab.errors import ReslabError
from reslab.images.data.normalize import Normalize
from reslab.nets import read_spec, read_state
from reslab.nets.weights import spec_inside
from reslab.qa.net.net import read_qa_spec
from reslab.qa.settings import read_settings
from reslab.report import look
from reslab.report.look.training import along_training, training_found
from reslab.report.page import write
from reslab.run import Run
from reslab.slim.kept import Kept
from reslab.slim.planning.state import State
from reslab.tables.model import load as load_table
from reslab.tables.model import read_table_spec
from reslab.train.checkpoint import read_last
from reslab.train.recipe import read

GOLDEN = Path(__file__).parents[1] / "golden" / "folders"
FAST, FEW, SLOW = 200, 25, 5000
ASKED = (
    "recipe", "spec of images", "spec of questions", "spec of tables", "metrics", "study", "results of images",
    "results of questions", "results of tables", "head of weights",
)  # fmt: skip


def lines(values: Any) -> bytes:
    return b"".join(as_json(one) + b"\n" for one in values) if isinstance(values, list) else as_json(values)


def as_saved(value: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def headed(value: Any, tensors: bytes) -> bytes:
    """A .safetensors whose head says this."""
    head = as_json(value)
    return struct.pack("<Q", len(head)) + head + tensors


def page_of(folder: Path) -> None:
    write(folder, out=folder / "page.html")


def of_recipe(folder: Path) -> None:
    read(folder / "recipe.toml")
    page_of(folder)


def of_images(folder: Path) -> None:
    read_spec(Run(folder))
    page_of(folder)


def of_questions(folder: Path) -> None:
    read_qa_spec(Run(folder))
    page_of(folder)


def of_tables(folder: Path) -> None:
    read_table_spec(Run(folder))
    page_of(folder)


def of_metrics(folder: Path) -> None:
    Run(folder).metrics()
    page_of(folder)
    seen = look.folder.read_look(folder)
    along_training(seen)
    training_found(seen)
    Run(folder).forget_after(20)


def of_head(folder: Path) -> None:
    spec_inside(folder / "weights.safetensors")
    read_state(folder / "weights.safetensors")


def of_model(folder: Path) -> None:
    load_table(folder, device="cpu")


def of_normalize(folder: Path) -> None:
    Normalize.from_dict(Run(folder).read_json("normalize.json", "mean", "std"))


def of_checkpoint(folder: Path) -> None:
    read_last(Run(folder))


def of_plan(folder: Path) -> None:
    State(folder, json.loads((GOLDEN / "slimmed" / "plan-state.json").read_text())["about"])


def of_arms(folder: Path) -> None:
    Kept(folder).arms()


def of_asked(folder: Path) -> None:
    Kept(folder).compare(json.loads((GOLDEN / "slimmed" / "slim-asked.json").read_text()))


def of_settings(folder: Path) -> None:
    read_settings(Run(folder), most=512)


CASES: dict[str, tuple[str, str, Callable[[Path], None]]] = {  # a format: the folder, its file, what reads it
    "recipe": ("images-finished", "recipe.toml", of_recipe),
    "spec of images": ("images-finished", "spec.json", of_images),
    "spec of questions": ("questions-finished", "spec.json", of_questions),
    "spec of tables": ("tables-finished", "spec.json", of_tables),
    "metrics": ("images-finished", "metrics.jsonl", of_metrics),
    "study": ("study", "study.json", page_of),
    "results of images": ("images-finished", "results/train.json", page_of),
    "results of questions": ("questions-finished", "results/train.json", page_of),
    "results of tables": ("tables-finished", "results/train.json", page_of),
    "data of tables": ("tables-finished", "data.json", page_of),
    "encoder of tables": ("tables-finished", "encoder.json", of_model),
    "target of tables": ("tables-finished", "target.json", of_model),
    "arrays of tables": ("tables-finished", "encoder.safetensors", of_model),
    "normalize of images": ("images-finished", "normalize.json", of_normalize),
    "checkpoint of images": ("images-stopped", "last.pt", of_checkpoint),
    "plan of slim": ("slimmed", "results/slim-plan.json", page_of),
    "results of slim": ("slimmed", "results/slim.json", page_of),
    "state of a plan": ("slimmed", "plan-state.json", of_plan),
    "models of slim": ("slimmed", "slim-arms.json", of_arms),
    "settings of slim": ("slimmed", "slim-asked.json", of_asked),
    "settings of questions": ("questions-finished", "qa.json", of_settings),
    "head of weights": ("images-finished", "weights.safetensors", of_head),
    **{f"look {verb}": ("looked", f"results/look-{verb}.json", page_of) for verb in look.folder.VERBS},
}  # fmt: skip


def parsed(path: Path) -> tuple[Any, Callable[[Any], bytes]]:
    """The data of a file, and how they are spelled again."""
    if path.suffix == ".toml":
        return tomllib.loads(path.read_text()), as_toml
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()], lines
    if path.suffix == ".safetensors":
        data = path.read_bytes()
        start = 8 + struct.unpack("<Q", data[:8])[0]
        return json.loads(data[8:start]), partial(headed, tensors=data[start:])
    if path.suffix == ".pt":
        return torch.load(path, weights_only=True), as_saved
    return json.loads(path.read_text()), as_json


def sentence(read_it: Callable[[Path], None], folder: Path) -> str:
    """How it ends: in a sentence on one line, or "" for a result. Any other error passes through."""
    try:
        read_it(folder)
    except ReslabError as error:
        return str(error).splitlines()[0]
    return ""


def fuzz(name: str, cases: int, tmp_path: Path) -> None:
    """Damage a file of one format this many times; anything but a result or a sentence is raised."""
    source, file, read_it = CASES[name]
    folder = tmp_path / "run"
    shutil.copytree(GOLDEN / "looked", folder)
    shutil.copytree(GOLDEN / source, folder, dirs_exist_ok=True)
    data = (folder / file).read_bytes()
    value, spell = parsed(folder / file)
    WAYS.clear()
    read_it(folder)
    ends: Counter[str] = Counter()

    @settings(max_examples=cases, derandomize=True, deadline=None, database=None,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(damaged(data, value, spell))
    def once(content: bytes) -> None:
        (folder / file).write_bytes(content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of lines that are left out
            ends[sentence(read_it, folder)] += 1

    once()
    assert len(ends) > 1 or name == "metrics", ends  # of metrics damaged lines are skipped


@pytest.fixture(autouse=True)
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages without the library that draws their figures, 4 MB each, and no waiting for the disk."""
    monkeypatch.setattr("plotly.offline.get_plotlyjs", lambda: "")
    monkeypatch.setattr("os.fsync", lambda file: None)


@pytest.mark.parametrize("name", CASES)
def test_a_damaged_file_ends_in_a_sentence(name: str, tmp_path: Path) -> None:
    fuzz(name, FAST if name in ASKED else FEW, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_damaged_files_end_in_a_sentence(name: str, tmp_path: Path) -> None:
    fuzz(name, SLOW, tmp_path)
