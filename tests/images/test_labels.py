"""Several labels an image: scores against scikit-learn and by hand, a training, its evaluation, its predictions."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import average_precision_score, f1_score

import reslab
from reslab.cli import main
from reslab.errors import UsageError
from reslab.images.account import take
from reslab.images.data import ImageData, load
from reslab.images.evaluate import average_logits, count_labels
from reslab.images.label_scores import Ranked, average_precisions, label_intervals, label_scores
from reslab.images.matching import fitted
from reslab.images.train import prepare, train
from reslab.nets import spec
from reslab.run import Run
from reslab.statistics import Interval, clustered, wilson
from reslab.train.recipe import change, read


def made(n: int = 60, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores with ties, and labels; label 3 is never there, label 2 always."""
    generator = torch.Generator().manual_seed(seed)
    labels = (torch.rand(n, 4, generator=generator) < torch.tensor([0.1, 0.5, 1.0, 0.0])).long()
    scores = torch.randn(n, 4, generator=generator).mul(2).round().div(2) + labels - 0.25
    return scores, labels


def test_scores_are_scikit_learns() -> None:
    scores, labels = made()
    found = label_scores(scores, labels)
    y, said = labels.numpy(), (scores > 0).numpy()
    assert found.f1_micro == pytest.approx(f1_score(y, said, average="micro", zero_division=0))
    assert found.f1_macro == pytest.approx(f1_score(y[:, :3], said[:, :3], average="macro"))
    each = [average_precision_score(y[:, k], scores[:, k].numpy()) for k in range(3)]
    assert [one.ap for one in found.each[:3]] == pytest.approx(each)
    assert (found.each[3].ap, found.each[3].recall, found.each[3].recall_interval) == (None, None, None)
    assert found.mean_ap == pytest.approx(np.mean(each))
    assert found.exact == pytest.approx((y == said).all(axis=1).mean())


