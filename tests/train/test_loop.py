"""The loop's arithmetic: against float64 by hand, against stored losses, and what it does when the loss breaks."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reslab.errors import ReslabError
from reslab.images.data import ImageData
from reslab.images.task import ImageTask
from reslab.images.train import train
from reslab.nets import build, spec
from reslab.progress import silent
from reslab.run import Run
from reslab.train.batch import Batch
from reslab.train.loop import Training, fit
from reslab.train.recipe import Recipe, change, read
from reslab.train.tune import Choice

GOLDEN = Path(__file__).parents[1] / "golden" / "ten_steps.json"  # pytest --overwrite writes it again
PINNED: dict[str, Any] = {"precision": "fp32", "memory_format": "NCHW", "compile": "off"}


class Toy:
    """Six numbers into three classes, 24 examples; `rows` of iteration t are t, t+1, t+2, t+3."""

    examples, unit, device = 24, "rows", torch.device("cpu")

    def __init__(self, *, validation: tuple[float, ...] = ()) -> None:
        generator = torch.Generator().manual_seed(3)
        self.x = torch.randn(40, 6, generator=generator)
        self.y = torch.randint(0, 3, (40,), generator=generator)
        self.validation, self.validates = list(validation), bool(validation)

    def batches(self, start: int, stop: int) -> Iterator[Batch]:
        for t in range(start, stop):
            rows = torch.tensor(self.rows(t))
            yield Batch(x=self.x[rows], y=self.y[rows], index=rows, iteration=t)

    def rows(self, iteration: int) -> list[int]:
        return [iteration + k for k in range(4)]

    def loss(self, out: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(out, y)

    def wrong(self, out: Tensor, y: Tensor) -> Tensor:
        return (out.argmax(dim=1) != y).sum()

    def evaluate(self, net: nn.Module, part: str, choice: Choice) -> dict[str, Any] | None:
        if part == "validation" and self.validation:
            return {"error": self.validation.pop(0), "loss": 1.0}
        return {"error": 99.0, "loss": 9.0} if part == "test" else None

    def average_norms(self, net: nn.Module) -> None:
        raise AssertionError("nobody asked for precise BN")


def toy_net() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3))


def toy_recipe(**changes: Any) -> Recipe:
    return change(Recipe(iterations=6, batch=4, checkpoint_seconds=1e9, **PINNED), **changes)


def made(folder: Path) -> Run:
    run = Run(folder)
    run.make()
    return run


def by_hand(task: Toy, recipe: Recipe) -> list[list[Tensor]]:
    """The parameters after each step of the paper's SGD, in float64: v = m v + (g + d w), w = w - lr v."""
    net = toy_net().double()
    weights = list(net.parameters())
    speeds = [torch.zeros_like(w) for w in weights]
    after = []
    for batch in task.batches(0, recipe.iterations):
        loss = F.cross_entropy(net(batch.x.double()), batch.y)
        grads = list(torch.autograd.grad(loss, weights))
        if recipe.clip:
            norm = torch.sqrt(sum((g**2).sum() for g in grads))  # type: ignore[arg-type]
            grads = [g * min(1.0, recipe.clip / float(norm)) for g in grads]
        with torch.no_grad():
            for w, v, g in zip(weights, speeds, grads, strict=True):
                decayed = recipe.decay_all or w.ndim > 1
                g = g + (recipe.weight_decay if decayed else 0.0) * w
                v.mul_(recipe.momentum).add_(g)
                w -= recipe.lr * (g + recipe.momentum * v if recipe.nesterov else v)
        after.append([w.detach().clone() for w in weights])
    return after


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"weight_decay": 0.3},
        {"weight_decay": 0.3, "decay_all": False},
        {"nesterov": True, "weight_decay": 0.1},
        {"momentum": 0, "lr": 0.7},
        {"clip": 0.05},
    ],
    ids=str,
)
def test_sgd_is_the_hand_written_update(tmp_path: Path, changes: dict[str, Any]) -> None:
    task, recipe = Toy(), toy_recipe(**changes)
    training = fit(task, toy_net(), recipe=recipe, run=Run(tmp_path), progress=silent)
    for found, expected in zip(training.net.parameters(), by_hand(task, recipe)[-1], strict=True):
        torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-6)


