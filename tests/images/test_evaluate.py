"""Errors counted from made-up scores, intervals against scipy's, views averaged by hand."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from reslab.errors import UsageError
from reslab.images.data import ImageData, Normalize, Pixels, load, measure
from reslab.images.evaluate import average, count_errors, evaluate
from reslab.images.matching import fitted
from reslab.nets import build, spec
from reslab.report.words import unequal
from reslab.train.tune import Choice

CPU = torch.device("cpu")
PLAIN = Normalize(torch.zeros(1, 1, 1), torch.ones(1, 1, 1))


@pytest.mark.parametrize(("wrong", "low", "high"), [(0, 0, 27.7533), (5, 23.6593, 76.3407), (10, 72.2467, 100)])
def test_the_interval_by_hand(wrong: int, low: float, high: float) -> None:
    """0 of 10: from 0 to z2 / (10 + z2) = 3.8415 / 13.8415; 5 of 10 is symmetric."""
    right = 10 - wrong
    scores = torch.tensor([[0.1, 0.9]] * wrong + [[0.9, 0.1]] * right).log()
    found = count_errors(scores, torch.zeros(10, dtype=torch.long), "")
    assert (found.error_low, found.error_high) == pytest.approx((low, high), abs=1e-3)


def test_errors_are_counted_by_hand() -> None:
    """Four images, seven classes: right; wrong but second; wrong and sixth; right."""
    scores = torch.tensor([
        [0.4, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1],
        [0.3, 0.5, 0.05, 0.05, 0.04, 0.03, 0.03],
        [0.3, 0.2, 0.2, 0.1, 0.1, 0.06, 0.04],
        [0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.4],
    ]).log()  # fmt: skip
    found = count_errors(scores, torch.tensor([0, 0, 5, 6]), "made up")
    assert (found.n, found.error, found.top5, found.views) == (4, 50.0, 25.0, "made up")
    # class 0: 1 of 2 wrong, class 5: 1 of 1, class 6: 0 of 1; the most frequent class has 2 of 4 images
    assert (found.balanced, found.majority) == (pytest.approx(50.0), 50.0)
    assert found.loss == pytest.approx(-(math.log(0.4) + math.log(0.3) + math.log(0.06) + math.log(0.4)) / 4)
    confusion = [[0] * 7 for _ in range(7)]
    confusion[0][0] = confusion[0][1] = confusion[5][0] = confusion[6][6] = 1
    assert [list(row) for row in found.confusion] == confusion
    assert (found.error_low, found.error_high) == pytest.approx((15.0036, 84.9964), abs=1e-3)  # Wilson's, 2 of 4


def test_top5_of_five_classes_is_not_a_number_of_interest() -> None:
    assert count_errors(torch.randn(3, 5), torch.tensor([0, 1, 4]), "").top5 is None
    assert count_errors(torch.randn(3, 6), torch.tensor([0, 1, 4]), "").top5 is not None


def test_a_label_the_net_has_no_class_for() -> None:
    with pytest.raises(UsageError, match="the data have a class 7, but the net has only 5 classes"):
        count_errors(torch.randn(3, 5), torch.tensor([0, 1, 7]), "")


def test_an_empty_part(few: ImageData) -> None:
    with pytest.raises(UsageError, match="there are no images to evaluate on"):
        evaluate(nn.Flatten(), few.test.subset([]), normalize=PLAIN, device=CPU)


@pytest.mark.parametrize("options", [{"crops": 5}, {"crops": 10, "scales": (8,)}, {"crops": 0}])
def test_views_that_cannot_be(few: ImageData, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="choose 1 or 10 crops, or scales; got crops"):
        evaluate(nn.Flatten(), few.test, normalize=PLAIN, device=CPU, **options)


def test_a_scale_too_small_for_vgg(few: ImageData) -> None:
    net = build(spec("cifar_vgg11_bn", channels=1))
    with pytest.raises(UsageError, match="this net needs images of 32 pixels or more, got scale 16"):
        evaluate(net, few.test, normalize=PLAIN, device=CPU, scales=(32, 16))


def test_views_are_averaged_as_probabilities() -> None:
    """(0.8, 0.2) and (0.01, 0.99) are (0.405, 0.595); (0.6, 0.4) and (0.45, 0.55) (0.525, 0.475)."""
    logs = [torch.tensor([[0.8, 0.2], [0.6, 0.4]]).log(), torch.tensor([[0.01, 0.99], [0.45, 0.55]]).log()]
    torch.testing.assert_close(average(logs).exp(), torch.tensor([[0.405, 0.595], [0.525, 0.475]]))
    assert average(logs[:1]) is logs[0]


class MeanPixel(nn.Module):
    """Two classes by the mean of the image: log probabilities of (mean, 1 - mean). Remembers what it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[tuple[int, ...]] = []
        self.modes: list[bool] = []

    def forward(self, x: Tensor) -> Tensor:
        self.shapes.append(tuple(x.shape))
        self.modes.append(self.training)
        mean = x.mean(dim=(1, 2, 3))
        return torch.stack([mean, 1 - mean], dim=1).log()


