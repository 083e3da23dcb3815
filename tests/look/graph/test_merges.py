"""What counts as a merge, and what is reported about it: toys for every rule, counted by hand."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import reslab
from reslab.errors import UsageError
from reslab.look import Merge, find, intervene, silence
from reslab.look.graph.forks import SKIP

WIDTH, BATCH = 4, 3
PARAMS, MACS = WIDTH * WIDTH + WIDTH, BATCH * WIDTH * WIDTH  # of one of the toys' linear layers


class Toy(nn.Module):
    """Three linear layers f, g, h, and a forward that is given."""

    def __init__(self, forward: Callable[["Toy", Tensor], Any]) -> None:
        super().__init__()
        self.f, self.g, self.h = (nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.run = forward

    def forward(self, x: Tensor) -> Any:
        return self.run(self, x)


def example() -> Tensor:
    return torch.randn(BATCH, WIDTH, generator=torch.Generator().manual_seed(0))


def in_place(m: Toy, x: Tensor) -> Tensor:
    out = m.f(x)
    out += x
    return out


def statement(m: Toy, x: Tensor) -> Tensor:
    x.add_(m.f(x))
    return x


def through_a_view(m: Toy, x: Tensor) -> Tensor:
    y = x.clone()
    y.view(BATCH, 2, 2).add_(m.f(x).view(BATCH, 2, 2))
    return y


def into_out(m: Toy, x: Tensor) -> Tensor:
    out = torch.empty_like(x)
    torch.add(x, m.f(x), alpha=2, out=out)
    return out


class Adds(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        return a + b


ONE_BRANCH: dict[str, Callable[[Toy, Tensor], Tensor]] = {
    "x + f(x)": lambda m, x: x + m.f(x),
    "f(x) + x": lambda m, x: m.f(x) + x,
    "out += x": in_place,
    "x.add_(f(x))": statement,
    "x.view(...).add_(f(x))": through_a_view,
    "x - f(x)": lambda m, x: x - m.f(x),
    "x - (-f(x))": lambda m, x: x - (-m.f(x)),
    "subtract": lambda m, x: torch.subtract(x, m.f(x)),
    "rsub": lambda m, x: torch.rsub(m.f(x), x),
    "f(x).__rsub__(x)": lambda m, x: m.f(x).__rsub__(x),
    "addcmul": lambda m, x: torch.addcmul(x, m.f(x), torch.ones(WIDTH), value=0.5),
    "stack().sum()": lambda m, x: torch.stack([x, m.f(x)]).sum(0),
    "stack(dim=-1).sum()": lambda m, x: torch.sum(torch.stack([m.f(x), x], dim=-1), -1),
    "alpha=2": lambda m, x: torch.add(x, m.f(x), alpha=2),
    "alpha=2, out=": into_out,
    "sum([x, f(x)])": lambda m, x: sum([x, m.f(x)]),
    "autograd.Function": lambda m, x: Adds.apply(x, m.f(x)),
    "x + scale * f(x)": lambda m, x: x + 0.1 * m.f(x),
    "post-add layer": lambda m, x: m.h(x + m.f(x)),
}


@pytest.mark.parametrize("how", ONE_BRANCH)
def test_one_branch_however_it_is_added(how: str) -> None:
    """One merge, f's parameters and multiply-adds; and it can be disabled: then x passes unchanged."""
    model, x = Toy(ONE_BRANCH[how]), example()
    merges = find(model, x)
    (merge,) = merges
    assert torch.equal(x, example())  # the model may write into what it is given, find must not
    assert (merge.kind, merge.module, merge.path) == ("identity", "", "")
    assert (merge.params, merge.macs, merge.shortcut_params) == (PARAMS, MACS, 0)
    assert merge.before == (BATCH, WIDTH)
    assert (merge.depth, merge.parent, merge.index, len(merge.branches)) == (0, None, 0, 1)
    assert merges.notes == ()
    assert merges.batch == BATCH
    if how != "x.view(...).add_(f(x))":  # the skip is seen through a view there, which would stay
        assert merge.cuttable
    with torch.no_grad(), intervene(model, merges, {0: silence()}):
        silent = model(example())
    assert torch.equal(silent, model.h(x) if how == "post-add layer" else x)


