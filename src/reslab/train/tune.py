"""Find the fastest way to run a step here (precision, memory format, compiled or not) by timing some steps."""

import copy
import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from reslab.errors import UsageError, tell
from reslab.nets.specs import make
from reslab.progress import Progress, Steps, in_phase, silent
from reslab.train.fusing.agreement import why_not
from reslab.train.fusing.built import library
from reslab.train.fusing.pending import called
from reslab.train.generators import kept
from reslab.train.memory import is_full
from reslab.train.recipe import Recipe
from reslab.train.signals import Interrupted

WARM, TIMED = 2, 5  # steps of each combination, the timed ones in turn
TRYING = 20.0  # seconds that the trials may take in all; one of a compiled net ends with its step
GAIN = 1.1  # bf16 and compile must be this much faster to be worth leaving plain fp32
COMPILE_WORTH = 1800.0  # seconds of a run from which trying a compile (about a minute or two) can repay
FUSE_WORTH = 60.0  # seconds of a run from which compiling norms.c and trying it (some seconds) repay
FUSE_GAIN = 1.02
NUMBERS = {"fp32": torch.float32, "bf16": torch.bfloat16}  # what the net's images become, by precision
Inputs = Tensor | dict[str, Tensor]  # what a net is called with
LOSS = Callable[[Any, Tensor], Tensor]


def known(choice: "Choice") -> None:
    """Raise UsageError for an unknown precision or memory format."""
    for key, words in (("precision", ("fp32", "bf16")), ("memory_format", ("NCHW", "NHWC", ""))):
        if getattr(choice, key) not in words:
            raise UsageError(f"{key} must be one of {', '.join(words)}, got {getattr(choice, key)!r}")


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What a training runs with, and what was tried: ms/step of each combination."""

    precision: str = "fp32"
    memory_format: str = "NCHW"  # "" where x is no image
    compile: bool = False
    fused: bool = False  # BatchNorm with what follows it: train/fusing
    milliseconds: dict[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        more = ("fused" if self.fused else "", "compiled" if self.compile else "")
        return " ".join(filter(None, (self.precision, self.memory_format, *more)))

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def stored(cls, values: dict[str, Any]) -> "Choice":
        """From what `as_dict` gave. Raises UsageError for an unknown field or one of another type."""
        found: Choice = make(cls, values, "the choice of a step", check=known)
        return found

    def autocast(self, device: torch.device) -> AbstractContextManager[Any]:
        """Run the net in bf16 where that was chosen; weights and loss stay fp32."""
        return torch.autocast(device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def place(self, net: nn.Module, device: torch.device) -> nn.Module:
        """The net on the device in the chosen memory format."""
        return net.to(device, memory_format=self.layout)  # type: ignore[call-overload]

    def run(self, forward: Callable[..., Any], x: Inputs) -> Any:
        """forward(x), images in the chosen memory format, or forward(**x); scores come back as float32."""
        if isinstance(x, Tensor):
            x = x.contiguous(memory_format=self.layout) if x.dim() == 4 else x
            out = called(forward, x) if self.fused and torch.is_grad_enabled() else forward(x)
        else:
            out = forward(**x)
        return out.float() if isinstance(out, Tensor) else out

    @property
    def layout(self) -> torch.memory_format:
        return torch.channels_last if self.memory_format == "NHWC" else torch.contiguous_format


def native_bf16(device: torch.device) -> bool:
    """Whether the device computes bf16 natively; emulated bf16 is slower than fp32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return False  # MPS: not every version autocasts to bf16; request it with --precision bf16


def candidates(recipe: Recipe, device: torch.device, *, images: bool = True) -> list[Choice]:
    """The combinations that the recipe leaves open, plain fp32 first; only images have a memory format.

    Raises UsageError if the recipe wants fused norms and there are none.
    """
    auto = ("fp32", "bf16") if native_bf16(device) else ("fp32",)
    precisions = auto if recipe.precision == "auto" else (recipe.precision,)
    formats: tuple[str, ...] = ("NCHW", "NHWC") if recipe.memory_format == "auto" else (recipe.memory_format,)
    formats = formats if images else ("",)
    more: dict[str, Any] = {"compile": recipe.compile == "on", "fused": recipe.fuse == "on"}
    if recipe.fuse == "on":
        formats = ("NHWC",)
        if device.type != "cpu" or not images:
            raise UsageError(f"fuse = on is for images on the CPU, not on {device.type}; set fuse = auto or off")
        if isinstance(why := library(NUMBERS[precisions[-1]]), str):
            raise UsageError(f"fuse = on needs a C compiler: {why}; set fuse = auto or off")
    return [Choice(precision=p, memory_format=f, **more) for p in precisions for f in formats]


