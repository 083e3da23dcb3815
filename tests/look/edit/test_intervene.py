"""Acting at merges, and leaving no trace: what each edit does, by hand, and that everything comes off."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import reslab
from reslab.errors import UsageError
from reslab.look import Edit, acting, detach_branch, detach_skip, find, intervene, keep, put, read, silence, take


class Double(nn.Module):
    """x + w x with one weight for each feature's own: h = (1 + w) x."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.f = nn.Linear(2, 2, bias=False)
        self.f.weight.data = weight * torch.eye(2)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.f(x)


def chain() -> nn.Sequential:
    """x -> 2 x -> 6 x -> 24 x: branches 1, 2 and 3 times what comes in."""
    return nn.Sequential(Double(1), Double(2), Double(3))


ONES = torch.ones(1, 2)


def times(model: nn.Module, edits: dict[int, Edit]) -> float:
    """By how much the chain multiplies under these edits."""
    with torch.no_grad(), intervene(model, find(model, ONES), edits):
        return float(model(ONES)[0, 0])


def test_what_each_edit_does() -> None:
    model = chain()
    assert times(model, {}) == 24
    assert times(model, {1: silence()}) == 2 * 1 * 4
    assert times(model, {0: silence(), 1: silence(), 2: silence()}) == 1
    assert times(model, {1: Edit(skip=torch.zeros_like)}) == 2 * 2 * 4
    assert times(model, {1: Edit(out=lambda h: h + 1)}) == (6 + 1) * 4
    assert times(model, {1: put(5)}) == (2 + 5) * 4
    assert times(model, {1: Edit(whole=lambda parts, branch, add: add(parts) + parts[branch])}) == (6 + 4) * 4
    assert times(model, take(0, find(model, ONES), 2)) == 6 + 1
    assert times(model, {1: detach_branch(), 2: detach_skip()}) == 24
    assert times(model, {}) == 24


@pytest.mark.parametrize(
    ("edits", "gradient"),
    [({}, 24), ({2: detach_branch()}, 6), ({2: detach_skip()}, 18), ({0: detach_skip(), 2: detach_branch()}, 3)],
)
def test_detaching_changes_the_backward_pass_only(edits: dict[int, Edit], gradient: float) -> None:
    """d(24 x)/dx = 2 * 3 * 4, where a detached side leaves its other side's share."""
    model, x = chain(), ONES.clone().requires_grad_()
    with intervene(model, find(model, ONES), edits):
        y = model(x)
        y[0, 0].backward()
    assert y[0, 0] == 24
    assert x.grad is not None
    assert x.grad[0, 0] == gradient


def test_reading() -> None:
    model = chain()
    readings = read(model, find(model, ONES), lambda: model(ONES))
    assert [(r.skip[0, 0].item(), r.branch[0, 0].item(), r.out[0, 0].item()) for r in readings] == [
        (1, 1, 2),
        (2, 4, 6),
        (6, 18, 24),
    ]
    seen: dict[str, Tensor] = {}
    assert times(model, {1: keep(seen)}) == 24
    assert {name: value[0, 0].item() for name, value in seen.items()} == {"skip": 2, "branch": 4, "out": 6}
    with torch.no_grad(), intervene(model, find(model, ONES), {1: keep(seen)}):
        model(ONES)
        model(-ONES)
    assert {name: value[0, 0].item() for name, value in seen.items()} == {"skip": -2, "branch": -4, "out": -6}


class Variant(nn.Module):
    """One way of adding f and g to x."""

    def __init__(self, run: Callable[["Variant", Tensor], Tensor]) -> None:
        super().__init__()
        self.f, self.g = nn.Linear(2, 2), nn.Linear(2, 2)
        self.run = run

    def forward(self, x: Tensor) -> Tensor:
        return self.run(self, x)


def into_out(m: Variant, x: Tensor) -> Tensor:
    out = torch.empty_like(x)
    torch.add(x, m.f(x), out=out)
    return out


def statement(m: Variant, x: Tensor) -> Tensor:
    y = x * 1
    y.add_(m.f(x))
    return F.relu_(y)


def target(m: Variant, x: Tensor) -> Tensor:
    y = m.f(x)
    y += x
    return F.relu_(y)


