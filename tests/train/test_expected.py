"""The time that a training will take: loading, steps and evaluations, by hand."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from quick import QUICK

from reslab.cli import say
from reslab.errors import ReslabError, Sentence
from reslab.images.data import ImageData
from reslab.images.task import ImageTask
from reslab.images.train import train
from reslab.nets import net
from reslab.progress import silent
from reslab.qa.task import QATask
from reslab.tables.task import TableTask
from reslab.train import expected as module
from reslab.train.expected import Expected, expected, overlap, tell_if_long
from reslab.train.signals import Interrupted
from reslab.train.tune import Choice

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("workers", "device", "threads", "seconds"),
    [
        (0, CPU, 1, 0.8),  # one after the other
        (2, GPU, 1, 0.5),  # loading is hidden behind the steps
        (2, CPU, 2, 0.8),  # 2 x 0.5 + 2 x 0.3 core seconds on two cores
        (1, CPU, 1, 0.5),  # one core trains, the other loads
    ],
)
def test_loading_and_steps_overlap(
    workers: int, device: torch.device, threads: int, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "usable_cores", lambda: 2)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    assert overlap(0.5, 0.3, workers=workers, device=device) == pytest.approx(seconds)


def test_the_sum_by_hand(few: ImageData, monkeypatch: pytest.MonkeyPatch) -> None:
    """80 + 50 images: 40 iterations of 16 are 8 epochs; steps of 0.3 s, batches that come in 0.1 s.

    8 evaluations of 50 images and one of the 80 training images, each image a third of 0.3 / 16 s and 0.1 / 16 s.
    """
    recipe = replace(QUICK, iterations=40)
    monkeypatch.setattr(module, "time_batches", lambda *_, **__: (0.1, object()))
    choice = Choice(milliseconds={"fp32 NCHW": 300.0})
    found = expected(ImageTask(few, recipe, CPU), net("resnet8"), recipe=recipe, choice=choice, start=0,
                     progress=silent, stopped=lambda: 0)  # fmt: skip
    assert found is not None
    assert found.iteration == pytest.approx(0.4)
    assert found.evaluations == pytest.approx((8 * 50 + 80) * (0.1 + 0.1) / 16)
    assert found.seconds == pytest.approx(40 * 0.4 + 6)


def test_small_images_take_their_own_time(few: ImageData, monkeypatch: pytest.MonkeyPatch) -> None:
    """10 iterations of small images in 0.1 + 0.1 s, 30 of whole ones in 0.3 + 0.1 s; evaluations see whole ones."""
    recipe = replace(QUICK, iterations=40, small=4, small_until=0.25)
    begun: list[int] = []

    def batches(task: Any, start: int, *_: Any, **__: Any) -> tuple[float, Any]:
        begun.append(start)
        return 0.1, object()

    monkeypatch.setattr(module, "time_batches", batches)
    monkeypatch.setattr(module, "time_step", lambda *_: 0.3)
    choice = Choice(milliseconds={"fp32 NCHW": 100.0})  # timed on the first batch
    for start, iteration in ((0, (10 * 0.2 + 30 * 0.4) / 40), (5, (5 * 0.2 + 30 * 0.4) / 35), (10, 0.4)):
        found = expected(ImageTask(few, recipe, CPU), net("resnet8"), recipe=recipe, choice=choice, start=start,
                         progress=silent, stopped=lambda: 0)  # fmt: skip
        assert found is not None
        assert found.iteration == pytest.approx(iteration)
        assert found.step == pytest.approx(0.3)
    assert begun == [0, 10, 5, 10, 10]


def test_steps_are_timed_if_none_were_and_the_net_stays(few: ImageData) -> None:
    recipe = replace(QUICK, iterations=40)
    model = net("resnet8", channels=1, size=8)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    found = expected(ImageTask(few, recipe, CPU), model, recipe=recipe, choice=Choice(), start=0, progress=silent,
                     stopped=lambda: 0)  # fmt: skip
    assert found is not None
    assert 0 < found.step < 5
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


def test_it_stops_at_once(few: ImageData) -> None:
    recipe = replace(QUICK, iterations=40)
    with pytest.raises(Interrupted, match="stopped before the first step"):
        expected(ImageTask(few, recipe, CPU), net("resnet8"), recipe=recipe, choice=Choice(), start=0, progress=silent,
                 stopped=lambda: 15)  # fmt: skip


def test_more_than_an_hour_is_told_with_ways_to_shorten_it(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="reslab"):
        tell_if_long(Expected(step=0.1, load=0.3, iteration=0.3, iterations=12_100, evaluations=0.0), ImageTask.shorter)
        tell_if_long(Expected(step=0.1, load=0.3, iteration=0.3, iterations=11_900, evaluations=0.0), ImageTask.shorter)
    (record,) = caplog.records
    assert isinstance(record.msg, Sentence)
    assert say.words(record.msg) == (
        "this training takes about 60 min (loading a batch takes 0.30 s of the 0.30 s per iteration); shorter: fewer "
        "--epochs, a smaller --size, another --net or, from trained weights, --freeze backbone"
    )


@pytest.mark.parametrize(
    ("task", "words"), [(QATask, "fewer --epochs"), (TableTask, "fewer --epochs or a larger --batch")]
)
def test_a_task_names_its_own_ways(task: Any, words: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="reslab"):
        tell_if_long(Expected(step=1.0, load=0.0, iteration=1.0, iterations=7200, evaluations=0.0), task.shorter)
    assert say.words(caplog.records[0].msg) == f"this training takes about 2 h 0 min; shorter: {words}"


def test_measuring_the_time_counts_as_no_training(
    few: ImageData, begin: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """500 seconds of it, on a clock that is set forward."""
    began, late = module.time.perf_counter, [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: began() + late[0])

    def slow(*_: Any, **__: Any) -> None:
        late[0] += 500.0

    monkeypatch.setattr("reslab.train.loop.expected", slow)
    run = begin(tmp_path / "run", few)
    result = train(run.folder, data=few, device="cpu")
    assert late[0] == 500
    assert result["seconds"] < 400
    lines = [json.loads(line) for line in run.path("metrics.jsonl").read_text().splitlines()]
    speed = next(line["examples_per_second"] for line in lines if line["event"] == "train")
    assert speed > 16 * 10 / 400  # at most ten iterations of 16 images before the first line of the log


OOM = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


@pytest.mark.parametrize(
    "error", [OOM, MemoryError(), RuntimeError("MPS backend out of memory (MPS allocated: 8.00 GB)")]
)
@pytest.mark.parametrize("where", ["trials", "step", "evaluation"])
def test_out_of_memory_names_what_needs_less(
    where: str, error: BaseException, few: ImageData, begin: Callable[..., Any], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, stopped_after: Any,
) -> None:  # fmt: skip
    run = begin(tmp_path / "run", few, precision="auto" if where == "trials" else "fp32", memory_format="auto")
    if where != "trials":
        with stopped_after(2), pytest.raises(Interrupted):
            train(run.folder, data=few, device="cpu")
    last = run.path("last.pt").read_bytes() if run.has("last.pt") else b""

    def full(*_: Any, **__: Any) -> Any:
        raise error

    name = {"trials": "reslab.train.tune.make_step", "step": "reslab.train.training.add_gradients",
            "evaluation": "reslab.images.evaluate.view_scores"}[where]  # fmt: skip
    monkeypatch.setattr(name, full)
    with pytest.raises(ReslabError) as caught:
        train(run.folder, data=few, device="cpu")
    assert say.words(caught.value).startswith(
        "out of memory with batches of 16: --accumulate 2 (the same update, in parts), --batch 8, --precision bf16 or "
        "a smaller --size may fit"
    )
    if last:
        assert str(caught.value).endswith(f"; the last checkpoint in {run.folder} is as it was")
        assert run.has("last.pt")
    else:
        assert not run.folder.exists()


def test_another_error_is_not_reworded(few: ImageData, begin: Callable[..., Any], tmp_path: Path,
                                       monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    run = begin(tmp_path / "run", few)
    monkeypatch.setattr("reslab.train.training.add_gradients", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train(run.folder, data=few, device="cpu")


def test_a_choice_that_needs_too_much_memory_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    from reslab.train import tune

    def make_step(choice: Choice, *_: Any) -> Callable[[], None]:
        def step() -> None:
            if choice.precision == "fp32":
                raise OOM

        return step

    monkeypatch.setattr(tune, "make_step", make_step)
    monkeypatch.setattr(tune, "native_bf16", lambda _: True)
    x, y = torch.zeros(2, 1, 4, 4), torch.zeros(2)
    found = tune.choose(torch.nn.Flatten(), (x, y), lambda out, y: out.sum(), recipe=replace(
        QUICK, precision="auto", memory_format="NCHW"), steps=1)  # fmt: skip
    assert (found.precision, list(found.milliseconds)) == ("bf16", ["bf16 NCHW"])
