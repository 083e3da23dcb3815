"""The commands with which a user can continue after a job: the record holds them as they are typed."""

from pathlib import Path
from shlex import quote


def next_steps(family: str, run: Path, model: Path) -> tuple[str, ...]:
    """The commands for a family of models: `run` is the run folder of the final net, `model` its own form."""
    net = quote(str(run))
    if family == "images":
        return (f"reslab eval {net}", f"reslab predict {net} IMAGES", f"reslab look lesions {net}")
    if family == "questions":
        return (f"reslab qa eval {net}", f'reslab qa ask {net} "QUESTION" --context FILE')
    return (f"reslab look lesions {quote(str(model))} --data TEXTS",)
