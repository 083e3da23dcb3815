"""The identity study: is y = x harder to fit with plain layers than with residual ones? (He et al. 2015, section 3.1)

For each depth and seed a plain and a residual stack of the same layers takes the same steps on the same samples, each
at the best of the same rates; also for y = x + something small.
"""

import datetime
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reslab.errors import UsageError, arg
from reslab.progress import Rows, quiet
from reslab.run import Run, environment
from reslab.statistics import LEVEL, Sample, differs, holm, mean, p_text, sample
from reslab.stored.claims import Figure, Series
from reslab.study.claims.experiments import curve
from reslab.study.grid import Cell, Found, run
from reslab.study.grid.cell import cell
from reslab.study.work.identity import RATES, STEPS, WIDTH
from reslab.train.folder import pick_device

STACKS = {"plain": False, "residual": True}
NAME = "identity"  # of the study, in study.json


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is to be fitted."""

    depths: Sequence[int] = (2, 4, 8, 16)
    layers: Sequence[str] = ("linear", "conv")
    small: float = 0.1  # root mean square of what is added to x in the second target; 0: y = x alone
    steps: int = STEPS
    rates: Sequence[float] = RATES
    norm: bool = True  # a BatchNorm after each layer
    seeds: Sequence[int] = (0, 1, 2)

    def check(self) -> None:
        """Raise UsageError for values that make no study."""
        if len(set(self.depths)) < 2 or any(depth < 2 or depth % 2 for depth in self.depths):
            given = ", ".join(map(str, self.depths))
            raise UsageError(f"depths must be two or more even numbers from 2 on, got {given}")
        if unknown := [kind for kind in self.layers if kind not in WIDTH]:
            raise UsageError(f"layers must be {' or '.join(WIDTH)}, got {unknown[0]!r}")
        for name, values in (("seeds", self.seeds), ("rates", self.rates), ("layers", self.layers)):
            if not values:
                raise UsageError(f"{name}: at least one is needed, got none")
        if self.steps < 1:
            raise UsageError(f"steps must be positive, got {self.steps}")
        if not 0 <= self.small < math.inf or not all(0 < rate < math.inf for rate in self.rates):
            raise UsageError(f"rates must be positive and small at least 0, got {self.rates} and {self.small}")

    @property
    def cases(self) -> Iterator[tuple[str, float]]:
        """(layers, size of what is added) of each part of the study."""
        return ((kind, small) for kind in dict.fromkeys(self.layers) for small in dict.fromkeys((0.0, self.small)))

    def cell(self, kind: str, small: float, stack: str, depth: int, seed: int) -> Cell:
        return cell("identity", {
            "kind": kind, "small": small, "residual": STACKS[stack], "depth": depth, "norm": self.norm,
            "steps": self.steps, "rates": list(self.rates), "seed": seed,
        })  # fmt: skip


def identity(
    out: Path, asked: Asked, cache: Path, *, jobs: int = 0, device: str = "auto", command: str = "",
    rows: Rows = quiet, say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:  # fmt: skip
    """Fit what is not in the cache; the content of study.json, written to `out`.

    Raises UsageError for values that make no study and for a folder that holds something else.
    """
    asked.check()
    folder = Run(out)
    refuse_another(folder)
    depths = sorted(set(asked.depths))
    cells = {(kind, small, stack, depth): [asked.cell(kind, small, stack, depth, seed) for seed in asked.seeds]
             for kind, small in asked.cases for stack in STACKS for depth in depths}  # fmt: skip
    found = run([one for each in cells.values() for one in each], cache, jobs=jobs, device=device, rows=rows, say=say)
    fits = {key: [found[one] for one in each] for key, each in cells.items()}
    result = {
        "study": NAME, "title": "Is the identity hard to fit?", "created": datetime.date.today().isoformat(),
        "command": command, "seeds": list(asked.seeds),
        "verdicts": verdicts(asked, fits, depths), "table": [row(key, each) for key, each in fits.items()],
        "figures": [figure(kind, small, fits, depths) for kind, small in asked.cases],
        "recipe": {"steps": asked.steps, "rates": list(asked.rates), "norm": asked.norm, "momentum": 0.9, "batch": 64},
        "env": environment(str(pick_device(device)), 1), "caveats": list(caveats(asked, fits)),
    }  # fmt: skip
    folder.make()
    folder.write_json("study.json", result)
    return result


def refuse_another(folder: Run) -> None:
    """Raise UsageError if the folder holds something other than this study."""
    if folder.has("study.json"):
        if folder.read_json("study.json").get("study") != NAME:
            raise UsageError(f"{folder.folder} holds another study; choose another ", arg("folder"))
    elif folder.folder.is_dir() and any(path.name != "results" for path in folder.folder.iterdir()):
        raise UsageError(f"{folder.folder} is not empty and not the folder of a study; choose another ", arg("folder"))


Key = tuple[str, float, str, int]  # layers, size of what is added, stack, depth


def row(key: Key, fits: Sequence[Found]) -> dict[str, Any]:
    """One line of the table. Losses span many powers of ten: their geometric mean."""
    kind, small, stack, depth = key
    middle = 10 ** mean([math.log10(one.values["loss"]) for one in fits])
    rates = sorted({one.values["rate"] for one in fits})
    return {"net": f"{stack}, {depth} layers", "kind": stack, "layers": kind, "target": target(small), "depth": depth,
            "n": len(fits), "loss": f"{middle:.2g}", "best_rate": ", ".join(f"{rate:g}" for rate in rates)}  # fmt: skip


def target(small: float) -> str:
    return f"y = x + small(x), {small:g}" if small else "y = x"


def figure(kind: str, small: float, fits: dict[Key, list[Found]], depths: Sequence[int]) -> Figure:
    """Loss by depth of both stacks."""
    series: list[Series] = []
    for stack in STACKS:
        of_stack = [[one.values["loss"] for one in fits[kind, small, stack, depth]] for depth in depths]
        made = curve.averaged(stack, depths, list(zip(*of_stack, strict=True)))
        series.append({"name": stack, "x": list(made.x), "y": list(made.y)})
    return {"kind": "lines", "x": "layers", "y": f"loss, {target(small)}, {kind} layers", "series": series,
            "log_x": True, "log_y": True}  # fmt: skip


def verdicts(asked: Asked, fits: dict[Key, list[Found]], depths: Sequence[int]) -> list[dict[str, Any]]:
    """Two questions for each kind of layers and each target; Holm's correction over all of them."""
    questions: list[tuple[str, str, Sample]] = []
    for kind, small in asked.cases:
        losses = {
            stack: [[math.log10(fits[kind, small, stack, depth][k].values["loss"]) for depth in depths]
                    for k in range(len(asked.seeds))] for stack in STACKS
        }  # fmt: skip
        plain, residual = losses["plain"], losses["residual"]
        gains = [min(a - b for a, b in zip(*both, strict=True)) for both in zip(plain, residual, strict=True)]
        growth = [each[-1] - each[0] for each in plain]
        of = f"{target(small)}, {kind} layers"
        questions += [
            (f"Do shortcuts help to fit {of}, at every depth?",
             "At the depth where they help least, the plain stack's loss is {} times the residual one's",
             sample(gains)),
            (f"Do plain stacks fit {of} worse with depth?",
             f"The loss of {depths[-1]} plain layers is {{}} times that of {depths[0]}", sample(growth)),
        ]  # fmt: skip
    raw = [differs(one, 0.0) for *_, one in questions]
    return [judged(*each, p=p, p_holm=corrected, family=len(questions))
            for each, p, corrected in zip(questions, raw, holm(raw), strict=True)]  # fmt: skip