def test_decay_reaches_norms_and_biases_unless_spared(tmp_path: Path) -> None:
    """A first step with no gradient at all: w = w (1 - lr d) if it is decayed, else w."""
    for decay_all in (True, False):
        torch.manual_seed(0)
        net = build(spec("resnet8", channels=1, size=8))
        before = {name: p.detach().clone() for name, p in net.named_parameters()}
        recipe = toy_recipe(weight_decay=0.5, lr=0.2, decay_all=decay_all)
        training = Training(Toy(), net, recipe=recipe, run=made(tmp_path / str(decay_all)), depth=8)
        for p in net.parameters():
            p.grad = torch.zeros_like(p)
        for group in training.optimizer.param_groups:
            group["lr"] = 0.2
        training.optimizer.step()
        for name, p in net.named_parameters():
            factor = 0.9 if decay_all or p.ndim > 1 else 1.0
            torch.testing.assert_close(p.detach(), before[name] * factor)


def test_ema_is_the_average_by_hand(tmp_path: Path) -> None:
    """a <- d a + (1 - d) w from the first weights on, d = min(ema, (1 + t) / (10 + t)) at update t = 1, 2, ..."""
    task, recipe = Toy(), toy_recipe(ema=0.3)
    training = fit(task, toy_net(), recipe=recipe, run=Run(tmp_path), progress=silent)
    steps = by_hand(task, recipe)
    average, decays = steps[0], [min(0.3, (1 + t) / (10 + t)) for t in range(1, len(steps))]
    assert decays[:3] == [2 / 11, 3 / 12, 0.3]
    for decay, weights in zip(decays, steps[1:], strict=True):
        average = [decay * a + (1 - decay) * w for a, w in zip(average, weights, strict=True)]
    assert training.kept is not training.net
    for found, expected in zip(training.kept.parameters(), average, strict=True):
        torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-6)
    for found, expected in zip(training.net.parameters(), steps[-1], strict=True):
        torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-6)


def test_ema_leaves_indices_alone(tmp_path: Path) -> None:
    """The average of an index with itself, rounded down, would soon be another index."""
    net = toy_net()
    net.register_buffer("index", torch.arange(100), persistent=False)
    training = fit(Toy(), net, recipe=toy_recipe(ema=0.9), run=Run(tmp_path), progress=silent)
    assert torch.equal(training.kept.get_buffer("index"), torch.arange(100))


def test_label_smoothing_is_the_formula(few: ImageData) -> None:
    """(1 - s) of the true class's loss and s / classes of every class's."""
    task = ImageTask(few, change(Recipe(epochs=1), label_smoothing=0.1), torch.device("cpu"))
    out, y = torch.randn(7, 10, generator=torch.Generator().manual_seed(0)), torch.arange(7)
    logs = out.double().log_softmax(dim=1)
    expected = -(0.9 * logs[torch.arange(7), y] + 0.1 * logs.mean(dim=1)).mean()
    assert task.loss(out, y).item() == pytest.approx(expected.item(), rel=1e-6)


def test_the_log_adds_up(tmp_path: Path) -> None:
    """24 examples in batches of 4: epochs of 6 iterations, a line each min(100, 6); loss and error are means."""
    run, losses, wrong = Run(tmp_path), [], []
    task = Toy()
    plain = task.loss

    def loss(out: Tensor, y: Tensor) -> Tensor:
        losses.append(plain(out, y).item())
        wrong.append(int((out.argmax(dim=1) != y).sum()))
        return plain(out, y)

    task.loss = loss  # type: ignore[method-assign]
    told: list[tuple[int, int, str]] = []
    training = fit(task, toy_net(), recipe=toy_recipe(iterations=15), run=run,
                   progress=lambda t, total, note="": told.append((t, total, note)))  # fmt: skip
    lines = [event for event in run.metrics() if event["event"] == "train"]
    assert [line["iteration"] for line in lines] == [6, 12, 15]
    first, *steps, _ = told
    assert first == (0, 15, "training 15 iterations of 4 rows (2.5 epochs in all), fp32, cpu")
    assert [(t, total) for t, total, note in steps if note != "evaluating"] == [(t, 15) for t in range(1, 16)]
    assert [t for t, _, note in steps if note == "evaluating"] == [6, 12, 15]
    assert [note for t, _, note in steps if t == 5] == [""]  # no loss is known yet
    for t, line in zip((6, 12, 15), lines, strict=True):
        known = (
            f"loss {line['loss']:.4f}, training error {line['error']:.2f} % since the last line, "
            f"learning rate {line['lr']:.4g}, "
        )
        assert next(note for at, _, note in steps if at == t).startswith(known)
    assert lines[1]["loss"] == pytest.approx(sum(losses[6:12]) / 6, rel=1e-5)
    assert lines[2]["error"] == pytest.approx(100 * sum(wrong[12:]) / 12, rel=1e-9)
    assert lines[2]["epoch"] == 2.5
    assert training.epoch_error == pytest.approx(100 * sum(wrong[6:12]) / 24, rel=1e-9)  # the last whole epoch's
    evals = [(event["iteration"], event["part"]) for event in run.metrics() if event["event"] == "eval"]
    assert evals == [(6, "test"), (12, "test"), (15, "test")]


