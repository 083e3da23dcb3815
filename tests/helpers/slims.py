"""Records of slimming as `reslab slim` stores them, with invented numbers: a ResNet-56, and a language model."""

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

from reslab.run import Run
from reslab.slim.block import Block
from reslab.slim.record import Arm, Plan, Score, Size, Slimmed, Step, Timing
from reslab.statistics import wilson

ENV = {"reslab": "0.1.0", "torch": "2.13.0", "python": "3.11.2", "device": "cpu", "device_name": "a CPU", "threads": 1}


def timing(milliseconds: float, batch: int = 128) -> Timing:
    return Timing(milliseconds=milliseconds, low=0.98 * milliseconds, high=1.03 * milliseconds, n=40, batch=batch,
                  device="cpu", threads=1)  # fmt: skip


def blocks(stages: int = 3, each: int = 9, *, name: str = "stages.{stage}", macs: int = 4_718_592) -> tuple[Block, ...]:
    """Blocks of equal cost; the first of every stage but the first has a projection, and the very first stays."""
    made = []
    for k in range(stages * each):
        stage, place = divmod(k, each)
        module = f"{name.format(stage=stage)}.{place}"
        made.append(Block(
            index=k, module=module, kind="branch" if place == 0 < stage else "block",
            container=module.rpartition(".")[0],
            merges=(k,), params=4_672 * 4**stage, macs=macs, removable=k > 0,
            why="it passes its input on" if k > 0 else "its module is called more than once",
        ))  # fmt: skip
    return tuple(made)


def plan(found: tuple[Block, ...] = (), *, chosen: int = 14, beyond: int = 4, measure: str = "error") -> Plan:
    """Blocks go from the back, then from the front; the error rises slowly, then fast."""
    found, dice, n = found or blocks(), random.Random(3), 2000
    free = [block for block in found if block.removable]
    order = [block for pair in zip(reversed(free), free, strict=True) for block in pair]
    order = list(dict.fromkeys(block.index for block in order))[: chosen + beyond]
    macs, params = sum(b.macs for b in found) + 1_000_000, sum(b.params for b in found) + 20_000
    each, base = 1.9, 0.139 if measure == "error" else 3.41
    total = each * len(found) + 6.5
    steps, gone = [], []
    for k, index in enumerate([None, *order]):
        gone += [] if index is None else [found[index]]
        rise = (
            0.0 if k == 0 else (0.0015 * k + 0.0006 * k**2 + 0.0001 * dice.random()) * (1 if measure == "error" else 9)
        )
        half = 0.0 if k == 0 else 0.004 + 0.001 * k
        steps.append(Step(
            block=index, module="" if index is None else found[index].module,
            values={"error": base + rise, "loss": 4 * (base + rise)} if measure == "error" else {measure: base + rise},
            change=rise, low=rise - half, high=rise + half, macs=macs - sum(b.macs for b in gone),
            params=params - sum(b.params for b in gone), milliseconds=total - each * len(gone),
        ))  # fmt: skip
    return Plan(
        model="ResNet", blocks=found, measure=measure, by="disabling", goal="remove", target=chosen, reached=True,
        chosen=chosen, steps=tuple(steps), n=n, data="2,000 validation images of cifar10-jpeg (seed 0)",
        timing=timing(total), table={str(b.index): each for b in found}, beam=2, seconds=212.0,
        notes=("block 0 stays: its module is called more than once",),
    )  # fmt: skip


