"""Exact resume: stopped anywhere and gone on, a training ends with the same bits as one that never stopped."""

import json
import os
import random
import signal
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.data import DataLoader

from reslab.errors import ReslabError, UsageError
from reslab.images.data import Encoded, ImageData, load
from reslab.images.task import ImageTask
from reslab.images.train import prepare, train
from reslab.nets import spec
from reslab.progress import silent
from reslab.run import Run
from reslab.train.checkpoint import read_last
from reslab.train.generators import seed_all
from reslab.train.loop import Training, fit
from reslab.train.recipe import change, read
from reslab.train.signals import Interrupted, Stop
from reslab.train.supervised import SAVED

LENGTH = 12  # iterations, of 5 an epoch

CASES: dict[str, dict[str, Any]] = {
    "steps": {"drops": (4, 9)},
    "ema": {"ema": 0.7, "nesterov": True, "clip": 0.5, "decay_all": False, "label_smoothing": 0.1},
    "plateau": {"schedule": "plateau", "patience": 1, "validation": 20, "evaluate_every": 0.5},
    "training-plateau": {"schedule": "plateau", "patience": 1, "lr": 1e-9},
    "crop": {"augment": "crop", "pad": 2, "flip": True, "batch": 30, "seed": 7},
    "augmented": {
        "augment": "resized-crop",
        "area": 0.3,
        "brightness": 0.4,
        "contrast": 0.4,
        "policy": "rand",
        "erase": 0.3,
        "mixup": 0.2,
        "cutmix": 1.0,
        "batch": 30,
    },
    "short": {
        "augment": "crop",
        "flip": True,
        "flip_alternate": True,
        "cutout": 3,
        "small": 6,
        "small_until": 7,
    },
    "warm-up": {"warmup_lr": 0.01, "warmup_error": 95, "drops": (8,)},
    "precise": {"precise_bn": True, "schedule": "one-cycle", "warmup": 0.3},
    "stochastic depth": {"stochastic_depth": 0.5},
    "active blocks": {"active_blocks": 2},
    "early stop": {
        "early_stop": 50,
        "validation": 20,
        "evaluate_every": 0.2,
        "lr": 0.5,
    },  # never stops; the best is kept
    "bf16": {"precision": "bf16", "memory_format": "NHWC", "schedule": "cosine"},
}


def stop_at(run: Run, data: ImageData, places: list[int], stopped_after: Any) -> None:
    """Train, stopped by SIGTERM after each of these iterations, to the end."""
    for k in sorted(set(places)):
        with stopped_after(k), pytest.raises(Interrupted, match=f"stopped at iteration {k} of") as caught:
            train(run.folder, data=data, device="cpu")
        assert caught.value.exit_code == 128 + signal.SIGTERM
        assert torch.load(run.path("last.pt"), weights_only=True)["iteration"] == k
        torch.manual_seed(k)  # what else goes on in the process must not matter
    train(run.folder, data=data, device="cpu")


@pytest.mark.parametrize("case", CASES)
def test_stopped_mid_epoch_at_an_epochs_end_and_after_a_drop(
    case: str, begin: Any, few: ImageData, tmp_path: Path, straight: Any, same_end: Any, stopped_after: Any
) -> None:
    whole = straight(begin(tmp_path / "whole", few, iterations=LENGTH, **CASES[case]), few)
    broken = begin(tmp_path / "broken", few, iterations=LENGTH, **CASES[case])
    stop_at(broken, few, [1, 5, 7, 9], stopped_after)
    same_end(whole, broken)
    assert [event["iteration"] for event in broken.metrics() if event["event"] == "resume"] == [1, 5, 7, 9]


