"""Nets for tables, from a spec: columns turn a batch into X (N, F, E), and a body maps X to outputs."""

import torch
from torch import Tensor, nn

from reslab.errors import UsageError
from reslab.nets.gated import GatedNet
from reslab.tables.net.columns import Columns
from reslab.tables.net.linear import Linear
from reslab.tables.net.peers import mlp, resnet
from reslab.tables.net.spec import TableSpec
from reslab.tables.net.values import Direct


class TableNet(nn.Module):
    """columns: a batch to X (N, F, E); body: X to (N, outputs). The batch's tensors are keywords (data/table.py).

    direct, if the net has it, adds the direct effect of each value of a bag to the outputs, so that the body only
    models the rest. A body that represents thousands of words by a few numbers each would memorize the rare ones.
    linear, if the net has it, adds a regression that was fitted before; then the body's head starts at zero.
    Since bags are flat, rows of a batch cannot be selected or repeated; `look` therefore measures on `Inside`.
    """

    def __init__(
        self, spec: TableSpec, columns: Columns, body: nn.Module, direct: Direct | None = None,
        linear: Linear | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.spec, self.columns, self.body, self.direct, self.linear = spec, columns, body, direct, linear

    @property
    def owners(self) -> Tensor:
        """(F,): the column of spec.columns that each column of X belongs to."""
        return self.columns.owners

    def forward(
        self, numbers: Tensor | None = None, codes: Tensor | None = None, bag_ids: Tensor | None = None,
        bag_weights: Tensor | None = None, bag_offsets: Tensor | None = None, vectors: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """Raises UsageError if the batch does not fit the spec."""
        out: Tensor = self.body(self.columns(numbers, codes, bag_ids, bag_weights, bag_offsets, vectors))
        beside = self.beside(numbers, codes, bag_ids, bag_weights, bag_offsets)
        return out if beside is None else out + beside

    def beside(
        self, numbers: Tensor | None, codes: Tensor | None, bag_ids: Tensor | None, bag_weights: Tensor | None,
        bag_offsets: Tensor | None,
    ) -> Tensor | None:  # fmt: skip
        """What the direct weights and the linear part add to the outputs, (N, outputs); None without both."""
        found = None if self.direct is None else self.direct(bag_ids, bag_weights, bag_offsets)
        if self.linear is None:
            return found
        line: Tensor = self.linear(numbers, codes)
        return line if found is None else line + found

    @torch.no_grad()
    def read(self, **batch: Tensor) -> dict[str, Tensor]:
        """A batch as the arguments of `Inside`: x (N, F, E), and direct (N, outputs), if something is added to it."""
        found = {"x": self.columns(**batch)}
        given = (batch.get(name) for name in ("numbers", "codes", "bag_ids", "bag_weights", "bag_offsets"))
        if (beside := self.beside(*given)) is not None:
            found["direct"] = beside
        return found

    @torch.no_grad()
    def masks(self, **batch: Tensor) -> Tensor:
        """The weight of each column in each layer after the first, in eval mode: (N, depth - 1, F), each in (0, 1).

        Raises UsageError if the net has no masks.
        """
        if not isinstance(self.body, GatedNet):
            raise UsageError(f"{self.spec.net!r} is not a gated net: it has no column masks")
        training = self.training
        self.eval()
        try:
            return self.body.masks(self.columns(**batch))
        finally:
            self.train(training)


class Inside(nn.Module):
    """A net for tables after its columns, from X (N, F, E) and what is added to its outputs, direct (N, outputs).

    `look` measures on it: rows of both inputs can be selected and repeated, which is impossible with flat bags.
    """

    def __init__(self, net: TableNet) -> None:
        super().__init__()
        self.body = net.body

    def forward(self, x: Tensor, direct: Tensor | None = None) -> Tensor:
        out: Tensor = self.body(x)
        return out if direct is None else out + direct


def build_table(spec: TableSpec) -> TableNet:
    """The net of a spec, initialized from torch's current random state. Raises UsageError for an invalid spec."""
    spec.check()
    decay = [spec.bag_decay * size / spec.rows for size in spec.bags] if spec.rows else []
    columns = Columns(
        spec.numbers, spec.categories, spec.bags, spec.vectors, embedding=spec.embedding,
        number_embedding=spec.number_embedding, bins=spec.bins, std=spec.embedding_std, normalize=spec.normalize,
        dropout=spec.embedding_dropout, bag_decay=decay,
    )  # fmt: skip
    n = len(columns.owners)
    if spec.net == "gated":
        body: nn.Module = GatedNet(
            n, spec.embedding, width=spec.width, inner=spec.inner, depth=spec.depth, outputs=spec.outputs,
            dropout=spec.dropout, drop_path=spec.drop_path, attention=spec.attention, reread=spec.reread,
            skip=spec.shortcut == "identity",
        )  # fmt: skip
    else:
        inputs, sizes = n * spec.embedding, {"width": spec.width, "depth": spec.depth, "outputs": spec.outputs}
        if spec.net == "mlp":
            body = mlp(inputs, **sizes, dropout=spec.dropout)
        else:
            body = resnet(inputs, **sizes, inner=spec.inner, dropout=spec.dropout)
    direct = Direct(spec.bags, spec.outputs, rows=spec.rows) if spec.direct and spec.bags else None
    linear = None
    if spec.linear and (spec.numbers or spec.categories):
        linear = Linear(spec.numbers, spec.categories, spec.outputs)
        assert isinstance(body.head, nn.Linear)
        nn.init.zeros_(body.head.weight)  # so that the net starts as the regression
        nn.init.zeros_(body.head.bias)
    return TableNet(spec, columns, body, direct, linear)
