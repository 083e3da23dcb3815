"""Nets for tables: each preset beside a loop over columns in float64, parameters by hand, batches that do not fit."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from scipy.stats import norm
from torch import Tensor, nn

from reslab import look
from reslab.errors import UsageError
from reslab.tables.net.net import TableNet, build_table
from reslab.tables.net.numbers import PiecewiseNumbers, normal_edges
from reslab.tables.net.spec import PRESETS, TableSpec, table_spec

NAMES = ("age", "pay", "town", "job", "tags", "words", "title", "body")
SHAPE: dict[str, Any] = {"numbers": 2, "categories": (3, 5), "bags": (4, 6), "outputs": 3, "columns": NAMES}
SMALL = {"embedding": 4, "width": 10, "inner": 6, "depth": 3, "dropout": 0.3}
each = pytest.mark.parametrize("preset", list(PRESETS))
all_widths = pytest.mark.parametrize("widths", [(3, 3), (3, 2)])


def make(preset: str, **fields: Any) -> TableNet:
    """A small net in float64 whose every number is random: norms' gains and statistics too."""
    torch.manual_seed(0)
    net = build_table(table_spec(preset, **{**SHAPE, "vectors": (3, 2), **SMALL, **fields})).double()
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.5)
    for name, buffer in net.named_buffers():
        if "running" in name:
            nn.init.uniform_(buffer, 0.5, 1.5)
    return net.eval()


def batch(rows: int, widths: tuple[int, ...] = (3, 2)) -> dict[str, Tensor]:
    """Random rows of the table of SHAPE: with missing numbers, far ranks, empty bags and missing vectors."""
    torch.manual_seed(1)
    numbers, vectors = 2 * torch.randn(rows, 2, 2).double(), torch.randn(rows, sum(widths)).double()
    numbers[0, 0] = float("nan")
    numbers[-1, 1, 0] = 5.2
    vectors[-1, : widths[0]] = float("nan")
    lengths = torch.randint(0, 4, (rows * 2,))
    lengths[0] = 0
    sizes = torch.tensor([4, 6]).repeat(rows).repeat_interleave(lengths)
    return {
        "numbers": numbers,
        "codes": torch.stack([torch.randint(0, n, (rows,)) for n in (3, 5)], dim=1),
        "bag_ids": (torch.rand(len(sizes)) * sizes).long(),
        "bag_weights": torch.rand(len(sizes)).double(),
        "bag_offsets": lengths.cumsum(0) - lengths,
        "vectors": vectors,
    }


def naive_columns(net: TableNet, data: dict[str, Tensor], row: int) -> Tensor:
    """X of one row, (F, E), column by column."""
    spec, state, found = net.spec, net.columns.state_dict(), []
    for i in range(spec.numbers):
        rank, z = data["numbers"][row, i].tolist()
        weight = state["families.numbers.weight"]
        if spec.number_embedding == "linear":
            for view, x in enumerate((rank, z)):
                direction, anchor, missing = weight[2 * i + view]
                found.append(missing if x != x else x * direction + anchor)
            continue
        *parts, direction, anchor, missing = weight[i]
        e = z * direction + anchor
        for t, part in enumerate(parts):
            left = norm.ppf(t / spec.bins if t else 0.01 / spec.bins)
            right = norm.ppf((t + 1) / spec.bins if t + 1 < spec.bins else 1 - 0.01 / spec.bins)
            c = (rank - left) / (right - left)
            c = c if t == 0 else max(c, 0)
            e = e + (c if t + 1 == spec.bins else min(c, 1)) * part
        found.append(missing if rank != rank else e)
    for i, start in enumerate((0, spec.categories[0])):
        found.append(state["families.codes.table"][start + data["codes"][row, i]])
    for i in range(2):
        found.append(naive_bag(spec, state["families.bags.table"], data, row, i))
    for i, v in enumerate(data["vectors"][row].split(spec.vectors)):
        missing = bool(v.isnan().any())
        e = state["families.vectors.missing"][i] if missing else state[f"families.vectors.weights.{i}"] @ v
        found.append(e)
    x = torch.stack(found)
    if spec.normalize:
        first = spec.numbers * (2 if spec.number_embedding == "linear" else 1) + len(spec.categories)
        mean, var = (state[f"norm.running_{name}"].view(first, -1) for name in ("mean", "var"))
        gain, bias = (state[f"norm.{name}"].view(first, -1) for name in ("weight", "bias"))
        x[:first] = (x[:first] - mean) / (var + 1e-5).sqrt() * gain + bias
    return x