@given(places=st.lists(st.integers(1, LENGTH - 1), min_size=1, max_size=3), case=st.sampled_from(sorted(CASES)))
@settings(max_examples=5, deadline=None, database=None, derandomize=True,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # those used here keep nothing  # fmt: skip
def test_stopped_anywhere(
    places: list[int], case: str, begin: Any, few: ImageData, same_end: Any, stopped_after: Any
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        whole = begin(Path(folder) / "whole", few, iterations=LENGTH, **CASES[case])
        train(whole.folder, data=few, device="cpu")
        broken = begin(Path(folder) / "broken", few, iterations=LENGTH, **CASES[case])
        stop_at(broken, few, places, stopped_after)
        same_end(whole, broken)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_either_signal_saves_and_gives_its_code(
    number: signal.Signals, begin: Any, few: ImageData, tmp_path: Path, stopped_after: Any
) -> None:
    run = begin(tmp_path / "run", few)
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    with (
        stopped_after(4, number),
        pytest.raises(Interrupted, match="stopped at iteration 4 of 12; run the same command again"),
    ):
        train(run.folder, data=few, device="cpu")
    with stopped_after(6, number), pytest.raises(Interrupted) as caught:
        train(run.folder, data=few, device="cpu")
    assert caught.value.exit_code == 128 + number
    assert torch.load(run.path("last.pt"), weights_only=True)["iteration"] == 6
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before


def test_warnings_are_left_to_whoever_handles_them() -> None:
    """nohup ignores SIGHUP; a program around may handle SIGUSR1. A second SIGHUP, as terminals send, does not kill."""
    heard: list[int] = []
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN), signal.signal(signal.SIGUSR1, lambda n, _: heard.append(n))
    try:
        with Stop() as stop:
            signal.raise_signal(signal.SIGHUP)
            signal.raise_signal(signal.SIGUSR1)
            assert (stop.asked, heard) == (0, [signal.SIGUSR1])
    finally:
        for number, handler in zip((signal.SIGHUP, signal.SIGUSR1), before, strict=True):
            signal.signal(number, handler)
    with Stop() as stop:
        for number in (signal.SIGHUP, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU):
            signal.raise_signal(number)
        assert stop.asked == signal.SIGHUP
    assert signal.getsignal(signal.SIGHUP) == before[0]


def test_asked_to_stop_at_the_last_step_it_finishes(
    begin: Any, few: ImageData, tmp_path: Path, stopped_after: Any
) -> None:
    run = begin(tmp_path / "run", few)
    with stopped_after(12):
        train(run.folder, data=few, device="cpu")
    assert run.has("results/train.json")


def test_a_crash_goes_back_to_the_last_checkpoint(
    begin: Any, few: ImageData, tmp_path: Path, straight: Any, same_end: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Crashes before the first checkpoint in time, and after: the lost steps are in the log only once.

    A supervisor is told of those checkpoints alone that lie behind the place where its processes started.
    """
    options = {"iterations": LENGTH, "drops": (6,)}
    whole = straight(begin(tmp_path / "whole", few, **options), few)
    broken = begin(tmp_path / "broken", few, **options)
    heard, told = os.pipe()
    os.set_blocking(heard, False)
    monkeypatch.setenv(SAVED, str(told))
    plain, plain_save = Training.step, Training.save

    class PowerCutError(Exception):
        pass

    for crash, save_at, progress in ((7, (), 0), (8, (6,), 1), (11, (6, 10), 1), (11, (), 0)):

        def step(self: Training, batch: Any, crash: int = crash, save_at: tuple[int, ...] = save_at) -> None:
            if self.iteration in save_at:
                plain_save(self)
            if self.iteration == crash:
                raise PowerCutError
            plain(self, batch)

        with monkeypatch.context() as patch:
            patch.setattr(Training, "step", step)
            with pytest.raises(PowerCutError):
                train(broken.folder, data=few, device="cpu")
        assert heard_by(heard) == progress
    train(broken.folder, data=few, device="cpu")
    assert heard_by(heard) > 0
    os.close(heard)
    os.close(told)
    same_end(whole, broken)


def heard_by(end: int) -> int:
    """Bytes that wait in a pipe."""
    try:
        return len(os.read(end, 100))
    except BlockingIOError:
        return 0


@pytest.mark.slow  # VGG's head alone has 19 million weights
def test_vgg_goes_on_with_its_own_dropout(
    pngs: Path, tmp_path: Path, straight: Any, same_end: Any, stopped_after: Any
) -> None:
    data = load(str(pngs), size=32, memory=0)
    net = spec("vgg11", widths=(2, 2, 4, 4, 4), channels=1)
    recipe = change(
        begin_recipe(), iterations=6, batch=8, mean="channel", workers=1, validation=8, evaluate_every=0.4,
        precise_bn=True,
    )  # fmt: skip
    runs = [prepare(tmp_path / name, net=net, data=data, word=str(pngs), recipe=recipe) for name in ("whole", "broken")]
    straight(runs[0], data)
    stop_at(runs[1], data, [2, 5], stopped_after)
    same_end(runs[0], runs[1])


class Layers(nn.Module):
    """Drops what numpy's and Python's generators say, as layer drop does in many nets."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return x
        return x * (np.random.random() + random.random() + random.gauss(0, 0.1) + np.random.randn())  # noqa: NPY002


def test_seeds_of_all_generators() -> None:
    """Any number that torch takes; the same numbers again, and others for another seed."""
    drawn = []
    for seed in (0, 0, 1, 2**63 + 5, -3):
        seed_all(seed)
        drawn.append((float(torch.rand(())), random.random(), np.random.random()))  # noqa: NPY002
    assert drawn[0] == drawn[1]
    assert len(set(drawn)) == 4
    assert all(len({one[k] for one in drawn}) == 4 for k in range(3))


def test_dropout_goes_on_with_its_own_random_numbers(pngs: Path, tmp_path: Path, stopped_after: Any) -> None:
    """Decoding workers, evaluations and timed steps between must not touch the generators that the net uses."""
    data = load(str(pngs), memory=0)
    assert isinstance(data.train, Encoded)
    ends = []
    for name, stops in (("whole", []), ("broken", [2, 5])):
        recipe = change(begin_recipe(), iterations=7, batch=8, mean="channel", workers=1, validation=8)
        run = Run(tmp_path / name)
        run.make()
        for k in [*stops, None]:
            seed_all(0)
            net = nn.Sequential(nn.Flatten(), nn.Linear(64, 9), nn.ReLU(), nn.Dropout(), Layers(), nn.Linear(9, 3))
            task = ImageTask(data, recipe, torch.device("cpu"))
            if k:
                with stopped_after(k), pytest.raises(Interrupted):
                    fit(task, net, recipe=recipe, run=run, progress=silent)
            else:
                ends.append(fit(task, net, recipe=recipe, run=run, progress=silent).net.state_dict())
    for key, value in ends[0].items():
        assert torch.equal(value, ends[1][key]), key


def test_any_number_of_workers_gives_the_same_bits(
    pngs: Path, tmp_path: Path, straight: Any, same_end: Any, stopped_after: Any
) -> None:
    data = load(str(pngs), memory=0)
    net = spec("resnet8")
    runs = []
    for workers in (0, 1):
        recipe = change(begin_recipe(), iterations=7, batch=8, mean="channel", workers=workers, augment="crop", pad=1)
        runs.append(prepare(tmp_path / f"w{workers}", net=net, data=data, word=str(pngs), recipe=recipe))
    straight(runs[0], data)
    stop_at(runs[1], data, [3], stopped_after)
    same_end(runs[0], runs[1])


def begin_recipe() -> Any:
    return read("digits", epochs=0, iterations=9, drops=[], precision="fp32", memory_format="NCHW", compile="off",
                threads=1, workers=0)  # fmt: skip


def test_making_a_loader_leaves_the_global_generator_alone(pngs: Path) -> None:
    from reslab.images.data import Augment, measure, training_batches, view_batches

    data = load(str(pngs), memory=0)
    normalize = measure(data.train, mean="channel", std=False)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    shared: dict[str, Any] = {"batch": 4, "normalize": normalize, "device": "cpu"}
    list(training_batches(data.train, start=0, stop=2, seed=0, augment=Augment(kind="none"), **shared))
    list(view_batches(data.test, **shared))
    assert torch.equal(torch.get_rng_state(), before)
    list(DataLoader([1, 2]))  # one made in the usual way does
    assert not torch.equal(torch.get_rng_state(), before)


def test_warm_up_of_a_deep_net_is_remembered(few: ImageData, tmp_path: Path, begin: Any, stopped_after: Any) -> None:
    run = begin(tmp_path / "run", few, iterations=12, warmup_lr=0.01, warmup_error=95, warmup_depth=8)
    stop_at(run, few, [3, 7], stopped_after)
    result = run.read_json("results/train.json")
    rates = [event["lr"] for event in run.metrics() if event["event"] == "train"]
    assert result["warmup_left"] == 5  # the first line of the log: ten classes, 95 % is soon beaten
    assert rates == [0.01, 0.05, 0.05]


def test_a_finished_run_is_not_touched(begin: Any, few: ImageData, tmp_path: Path, straight: Any) -> None:
    run = straight(begin(tmp_path / "run", few), few)
    times = {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")}
    again = train(run.folder, data=few, device="cpu")
    begin(tmp_path / "run", few)
    assert again == run.read_json("results/train.json")
    assert {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")} == times


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"lr": 0.3},
            r"contains a run with different settings \(lr: 0.05 there, 0.3 requested\); choose another",
        ),
        ({"seed": 4, "flip": True}, r"\(flip: False there, True requested; seed: 0 there, 4 requested\)"),
        ({"net": "plain8"}, r"\(net: resnet8 there, plain8 requested; shortcut: A there, none requested\)"),
    ],
)
def test_another_run_in_the_folder_is_named(
    changes: dict[str, Any], sentence: str, begin: Any, few: ImageData, tmp_path: Path
) -> None:
    begin(tmp_path / "run", few)
    with pytest.raises(UsageError, match=sentence):
        begin(tmp_path / "run", few, **changes)


