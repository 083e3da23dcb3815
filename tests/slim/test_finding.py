"""Which blocks can be removed: toys counted by hand, our nets, and a pass without them as with them disabled."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from towers import LINEAR, MACS, Add, Attributes, Givers, Parallel, Stack, linear, rows, swin, tower

import reslab
from reslab.errors import UsageError
from reslab.look import intervene, silence
from reslab.nets import count
from reslab.slim.block import Blocks
from reslab.slim.finding import find_blocks
from reslab.slim.surgery import bypass, bypassed
from reslab.slim.watching import macs_of

IMAGE = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def disabled(model: nn.Module, blocks: Blocks, x: Tensor, *indices: int) -> Tensor:
    edits = {i: silence() for index in indices for i in blocks[index].merges}
    with torch.no_grad(), intervene(model, blocks.merges, edits):
        return model(x)


def same_as_disabled(model: nn.Module, blocks: Blocks, x: Tensor, *indices: int) -> bool:
    """Whether the model without the blocks gives the numbers of the model with them disabled."""
    model = model.eval()
    small = copy.deepcopy(model)
    bypass(small, [blocks[i] for i in indices])
    with torch.no_grad():
        return torch.allclose(small(x), disabled(model, blocks, x, *indices), rtol=0, atol=1e-6)


def test_a_block_is_an_entry_of_a_list_that_passes_its_input_on() -> None:
    net = tower(Add(), Add(), Add())
    blocks = find_blocks(net, rows())
    assert [block.module for block in blocks] == ["1.0", "1.1", "1.2"]
    assert {(b.kind, b.container, b.entries, b.params, b.macs, b.removable, b.returns) for b in blocks} == {
        ("block", "1", 3, LINEAR, MACS, True, "x")
    }
    assert blocks.params == 4 * LINEAR + 3 * 4 + 3
    assert blocks.macs == 4 * MACS + 3 * 4
    assert blocks[0].why == "without its branch it passes its input on: nothing follows the addition"
    assert same_as_disabled(net, blocks, rows(), 0, 2)


def test_a_projection_keeps_its_shortcut_and_what_follows() -> None:
    net = tower(Add(linear(), nn.Sigmoid()), Add())
    blocks = find_blocks(net, rows())
    first = blocks["1.0"]
    assert (first.kind, first.keeps, first.params, first.macs) == ("branch", ("1.0.shortcut", "1.0.after"), 40, 32)
    assert same_as_disabled(net, blocks, rows(), 0, 1)


def test_a_relu_that_may_change_its_input_stays() -> None:
    """The block's input can be negative: x + f(x) then ReLU is not the identity, whatever the example shows."""
    net = tower(Add(after=nn.ReLU()), Add(after=nn.ReLU()))
    blocks = find_blocks(net, rows())
    assert [(block.kind, block.keeps) for block in blocks] == [("branch", ("1.0.after",)), ("block", ())]
    assert same_as_disabled(net, blocks, rows(), 0, 1)


def test_layers_with_two_branches_masks_and_tuples() -> None:
    net = Stack(3)
    blocks = find_blocks(net, rows())
    assert [(b.module, b.merges, b.returns) for b in blocks] == [
        (f"layers.{i}", (2 * i, 2 * i + 1), "(x, mask)") for i in range(3)
    ]
    assert same_as_disabled(net, blocks, rows(), 0, 1)


def test_parts_of_layers_come_after_the_blocks() -> None:
    """Each of the two branches alone: zeros in the place of its one matrix."""
    net = Stack(2)
    blocks = find_blocks(net, rows(), parts=True)
    assert [(b.module, b.kind, b.merges, b.params) for b in blocks[2:]] == [
        (f"layers.{i}.{name}", "part", (2 * i + k,), LINEAR)
        for i in range(2)
        for k, name in enumerate(["attention", "mlp"])
    ]
    assert blocks.left([0]) == (blocks[4], blocks[5])  # the parts of a removed layer are gone with it
    assert same_as_disabled(net, blocks, rows(), 3, 4)


def test_no_part_where_its_output_passes_another_layer() -> None:
    """With zeros in the place of its heaviest module, the branch would still add the bias of the last one."""

    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.f, self.g, self.last = nn.Sequential(linear(), linear()), linear(), linear()

        def forward(self, x: Tensor) -> Tensor:
            x = x + self.last(self.f(x))
            return x + self.g(x)

    blocks = find_blocks(tower(Two(), Two()), rows(), parts=True)
    assert [(b.module, b.removable) for b in blocks[2:]] == [
        ("1.0.f", False), ("1.0.g", True), ("1.1.f", False), ("1.1.g", True)
    ]  # fmt: skip


