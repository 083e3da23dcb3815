"""The gradient of a batch of which each process has a part: summed over all of them while the backward pass still runs.

As in DistributedDataParallel, gradients travel in buckets, each as soon as it is complete. That class averages over
the processes, though, which is wrong for parts of unequal size or weight, and it has no place for a part without a
readable image; here each process's loss counts by its share of the batch's weight, so the sum is the batch's gradient.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from reslab.look.lesion.renorm import BATCHNORM
from reslab.train.batch import Batch
from reslab.train.buffers import Buffers
from reslab.train.gradient import cut, pieces_of, several_numbers
from reslab.train.message import Message
from reslab.train.sync_norm import synced_norms
from reslab.train.task import Task
from reslab.train.tune import Choice

BUCKET = 4 * 2**20  # numbers in one message, about
HEAD = 4  # numbers beside the gradients: the part's weight, its loss times that, wrong predictions, examples


class GradientSum:
    """Adds the gradients of all processes' parts of a batch to the parameters of `net`, in each process alike.

    Afterwards a parameter has a gradient if it has one in any process. BatchNorm's moving statistics become their mean
    over the processes, by examples, unless `synced`: then each batch is normalized as a whole, and they are equal.
    The same holds for other buffers that a forward pass changed (buffers.py).
    `early`: send gradients while the backward pass runs; not where it runs in pieces, as with checkpointing.
    """

    def __init__(self, net: nn.Module, *, synced: bool = False, early: bool = True) -> None:
        self.synced, self.listening = synced, False
        self.early = early and not synced  # the backward pass then sends messages of its own
        self.norms: list[Any] = [m for m in net.modules() if isinstance(m, BATCHNORM) and m.running_mean is not None]
        self.parameters = [p for p in net.parameters() if p.requires_grad][::-1]  # the last have a gradient first
        self.buckets = [Bucket(some) for some in in_buckets(self.parameters)]
        self.others = Buffers(net, apart=self.norms)
        self.place = {p: bucket for bucket in self.buckets for p in bucket.parameters}
        for p in self.parameters:
            p.register_post_accumulate_grad_hook(self.arrived)

    def arrived(self, parameter: Any) -> None:
        """A parameter's gradient is complete: send its bucket if all of it is."""
        if self.listening:
            self.place[parameter].missing.discard(parameter)
            self.send()

    def send(self, *, everything: bool = False) -> None:
        """Send the buckets that are complete, but none before those in front of it: all processes have one order."""
        for bucket in self.buckets:
            if bucket.message is None:
                if bucket.missing and not everything:
                    return
                bucket.send()

    def add(
        self, task: Task, forward: Callable[..., Any], batch: Batch, *, choice: Choice, parts: int = 1
    ) -> tuple[Tensor, Tensor, Tensor] | None:
        """Add the gradient of the whole batch's loss; (loss, wrong predictions, examples) of the whole batch.

        `batch` is this process's part, which may be empty; None if it is so in every process.
        """
        weigh = getattr(task, "weight", len)
        head = torch.zeros(HEAD, device=batch.y.device)
        if self.synced:
            pieces = list(pieces_of(batch.x, batch.y, parts))
        else:
            pieces = list(cut(batch.x, batch.y, parts)) if len(batch.y) else []
        own = torch.as_tensor(weigh(batch.y), dtype=torch.float32, device=head.device)
        # A gradient that a module adds itself, once a backward pass, must count once in all. So gradients are weighed
        # by the part's share, not losses; but through a norm of the whole batch the losses of all processes are one
        # sum, whose terms have a mean weight of 1.
        mean = Message(own.clone()).received() / torch.distributed.get_world_size() if self.synced else own
        for bucket in self.buckets:
            bucket.clear(mean)
        self.others.watch()
        for k, (x, y) in enumerate(pieces, 1):
            self.listening = self.early and k == len(pieces)
            norms = synced_norms() if self.synced else contextlib.nullcontext()
            with norms, several_numbers(), choice.autocast(task.device):
                out = choice.run(forward, x)
            weight = torch.as_tensor(weigh(y), dtype=torch.float32, device=head.device)
            loss = task.loss(out, y) if len(y) else nothing(out)
            (loss * (weight / mean) if self.synced or len(pieces) > 1 else loss).backward()
            wrong = task.wrong(out, y).detach() if len(y) else torch.zeros((), device=head.device)
            head += torch.stack([weight, loss.detach() * weight, wrong.to(head), torch.full_like(weight, len(y))])
        self.listening = False
        self.send(everything=True)
        return self.finish(head, steps=len(pieces), empty=not len(batch.y))

    def finish(self, head: Tensor, *, steps: int, empty: bool) -> tuple[Tensor, Tensor, Tensor] | None:
        """Send what belongs to the gradients, and take all sums. `steps`: forward passes of this process."""
        rank, size = torch.distributed.get_rank(), torch.distributed.get_world_size()
        has = torch.tensor([float(p.grad is not None) for p in self.parameters], device=head.device)
        passes = torch.zeros(size, device=head.device)
        passes[rank] = steps
        norms = [norm for norm in self.norms if norm.training]
        moving: list[Tensor] = (
            [] if self.synced else [value for norm in norms for value in (norm.running_mean, norm.running_var)]
        )
        changed = self.others.changed().to(head)
        beside = torch.cat([head, passes, has, changed, *(value.detach().to(head) * head[3] for value in moving)])
        message = Message(beside)
        for bucket in self.buckets:
            bucket.take()
        beside = message.received()
        weight, loss, wrong, n = beside[:HEAD].unbind()
        at = HEAD + size
        if empty and not float(n):
            return None
        if empty or any(p.grad is None for p in self.parameters):  # as of a branch that only some examples take
            for p, present in zip(self.parameters, beside[at : at + len(has)].tolist(), strict=True):
                if empty or p.grad is None:
                    p.grad = torch.zeros_like(p) if present else None
        for bucket in self.buckets:
            bucket.give(weight)
        buffers, means = beside[at + len(has) :].tensor_split([len(changed)])
        self.others.agree(buffers, share=head[3] / n)
        self.agree_statistics(norms, moving, means / n, more=beside[HEAD:at].max() - steps)
        return loss / weight, wrong, n

    def agree_statistics(self, norms: Sequence[Any], moving: Sequence[Tensor], means: Tensor, *, more: Tensor) -> None:
        """Give all processes the same moving statistics. `more`: batches that this one counted less than others."""
        if moving:
            found = means.split([value.numel() for value in moving])
            torch._foreach_copy_(list(moving), [one.to(value) for one, value in zip(found, moving, strict=True)])
        counts: list[Any] = [norm.num_batches_tracked for norm in norms if norm.num_batches_tracked is not None]
        if counts:
            torch._foreach_add_(counts, [more.to(count) for count in counts])


