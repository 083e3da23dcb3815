"""Nets for tables: from a spec to columns, which make X (N, F, E) of a batch, and a body, which reads X."""

import torch
from torch import Tensor, nn

from reslab.errors import UsageError
from reslab.nets.gated import GatedNet
from reslab.tables.net.columns import Columns
from reslab.tables.net.peers import mlp, resnet
from reslab.tables.net.spec import TableSpec
from reslab.tables.net.values import Direct


class TableNet(nn.Module):
    """columns: a batch to X (N, F, E); body: X to (N, outputs). The batch's tensors are the keywords (data.tables).

    direct, where the net has one, adds to the outputs what each value of a bag says by itself, so that the residual is
    left to the body. A body that learns thousands of words through a few numbers each learns the rare ones by heart.
    Where bags travel flat, rows of a batch cannot be cut or repeated: `look` measures on what is `Inside`.
    """

    def __init__(self, spec: TableSpec, columns: Columns, body: nn.Module, direct: Direct | None = None) -> None:
        super().__init__()
        self.spec, self.columns, self.body, self.direct = spec, columns, body, direct

    @property
    def owners(self) -> Tensor:
        """(F,): of each column of X the column of spec.columns that it belongs to."""
        return self.columns.owners

    def forward(
        self, numbers: Tensor | None = None, codes: Tensor | None = None, bag_ids: Tensor | None = None,
        bag_weights: Tensor | None = None, bag_offsets: Tensor | None = None, vectors: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """Raises UsageError where the batch does not fit the spec."""
        out: Tensor = self.body(self.columns(numbers, codes, bag_ids, bag_weights, bag_offsets, vectors))
        if self.direct is not None:
            out = out + self.direct(bag_ids, bag_weights, bag_offsets)
        return out

    @torch.no_grad()
    def read(self, **batch: Tensor) -> dict[str, Tensor]:
        """What a batch is to the net `Inside`: x (N, F, E), and with a direct path said (N, outputs)."""
        found = {"x": self.columns(**batch)}
        if self.direct is not None:
            found["said"] = self.direct(batch["bag_ids"], batch["bag_weights"], batch["bag_offsets"])
        return found

    @torch.no_grad()
    def masks(self, **batch: Tensor) -> Tensor:
        """How much each layer after the first reads of each column, in eval mode: (N, depth - 1, F), each in (0, 1).

        Raises UsageError where the net has no masks.
        """
        if not isinstance(self.body, GatedNet):
            raise UsageError(f"{self.spec.net!r} is no gated net: it has no column masks")
        training = self.training
        self.eval()
        try:
            return self.body.masks(self.columns(**batch))
        finally:
            self.train(training)


class Inside(nn.Module):
    """A net for tables after its columns: X (N, F, E), and of a net with a direct path what words say (N, outputs).

    `look` measures on it: of both inputs rows can be cut and repeated, which those of flat bags cannot.
    """

    def __init__(self, net: TableNet) -> None:
        super().__init__()
        self.body = net.body

    def forward(self, x: Tensor, said: Tensor | None = None) -> Tensor:
        out: Tensor = self.body(x)
        return out if said is None else out + said


def build_table(spec: TableSpec) -> TableNet:
    """The net of a spec, from torch's current random state. Raises UsageError for what cannot be."""
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
