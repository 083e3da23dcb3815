"""Rows/s in training and prediction, compared with the same network written naively and with scikit-learn's MLP.

The table is generated: 20 numbers and 30 categories. Ours: TableTask's batches, columns embedded together, AdamW in one
pass. Naive: the same weights and steps with a loop over columns, a list of columns indexed one by one, and AdamW with
PyTorch's defaults. scikit-learn: MLPClassifier with the same widths on one-hot and standardized columns, one pass of
partial_fit. All sides alternate; CPU seconds, because machines are shared:
python bench/tables.py [--rounds 5] [--rows 20000]
--million: instead, the memory and time of a million rows of 50 columns, read, encoded, trained for --steps, predicted.
"""

import argparse
import resource
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from torch import Tensor, nn

from reslab.run import processor
from reslab.tables.data.frame import Frame
from reslab.tables.data.target import Target
from reslab.tables.net.net import TableNet, build_table
from reslab.tables.net.numbers import normal_edges
from reslab.tables.parts import Parts, make_parts
from reslab.tables.task import outputs
from reslab.tables.training import make_task, spec_of
from reslab.train.recipe import read
from reslab.train.tune import Choice

NUMBERS, CATEGORIES, VALUES, BATCH = 20, 30, 12, 256
CPU = torch.device("cpu")


def generated(rows: int) -> tuple[Frame, np.ndarray]:
    """Random numbers and categories, and a class that depends on a few of both."""
    draw = np.random.default_rng(0)
    numbers = draw.standard_normal((rows, NUMBERS)).astype(np.float32)
    codes = draw.integers(0, VALUES, (rows, CATEGORIES))
    words = np.array([f"value {k}" for k in range(VALUES)], dtype=object)
    columns = {f"n{k}": numbers[:, k].astype(np.float64) for k in range(NUMBERS)}
    columns |= {f"c{k}": words[codes[:, k]] for k in range(CATEGORIES)}
    y = (numbers[:, 0] * numbers[:, 1] + 0.5 * (codes[:, 0] % 3) + draw.standard_normal(rows) > 0.5).astype(np.int64)
    return Frame(columns), y


def parts_of(frame: Frame, y: np.ndarray) -> Parts:
    return make_parts({"train": frame}, {"train": y}, target=Target.fit(y))


def ours(parts: Parts, net: TableNet, steps: int, precision: str = "fp32") -> Callable[[], None]:
    choice = Choice(precision=precision)
    task = make_task(parts, read("tables", batch=BATCH), CPU)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, fused=True)

    def train() -> None:
        net.train()
        for batch in task.batches(0, steps):
            with choice.autocast(CPU):
                out = choice.run(net, batch.x)
            loss = task.loss(out, batch.y)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()

    return train


class Naive(nn.Module):
    """The same network with a loop over its columns, the simplest way to write it."""

    def __init__(self, net: TableNet) -> None:
        super().__init__()
        own, codes = net.columns.families["numbers"], net.columns.families["codes"].table
        edges = torch.tensor(normal_edges(net.spec.bins))
        self.left, self.width = edges[:-1], edges.diff()
        self.low, self.high = own.low[: net.spec.bins], own.high[: net.spec.bins]
        self.weights = nn.ParameterList(nn.Parameter(w.detach().clone()) for w in own.weight)
        sizes = net.spec.categories
        self.tables = nn.ModuleList(
            nn.Embedding.from_pretrained(t.clone(), freeze=False) for t in codes.detach().split(sizes)
        )
        self.norm, self.body = net.columns.norm, net.body

    def forward(self, numbers: list[Tensor], codes: list[Tensor]) -> Tensor:
        found = []
        for x, weight in zip(numbers, self.weights, strict=True):
            rank, z = x[:, 0], x[:, 1]
            absent = rank.isnan()
            rank, z = rank.masked_fill(absent, 0), z.masked_fill(absent, 0)
            c = ((rank[:, None] - self.left) / self.width).clamp(self.low, self.high)
            e = torch.cat([c, z[:, None]], dim=1) @ weight[:-2] + weight[-2]
            found.append(torch.where(absent[:, None], weight[-1], e))
        found += [table(code) for code, table in zip(codes, self.tables, strict=True)]
        x = torch.stack(found, dim=1)
        return self.body(self.norm(x.flatten(1)).view_as(x))