TWO_BRANCHES: dict[str, Callable[[Toy, Tensor], Tensor]] = {
    "x + a + b": lambda m, x: x + m.f(x) + m.g(x),
    "a + b + x": lambda m, x: m.f(x) + m.g(x) + x,
    "a + x + b": lambda m, x: m.f(x) + x + m.g(x),
    "x + (a + b)": lambda m, x: x + (m.f(x) + m.g(x)),
    "sum([x, a, b])": lambda m, x: sum([x, m.f(x), m.g(x)]),
    "stack of three": lambda m, x: torch.stack([m.f(x), x, m.g(x)]).sum(0),
}


@pytest.mark.parametrize("how", TWO_BRANCHES)
def test_parallel_branches_are_one_merge(how: str) -> None:
    model, x = Toy(TWO_BRANCHES[how]), example()
    merges = find(model, x)
    (merge,) = merges
    assert (len(merge.branches), merge.params, merge.macs) == (2, 2 * PARAMS, 2 * MACS)
    with torch.no_grad(), intervene(model, merges, {0: silence()}):
        assert torch.equal(model(x), x)


def highway(m: Toy, x: Tensor) -> Tensor:
    gate = torch.sigmoid(m.g(x))
    return gate * m.f(x) + (1 - gate) * x


def test_a_highway_s_carry_gate_is_a_shortcut_with_weights() -> None:
    """Srivastava et al. 2015: T(x) H(x) + (1 - T(x)) x; the branch holds both layers, the shortcut the gate's."""
    (merge,) = find(Toy(highway), example())
    assert (merge.kind, merge.params, merge.shortcut_params) == ("projection", 2 * PARAMS, PARAMS)
    assert (merge.cuttable, merge.why.split(":")[0]) == (False, "its shortcut has its own weights")


def test_a_gate_on_the_difference_is_one_merge() -> None:
    """x + t (f(x) - x): the difference is no merge, for there x is taken away."""
    (merge,) = find(Toy(lambda m, x: x + torch.sigmoid(m.g(x)) * (m.f(x) - x)), example())
    assert (merge.kind, merge.params, merge.cuttable) == ("identity", 2 * PARAMS, True)


@pytest.mark.parametrize(
    "forward",
    [lambda m, x: torch.lerp(x, m.f(x), 0.5), lambda m, x: torch.lerp(input=x, end=m.f(x), weight=torch.tensor(0.5))],
)
def test_lerp_scales_the_skip(forward: Callable[[Toy, Tensor], Tensor]) -> None:
    """x / 2 + f(x) / 2: a merge; but without the branch half of x is left."""
    model, x = Toy(forward), example()
    merges = find(model, x)
    assert (merges[0].kind, merges[0].params) == ("scaled", PARAMS)
    assert (merges[0].cuttable, merges[0].why.split(":")[0]) == (
        False,
        "its skip is scaled before the addition, which would remain without the branch",
    )
    with torch.no_grad(), intervene(model, merges, {0: silence()}):
        assert torch.equal(model(x), x / 2)


NO_MERGE: dict[str, Callable[[Toy, Tensor], Any]] = {
    "plain": lambda m, x: m.g(F.relu(m.f(x))),
    "difference": lambda m, x: m.f(x) - x,
    "no weights": lambda m, x: x + F.gelu(x),
    "a bias only": lambda m, x: x + torch.sigmoid(x) * m.f.bias,
    "broadcast": lambda m, x: x + m.f(x).mean(0, keepdim=True),
    "a constant": lambda m, x: m.f(x) + 1,
    "itself": lambda m, x: (lambda y: y + y)(m.f(x)),
    "rotary": lambda m, x: (lambda q: q * torch.cos(m.g.bias) + q.flip(-1) * torch.sin(m.g.bias))(m.f(x)),
    "integers": lambda m, x: m.f(x)[(x[:, 0] > 0).long() + (x[:, 1] > 0).long()],
}


@pytest.mark.parametrize("how", NO_MERGE)
def test_no_merges(how: str) -> None:
    merges = find(Toy(NO_MERGE[how]), example())
    assert (len(merges), merges.sums) == (0, ())
    assert merges.notes == ("no residual connection was recognized in Toy: no sum of a skip and a branch was found",)


def test_concatenation_is_named() -> None:
    merges = find(Toy(lambda m, x: torch.cat([x, m.f(x)], dim=1)), example())
    assert merges.notes == (
        "no residual connection was recognized in Toy (it concatenates tensors in 1 place): "
        "no sum of a skip and a branch was found",
    )


def test_equal_sides_are_a_sum() -> None:
    merges = find(Toy(lambda m, x: m.f(x) + m.g(x)), example())
    assert (len(merges), len(merges.sums)) == (0, 1)
    assert merges.sums[0].kind == "sum"


