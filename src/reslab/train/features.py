"""The inputs of a net's head, computed once: with a frozen backbone, only the head has to run in each step."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from reslab.errors import UsageError, tell
from reslab.look.graph.example import scores
from reslab.look.graph.passes import as_it_was
from reslab.progress import Progress
from reslab.train.layers import NetLayers
from reslab.train.tune import Choice, Inputs

CACHE = 8e9  # bytes of features that are kept in memory; of more examples, the whole net runs in each step
PROBE = 8  # examples on which it is checked that the head computes the net's scores from its input alone


@runtime_checkable
class Caching(Protocol):
    """A task that can give the head's inputs as examples."""

    def rows_to_cache(self) -> int:
        """Number of examples in all parts."""

    def varies(self) -> str:
        """Why an example may come out differently in another epoch; "" if it does not."""

    def cache(
        self, extract: Callable[[Tensor], Tensor], head: str, *, progress: Progress, stopped: Callable[[], int]
    ) -> str:
        """From now on, batches are inputs of the module `head`, and it alone is evaluated. What was computed, in words.

        `extract` gives them for a batch of examples. Raises Interrupted when `stopped` gives a signal's number.
        """


def cached_head(task: Any, net: nn.Module, layers: NetLayers, x: Inputs) -> str | None:
    """The path of the head whose inputs can be computed once; None, with the reason reported, if they cannot be.

    `x`: inputs of the net, on its device.
    """
    if not isinstance(task, Caching):
        return None
    rows = task.rows_to_cache()
    found = task.varies() or probed(net, layers, x)
    if isinstance(found, Tensor) and found[0].numel() * found.element_size() * rows > CACHE:
        found = f"those of {rows:,} images need more than {CACHE / 1e9:g} GB"
    if isinstance(found, str):
        tell("the features of the frozen backbone are computed in each step: %s", found)
        return None
    return layers.head[0]


def probed(net: nn.Module, layers: NetLayers, x: Inputs) -> Tensor | str:
    """The head's input for the first examples, or why the head alone does not give the net's scores."""
    if len(layers.head) != 1 or not isinstance(x, Tensor):
        return "the head is not a single module"
    head = net.get_submodule(layers.head[0])
    with torch.no_grad(), as_it_was(net):
        with head_inputs(head) as seen:
            out = scores(net(x[:PROBE]))
        if len(seen) != 1 or seen[0] is None or len(seen[0]) != len(out):
            return "the head is not called once with a single tensor"
        again = head(seen[0])
    if (
        not isinstance(again, Tensor)
        or again.shape != out.shape
        or not torch.allclose(again, out, rtol=1e-4, atol=1e-5)
    ):
        return "the net changes the head's output afterwards"
    return seen[0]


def extract(net: nn.Module, head: str, choice: Choice, x: Tensor) -> Tensor:
    """The head's inputs for the examples x, without gradients. The net is run as it is: a frozen one in eval mode."""
    with torch.no_grad(), head_inputs(net.get_submodule(head)) as seen, choice.autocast(x.device):
        choice.run(lambda x: scores(net(x)), x)
    if len(seen) != 1 or seen[0] is None:
        raise UsageError(f"the net does not call its head {head!r} once with a single tensor for each batch")
    return seen[0].detach()


@contextlib.contextmanager
def head_inputs(head: nn.Module) -> Iterator[list[Tensor | None]]:
    """Inside, the input of each call of the head is listed; None if it is not a single tensor."""
    seen: list[Tensor | None] = []

    def note(_: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        alone = len(args) == 1 and not kwargs and isinstance(args[0], Tensor)
        seen.append(args[0] if alone else None)

    handle = head.register_forward_pre_hook(note, with_kwargs=True)
    try:
        yield seen
    finally:
        handle.remove()