def arms(seeds: int = 3, *, error: bool = True) -> tuple[Arm, ...]:
    """The intact and the cut model, the BatchNorm statistics alone, and three trainings from each seed."""
    ends = {"intact": 13.9, "cut": 34.5, "norms": 27.4, "healed": 14.1, "intact-longer": 13.5, "scratch": 15.2}
    if not error:
        ends = {"intact": 3.41, "cut": 4.9, "healed": 3.52, "intact-longer": 3.38, "scratch": 3.7}
    made = []
    for what, end in ends.items():
        trained = what in ("healed", "intact-longer", "scratch")
        for seed in range(seeds) if trained else [None]:
            value = end + (0.0 if seed is None else (seed - 1) * (0.14 if error else 0.01))
            around = wilson(round(value * 40), 4000) if error else None
            low, high = (100 * around.low, 100 * around.high) if around else (value - 0.05, value + 0.05)
            made.append(Arm(
                what=what, score=Score(value=value, low=low, high=high, n=4000,  # type: ignore[arg-type]
                                       more={"loss": value / 30} if error else {"perplexity": 2.718**value}),
                seed=seed, epochs=0.0 if not trained else 60.0 if what == "scratch" else 20.0,
                seconds=0.0 if not trained else 1900.0, run="" if seed is None else f"trainings/{what}-s{seed}",
            ))  # fmt: skip
    return tuple(made)


def slimmed(of: Plan, *, seeds: int = 3, **changes: Any) -> Slimmed:
    """The whole job over a plan."""
    error, first, last = of.measure == "error", of.steps[0], of.last
    made = Slimmed(
        model={"word": "runs/cifar10-resnet56", "name": "resnet56", "class": "ResNet"},
        family="images" if error else "texts", measure="error" if error else "loss", lower_is_better=True,
        data={"name": "cifar10-jpeg", "part": "test", "n": 4000},
        before=Size(params=first.params, macs=first.macs, bytes=4 * first.params, memory=61_000_000, timing=of.timing),
        after=Size(params=last.params, macs=last.macs, bytes=4 * last.params, memory=41_000_000,
                   timing=timing(1.02 * last.milliseconds)),
        speedup=1.81, speedup_low=1.78, speedup_high=1.85, form="spec" if error else "transformers",
        loads='reslab.load("runs/slim/model")', removed=of.removed, difference=2.1e-6,
        arms=arms(seeds, error=error), budget="20 epochs of the training images for each of healed and intact-longer; "
        "60 epochs, those of both trainings together, for scratch",
        verdict="intact-longer wins: its error is 0.60 points below healed's (95 % interval 0.28 to 0.92, 3 seeds); "
        "healed is 1.10 points below scratch (0.71 to 1.49).",
        comparisons=({"a": "healed", "b": "intact-longer", "difference": 0.6, "low": 0.28, "high": 0.92, "p": 0.006,
                      "p_holm": 0.006},
                     {"a": "healed", "b": "scratch", "difference": -1.1, "low": -1.49, "high": -0.71, "p": 0.001,
                      "p_holm": 0.002}),
        notes=("the plan was measured on a part of the training images: its errors are too low",),
        commands=("reslab eval runs/slim/model", "reslab look lesions runs/slim/model"), environment=ENV,
    )  # fmt: skip
    return replace(made, **changes)


GENERATION = {
    "windows": 300, "window_tokens": 64, "loss": 3.52, "loss_low": 3.44, "loss_high": 3.6, "intact_loss": 3.41,
    "loss_change": 0.11, "loss_change_low": 0.09, "loss_change_high": 0.13, "prompts": 40, "prompt_tokens": 32,
    "new_tokens": 20, "agreement": 0.55, "agreement_low": 0.42, "agreement_high": 0.67, "exact": 0.35,
    "exact_low": 0.221, "exact_high": 0.505, "perplexity": 14.2, "perplexity_low": 11.8, "perplexity_high": 17.3,
    "intact_perplexity": 9.1, "repetition": 0.12, "intact_repetition": 0.08,
    "warning": "Judged on short continuations: published results that looked at the loss alone broke at reasoning.",
    "examples": [{"prompt": "The <b>tower</b> was built in", "intact": "1889 by the city", "slim": "1889 for fun"}],
}  # fmt: skip


def write(folder: Path, of: Plan, done: Slimmed | None = None) -> Path:
    """A folder of `reslab slim`, as far as the plan, or finished."""
    (folder / "results").mkdir(parents=True, exist_ok=True)
    Run(folder).write_json("results/slim-plan.json", of.as_dict())
    if done is not None:
        Run(folder).write_json("results/slim.json", done.as_dict())
    return folder


def raw(value: Any) -> Any:
    """As JSON holds it: tuples are lists."""
    return json.loads(json.dumps(value))
