"""Works on new nets and on streams: sizes of branches, gradients by depth, products of mixing matrices, by hand."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from reslab.blocks import Mixing, Streams
from reslab.errors import UsageError
from reslab.nets import net
from reslab.progress import silent
from reslab.study.claims.experiments import rates
from reslab.study.claims.experiments.curve import power
from reslab.study.grid import Found
from reslab.study.grid.works import WORKS
from reslab.study.work import mixers, opened
from reslab.study.work.branches import deviation, sides

DATA = {"word": "digits", "options": {}, "fingerprint": ""}


def values(work: str, **settings: Any) -> dict[str, Any]:
    asked = {"net": "resnet8", "options": {}, "data": DATA, "seed": 900, "samples": 16, **settings}
    found: dict[str, Any] = WORKS[work].load().work(Path(), asked, [], device="cpu", progress=silent)
    return found


def test_power() -> None:
    assert power([1, 2, 4], [3, 12, 48]) == pytest.approx(2)
    assert power([1, 4, 9], [1, 1 / 2, 1 / 3]) == pytest.approx(-1 / 2)


def test_branches_and_skips_of_a_small_net() -> None:
    """Against the blocks called one after another; the scale counts, the last BatchNorm makes the branch's size."""
    torch.manual_seed(0)
    made, x = net("resnet8", widths=(2, 4, 4), scale="fixed:0.5"), torch.randn(5, 3, 8, 8)
    found = sides(made, x)
    state = made.train().stem(x)
    for block, (skip, branch) in zip([stage[0] for stage in made.stages], found, strict=True):
        assert torch.allclose(skip, block.shortcut(state))
        assert torch.allclose(branch, 0.5 * block.branch(state), atol=1e-6)
        assert deviation(branch) == pytest.approx(0.5, abs=1e-3)
        state = block(state)


def test_the_deviation_is_around_each_channels_mean() -> None:
    x = torch.tensor([[1.0, 3.0], [11.0, 15.0]]).view(1, 2, 1, 2)  # deviations 1 and 2
    assert deviation(x) == pytest.approx(math.sqrt((1 + 4) / 2))


def test_a_plain_net_has_no_skips() -> None:
    with pytest.raises(UsageError, match="no residual blocks"):
        values("branches", net="plain8")


def test_the_gradient_of_nets_that_start_as_their_shortcuts_is_that_of_the_head() -> None:
    """One stage: pooling spreads (softmax - onehot) W / pixels over the positions that the ReLUs let through."""
    options = {"widths": [4], "stages": [2], "scale": "zero", "norm": False}
    found = values("depths", nets=["resnet8"], options=options, rate=0.1)
    subject = opened.opened({"net": "resnet8", "options": options, "data": DATA, "seed": 900, "samples": 16,
                             "wide": True}, [], device="cpu")  # fmt: skip
    made, (x, labels) = subject.model, subject.batches[0]
    before = made.stem(x)
    wrong = (made(x).softmax(1) - torch.nn.functional.one_hot(labels, 10)) / len(x)
    slope = (wrong @ made.head.weight / 64)[:, :, None, None] * (before > 0)
    assert found["blocks"] == [2]
    assert found["gradient"] == pytest.approx([slope.square().mean().sqrt().item()])
    loss = torch.nn.functional.cross_entropy(made.train()(x), labels)
    loss.backward()
    blocks = list(made.stages[0])
    assert not any(p.grad.any() for block in blocks for p in block.branch.parameters())
    with torch.no_grad():
        for p in made.parameters():
            p -= 0.1 * p.grad
        after = made.stem(x)
        for block in blocks:
            after = (after + block.scale.factor * block.branch(after)).relu()
    moved = after.mean((2, 3)) - before.mean((2, 3))
    assert found["moved"] == pytest.approx([moved.square().mean().sqrt().item()])


def test_products_of_mixing_matrices(tmp_path: Path) -> None:
    """Two blocks with R1 = [[1, 2], [0, 1]] and R2 = [[1, 0], [-3, 1]]: R2 R1 = [[1, 2], [-3, -5]]."""
    made = net("resnet8", stages=(2,), widths=(2,), streams="free:2", channels=1, size=8)
    blocks = [module for module in made.modules() if isinstance(module, Streams)]
    for block, change in zip(blocks, ([0.0, 2.0, 0.0, 0.0], [0.0, 0.0, -3.0, 0.0]), strict=True):
        block.mixing.change.data[4:] = torch.tensor(change)
    product, draw = torch.eye(2, dtype=torch.float64), torch.Generator()
    for block in blocks:
        product = mixers.matrix(block.mixing, spread=0, draw=draw) @ product
    assert product.tolist() == [[1, 2], [-3, -5]]
    assert mixers.matrix(blocks[0].mixing, spread=1, draw=draw).tolist() != [[1, 2], [0, 1]]


