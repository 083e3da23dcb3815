"""Data with train, val and test use all three; with train and one other part, that one is the test part, as ever."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from reslab.errors import UsageError
from reslab.images.account import Overlap, take
from reslab.images.data import ImageData, load
from reslab.images.data.images import fingerprint
from reslab.images.data.parts import part_of
from reslab.images.task import ImageTask, train_size
from reslab.images.train import prepare, stored_data, train, validation_part
from reslab.nets import spec
from reslab.train.recipe import Recipe, change, read

Fill = Callable[..., Path]
CPU = torch.device("cpu")
PLAIN = Recipe(epochs=1)


@pytest.fixture
def three(fill: Fill, tmp_path: Path) -> Path:
    """train/ (6 + 6), val/ (2 + 0) and test/ (3 + 3) of cats and dogs."""
    for part, cats, dogs in (("train", 6, 6), ("val", 2, 0), ("test", 3, 3)):
        fill(f"pets/{part}/cat", cats)
        fill(f"pets/{part}/dog", dogs)
    return tmp_path / "pets"


def own(data: ImageData) -> list[int]:
    assert data.validation is not None
    return data.validation.labels.tolist()


def test_three_folders_are_three_parts(three: Path) -> None:
    data = load(str(three))
    assert (len(data.train), own(data), len(data.test)) == (12, [0, 0], 6)
    assert data.line() == ("2 classes: cat, dog; 12 + 2 + 6 images (training, validation, test), RGB 8x8; "
                           "no validation image of 1 class: dog")  # fmt: skip
    assert data.about == "Images of folder pets, with its train/, val/ and test/ parts, 8 x 8, unchanged."
    assert (data.describe()["validation"], list(data.parts)) == (2, ["train", "validation", "test"])
    assert part_of(data, "validation", trained_on=None) == (data.validation, "validation")


@pytest.mark.parametrize("name", ["val", "Valid", "dev", "evaluation"])
@pytest.mark.parametrize("memory", [0, 2**31])
def test_with_two_folders_the_second_is_the_test_part_with_the_old_fingerprint(
    fill: Fill, tmp_path: Path, name: str, memory: int
) -> None:
    fill("d/train/a", 3), fill("d/train/b", 3), fill(f"d/{name}/a", 1), fill(f"d/{name}/b", 1)
    data = load(str(tmp_path / "d"), memory=memory)
    assert (data.validation, data.test.labels.tolist(), "validation" in data.describe()) == (None, [0, 1], False)
    assert data.fingerprint == fingerprint(data.train, data.test, classes=data.classes)
    with pytest.raises(UsageError, match='d has no validation part; choose part="test"'):
        part_of(data, "validation", trained_on=None)


def test_a_class_of_val_that_train_lacks_is_one_sentence(fill: Fill, three: Path) -> None:
    fill("pets/val/fox", 1)
    said = (r"train and .*val differ: 'dog' only in train/, 'fox' only in val/|the class folders of .* differ: 'fox' "
            r"only in val/; a class of val/ must have images in train/")  # fmt: skip
    with pytest.raises(UsageError, match=said):
        load(str(three))


def test_parquet_files_of_three_parts(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (4, 4)).save(out, "PNG")
    for name, labels in (("train-0", [0, 1, 0]), ("validation-0", [1]), ("test-0", [0, 1])):
        table = pa.table({"image": [out.getvalue()] * len(labels), "label": labels})
        pq.write_table(table, tmp_path / f"{name}.parquet")
    data = load(str(tmp_path))
    assert (data.train.labels.tolist(), own(data), data.test.labels.tolist()) == ([0, 1, 0], [1], [0, 1])
    assert "with its train, validation and test files" in data.about
    assert data.ignored == ()


def test_the_recipes_share_is_not_taken_beside_a_part_of_the_datas_own(three: Path) -> None:
    data, recipe = load(str(three)), change(PLAIN, validation=0.5)
    task = ImageTask(data, recipe, CPU)
    assert (task.examples, train_size(data, recipe), task.parts["validation"]) == (12, 12, data.validation)
    assert train_size(data.without_validation(), recipe) == 6


def test_the_account_counts_all_three_parts_and_where_they_overlap(three: Path) -> None:
    (three / "val/cat/0.png").write_bytes((three / "train/cat/4.png").read_bytes())
    (three / "test/dog/1.png").write_bytes((three / "val/cat/1.png").read_bytes())
    found = take(load(str(three), memory=0))
    assert [(part.name, part.by_class) for part in found.parts] == [
        ("train", (6, 6)), ("validation", (2, 0)), ("test", (3, 3)),
    ]  # fmt: skip
    assert found.overlaps == (Overlap(part="validation", other="train", images=1),
                              Overlap(part="test", other="validation", images=1))  # fmt: skip
    assert (found.shared, found.contradictory) == (0, 1)


def test_a_broken_validation_image_is_named_before_training(three: Path) -> None:
    (three / "val/cat/0.png").write_bytes(b"x")
    with pytest.raises(Exception, match=r"val/cat/0\.png"):
        load(str(three))


def test_a_run_stops_early_by_the_datas_own_part_and_an_older_run_keeps_its_two(three: Path, tmp_path: Path) -> None:
    data = load(str(three))
    recipe = read("digits", epochs=4, batch=6, early_stop=1, workers=0, precision="fp32", memory_format="NCHW")
    net = spec("resnet8")
    run = prepare(tmp_path / "run", net=net, data=data, word=str(three), recipe=recipe)
    result = train(run.folder, data=data)
    events = [event for event in run.metrics() if event.get("part") == "validation"]
    assert {event["n"] for event in events} == {2}
    assert isinstance(result["validation_error"], float)
    assert validation_part(run.folder, data) is data.validation
    assert run.read_json("data.json")["validation"] == 2
    old = prepare(tmp_path / "old", net=net, data=data.without_validation(), word=str(three),
                  recipe=change(recipe, early_stop=0))  # fmt: skip
    assert (
        prepare(old.folder, net=net, data=data, word=str(three), recipe=change(recipe, early_stop=0)).folder
        == old.folder
    )
    assert stored_data(old).validation is None
    assert train(old.folder, data=data)["validation_error"] is None
    with pytest.raises(UsageError, match=r"pets has no validation part, and the recipe of .*old sets none aside"):
        validation_part(old.folder, stored_data(old))
