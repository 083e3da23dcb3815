"""A net that learns beside a teacher: its loss by hand, and exact resume."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reslab.errors import OtherSettings, UsageError
from reslab.images.data import ImageData
from reslab.images.losses import Loss
from reslab.images.train import OnImages, prepare
from reslab.images.train import train as train_alone
from reslab.nets import build, spec
from reslab.run import Run
from reslab.slim.cutting.removal import cut
from reslab.slim.finding import find_blocks
from reslab.slim.healing.beside import Answers, Beside
from reslab.slim.healing.distilled import Distillation, Distilled
from reslab.slim.healing.divergence import distance, of_classes, of_labels
from reslab.slim.healing.family import Taught, mark_taught
from reslab.slim.healing.pairs import pairs_of
from reslab.train.life import train_run
from reslab.train.recipe import Recipe
from reslab.train.signals import Interrupted


class FakeTask:
    """A task of which only the loss is used."""

    examples, unit, device, shorter, validates = 4, "images", torch.device("cpu"), "", False

    def __init__(self, weights: Tensor | None = None) -> None:
        self.objective = Loss(weights=weights)

    def loss(self, out: Tensor, y: Tensor) -> Tensor:
        return self.objective(out, y)

    def shares(self, y: Tensor) -> Tensor:
        return self.objective.shares(y)

    def weight(self, y: Tensor) -> Tensor:
        return self.objective.weight(y)


def distilled(weights: Tensor | None = None, **how: float) -> Distilled:
    task: Any = FakeTask(weights)
    return Distilled(task, Distillation(**how))


def test_the_loss_of_hinton_by_hand() -> None:
    """Scores ln 3 and 0 are 3/4 and 1/4. With p = 1/2, q = 3/4, KL is 1/2 ln(1/2 : 3/4) + 1/2 ln(1/2 : 1/4)."""
    student, teacher = torch.tensor([[3.0, 1.0]]).log(), torch.tensor([[1.0, 1.0]]).log()
    y = torch.tensor([0])
    kl = 0.5 * torch.tensor(2 / 3).log() + 0.5 * torch.tensor(2.0).log()
    assert of_classes(student, teacher, 1.0).item() == pytest.approx(kl.item())
    task = distilled(weight=0.25, temperature=1.0)
    assert task.loss(Answers(student, teacher, None), y).item() == pytest.approx(
        0.75 * -torch.tensor(0.75).log().item() + 0.25 * kl.item()
    )
    warm = distilled(weight=1.0, temperature=2.0)  # scores 2 ln 3: at temperature 2 the same probabilities
    assert warm.loss(Answers(2 * student, teacher, None), y).item() == pytest.approx(4 * kl.item())
    assert warm.loss(student, y).item() == pytest.approx(-torch.tensor(0.75).log().item())  # without a teacher


def test_labels_are_compared_one_by_one_and_masked_classes_add_nothing() -> None:
    """Logit ln 3 is 3/4; the two outcomes of one label are two classes with scores (logit, 0)."""
    s, t = torch.tensor([[1.2, -0.3]]), torch.tensor([[0.4, 2.0]])
    pairs = [torch.stack([x, torch.zeros_like(x)], dim=-1)[0] for x in (s, t)]
    assert of_labels(s, t, 3.0).item() == pytest.approx(of_classes(*pairs, 3.0).mean().item())
    masked = torch.tensor([[1.0, 2.0, -torch.inf]])
    ours = masked.clone().requires_grad_()
    of_classes(ours, masked.roll(0), 2.0).sum().backward()
    assert ours.grad is not None
    assert ours.grad.isfinite().all()
    assert distance(torch.ones(2, 3), 2 * torch.ones(2, 3)).tolist() == [0.25, 0.25]


def test_parts_of_a_batch_have_the_gradient_of_the_whole_with_class_weights() -> None:
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(6, 3, generator=generator), torch.randn(6, 3, generator=generator)
    y, apart = torch.tensor([0, 0, 1, 2, 2, 2]), torch.rand(6, generator=generator)
    task = distilled(torch.tensor([1.0, 5.0, 0.5]), features=0.3)
    whole = task.loss(Answers(student, teacher, apart), y)
    parts = [slice(0, 2), slice(2, 6)]
    weight = task.weight  # the loop's share of each part
    found = sum(task.loss(Answers(student[i], teacher[i], apart[i]), y[i]) * weight(y[i]) / weight(y) for i in parts)
    assert torch.allclose(torch.as_tensor(found), whole)


def test_the_teacher_shares_nothing_and_answers_only_in_training() -> None:
    torch.manual_seed(0)
    student, teacher = build(spec("resnet8")), build(spec("resnet8"))
    names, before = list(student.state_dict()), copy.deepcopy(teacher.state_dict())
    pair = ("stages.1.0", "stages.1.0")
    beside = Beside(student, teacher, pairs=[pair])
    x = torch.randn(4, 3, 16, 16)
    assert isinstance(student.eval()(x), Tensor)
    with torch.no_grad():
        assert isinstance(student.train()(x), Tensor)  # as when norms are averaged
    answers = student(x)
    assert isinstance(answers, Answers)
    assert torch.equal(answers.teacher, teacher.eval()(x))
    assert not answers.teacher.requires_grad
    held: dict[str, Tensor] = {}
    teacher.get_submodule(pair[1]).register_forward_hook(lambda module, x, out: held.update(theirs=out.clone()))
    student.get_submodule(pair[0]).register_forward_hook(lambda module, x, out: held.update(ours=out.clone()))
    teacher(x), student(x)
    assert answers.features is not None
    assert torch.allclose(answers.features, distance(held["ours"], held["theirs"]))
    assert list(student.state_dict()) == names
    F.cross_entropy(answers.student, torch.zeros(4, dtype=torch.long)).backward()
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())
    assert isinstance(copy.deepcopy(student).train()(x), Answers)  # the loop times copies
    beside.remove()
    assert isinstance(student.train()(x), Tensor)


CASES: dict[str, dict[str, Any]] = {
    "mixed": {"mixup": 0.2, "augment": "crop", "pad": 1, "ema": 0.7, "accumulate": 2, "precision": "bf16"},
    "weighted": {"class_weights": "balanced", "stochastic_depth": 0.3, "label_smoothing": 0.1, "precise_bn": True},
}


@pytest.mark.parametrize("case", CASES)
def test_killed_and_resumed_it_ends_bit_identical(
    case: str, few: ImageData, tmp_path: Path, same_end: Callable[..., None], stopped_after: Callable[..., Any]
) -> None:
    torch.manual_seed(3)
    teacher = build(spec("resnet14", classes=len(few.classes), channels=few.shape[0]))
    how, pairs = Distillation(features=0.5), [("stages.2.0", "stages.2.0")]
    recipe = Recipe(**{"iterations": 6, "batch": 16, "precision": "fp32", "memory_format": "NCHW", "compile": "off",
                       "threads": 1, **CASES[case]})  # fmt: skip

    def begun(name: str) -> Run:
        run = prepare(tmp_path / name, net=spec("resnet8"), data=few, word="few", recipe=recipe)
        mark_taught(run, teacher, how)
        return run

    def trained(run: Run) -> None:
        train_run(run.folder, Taught(OnImages(few), teacher, how, pairs=pairs), device="cpu")

    whole, broken, alone = begun("whole"), begun("broken"), tmp_path / "alone"
    trained(whole)
    for k in (1, 4):
        with stopped_after(k), pytest.raises(Interrupted):
            trained(broken)
        torch.manual_seed(k)
    with pytest.raises(UsageError, match=r"broken holds a net that `reslab slim` was healing beside its teacher"):
        train_alone(broken.folder, data=few, device="cpu")
    trained(broken)
    same_end(whole, broken)
    prepare(alone, net=spec("resnet8"), data=few, word="few", recipe=recipe)
    train_alone(alone, data=few, device="cpu")
    weights = [(folder / "weights.safetensors").read_bytes() for folder in (alone, whole.folder)]
    assert weights[0] != weights[1]  # the teacher taught it something else


def test_another_teacher_or_weight_is_another_run(few: ImageData, tmp_path: Path) -> None:
    teacher: nn.Module = build(spec("resnet8"))
    run = prepare(tmp_path / "run", net=spec("resnet8"), data=few, word="few", recipe=Recipe(iterations=2, batch=16))
    mark_taught(run, teacher, Distillation())
    mark_taught(run, teacher, Distillation())
    with pytest.raises(OtherSettings, match=r"with different settings \(temperature: 4 there, 2 requested\)"):
        mark_taught(run, teacher, Distillation(temperature=2))
    with pytest.raises(OtherSettings, match=r"\(teacher: "):
        mark_taught(run, build(spec("resnet14")), Distillation())
    with pytest.raises(UsageError, match="distill must be from 0 to 1, got 2"):
        Distillation(weight=2).check()


def test_the_blocks_that_are_left_are_those_of_the_intact_net() -> None:
    """Without the second of three blocks of a stage, the third becomes the second; a bare shortcut is no block."""
    net = build(spec("resnet20")).eval()
    x = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    blocks = find_blocks(net, x)
    small = cut(net, ["stages.0.1", "stages.1.0"], example=x, blocks=blocks)
    found = pairs_of(small.model, net, list(blocks), small.removed)
    assert found == (
        ("stages.0.0", "stages.0.0"), ("stages.0.1", "stages.0.2"), ("stages.1.1", "stages.1.1"),
        ("stages.1.2", "stages.1.2"), *((f"stages.2.{i}", f"stages.2.{i}") for i in range(3)),
    )  # fmt: skip
    for ours, theirs in found:
        one, other = next(small.model.get_submodule(ours).parameters()), next(net.get_submodule(theirs).parameters())
        assert torch.equal(one, other)
