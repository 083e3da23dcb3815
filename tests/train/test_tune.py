"""Trying how to run fastest: only what the recipe leaves open, and without a trace in the net."""

import signal
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from reslab.images.data import ImageData
from reslab.images.train import train
from reslab.nets import build, spec
from reslab.progress import Phase, row
from reslab.train import prepared, training, tune
from reslab.train.recipe import Recipe
from reslab.train.signals import Interrupted
from reslab.train.tune import Choice, candidates, choose, fastest

CPU = torch.device("cpu")


def names(recipe: Recipe) -> list[str]:
    return [str(choice) for choice in candidates(recipe, CPU)]


def test_candidates_respect_what_is_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tune, "native_bf16", lambda device: True)
    assert names(Recipe()) == ["fp32 NCHW", "fp32 NHWC", "bf16 NCHW", "bf16 NHWC"]
    assert names(Recipe(precision="fp32")) == ["fp32 NCHW", "fp32 NHWC"]
    assert names(Recipe(memory_format="NHWC")) == ["fp32 NHWC", "bf16 NHWC"]
    assert names(Recipe(precision="bf16", memory_format="NCHW", compile="on")) == ["bf16 NCHW compiled"]
    monkeypatch.setattr(tune, "native_bf16", lambda device: False)
    assert names(Recipe()) == ["fp32 NCHW", "fp32 NHWC"]
    assert names(Recipe(precision="bf16", memory_format="NCHW")) == ["bf16 NCHW"]  # asked for: emulated


def test_a_tie_goes_to_fp32_and_to_the_plain_layout() -> None:
    choices = [Choice(precision=p, memory_format=f) for p in ("fp32", "bf16") for f in ("NCHW", "NHWC")]
    times = dict.fromkeys(map(str, choices), 1.0)
    assert str(fastest(choices, times)) == "fp32 NCHW"
    assert str(fastest(choices, times | {"bf16 NHWC": 0.95})) == "fp32 NCHW"  # not clearly faster
    assert str(fastest(choices, times | {"bf16 NHWC": 0.90})) == "bf16 NHWC"  # 0.90 x 1.1 < 1
    assert str(fastest(choices, times | {"fp32 NHWC": 0.99})) == "fp32 NHWC"


def test_nothing_open_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tune, "race", lambda *_: pytest.fail("timed"))
    recipe = Recipe(precision="fp32", memory_format="NHWC", compile="off")
    x, y = torch.zeros(2, 1, 8, 8), torch.zeros(2, dtype=torch.int64)
    chosen = choose(build(spec("resnet8", channels=1, size=8)), (x, y), F.cross_entropy, recipe=recipe, steps=9)
    assert chosen == Choice(memory_format="NHWC")


@pytest.mark.parametrize(
    ("recipe", "said"),
    [(Recipe(), "timing precision and memory format"),
     (Recipe(precision="fp32", memory_format="NCHW"), "timing a training step")],
)  # fmt: skip
def test_what_is_timed_is_said(recipe: Recipe, said: str) -> None:
    """With precision and memory format given, a step is timed only to see whether compiling would pay."""
    notes: list[str] = []
    batch = torch.zeros(2, 1, 8, 8), torch.zeros(2, dtype=torch.int64)
    net = build(spec("resnet8", channels=1, size=8))
    choose(
        net, batch, F.cross_entropy, recipe=recipe, steps=9, progress=lambda done, total, note="": notes.append(note)
    )
    assert set(notes) == {said}


def test_choosing_leaves_net_and_generator_as_they_were() -> None:
    torch.manual_seed(0)
    net = torch.nn.Sequential(build(spec("resnet8", channels=1, size=8)), torch.nn.Dropout()).train()
    state = {key: value.clone() for key, value in net.state_dict().items()}
    x, y = torch.rand(4, 1, 8, 8), torch.arange(4)
    before = torch.get_rng_state()
    chosen = choose(net, (x, y), F.cross_entropy, recipe=Recipe(), steps=10)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(state[key], value) for key, value in net.state_dict().items())
    assert all(p.grad is None for p in net.parameters())
    assert all(p.is_contiguous() for p in net.parameters())
    assert set(chosen.milliseconds) == set(names(Recipe()))
    assert all(value > 0 for value in chosen.milliseconds.values())


