"""Residual connections of every kind, three (or as many as are said) in turn: found, read, and disabled.

Each row is what the block leaves without its branch, worked out beside the model: x, a gain times x, or mixed streams.
"""

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reslab.look import Merges, certify, find, influence, intervene, paths, read, responses, silence
from reslab.look.graph import checks

WIDTH = 8
Block = Callable[["Net", int, Tensor], Tensor]


class Net(nn.Module):
    """Three blocks of a given form, with a nonlinear branch f, a linear one g, a gate's layer p and a vector a each."""

    def __init__(self, block: Block, n: int = 3) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.f = nn.ModuleList(
            nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Tanh(), nn.Linear(WIDTH, WIDTH)) for _ in range(n)
        )
        self.g = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(n))
        self.p = nn.ModuleList(nn.Linear(3 * WIDTH, WIDTH) for _ in range(n))
        self.a = nn.ParameterList(nn.Parameter(torch.rand(WIDTH) + 0.5) for _ in range(n))
        self.block, self.n = block, n

    def forward(self, x: Tensor) -> Tensor:
        for i in range(self.n):
            x = self.block(self, i, x)
        return x


def rows(*shape: int) -> Tensor:
    return torch.randn(*(shape or (5, WIDTH)), generator=torch.Generator().manual_seed(1))


def checked(model: nn.Module, x: Tensor) -> Merges:
    """The merges; skip + branch = out holds at each of them."""
    merges = find(model.eval(), x)
    readings = read(model, merges, lambda: model(x.clone()))
    assert len(readings) == len(merges)
    for reading in readings:
        assert torch.allclose(reading.skip + reading.branch, reading.out, atol=1e-5)
    return merges


def disabled(model: nn.Module, merges: Merges, x: Tensor) -> Tensor:
    with torch.no_grad(), intervene(model, merges, {merge.index: silence() for merge in merges}):
        return model(x)


def pooled(m: Net, i: int, x: Tensor) -> Tensor:
    return x + F.avg_pool1d(F.layer_norm(x, (WIDTH,)), 3, 1, 1)


WEIGHTLESS: dict[str, Block] = {
    "average pool": pooled,
    "pool minus its input": lambda m, i, x: x + (F.avg_pool1d(x, 3, 1, 1) - x),
    "maximum pool": lambda m, i, x: x + F.max_pool1d(x, 3, 1, 1),
    "Fourier": lambda m, i, x: x + torch.fft.fft2(x).real,
    "real Fourier": lambda m, i, x: x + torch.fft.irfft(torch.fft.rfft(x, dim=1), n=5, dim=1),
    "running sum": lambda m, i, x: x + x.cumsum(1),
    "down and up": lambda m, i, x: x + F.interpolate(F.avg_pool1d(x, 2), WIDTH),
    "attention, fused": lambda m, i, x: x + F.scaled_dot_product_attention(x, x, x),
    "attention, written out": lambda m, i, x: x + torch.softmax(x @ x.mT, -1) @ x,
}


@pytest.mark.parametrize("how", WEIGHTLESS)
def test_branches_without_weights(how: str) -> None:
    model, x = Net(WEIGHTLESS[how]), rows(3, 5, WIDTH)
    merges = checked(model, x)
    assert [merge.kind for merge in merges] == ["identity"] * 3
    assert torch.equal(disabled(model, merges, x), x)


