"""Plans of layers with two branches, of models whose samples meet, and of models that plan badly."""

import pytest
import torch
from shifts import order, problem, shifting, untimed
from torch import Tensor, nn
from towers import MACS, WIDTH, Stack, linear, rows, swin

from reslab.errors import ReslabError, UsageError
from reslab.look import intervene, silence
from reslab.look.measure import drift
from reslab.slim import find_blocks, plan
from reslab.slim.record import Plan


@pytest.fixture(autouse=True)
def _untimed(monkeypatch: pytest.MonkeyPatch) -> None:
    untimed(monkeypatch)


def by_disabling(model: nn.Module, x: Tensor, found: Plan) -> list[float]:
    """The drift of each step, measured again: in the intact model, with the blocks of the plan disabled."""
    blocks = find_blocks(model, x[:2], parts=any(block.kind == "part" for block in found.blocks))
    values, whole = [], model.eval()(x).detach()
    for i in range(len(found.steps)):
        edits = {merge: silence() for index in order(found)[:i] for merge in blocks[index].merges}
        with torch.no_grad(), intervene(model, blocks.merges, edits):
            values.append(float(drift(model(x), None, whole).mean()))
    return values


@pytest.mark.parametrize("post", [False, True], ids=["norm before the branch", "norm after the addition"])
def test_layers_of_two_branches_go_as_one(post: bool) -> None:
    torch.manual_seed(0)
    net, x = Stack(4, post=post).eval(), torch.randn(12, WIDTH)
    found = plan(net, [x], remove=2)
    assert [step.values["drift"] for step in found.steps] == pytest.approx(by_disabling(net, x, found), abs=1e-5)
    assert not any("pass of its own" in note for note in found.notes)
    assert found.steps[0].macs - found.last.macs == 2 * 2 * MACS  # 2 layers of 2 branches


@pytest.mark.parametrize("post", [False, True], ids=["norm before the branch", "norm after the addition"])
def test_parts_and_whole_layers_are_candidates_together(post: bool) -> None:
    """Also in growing passes, where the batch grows within a module that is a residual connection as a whole."""
    torch.manual_seed(1)
    net, x = Stack(3, post=post).eval(), torch.randn(12, WIDTH)
    found = plan(net, [x], max_macs=0.5, parts=True)
    assert {block.kind for block in found.blocks} == {"block", "part"}
    assert [step.values["drift"] for step in found.steps] == pytest.approx(by_disabling(net, x, found), abs=1e-5)
    assert not any("pass of its own" in note for note in found.notes)
    modules = [block.module for block in found.removed]
    assert not any(one != other and f"{one}.".startswith(f"{other}.") for one in modules for other in modules)
    assert found.last.macs <= 0.5 * found.steps[0].macs


def test_windows_grow_too() -> None:
    torch.manual_seed(0)
    net, x = swin().eval(), torch.randn(6, 4, 4, WIDTH)
    found = plan(net, [x], remove=2)
    assert [step.values["drift"] for step in found.steps] == pytest.approx(by_disabling(net, x, found), abs=1e-5)


class Centered(nn.Module):
    """The scores of a sample depend on the others in the batch."""

    def __init__(self, blocks: nn.Module) -> None:
        super().__init__()
        self.blocks = blocks

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(x - x.mean(0))


def test_a_model_that_mixes_its_samples_is_measured_on_whole_batches() -> None:
    x, y, shifts = problem(700, 4)
    found = plan(Centered(shifting(*shifts)), [(x[:300], y[:300]), (x[300:], y[300:])], remove=2)
    apart = torch.cat([x[:300] - x[:300].mean(0), x[300:] - x[300:].mean(0)])
    shown = plan(shifting(*shifts), [(apart, y)], remove=2, held_out=0)
    assert order(found) == order(shown)
    assert found.last.values == pytest.approx(shown.last.values, abs=1e-4)
    assert any("batches are not divided" in note for note in found.notes)
    assert found.n == 700


class Counts(nn.Module):
    """Accepts batches of one size only."""

    def __init__(self, blocks: nn.Module, n: int) -> None:
        super().__init__()
        self.blocks, self.n, self.head = blocks, n, linear()

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(x).reshape(-1, self.n, WIDTH).flatten(0, 1)[: self.n])


def test_a_model_whose_batch_cannot_grow_is_measured_one_candidate_at_a_time() -> None:
    x, _, shifts = problem(2, 4)
    net = Counts(shifting(*shifts), 2)
    found = plan(net, [(x, None)], remove=2)
    assert [step.values["drift"] for step in found.steps] == pytest.approx(by_disabling(net, x, found), abs=1e-5)
    assert any("each candidate needed a pass of its own: the model returned 2 rows" in note for note in found.notes)


class Overflows(nn.Module):
    """Without the second block, the exponential is infinite."""

    def __init__(self, blocks: nn.Module) -> None:
        super().__init__()
        self.blocks = blocks

    def forward(self, x: Tensor) -> Tensor:
        return (self.blocks(x) - 200).exp()


def test_a_block_without_which_values_overflow_goes_last() -> None:
    x = torch.zeros(20, 3)
    shifts = [[100.0, 100, 100], [-400.0, -300, -350], [150.0, 120, 90], [0.5, 0, 0.1]]
    net = Overflows(shifting(*shifts))
    found = plan(net, [(x + 200, None)], remove=2)
    assert 1 not in order(found)
    with pytest.raises(ReslabError, match="values that are not finite"):
        plan(net, [(x + 200, None)], remove=1, keep=[0, 2, 3])


class Shared(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks, self.head = nn.ModuleList([shifting([0.0] * WIDTH)[1][0]]), linear()  # type: ignore[index]

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(3):
            x = self.blocks[0](x)
        return self.head(x)


def test_a_block_that_is_needed_twice_cannot_go() -> None:
    with pytest.raises(UsageError, match=r"no block that can be removed: it is called 3 times .* weights are shared"):
        plan(Shared(), [rows()], remove=1)


def test_a_model_that_cannot_be_copied_is_named() -> None:
    net = Stack(3)
    net.lock = torch.nn.Module.__init__.__class__  # a type can be copied
    net.file = open(__file__)  # noqa: SIM115 - a file cannot
    try:
        with pytest.raises(UsageError, match="Stack cannot be copied, and a plan needs a copy to shorten"):
            plan(net, [rows()], remove=1)
    finally:
        net.file.close()