VARIANTS: dict[str, tuple[Callable[[Variant, Tensor], Tensor], Callable[[Tensor, Tensor], Tensor]]] = {
    "stack": (lambda m, x: torch.stack([x, m.f(x)]).sum(0), lambda x, f: x + f),
    "stack last": (lambda m, x: torch.stack([m.f(x), x], -1).sum(-1), lambda x, f: x + f),
    "sub": (lambda m, x: x - m.f(x), lambda x, f: x - f),
    "rsub": (lambda m, x: torch.rsub(m.f(x), x), lambda x, f: x - f),
    "alpha": (lambda m, x: torch.add(x, m.f(x), alpha=2), lambda x, f: x + 2 * f),
    "lerp": (lambda m, x: torch.lerp(x, m.f(x), 0.25), lambda x, f: x * 0.75 + f * 0.25),
    "addcmul": (lambda m, x: torch.addcmul(x, m.f(x), torch.full((2,), 3.0), value=0.5), lambda x, f: x + f),
    "out=": (into_out, lambda x, f: x + f),
    "x.add_": (statement, lambda x, f: F.relu(x + f)),
    "y += x": (target, lambda x, f: F.relu(x + f)),
}


@pytest.mark.parametrize("how", VARIANTS)
@pytest.mark.parametrize("through", ["branch", "whole", "out"])
def test_a_new_branch_in_every_way_of_adding(how: str, through: str) -> None:
    """The branch becomes 7 (for addcmul its product does), in each of the places where an edit can do it."""
    run, formula = VARIANTS[how]
    model, x = Variant(run), torch.tensor([[1.0, -2.0]])
    merges = find(model, x)
    seven = torch.full((1, 2), 7.0)

    def whole(parts: list[Tensor], branch: int, add: Callable[[list[Tensor]], Tensor]) -> Tensor:
        return add([seven if i == branch else part for i, part in enumerate(parts)])

    edits = {"branch": put(seven), "whole": Edit(whole=whole), "out": Edit(out=lambda h: h * 0 + 7)}
    with torch.no_grad(), intervene(model, merges, {0: edits[through]}):
        found = model(x)
    assert torch.allclose(found, seven if through == "out" else formula(x, seven))
    (value,) = read(model, merges, lambda: model(x))
    assert value.skip.tolist() == ([[0.75, -1.5]] if how == "lerp" else x.tolist())
    assert torch.allclose(value.skip + value.branch, value.out)
    with torch.no_grad():
        assert torch.allclose(model(x), F.relu(value.out) if how in ("x.add_", "y += x") else value.out)


def test_branches_one_by_one() -> None:
    for run in (lambda m, x: x + m.f(x) + m.g(x), lambda m, x: m.f(x) + m.g(x) + x):
        model, x = Variant(run), torch.randn(3, 2)
        merges = find(model, x)
        with torch.no_grad(), intervene(model, merges, {0: Edit(branch=(torch.zeros_like, lambda g: 2 * g))}):
            assert torch.allclose(model(x), x + 2 * model.g(x))
        with torch.no_grad():
            assert torch.allclose(read(model, merges, lambda: model(x))[0].branch, model.f(x) + model.g(x))  # noqa: B023
        with (
            pytest.raises(UsageError, match="adds 2 branches in separate calls"),
            intervene(model, merges, {0: Edit(whole=max)}),
        ):
            pass


