"""Losses and wrong predictions, against PyTorch's own and against numbers worked out by hand."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from reslab.errors import UsageError
from reslab.images.data import ImageData
from reslab.images.losses import MOST, Loss, balanced, loss_for
from reslab.images.task import ImageTask
from reslab.train.recipe import Recipe, change

OUT = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
Y = torch.tensor([0, 1, 2, 3, 1, 1])
W = torch.tensor([0.5, 2.0, 1.0, 3.0])
RECIPE = Recipe(epochs=1)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [None, W])
def test_one_class_an_image_is_pytorchs_cross_entropy_hard_or_as_soft_classes(
    smoothing: float, weights: torch.Tensor | None
) -> None:
    loss = Loss(smoothing=smoothing, weights=weights)
    theirs = F.cross_entropy(OUT, Y, weight=weights, label_smoothing=smoothing)
    assert torch.equal(loss(OUT, Y), theirs)
    torch.testing.assert_close(loss(OUT, F.one_hot(Y, 4).float()), theirs)


def test_mixed_classes_are_mixed_losses() -> None:
    """Mixup's definition: the loss of a mixed target is the mixture of both losses (Zhang et al. 2018, section 2)."""
    soft = 0.3 * F.one_hot(Y, 4) + 0.7 * F.one_hot(Y.flip(0), 4)
    for kind in ("softmax", "sigmoid"):
        loss = Loss(kind=kind, smoothing=0.1)
        torch.testing.assert_close(loss(OUT, soft), 0.3 * loss(OUT, Y) + 0.7 * loss(OUT, Y.flip(0)))


def test_sigmoid_is_binary_cross_entropy_of_each_class() -> None:
    zero = torch.zeros(2, 4)  # each probability is one half
    assert Loss(kind="sigmoid")(zero, torch.tensor([0, 3])).item() == pytest.approx(math.log(2))
    target = torch.full((1, 4), 0.025)  # of a smoothing of 0.1: 0.1 / 4, and 0.9 more for the class
    target[0, 1] = 0.925
    theirs = F.binary_cross_entropy_with_logits(OUT[:1], target)
    torch.testing.assert_close(Loss(kind="sigmoid", smoothing=0.1)(OUT[:1], torch.tensor([1])), theirs)


def test_a_batchs_loss_is_the_mean_of_its_parts_by_their_weight() -> None:
    soft = F.one_hot(Y, 4).float().roll(1, dims=0)
    for loss in (Loss(), Loss(weights=W), Loss(weights=W, smoothing=0.1), Loss(kind="sigmoid", weights=W)):
        for y in (Y, soft):
            parts = [(loss(OUT[rows], y[rows]), loss.weight(y[rows])) for rows in (slice(0, 1), slice(1, 6))]
            torch.testing.assert_close(sum(a * w for a, w in parts) / sum(w for _, w in parts), loss(OUT, y))
    assert Loss(weights=W).weight(Y).item() == 0.5 + 2 + 1 + 3 + 2 + 2


def test_sigmoid_weighs_each_image_by_its_class() -> None:
    each = [Loss(kind="sigmoid")(OUT[i : i + 1], Y[i : i + 1]) for i in range(6)]
    mean = sum(w * a for w, a in zip(W[Y], each, strict=True)) / W[Y].sum()
    torch.testing.assert_close(Loss(kind="sigmoid", weights=W)(OUT, Y), mean)


def test_wrong_predictions_of_classes_mixed_classes_and_labels() -> None:
    out = torch.tensor([[2.0, 1.0, 0.0], [0.0, 3.0, 1.0]])
    assert Loss().wrong(out, torch.tensor([0, 2])).item() == 1
    soft = torch.tensor([[0.25, 0.75, 0.0], [0.0, 0.9, 0.1]])
    assert Loss().wrong(out, soft).item() == pytest.approx(0.75 + 0.1)
    several = Loss(kind="sigmoid", several=True)
    labels = torch.tensor([[1, 0, 0], [0, 1, 1]])  # decided: 1 1 0 and 0 1 1
    assert several.wrong(out, labels).item() == pytest.approx(1 / 3)
    assert several.wrong(out, labels.float()).item() == pytest.approx(1 / 3)
    assert several.wrong(out, torch.full((2, 3), 0.5)).item() == pytest.approx(1.0)  # half of each decision


