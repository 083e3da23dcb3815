"""The page of a look inside a model that is at hand in Python."""

import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
from torch import nn

from reslab import look
from reslab.errors import ReslabError, ReslabWarning, UsageError, nearest
from reslab.look.batches import as_batches
from reslab.report.look.page import write
from reslab.run import Run, environment
from reslab.subject.inputs import first
from reslab.subject.subject import VERBS

SAMPLED = 2  # paths per length that `paths` samples
FEW = 100  # samples whose paths are computed


def page(
    model: nn.Module, batches: Sequence[Any], out: Path | str = "look.html", *, name: str = "", data: str = "your data",
    verbs: Sequence[str] = VERBS, progress: Callable[[str], None] | None = None,
) -> Path:  # fmt: skip
    """Run every analysis of `reslab look` on a model and write one self-contained page; its path.

    `batches`: [(example, labels or None), ...] on the model's device. `name` and `data` stand on the page; `verbs` are
    the analyses, `progress` is called with the name of each before it runs. Analyses that do not apply to the model are
    skipped with a warning. Raises UsageError for an unknown analysis, for an existing file that is not a page of
    reslab, or if no analysis applies.
    """
    for verb in verbs:
        if verb not in VERBS:
            raise UsageError(f"no analysis named {verb!r}; available: {', '.join(VERBS)}{nearest(verb, VERBS)}")
    batches = as_batches(batches)
    if not batches:
        raise UsageError("batches is empty: give [(example, labels or None), ...]")
    merges = look.find(model, batches[0][0])
    device = str(next(iter(model.parameters()), torch.empty(0)).device)
    made = {"data": {"name": data}, "settings": {"environment": environment(device, torch.get_num_threads())},
            "command": "reslab.look.page"}  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        run, seen = Run(folder), {}
        run.write_json("results/look-merges.json", merges.as_dict())
        for verb in verbs:
            if progress:
                progress(verb)
            chosen, options = (first(batches, FEW), {"sample": SAMPLED}) if verb == "paths" else (batches, {})
            try:
                found = getattr(look, verb)(model, chosen, merges=merges, **options)
            except ReslabError as error:
                warnings.warn(ReslabWarning(f"{verb}: skipped: ", error), stacklevel=2)
                continue
            run.write_json(f"results/look-{verb}.json", asdict(found))
            seen[verb] = {**made, "n": found.n, "when": datetime.now().isoformat(timespec="seconds")}
        if not seen:
            raise UsageError("no analysis applies to this model; the warnings name the reasons")
        run.write_json("look.json", {"model": described(model, name), "seen": seen})
        return write(Path(folder), out=Path(out), single_file=True)


def described(model: nn.Module, name: str) -> dict[str, Any]:
    kind = type(model).__name__
    return {"word": name or kind, "name": name or kind, "class": kind, "kind": "own", "spec": None, "initial": False,
            "parameters": sum(p.numel() for p in model.parameters()), "notes": []}  # fmt: skip