OPTIONS: dict[str, dict[str, Any]] = {
    "basic A": {},
    "basic B": {"shortcut": "B"},
    "bottleneck A": {"block": "bottleneck"},
    "bottleneck B": {"block": "bottleneck", "shortcut": "B", "stride_on": "3x3"},
    "pre A": {"activation": "pre"},
    "pre B": {"activation": "pre", "shortcut": "B"},
    "pre bottleneck": {"activation": "pre", "block": "bottleneck", "shortcut": "B"},
    "no norm": {"norm": False},
    "imagenet stem": {"stem": "imagenet"},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_silencing_what_can_be_cut_is_leaving_it_out(name: str) -> None:
    """Our nets: every block that says so, replaced by Identity, to the last bit; the others are the projections."""
    torch.manual_seed(0)
    net = reslab.net("cifar_resnet20", stages=(2, 3), widths=(4, 8), **OPTIONS[name]).eval()
    x = torch.randn(2, 3, 16, 16)
    merges = find(net, x)
    assert len(merges) == 5
    assert [m.cuttable for m in merges] == [m.kind == "identity" for m in merges]
    assert sum(m.cuttable for m in merges) == (4 if "bottleneck" not in name or name.startswith("pre A") else 3)
    with torch.no_grad():
        with intervene(net, merges, {m.index: silence() for m in merges if m.cuttable}):
            silent = net(x)
        for merge in merges:
            if merge.cuttable:
                parent, _, place = merge.module.rpartition(".")
                setattr(net.get_submodule(parent), place, nn.Identity())
        assert torch.equal(net(x), silent)


def test_option_c_has_nothing_to_cut() -> None:
    net = reslab.net("cifar_resnet20", stages=(1, 2), widths=(4, 8), shortcut="C")
    assert [(m.kind, m.cuttable) for m in find(net, torch.randn(2, 3, 8, 8))] == [("projection", False)] * 3


def test_torchvisions_resnet50() -> None:
    from tests.look.test_peers import peer

    model = peer("torchvision").models.resnet50().eval()
    x = torch.randn(1, 3, 64, 64)
    merges = find(model, x)
    assert sum(merge.cuttable for merge in merges) == 12
    with torch.no_grad():
        with intervene(model, merges, {m.index: silence() for m in merges if m.cuttable}):
            silent = model(x)
        for merge in merges:
            if merge.cuttable:
                parent, _, place = merge.module.rpartition(".")
                setattr(model.get_submodule(parent), place, nn.Identity())
        assert torch.equal(model(x), silent)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_both_merges_of_a_pre_norm_block_are_the_block(kind: str) -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    if kind == "gpt2":
        model = transformers.GPT2Model(transformers.GPT2Config(n_embd=16, n_layer=3, n_head=2, vocab_size=20)).eval()
        blocks = model.h
    else:
        options = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 24}
        model = transformers.LlamaModel(transformers.LlamaConfig(**options, vocab_size=20)).eval()
        blocks = model.layers
    ids = torch.randint(0, 20, (2, 5))
    merges = find(model, {"input_ids": ids})
    assert [merge.cuttable for merge in merges] == [True] * 6
    with torch.no_grad():
        with intervene(model, merges, {2: silence(), 3: silence()}):
            silent = model(input_ids=ids, use_cache=False).last_hidden_state
        del blocks[1]
        model.config.num_hidden_layers = 2
        assert torch.equal(model(input_ids=ids, use_cache=False).last_hidden_state, silent)


def state(model: nn.Module) -> tuple:
    """All that must be as before, in a form that compares."""
    return (
        {name: value.tolist() for name, value in model.state_dict().items()},
        [module.training for module in model.modules()],
        [(p.requires_grad, None if p.grad is None else p.grad.tolist()) for p in model.parameters()],
        [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()],
        torch.get_rng_state().tolist(),
        torch.backends.mha.get_fastpath_enabled(),
        torch._C._len_torch_function_stack(),
    )


@pytest.mark.parametrize("fails", [None, KeyError, UsageError, KeyboardInterrupt])
@pytest.mark.parametrize("fast", [True, False])
def test_no_trace_is_left(fails: type[BaseException] | None, fast: bool) -> None:
    """In training mode, with gradients, a part in eval mode and a part frozen; inside, all of that is changed."""
    torch.manual_seed(0)
    model = nn.Sequential(chain(), nn.BatchNorm1d(2), nn.Dropout(0.5)).train()
    model(torch.randn(4, 2)).sum().backward()
    model[0][0].eval()
    model[0][1].f.weight.requires_grad_(False)
    torch.backends.mha.set_fastpath_enabled(fast)
    try:
        before = state(model)
        merges = find(model, torch.randn(4, 2, generator=torch.Generator().manual_seed(0)))
        assert state(model) == before

        def use() -> None:
            with intervene(model, merges, {1: silence()}):
                assert all(p.grad is None for p in model.parameters())
                model(torch.randn(4, 2)).sum().backward()  # BatchNorm counts, dropout draws
                model.eval().requires_grad_(False)
                if fails:
                    raise fails("mine")

        if fails:
            with pytest.raises(fails):
                use()
        else:
            use()
        assert state(model) == before
    finally:
        torch.backends.mha.set_fastpath_enabled(True)


def test_an_edit_that_fails_leaves_no_trace() -> None:
    model = chain()
    merges, before = find(model, ONES), state(model)

    def fail(_: Tensor) -> Tensor:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), intervene(model, merges, {1: Edit(branch=fail)}):
        model(ONES)
    assert state(model) == before
    assert times(model, {}) == 24


def test_acting_puts_nothing_back() -> None:
    """For training under edits: gradients stay."""
    model = chain()
    with acting(model, find(model, ONES), {1: silence()}):
        model(ONES).sum().backward()
    assert model[0].f.weight.grad is not None
    assert model[1].f.weight.grad is None


def test_several_passes_of_any_size() -> None:
    model = chain()
    merges = find(model, ONES)
    with torch.no_grad(), intervene(model, merges, {1: silence()}):
        assert model(ONES).tolist() == [[8, 8]]
        assert model(ONES.repeat(5, 1)).tolist() == [[8, 8]] * 5
        assert model[1](ONES).tolist() == [[1, 1]]  # a block called by itself is the same block