@pytest.mark.parametrize(("compiled", "wins"), [(0.5, True), (0.95, False)])
def test_compiling_is_tried_for_long_runs_only(monkeypatch: pytest.MonkeyPatch, compiled: float, wins: bool) -> None:
    tried: list[str] = []

    def race(choices: list[Choice], *_: Any) -> dict[str, float]:
        tried.extend(map(str, choices))
        return {str(choice): compiled if choice.compile else 1.0 for choice in choices}

    monkeypatch.setattr(tune, "race", race)
    net, batch = torch.nn.Linear(2, 2), (torch.zeros(2, 2), torch.zeros(2))
    recipe = Recipe(precision="fp32", memory_format="NCHW")
    assert not choose(net, batch, F.cross_entropy, recipe=recipe, steps=1800).compile
    assert tried == ["fp32"]  # 1800 steps of a second: not longer than COMPILE_WORTH
    assert choose(net, batch, F.cross_entropy, recipe=recipe, steps=1801).compile is wins
    assert tried[1:] == ["fp32", "fp32 compiled"]


def test_the_choice_is_stored_said_and_kept_on_resume(
    begin: Any, few: ImageData, tmp_path: Path, stopped_after: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also by a training that is killed before its first checkpoint in time."""
    first = Choice(memory_format="NHWC", milliseconds={"fp32 NCHW": 2.0, "fp32 NHWC": 1.0})
    monkeypatch.setattr(prepared, "choose", lambda *_, **__: first)
    run = begin(tmp_path / "run", few, precision="auto", memory_format="auto", compile="auto")
    with monkeypatch.context() as patch:
        patch.setattr(training.Training, "step", lambda *_: (_ for _ in ()).throw(ZeroDivisionError))
        with pytest.raises(ZeroDivisionError):
            train(run.folder, data=few, device="cpu")
    monkeypatch.setattr(prepared, "choose", lambda *_, **__: pytest.fail("chosen again"))
    with stopped_after(3), pytest.raises(Interrupted):
        train(run.folder, data=few, device="cpu")
    result = train(run.folder, data=few, device="cpu")
    assert result["choice"] == first.as_dict()
    said = [event for event in run.metrics() if event["event"] == "choice"]
    assert said == [{"event": "choice", "iteration": 0, **first.as_dict()}]


def test_the_layout_is_what_the_steps_see(begin: Any, few: ImageData, tmp_path: Path) -> None:
    seen: list[bool] = []
    torch.manual_seed(0)
    net = build(spec("resnet8", channels=3, size=8))
    net.register_forward_pre_hook(lambda m, args: seen.append(args[0].is_contiguous(memory_format=torch.channels_last)))
    step = tune.make_step(Choice(memory_format="NHWC"), net, torch.rand(4, 3, 8, 8), torch.arange(4), F.cross_entropy)
    step()
    assert seen == [True]
    assert net.stem.conv.weight.is_contiguous(memory_format=torch.channels_last)


class Clock:
    """Seconds that pass only while a step runs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, lasts: dict[str, float]) -> None:
        self.now, self.ran = 0.0, []
        monkeypatch.setattr(tune.time, "perf_counter", lambda: self.now)
        monkeypatch.setattr(tune, "make_step", lambda choice, *_: lambda: self.step(str(choice), lasts))

    def step(self, name: str, lasts: dict[str, float]) -> None:
        self.ran.append(name)
        self.now += lasts[name]


RACE = (torch.nn.Linear(2, 2), torch.zeros(2, 2), torch.zeros(2), F.cross_entropy, lambda *_: None)
TWO = [Choice(memory_format="NCHW"), Choice(memory_format="NHWC")]


