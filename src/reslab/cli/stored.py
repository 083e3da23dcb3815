"""Results of `eval` in a run folder: one for each file or data set, even if their names are equal."""

import itertools
from typing import Any

from reslab.run import Run


def ending(run: Run, start: str, of: str) -> str:
    """ "", "-2", "-3", ...: the first END for which results/START{END}.json holds no result of something else.

    `of`: a path or a fingerprint, as two files may have the same name. An earlier result for the same is replaced.
    """
    for end in itertools.chain([""], (f"-{k}" for k in itertools.count(2))):
        name = f"results/{start}{end}.json"
        if not run.has(name) or run.read_json(name).get("of", of) == of:
            return end
    raise AssertionError  # there is no last name


def store(run: Run, start: str, result: dict[str, Any], *, of: str) -> None:
    """Write results/START.json, or one with an `ending`. Raises ReslabError as Run.write_json does."""
    run.write_json(f"results/{start}{ending(run, start, of)}.json", {**result, "of": of})
