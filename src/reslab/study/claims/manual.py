"""The manual of experiments, looks and models, from their own docstrings and the table of settings."""

import ast
import typing
from importlib.resources import files

from reslab.errors import UsageError, nearest
from reslab.study.claims.allowed import EXPERIMENTS, LOOKS, MODELS, Key
from reslab.study.claims.experiments import EXPERIMENTS as MODULES
from reslab.study.grid.works import WORKS

WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false"}


def listed() -> str:
    """Every one with the first line of what it does."""
    groups = {"experiments": {name: EXPERIMENTS[name] for name in MODULES}, "looks": LOOKS, "models": MODELS}
    lines = []
    for title, names in groups.items():
        lines += [
            f"{title}:",
            *(f"  {name:12} {' '.join(texts(name)[0].split(chr(10) * 2)[0].split())}" for name in names),
        ]
    return "\n".join([*lines, "next:   reslab claims experiments NAME"])


def described(name: str) -> str:
    """All that is written of one, and its keys. Raises UsageError for an unknown name."""
    known = {**{each: EXPERIMENTS[each] for each in MODULES}, **LOOKS, **MODELS}
    if name not in known:
        raise UsageError(f"no experiment, look or model {name!r}{nearest(name, known)}; "
                         "`reslab claims experiments` lists them")  # fmt: skip
    keys = [f"  {key:16} {kind(one)}; {one.about}" for key, one in known[name].items()]
    return "\n".join([*(f"{text}\n" for text in texts(name)), "keys:", *(keys or ["  none"])])


def texts(name: str) -> list[str]:
    """The docstring of the module, and of a work that of its function; nothing is imported."""
    place = f"claims/experiments/{MODULES[name]}" if name in MODULES else f"work/{WORKS[name].module}"
    tree = ast.parse(files("reslab.study").joinpath(f"{place}.py").read_text(encoding="utf-8"))
    found = [ast.get_docstring(tree), *(ast.get_docstring(one) for one in tree.body
                                        if isinstance(one, ast.FunctionDef) and one.name == "work")]  # fmt: skip
    return [text for text in found if text]


def kind(one: Key) -> str:
    """`number, needed`."""
    arguments = typing.get_args(one.kind)
    if typing.get_origin(one.kind) is typing.Literal:
        word = " | ".join(map(str, arguments))
    else:
        word = WORDS.get(one.kind) or ("list" if typing.get_origin(one.kind) in (list, tuple) else "table")
    return f"{word}, needed" if one.needed else word