def test_interventions_within_interventions() -> None:
    model = chain()
    merges = find(model, ONES)
    with torch.no_grad(), intervene(model, merges, {0: silence()}):
        with intervene(model, merges, {1: silence()}):
            assert model(ONES)[0, 0] == 4
        assert model(ONES)[0, 0] == 12


def test_the_rest_of_the_program_adds_as_always() -> None:
    model, other = chain(), chain()
    with torch.no_grad(), intervene(model, find(model, ONES), {0: silence()}):
        assert (ONES + ONES)[0, 0] == 2
        assert other(ONES)[0, 0] == 24
        assert model(ONES)[0, 0] == 12


class Either(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = Double(1), Double(2), Double(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.c(self.a(x) if x.sum() > 0 else self.b(x))


def test_another_path_than_was_found() -> None:
    """Merge 0 is in a, which a negative input does not come by: an error, at the end; merge 1 is on both paths."""
    model = Either()
    merges = find(model, ONES)
    assert [merge.module for merge in merges] == ["a", "c"]
    with torch.no_grad(), intervene(model, merges, {1: silence()}):
        assert model(-ONES)[0, 0] == -3

    def both_ways() -> None:
        with torch.no_grad(), intervene(model, merges, {0: silence()}):
            model(ONES)
            model(-ONES)

    with pytest.raises(UsageError, match=r"a pass did not reach merge 0 \(a\).*find them again"):
        both_ways()
    with torch.no_grad(), intervene(model, merges, {0: silence()}):
        model.b(ONES)  # no pass of the model


@pytest.mark.parametrize(
    ("edits", "words"),
    [({3: silence()}, "there is no merge 3: the model has merges 0 to 2"), ({-1: silence()}, "no merge -1")],
)
def test_merges_that_are_not(edits: dict[int, Edit], words: str) -> None:
    model = chain()
    with pytest.raises(UsageError, match=words), intervene(model, find(model, ONES), edits):
        pass


def test_what_cannot_be_taken() -> None:
    model = nn.Sequential(Double(1), nn.Linear(2, 3), Wide(), Double(1))
    merges = find(nn.Sequential(*model[:3]), ONES)
    with pytest.raises(UsageError, match="merges 0 and 1 differ in shape"):
        take(0, merges, 1)
    for later in (0, 1):
        with pytest.raises(
            UsageError, match=f"merge {later} does not come before merge 0: read its branch in an earlier pass"
        ):
            take(later, merges, 0)
    with pytest.raises(UsageError, match="there is no merge 7: the model has merges 0 to 1"):
        take(0, merges, 7)


def test_taking_several_branches_at_once() -> None:
    """x -> x + x + 2 x -> + 3 of that + itself: merge 0's branches are 3 x, merge 1's 4 h."""

    class Parallel(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = Double(1).f, Double(2).f
            self.c, self.d = Double(3).f, Double(1).f

        def forward(self, x: Tensor) -> Tensor:
            x = x + self.a(x) + self.b(x)
            return x + self.c(x) + self.d(x)

    model = Parallel()
    merges = find(model, ONES)
    assert [len(merge.branches) for merge in merges] == [2, 2]
    assert times(model, {}) == 4 + 16
    assert times(model, take(0, merges, 1)) == 4 + 3
    assert times(model, take(0, merges[:2], 1)) == 7


class Wide(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.f = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.f(x)


def test_a_module_used_twice_has_a_merge_for_each_call() -> None:
    block = Double(1)
    model = nn.Sequential(block, block, block)
    assert times(model, {}) == 8
    assert times(model, {1: silence()}) == 4
    assert times(model, {0: silence(), 2: silence()}) == 2


@torch.library.custom_op("reslab_test::joined", mutates_args=())
def joined(x: Tensor, branch: Tensor) -> Tensor:
    return x + branch


@joined.register_autograd
def _(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
    return gradient, gradient


@torch.library.custom_op("reslab_test::joined_", mutates_args=("x",))
def joined_in_place(x: Tensor, branch: Tensor) -> None:
    x.add_(branch)


class Pair(NamedTuple):
    scores: Tensor
    more: None = None


@dataclass
class Answer:
    scores: Tensor
    more: int = 3


class Hidden(nn.Module):
    """x + 2 x by a custom op, handed on in some wrapping."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.f, self.kind = nn.Linear(2, 2, bias=False), kind
        self.f.weight.data = 2 * torch.eye(2)

    def forward(self, x: Tensor) -> Any:
        if self.kind == "in place":
            x = x * 1
            return self.into(x)
        y = joined(x, self.f(x))
        wraps: dict[str, Any] = {"tuple": (y, 1), "list": [y], "dict": {"a": y}, "named": Pair(y), "class": Answer(y)}
        return wraps.get(self.kind, y)

    def into(self, x: Tensor) -> Tensor:
        joined_in_place(x, self.f(x))
        return x


class Unwrap(nn.Module):
    def forward(self, out: Any) -> Tensor:
        if isinstance(out, dict):
            return out["a"]
        return out.scores if isinstance(out, Answer) else out if isinstance(out, Tensor) else out[0]


@pytest.mark.parametrize("kind", ["tensor", "tuple", "list", "dict", "named", "class", "in place"])
def test_named_modules_are_acted_on_as_a_whole(kind: str) -> None:
    """Nobody sees the addition: out = x + (out - x), whatever the module hands on."""
    model = nn.Sequential(Double(1), Hidden(kind), Unwrap(), Double(3))
    merges = find(model, ONES, modules=["1"])
    assert [merge.named for merge in merges] == [False, True, False]

    def multiple(edits: dict[int, Edit]) -> float:
        with torch.no_grad(), intervene(model, merges, edits):
            return float(model(ONES)[0, 0])

    assert multiple({1: silence()}) == 2 * 4
    assert multiple({1: Edit(out=lambda h: h + 1)}) == (6 + 1) * 4
    assert multiple({1: put(torch.tensor(5.0))}) == (2 + 5) * 4
    assert multiple({1: Edit(whole=lambda parts, branch, add: add(parts) + parts[branch])}) == (6 + 4) * 4
    assert multiple(take(0, merges, 1)) == (2 + 1) * 4
    reading = read(model, merges, lambda: model(ONES))[1]
    assert [v[0, 0].item() for v in (reading.skip, reading.branch, reading.out)] == [2, 4, 6]


def test_reading_a_named_module_changes_nothing() -> None:
    """x + (out - x) would round: 1e8 + 1 - 1e8 is 0 in float32."""
    model = nn.Sequential(Hidden("tensor"), Double(1))
    x = torch.tensor([[1e8, 1e-8]])
    merges = find(model, x, modules=["0"])
    with torch.no_grad():
        whole = model(x)
        with intervene(model, merges, {0: keep({})}):
            assert torch.equal(model(x), whole)


def test_threads_do_not_disturb_each_other() -> None:
    """Each has its own model; they share one flag of PyTorch, which is restored at the end."""
    wrong: list[float] = []

    def work(at: int) -> None:
        model = chain()
        merges = find(model, ONES)
        for _ in range(20):
            with torch.no_grad(), intervene(model, merges, {at: silence()}):
                wrong.extend(v for v in [float(model(ONES)[0, 0])] if v != 24 / (at + 2))

    threads = [threading.Thread(target=work, args=(i % 3,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert torch.backends.mha.get_fastpath_enabled()


def test_gradient_checkpointing() -> None:
    """The block runs again in the backward pass, under the same edit: d(2 * 4 x)/dx."""

    class Checked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = chain()

        def forward(self, x: Tensor) -> Tensor:
            for block in self.blocks:
                x = checkpoint(block, x, use_reentrant=False)
            return x

    model, x = Checked(), ONES.clone().requires_grad_()
    with intervene(model, find(model, ONES), {1: silence()}):
        model(x)[0, 0].backward()
    assert x.grad is not None
    assert x.grad[0, 0] == 8


def test_compiled_models_run_uncompiled_inside() -> None:
    model = torch.compile(chain(), backend="eager")
    assert times(model, {1: silence()}) == 8
    with torch.no_grad():
        assert model(ONES)[0, 0] == 24


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(dtype: torch.dtype) -> None:
    model = chain().to(dtype)
    merges = find(model, ONES.to(dtype))
    with torch.no_grad(), intervene(model, merges, {1: silence(), 2: put(ONES)}):
        assert model(ONES.to(dtype)).tolist() == [[3, 3]]


def test_pytorchs_fused_encoder_layer_is_opened() -> None:
    """In eval mode it would run in one kernel, without any addition to act on."""
    layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True).eval()
    x = torch.randn(2, 3, 4)
    merges = find(layer, x)
    assert len(merges) == 2
    with torch.no_grad(), intervene(layer, merges, {0: silence(), 1: silence()}):
        assert torch.allclose(layer(x), layer.norm2(layer.norm1(x)))