def test_intervals_of_many_labels_take_seconds_and_are_announced(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """100,000 images and labels: 1.5e8 / 1e5 would be 1500 resamples, of a million 150."""
    asked: list[int] = []

    def bootstrap(scores: object, n: int, *, resamples: int) -> dict[str, Interval]:
        asked.append(resamples)
        return {}

    monkeypatch.setattr("reslab.images.label_scores.bootstrap", bootstrap)
    for n in (1000, 10_000, 60_000):
        scores = torch.randn(n, 100, generator=torch.Generator().manual_seed(0))
        with caplog.at_level("INFO", logger="reslab"):
            label_intervals(scores, (scores > 2).long())
    assert asked == [1000, 150, 50]
    assert [record.getMessage() for record in caplog.records] == [
        f"95 % intervals from {many} resamples of {n} images and 100 labels"
        for many, n in ((1000, "1,000"), (150, "10,000"), (50, "60,000"))
    ]


def test_the_average_precision_of_resampled_images_is_that_of_the_images_listed() -> None:
    """With ties, and with images that are drawn several times or not at all."""
    scores, labels = made()
    rows = np.random.default_rng(1).integers(60, size=60)
    found = average_precisions(Ranked(scores, labels), np.bincount(rows, minlength=60).astype(float))
    listed = [average_precision_score(labels[rows, k].numpy(), scores[rows, k].numpy()) for k in range(3)]
    assert found[:3] == pytest.approx(listed)
    assert np.isnan(found[3])


def test_the_other_scores_by_hand() -> None:
    """Four images; label a is there twice, once found; b once, found, and once said in vain."""
    labels = torch.tensor([[1, 0], [1, 1], [0, 0], [0, 0]])
    scores = torch.tensor([[1.0, -1], [-1, 1], [-1, 1], [-1, -1]])
    found = count_labels(scores, labels, "single view")
    assert (found.error, found.exact_error) == (25, 50)  # 2 of 8 decisions, in 2 of 4 images
    assert found.balanced == pytest.approx(100 * (0.5 / 2 + (1 / 3) / 2) / 2)
    assert found.majority == pytest.approx(100 * (2 + 1) / 8)
    a, b = found.detailed(("a", "b")).labels or ()
    assert (a.name, a.images, a.predicted, a.right, a.precision, a.recall) == ("a", 2, 1, 1, 1.0, 0.5)
    assert (b.precision, b.recall, b.f1) == (0.5, 1.0, pytest.approx(2 / 3))
    assert b.precision_interval == (wilson(1, 2).low, wilson(1, 2).high)
    stored = found.as_dict()
    assert stored["several"]
    assert not {"confusion", "scores", "truth"} & stored.keys()


def test_nothing_there_and_nothing_said() -> None:
    found = label_scores(-torch.ones(3, 2), torch.zeros(3, 2, dtype=torch.int64))
    assert (found.exact, found.balanced, found.f1_micro, found.mean_ap) == (1.0, None, None, None)
    assert set(label_intervals(-torch.ones(3, 2), torch.zeros(3, 2, dtype=torch.int64))) == {"exact"}


def test_the_intervals_hold_the_scores_and_shrink_with_the_images() -> None:
    widths = []
    for n in (50, 500):
        scores, labels = made(n)
        found, ends = label_scores(scores, labels), label_intervals(scores, labels)
        for name in ("exact", "f1_micro", "f1_macro", "mean_ap"):
            assert ends[name].low < getattr(found, name) < ends[name].high
        widths.append(ends["mean_ap"].high - ends["mean_ap"].low)
    assert widths[1] < widths[0] / 2


def test_an_error_of_decisions_has_the_interval_of_its_images() -> None:
    """If all decisions on an image agree, they are one; if half of each image's are wrong, the mean is known well."""
    together = clustered([1.0] * 10 + [0.0] * 90)
    assert (together.low, together.high) == pytest.approx((wilson(10, 100).low, wilson(10, 100).high))
    assert clustered([0.0] * 50).high == pytest.approx(wilson(0, 50).high)
    spread = clustered([0.4, 0.6] * 50)
    assert 0.45 < spread.low < 0.5 < spread.high < 0.55


def test_views_of_labels_are_averaged_as_probabilities() -> None:
    one, other = torch.tensor([[2.0, -30.0]]), torch.tensor([[-1.0, 3.0]])
    mean = (one.double().sigmoid() + other.double().sigmoid()) / 2
    torch.testing.assert_close(average_logits([one, other]).double().sigmoid(), mean, rtol=1e-5, atol=1e-6)
    assert average_logits([one]) is one


@pytest.fixture
def shapes(tmp_path: Path) -> Path:
    """40 images of 8 x 8: the left half is bright if "left", the right half if "right"; labels are independent."""
    rows = ["file,left,right"]
    (tmp_path / "im").mkdir()
    noise = np.random.default_rng(0)
    for k in range(40):
        left, right = k % 2, k // 2 % 2
        pixels = noise.integers(0, 60, (8, 8, 3), dtype=np.uint8)
        pixels[:, :4] += np.uint8(180 * left)
        pixels[:, 4:] += np.uint8(180 * right)
        Image.fromarray(pixels).save(tmp_path / f"im/{k}.png")
        rows.append(f"im/{k}.png,{left},{right}")
    (tmp_path / "shapes.csv").write_text("\n".join(rows))
    return tmp_path / "shapes.csv"


RECIPE = change(read("digits"), epochs=8, batch=8, lr=0.02, workers=0, precision="fp32", memory_format="NCHW",
                compile="off", validation=0.2, class_weights="balanced", evaluate_every=4)  # fmt: skip


@pytest.fixture
def trained(shapes: Path, tmp_path: Path) -> Run:
    run = prepare(tmp_path / "run", net=spec("resnet8"), data=load(str(shapes)), word=str(shapes), recipe=RECIPE)
    train(run.folder)
    return run


def test_labels_are_learned_evaluated_and_predicted(
    trained: Run, shapes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = trained.read_json("results/train.json")
    assert result["several"]
    assert result["test_error"] < 10
    assert result["test_majority"] > 30
    assert {"test_exact_error", "test_f1_micro", "test_f1_macro", "test_mean_ap"} <= result.keys()
    assert trained.read_json("data.json")["several"]
    events = [event for event in trained.metrics() if event["event"] == "eval"]
    assert {"exact_error", "mean_ap", "majority"} <= events[-1].keys()
    card = trained.path("README.md").read_text()
    assert "| error of always predicting each label's more frequent value |" in card
    assert "share of wrong labels" in card
    assert main(["eval", str(trained.folder)]) == 0
    said = capsys.readouterr().out
    assert "share of wrong labels" in said
    assert "images with a wrong label" in said
    assert "left" in said
    stored = trained.read_json("results/eval.json")
    assert [one["name"] for one in stored["labels"]] == ["left", "right"]
    assert set(stored["intervals"]) == {"exact_error", "f1_micro", "f1_macro", "mean_ap"}
    assert stored["error"] == pytest.approx(result["test_error"])
    net = reslab.load(trained.folder)
    assert net.predict.several
    both = net.predict(shapes.parent / "im/3.png").values  # bright on both sides
    assert min(both) > 0.5


def test_resuming_is_exact(
    shapes: Path, tmp_path: Path, trained: Run, stopped_after: Callable, same_end: Callable
) -> None:
    from reslab.train.signals import Interrupted

    run = prepare(tmp_path / "again", net=spec("resnet8"), data=load(str(shapes)), word=str(shapes), recipe=RECIPE)
    with stopped_after(9), pytest.raises(Interrupted):
        train(run.folder)
    train(run.folder)
    same_end(run, trained)


def test_classes_and_labels_do_not_mix(trained: Run, shapes: Path, tmp_path: Path) -> None:
    net = reslab.load(trained.folder).spec
    (tmp_path / "classes.csv").write_text("file,label\n" + "\n".join(f"im/{k}.png,{k % 2}" for k in range(8)))
    (tmp_path / "others.csv").write_text("file,left,up\n" + "\n".join(f"im/{k}.png,{k % 2},0" for k in range(8)))
    with pytest.raises(UsageError, match="was trained on several labels per image, but classes has one class per"):
        fitted(net, load(str(tmp_path / "classes.csv")), ["left", "right"], several=True)
    with pytest.raises(UsageError, match="the labels of others are not those of resnet8: 'right' is only in the net"):
        fitted(net, load(str(tmp_path / "others.csv")), ["left", "right"], several=True)
    turned = shapes.read_text().replace("file,left,right", "file,right,left")  # the same columns under other names
    (tmp_path / "turned.csv").write_text(turned)
    data = load(str(tmp_path / "turned.csv"))
    moved = fitted(net, data, ["left", "right"], several=True)
    assert moved.classes == ("left", "right")
    assert torch.equal(moved.train.labels, data.train.labels.flip(1))


def test_the_account_counts_labels(shapes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def parts(data: ImageData) -> list[tuple[int, ...]]:
        return [part.by_class for part in take(data).parts]

    assert parts(load(str(shapes), memory=0)) == [(16, 16), (4, 4)]
    text = shapes.read_text().replace("im/39.png,1,1", "im/39.png,0,1")
    (shapes.parent / "im/39.png").write_bytes((shapes.parent / "im/38.png").read_bytes())
    shapes.write_text(text)
    assert main(["data", str(shapes), "--out", str(shapes.parent / "x.html")]) == 0
    said = capsys.readouterr().out
    assert "2 labels: left, right; 3" in said
    assert "error of always predicting each label's more frequent value: 4" in said


def test_looking_inside_compares_outputs(trained: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["look", "lesions", str(trained.folder)]) == 0
    said = capsys.readouterr()
    assert "have several labels each, so outputs are compared with the intact model's" in said.err
    assert "intact model: drift 0" in said.out
