"""The claim: the columns of a table are embedded in one operation per kind of column, which is faster than a loop.

The same columns with the same weights, all at once and in a loop over columns, forward and backward, alternately in
one process: python bench/tables_embed.py [--rounds 15] [--rows 512]
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from reslab.run import processor
from reslab.tables.net.columns import Columns
from reslab.tables.net.net import build_table
from reslab.tables.net.numbers import normal_edges
from reslab.tables.net.spec import table_spec

BAG = 20  # indices in a bag


def seconds(work: Callable[[], object]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


def rows(n: int, numbers: int, categories: tuple[int, ...], bags: tuple[int, ...], widths: tuple[int, ...]) -> dict:
    """A batch of random rows, one number in 10 missing."""
    batch = {}
    if numbers:
        absent = torch.rand(n, numbers, 1) < 0.1
        batch["numbers"] = torch.randn(n, numbers, 2).masked_fill(absent, float("nan"))
    if categories:
        batch["codes"] = torch.stack([torch.randint(0, size, (n,)) for size in categories], dim=1)
    if bags:
        sizes = torch.tensor(bags).repeat(n).repeat_interleave(BAG)
        batch["bag_ids"] = (torch.rand(len(sizes)) * sizes).long()
        batch["bag_weights"] = torch.rand(len(sizes))
        batch["bag_offsets"] = torch.arange(n * len(bags)) * BAG
    if widths:
        batch["vectors"] = torch.randn(n, sum(widths))
    return batch


def loop(columns: Columns, batch: dict[str, Tensor], categories: tuple[int, ...], bags: tuple[int, ...]) -> Tensor:
    """X, column by column: the simplest code."""
    found, families = [], columns.families
    if "numbers" in families:
        own = families["numbers"]
        bins = len(own.scale) - 3
        edges = torch.tensor(normal_edges(bins))
        for i in range(batch["numbers"].shape[1]):
            rank, z = batch["numbers"][:, i, 0], batch["numbers"][:, i, 1]
            absent = rank.isnan()
            rank, z = rank.masked_fill(absent, 0), z.masked_fill(absent, 0)
            c = ((rank[:, None] - edges[:-1]) / edges.diff()).clamp(own.low[:bins], own.high[:bins])
            e = torch.cat([c, z[:, None]], dim=1) @ own.weight[i, :-2] + own.weight[i, -2]
            found.append(torch.where(absent[:, None], own.weight[i, -1], e))
    if "codes" in families:
        for i, table in enumerate(families["codes"].table.split(categories)):
            found.append(F.embedding(batch["codes"][:, i], table))
    if "bags" in families:
        ids, weights = (batch[key].view(-1, len(bags), BAG) for key in ("bag_ids", "bag_weights"))
        offsets = torch.arange(len(ids)) * BAG
        for i, table in enumerate(families["bags"].table.split(bags)):
            flat = ids[:, i].flatten(), table, offsets
            found.append(F.embedding_bag(*flat, mode="sum", per_sample_weights=weights[:, i].flatten()))
    if "vectors" in families:
        own = families["vectors"]
        for i, v in enumerate(batch["vectors"].split(own.widths, dim=1)):
            absent = v[:, :1].isnan()
            found.append(torch.where(absent, own.missing[i], F.linear(v.masked_fill(absent, 0), own.weights[i])))
    return torch.stack(found, dim=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--rows", type=int, default=512)
    args = parser.parse_args()
    print(f"{processor()}, {torch.get_num_threads()} threads, torch {torch.__version__}; seconds of CPU")
    tables = {
        "8 numbers": (8, (), (), ()),
        "6 numbers, 8 categories": (6, (10,) * 8, (), ()),
        "50 numbers": (50, (), (), ()),
        "50 categories": (0, (30,) * 50, (), ()),
        "4 bags": (0, (), (1000,) * 4, ()),
        "10 vectors of 384": (0, (), (), (384,) * 10),
        "30 numbers, 30 categories, 4 bags": (30, (30,) * 30, (1000,) * 4, ()),
    }
    for name, (numbers, categories, bags, widths) in tables.items():
        torch.manual_seed(0)
        spec = table_spec(
            "gated", numbers=numbers, categories=categories, bags=bags, vectors=widths, outputs=2, normalize=False
        )
        columns, batch = build_table(spec).columns, rows(args.rows, numbers, categories, bags, widths)
        torch.testing.assert_close(columns(**batch), loop(columns, batch, categories, bags), rtol=1e-4, atol=1e-5)
        ways = [lambda: columns(**batch), lambda: loop(columns, batch, categories, bags)]  # noqa: B023
        times: tuple[list[float], list[float]] = ([], [])
        for i in range(args.rounds + 1):
            for way, found in zip(ways, times, strict=True):
                took = seconds(lambda way=way: way().sum().backward())
                if i:  # the first round warms up
                    found.append(took)
        ratios = [slow / fast for fast, slow in zip(*times, strict=True)]
        ours, loops = (1000 * statistics.median(each) for each in times)
        print(
            f"{name:<34} together {ours:.1f} ms, in a loop {loops:.1f} ms: {statistics.median(ratios):.1f}x "
            f"({min(ratios):.1f} to {max(ratios):.1f}, n = {len(ratios)})"
        )


if __name__ == "__main__":
    main()