@pytest.mark.parametrize(
    "block",
    [
        lambda m, i, x: x + F.gelu(x),
        lambda m, i, x: x + 0.044 * x**3,
        lambda m, i, x: x + x.roll(1, -1),
        lambda m, i, x: x + x.softmax(-1),
        lambda m, i, x: x + m.a[i] * (x * x.norm(dim=1, keepdim=True) / x.norm(dim=1).mean()),  # GRN
        lambda m, i, x: x - torch.maximum(x, m.a[i]),
        lambda m, i, x: x - torch.maximum(x, m.a[i].expand_as(x)),
        lambda m, i, x: torch.cat([x, m.a[i].expand(1, 5, WIDTH)])[:3] + x,
        lambda m, i, x: m.f[i](x) - m.g[i](x),
        lambda m, i, x: m.f[i](x) + -x,
        lambda m, i, x: m.f[i](x) + -2.0 * x,
        lambda m, i, x: m.g[i](x) + 0.5 * F.linear(F.linear(x, m.g[i].weight), m.g[i].weight),  # LoRA
        lambda m, i, x: (
            torch.stack([x[:2], m.f[i](x)[:2]]).sum(2).repeat(2, 1, 1)[:3, :, None].expand(3, -1, 5, -1)[:, 0]
        ),
    ],
)
def test_sums_that_are_no_residual_connections(block: Block) -> None:
    assert len(find(Net(block), rows(3, 5, WIDTH))) == 0


def test_pooling_and_linear_merges_in_turn_count_as_six() -> None:
    model = Net(lambda m, i, x: pooled(m, i, x) if i % 2 else x + m.g[i](x), n=6)
    found = paths(model, [(rows(2, 5, WIDTH), None)])
    assert found.counts == (1, 6, 15, 20, 15, 6, 1)
    assert sum(found.share) == pytest.approx(1)


GAINS: dict[str, tuple[Block, Callable[[Tensor, Tensor], Tensor]]] = {
    "learned vector": (lambda m, i, x: m.a[i] * x + m.f[i](x), lambda a, x: a * x),
    "squashed vector": (lambda m, i, x: m.f[i](x) + x * m.a[i].sigmoid(), lambda a, x: x * a.sigmoid()),
    "addcmul": (lambda m, i, x: torch.addcmul(m.f[i](x), x, m.a[i]), lambda a, x: x * a),
    "number": (lambda m, i, x: 0.5 * x + m.f[i](x), lambda a, x: 0.5 * x),
    "alpha": (lambda m, i, x: torch.add(m.f[i](x), x, alpha=0.5), lambda a, x: 0.5 * x),
    "mean of a stack": (lambda m, i, x: torch.stack([x, m.f[i](x)]).mean(0), lambda a, x: 0.5 * x),
    "number, beside a pool": (lambda m, i, x: 0.5 * x + F.avg_pool1d(x, 3, 1, 1), lambda a, x: 0.5 * x),
    "lerp": (lambda m, i, x: torch.lerp(x, m.f[i](x), 0.25), lambda a, x: 0.75 * x),
}


@pytest.mark.parametrize("how", GAINS)
def test_a_skip_with_a_gain_is_a_residual_connection_of_its_own_kind(how: str) -> None:
    block, left = GAINS[how]
    model, x = Net(block), rows()
    merges = checked(model, x)
    assert [(merge.kind, merge.cuttable) for merge in merges] == [("scaled", False)] * 3
    assert all("scaled before the addition" in merge.why for merge in merges)
    silent = disabled(model, merges, x)
    for a in model.a:
        x = left(a, x)
    assert torch.allclose(silent, x)


PARTS: dict[str, Block] = {
    "D x of a state-space layer": lambda m, i, x: x + (lambda y: m.a[i] * y + m.f[i](y))(m.g[i](x)).relu(),
    "gates of other values": lambda m, i, x: (
        x + (lambda y, g: g * y + (1 - g) * m.f[i](y))(m.g[i](x), m.p[i](torch.cat([x, x, x], -1)).sigmoid()).relu()
    ),
}


@pytest.mark.parametrize("how", PARTS)
def test_a_gain_or_gate_within_a_branch_is_a_part_of_it(how: str) -> None:
    merges = find(Net(PARTS[how]), rows())
    assert [merge.kind for merge in merges] == ["identity"] * 3
    assert [each.kind for each in merges.sums] == ["sum"] * 3