def test_experts_that_add_rows_of_tokens() -> None:
    """Two experts' results are added as (batch * length, 4), and the skip as (batch, length, 4)."""

    class Experts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.all = linear(), linear()

        def forward(self, x: Tensor) -> Tensor:
            tokens = x.reshape(-1, x.shape[-1])
            return x + (self.one(tokens) + self.all(tokens)).view(x.shape)

    x = torch.randn(2, 6, 4, generator=torch.Generator().manual_seed(1))
    net = tower(Experts(), Experts(), Experts())
    blocks = find_blocks(net, x)
    assert [(block.module, block.kind) for block in blocks.removable] == [
        ("1.0", "block"),
        ("1.1", "block"),
        ("1.2", "block"),
    ]
    assert same_as_disabled(net, blocks, x, 0, 2)


def test_a_norm_after_the_addition_goes_with_the_whole_module() -> None:
    net = Stack(3, post=True)
    blocks = find_blocks(net, rows())
    assert all(block.kind == "block" and block.removable for block in blocks)
    assert all(blocks.merges[block.merges[0]].named and len(block.merges) == 1 for block in blocks)
    assert blocks[1].params == 2 * LINEAR + 4 * 4
    assert same_as_disabled(net, blocks, rows(), 1)
    small = copy.deepcopy(net)
    del small.layers[1]
    with torch.no_grad():
        assert torch.equal(small(rows()), disabled(net, blocks, rows(), 1))


def test_parallel_branches_are_one_block() -> None:
    net = tower(Parallel(), Parallel())
    blocks = find_blocks(net, rows())
    assert [(block.merges, block.params) for block in blocks] == [((0,), 2 * LINEAR), ((1,), 2 * LINEAR)]
    assert same_as_disabled(net, blocks, rows(), 1)


def test_windows_and_views_as_in_swin() -> None:
    x = torch.randn(2, 4, 4, 4, generator=torch.Generator().manual_seed(2))
    net = swin()
    blocks = find_blocks(net, x)
    assert [block.module for block in blocks.removable] == ["1.0", "1.1", "3.0", "3.1"]
    assert same_as_disabled(net, blocks, x, 0, 3)


def test_blocks_that_are_attributes() -> None:
    blocks = find_blocks(net := Attributes(), rows())
    assert [(block.module, block.container) for block in blocks.removable] == [("one", ""), ("two", "")]
    assert same_as_disabled(net, blocks, rows(), 0, 1)


def test_a_block_needed_twice_is_not_removable() -> None:
    shared = Add()
    blocks = find_blocks(tower(shared, Add(), shared), rows())
    assert [block.removable for block in blocks] == [False, True]
    assert "called 2 times in a pass" in blocks[0].why


def test_a_layer_that_is_also_called_from_outside() -> None:
    class Borrows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.ModuleList([Add(), Add()])

        def forward(self, x: Tensor) -> Tensor:
            for block in self.blocks:
                x = block(x)
            return self.blocks[0].f(x)

    blocks = find_blocks(Borrows(), rows())
    assert [block.removable for block in blocks] == [False, True]
    assert "blocks.0.f is also called while the block does not run" in blocks[0].why


def test_a_value_that_later_blocks_need() -> None:
    """Block 0 alone computes the bias; the others pass it on: only those can go."""
    blocks = find_blocks(net := Givers(), rows())
    assert [block.removable for block in blocks] == [False, True, True, True]
    assert same_as_disabled(net, blocks, rows(), 1, 2)


def test_a_skip_that_is_masked_is_not_the_identity_although_this_mask_is_all_ones() -> None:
    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.f = linear()

        def forward(self, x: Tensor, mask: Tensor) -> Tensor:
            return x * mask + self.f(x).tanh()

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.ModuleList([Masked(), Masked()])

        def forward(self, x: Tensor, mask: Tensor) -> Tensor:
            for block in self.blocks:
                x = block(x, mask)
            return x

    assert not find_blocks(Net(), (rows(), torch.ones(5, 1))).removable


@pytest.mark.parametrize("post", [False, True])
def test_pytorch_s_own_encoder_which_reads_its_first_layer(post: bool) -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=not post)
    net = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)
    x = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(4))
    blocks = find_blocks(net, x)
    assert [block.module for block in blocks.removable] == ["layers.0", "layers.1", "layers.2"]
    assert same_as_disabled(net, blocks, x, 0, 2)


@pytest.mark.parametrize("batch", [1, 3])
def test_multiply_adds_are_of_one_example_whatever_the_batch(batch: int) -> None:
    """A 3x3 convolution from 16 to 16 channels on 32x32 pixels: 9 * 16 * 16 * 32 * 32; a block has two."""
    net = reslab.net("resnet20")
    blocks = find_blocks(net, torch.randn(batch, 3, 32, 32, generator=torch.Generator().manual_seed(2)))
    assert blocks.macs == count(net.spec).macs == 40_551_040
    assert {block.macs for block in blocks if block.kind == "block"} == {2 * 9 * 16 * 16 * 32 * 32}
    assert {block.macs for block in blocks} == {4_718_592, 3_538_944}  # half the input channels in the first layer


