"""The command that removes the blocks which matter least, for a model that was looked at."""

from dataclasses import asdict
from shlex import join
from typing import Any

from reslab.cli import say
from reslab.cli.look.flags import _LookFlags
from reslab.cli.options import given

KEPT = ("net", "key", "weights", "data", "normalize", "mean_std", "column")  # options that `reslab slim` has, too
TARGET = {"images": ["--keep-error", "1"], "causal": ["--remove", "1"], "masked": ["--remove", "1"]}


def slimming(word: str, flags: _LookFlags, subject: Any) -> str:
    """`reslab slim MODEL --keep-error 1`; "" for a model without blocks to remove, or without data to train it on.

    What is removable is what `look` found: blocks whose branch can go for good.
    """
    loaded, inputs = subject.loaded, flags.given
    target = TARGET.get(loaded.kind)
    if target is None or loaded.initial or not any(merge.cuttable for merge in subject.merges):
        return ""
    if not subject.settings["labels"] or subject.settings["precision"] != "fp32" or (inputs and inputs.random):
        return ""
    words = [word, *target]
    for group in (flags.model, inputs):
        told = {} if group is None else asdict(group)
        words += say.flags({key: told[key] for key in KEPT if told.get(key) is not None})
    words += say.flags({**given(flags.net), **{key: value for key, value in given(flags.data).items() if value}})
    return join(["reslab", "slim", *words])
