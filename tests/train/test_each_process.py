"""What each process of several does by itself: random numbers, a voice in a decision, broken images met."""

from typing import Any

import pytest
import torch
from torch import nn

from reslab.train import several
from reslab.train.batch import Batch
from reslab.train.several import Several
from reslab.train.tune import Choice
from reslab.train.world import World


class Sum:
    """In the place of the sum of gradients: the random numbers that torch draws in the step."""

    def add(self, *_: object, **__: object) -> list[float]:
        return torch.rand(4).tolist()


def test_every_step_and_process_draws_numbers_of_its_own() -> None:
    """As dropout does; and each draws the same again in a step that is done again."""
    batch = Batch(x=torch.zeros(1), y=torch.zeros(1), index=torch.zeros(1), iteration=0)

    def drawn(rank: int, iteration: int, seed: int) -> tuple[float, ...]:
        one = Several(World(rank=rank, size=3), Sum(), seed=seed)  # type: ignore[arg-type]
        how: dict[str, Any] = {"iteration": iteration, "choice": Choice(), "parts": 1}
        return tuple(one.gradients(None, lambda: None, batch, **how))  # type: ignore[arg-type]

    state = torch.get_rng_state()
    try:
        keys = [(rank, iteration, seed) for rank in range(3) for iteration in range(3) for seed in (0, 1)]
        first = [drawn(*key) for key in keys]
        assert len(set(first)) == len(keys)
        assert [drawn(*key) for key in keys] == first
    finally:
        torch.set_rng_state(state)


def test_broken_images_are_in_the_order_of_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """By iteration, then by rank, as a rank has the earlier part of a batch, then as met; each once, when first met."""
    met = [{"d": 7, "a": 9}, {"c": 5, "d": 6, "b": 7}, {"e": 5}]
    monkeypatch.setattr(several, "all_json", lambda own: [own, *({**own, "met": other} for other in met[1:])])
    one = Several(World(size=3), Sum(), seed=0)  # type: ignore[arg-type]
    one.met = dict(met[0])
    assert list(one.meet(nn.Linear(1, 1), 10)) == ["c", "e", "d", "b", "a"]
    assert one.met == {}


@pytest.mark.parametrize(("rank", "told"), [(0, [15, 1]), (1, [15, 0])])
def test_rank_0_alone_decides_on_a_checkpoint_in_time(
    rank: int, told: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    """Their clocks differ; a signal to any of them stops all."""
    sent: list[torch.Tensor] = []

    class Done:
        def wait(self) -> None: ...

    def sum_up(both: torch.Tensor, **_: object) -> Done:
        sent.append(both.clone())
        return Done()

    monkeypatch.setattr(torch.distributed, "all_reduce", sum_up)
    assert World(rank=rank, size=2).vote(lambda: (15, True))() == (15, bool(told[1]))
    assert [both.tolist() for both in sent] == [told]
