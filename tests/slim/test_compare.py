"""Which of three trainings wins, by the tests of reslab.statistics; the memory of a pass, counted by hand."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from reslab.slim.compare import caveats, compared, verdict, within
from reslab.slim.memory import peak_memory
from reslab.slim.record import Arm, Score
from reslab.statistics import compare_counts, compare_rates, counting_variance, equivalence, holm, wilson


def arm(what: Any, value: float, seed: int, n: int = 10_000) -> Arm:
    around = wilson(round(value * n / 100), n)
    return Arm(what=what, score=Score(value=value, low=100 * around.low, high=100 * around.high, n=n), seed=seed)


def arms(**ends: list[float]) -> list[Arm]:
    return [
        arm(what.replace("_", "-"), value, seed) for what, found in ends.items() for seed, value in enumerate(found)
    ]


CLOSE = arms(healed=[9.0, 9.2, 9.1], intact_longer=[8.9, 9.1, 9.3], scratch=[12.0, 12.2, 11.9])


def test_errors_of_seeds_are_compared_on_arcsine_roots_with_holms_correction() -> None:
    pairs = compared(CLOSE, measure="error")
    names = [(pair["a"], pair["b"]) for pair in pairs]
    assert names == [("healed", "intact-longer"), ("healed", "scratch"), ("intact-longer", "scratch")]
    same = compare_rates([9.0, 9.2, 9.1], [12.0, 12.2, 11.9], images=10_000)
    assert (pairs[1]["difference"], pairs[1]["low"], pairs[1]["high"]) == (same.value, same.low, same.high)
    assert [pair["p_holm"] for pair in pairs] == holm([pair["p"] for pair in pairs])
    assert pairs[1]["words"].startswith("healed − scratch: −2.93 points (95 % interval −")


def test_the_verdict_names_a_winner_only_if_it_is_shown() -> None:
    said = verdict(CLOSE, compared(CLOSE, measure="error"), measure="error", lower_is_better=True)
    assert said.startswith("no winner is shown: ")
    assert "not shown" in said
    clear = arms(healed=[9.0, 9.2, 9.1], intact_longer=[8.0, 8.1, 7.9], scratch=[12.0, 12.2, 11.9])
    said = verdict(clear, compared(clear, measure="error"), measure="error", lower_is_better=True)
    assert said.startswith(
        "intact-longer wins: intact-longer's error is 1.10 points below that of healed (95 % interval −"
    )
    assert "healed 9.10 ± 0.10 % (3 seeds)" in said
    better = [replace(one, score=replace(one.score, value=100 - one.score.value, low=0.0, high=0.5)) for one in clear]
    said = verdict(better, compared(better, measure="f1"), measure="f1", lower_is_better=False)
    assert said.startswith("intact-longer wins: intact-longer's f1 is 1.10 points above that of healed")


def test_one_seed_beside_several_is_compared_with_their_mean() -> None:
    """8.67 % on average against 9 %: the first of three, 10 %, says nothing."""
    few = arms(healed=[10.0, 8.0, 8.0], scratch=[9.0])
    (pair,) = compared(few, measure="error")
    assert pair["difference"] == pytest.approx(26 / 3 - 9)
    assert pair["p"] == pytest.approx(compare_counts(26 / 3, 9.0, images=10_000).p)
    assert not verdict(few, [pair], measure="error", lower_is_better=True).startswith("healed wins")


def test_one_seed_is_compared_over_images_and_says_so() -> None:
    one = arms(healed=[9.0], intact_longer=[7.5])
    (pair,) = compared(one, measure="error")
    same = compare_counts(9.0, 7.5, images=10_000)
    assert (pair["low"], pair["p"], pair["seeds"]) == (same.low, same.p, 1)
    said = verdict(one, [pair], measure="error", lower_is_better=True)
    assert said.endswith("one seed each, so nothing is known about other seeds")
    alone = verdict(one[:1], [], measure="error", lower_is_better=True)
    assert alone.startswith("nothing was trained beside the healed model")


def test_at_most_half_a_point_worse_is_a_one_sided_test() -> None:
    """Means 9.1 and 9.1: within 0.5 of each other if the limit, 0 + t(0.95) standard error, is below 0.5."""
    found = within(CLOSE, measure="error", lower_is_better=True)
    floor = tuple(counting_variance(9.1, 10_000) for _ in range(2))
    same = equivalence([9.0, 9.2, 9.1], [8.9, 9.1, 9.3], margin=0.5, floor=floor)
    assert found.startswith("that healed's error is at most 0.5 points above that of intact-longer is ")
    assert f"is {'shown' if same.high < 0.5 else 'not shown'} (limit {same.high:.2f} points" in found
    far = arms(healed=[9.0, 9.2, 9.1], intact_longer=[8.0, 8.1, 7.9])
    assert "is not shown (limit 1." in within(far, measure="error", lower_is_better=True)
    assert within(far[:3], measure="error", lower_is_better=True) == ""


def test_what_a_comparison_does_not_tell_apart_is_said() -> None:
    assert len(caveats(CLOSE, distill=0.0)) == 2
    assert "distill = 0 is the control" in caveats(CLOSE, distill=0.9)[2]
    assert "wider than need be" in caveats(arms(healed=[9.0], intact_longer=[9.1]), distill=0.9)[3]
    assert caveats(CLOSE[:3], distill=0.9) == ()


def test_a_loss_is_compared_with_the_noise_of_its_interval() -> None:
    """Intervals of ± 0.196 are a standard error of 0.1 each, together 0.1414; 0.2828 apart is z = 2."""
    two = [Arm(what=what, seed=0, score=Score(value=value, low=value - 0.196, high=value + 0.196, n=50))
           for what, value in (("healed", 3.0), ("scratch", 3.0 + 2 * 2**0.5 / 10))]  # fmt: skip
    (pair,) = compared(two, measure="loss")
    assert pair["p"] == pytest.approx(0.0455, abs=1e-4)
    seeds = [replace(one, seed=seed) for one in two for seed in range(3)]
    assert compared(seeds, measure="loss")[0]["seeds"] == 3  # equal values, but the items are noise


class Doubled(nn.Module):
    """Holds 1,000 numbers; a pass makes two tensors as large as its input, of which one lives at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1000))

    def forward(self, x: Tensor) -> Tensor:
        y = x + 1
        y = y * 2  # the first y still lives while this is made
        return y.sum(dim=1)


def test_peak_memory_by_hand() -> None:
    """1,000 weights, the input of 500, twice 500 while the product is made: 2,500 numbers of 4 bytes."""
    assert peak_memory(Doubled(), torch.zeros(1, 500)) == 4 * (1000 + 500 + 500 + 500)