@pytest.mark.parametrize(
    "forward", [lambda m, x: m.g(x) + m.h(m.f(x).relu()), lambda m, x: m.h(m.f(x).relu()) + m.g(x)]
)
def test_the_side_with_fewer_layers_is_the_projection(forward: Callable[[Toy, Tensor], Tensor]) -> None:
    model, x = Toy(forward), example()
    merges = find(model, x)
    assert (merges[0].kind, merges[0].params, merges[0].shortcut_params) == ("projection", 2 * PARAMS, PARAMS)
    assert not merges[0].cuttable
    with torch.no_grad(), intervene(model, merges, {0: silence()}):
        assert torch.equal(model(x), model.g(x))


def test_nested_residuals() -> None:
    """x + g(y + f(y)) with y = h(x): the inner is merge 0, at depth 1, within merge 1 whose branch has all three."""

    def forward(m: Toy, x: Tensor) -> Tensor:
        y = m.h(x)
        return x + m.g(y + m.f(y))

    inner, outer = find(Toy(forward), example())
    assert [(merge.depth, merge.parent, merge.params) for merge in (inner, outer)] == [
        (1, 1, PARAMS),
        (0, None, 3 * PARAMS),
    ]


def test_a_residual_whose_own_result_is_kept_is_its_own_merge() -> None:
    """x + f(x), then + g of that: two blocks one after the other, though added in one line."""
    merges = find(Toy(lambda m, x: (lambda y: y + m.g(y))(x + m.f(x))), example())
    assert [merge.depth for merge in merges] == [0, 0]
    assert [merge.params for merge in merges] == [PARAMS, PARAMS]


def test_a_module_used_thrice_makes_three_merges() -> None:
    """Merges are calls: each has the parameters of f, which the model has once."""

    def forward(m: Toy, x: Tensor) -> Tensor:
        for _ in range(3):
            x = x + m.f(x)
        return x

    merges = find(Toy(forward), example())
    assert [(merge.params, merge.macs) for merge in merges] == [(PARAMS, MACS)] * 3
    assert len({merge.out for merge in merges}) == 3


class Block(nn.Module):
    """x + f(x), then perhaps something."""

    def __init__(self, after: Callable[[Tensor], Tensor] | None = None) -> None:
        super().__init__()
        self.f = nn.Linear(WIDTH, WIDTH)
        self.after = after

    def forward(self, x: Tensor) -> Tensor:
        y = x + self.f(x)
        return self.after(y) if self.after else y


def test_a_module_of_two_names_goes_by_its_first() -> None:
    block = Block()
    model = nn.Sequential(block, nn.ReLU(), block)
    assert [merge.module for merge in find(model, example())] == ["0", "0"]


AFTER: dict[str, tuple[Callable[[Tensor], Tensor] | None, list[bool], str]] = {
    "nothing": (None, [True, True, True], "nothing follows the addition"),
    "a copy": (lambda y: y.contiguous().clone(), [True, True, True], "nothing follows the addition"),
    "relu": (F.relu, [False, True, True], "the ReLU after the addition changes nothing"),
    "relu_": (torch.relu_, [False, True, True], "the ReLU after the addition changes nothing"),
    "clamp(min=0)": (lambda y: y.clamp(min=0), [False, True, True], "the ReLU after the addition changes nothing"),
    "relu6": (F.relu6, [False, True, True], "the ReLU6 after the addition changes nothing"),
    "clamp(0, 6)": (lambda y: y.clamp(0, 6), [False, True, True], "the ReLU6 after the addition changes nothing"),
    "hardtanh": (F.hardtanh, [False, True, True], "the hardtanh after the addition changes nothing"),
    "threshold": (
        lambda y: F.threshold(y, 1, 0),
        [False, False, False],
        "threshold follows the addition and would remain",
    ),
    "gelu": (F.gelu, [False, False, False], "gelu follows the addition and would remain"),
    "layer_norm": (
        lambda y: F.layer_norm(y, (WIDTH,)),
        [False] * 3,
        "layer_norm follows the addition and would remain",
    ),
    "2-d norm": (nn.LayerNorm((1, WIDTH)), [False] * 3, "layer_norm (2.after) follows the addition and would remain"),
    "relu, then norm": (lambda y: F.layer_norm(F.relu(y), (WIDTH,)), [False] * 3, "relu follows"),
    "permute": (lambda y: y.flip(-1).transpose(1, 2).transpose(1, 2), [False] * 3, "flip follows the addition"),
}