class Bucket:
    """Some parameters of one type on one device, whose gradients are one message."""

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        self.parameters = parameters
        self.flat = torch.zeros(sum(p.numel() for p in parameters), dtype=parameters[0].dtype,
                                device=parameters[0].device)  # fmt: skip
        sizes = [p.numel() for p in parameters]
        self.views = [one.view(p.shape) for one, p in zip(self.flat.split(sizes), parameters, strict=True)]
        self.clear(torch.ones((), device=self.flat.device))

    def clear(self, weight: Tensor) -> None:
        """Before a step, in which gradients count `weight` times."""
        self.weight, self.missing = weight, set(self.parameters)
        self.message: Message | None = None

    def pairs(self) -> tuple[list[Tensor], list[Tensor]]:
        """The gradients that there are, and their places in the message."""
        found = [(p.grad, view) for p, view in zip(self.parameters, self.views, strict=True) if p.grad is not None]
        return [grad for grad, _ in found], [view for _, view in found]

    def send(self) -> None:
        grads, views = self.pairs()
        if len(grads) < len(self.views):
            self.flat.zero_()
        if grads:
            with torch.no_grad():
                torch._foreach_copy_(views, grads)
                self.flat.mul_(self.weight.to(self.flat))
        self.message = Message(self.flat)

    def take(self) -> None:
        """Wait for the sum."""
        assert self.message is not None
        self.message.received()

    def give(self, weight: Tensor) -> None:
        """Put the sums, divided by the batch's weight, in the place of the gradients."""
        grads, views = self.pairs()
        if grads:
            with torch.no_grad():
                self.flat.div_(weight.to(self.flat))
                torch._foreach_copy_(grads, views)


def in_buckets(parameters: Sequence[nn.Parameter]) -> Iterator[list[nn.Parameter]]:
    """Neighbors of one type on one device, in groups of about BUCKET numbers."""
    some: list[nn.Parameter] = []
    for p in parameters:
        fits = some and (some[0].dtype, some[0].device) == (p.dtype, p.device)
        if some and (not fits or sum(one.numel() for one in some) >= BUCKET):
            yield some
            some = []
        some.append(p)
    if some:
        yield some


def nothing(out: Any) -> Tensor:
    """A loss of 0 of outputs for no example, through which the backward pass can run."""
    return sum((one.sum() * 0 for one in (out if isinstance(out, tuple) else (out,)) if isinstance(one, Tensor)),
               start=torch.zeros(()))  # fmt: skip