class NaiveTable:
    """A list of columns, indexed one by one."""

    def __init__(self, parts: Parts) -> None:
        table = parts.tables["train"]
        assert table.numbers is not None
        assert table.codes is not None
        self.numbers = [table.numbers[:, k].clone() for k in range(NUMBERS)]
        self.codes = [table.codes[:, k].clone().long() for k in range(CATEGORIES)]
        self.y = torch.from_numpy(parts.targets["train"])

    def batch(self, rows: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        return [column[rows] for column in self.numbers], [column[rows] for column in self.codes]


def naive(parts: Parts, net: Naive, steps: int) -> Callable[[], None]:
    table, optimizer = NaiveTable(parts), torch.optim.AdamW(net.parameters(), lr=1e-3)

    def train() -> None:
        net.train()
        order = torch.randperm(len(table.y))
        for step in range(steps):
            rows = order[step * BATCH : (step + 1) * BATCH]
            loss = F.cross_entropy(net(*table.batch(rows)), table.y[rows])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()

    return train


def predicting(parts: Parts, net: Naive) -> Callable[[], None]:
    table = NaiveTable(parts)

    def predict() -> None:
        net.eval()
        with torch.inference_mode():
            for start in range(0, len(table.y), 1024):
                net(*table.batch(torch.arange(start, min(start + 1024, len(table.y)))))

    return predict


def compare(rounds: int, rows: int) -> None:
    print(f"{processor()}, {torch.get_num_threads()} threads, torch {torch.__version__}; seconds of CPU, {rows:,} rows")
    frame, y = generated(rows)
    parts, steps = parts_of(frame, y), rows // BATCH
    torch.manual_seed(0)
    net = build_table(spec_of(parts, "gated", {}))
    plain, table = Naive(net), NaiveTable(parts)
    net.eval(), plain.eval()
    some = torch.arange(512)
    torch.testing.assert_close(
        net(**parts.tables["train"].batch(some)), plain(*table.batch(some)), rtol=1e-4, atol=1e-5
    )
    plain = Naive(build_table(net.spec))  # separate weights: each side is trained alone
    numbers = np.stack([frame[f"n{k}"] for k in range(NUMBERS)], axis=1)
    words = np.stack([frame[f"c{k}"] for k in range(CATEGORIES)], axis=1)
    columns = np.hstack(
        [StandardScaler().fit_transform(numbers), OneHotEncoder(sparse_output=False).fit_transform(words)]
    )
    columns, width = columns.astype(np.float32), net.spec.width
    mlp = MLPClassifier((width,) * net.spec.depth, batch_size=BATCH).partial_fit(
        columns[:BATCH], y[:BATCH], classes=[0, 1]
    )
    half, rows_of = Choice(precision="bf16"), parts.tables["train"]
    work = {
        "trained": {
            "ours": ours(parts, net, steps), "ours in bf16": ours(parts, net, steps, "bf16"),
            "naive": naive(parts, plain, steps), "scikit-learn's MLP": lambda: mlp.partial_fit(columns, y),
        },
        "predicted": {
            "ours": lambda: outputs(net, rows_of, device=CPU, choice=Choice()),
            "ours in bf16": lambda: outputs(net, rows_of, device=CPU, choice=half),
            "naive": predicting(parts, plain), "scikit-learn's MLP": lambda: mlp.predict_proba(columns),
        },
    }  # fmt: skip
    for what, ways in work.items():
        times: dict[str, list[float]] = {name: [] for name in ways}
        for turn in range(rounds + 1):
            for name, way in ways.items():
                began = time.process_time()
                way()
                if turn:  # the first warms up
                    times[name].append(time.process_time() - began)
        for name, found in times.items():
            ratios = [slow / fast for fast, slow in zip(times["ours"], found, strict=True)]
            print(
                f"{what:<10}{name:<20}{rows / statistics.median(found):>9,.0f} rows/s; reslab is "
                f"{statistics.median(ratios):.2f}x ({min(ratios):.2f} to {max(ratios):.2f}, n = {rounds})"
            )


def million(steps: int) -> None:
    def report(what: str) -> None:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f"{what:<40}{time.process_time() - began:8.1f} s of CPU, peak {peak:.2f} GiB", flush=True)

    began = time.process_time()
    frame, y = generated(1_000_000)
    report("a million rows x 50 columns, generated")
    parts = parts_of(frame, y)
    report("encoded")
    net = build_table(spec_of(parts, "gated", {}))
    ours(parts, net, steps)()
    report(f"{steps} steps of {BATCH}")
    outputs(net, parts.tables["train"], device=CPU, choice=Choice())
    report("all rows predicted")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--million", action="store_true")
    parser.add_argument("--steps", type=int, default=100)
    args = parser.parse_args()
    if args.million:
        million(args.steps)
    else:
        compare(args.rounds, args.rows)


if __name__ == "__main__":
    main()