def test_trials_take_no_longer_than_they_may(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps of 3 and 2 s: three of each are 15 s, and a fourth of 3 s would end before 20 s, the next not."""
    clock = Clock(monkeypatch, {"fp32 NCHW": 3.0, "fp32 NHWC": 2.0})
    assert tune.race(TWO, *RACE) == {"fp32 NCHW": 3.0, "fp32 NHWC": 2.0}
    assert (clock.now, len(clock.ran)) == (18.0, 7)
    clock = Clock(monkeypatch, {"fp32 NCHW": 60.0, "fp32 NHWC": 1.0})  # one step is already too long
    assert tune.race(TWO, *RACE) == {"fp32 NCHW": 60.0}
    assert str(fastest(TWO, {"fp32 NCHW": 60.0})) == "fp32 NCHW"
    clock = Clock(monkeypatch, {"fp32 NCHW": 0.2, "fp32 NHWC": 0.1})
    tune.race(TWO, *RACE)
    assert len(clock.ran) == 2 * (tune.WARM + tune.TIMED)


def test_of_a_slow_net_the_likely_winners_are_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """8 s and 5 s: a third of 8 s more would end after 20 s."""
    monkeypatch.setattr(tune, "native_bf16", lambda device: True)
    lasts = {"fp32 NHWC": 8.0, "bf16 NHWC": 5.0, "fp32 NCHW": 9.0, "bf16 NCHW": 9.0}
    clock = Clock(monkeypatch, lasts)
    batch = torch.zeros(2, 1, 8, 8), torch.zeros(2, dtype=torch.int64)
    recipe = Recipe(compile="off", fuse="off")
    assert str(choose(torch.nn.Linear(2, 2), batch, F.cross_entropy, recipe=recipe, steps=9)) == "bf16 NHWC"
    assert clock.ran == ["fp32 NHWC", "bf16 NHWC"]


@pytest.mark.parametrize("step", [0.1, 1.5, 3.0, 7.0, 60.0])
def test_no_more_time_is_announced_than_the_trials_may_take(step: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """14 steps of 3 s would take 42 s, but the trials end after 20 s: six steps, so the third leaves 9 s."""
    clock = Clock(monkeypatch, {"fp32 NCHW": step, "fp32 NHWC": step})
    monkeypatch.setattr(row, "clock", lambda: clock.now)
    shown, left = row.Row("run"), []

    def progress(done: int, total: int) -> None:
        shown.step(done, total, Phase("timing"))
        left.append((total - done) * step)
        assert (f"about {row.duration(left[-1])} left" in shown.line) == (0 < done < total)
        assert done == 0 or clock.now + left[-1] <= max(tune.TRYING, clock.now)

    tune.race(TWO, *RACE[:4], progress)
    assert left[-1] == 0
    assert step != 3.0 or left[3] == 9.0


def test_a_signal_ends_the_trials_after_one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, {"fp32 NCHW": 1.0, "fp32 NHWC": 1.0})
    with pytest.raises(Interrupted, match="stopped before the first step; run the same command again") as stopped:
        tune.race(TWO, *RACE, lambda: 15 * (len(clock.ran) >= 3))
    assert (len(clock.ran), stopped.value.exit_code) == (3, 128 + 15)


def test_a_training_that_is_stopped_in_its_trials_leaves_no_folder(
    begin: Any, few: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begin(tmp_path / "run", few, precision="auto", memory_format="auto", compile="off")
    plain = tune.make_step

    def make(*given: Any) -> Any:
        step = plain(*given)
        return lambda: (step(), signal.raise_signal(signal.SIGTERM))

    monkeypatch.setattr(tune, "make_step", make)
    with pytest.raises(Interrupted, match="stopped before the first step"):
        train(run.folder, data=few, device="cpu")
    assert not run.folder.exists()