@pytest.mark.parametrize("name", AFTER)
def test_what_follows_decides_whether_it_can_be_cut(name: str) -> None:
    """Three blocks: the input of the first may be anything, those of the others came out of what follows."""
    after, cuttable, why = AFTER[name]
    model, x = nn.Sequential(*[Block(after) for _ in range(3)]), torch.randn(2, 1, WIDTH) * 3
    merges = find(model, x)
    assert [merge.cuttable for merge in merges] == cuttable
    assert merges[2].why.startswith(why)
    with torch.no_grad():
        for merge in merges:
            if merge.cuttable:  # then the block as it stands, silenced, is the identity
                with intervene(model, merges, {merge.index: silence()}):
                    silent = model(x)
                rest = [block for i, block in enumerate(model) if i != merge.index]
                assert torch.equal(silent, nn.Sequential(*rest)(x))


def test_a_cap_holds_only_for_what_was_capped_as_tightly() -> None:
    """ReLU6 after a ReLU may cut something off; a ReLU after a ReLU6 may not."""
    for first, second, cuttable in [(F.relu, F.relu6, False), (F.relu6, F.relu, True), (F.relu6, F.hardtanh, False)]:
        model = nn.Sequential(Block(first), Block(second))
        assert find(model, example())[1].cuttable is cuttable