def from_branch(m: Net, i: int, x: Tensor) -> Tensor:
    y = m.f[i](x)
    g = torch.sigmoid(m.p[i](torch.cat([y, x, y - x], -1)))
    return y * g + x * (1 - g)


def gated_by(*, of: str) -> Block:
    def block(m: Net, i: int, x: Tensor) -> Tensor:
        y = m.f[i](x)
        g = torch.sigmoid(
            m.g[i]({"x": lambda: x, "y": lambda: y, "product": lambda: x * y, "sum": lambda: x + y}[of]())
        )
        return (1 - g) * x + g * y

    return block


GATES = {
    "cat": from_branch,
    "x": gated_by(of="x"),
    "y": gated_by(of="y"),
    "product": gated_by(of="product"),
    "sum": gated_by(of="sum"),
    "softmax": lambda m, i, x: (lambda y, z: z[0] * x + z[1] * y)(
        m.f[i](x), torch.stack([m.g[i](x), m.g[i](m.f[i](x))]).softmax(0)
    ),
}


@pytest.mark.parametrize("how", GATES)
def test_gates_computed_from_the_input_or_the_branch(how: str) -> None:
    """Without the branch x (1 - g) is left; the layers of the branch are not the shortcut's."""
    model, x = Net(GATES[how], n=1), rows()
    merges = checked(model, x)
    assert [(merge.kind, merge.cuttable) for merge in merges] == [("projection", False)]
    if how == "cat":
        y = model.f[0](x)
        g = torch.sigmoid(model.p[0](torch.cat([y, x, y - x], -1)))
        assert torch.allclose(disabled(model, merges, x), x * (1 - g))
        assert merges[0].shortcut_params == 3 * WIDTH * WIDTH + WIDTH  # of p alone
    assert len(find(Net(GATES[how]), x)) == 3


