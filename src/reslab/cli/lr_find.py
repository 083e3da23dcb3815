"""reslab train --lr-find: the range test of the learning rate."""

import shlex
import sys
from pathlib import Path
from typing import Any

from reslab.cli import say
from reslab.run import command_line


def find(asked: Any, *, out: Path | None, device: str, json: bool) -> None:
    """Run the range test, draw it, and print the command that trains with the suggested rate."""
    from reslab.images.lr_find import find_rate
    from reslab.progress import shown
    from reslab.report.pages.lr_find import write
    from reslab.report.render import target

    place = target(out or "lr-find.html", Path("lr-find.html"))  # before the work
    with shown("range test") as progress:
        found, plan = find_rate(asked, device=device, progress=progress)
    then = "" if found.suggestion is None else with_rate(found.suggestion)
    page = write(
        found.as_dict(), out=place, title=f"Learning rates of {plan.word} on {plan.data.name}",
        about=f"recipe {plan.chosen.name}, {found.optimizer}, batches of {found.batch} images, seed "
        f"{plan.chosen.recipe.seed}", command=command_line(), then=then,
    )  # fmt: skip
    if json:
        say.as_json({"report": str(page), "next": then, **found.as_dict()})
        return
    steps = f"{len(found.rates)} steps with rates from {found.rates[0]:.3g} to {found.rates[-1]:.3g}"
    end = "the loss diverged" if found.diverged else "the loss did not diverge"
    rate = f"suggested learning rate {found.suggestion:g}" if then else "the loss did not fall, so no rate is suggested"
    print(f"{rate} (the recipe has {plan.chosen.recipe.lr:g}); {steps}, {end}")
    print(f"report: {page}" + (f"\nnext:   {then}" if then else ""))


def with_rate(rate: float) -> str:
    """This command with the rate instead of the range test."""
    words, skip = [], False
    for word in sys.argv[1:]:
        if skip:
            skip = False
        elif word in ("--lr", "--out"):
            skip = True
        elif word != "--lr-find" and not word.startswith(("--lr=", "--out=")):
            words.append(word)
    return shlex.join(["reslab", *words, "--lr", f"{rate:g}"])