@pytest.mark.parametrize("batch", [1, 2])
def test_multiply_adds_of_attention_are_of_one_example(batch: int) -> None:
    """5 tokens of width 8: four projections 8 x 8, scores and mixture of 5 x 5 tokens; an MLP 8 -> 16 -> 8."""
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    net = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    blocks = find_blocks(net, torch.randn(batch, 5, 8, generator=torch.Generator().manual_seed(4)), parts=True)
    attention, mlp = 5 * 4 * 8 * 8 + 2 * 5 * 5 * 8, 5 * 2 * 8 * 16
    assert blocks.macs == 2 * (attention + mlp)
    assert [block.macs for block in blocks[:2]] == [attention + mlp] * 2
    assert {block.macs for block in blocks if block.kind == "part"} == {attention}


def test_the_only_entry_of_a_list_stays() -> None:
    net = nn.Sequential(nn.Sequential(Add()), nn.Sequential(Add(), Add()), nn.Linear(4, 3))
    blocks = find_blocks(net, rows())
    assert [block.removable for block in blocks] == [False, True, True]
    assert "the only entry of 0, which would be empty without it" in blocks[0].why


def test_what_is_left_when_some_are_gone() -> None:
    blocks = find_blocks(tower(Add(), Add(), Add()), rows())
    assert [block.index for block in blocks.left([])] == [0, 1, 2]
    assert [block.index for block in blocks.left([1])] == [0, 2]
    assert blocks.left([0, 1]) == ()


@pytest.mark.parametrize(
    "options", [{}, {"shortcut": "B"}, {"shortcut": "C"}, {"shortcut": "A-both"}, {"norm": False}],
    ids=lambda options: "-".join(map(str, options.values())),
)  # fmt: skip
@pytest.mark.parametrize("name", ["resnet14", "resnet14_v2"])
def test_our_nets(name: str, options: dict) -> None:
    """Every block of ResNet-14 can go; where the shortcut changes the shape, it stays."""
    net = reslab.net(name, **options)
    blocks = find_blocks(net, IMAGE)
    assert len(blocks.removable) == len(blocks) == 6
    projections = [0, 2, 4] if options.get("shortcut") != "C" else range(6)
    kept = [block.index for block in blocks if block.kind == "branch"]
    assert kept == [i for i in projections if i or options.get("shortcut") == "C"]
    assert blocks.params == sum(p.numel() for p in net.parameters())
    assert same_as_disabled(net, blocks, IMAGE, 1, 2, 3)


def test_the_model_is_left_as_it_was() -> None:
    net = reslab.net("resnet14").train()
    before = copy.deepcopy(net.state_dict())
    blocks = find_blocks(net, IMAGE)
    with bypassed(net, [blocks[0]]):
        assert not isinstance(net.stages[0][0], reslab.nets.resnet.blocks.Residual)
    assert net.training
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())


def half(net: nn.Module) -> nn.Module:
    return net.half()


def packed(net: nn.Module) -> nn.Module:
    net[2].weight = nn.Parameter(torch.ones(3, 4, dtype=torch.int8), requires_grad=False)
    return net


def bare(net: nn.Module) -> nn.Module:
    return net.to("meta")


def lazy(net: nn.Module) -> nn.Module:
    return nn.Sequential(net, nn.LazyLinear(2))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (half, r"Sequential is in float16 \(0\.weight\), in which a cut cannot be checked: slim model\.float\(\)"),
        (packed, r"holds weights in int8 \(2\.weight\): slim the model in single precision, then quantize it"),
        (bare, r"0\.weight is on the meta device and has no values; load the weights first"),
        (lazy, "has lazy layers whose weights do not exist yet: run the model once first"),
    ],
)
def test_numbers_in_which_a_cut_cannot_be_checked(change: Callable[[nn.Module], nn.Module], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        find_blocks(change(tower(Add(), Add())), rows())


def test_a_model_without_blocks() -> None:
    blocks = find_blocks(nn.Sequential(linear(), nn.ReLU(), linear()), rows())
    assert not blocks.removable
    assert blocks.notes[-1] == "no removable block was recognized"


def test_a_pass_alone_counts_the_multiply_adds_of_one_example() -> None:
    """Those of the paper's arithmetic, and of the pass that finds the blocks."""
    net, images = reslab.net("resnet20").eval(), torch.randn(2, 3, 32, 32)
    assert macs_of(net, images) == count(net.spec).macs == 40_551_040
    assert macs_of(tower(Add(), Add()), rows()) == find_blocks(tower(Add(), Add()), rows()).macs