def test_other_data_in_the_folder_are_named(begin: Any, few: ImageData, digits: ImageData, tmp_path: Path) -> None:
    run = begin(tmp_path / "run", few)
    with pytest.raises(UsageError, match=r"already contains a run on different data"):
        begin(tmp_path / "run", digits)
    with pytest.raises(ReslabError, match=r"the data .* differ from those that .* started with"):
        train(run.folder, data=digits, device="cpu")
    with pytest.raises(ReslabError, match="the data 'digits' differ from those that"):
        train(run.folder, device="cpu")  # the word gives all digits, the run has a few


def test_a_folder_that_is_not_a_run_is_left_alone(begin: Any, few: ImageData, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match="is not empty and not a run folder; choose another folder"):
        begin(tmp_path, few)
    with pytest.raises(UsageError, match=r"is not a run folder: it has no spec\.json"):
        train(tmp_path, device="cpu")


def test_killed_while_the_folder_was_being_made(begin: Any, few: ImageData, tmp_path: Path) -> None:
    begin(tmp_path / "whole", few)
    for files in ((), ("recipe.toml",), ("recipe.toml", "data.json")):
        folder = tmp_path / f"cut{len(files)}"
        (folder / "results").mkdir(parents=True)
        for name in files:
            (folder / name).write_bytes((tmp_path / "whole" / name).read_bytes())
        (folder / ".spec.json.abc").write_text("{")
        begin(folder, few)
        assert Run(folder).read_json("spec.json") == Run(tmp_path / "whole").read_json("spec.json")


