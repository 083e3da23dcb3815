"""Advice is executed: an argument that a sentence names is one that Python takes and that the command line takes.

Every `arg(...)` in the source is collected, so that a new sentence is held to this as well.
"""

import ast
import dataclasses
import importlib
import inspect
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reslab.cli import app, say
from reslab.errors import arg
from reslab.train import recipe as recipes
from reslab.train.recipe import Recipe

SOURCE = Path(__file__).parents[2] / "src" / "reslab"
LOOK = (["look", "lesions", "MODEL"], ["look", "merges", "MODEL"], ["look", "gradients", "MODEL"])
TABLES = (["tables", "train", "FILE"], ["tables", "compare", "FILE", "--target", "y"])
COMMANDS = {  # of each room: the commands that print its sentences
    "images": (["train"], ["study", "degradation"], ["data", "prepare", "FOLDER"], *LOOK),
    "launch": (["train"], ["qa", "train"], ["tables", "train", "FILE"]),
    "look": LOOK,
    "nets": (*LOOK, ["nets"], ["train"]),
    "qa": (["qa", "train"], ["qa", "ask", "RUN", "TEXT"], *LOOK),
    "report": (["report", "RUN"],),
    "run": (["train"],),
    "stored": (["train"],),
    "ship": (["serve", "FOLDER"], ["push", "MODEL", "OWNER/NAME"], ["export", "MODEL"], ["predict", "RUN", "FILE"]),
    "slim": (["slim", "MODEL"],),
    "study": (["study", "degradation"], ["study", "grid"], ["study", "identity"], ["claims"]),
    "subject": LOOK,
    "tables": TABLES,
    "train": (["train"], ["qa", "train"], *TABLES),
}
PLACES = {  # arguments of functions that stand elsewhere than in the room of the sentence
    "images": ("reslab.train.recipe", "reslab.subject.inputs"),
    "qa": ("reslab.train.recipe", "reslab.subject.inputs", "reslab.qa.folder", "reslab.qa.settings"),
    "run": ("reslab.images.train", "reslab.tables.train"),
    "stored": ("reslab.images.train",),
    "subject": ("reslab.images.data.words", "reslab.nets.words", "reslab.subject.subject"),
    "tables": ("reslab.train.recipe",),
    "train": ("reslab.images.train", "reslab.train.recipe"),
    "nets": ("reslab.nets.catalog", "reslab.nets.resnet", "reslab.images.train"),
}


def advice() -> Iterator[tuple[str, str, Any]]:
    """(room, name, value) of every `arg(...)`; ... if it has no value, or none that is a literal in the source."""
    for path in sorted(SOURCE.rglob("*.py")):
        room = path.relative_to(SOURCE).parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "arg"):
                continue
            name = node.args[0]
            if not isinstance(name, ast.Constant):
                continue  # of a variable
            try:
                value = ast.literal_eval(node.args[1]) if len(node.args) > 1 else ...
            except ValueError:
                value = ...
            yield room, str(name.value), value


ADVICE = list(
    dict.fromkeys((room, name, repr(value)) for room, name, value in advice() if room not in ("cli", "errors"))
)


def test_there_is_advice() -> None:
    assert len(ADVICE) > 25
    assert ("tables", "validation", "0") in ADVICE


@pytest.mark.parametrize(("room", "name", "value"), ADVICE)
def test_the_command_line_takes_it(room: str, name: str, value: str) -> None:
    """The words parse in a command of the room, their values too; a name alone is an option of one."""
    said = arg(name, ... if value == "Ellipsis" else ast.literal_eval(value))
    words = shlex.split(say.argument(said))
    taken, refused = [], []
    for command in COMMANDS[room]:
        _, apps, _ = app.parse_commands(command)
        options = {one for argument in apps[-1].assemble_argument_collection() for one in argument.names}
        if next(word for word in words if word.startswith("--")) not in options:
            continue
        taken.append(command)
        if said.value is not ...:
            try:
                app.parse_args([*command, *words], exit_on_error=False, print_error=False)
            except Exception as error:
                refused.append(error)
    assert taken, f"no command of {room} takes {words}"
    assert len(refused) < len(taken), refused


@pytest.mark.parametrize(("room", "name", "value"), ADVICE)
def test_python_takes_it(room: str, name: str, value: str) -> None:
    """A function or a dataclass of the room has a parameter of this name; a recipe takes the value."""
    assert name in {one for module in modules(room) for one in parameters(module)}
    if value != "Ellipsis" and name in {field.name for field in dataclasses.fields(Recipe)}:
        recipes.change(recipes.read("digits"), **{name: ast.literal_eval(value)}).check()


def modules(room: str) -> Iterator[Any]:
    files = sorted((SOURCE / room).rglob("*.py")) or [SOURCE / f"{room}.py"]
    for path in files:
        parts = path.relative_to(SOURCE).with_suffix("").parts
        yield importlib.import_module(".".join(["reslab", *(part for part in parts if part != "__init__")]))
    yield from map(importlib.import_module, PLACES.get(room, ()))


def parameters(module: Any) -> Iterator[str]:
    for _, one in inspect.getmembers(module, lambda one: inspect.isfunction(one) or inspect.isclass(one)):
        try:
            yield from inspect.signature(one).parameters
        except ValueError:  # a class of C
            continue


def test_no_sentence_of_the_library_holds_a_flag() -> None:
    """Flags stand in cli/ alone: elsewhere a sentence names arguments (docstrings may name flags)."""
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        name = path.relative_to(SOURCE).as_posix()
        if name.startswith("cli/") or name in (
            "report/look/network.py",
            "report/figures/removed.py",
            "run.py",
            "ship/serve/unit.py",
            "slim/next_steps.py",
            "study/grid/on_slurm.py",
            "study/ranks.py",
        ):  # custom properties of CSS; git's; whole commands, which a record, a unit or a script holds
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        found += [f"{name}:{node.lineno}: {node.value}" for node in ast.walk(tree)
                  if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs
                  and re.search(r"(^|[\s(`,])--[a-z]", node.value)]  # fmt: skip
    assert found == []
