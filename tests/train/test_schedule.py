"""The learning rate, iteration by iteration, against numbers worked out by hand."""

import json
import math

import pytest

from reslab.train.recipe import Recipe, change, read
from reslab.train.schedule import Schedule

IMAGES = 50000


def rates(schedule: Schedule, *iterations: int) -> list[float]:
    return [schedule.lr(t) for t in iterations]


def test_the_papers_steps_fall_exactly_at_32k_and_48k() -> None:
    schedule = Schedule(read("paper-cifar"), examples=IMAGES, depth=56)
    found = rates(schedule, 0, 31999, 32000, 47999, 48000, 63999)
    assert found == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001], rel=1e-12)


def test_depth_110_warms_up_until_the_error_is_below_80_and_then_does_as_the_others() -> None:
    schedule = Schedule(read("paper-cifar"), examples=IMAGES, depth=110)
    assert rates(schedule, 0, 399, 31999, 32000) == [0.01] * 4  # as long as nothing has been learned
    assert schedule.saw_training(100, 90.0) is None
    assert schedule.saw_training(200, 80.0) is None  # not below
    assert schedule.lr(200) == 0.01
    assert schedule.saw_training(300, 79.99) == "warm-up left"
    assert schedule.left_at == 300
    assert schedule.saw_training(400, 95.0) is None  # left for good
    found = rates(schedule, 400, 31999, 32000, 48000)
    assert found == pytest.approx([0.1, 0.1, 0.01, 0.001], rel=1e-12)


@pytest.mark.parametrize("depth", [20, 56, 109])
def test_shallower_nets_do_not_warm_up(depth: int) -> None:
    schedule = Schedule(read("paper-cifar"), examples=IMAGES, depth=depth)
    assert schedule.lr(0) == 0.1
    assert schedule.saw_training(100, 10.0) is None
    assert schedule.left_at is None


def test_steps_as_shares_of_the_run() -> None:
    recipe = Recipe(epochs=40, batch=128, drops=(0.5, 0.75))  # 450 iterations on the digits: 225, 337.5
    schedule = Schedule(recipe, examples=1437)
    assert schedule.drops == [225, 338]
    assert rates(schedule, 224, 225, 337, 338) == pytest.approx([0.1, 0.01, 0.01, 0.001], rel=1e-12)
    assert rates(Schedule(change(recipe, drop_factor=5), examples=1437), 225, 338) == pytest.approx([0.02, 0.004])


def test_drops_beyond_the_end_are_none() -> None:
    schedule = Schedule(read("paper-cifar", iterations=40000), examples=IMAGES)
    assert (schedule.drops, schedule.missed) == ([32000], [48000])
    assert Schedule(read("paper-cifar", epochs=5), examples=IMAGES).missed == [32000, 48000]


def test_linear_warm_up_rises_from_the_first_step() -> None:
    schedule = Schedule(Recipe(iterations=100, lr=0.4, warmup=4, drops=(50,)), examples=IMAGES)
    assert rates(schedule, 0, 1, 3, 4, 49, 50) == pytest.approx([0.1, 0.2, 0.4, 0.4, 0.4, 0.04])


def test_plateau_drops_after_patience_and_counts_anew() -> None:
    schedule = Schedule(Recipe(iterations=100, schedule="plateau", patience=2), examples=IMAGES)
    heard = [schedule.saw_epoch(error) for error in (50, 40, 40, 41, 39, 39, 39, 38, 38, 38)]
    assert heard == [None, None, None, "plateau", None, None, "plateau", None, None, "plateau"]
    assert schedule.lr(7) == pytest.approx(1e-4)


def test_plateau_waits_for_the_warm_up_to_end() -> None:
    recipe = Recipe(iterations=100, schedule="plateau", patience=1, warmup_lr=0.01)
    schedule = Schedule(recipe, examples=IMAGES)
    assert [schedule.saw_epoch(90.0) for _ in range(3)] == [None] * 3
    schedule.saw_training(5, 70.0)
    assert [schedule.saw_epoch(60.0), schedule.saw_epoch(60.0)] == [None, "plateau"]


def test_cosine_from_the_rate_to_nearly_nothing() -> None:
    schedule = Schedule(Recipe(iterations=100, schedule="cosine", lr=0.2), examples=IMAGES)
    assert schedule.lr(0) == pytest.approx(0.2)
    assert schedule.lr(50) == pytest.approx(0.1)
    assert schedule.lr(99) == pytest.approx(0.1 * (1 + math.cos(math.pi * 0.99)))
    warmed = Schedule(Recipe(iterations=100, schedule="cosine", lr=0.2, warmup=0.2), examples=IMAGES)
    assert rates(warmed, 0, 19, 20, 60) == pytest.approx([0.01, 0.2, 0.2, 0.1])


