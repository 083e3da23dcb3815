"""The gated residual block beside the published formula, and its network's layers by hand."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reslab import look
from reslab.errors import UsageError
from reslab.nets.gated import DropPath, GatedNet, GatedResidual


def published(x: Tensor, block: GatedResidual) -> Tensor:
    """The published forward pass, for rows only, with our weights."""
    w = block.branch.state_dict()
    y = F.linear(F.gelu(F.linear(x, w["linear1.weight"], w["linear1.bias"])), w["linear2.weight"], w["linear2.bias"])
    value, gate = torch.chunk(y, 2, dim=1)
    return x + value * gate.sigmoid()


def test_rows_are_as_published() -> None:
    torch.manual_seed(0)
    block = GatedResidual(6, 10, dropout=0.5).eval()
    x = torch.randn(5, 6)
    torch.testing.assert_close(block(x), published(x, block))


def test_any_leading_dims_are_rows() -> None:
    torch.manual_seed(0)
    block = GatedResidual(6, 10).double()
    x = torch.randn(2, 3, 6).double()
    out = block(x)
    for i in range(2):
        torch.testing.assert_close(out[i], block(x[i]))
        for j in range(3):
            torch.testing.assert_close(out[i, j], block(x[i, j]))
    torch.testing.assert_close(out, published(x.flatten(0, 1), block).view(2, 3, 6))


def test_the_gate_by_hand() -> None:
    """u = 4 and g = ln 3, whatever comes in: sigmoid(g) = 3/4, so each number grows by 3."""
    block = GatedResidual(2, 3)
    for parameter in block.parameters():
        nn.init.zeros_(parameter)
    with torch.no_grad():
        block.branch.linear2.bias.copy_(torch.tensor([4.0, 4.0, 3.0, 3.0]))
        block.branch.linear2.bias[2:].log_()
    torch.testing.assert_close(block(torch.tensor([[1.0, -2.0]])), torch.tensor([[4.0, 1.0]]))


def test_dropout_falls_on_the_branch_alone() -> None:
    torch.manual_seed(0)
    block = GatedResidual(50, 10, dropout=0.5)
    x = torch.randn(20, 50)
    ratio = (block(x) - x) / (block.eval()(x) - x)
    assert set(ratio.round(decimals=2).unique().tolist()) == {0.0, 2.0}


@pytest.mark.parametrize("shape", [(4000,), (4000, 3), (4000, 2, 3)])
def test_drop_path_drops_rows_and_keeps_the_mean(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    drop = DropPath(0.2)
    out = drop(torch.ones(shape))
    rows = out.flatten(1) if out.dim() > 1 else out[:, None]
    assert set(rows[:, 0].tolist()) == {0.0, 1.25}
    assert (rows == rows[:, :1]).all()
    assert out.mean() == pytest.approx(
        1, abs=0.04
    )  # 5 standard errors of 4000 draws that are 0.5 off: 2.5 / sqrt(4000)
    assert (drop.eval()(torch.ones(shape)) == 1).all()


def test_a_layer_with_weights_chosen_by_hand() -> None:
    """Two columns of one number, hidden 1, all gated blocks silent. h0 = 2 a + b; then h0 + (a + b) m, m = 1/2."""
    net = GatedNet(2, 1, width=1, inner=1, depth=2, outputs=1)
    for parameter in net.parameters():
        nn.init.zeros_(parameter)
    with torch.no_grad():
        net.start.linear.weight.copy_(torch.tensor([[2.0, 1.0]]))
        net.layers[0].branch.linear.weight.fill_(1)
    net.norm = net.head = nn.Identity()
    x = torch.tensor([[[3.0], [10.0]]])
    assert net(x).tolist() == [[2 * 3 + 10 + (3 + 10) / 2]]
    assert net.masks(x).tolist() == [[[0.5, 0.5]]]


def test_the_published_depth_has_52_merges() -> None:
    """35 gated blocks (one in layer 0, two in each of 17 layers) and 17 outer sums, around 34 of the blocks."""
    torch.manual_seed(0)
    net = GatedNet(3, 4, width=8, inner=6, depth=18, outputs=2).double()
    x = torch.randn(4, 3, 4).double()
    blocks = [path for path, module in net.named_modules() if isinstance(module, GatedResidual)]
    outer = [f"layers.{i}" for i in range(17)]
    merges = look.find(net, x)
    assert (len(blocks), len(merges)) == (35, 52)
    assert {merge.path for merge in merges} == {*blocks, *outer}
    assert all(merge.kind == "identity" and merge.reachable and merge.cuttable for merge in merges)
    assert {merge.path: merge.depth for merge in merges} == {
        path: int(path != "start.gated" and path in blocks) for path in (*blocks, *outer)
    }


@pytest.mark.parametrize(
    ("path", "replacement"),
    [("layers.8.branch.mask.gated", nn.Identity()), ("layers.8.branch.gated", nn.Identity()), ("layers.8", None)],
)
def test_a_silenced_block_is_the_identity(path: str, replacement: nn.Module | None) -> None:
    torch.manual_seed(0)
    net = GatedNet(3, 4, width=8, inner=6, depth=18, outputs=2).double()
    x = torch.randn(4, 3, 4).double()
    merges = look.find(net, x)
    index = next(merge.index for merge in merges if merge.path == path)
    whole = net(x)
    with look.intervene(net, merges, {index: look.silence()}):
        silenced = net(x)
    if replacement is None:
        del net.layers[8]
    else:
        net.set_submodule(path, replacement)
    assert torch.equal(silenced, net(x))
    assert not torch.equal(silenced, whole)


def test_without_attention_there_are_no_masks() -> None:
    net = GatedNet(3, 4, width=8, inner=6, depth=3, outputs=2, attention=False)
    assert sum(isinstance(module, GatedResidual) for module in net.modules()) == 3
    with pytest.raises(UsageError, match="no column masks"):
        net.masks(torch.randn(2, 3, 4))


def test_without_rereading_it_is_a_chain_of_blocks() -> None:
    torch.manual_seed(0)
    net = GatedNet(3, 4, width=8, inner=6, depth=3, outputs=2, attention=False, reread=False)
    x = torch.randn(2, 3, 4)
    h = F.linear(x.flatten(1), net.start.linear.weight, net.start.linear.bias)
    for block in (net.start.gated, *net.layers):
        h = published(h, block)
    torch.testing.assert_close(net(x), net.head(F.layer_norm(h, (8,))))


def test_a_net_of_one_layer_has_no_masks_to_show() -> None:
    net = GatedNet(3, 4, width=8, inner=6, depth=1, outputs=2)
    assert net.masks(torch.randn(2, 3, 4)).shape == (2, 0, 3)
    assert net(torch.randn(2, 3, 4)).shape == (2, 2)


def test_depth_18_learns_from_the_first_steps() -> None:
    """A table of three columns whose label is the sign of one of them: learnt in 60 steps, with dropout 0.5."""
    torch.manual_seed(0)
    net = GatedNet(3, 8, width=32, inner=32, depth=18, outputs=2, dropout=0.5, drop_path=0.5)
    sign = torch.randint(0, 2, (256,))
    x = 0.02 * torch.randn(256, 3, 8)
    x[:, 1] += 0.04 * (2 * sign[:, None] - 1)
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), sign)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) / 5 < losses[0] / 2


@pytest.mark.parametrize("reread", [True, False])
def test_the_plain_twin_has_the_same_weights_and_no_residual_connection(reread: bool) -> None:
    torch.manual_seed(0)
    shape = {"width": 8, "inner": 6, "depth": 3, "outputs": 2, "attention": reread, "reread": reread}
    net, twin = GatedNet(3, 4, **shape), GatedNet(3, 4, **shape, skip=False)
    twin.load_state_dict(net.state_dict())
    x = torch.randn(2, 3, 4)
    assert len(look.find(twin, x)) == 0

    def alone(h: torch.Tensor, block: GatedResidual) -> torch.Tensor:
        return published(h, block) - h

    h = alone(net.start.linear(x.flatten(1)), net.start.gated)
    for layer in net.layers:
        if reread:
            m = layer.branch.mask.linear(alone(h, layer.branch.mask.gated)).sigmoid()
            h = alone(layer.branch.linear((x * m[..., None]).flatten(1)), layer.branch.gated)
        else:
            h = alone(h, layer)
    torch.testing.assert_close(twin(x), net.head(net.norm(h)))