def naive_bag(spec: TableSpec, table: Tensor, data: dict[str, Tensor], row: int, column: int) -> Tensor:
    """The weighted sum of the vectors in one row's bag."""
    ends = [*data["bag_offsets"].tolist(), len(data["bag_ids"])]
    total, start = torch.zeros(table.shape[1]).double(), sum(spec.bags[:column])
    for t in range(ends[2 * row + column], ends[2 * row + column + 1]):
        total += table[start + data["bag_ids"][t]] * data["bag_weights"][t]
    return total


def naive_body(net: TableNet, x: Tensor) -> Tensor:
    """The outputs of one row's X (F, E), from the formulas."""
    w, spec = net.body.state_dict(), net.spec

    def linear(path: str, x: Tensor) -> Tensor:
        return w[f"{path}.weight"] @ x + w[f"{path}.bias"]

    def gated(path: str, x: Tensor) -> Tensor:
        y = linear(f"{path}.branch.linear2", F.gelu(linear(f"{path}.branch.linear1", x)))
        return x + y[: len(x)] / (1 + (-y[len(x) :]).exp())

    def normed(path: str, x: Tensor) -> Tensor:
        mean, var = w[f"{path}.running_mean"], w[f"{path}.running_var"]
        return (x - mean) / (var + 1e-5).sqrt() * w[f"{path}.weight"] + w[f"{path}.bias"]

    if spec.net == "mlp":
        h = x.flatten()
        for i in range(1, spec.depth + 1):
            h = linear(f"linear{i}", h).relu()
        return linear("head", h)
    if spec.net == "resnet":
        h = linear("linear", x.flatten())
        for i in range(1, spec.depth + 1):
            inside = linear(f"block{i}.branch.linear1", normed(f"block{i}.branch.norm", h)).relu()
            h = h + linear(f"block{i}.branch.linear2", inside)
        return linear("head", normed("norm", h).relu())
    h = gated("start.gated", linear("start.linear", x.flatten()))
    for i in range(spec.depth - 1):
        if not spec.reread:
            h = gated(f"layers.{i}", h)
            continue
        path, m = f"layers.{i}.branch", torch.ones(len(x)).double()
        if spec.attention:
            m = linear(f"{path}.mask.linear", gated(f"{path}.mask.gated", h)).sigmoid()
        h = h + gated(f"{path}.gated", linear(f"{path}.linear", (m[:, None] * x).flatten()))
    h = (h - h.mean()) / (h.var(correction=0) + 1e-5).sqrt() * w["norm.weight"] + w["norm.bias"]
    return linear("head", h)


@each
@all_widths
def test_the_net_equals_a_loop_over_rows_and_columns(preset: str, widths: tuple[int, ...]) -> None:
    net, data = make(preset, vectors=widths), batch(5, widths)
    x = torch.stack([naive_columns(net, data, row) for row in range(5)])
    torch.testing.assert_close(net.columns(**data), x, rtol=1e-6, atol=1e-6)
    out = torch.stack([naive_body(net, each) for each in x])
    if net.direct is not None:
        table = 7 * net.direct.bags.table
        out += torch.stack([sum(naive_bag(net.spec, table, data, row, i) for i in range(2)) for row in range(5)])
    assert (net.direct is not None) == preset.startswith("gated")
    torch.testing.assert_close(net(**data), out, rtol=1e-6, atol=1e-6)