def test_where_a_training_goes_on_is_said(tmp_path: Path) -> None:
    """After a failure in step 1, of which only the state before is saved; and after the end."""
    run, task, told = made(tmp_path / "run"), Toy(), list[str]()
    plain, task.loss = task.loss, lambda out, y: 1 / 0  # type: ignore[method-assign,assignment,return-value]
    with pytest.raises(ZeroDivisionError):
        fit(task, toy_net(), recipe=toy_recipe(iterations=15), run=run, progress=silent)
    task.loss = plain  # type: ignore[method-assign]
    for _ in range(2):
        fit(task, toy_net(), recipe=toy_recipe(iterations=15), run=run,
            progress=lambda t, total, note="": told.append(note) if "resuming" in note else None)  # fmt: skip
    assert told == ["resuming at iteration 0 of 15, 4 rows each (2.5 epochs in all), fp32, cpu",
                    "resuming at iteration 15 of 15: no step is left"]  # fmt: skip


def test_evaluations_come_as_often_as_asked(tmp_path: Path) -> None:
    for every, expected in ((2.0, [12, 15]), (0.5, [3, 6, 9, 12, 15]), (0.25, [2, 3, 5, 6, 8, 9, 11, 12, 14, 15])):
        run = made(tmp_path / str(every))
        fit(Toy(), toy_net(), recipe=toy_recipe(iterations=15, evaluate_every=every), run=run, progress=silent)
        assert [event["iteration"] for event in run.metrics() if event["event"] == "eval"] == expected


def test_the_validation_error_steers_the_plateau_and_nothing_else_does(tmp_path: Path) -> None:
    run = Run(tmp_path)
    task = Toy(validation=(50, 40, 40, 30, 30))
    recipe = toy_recipe(iterations=30, schedule="plateau", patience=1, validation=8)
    fit(task, toy_net(), recipe=recipe, run=run, progress=silent)
    changes = [event for event in run.metrics() if event["event"] == "lr"]
    assert [(event["iteration"], event["reason"]) for event in changes] == [(18, "plateau")]  # at 30 the run is over
    assert changes[0]["lr"] == pytest.approx(0.01)
    rates = [event["lr"] for event in run.metrics() if event["event"] == "train"]
    assert rates == pytest.approx([0.1, 0.1, 0.1, 0.01, 0.01])


def test_early_stop_ends_and_keeps_the_best(tmp_path: Path) -> None:
    """Validation errors 50, 40, 45, 40, ...: best after 2 epochs of 6 steps, over after 4; its weights come back."""
    short = fit(Toy(), toy_net(), recipe=toy_recipe(iterations=12), run=made(tmp_path / "short"), progress=silent)
    task, run = Toy(validation=(50, 40, 45, 40, 10)), made(tmp_path / "long")
    recipe = toy_recipe(iterations=60, early_stop=2, validation=8)
    training = fit(task, toy_net(), recipe=recipe, run=run, progress=silent)
    assert (training.iteration, training.best["iteration"], task.validation) == (24, 12, [10])
    for name, value in training.kept.state_dict().items():
        assert torch.equal(value, short.kept.state_dict()[name]), name
    assert run.metrics()[-1] == {"event": "kept", "iteration": 24, "best": 12, "error": 40}
    assert training.best["loss"] == 1
    again = fit(Toy(validation=()), toy_net(), recipe=recipe, run=run, progress=silent)  # nothing is left to do
    assert again.iteration == 24
    assert torch.equal(again.kept[0].weight, training.kept[0].weight)  # type: ignore[union-attr,index]


def test_without_validation_the_plateau_hears_each_training_epoch_once(tmp_path: Path) -> None:
    """However often the test part is looked at: patience counts epochs, and no epoch is heard before its end."""
    heard = {}
    for every in (1.0, 0.1):
        run = made(tmp_path / str(every))
        recipe = toy_recipe(iterations=24, schedule="plateau", patience=1, lr=1e-12, evaluate_every=every)
        fit(Toy(), toy_net(), recipe=recipe, run=run, progress=silent)
        heard[every] = [event["iteration"] for event in run.metrics() if event["event"] == "lr"]
    assert heard[1.0] == heard[0.1] == [12, 18]  # nothing is learned: no epoch after the first is better