def test_several_labels_are_pytorchs_binary_cross_entropy() -> None:
    labels = torch.tensor([[1, 0, 0, 1], [0, 0, 0, 0], [1, 1, 1, 1], [0, 1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0]])
    plain = Loss(kind="sigmoid", several=True)
    torch.testing.assert_close(plain(OUT, labels), F.binary_cross_entropy_with_logits(OUT, labels.float()))
    weighted = Loss(kind="sigmoid", several=True, weights=W, smoothing=0.2)
    theirs = F.binary_cross_entropy_with_logits(OUT, 0.8 * labels + 0.1, pos_weight=W)
    torch.testing.assert_close(weighted(OUT, labels), theirs)


def test_balanced_weights_make_each_class_count_alike() -> None:
    labels = torch.tensor([0] * 190 + [2] * 10)
    weights = balanced(labels, classes=3)  # 200 / (2 x 190) and 200 / (2 x 10); class 1 has no image
    torch.testing.assert_close(weights, torch.tensor([200 / 380, 0.0, 10.0]))
    assert weights[labels].mean().item() == pytest.approx(1)
    assert weights[labels][:190].sum().item() == pytest.approx(weights[labels][190:].sum().item())


def test_balanced_weights_of_labels_are_negative_to_positive_images_within_bounds() -> None:
    labels = torch.zeros(1000, 5, dtype=torch.int64)
    labels[:100, 0], labels[:1, 1], labels[:, 2], labels[:600, 4] = 1, 1, 1, 1
    torch.testing.assert_close(balanced(labels, classes=5), torch.tensor([9.0, MOST, 1.0, 1.0, 400 / 600]))


def test_the_recipe_and_the_labels_choose_the_loss() -> None:
    several = torch.tensor([[0, 1], [1, 1]])
    assert loss_for(RECIPE, Y, classes=4).kind == "softmax"
    assert loss_for(change(RECIPE, loss="sigmoid"), Y, classes=4).kind == "sigmoid"
    assert loss_for(RECIPE, several, classes=2).several
    with pytest.raises(UsageError, match="loss softmax is for one class per image, but these images have several"):
        loss_for(change(RECIPE, loss="softmax"), several, classes=2)
    weighted = loss_for(change(RECIPE, class_weights="balanced", label_smoothing=0.1), Y, classes=4)
    assert (weighted.smoothing, weighted.weights is None) == (0.1, False)


def test_an_output_that_is_no_scores_is_one_sentence() -> None:
    wanted = r"the net's output must be scores of shape \(2, classes\) for 2 images, got \(2, 4, 7, 7\)"
    with pytest.raises(UsageError, match=wanted):
        Loss()(torch.zeros(2, 4, 7, 7), torch.tensor([0, 1]))
    with pytest.raises(UsageError, match=r"of shape \(2, 5\) for 2 images, got \(2, 4\)"):
        Loss(kind="sigmoid", several=True)(torch.zeros(2, 4), torch.zeros(2, 5))


def test_data_with_a_validation_part_use_it_instead_of_the_recipes(digits: ImageData) -> None:
    own = replace(digits, train=digits.train.subset(range(40)), validation=digits.train.subset(range(40, 60)))
    for recipe in (RECIPE, change(RECIPE, validation=0.25)):
        task = ImageTask(own, recipe, torch.device("cpu"))
        held = task.parts["validation"]
        assert held is not None
        assert (task.examples, len(held), task.validates) == (40, 20, True)
    assert not ImageTask(digits, RECIPE, torch.device("cpu")).validates