@each
def test_rows_do_not_see_each_other(preset: str) -> None:
    net, data = make(preset), batch(6)
    ends = [*data["bag_offsets"].tolist(), len(data["bag_ids"])]
    for row in range(6):
        alone = {key: data[key][row : row + 1] for key in ("numbers", "codes", "vectors")}
        for key in ("bag_ids", "bag_weights"):
            alone[key] = data[key][ends[2 * row] : ends[2 * row + 2]]
        alone["bag_offsets"] = data["bag_offsets"][2 * row : 2 * row + 2] - ends[2 * row]
        torch.testing.assert_close(net(**alone)[0], net(**data)[row])


@pytest.mark.parametrize("left", ["numbers", "codes", "bags", "vectors"])
@each
def test_any_one_family_is_a_table(preset: str, left: str) -> None:
    fields = {"numbers": 2, "categories": (3, 5), "bags": (4, 6), "vectors": (3, 2)}
    key = "categories" if left == "codes" else left
    only = {name: value if name == key else type(value)() for name, value in fields.items()}
    net = build_table(table_spec(preset, **only, outputs=3, **SMALL)).double()
    data = {key: value for key, value in batch(4).items() if key.startswith(left.removesuffix("s"))}
    out = net(**data)
    assert out.shape == (4, 3)
    out.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())  # NaN stays outside
    assert torch.equal(net.owners.unique(), torch.arange(2))


def test_bags_without_anything_in_them_are_zero() -> None:
    net = make("gated")
    ids, offsets = torch.empty(0, dtype=torch.long), torch.zeros(6, dtype=torch.long)
    out = net.columns.families["bags"](ids, torch.empty(0).double(), offsets)
    assert torch.equal(out, torch.zeros(3, 2, 4).double())


@pytest.mark.parametrize(("rows", "strength"), [(0, 0.0), (50, 1 / 50)])
def test_what_pulls_the_values_of_bags_to_zero(rows: int, strength: float) -> None:
    """The gradient is that of loss + 1/2 sum of decay * w^2: bags by values a row, the direct path's by 1/3 a row."""
    net, data = make("gated", rows=rows, bag_decay=0.3, dropout=0.0), batch(5)
    net.columns.norm = nn.Identity()  # as it is in eval mode, so that both sides see the same numbers
    bags, direct = net.columns.families["bags"].table, net.direct.bags.table
    (net.eval()(**data) ** 2).sum().backward()
    plain = [bags.grad.clone(), direct.grad.clone()]
    net.zero_grad()
    (net.train()(**data) ** 2).sum().backward()
    values = torch.tensor([4.0] * 4 + [6.0] * 6).double()[:, None]  # of each of the ten rows its column's vocabulary
    torch.testing.assert_close(bags.grad - plain[0], 0.3 * values * strength * bags.detach(), rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(direct.grad - plain[1], 49 / 3 * strength * direct.detach(), rtol=1e-6, atol=1e-9)


def test_where_the_body_is_silent_the_direct_path_learns_ridge_regression() -> None:
    """At the closed form of the least mean squares + w^2 / (6 N) the gradient is 0."""
    torch.manual_seed(0)
    n, x = 40, torch.rand(40, 4).double()
    y = (x @ torch.tensor([2.0, -1.0, 0.5, 0.0]).double())[:, None] + 0.1 * torch.randn(40, 1).double()
    net = make("gated", numbers=0, categories=(), bags=(4,), vectors=(), columns=(), outputs=1, rows=n, bag_decay=0.0)
    nn.init.zeros_(net.body.head.weight)
    nn.init.zeros_(net.body.head.bias)
    best = torch.linalg.solve(2 * x.T @ x + torch.eye(4).double() / 3, 2 * x.T @ y)
    for scale, at_best in ((1.0, True), (1.1, False)):
        net.direct.bags.table.data = scale * best / 7
        net.zero_grad()
        bags = {"bag_ids": torch.arange(4).repeat(n), "bag_weights": x.flatten()}
        F.mse_loss(net.train()(**bags, bag_offsets=torch.arange(0, 4 * n, 4)), y).backward()
        assert (net.direct.bags.table.grad.abs().max().item() < 1e-7) == at_best


def test_no_rows_give_no_rows() -> None:
    net = make("gated")
    data = {key: value[:0] for key, value in batch(2).items()}
    assert net(**data).shape == (0, 3)


def test_piecewise_numbers_by_hand() -> None:
    """Two bins under N(0, 1) part at 0; their outer edges leave out 1/200 on either side: ±2.5758."""
    layer = PiecewiseNumbers(1, 2, bins=2, std=1.0)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[[1.0, 0.0], [0.0, 1.0], [100.0, 0.0], [0.0, 0.0], [7.0, 8.0]]]))
    ranks = [-2.5758293, 0.0, 2.5758293, 1.28791465, -5.1516586, 5.1516586]
    x = torch.tensor([[[rank, 0.0]] for rank in ranks])
    expected = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [1.0, 0.5], [-1.0, 0.0], [1.0, 2.0]])
    torch.testing.assert_close(layer(x)[:, 0], expected)
    nan = float("nan")
    more = layer(torch.tensor([[[0.0, 0.5]], [[nan, nan]], [[nan, 1.0]]]))[:, 0]
    torch.testing.assert_close(more, torch.tensor([[51.0, 0.0], [7.0, 8.0], [7.0, 8.0]]))