class Complex(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w = nn.ParameterList(nn.Parameter(torch.randn(WIDTH, WIDTH, dtype=torch.complex64) / 4) for _ in range(3))

    def forward(self, z: Tensor) -> Tensor:
        for w in self.w:
            z = z + torch.tanh(z @ w)
        return z


def test_complex_numbers() -> None:
    model, z = Complex(), torch.complex(rows(), rows().flip(0))
    merges = checked(model, z)
    assert [merge.kind for merge in merges] == ["identity"] * 3
    assert torch.equal(disabled(model, merges, z), z)


class Pairs(nn.Module):
    """The same numbers as pairs of real ones: (a + ib)(c + id) = (ac - bd) + i(ad + bc)."""

    def __init__(self, model: Complex) -> None:
        super().__init__()
        self.w = model.w

    def forward(self, pairs: Tensor) -> Tensor:
        for w in self.w:
            z = torch.tanh(torch.view_as_complex(pairs.unflatten(-1, (-1, 2))) @ w)
            pairs = pairs + torch.view_as_real(z).flatten(-2)
        return pairs


def test_complex_numbers_are_measured_as_pairs_of_real_ones() -> None:
    model, z = Complex(), torch.complex(rows(), rows().flip(0))
    twin, pairs = Pairs(model), torch.view_as_real(z).flatten(-2)
    weights = torch.arange(2.0 * WIDTH)

    def loss(scores: Tensor, _: Tensor | None) -> Tensor:
        return (torch.view_as_real(scores).flatten(-2) if scores.is_complex() else scores).square() @ weights

    class Real(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = model

        def forward(self, z: Tensor) -> Tensor:
            return torch.view_as_real(self.net(z)).flatten(-2)

    for measure in (
        lambda m, x: [(r.skip, r.branch, r.out) for r in responses(m, [(x, None)]).merges],
        lambda m, x: [(s.influence, s.ratio, s.cosine) for s in influence(m, [(x, None)], loss=loss).merges],
        lambda m, x: [paths(m, [(x, None)], loss=lambda s, y: loss(s, y).sum()).exact],
    ):
        for ours, theirs in zip(measure(Real(), z), measure(twin, pairs), strict=True):
            assert ours == pytest.approx(theirs, rel=1e-4)


@pytest.mark.parametrize("layer", ["linear", "lstm", "gru"])
def test_layers_with_packed_weights(layer: str) -> None:
    """torch.ao.quantization.quantize_dynamic: their weights are no tensors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kinds = {nn.Linear, nn.LSTM, nn.GRU}
        model = {
            "linear": lambda: Net(lambda m, i, x: x + m.f[i](x)),
            "lstm": lambda: Recurrent(nn.LSTM),
            "gru": lambda: Recurrent(nn.GRU),
        }[layer]().eval()
        model = torch.ao.quantization.quantize_dynamic(model, kinds, dtype=torch.qint8)
        x = rows(2, 5, WIDTH)
        merges = checked(model, x)
        assert [merge.kind for merge in merges] == ["identity"] * 3
        assert merges.notes == ()
        assert torch.equal(disabled(model, merges, x), x)


class Recurrent(nn.Module):
    def __init__(self, kind: Any, **options: Any) -> None:
        super().__init__()
        width = WIDTH // 2 if options.get("bidirectional") else WIDTH
        self.layers = nn.ModuleList(kind(WIDTH, width, batch_first=True, **options) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = x + layer(x)[0]
        return x


@pytest.mark.parametrize("kind", [nn.GRU, nn.LSTM, nn.RNN])
@pytest.mark.parametrize("options", [{}, {"bidirectional": True}, {"num_layers": 2}])
def test_what_lies_inside_a_recurrent_layer_is_one(kind: Any, options: dict[str, Any]) -> None:
    model, x = Recurrent(kind, **options), rows(2, 3, WIDTH)
    merges = checked(model, x)
    assert [(merge.kind, merge.module) for merge in merges] == [("identity", "")] * 3
    assert merges.sums == ()
    assert torch.equal(disabled(model, merges, x), x)


@pytest.mark.parametrize("kind", [nn.GRUCell, nn.LSTMCell])
def test_what_lies_inside_a_recurrent_cell_is_none(kind: Any) -> None:
    class Loop(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = kind(WIDTH, WIDTH)

        def forward(self, x: Tensor) -> Tensor:
            state, outputs = None, []
            for step in x.unbind(1):
                state = self.cell(step, state)
                outputs.append(state[0] if isinstance(state, tuple) else state)
            return x + torch.stack(outputs, 1)

    assert [merge.kind for merge in checked(Loop(), rows(2, 3, WIDTH))] == ["identity"]


WAYS: dict[str, Block] = {
    "torch.ops": lambda m, i, x: torch.ops.aten.add.Tensor(x, m.f[i](x)),
    "torch.ops in place": lambda m, i, x: torch.ops.aten.add_.Tensor(m.f[i](x), x),
    "an op of every overload": lambda m, i, x: torch.ops.aten.add(x, m.f[i](x)),
    "prims": lambda m, i, x: torch.ops.prims.add(x, m.f[i](x)),
    "foreach": lambda m, i, x: torch._foreach_add([x], [m.f[i](x)])[0],
    "foreach, twice": lambda m, i, x: torch._foreach_add([x, x.detach()], [m.f[i](x), m.a[i] * x], alpha=1)[0],
    "addcdiv": lambda m, i, x: torch.addcdiv(x, m.f[i](x), m.a[i], value=0.5),
    "cat().sum()": lambda m, i, x: torch.cat([x[None], m.f[i](x)[None]]).sum(0),
    "cat(-1).sum()": lambda m, i, x: torch.cat([m.f[i](x)[..., None], x[..., None]], -1).sum(-1),
    "concat": lambda m, i, x: torch.concat([x.unsqueeze(1), m.f[i](x).unsqueeze(1)], dim=1).sum(dim=1),
    "einsum": lambda m, i, x: torch.einsum("nbd->bd", torch.stack([x, m.f[i](x)])),
    "einsum, stacked last": lambda m, i, x: torch.einsum("bdn->bd", torch.stack([x, m.f[i](x)], -1)),
}


@pytest.mark.parametrize("how", WAYS)
def test_more_ways_of_adding(how: str) -> None:
    model, x = Net(WAYS[how]), rows()
    merges = checked(model, x)
    assert [(merge.kind, merge.shape) for merge in merges] == [("identity", (5, WIDTH))] * 3
    assert torch.allclose(disabled(model, merges, x), x)
    if how != "prims":  # they have no gradient
        found = paths(model, [(x, None)], merges=merges)
        assert found.counts == (1, 3, 3, 1)
        assert sum(found.share) == pytest.approx(1, abs=1e-5)


def test_an_exported_module() -> None:
    """torch.export's graph calls torch.ops."""
    x = rows()
    model = torch.export.export(Net(lambda m, i, x: x + m.f[i](x)).eval(), (x,)).module()
    merges = find(model, x)
    assert [(merge.kind, merge.reachable) for merge in merges] == [("identity", True)] * 3
    assert torch.equal(disabled(model, merges, x), x)


class Streams(nn.Module):
    """Hyper-connections (mHC, 2512.24880): n streams, read, written and mixed by matrices that depend on them."""

    def __init__(self, add: Callable[..., Tensor], d: int = 16, n: int = 4, blocks: int = 3) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.n, self.add, self.enter, self.leave = n, add, nn.Linear(WIDTH, d), nn.Linear(d, 3)
        self.f = nn.ModuleList(nn.Sequential(nn.Linear(d, 32), nn.ReLU(), nn.Linear(32, d)) for _ in range(blocks))
        self.w = nn.ModuleList(nn.Linear(n * d, n * n + 2 * n) for _ in range(blocks))

    def matrices(self, i: int, h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        z, n = self.w[i](h.flatten(1)), self.n
        return z[:, :n].sigmoid(), z[:, n : 2 * n].sigmoid(), z[:, 2 * n :].view(-1, n, n).softmax(-1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.enter(x).unsqueeze(1).expand(-1, self.n, -1)
        for i, f in enumerate(self.f):
            read, write, mix = self.matrices(i, h)
            h = self.add(write, f((read.unsqueeze(-1) * h).sum(1)), mix, h)
        return self.leave(h.mean(1))


MIXES: dict[str, Callable[..., Tensor]] = {
    "matmul": lambda write, f, mix, h: write.unsqueeze(-1) * f.unsqueeze(1) + torch.matmul(mix, h),
    "einsum": lambda write, f, mix, h: torch.einsum("bij,bjd->bid", mix, h) + torch.einsum("bi,bd->bid", write, f),
    "product and sum": lambda write, f, mix, h: (mix[..., None] * h[:, None]).sum(2) + write[..., None] * f[:, None],
    "transposed": lambda write, f, mix, h: mix.mT @ h + write[..., None] * f[:, None],
    "outer product": lambda write, f, mix, h: torch.bmm(mix, h) + torch.bmm(write[..., None], f[:, None]),
}  # fmt: skip


@pytest.mark.parametrize("how", MIXES)
def test_streams_that_are_mixed(how: str) -> None:
    """Without their branches, the mixed streams are left: not the streams that came in."""
    model, x = Streams(MIXES[how]), rows()
    merges = checked(model, x)
    assert [(merge.kind, merge.shape, merge.cuttable) for merge in merges] == [("mixed", (5, 4, 16), False)] * 3
    with torch.no_grad():
        h = model.enter(x).unsqueeze(1).expand(-1, 4, -1)
        for i in range(3):
            mix = model.matrices(i, h)[2]
            h = (mix.mT if how == "transposed" else mix) @ h
        assert torch.allclose(disabled(model, merges, x), model.leave(h.mean(1)), atol=1e-6)
    if how == "matmul":
        found = paths(model, [(x, None)], merges=merges)
        assert found.counts == (1, 3, 3, 1)
        assert sum(found.share) == pytest.approx(1, abs=1e-4)


def test_streams_mixed_by_a_fixed_matrix() -> None:
    matrix = torch.rand(4, 4, generator=torch.Generator().manual_seed(0))
    model = Streams(lambda write, f, mix, h: torch.einsum("ij,bjd->bid", matrix, h) + write[..., None] * f[:, None])
    assert [merge.kind for merge in checked(model, rows())] == ["mixed"] * 3


@pytest.mark.filterwarnings("ignore")
def test_deepseek_v4() -> None:
    """transformers' own mHC: a merge of mixed streams for the attention and for the MLP of each layer."""
    transformers = pytest.importorskip("transformers")
    config = transformers.DeepseekV4Config(
        vocab_size=50, hidden_size=32, moe_intermediate_size=16, num_hidden_layers=3, num_attention_heads=4,
        head_dim=16, q_lora_rank=16, o_lora_rank=8, o_groups=2, n_routed_experts=4, num_experts_per_tok=2, hc_mult=2,
        num_key_value_heads=1, index_n_heads=2, index_head_dim=8, index_topk=4, sliding_window=8,
    )  # fmt: skip
    model = transformers.DeepseekV4Model(config).eval()
    merges = find(model, {"input_ids": torch.arange(6)[None]})
    assert [merge.kind for merge in merges] == ["mixed"] * 6


class Rep(nn.Module):
    """A re-parametrized depthwise block: a convolution, one of a pixel that is but a gain per channel, and the skip."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Sequential(nn.Conv2d(8, 8, 3, 1, 1, groups=8, bias=False), nn.BatchNorm2d(8))
        self.gain = nn.Conv2d(8, 8, 1, groups=8)

    def forward(self, x: Tensor) -> Tensor:
        return (self.conv(x) + self.gain(x)) + x


def test_every_summand_is_skip_or_branch() -> None:
    model, x = nn.Sequential(Rep(), nn.Conv2d(8, 8, 1)), rows(2, 8, 6, 6)
    merges = checked(model, x)
    assert [(merge.kind, merge.cuttable, merge.module) for merge in merges] == [("identity", True, "0")]
    assert torch.equal(disabled(model, merges, x), model[1](x))
    for block in (
        lambda m, i, x: m.a[i] * x + x + m.f[i](x),
        lambda m, i, x: (m.a[i] * x + m.f[i](x)) + x,
    ):
        net = Net(block)
        assert torch.equal(disabled(net, checked(net, rows()), rows()), rows())


class Adapted(nn.Module):
    """A linear layer with a low-rank adapter (LoRA)."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__()
        self.base, self.down, self.up = nn.Linear(a, b), nn.Linear(a, 2, bias=False), nn.Linear(2, b, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + 0.5 * self.up(self.down(x))


def test_linear_side_branches_are_no_residual_connections() -> None:
    class Mlp(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = Adapted(WIDTH, 16), Adapted(16, WIDTH)

        def forward(self, x: Tensor) -> Tensor:
            return x + self.b(F.gelu(self.a(x)))

    merges = checked(nn.Sequential(*[Mlp() for _ in range(4)]), rows())
    assert [(merge.kind, merge.module, merge.depth) for merge in merges] == [("identity", str(i), 0) for i in range(4)]
    assert [len(merge.branches) for merge in merges] == [1] * 4  # the layer and its adapter
    assert {each.kind for each in merges.sums} == {"sum"}
    bare = nn.Sequential(Adapted(WIDTH, WIDTH), nn.BatchNorm1d(WIDTH), Adapted(WIDTH, WIDTH)).eval()
    assert len(find(bare, rows())) == 0


def test_a_merge_that_does_not_add_up_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the finder had lost a summand: half the sum is missing, so that nothing may be removed."""
    real = checks.share
    monkeypatch.setattr(
        checks, "share", lambda name, operand, *rest: real(name, operand, *rest) * (operand.position == 0)
    )
    model = nn.Sequential(nn.Linear(WIDTH, WIDTH), Net(lambda m, i, x: x + m.g[i](x), n=1))
    (merge,) = merges = find(model, rows())
    assert not merge.cuttable
    assert merge.why.startswith("its skip and branches do not add up to its sum")
    assert merges.notes == (f"merge 0 (1) cannot be trusted: {merge.why}",)
    with torch.device("meta"):
        (unchecked,) = find(Net(lambda m, i, x: x + m.g[i](x), n=1), torch.empty(5, WIDTH))
    assert unchecked.cuttable


WEIGHTED: dict[str, Block] = {
    "einsum": lambda m, i, x: torch.einsum("nbd,n->bd", torch.stack([x, m.f[i](x)]), m.a[i][:2]),
    "einsum, weights first": lambda m, i, x: torch.einsum("n,bnd->bd", m.a[i][:2], torch.stack([x, m.f[i](x)], 1)),
    "tensordot": lambda m, i, x: torch.tensordot(m.a[i][:2], torch.stack([x, m.f[i](x)]), dims=1),
    "matmul": lambda m, i, x: torch.stack([x, m.f[i](x)], -1) @ m.a[i][:2],
    "product and sum": lambda m, i, x: (m.a[i][:2, None, None] * torch.stack([x, m.f[i](x)])).sum(0),
}


@pytest.mark.parametrize("how", WEIGHTED)
def test_terms_that_are_weighted_after_they_are_joined(how: str) -> None:
    """They are found, and it is said why they cannot be edited."""
    merges = find(Net(WEIGHTED[how]), rows())
    assert [(m.kind, m.depth, m.shape, m.reachable) for m in merges] == [("scaled", 0, (5, WIDTH), False)] * 3
    assert "weighted after they are joined" in merges[0].why
    assert merges.notes[2] == f"merge 2 () cannot be edited: {merges[2].why}"


class OverDepth(nn.Module):
    """Attention residuals (2603.15031): each layer reads a weighted sum of all earlier outputs."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.f = nn.ModuleList(nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Tanh()) for _ in range(4))
        self.w = nn.ParameterList(nn.Parameter(torch.randn(WIDTH)) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        values = [x]
        for f, w in zip(self.f, self.w, strict=True):
            stacked = torch.stack(values)
            weights = (F.layer_norm(stacked, (WIDTH,)) @ w).softmax(0)
            values.append(f(torch.einsum("nb,nbd->bd", weights, stacked)))
        return values[-1]


def test_attention_over_earlier_depths_says_what_can_be_disabled() -> None:
    """Layers 2 to 4 read 2 to 4 outputs: three such sums. A layer that is named returns what it reads."""
    model, x = OverDepth(), rows()
    merges = find(model, x)
    assert len(merges) == 0
    assert merges.notes[1].startswith("the model weights the outputs of earlier layers by attention in 3 places")
    assert merges.notes[1].endswith("to disable a layer, name its module as a merge: it then returns its input")
    named = find(model, x, modules=["f.3"])
    with torch.no_grad(), intervene(model, named, {0: silence()}):
        silent = model(x)
    model.f[3] = nn.Identity()
    assert torch.allclose(silent, model(x))


def test_what_stood_nearest_is_named() -> None:
    (note,) = find(Net(lambda m, i, x: m.g[i](x.sin()) + m.g[i](x.cos())), rows()).notes
    assert note == (
        "no residual connection was recognized in Net (it adds equal sides in 3 places: the model): no sum of a skip "
        "and a branch was found"
    )
    (note,) = find(Net(lambda m, i, x: torch.cat([x, m.f[i](x)], 1)[:, :WIDTH]), rows()).notes
    assert "(it concatenates tensors in 3 places)" in note


def test_streams_mixed_in_one_op_are_remarked_on() -> None:
    add = lambda write, f, mix, h: torch.baddbmm(mix @ h, write[..., None], f[:, None])  # noqa: E731
    merges = find(Streams(add), rows())
    assert len(merges) == 0
    assert merges.notes[1].startswith("baddbmm in the model adds a branch to its skip inside one op")


@pytest.mark.parametrize("mask", [
    lambda s: s, lambda s: s.masked_fill(s > 9, torch.tensor(float("-inf"))),
    lambda s: torch.where((s > 9).any(-1, keepdim=True), torch.tensor(-1e9), s), lambda s: s / 2,
])  # fmt: skip
def test_a_bias_of_all_attention_scores_is_no_skip(mask: Callable[[Tensor], Tensor]) -> None:
    """As MPNet has it: the scores of later layers depend on the bias through earlier layers."""

    class Biased(Net):
        def forward(self, x: Tensor) -> Tensor:
            bias = self.g[0](x)[:, :, :5].contiguous()
            for i in range(3):
                x = x + torch.softmax(mask(self.g[i](x) @ x.mT + bias), -1) @ x
            return x

    merges = find(Biased(lambda m, i, x: x), rows(2, 5, WIDTH))
    assert [(merge.kind, merge.shape) for merge in merges] == [("identity", (2, 5, WIDTH))] * 3


def test_a_scaled_norm_forks_after_the_norm() -> None:
    """As MiniMax has it: a number times what a written-out norm returns, which is a product itself."""

    def block(m: Net, i: int, x: Tensor) -> Tensor:
        x = m.a[i] * (x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6))
        return x * 1.0 + m.f[i](x) * 0.5

    merges = checked(Net(block), rows())
    assert [(merge.kind, merge.shortcut_params) for merge in merges] == [("scaled", 0)] * 3


class Stubs(nn.Module):
    """Convolutions and sums in 8 bits: torch.ao.quantization, static."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.enter, self.leave = torch.ao.quantization.QuantStub(), torch.ao.quantization.DeQuantStub()
        self.f = nn.ModuleList(nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU()) for _ in range(3))
        self.add = nn.ModuleList(torch.ao.nn.quantized.FloatFunctional() for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x)
        for f, add in zip(self.f, self.add, strict=True):
            x = add.add(x, f(x))
        return self.leave(x)


@pytest.mark.filterwarnings("ignore")
def test_sums_of_quantized_numbers() -> None:
    """Disabled, the input is left, but for the rounding to the 8 bits and the range of each sum."""
    model, x = Stubs().eval(), rows(2, 4, 6, 6)
    model.qconfig = torch.ao.quantization.get_default_qconfig("x86")
    prepared = torch.ao.quantization.prepare(model)
    prepared(x)
    model = torch.ao.quantization.convert(prepared)
    merges = find(model, x)
    assert [(merge.kind, merge.reachable) for merge in merges] == [("identity", True)] * 3
    assert not any("trusted" in note for note in merges.notes)
    assert (disabled(model, merges, x) - x).abs().median() < 0.05
    assert {(merge.cuttable, merge.why) for merge in merges} == {
        (False, "the sum is rounded to 8 bits, which would remain without the branch")
    }
    assert all(row.sum is not None and row.sum.holds for row in certify(model, x).merges)


def test_a_vector_where_a_value_is_missing_is_no_skip() -> None:
    """W x + v where x is missing: the mask follows from x, but carries no number of it."""

    class Missing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.missing, self.second = nn.Linear(4, 6), nn.Parameter(torch.ones(6)), nn.Linear(6, 6)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = self.first(x.nan_to_num(0)) + x[:, :1].isnan() * self.missing
            return h + self.second(h.relu())

    (merge,) = find(Missing(), torch.rand(3, 4))
    assert merge.kind == "identity"
