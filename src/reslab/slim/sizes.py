"""What a model takes: parameters, multiply-adds, bytes of its file, memory of a pass, time of a pass."""

from torch import nn

from reslab.look.graph.example import Example
from reslab.slim.memory import peak_memory
from reslab.slim.planning.timing import in_turn, ratio, timing_of
from reslab.slim.record import Size
from reslab.slim.watching import macs_of
from reslab.train.checkpoint import as_file


def sizes(
    before: nn.Module, after: nn.Module, example: Example, timed: Example
) -> tuple[Size, Size, tuple[float, float, float]]:
    """(of the intact model, of the smaller one, how many times as fast it is, with the interval's ends).

    Both are timed in turn on `timed`; multiply-adds are of one example, memory of a pass of `timed`.
    """
    times = in_turn([before, after], timed)
    made = [
        Size(params=sum(p.numel() for p in model.parameters()), macs=macs_of(model, example),
             bytes=len(as_file(model.state_dict())), memory=peak_memory(model, timed),
             timing=timing_of(found, model, timed))
        for model, found in zip((before, after), times, strict=True)
    ]  # fmt: skip
    return made[0], made[1], ratio(*times)
