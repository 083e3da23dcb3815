"""Nets for tables, from a spec: columns turn a batch into X (N, F, E), and a body maps X to outputs."""

import torch
from torch import Tensor, nn

from reslab.errors import UsageError
from reslab.nets.gated import GatedNet
from reslab.tables.net.columns import Columns
from reslab.tables.net.peers import mlp, resnet
from reslab.tables.net.spec import TableSpec
from reslab.tables.net.values import Direct


class TableNet(nn.Module):
    """columns: a batch to X (N, F, E); body: X to (N, outputs). The batch's tensors are keywords (data/table.py).

    direct, if the net has it, adds the direct effect of each value of a bag to the outputs, so that the body only
    models the rest. A body that represents thousands of words by a few numbers each would memorize the rare ones.
    Since bags are flat, rows of a batch cannot be selected or repeated; `look` therefore measures on `Inside`.
    """

    def __init__(self, spec: TableSpec, columns: Columns, body: nn.Module, direct: Direct | None = None) -> None:
        super().__init__()
        self.spec, self.columns, self.body, self.direct = spec, columns, body, direct

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
        if self.direct is not None:
            out = out + self.direct(bag_ids, bag_weights, bag_offsets)
        return out

    @torch.no_grad()
    def read(self, **batch: Tensor) -> dict[str, Tensor]:
        """A batch as the arguments of `Inside`: x (N, F, E), and direct (N, outputs), if the net has direct weights."""
        found = {"x": self.columns(**batch)}
        if self.direct is not None:
            found["direct"] = self.direct(batch["bag_ids"], batch["bag_weights"], batch["bag_offsets"])
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
    """A net for tables after its columns, from X (N, F, E) and, with direct weights, their outputs (N, outputs).

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
        )  # fmt: skip
    else:
        inputs, sizes = n * spec.embedding, {"width": spec.width, "depth": spec.depth, "outputs": spec.outputs}
        if spec.net == "mlp":
            body = mlp(inputs, **sizes, dropout=spec.dropout)
        else:
            body = resnet(inputs, **sizes, inner=spec.inner, dropout=spec.dropout)
    direct = Direct(spec.bags, spec.outputs, rows=spec.rows) if spec.direct and spec.bags else None
    return TableNet(spec, columns, body, direct)
