"""Passes of the planning data through a model, with some blocks disabled: growing if the model allows it.

Nothing here is believed: the intact model must give a sample the same scores in any batch; in every step, blocks from
the beginning, middle and end of the model must give the same in a growing pass as alone; and a model from which blocks
were removed must give every sample what it gave with them disabled.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from reslab.errors import ReslabError, UsageError, first_line
from reslab.look.edit.edits import silence
from reslab.look.edit.intervene import acting
from reslab.look.graph.example import Example, arguments, scores, tensors
from reslab.look.graph.merges import Merge
from reslab.look.graph.ops import real
from reslab.look.graph.passes import call
from reslab.look.graph.state import Draws
from reslab.look.lesion.growing import GrowthError, Lesion, grow
from reslab.look.lesion.silencing import agree
from reslab.look.measure import METRICS, Metric
from reslab.slim.planning.items import Items, Rows, parts, picked
from reslab.slim.planning.tally import Tally

HELD = 2**26  # numbers of the intact model's scores that are kept, 256 MiB; beyond it they are computed again
ROWS, LEAST = 400, 16  # rows of a grown batch of small images (the fastest for ResNet-56 on a CPU), of others
SMALL = 2**15  # numbers of one sample
FEW, MASKED = 256, 1e6  # numbers that stand for an output; scores of classes that a model masks are beyond
NEED_NOTHING = ("error", "loss")  # metrics that do not compare with the intact model's scores


class Passes:
    """Measures sets of disabled blocks of any shortened copy of one model. The caller sets eval mode, no gradients."""

    def __init__(
        self, model: nn.Module, items: Items, metrics: dict[str, Metric], merges: Sequence[Merge],
        *, most: int | None = None, pause: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self.model, self.items, self.metrics, self.merges = model, items, metrics, merges
        self.most = most or max(rows_of(items), *items.sizes)
        self.pause = pause  # called before every pass: raises to stop
        self.draws = Draws(model)
        self.itemwise = all(metric in METRICS.values() for metric in metrics.values())
        self.compares = any(name not in NEED_NOTHING for name in metrics)
        self.grows, self.why = True, ""
        self.kept: dict[int, Tensor] = {}  # the intact model's scores by batch
        self.outputs: list[float] = []  # a few of them, by which a stored plan is known to be of this model
        self.intact = Tally.empty(list(metrics), items.n)
        self.whole_batches = False  # whether a batch may not be divided
        self.read_intact()

    def read_intact(self) -> None:
        """Measure the intact model, and whether a sample's scores depend on the others in its batch."""
        room = HELD
        for number, (example, labels) in enumerate(self.items.batches):
            found = self.alone(self.model, example)
            n = self.items.sizes[number]
            if found.shape[:1] != (n,) or (labels is not None and labels.shape[:1] != (n,)):
                first = "output" if found.shape[:1] != (n,) else "labels"
                shape = list(found.shape if first == "output" else labels.shape)  # type: ignore[union-attr]
                raise ReslabError(f"the first dimension of the {first}, {shape}, is not the {n} samples of the batch, "
                                  "so no plan can be measured")  # fmt: skip
            at = torch.arange(n) + sum(self.items.sizes[:number])
            self.intact.add(at, self.metrics, found, labels, found, example)
            if number == 0:
                self.outputs = few_of(found)
                some = torch.arange(0, n, 2)
                self.whole_batches = not self.gives(picked(example, some), found[some])
            room -= found.numel()
            if self.compares and room > 0:
                self.kept[number] = found

    def gives(self, example: Example, known: Tensor) -> bool:
        """Whether the intact model accepts fewer samples, and gives them the same scores."""
        try:
            return agree(self.alone(self.model, example), known)
        except UsageError:  # what call raises if a model does not accept its input
            return False

    def measured_on(self, tally: Tally) -> Tally:
        """What a tally says of the samples that steps are measured on."""
        return tally.on(torch.cat([rows.at for rows in self.items.measuring()]))

    def alone(self, model: nn.Module, example: Example) -> Tensor:
        """The scores of a plain pass; models that draw random numbers draw the same in each."""
        self.pause()
        self.draws.restore()
        return scores(call(model, example))

    def whole(self, number: int, rows: Tensor, batch: Example, like: Tensor) -> Tensor:
        """The intact model's scores of some samples, if a metric needs them; otherwise anything of that shape."""
        if not self.compares:
            return like
        if number in self.kept:
            return self.kept[number][rows.to(self.kept[number].device)]
        return self.alone(self.model, batch)

    def measure(self, model: nn.Module, lesions: Sequence[Lesion], some: Sequence[Rows], tallies: Sequence[Tally],
                step: Callable[[int], None]) -> None:  # fmt: skip
        """Add to the tallies, of the model itself and then of each lesion, what these samples give.

        `step` is called with the number of samples times lesions that were measured.
        """
        if self.grows and lesions:
            try:
                return self.by(self.grown, model, lesions, some, tallies, step)
            except GrowthError as error:
                self.grows, self.why = False, first_line(error)
        return self.by(self.one_by_one, model, lesions, some, tallies, step)

    def by(self, how: Callable[..., Tensor], model: nn.Module, lesions: Sequence[Lesion], some: Sequence[Rows],
           tallies: Sequence[Tally], step: Callable[[int], None]) -> None:  # fmt: skip
        for number, rows, at in some:
            example, labels = self.items.batches[number]
            size = self.most // (len(lesions) + 1) if how == self.grown and not self.whole_batches else self.most
            pieces = list(parts(torch.arange(len(rows)), size if not self.whole_batches else len(rows)))
            if self.itemwise:
                for i in pieces:
                    self.add(how(model, lesions, picked(example, rows[i])), number, rows[i], at[i], labels, tallies)
                    step(len(i) * len(lesions))
            else:  # a user's metric may need all samples at once
                found = torch.cat([how(model, lesions, picked(example, rows[i])) for i in pieces], dim=1)
                self.add(found, number, rows, at, labels, tallies)
                step(len(rows) * len(lesions))

    def add(self, found: Tensor, number: int, rows: Tensor, at: Tensor, labels: Tensor | None,
            tallies: Sequence[Tally]) -> None:  # fmt: skip
        example = picked(self.items.batches[number][0], rows)
        labels = labels if labels is None else labels[rows.to(labels.device)]
        whole = self.whole(number, rows, example, found[0])
        tallies[0].add(at, self.metrics, found[0], labels, whole, example)
        for tally, changed in zip(tallies[1:], found[1:], strict=True):
            try:
                tally.add(at, self.metrics, changed, labels, whole, example)
            except ReslabError:  # without this block values overflow: it is the last that would go
                tally.sizes[at] = tallies[0].sizes[at]
                for sums in tally.sums.values():
                    sums[at] = torch.inf

    def grown(self, model: nn.Module, lesions: Sequence[Lesion], example: Example) -> Tensor:
        self.pause()
        self.draws.restore()
        return grow(model, self.merges, lesions, example)

    def one_by_one(self, model: nn.Module, lesions: Sequence[Lesion], example: Example) -> Tensor:
        return torch.stack([self.alone(model, example), *(self.lesioned(model, each, example) for each in lesions)])

    def lesioned(self, model: nn.Module, lesion: Lesion, example: Example) -> Tensor:
        with acting(model, self.merges, {index: silence() for index in sorted(lesion)}):
            return self.alone(model, example)

    def check(self, model: nn.Module, lesions: Sequence[Lesion]) -> None:
        """Whether growing passes give what plain ones give, on a few samples; if not, they are not used any more."""
        if not self.grows or not lesions:
            return
        number, rows, _ = self.items.deciding()[0]
        few = rows if self.whole_batches else rows[: max(2, self.most // (len(lesions) + 1))]
        example = picked(self.items.batches[number][0], few)
        try:
            found = self.grown(model, lesions, example)
            if not agree(found[0], self.alone(model, example)):
                raise GrowthError("the output for a sample changes if more samples are in the batch")
            for i in sorted({0, len(lesions) // 2, len(lesions) - 1}):
                if not agree(found[i + 1], self.lesioned(model, lesions[i], example)):
                    raise GrowthError("a growing pass does not give the result of a single pass")
        except GrowthError as error:
            self.grows, self.why = False, first_line(error)

    @property
    def rounding(self) -> float:
        """How far two ways to one number may be apart, relative to the scores."""
        device = next((p.device for p in self.model.parameters()), torch.device("cpu"))
        return 2.0**-5 if device.type == "cuda" else 2.0**-10  # TF32 on a GPU

    def same(self, found: Tally, known: Tally, at: Tensor) -> bool:
        """Whether two ways to the same model gave every sample the same, in the metrics that rounding cannot flip."""
        exact = [name for name in self.metrics if name != "error" and name in METRICS]
        allowed = self.rounding
        for name in exact:
            one, other = found.sums[name][at], known.sums[name][at]
            if bool(((one - other).abs() > allowed * (known.sizes[at] + other.abs())).any()):
                return False
        return True


def few_of(scores: Tensor) -> list[float]:
    """Up to FEW of the scores, from everywhere; 0 for those of masked classes, which are very large."""
    numbers = real(scores).detach().flatten()
    numbers = numbers[:: max(1, -(-len(numbers) // FEW))].cpu().double()
    return torch.where(numbers.isfinite() & (numbers.abs() < MASKED), numbers, 0.0).tolist()


def rows_of(items: Items) -> int:
    """How many rows a grown batch has at least: it should use no more memory than a batch of the user's does."""
    example = items.batches[0][0]
    args, kwargs = arguments(example)
    found = tensors([*args, *kwargs.values()])
    small = all(t.is_floating_point() and t.numel() <= SMALL * items.sizes[0] for t in found)
    return ROWS if small else LEAST