def halves(n: int = 6) -> Pixels:
    """8 x 8 images, white (51 of 255 in the right half) in n shades."""
    pixels = torch.zeros(n, 1, 8, 8, dtype=torch.uint8)
    for i in range(n):
        pixels[i, :, :, :4] = 40 * i + 20
    return Pixels(pixels=pixels, labels=torch.arange(n) % 2)


def test_mirrored_by_hand() -> None:
    """A net that sees the left column alone: with the mirror image the mean probability of both columns counts."""

    class Left(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x[:, :, 0, 0]  # (N, 2): the channels of the first pixel are the scores of two classes

    pixels = torch.zeros(2, 2, 1, 2, dtype=torch.uint8)
    pixels[0, :, 0, 0], pixels[0, :, 0, 1] = torch.tensor([51, 0]), torch.tensor([0, 255])  # left: class 0; right: 1
    pixels[1, :, 0, 0], pixels[1, :, 0, 1] = torch.tensor([0, 255]), torch.tensor([0, 255])
    part = Pixels(pixels=pixels, labels=torch.tensor([1, 1]))
    how = {"normalize": PLAIN, "device": CPU}
    alone, both = evaluate(Left(), part, **how), evaluate(Left(), part, **how, mirror=True)
    assert (alone.error, alone.views) == (50.0, "single view")
    assert (both.error, both.views) == (0.0, "single view and its mirror image")
    first = (1 / (1 + math.exp(0.2)) + 1 / (1 + math.exp(-1))) / 2  # the mean of both probabilities of class 1
    loss = -(math.log(first) + math.log(1 / (1 + math.exp(-1)))) / 2
    assert both.loss == pytest.approx(loss, abs=1e-6)


def test_ten_crops_by_hand() -> None:
    """Padding of 2, an image whose left half is v: crops at left, center, right show 4, 4, 4 of it and so on."""
    part, net = halves(), MeanPixel()
    found = evaluate(net, part, normalize=PLAIN, device=CPU, crops=10, pad=2)
    assert net.shapes == [(6, 1, 8, 8)] * 10
    padded = torch.nn.functional.pad(part.pixels.double() / 255, (2, 2, 2, 2))
    places = [(0, 0), (0, 4), (4, 0), (4, 4), (2, 2)]
    means = torch.stack([padded[:, :, t : t + 8, left : left + 8].mean(dim=(1, 2, 3)) for t, left in places] * 2)
    p = means.mean(dim=0)
    expected = -torch.where(part.labels == 0, p, 1 - p).log().mean()
    assert found.loss == pytest.approx(expected.item(), rel=1e-5)
    assert found.error == pytest.approx(100 * ((p < 0.5).long() != part.labels).double().mean().item())
    assert found.views == "10-crop"


def test_scales_see_the_whole_image_at_each_size() -> None:
    net = MeanPixel()
    found = evaluate(net, halves(), normalize=PLAIN, device=CPU, scales=(8, 12, 4))
    assert net.shapes == [(6, 1, 8, 8), (6, 1, 12, 12), (6, 1, 4, 4)]
    assert found.views == "scales 8, 12, 4"
    single = evaluate(MeanPixel(), halves(), normalize=PLAIN, device=CPU, scales=(8,))
    assert single.loss == pytest.approx(evaluate(MeanPixel(), halves(), normalize=PLAIN, device=CPU).loss, rel=1e-6)


def test_every_view_runs_on_a_real_net(few: ImageData) -> None:
    torch.manual_seed(0)
    net = build(spec("resnet8", channels=1, size=8))
    plain = evaluate(net, few.test, normalize=PLAIN, device=CPU)
    assert plain.n == 50 == sum(map(sum, plain.confusion))
    for options in ({"crops": 10}, {"scales": (8, 10, 16)}, {"scales": (7,)}):
        found = evaluate(net, few.test, normalize=PLAIN, device=CPU, **options)
        assert found.n == 50
        assert found.confusion != plain.confusion  # it did look at something else
    unpadded = evaluate(net, few.test, normalize=PLAIN, device=CPU, crops=10, pad=0)
    mirrored = Pixels(pixels=few.test.pixels.flip(3), labels=few.test.labels)  # type: ignore[union-attr]
    again = evaluate(net, mirrored, normalize=PLAIN, device=CPU, crops=10, pad=0)
    assert unpadded.loss == pytest.approx(again.loss, rel=1e-5)  # five of the image and five of its mirror


def test_encoded_images_of_many_shapes_at_two_scales(pngs: Path) -> None:
    data = load(str(pngs), memory=0)
    torch.manual_seed(0)
    net = build(spec("resnet8", channels=1, size=8, classes=3))
    memory = load(str(pngs))
    for options in ({}, {"scales": (8,)}):
        found = [evaluate(net, d.test, normalize=PLAIN, device=CPU, **options) for d in (data, memory)]  # type: ignore
        assert found[0].confusion == found[1].confusion
        assert found[0].loss == pytest.approx(found[1].loss, rel=1e-5)
    assert evaluate(net, data.test, normalize=PLAIN, device=CPU, scales=(8, 12)).n == 12
    assert evaluate(net, data.test, normalize=PLAIN, device=CPU, crops=10).n == 12


@pytest.mark.parametrize("training", [True, False])
def test_evaluation_leaves_the_net_as_it_was(few: ImageData, training: bool) -> None:
    net = build(spec("resnet8", channels=1, size=8)).train(training)
    frozen = next(m for m in net.modules() if isinstance(m, nn.BatchNorm2d))
    frozen.eval()
    modes = [m.training for m in net.modules()]
    before = {key: value.clone() for key, value in net.state_dict().items()}
    torch.manual_seed(0)
    state = torch.get_rng_state()
    evaluate(net, few.test, normalize=PLAIN, device=CPU, choice=Choice(precision="bf16", memory_format="NHWC"))
    assert [m.training for m in net.modules()] == modes
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert all(p.grad is None for p in net.parameters())


def test_modes_come_back_after_an_error(few: ImageData) -> None:
    net = build(spec("resnet8", channels=3, size=8)).train()
    with pytest.raises(RuntimeError):
        evaluate(net, few.test, normalize=PLAIN, device=CPU)
    assert all(m.training for m in net.modules())


def test_the_net_is_in_eval_mode_meanwhile() -> None:
    net = MeanPixel().train()
    evaluate(net, halves(), normalize=PLAIN, device=CPU)
    assert net.modes == [False]
    assert net.training


def named(classes: tuple[str, ...], labels: list[int]) -> ImageData:
    part = Pixels(pixels=torch.zeros(len(labels), 1, 8, 8, dtype=torch.uint8), labels=torch.tensor(labels))
    return ImageData(name="other", train=part, test=part, classes=classes, shape=(1, 8, 8), fingerprint="", about="")


def test_classes_in_another_order_are_matched_by_name() -> None:
    net = replace(spec("resnet8"), classes=3, channels=1)
    learned = ["ant", "bee", "cat"]
    found = fitted(net, named(("cat", "bee", "ant"), [0, 0, 1, 2]), learned)
    assert (found.classes, found.test.labels.tolist()) == (("ant", "bee", "cat"), [2, 2, 1, 0])
    few = fitted(net, named(("cat", "bee"), [0, 1]), learned)
    assert (few.classes, few.train.labels.tolist()) == (("ant", "bee", "cat"), [2, 1])


def test_a_shared_name_never_counts_as_another_class() -> None:
    net = replace(spec("resnet8"), classes=3, channels=1)
    with pytest.raises(UsageError, match=r"'owl' is none of them, so 'bee' cannot be matched by order; rename or rem"):
        fitted(net, named(("bee", "cat", "owl"), [0]), ["ant", "bee", "cat"])
    with pytest.warns(UserWarning, match="matched by order: 'owl' in other counts as 'cat'"):
        assert fitted(net, named(("ant", "bee", "owl"), [2]), ["ant", "bee", "cat"]).test.labels.tolist() == [2]
    with pytest.warns(UserWarning, match="matched by order"):
        fitted(net, named(("x", "y", "z"), [2]), ["ant", "bee", "cat"])


def test_noise_of_190_to_10_shows_its_balanced_error() -> None:
    """Always the first class: 10 of 200 wrong, which is no class of one and all of the other."""
    scores, labels = torch.tensor([[0.9, 0.1]]).log().repeat(200, 1), torch.tensor([0] * 190 + [1] * 10)
    found = count_errors(scores, labels, "")
    assert (found.error, found.balanced, found.majority) == pytest.approx((5.0, 50.0, 5.0))
    assert unequal(found.balanced, found.majority, 2) == (
        "The classes are unequal: always predicting the most frequent one gives 5.00 % error. "
        "The balanced error, the mean of the classes' errors, is 50.00 %."
    )
    assert unequal(20, 49, 2) == unequal(None, None, 2) == unequal(1, 90, 10) == ""


def test_smaller_batches_where_the_memory_is_too_small(monkeypatch: pytest.MonkeyPatch, digits: ImageData) -> None:
    """50 images fit, 250 do not; the errors are those of all at once."""
    model = build(spec("resnet8", channels=1, size=8))
    how: dict[str, Any] = {"normalize": measure(digits.train, mean="pixel", std=False), "device": torch.device("cpu")}
    whole = evaluate(model, digits.test, **how)
    seen: list[int] = []
    forward = type(model).forward

    def small(self: Any, x: torch.Tensor) -> Any:
        seen.append(len(x))
        if len(x) > 50:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(self, x)

    monkeypatch.setattr(type(model), "forward", small)
    found = evaluate(model, digits.test, **how)
    assert seen[:3] == [250, 50, 50]
    assert (found.n, found.error, found.confusion) == (whole.n, whole.error, whole.confusion)
    monkeypatch.setattr(type(model), "forward", lambda self, x: (_ for _ in ()).throw(MemoryError()))
    with pytest.raises(MemoryError):
        evaluate(model, digits.test, **how)
