"""Data that changed between runs: one sentence that says what differs, as far as it can be known."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reslab.cli import main
from reslab.errors import ReslabError, UsageError
from reslab.images.changes import changes, differences
from reslab.images.data import load
from reslab.images.train import prepare, stored_data, train
from reslab.nets import spec
from reslab.run import Run
from reslab.train.recipe import change, read

Fill = Callable[..., Path]
RECIPE = change(read("digits"), epochs=1, batch=4, workers=0, precision="fp32", memory_format="NCHW", compile="off")
THEN = {"classes": ["ant", "bee"], "counts": {"train": [6, 6], "test": [2, 2]}, "shape": [3, 8, 8], "train": 12,
        "test": 4}  # fmt: skip


def changed(**found: Any) -> list[str]:
    return list(differences(THEN, {**THEN, **found}))


def test_what_differs_in_words() -> None:
    assert changed() == []
    assert changed(counts={"train": [7, 6], "test": [2, 1]}) == ["training images of ant: 6 then, 7 now",
                                                                 "test images of bee: 2 then, 1 now"]  # fmt: skip
    assert changed(classes=["bee", "cat", "dog"], counts={"train": [6, 1, 1], "test": [2, 1, 1]}) == [
        "gone class: ant", "new classes: cat, dog"]  # fmt: skip
    assert changed(shape=[1, 9, 9]) == ["images of RGB 8x8 then, gray 9x9 now"]
    assert changed(validation=3) == ["validation images: none then, 3 now"]
    assert changed(several=True)[0] == "one class per image then, several labels per image now"
    old = {key: value for key, value in THEN.items() if key != "counts"}  # of an older run
    assert list(differences(old, {**THEN, "train": 13})) == ["training images: 12 then, 13 now"]
    moved = {**THEN, "counts": {"train": [5, 7], "test": [3, 2]}}
    assert list(differences(THEN, moved, together=True)) == ["images of bee: 8 then, 9 now"]


@pytest.fixture
def pets(fill: Fill, tmp_path: Path) -> tuple[Path, Run]:
    """A folder of 10 + 10 images, and a run on it that was stopped after its first step."""
    for name in ("cat", "dog"):
        fill(f"pets/{name}", 10)
    folder = tmp_path / "pets"
    for path in folder.rglob("*.png"):
        os.utime(path, (1e9, 1e9))
    return folder, begun(str(folder), tmp_path / "run")


def begun(word: str, folder: Path) -> Run:
    return prepare(folder, net=spec("resnet8"), data=load(word), word=word, recipe=RECIPE)


def test_a_folder_with_another_image(pets: tuple[Path, Run], capsys: pytest.CaptureFixture[str]) -> None:
    folder, run = pets
    (folder / "cat/10.png").write_bytes((folder / "cat/9.png").read_bytes())
    said = (r"the data '.*pets' differ from those that .*run started with \(images of cat: 10 then, 11 now; 1 file is "
            r"newer than the run, such as .*cat/10.png\); restore them")  # fmt: skip
    with pytest.raises(ReslabError, match=said + " to resume, or choose another folder"):
        train(run.folder)
    with pytest.raises(ReslabError, match=said + r", or use them as they are now with data=\".*pets\""):
        stored_data(run)
    with pytest.raises(UsageError, match=r"already contains a run on different data \(images of cat: 10 then, 11"):
        begun(str(folder), run.folder)
    os.utime(folder / "cat/10.png", (1e9, 1e9))
    assert changes(run, load(str(folder))) == "images of cat: 10 then, 11 now"


def test_a_replaced_image_of_the_same_name(pets: tuple[Path, Run]) -> None:
    folder, run = pets
    (folder / "cat/3.png").write_bytes((folder / "dog/3.png").read_bytes())
    found = changes(run, load(str(folder)))
    assert found.startswith("as many images of each class as then, so some were replaced or changed; 1 file is newer")
    assert found.endswith("cat/3.png")


def test_a_list_with_other_labels(fill: Fill, tmp_path: Path) -> None:
    fill("im", 10)
    rows = [f"im/{k}.png,{'cat' if k % 2 else 'dog'}" for k in range(10)]
    path = tmp_path / "pets.csv"
    path.write_text("file,label\n" + "\n".join(rows))
    run = begun(str(path), tmp_path / "run")
    path.write_text("file,label\n" + "\n".join(rows).replace("im/4.png,dog", "im/4.png,cat"))
    with pytest.raises(ReslabError, match=r"\(images of cat: 5 then, 6 now, images of dog: 5 then, 4 now; 1 file"):
        train(run.folder)
    path.write_text("file,label\n" + "\n".join([*rows[:8], "im/8.png,cow", "im/9.png,cow"]))
    with pytest.raises(ReslabError, match=r"\(new class: cow, .*is newer than the run, such as .*pets.csv"):
        train(run.folder)
    path.write_text("file,label\n" + "\n".join(rows))
    assert train(run.folder)["test_n"] == 2


def test_a_parquet_file_that_was_written_again(tmp_path: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    import io

    from PIL import Image

    cells = []
    for k in range(12):
        out = io.BytesIO()
        Image.new("RGB", (8, 8), (k, k, 0)).save(out, "PNG")
        cells.append(out.getvalue())
    path = tmp_path / "d.parquet"
    pq.write_table(pa.table({"image": cells, "label": ["a", "b"] * 6}), path)
    run = begun(str(path), tmp_path / "run")
    pq.write_table(pa.table({"image": cells[:10], "label": ["a", "b"] * 5}), path)
    with pytest.raises(ReslabError, match=r"\(images of a: 6 then, 5 now, images of b: 6 then, 5 now; 1 file is newer"):
        train(run.folder)


def test_evaluating_says_what_to_do(pets: tuple[Path, Run], capsys: pytest.CaptureFixture[str]) -> None:
    folder, run = pets
    train(run.folder)
    for path in (folder / "dog").glob("[5-9].png"):
        path.unlink()
    capsys.readouterr()
    assert main(["eval", str(run.folder)]) == 1
    said = capsys.readouterr().err
    assert "(images of dog: 10 then, 5 now)" in said
    assert f"or use them as they are now with --data {folder}" in said
    assert main(["eval", str(run.folder), "--data", str(folder)]) == 0