def test_pooling_and_concatenation_keep_bounds() -> None:
    class Stem(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            x = F.relu(x)
            return F.avg_pool1d(torch.cat([x, x], dim=-1), 2)

    assert find(nn.Sequential(Stem(), Block(F.relu)), torch.randn(2, 1, WIDTH))[0].cuttable


def test_pre_norm_is_cuttable_and_post_norm_says_why_not() -> None:
    for norm_first in (True, False):
        layer = nn.TransformerEncoderLayer(WIDTH, 2, 8, batch_first=True, norm_first=norm_first)
        merges = find(nn.Sequential(layer, nn.Linear(WIDTH, 2)), torch.randn(2, 5, WIDTH))
        assert [merge.cuttable for merge in merges] == [norm_first] * 2
        if not norm_first:
            assert merges[1].why == "layer_norm (0.norm2) follows the addition and would remain"


@pytest.mark.parametrize(
    ("forward", "where"),
    [
        (lambda m, x: (lambda f: m.h(x + f) * m.g(f))(m.f(x)), "used in g"),
        (lambda m, x: (lambda f: (x + f, f))(m.f(x)), "an output of the model"),
    ],
)
def test_a_branch_needed_elsewhere_cannot_be_cut(forward: Callable[[Toy, Tensor], Any], where: str) -> None:
    (merge,) = find(Toy(forward), example())
    assert (merge.cuttable, merge.why) == (False, f"a value computed in the branch is also {where}")


def test_a_shortcut_that_is_moved_stays() -> None:
    """Views are seen through, but a permuted skip is no identity."""
    model = Toy(lambda m, x: x.view(BATCH, 2, 2).permute(0, 2, 1).reshape(BATCH, WIDTH) + m.f(x))
    (merge,) = find(model, example())
    assert (merge.kind, merge.cuttable) == ("identity", False)
    assert merge.why.startswith("its skip is permuted before the addition")


def test_views_before_the_parting_are_no_matter() -> None:
    """As in vision transformers: the map is made into tokens first, and both sides take these."""

    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block = Block()

        def forward(self, x: Tensor) -> Tensor:
            tokens = x.flatten(2).transpose(1, 2)
            return self.block(tokens).transpose(1, 2).reshape(x.shape)

    (merge,) = find(Tokens(), torch.randn(2, WIDTH, 3, 3))
    assert (merge.kind, merge.cuttable, merge.module) == ("identity", True, "block")
    assert merge.macs == 2 * 9 * WIDTH * WIDTH


@pytest.mark.parametrize("how", ["+=", "add_"])
def test_a_slice_written_in_place(how: str) -> None:
    """x[:, :1] += f(x)[:, :1]: the skip is a part of x, so its shortcut maps; if disabled, x is unchanged."""

    def forward(m: Toy, x: Tensor) -> Tensor:
        x = x.clone()
        if how == "+=":
            x[:, :1] += m.f(x)[:, :1]
        else:
            x[:, :1].add_(m.f(x)[:, :1])
        return m.h(x)

    model, x = Toy(forward), example().repeat(1, 1)
    merges = find(model, x)
    assert [(merge.kind, merge.shape) for merge in merges] == [("projection", (BATCH, 1))]
    assert merges[0].why.startswith("its shortcut maps [4] to [1]")
    with torch.no_grad(), intervene(model, merges, {0: silence()}):
        assert torch.equal(model(x), model.h(x))


def test_a_class_token_is_a_skip_from_a_parameter() -> None:
    """CaiT's class attention: the token, not the image, is carried along; it is no parameter of the branch."""

    class Cait(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.token = nn.Parameter(torch.randn(1, 1, WIDTH))
            self.f = nn.Linear(WIDTH, WIDTH)

        def forward(self, x: Tensor) -> Tensor:
            token = self.token.expand(len(x), -1, -1)
            for _ in range(2):
                token = token + self.f(torch.cat([token, x], dim=1))[:, :1]
            return token[:, 0]

    merges = find(Cait(), torch.randn(2, 5, WIDTH))
    assert [(merge.kind, merge.params) for merge in merges] == [("identity", PARAMS)] * 2
    assert merges[0].macs == 2 * 6 * WIDTH * WIDTH


def test_reversible_blocks() -> None:
    """Two streams, each added to from the other: two merges, the first in the second's branch."""

    def forward(m: Toy, x: Tensor) -> Tensor:
        a, b = x.clone(), m.h(x)
        a = a + m.f(b)
        return torch.cat([a, b + m.g(a)], dim=1)

    merges = find(Toy(forward), example())
    assert len(merges) == 2
    assert merges[1].kind == "identity"
    assert (merges[0].depth, merges[0].parent) == (1, 1)


@dataclass
class Answer:
    scores: Tensor
    more: Any = None


@pytest.mark.parametrize(
    "wrap", [lambda y: {"logits": y}, lambda y: (y, 3), lambda y: Answer(y), lambda y: {"deep": [{"er": (y,)}]}]
)
def test_outputs_of_any_kind(wrap: Callable[[Tensor], Any]) -> None:
    """What the output needs is known through it: f is used beside its branch, in a part of the output."""
    model = Toy(lambda m, x: (lambda f: wrap(m.h(x + f) + m.g(f).sum()))(m.f(x)))
    (merge,) = find(model, example())
    assert not merge.cuttable


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_any_precision(dtype: torch.dtype) -> None:
    (merge,) = find(Toy(lambda m, x: x + m.f(x)).to(dtype), example().to(dtype))
    assert (merge.params, merge.macs) == (PARAMS, MACS)


def test_inference_mode_counts_the_same() -> None:
    with torch.inference_mode():
        (merge,) = find(Block(), example())
    assert merge.macs == MACS


def test_convolutions_by_hand() -> None:
    """A basic block of 4 channels on 8 x 8 pixels: two 3x3 convolutions and their BatchNorms' scales and shifts."""
    net = reslab.net("cifar_resnet20", stages=(1, 1), widths=(4, 8), shortcut="B")
    first, second = find(net, torch.randn(2, 3, 8, 8))
    assert (first.module, first.kind, first.shape) == ("stages.0.0", "identity", (2, 4, 8, 8))
    assert first.params == 2 * (9 * 4 * 4 + 2 * 4)
    assert first.macs == 2 * 2 * 64 * 9 * 4 * 4
    assert (second.kind, second.before, second.shape) == ("projection", (2, 4, 8, 8), (2, 8, 4, 4))
    assert second.shortcut_params == 4 * 8 + 2 * 8
    assert second.params == 9 * 4 * 8 + 9 * 8 * 8 + 2 * 2 * 8
    assert (
        second.why == "its shortcut maps [4, 8, 8] to [8, 4, 4]: the branch can be disabled, but the shortcut must stay"
    )


def test_data_dependent_control_flow_shows_the_path_taken() -> None:
    class Either(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = Block(), Block()

        def forward(self, x: Tensor) -> Tensor:
            return self.a(x) if x.sum() > 0 else self.b(x)

    assert [merge.module for merge in find(Either(), torch.ones(2, WIDTH))] == ["a"]
    assert [merge.module for merge in find(Either(), -torch.ones(2, WIDTH))] == ["b"]


@torch.library.custom_op("reslab_test::fused", mutates_args=())
def fused(x: Tensor, branch: Tensor) -> Tensor:
    return x + branch


class Fused(nn.Module):
    """A block whose addition nobody sees."""

    def __init__(self, wrap: Callable[[Tensor], Any] = lambda y: y) -> None:
        super().__init__()
        self.f, self.wrap = nn.Linear(WIDTH, WIDTH), wrap

    def forward(self, x: Tensor) -> Any:
        return self.wrap(fused(x, self.f(x)))


def test_a_custom_op_is_remarked_on_and_its_module_can_be_named() -> None:
    model = nn.Sequential(Fused(), nn.Linear(WIDTH, 2))
    merges = find(model, example())
    assert len(merges) == 0
    assert merges.notes[1].startswith("reslab_test::fused in 0 is a custom op and may hide an addition")
    (merge,) = find(model, example(), modules=["0"])
    assert (merge.named, merge.module, merge.kind, merge.params, merge.macs) == (True, "0", "identity", PARAMS, MACS)


def test_a_product_added_within_its_kernel_is_remarked_on() -> None:
    merges = find(Toy(lambda m, x: torch.addmm(x, m.f(x).relu(), m.g.weight)), example())
    assert len(merges) == 0
    assert merges.notes[1] == "addmm in the model adds a branch to its skip inside one op; name its module as a merge"


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("9", "the model has no module '9' to treat as a residual connection"),
        ("1", r"module '1' is not a residual connection: it maps \[3, 4\] to \[3, 2\]"),
        ("2", "module '2' does not compute a tensor from a tensor for this example"),
    ],
)
def test_modules_that_cannot_be_named(path: str, words: str) -> None:
    model = nn.Sequential(Fused(), nn.Linear(WIDTH, 2), nn.Identity())
    with pytest.raises(UsageError, match=words):
        find(model, example(), modules=[path])


@pytest.mark.parametrize("model", [nn.ReLU(), nn.Identity(), Toy(lambda m, x: x), Block().requires_grad_(False)])
def test_without_parameters_or_frozen(model: nn.Module) -> None:
    assert len(find(model, example())) == isinstance(model, Block)


@pytest.mark.parametrize("wrapped", ["whole", "part", "in place"])
def test_compiled_models(wrapped: str) -> None:
    model = nn.Sequential(Block(), nn.Linear(WIDTH, 2))
    if wrapped == "whole":
        model = torch.compile(model, backend="eager")
    elif wrapped == "part":
        model[0] = torch.compile(model[0], backend="eager")
    else:
        model.compile(backend="eager")
    merges = find(model, example())
    assert [merge.module.removesuffix("._orig_mod") for merge in merges] == ["0"]
    assert merges[0].reachable


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (Block, "the model must be a torch.nn.Module, got Block"),
        (F.relu, "the model must be a torch.nn.Module, got relu"),
        (
            nn.Sequential(nn.LazyLinear(WIDTH)),
            "Sequential has lazy layers whose weights do not exist yet: run the model once",
        ),
    ],
)
def test_what_is_no_model(model: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        find(model, example())


def test_torchscript_is_no_model() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer versions of PyTorch advise against it
        scripted = torch.jit.script(nn.Linear(WIDTH, WIDTH))
    with pytest.raises(UsageError, match="use the Python model"):
        find(scripted, example())


def test_the_list_is_plain_data() -> None:
    merges = find(Block(), example())
    assert isinstance(merges[0], Merge)
    assert merges[:1] == (merges[0],)
    assert merges.as_dict()["merges"][0]["out"] == {"path": "", "count": 0}
    assert merges.model == "Block"


@pytest.mark.parametrize(
    ("forward", "sides"),
    [
        (lambda m, x: x + m.f(x).relu() + (lambda y: y + m.h(y).tanh())(m.g(x)), [(1,), ()]),
        (lambda m, x: x + (lambda y: y + m.h(y).tanh())(m.g(x)) * 2 + m.f(x).relu(), [(0,), ()]),
        (lambda m, x: (lambda y: x + m.f(y).relu() + m.g(y))(m.h(x) + m.h(m.h(x)).tanh()), [(0, 1), ()]),
        (lambda m, x: (lambda y: m.g(y + y.tanh() @ m.g.weight))(x) + m.h(m.f(m.g(x).relu()).relu()), [(SKIP,), ()]),
        (lambda m, x: x + m.f(x), [()]),
    ],
    ids=["second", "first", "both", "skip", "none"],
)
def test_on_which_sides_of_its_parent_a_merge_lies(forward: Callable[[Toy, Tensor], Any], sides: list[tuple]) -> None:
    """The parent's branches are numbered in the order in which they are added; an inner merge may lie in several."""
    merges = find(Toy(forward), example())
    assert [merge.sides for merge in merges] == sides
    assert [merge.parent for merge in merges] == [1, None][-len(merges) :]