@pytest.mark.parametrize("share", [0, 1e-9, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_checkpoint_is_a_sentence(share: float, begin: Any, few: ImageData, trained: Run) -> None:
    content = trained.path("last.pt").read_bytes()
    cut = content[: int(share * len(content)) or (1 if share else 0)]
    run = Run(trained.folder.parent / f"cut{share}")
    begin(run.folder, few)
    run.path("last.pt").write_bytes(cut)
    with pytest.raises(ReslabError, match=r"last\.pt is damaged .*delete it to train from the start") as caught:
        train(run.folder, data=few, device="cpu")
    assert "\n" not in str(caught.value)
    assert run.path("last.pt").read_bytes() == cut


@pytest.mark.parametrize("content", [b"not a checkpoint\n" * 40, b"\x80\x02", b"PK\x03\x04" + b"\0" * 500])
def test_a_file_that_never_was_a_checkpoint(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "last.pt").write_bytes(content)
    with pytest.raises(ReslabError, match="is damaged"):
        read_last(Run(tmp_path))


@pytest.mark.parametrize("state", [{"net": {}}, {"format": 0}, [1, 2], torch.zeros(3)], ids=str)
def test_a_checkpoint_of_something_else(state: Any, tmp_path: Path) -> None:
    torch.save(state, tmp_path / "last.pt")
    with pytest.raises(ReslabError, match="is not a checkpoint of this version of reslab; delete it"):
        read_last(Run(tmp_path))


class Evil:
    def __reduce__(self) -> Any:
        return (Path.touch, (Path("evil"),))


def test_a_checkpoint_runs_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"format": 1, "net": Evil()}, tmp_path / "last.pt")
    with pytest.raises(ReslabError, match="which can run code and are not loaded; restore a copy"):
        read_last(Run(tmp_path))
    assert not (tmp_path / "evil").exists()


def test_a_checkpoint_of_another_net(begin: Any, few: ImageData, trained: Run, tmp_path: Path) -> None:
    for name, changes in {"deeper": {"net": "resnet14"}, "ema": {"ema": 0.5}, "groups": {"decay_all": False}}.items():
        run = begin(tmp_path / name, few, **changes)
        run.path("last.pt").write_bytes(trained.path("last.pt").read_bytes())
        with pytest.raises(ReslabError, match=r"last\.pt is of another net or recipe than this folder's") as caught:
            train(run.folder, data=few, device="cpu")
        assert "\n" not in str(caught.value)


def test_deleting_the_checkpoints_trains_from_the_start(
    begin: Any, few: ImageData, tmp_path: Path, straight: Any, same_end: Any, stopped_after: Any
) -> None:
    whole = straight(begin(tmp_path / "whole", few), few)
    run = begin(tmp_path / "run", few)
    with stopped_after(7), pytest.raises(Interrupted):
        train(run.folder, data=few, device="cpu")
    for name in ("last.pt", "previous.pt"):
        run.path(name).unlink()
    straight(run, few)
    same_end(whole, run)


def test_the_folder_tells_all(trained: Run, few: ImageData) -> None:
    result = trained.read_json("results/train.json")
    assert (result["net"], result["depth"], result["iterations"], result["epochs"]) == ("resnet8", 8, 12, 2.4)
    assert (result["test_n"], result["validation_error"], result["skipped"]) == (50, None, [])
    assert result["choice"]["precision"] == "fp32"
    assert trained.read_json("data.json")["fingerprint"] == few.fingerprint
    assert trained.read_json("env.json")["threads"] == 1
    assert json.dumps(trained.metrics())


@pytest.fixture
def trained(begin: Any, few: ImageData, tmp_path: Path) -> Run:
    run: Run = begin(tmp_path / "trained", few)
    train(run.folder, data=few, device="cpu")
    return run