@pytest.mark.parametrize("bins", [1, 2, 3, 32, 1000])
def test_the_bins_are_equally_probable(bins: int) -> None:
    layer, edges = PiecewiseNumbers(1, 2, bins=bins, std=1.0), torch.tensor(normal_edges(bins)).double()
    starts = -layer.shift[:bins].double() / layer.scale[:bins]  # where c is 0
    torch.testing.assert_close(starts, edges[:-1], rtol=1e-5, atol=1e-5)
    inner = norm.cdf(edges[1:-1])
    assert inner == pytest.approx([i / bins for i in range(1, bins)], abs=1e-6)
    assert norm.cdf(edges[0].item()) == pytest.approx(0.01 / bins, rel=1e-4)
    assert edges[-1].item() == pytest.approx(-edges[0].item(), rel=1e-5)


def test_a_missing_number_is_learned_and_leaves_the_rest_alone() -> None:
    net, data = make("gated"), batch(3)
    before = net(**data)
    with torch.no_grad():
        net.columns.families["numbers"].weight[0, -1] += 1
    after = net(**data)
    assert (after != before).any(dim=1).tolist() == [True, False, False]  # only row 0 misses the first number


def test_parameters_of_the_published_net_by_hand() -> None:
    """Two numbers (twice each), categories of 3 and 5, one text of 384: F = 7 columns of E = 64."""
    spec = table_spec("published", numbers=2, categories=(3, 5), vectors=(384,), outputs=10)
    hidden, inner, read = 512, 1024, 7 * 64
    block = (hidden * inner + inner) + (inner * 2 * hidden + 2 * hidden)
    columns = 2 * 2 * 64 * 3 + (3 + 5) * 64 + 384 * 64 + 64  # directions, anchors and two missing; tables; W; missing
    layers = 35 * block + 18 * (read * hidden + hidden) + 17 * (hidden * 7 + 7)
    net = build_table(spec)
    assert block == 1_574_912
    assert sum(p.numel() for p in net.parameters()) == columns + layers + 2 * hidden + hidden * 10 + 10 == 59_353_025
    assert net.owners.tolist() == [0, 0, 1, 1, 2, 3, 4]


def test_owners_name_the_columns_of_x() -> None:
    assert [NAMES[i] for i in make("gated").owners] == list(NAMES)
    assert [NAMES[i] for i in make("published").owners] == ["age", "age", "pay", "pay", *NAMES[2:]]


def test_masks_say_how_much_is_read() -> None:
    """A mask's linear layer that is silent but for one column's bias, +-ln 3: 3/4 of it is read, half of the others."""
    net, data = make("gated", depth=4), batch(5)
    with torch.no_grad():
        for i, layer in enumerate(net.body.layers):
            linear = layer.branch.mask.linear
            nn.init.zeros_(linear.weight)
            nn.init.zeros_(linear.bias)
            linear.bias[i] = torch.tensor(3.0).log()
    net.train()
    masks = net.masks(**data)  # without dropout, though the net trains
    assert net.training
    assert masks.shape == (5, 3, 8)
    assert not masks.requires_grad
    torch.testing.assert_close(masks, 0.5 + 0.25 * torch.eye(3, 8).double().expand(5, 3, 8))


