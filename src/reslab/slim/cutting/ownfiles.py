"""A model of the user's own Python file, as the few lines of Python that build it again.

A file that stands alone is copied beside the weights, so that the folder can be moved by itself. One that imports other
files of its folder, or reads files beside it, must stay; a folder that holds both can still be moved as a whole.
"""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COPY = "intact.py"
RELATIVE = "@relative path@"  # in the lines of a file that is not copied: its path from the folder that is saved


@dataclass(frozen=True)
class Source:
    """How to build the intact model, without its weights."""

    title: str  # "torchvision's convnext_tiny"
    imports: tuple[str, ...]
    build: tuple[str, ...]  # statements, after which `net` is the model
    needs: str = ""  # what must stay where it is
    copied: bytes | None = None  # the user's file, of which a copy is saved with the weights
    file: Path | None = None  # the user's file, if none is


def of_file(file: Path, function: str, arguments: Mapping[str, Any], classes: int | None) -> list[Source]:
    """The ways to build by a user's file, the best first. `classes`: given to the function if it takes them."""
    build = called(function, arguments, classes)
    title = f"{function} of {file}"
    imports = ("import sys", "from pathlib import Path", "from runpy import run_path",
               *(["import inspect"] if classes is not None else []))  # fmt: skip
    lines = [f"file = Path({str(file)!r})", "if not file.exists():  # it was moved together with this folder",
             f"    file = Path(__file__).parent / {RELATIVE!r}",
             "sys.path.insert(0, str(file.parent))  # for what the file imports", "try:",
             *(f"    {line}" for line in build), "finally:", "    sys.path.remove(str(file.parent))"]  # fmt: skip
    end = "net = net[0] if isinstance(net, (tuple, list)) else net"
    stays = Source(title, imports, (*lines, end), needs=str(file), file=file)
    if (text := alone(file)) is None:
        return [stays]
    copied = (f"file = Path(__file__).with_name({COPY!r})", *build, end)
    return [Source(title, imports[1:], copied, copied=text), stays]


def called(function: str, arguments: Mapping[str, Any], classes: int | None) -> list[str]:
    """The lines that call the function."""
    load = f"build = run_path(str(file))[{function!r}]"
    if classes is None:
        return [load, f"net = build({written(arguments).removeprefix(', ')})"]
    return [load, "takes = inspect.signature(build).parameters",
            f'several = {{key: {classes} for key in ("classes", "num_classes") if key in takes}}',
            f"net = build(**several{written(arguments)})"]  # fmt: skip


def alone(file: Path) -> bytes | None:
    """The text of a file that imports nothing of its folder and does not ask where it lies; None for any other."""
    try:
        text = file.read_bytes()
        tree = ast.parse(text)
    except (OSError, SyntaxError, ValueError):
        return None
    if any(isinstance(node, ast.Name) and node.id == "__file__" for node in ast.walk(tree)):
        return None
    beside = [name for name in imported(tree) if (file.parent / f"{name}.py").exists() or (file.parent / name).is_dir()]
    return None if beside else text


def imported(tree: ast.AST) -> Iterator[str]:
    """The first names of the modules that a file imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name.partition(".")[0] for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def written(arguments: Mapping[str, Any]) -> str:
    """Arguments of a call, after others."""
    if all(key.isidentifier() for key in arguments):
        return "".join(f", {key}={value!r}" for key, value in arguments.items())
    return f", **{dict(arguments)!r}"