def test_ten_steps_give_the_stored_losses(digits: ImageData, tmp_path: Path, overwrite: bool) -> None:
    """The paper's SGD on digits, fp32, one thread; other machines add in another order: 1e-4."""
    found: dict[str, list[float]] = {}
    for name in ("resnet8", "plain8"):
        recipe = Recipe(iterations=10, batch=128, lr=0.1, momentum=0.9, weight_decay=1e-4, **PINNED)
        task = ImageTask(digits, recipe, torch.device("cpu"))
        losses = found[name] = []
        plain = task.loss

        def loss(out: Tensor, y: Tensor, plain: Any = plain, losses: list[float] = losses) -> Tensor:
            losses.append(plain(out, y).item())
            return plain(out, y)

        task.loss = loss  # type: ignore[method-assign]
        torch.manual_seed(0)
        fit(task, build(spec(name, channels=1, size=8)), recipe=recipe, run=made(tmp_path / name), progress=silent)
    if overwrite:
        GOLDEN.write_text(json.dumps(found, indent=1) + "\n")
    stored = json.loads(GOLDEN.read_text())
    assert set(found) == set(stored)
    for name, losses in stored.items():
        assert found[name] == pytest.approx(losses, rel=1e-4)
        assert losses[-1] < losses[0]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_loss_that_breaks_stops_with_its_batch(begin: Any, few: ImageData, tmp_path: Path, precision: str) -> None:
    """lr 1e20: the first update throws the weights far out, so a later loss is not finite."""
    run = begin(tmp_path / "run", few, lr=1e20, precision=precision, checkpoint_seconds=0, seed=5)
    with pytest.raises(ReslabError, match="not finite at iteration") as caught:
        train(run.folder, data=few, device="cpu")
    said = run.read_json("nan.json")
    t = said["iteration"]
    assert f"at iteration {t} (lr 1e+20)" in str(caught.value)
    for cure in ("a lower lr", "clip=1", 'precision="fp32"', str(run.path("nan.json"))):
        assert cure in str(caught.value)
    task = ImageTask(few, read(run.path("recipe.toml")), torch.device("cpu"))
    assert said["rows"] == task.rows(t)
    assert said["rows"] == next(iter(task.batches(t, t + 1))).index.tolist()
    assert said["lr"] == 1e20
    saved = torch.load(run.path("last.pt"), weights_only=True)
    assert saved["iteration"] <= t
    assert all(value.isfinite().all() for value in saved["net"].values())
    assert not run.has("results/train.json")
    assert not run.has("weights.safetensors")


def test_a_loss_that_is_nan_is_found_at_its_iteration(tmp_path: Path) -> None:
    task = Toy()
    plain = task.loss
    task.loss = lambda out, y: plain(out, y) * (float("nan") if seen.append(1) or len(seen) == 4 else 1)  # type: ignore
    seen: list[int] = []
    with pytest.raises(ReslabError, match="at iteration 3 "):
        fit(task, toy_net(), recipe=toy_recipe(checkpoint_seconds=0), run=Run(tmp_path), progress=silent)
    assert Run(tmp_path).read_json("nan.json") == {"iteration": 3, "lr": 0.1, "rows": [3, 4, 5, 6]}
    assert torch.load(tmp_path / "last.pt", weights_only=True)["iteration"] == 3


def test_an_update_that_breaks_the_weights_is_never_saved(tmp_path: Path) -> None:
    """The loss of the last batch is finite, its gradient is not: no finished run, no polluted checkpoint."""
    task = Toy()

    class Explodes(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return x.clone()

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Tensor:  # type: ignore[override]
            return g * float("inf")

    calls: list[int] = []

    def loss(out: Tensor, y: Tensor) -> Tensor:
        calls.append(1)
        return F.cross_entropy(Explodes.apply(out) if len(calls) == 6 else out, y)

    task.loss = loss  # type: ignore[method-assign]
    with pytest.raises(ReslabError, match="at iteration 5 "):
        fit(task, toy_net(), recipe=toy_recipe(checkpoint_seconds=0), run=Run(tmp_path), progress=silent)
    saved = torch.load(tmp_path / "last.pt", weights_only=True)
    assert saved["iteration"] == 5
    assert all(value.isfinite().all() for value in saved["net"].values())


def test_a_batch_of_only_broken_images_is_passed_over(tmp_path: Path) -> None:
    """Iteration 2 gives no batch: those after it keep their numbers and their rates."""
    task = Toy()
    plain = task.batches
    task.batches = lambda start, stop: (b for b in plain(start, stop) if b.iteration != 2)  # type: ignore
    run = Run(tmp_path)
    training = fit(task, toy_net(), recipe=toy_recipe(drops=(3,), checkpoint_seconds=0), run=run, progress=silent)
    assert training.iteration == 6
    assert torch.load(tmp_path / "last.pt", weights_only=True)["iteration"] == 6
    assert [event["iteration"] for event in run.metrics() if event["event"] == "train"] == [6]