def choose(
    net: nn.Module, batch: tuple[Inputs, Tensor], loss: LOSS, *, recipe: Recipe, steps: int,
    progress: Progress = silent, asked: Callable[[], int] = lambda: 0,
) -> Choice:  # fmt: skip
    """The fastest way to run `steps` training steps of `net` on batches like (x, y); the net is left as it was.

    Combinations are timed in turn and compared by their median, for at most TRYING seconds and a step. Compiling is
    tried only for a run long enough to win back the time it takes, or when the recipe says "on". `asked` gives the
    number of a signal that arrived, or 0. Raises Interrupted after the step in which one arrives.
    """
    x, y = batch
    open_choices = candidates(recipe, y.device, images=isinstance(x, Tensor) and x.dim() == 4)
    if len(open_choices) == 1 and recipe.compile != "auto":
        return open_choices[0]
    with kept(y.device):
        what = "precision and memory format" if open_choices[0].memory_format else "precision"
        what = what if len(open_choices) > 1 else "a training step"  # only to decide on compiling
        # The likely winners first: of a slow net, no more may be timed.
        likely = sorted(open_choices, key=lambda one: (one.memory_format == "NCHW", one.precision == "bf16"))
        times = race(likely, net, x, y, loss, in_phase(progress, f"timing {what}"), asked)
        best = fastest(open_choices, times)
        if recipe.fuse == "auto" and steps * times[str(best)] > FUSE_WORTH and can_fuse(best, net, x, y, loss):
            fused = replace(best, fused=True)
            both = race([fused, best], net, x, y, loss, in_phase(progress, "timing fused norms"), asked)
            if str(best) in both and both[str(fused)] * FUSE_GAIN < both[str(best)]:
                best, times = fused, times | both
            times.setdefault(str(fused), both[str(fused)])
        if recipe.compile == "auto" and steps * times[str(best)] > COMPILE_WORTH:
            compiled = Choice(precision=best.precision, memory_format=best.memory_format, compile=True)
            times |= race([compiled], net, x, y, loss, in_phase(progress, "timing the compiled net"), asked)
            best = compiled if times[str(compiled)] * GAIN < times[str(best)] else best
    tried = {name: round(1000 * seconds, 2) for name, seconds in times.items()}
    return Choice(**{**best.as_dict(), "milliseconds": tried})


def can_fuse(choice: Choice, net: nn.Module, x: Inputs, y: Tensor, loss: LOSS) -> bool:
    """Whether the net's norms can be fused, with the same gradients; says why not where they differ."""
    if y.device.type != "cpu" or choice.memory_format != "NHWC" or choice.compile or not isinstance(x, Tensor):
        return False
    why = found if isinstance(found := library(torch.float32), str) else why_not(net, x, y, loss)
    if why:
        tell("BatchNorm is not fused: %s", why)
    return not why


def fastest(choices: list[Choice], times: dict[str, float]) -> Choice:
    """The fastest fp32 of those timed, unless bf16 is clearly faster: a tie goes to the more precise."""
    ranked = sorted(
        (choice for choice in choices if str(choice) in times),
        key=lambda c: times[str(c)] * (GAIN if c.precision == "bf16" else 1.0),
    )
    return ranked[0]


def race(
    choices: list[Choice], net: nn.Module, x: Inputs, y: Tensor, loss: LOSS, progress: Steps,
    asked: Callable[[], int] = lambda: 0,
) -> dict[str, float]:  # fmt: skip
    """Median seconds per step of each choice; the choices take turns, with fewer turns where steps are slow.

    At least one step of the first choice is timed; whatever was not timed within TRYING seconds, or runs out of memory,
    is left out. `progress`
    counts the steps that fit into these seconds, so no display announces more time than the trials may take.
    """
    began, done, total = time.perf_counter(), 0, (WARM + TIMED) * len(choices)
    progress(done, total)
    seen: dict[str, list[float]] = {str(choice): [] for choice in choices}
    steps: dict[str, Callable[[], None]] = {}
    for _ in range(WARM + TIMED):
        for choice in [one for one in choices if str(one) in seen]:
            name, begin = str(choice), time.perf_counter()
            longest = max((max(times) for times in seen.values() if times), default=0.0)
            if done and begin + longest - began > TRYING:
                progress(done, done)
                return {name: statistics.median(times[WARM:] or times[-1:]) for name, times in seen.items() if times}
            try:
                if name not in steps:
                    steps[name] = make_step(choice, copy.deepcopy(net), x, y, loss)
                    begin = time.perf_counter()
                steps[name]()
            except (RuntimeError, MemoryError) as error:
                if not is_full(error) or len(seen) == 1:
                    raise
                del seen[name]
                steps.pop(name, None)
                continue
            seen[name].append(time.perf_counter() - begin)
            done += 1
            spent = time.perf_counter() - began
            progress(done, min(total, done + max(0, int((TRYING - spent) * done / spent))) if spent else total)
            if asked():
                raise Interrupted("stopped before the first step; run the same command again to start", asked())
    return {name: statistics.median(times[WARM:]) for name, times in seen.items()}


def make_step(choice: Choice, net: nn.Module, x: Inputs, y: Tensor, loss: LOSS) -> Callable[[], None]:
    """One training step without the update, which costs the same for every choice."""
    net = choice.place(net, y.device).train()
    forward = torch.compile(net) if choice.compile else net

    def step() -> None:
        net.zero_grad(set_to_none=True)
        with choice.autocast(y.device):
            out = choice.run(forward, x)
        loss(out, y).backward()
        if y.device.type == "cuda":
            torch.cuda.synchronize()
        elif y.device.type == "mps":
            torch.mps.synchronize()

    return step