def test_one_cycle_up_to_the_peak_and_down_to_nothing() -> None:
    schedule = Schedule(Recipe(iterations=100, schedule="one-cycle", lr=0.4, warmup=0.2), examples=IMAGES)
    assert rates(schedule, 0, 9, 19) == pytest.approx([0.02, 0.2, 0.4])
    assert rates(schedule, 20, 99) == pytest.approx([0.4 * 80 / 81, 0.4 / 81])
    assert max(schedule.lr(t) for t in range(100)) == pytest.approx(0.4)
    unsaid = Schedule(Recipe(iterations=100, schedule="one-cycle", lr=0.4), examples=IMAGES)
    assert unsaid.lr(29) == pytest.approx(0.4)  # three tenths of the run


def test_constant() -> None:
    assert rates(Schedule(Recipe(iterations=9, schedule="constant"), examples=IMAGES), 0, 8) == [0.1, 0.1]


def test_state_comes_back_through_json() -> None:
    recipe = Recipe(iterations=100, schedule="plateau", patience=3, warmup_lr=0.01)
    one, other = Schedule(recipe, examples=IMAGES), Schedule(recipe, examples=IMAGES)
    one.saw_training(7, 60.0)
    for error in (50.0, 51.0, 52.0, 53.0, 54.0):
        one.saw_epoch(error)
    other.restore(json.loads(json.dumps(one.state())))
    assert other.state() == one.state()
    assert (other.left_at, other.plateaus, other.waited, other.lr(8)) == (7, 1, 1, pytest.approx(0.01))
    assert [s.saw_epoch(55.0) for s in (one, other)] == [None, None]
    assert [s.saw_epoch(56.0) for s in (one, other)] == ["plateau", "plateau"]


def test_a_tenth_of_an_epoch_is_one_iteration_of_ten() -> None:
    """S4: floors of floats left out iterations 3, 6, 12, 14, 19, 23 and 28, for 3 * 0.1 is above 0.3."""
    recipe = Recipe(epochs=3, batch=10, evaluate_every=0.1)
    assert [t for t in range(1, 31) if recipe.evaluates(t - 1, t, 100)] == list(range(1, 31))


@pytest.mark.parametrize(
    ("every", "batch", "images", "due"),
    [
        (0.2, 10, 100, [2, 4, 6, 8, 10, 12, 14, 16, 18, 20]),
        (0.3, 10, 100, [3, 6, 9, 12, 15, 18]),
        (0.7, 1, 10, [7, 14]),
        (1.0, 32, 80, [3, 5, 8, 10, 13, 15, 18, 20]),  # 2.5 iterations an epoch
        (0.01, 10, 100, list(range(1, 21))),  # more often than there are iterations
        (1e6, 10, 100, []),
    ],
)
def test_evaluations_are_due_when_their_epochs_are_complete(
    every: float, batch: int, images: int, due: list[int]
) -> None:
    recipe = Recipe(epochs=3, batch=batch, evaluate_every=every)
    assert [t for t in range(1, 21) if recipe.evaluates(t - 1, t, images)] == due


def test_shares_are_the_decimals_that_were_written() -> None:
    """0.145 * 100 is 14.499999999999998 and 0.575 * 100 is 57.49999999999999 as floats: half an iteration less."""
    assert Recipe(iterations=100).at(0.575, 10) == 58  # 57.5, to the even number
    assert Recipe(epochs=0.575, batch=1).length(100) == 58
    assert Recipe(epochs=0.145, batch=1).length(100) == 14  # 14.5, to the even number


def test_a_share_is_at_least_one_iteration() -> None:
    """A drop at iteration 0 would divide the rate of the whole run; a warm-up of 0 is none, or a third in one-cycle."""
    schedule = Schedule(Recipe(iterations=100, drops=(0.004,)), examples=IMAGES)
    assert rates(schedule, 0, 1) == pytest.approx([0.1, 0.01])
    cycle = Schedule(Recipe(iterations=100, schedule="one-cycle", warmup=0.004, lr=0.5), examples=IMAGES)
    assert cycle.lr(0) == 0.5


@pytest.mark.parametrize(("every", "images", "batch", "start"), [
    (1.0, 80, 16, 0), (1.0, 80, 16, 7), (0.1, 50, 16, 3), (2.5, 90, 7, 11), (3.0, 1000, 1, 39), (0.3, 100, 9, 0),
])  # fmt: skip
def test_evaluations_are_counted_without_going_through_all_iterations(
    every: float, images: int, batch: int, start: int
) -> None:
    recipe = Recipe(iterations=40, batch=batch, evaluate_every=every)
    one_by_one = sum(recipe.evaluates(t, t + 1, images) for t in range(start, 39)) + 1
    assert recipe.evaluations(start, images) == one_by_one


def test_evaluations_of_a_billion_iterations_are_counted_at_once() -> None:
    assert Recipe(iterations=10**9, batch=10, evaluate_every=1.0).evaluations(0, 1000) == 10**7
