"""A clock that only the toy's blocks move: the table and the speedup can be computed by hand."""

import time
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from reslab.slim.planning import timing
from reslab.slim.planning.table import table_of
from reslab.slim.planning.timing import in_turn, speedup


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


class Takes(nn.Module):
    """Its pass takes so many milliseconds."""

    def __init__(self, clock: Clock, milliseconds: float) -> None:
        super().__init__()
        self.clock, self.milliseconds = clock, milliseconds

    def forward(self, x: Tensor) -> Tensor:
        self.clock.now += self.milliseconds / 1000
        return x


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=made.perf_counter))
    return made


def test_a_block_takes_what_goes_with_it(clock: Clock) -> None:
    """Blocks of 2, 3 and 5 ms in a pass of 11; of the last one 1 ms stays, its projection."""
    net, again = (nn.Sequential(*(Takes(clock, ms) for ms in (2, 3, 5, 1))) for _ in range(2))
    short = nn.Sequential(*(Takes(clock, ms) for ms in (0, 0, 1, 1)))
    found = table_of(net, again, short, {4: "0", 5: "1", 6: "2"}, torch.ones(8, 1))
    assert found.blocks == pytest.approx({4: 2, 5: 3, 6: 4})
    assert found.timing.milliseconds == pytest.approx(11)
    assert (found.timing.n, found.timing.batch, found.timing.device) == (timing.ROUNDS[1], 8, "cpu")
    assert found.speedup([5, 6]) == pytest.approx(11 / 4)
    assert found.range([5, 6]).holds(11 / 4) or found.range([5, 6]).low == pytest.approx(11 / 4)
    assert not again[0]._forward_hooks


def test_interruptions_of_passes_do_not_make_blocks_too_short(clock: Clock) -> None:
    """Another program takes 40 ms in every second pass, in turn in each block: the shares of the pass stay right."""

    class Interrupted(Takes):
        def forward(self, x: Tensor) -> Tensor:
            turns[0] += 1
            self.clock.now += 0.04 * (turns[0] % 7 == 0)
            return super().forward(x)

    turns = [0]
    net, again = (nn.Sequential(*(Interrupted(clock, 1) for _ in range(10))) for _ in range(2))
    short = nn.Sequential(*(Takes(clock, 0) for _ in range(10)))
    found = table_of(net, again, short, {i: str(i) for i in range(8)}, torch.ones(8, 1))
    assert found.timing.milliseconds > 40
    assert found.speedup(range(8)) == pytest.approx(5)


def test_models_take_turns_and_are_compared_within_a_round(clock: Clock) -> None:
    """The machine slows down all the time; the ratio does not."""

    class Slower(Takes):
        def forward(self, x: Tensor) -> Tensor:
            self.milliseconds *= 1.5
            return super().forward(x)

    one, two = Slower(clock, 3), Slower(clock, 1)
    assert speedup(one, two, torch.ones(2, 1)) == pytest.approx((3, 3, 3))
    assert len(in_turn([one], torch.ones(2, 1), rounds=(4, 9), seconds=0)[0]) == 4


def test_a_rhythm_of_interruptions_hits_both_models(clock: Clock) -> None:
    """Another program takes 30 ms in every third pass: of two equal models neither is faster.

    25 passes in one measurement, of which 8 or 9 are interrupted: 25 + 30 * 8 to 25 + 30 * 9 ms.
    """

    class Interrupted(Takes):
        def forward(self, x: Tensor) -> Tensor:
            calls[0] += 1
            self.clock.now += 0.03 * (calls[0] % 3 == 0)
            return super().forward(x)

    calls = [0]
    one, two = Interrupted(clock, 1), Interrupted(clock, 1)
    assert speedup(one, two, torch.ones(2, 1)) == pytest.approx((1, 265 / 295, 295 / 265))


def test_a_model_in_training_is_timed_as_in_use_and_restored() -> None:
    seen = []

    class Sees(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            seen.append((self.training, torch.is_grad_enabled()))
            return x

    net = Sees().train()
    began = time.perf_counter()
    in_turn([net], torch.ones(2, 1), rounds=(1, 2))
    assert set(seen) == {(False, False)}
    assert net.training
    assert time.perf_counter() - began < 60