@pytest.mark.parametrize("preset", ["mlp", "resnet", "gated-plain", "gated-block"])
def test_other_nets_have_no_masks(preset: str) -> None:
    with pytest.raises(UsageError, match="no column masks"):
        make(preset).masks(**batch(2))


def test_look_finds_the_published_net_whole_from_a_batch() -> None:
    net, data = make("published", depth=18), batch(3)
    merges = look.find(net, data)
    assert len(merges) == 35 + 17
    assert sum(merge.path.endswith("gated") for merge in merges) == 35
    index = next(merge.index for merge in merges if merge.path == "body.layers.16.branch.gated")
    with look.intervene(net, merges, {index: look.silence()}):
        silenced = net(**data)
    net.body.layers[16].branch.gated = nn.Identity()
    assert torch.equal(silenced, net(**data))


# gated-plain sums towers that read X alone into h: those 2 additions have equal sides, and only their 3 blocks are
# merges
@pytest.mark.parametrize(("preset", "n"), [("gated", 7), ("gated-plain", 3), ("gated-block", 3), ("resnet", 3)])
def test_lesions_of_the_body(preset: str, n: int) -> None:
    net = make(preset)
    x = net.columns(**batch(6)).detach()
    found = look.lesions(net.body, [(x, torch.tensor([0, 1, 2, 0, 1, 2]))], repeats=1)
    assert (len(found.single), found.method) == (n, "growing")


def test_lesions_of_a_net_without_bags() -> None:
    net = make("gated", bags=(), columns=())
    data = {key: value for key, value in batch(6).items() if not key.startswith("bag")}
    found = look.lesions(net, [(data, torch.tensor([0, 1, 2, 0, 1, 2]))], repeats=1)
    assert len(found.single) == 7


def test_embeddings_begin_as_the_spec_says() -> None:
    fields = {**SHAPE, "numbers": 50, "categories": (1000, 2000), "columns": (), "vectors": (9,)}
    torch.manual_seed(0)
    for preset, std in (("published", 0.02), ("gated", PRESETS["gated"]["embedding_std"])):
        families = build_table(table_spec(preset, **fields)).columns.families
        weights = [(families["numbers"].weight, std), (families["codes"].table, std), (families["bags"].table, 0.001)]
        for weight, expected in weights:  # bags: next to nothing
            assert weight.std().item() == pytest.approx(expected, rel=0.15)  # 4 standard errors of 320 numbers
            assert weight.mean().item() == pytest.approx(0, abs=0.25 * expected)


def test_the_same_random_state_builds_the_same_net() -> None:
    one, two = make("gated").state_dict(), make("gated").state_dict()
    assert one.keys() == two.keys()
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert not [key for key in one if "starts" in key or "owners" in key or "left" in key]  # told by the spec


def cut(key: str) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    return lambda data: {name: tensor for name, tensor in data.items() if name != key}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (cut("numbers"), "the batch lacks numbers"),
        (cut("bag_weights"), "the batch lacks bags"),
        (lambda data: {**data, "codes": data["codes"][:, :1]}, r"codes must be of shape \(N, 2\) .* got \(4, 1\)"),
        (lambda data: {**data, "numbers": data["numbers"][..., 0]}, r"numbers must be of shape \(N, 2, 2\)"),
        (lambda data: {**data, "codes": data["codes"][:3]}, "have 4, 3, 4, 4 rows"),
    ],
)
def test_a_batch_that_does_not_fit_is_said(change: Callable[..., dict[str, Tensor]], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        make("gated")(**change(batch(4)))


def test_a_batch_with_more_than_the_net_takes_is_said() -> None:
    with pytest.raises(UsageError, match="the batch has vectors, but the net was built for a table without them"):
        make("gated", vectors=(), columns=())(**batch(4))