def judged(question: str, sentence: str, one: Sample, *, p: float, p_holm: float, family: int) -> dict[str, Any]:
    answer = "not shown" if p_holm >= 1 - LEVEL else "yes" if one.mean > 0 else "no"
    between = ""
    if one.low is not None and one.high is not None:
        between = f" (geometric mean; 95 % interval {10**one.low:.3g} to {10**one.high:.3g})"
    n = f"n = {one.n} seed{'s' * (one.n > 1)}"
    words = (
        f"t test of the log ratio over seeds, p {p_text(p_holm)} after Holm's correction for {family} questions, {n}"
    )
    return {"question": question, "answer": answer, "sentence": sentence.format(f"{10**one.mean:.3g}") + between + ".",
            "statistic": {"name": "t", "p": p, "p_holm": p_holm, "n": one.n, "words": words}}  # fmt: skip


def caveats(asked: Asked, fits: dict[Key, list[Found]]) -> Iterator[str]:
    yield "Random inputs and small stacks: it shows what is hard for gradient descent, not what nets do on images."
    yield "A loss is the mean squared error on new samples over the target's mean square: a stack of zeros has 1."
    if len(asked.seeds) < 3:
        yield "With fewer than three seeds hardly any difference can be shown."
    edges = sum(one.values["edge"] for each in fits.values() for one in each)
    if edges:
        every = sum(map(len, fits.values()))
        yield f"In {edges} of {every} fits the best rate was the least or the greatest: a wider grid may help."
    if diverged := sum(one.values["diverged"] for each in fits.values() for one in each):
        yield f"{diverged} of all fits diverged and count as no better than a stack of zeros."