def test_gains_of_a_new_net_start_at_one_and_those_of_doubly_stochastic_mixing_stay_there() -> None:
    plain = values("mixers", options={"streams": "free:3"})
    assert plain["blocks"] == [0, 1, 2, 3]
    assert plain["forward"] == plain["backward"] == [1, 1, 1, 1]
    assert (plain["amplified"], plain["back"], plain["beyond"]) == (0, 0, 0)
    free = values("mixers", options={"streams": "free:3"}, spread=1.0)
    assert free["amplified"] == pytest.approx(math.log10(max(free["forward"])))
    assert free["amplified"] > 0.3
    many = values("mixers", options={"streams": "free:3"}, spread=1.0, draws=3)  # the first draw is that one
    assert many["beyond"] >= free["beyond"]
    assert min(many["forward"]) > 0.99
    assert many["amplified"] != free["amplified"]
    mixed = values("mixers", options={"streams": "stochastic-dynamic:3"}, spread=1.0)
    assert mixed["forward"] == pytest.approx([1] * 4, abs=1e-12)
    assert mixed["backward"] == pytest.approx([1] * 4, abs=0.05)


def test_a_net_without_streams_has_no_product() -> None:
    with pytest.raises(UsageError, match="no streams"):
        values("mixers")


def test_the_matrix_is_that_of_the_block() -> None:
    """With every kind; what depends on the image is left out, and starts at zero."""
    for kind in ("free", "free-dynamic", "stochastic", "stochastic-dynamic"):
        mixing = Mixing(3, 2, kind=kind, turn=1)
        mixing.change.data = torch.randn(15, generator=torch.Generator().manual_seed(0))
        mix = mixing(torch.randn(1, 3, 2, 4, 4))[2].squeeze(0)
        assert torch.allclose(mixers.matrix(mixing, spread=0, draw=torch.Generator()).float(), mix, atol=1e-6)


def test_the_best_rate_is_the_vertex_of_the_parabola() -> None:
    """(x - 0.25)^2 at x = log2 of the rates -1, 0, 1, 2; and the end where the lowest point lies there."""
    losses = [(x - 0.25) ** 2 for x in (-1, 0, 1, 2)]
    assert rates.best([0.5, 1, 2, 4], losses) == pytest.approx(0.25)
    assert rates.best([0.5, 1, 2, 4], [3, 2, 1, 0]) == 2
    assert rates.best([0.5, 1, 2, 4], [1, 1, 1, 1]) == -1


def test_the_shift_of_the_best_rate() -> None:
    settings = {"nets": ["resnet8", "resnet56"], "rates": [0.5, 1, 2, 4], "axis": "loss", "guess": 1e9}

    def found(log_loss: float) -> Found:
        return Found(folder=Path(), values={"train_loss_eval": 10**log_loss}, seconds=0)

    at = {"resnet8": 1.25, "resnet56": -0.25}
    cells = {f"{name} at {2.0**x:g}": [found((x - best) ** 2)] for name, best in at.items() for x in (-1, 0, 1, 2)}
    measured = rates.measure(settings, [0], cells)
    assert measured.effects == pytest.approx([-1.5])
    assert measured.deviations == []
    assert measured.numbers["best rate of resnet8"] == f"{2**1.25:.3g}"


def test_two_best_rates_at_one_end_say_nothing_of_their_shift() -> None:
    """Of both nets the lowest loss is at the last rate, or no rate trains at all: 0 would be no measured shift."""
    settings = {"nets": ["resnet8", "resnet56"], "rates": [0.5, 1, 2], "axis": "loss", "guess": 1.0}

    def shift(shallow: tuple[float, ...], deep: tuple[float, ...]) -> tuple[float, bool]:
        both = {"resnet8": shallow, "resnet56": deep}
        cells = {f"{net} at {rate:g}": [Found(folder=Path(), values={"train_loss_eval": loss}, seconds=0)]
                 for net, losses in both.items() for rate, loss in zip((0.5, 1, 2), losses, strict=True)}  # fmt: skip
        measured = rates.measure(settings, [0], cells)
        return measured.effects[0], measured.blank[0]

    assert shift((0.3, 0.2, 0.1), (0.5, 0.4, 0.3)) == (0, True)
    assert shift((9.0, 9.0, 9.0), (9.0, 9.0, 9.0)) == (0, True)
    assert shift((0.3, 0.2, 0.1), (0.1, 0.2, 0.3)) == (-2, False)


def test_a_loss_above_that_of_guessing_counts_as_guessing() -> None:
    one = Found(folder=Path(), values={"train_loss_eval": 1e9}, seconds=0)
    assert rates.loss(one, {"guess": math.log(10)}) == pytest.approx(math.log10(math.log(10)))
