"""`reslab eval` as a person meets it: what becomes the run's test error, what is refused, what is never lost."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reslab.cli import main
from reslab.cli.evaluate import which_counts
from reslab.run import Run

TRAIN = [
    "train", "--net", "resnet8", "--iterations", "3", "--precision", "fp32", "--memory-format", "NCHW",
    "--compile", "off", "--out", "run",
]  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "run"
    assert main([*TRAIN[:-1], str(folder)]) == 0
    return folder


@pytest.fixture
def run(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """A run on the digits in the test's folder; nothing has been printed yet."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(trained, "run")
    capsys.readouterr()
    return Run("run")


def photos(classes: int, mode: str) -> str:
    """A folder of 4 images of 8 x 8 in each class c0, c1, ..."""
    noise = np.random.default_rng(0)
    for k in range(classes):
        folder = Path("photos") / f"c{k}"
        folder.mkdir(parents=True)
        for i in range(4):
            pixels = noise.integers(0, 255, (8, 8) if mode == "L" else (8, 8, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{i}.png")
    return "photos"


@pytest.mark.filterwarnings("always")
def test_training_images_and_other_data_do_not_become_the_test_error(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["eval", "run"]) == 0
    assert main(["eval", "run", "--part", "train", "--json"]) == 0
    assert main(["eval", "run", "--data", photos(10, "L")]) == 0
    assert "warning: class names differ, so classes are matched by order: 'c0'" in capsys.readouterr().err
    stored = {path.name: json.loads(path.read_text()) for path in run.path("results").glob("eval*.json")}
    assert {name: (found["part"], found["data"]["name"]) for name, found in stored.items()} == {
        "eval.json": ("test", "digits"),
        "eval-train.json": ("train", "digits"),
        "eval-photos.json": ("all", "photos"),  # they have no test part, and the run was not trained on them
    }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--size", "16"], "run is a run folder and has its own data and normalization: leave out --size 16, or add"),
        (["--root", "."], "leave out --root ., or add --data"),
        (["--normalize", "pixel"], "leave out --normalize pixel"),
        (["--data", "digits", "--normalize", "pixel"], "leave out --normalize pixel"),
        (["--data", ""], "no data set, folder or file named ''"),
    ],
)
def test_what_a_run_says_itself_is_not_asked(
    words: list[str], said: str, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["eval", "run", *words]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("classes", "mode", "said"),
    [
        (10, "RGB", "resnet8 was trained on images with 1 channels, but photos has 3"),
        (3, "L", "resnet8 has 10 classes, but photos has 3"),
    ],
)
def test_images_that_the_net_cannot_take_are_refused(
    classes: int, mode: str, said: str, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["eval", "run", "--data", photos(classes, mode)]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.filterwarnings("always")
def test_a_measurement_that_cannot_be_stored_is_printed(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run.path("results/eval.json").mkdir()  # as a read-only folder, which root may write
    for words in ([], ["--json"]):
        assert main(["eval", "run", *words]) == 0
        told = capsys.readouterr()
        assert "error" in told.out
        assert "warning: the result is not on the page of the run: cannot write run/results/eval.json" in told.err


def test_mirror_images_are_reported_apart(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """The error stays that of single views; beside it stands that of both."""
    assert main(["eval", str(run.folder), "--device", "cpu"]) == 0
    alone = run.read_json("results/eval.json")
    assert main(["eval", str(run.folder), "--tta", "flip", "--device", "cpu"]) == 0
    found = run.read_json("results/eval.json")
    assert "mirrored" not in alone
    assert found["error"] == alone["error"]
    assert found["mirrored"]["error_low"] <= found["mirrored"]["error"] <= found["mirrored"]["error_high"]
    assert f"averaged with each mirror image: error {found['mirrored']['error']:.2f} %" in capsys.readouterr().out


def test_the_precision_that_a_test_error_was_measured_in_is_named(tmp_path: Path) -> None:
    """Training in bf16 counted 4.44 %, this evaluation in fp32 counts a little differently: both are named."""
    run = Run(tmp_path)
    run.write_json("data.json", {"fingerprint": "f"})
    found = {"part": "test", "precision": "fp32", "data": {"fingerprint": "f"}, "views": "single view",
             "precise_bn": False}  # fmt: skip
    assert which_counts(run, found) == ""  # nothing to compare with
    run.write_json("results/train.json", {"test_error": 4.44, "choice": {"precision": "bf16"}})
    assert which_counts(run, found) == (
        "the run's test error is this one, measured in fp32; at the end of training it was 4.44 %, measured in bf16\n"
    )
    for other in ({"part": "train"}, {"precision": "bf16"}, {"data": {"fingerprint": "other"}}, {"precise_bn": True},
                  {"views": "10-crop"}, {"views": "scales 8, 10"}):  # fmt: skip
        assert which_counts(run, {**found, **other}) == ""


def test_a_checkpoint_is_measured_on_all_images_with_its_own_mean(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """40 images without parts: all are used, unless the fifth is asked for; the normalization is printed."""
    words = ["eval", "run/weights.safetensors", "--net", "resnet8", "--data", photos(10, "L")]
    assert main([*words, "--mean-std", "0.5", "0.25"]) == 0
    out = capsys.readouterr().out
    assert "n = 40, single view in fp32, all 40 images of photos, which has no test part; " in out
    assert out.count("; normalization: mean and std 0.5 0.25\n") == 1
    assert main([*words, "--mean-std", "0.5", "0.25", "--part", "test", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["n"] == 10  # at least one of each class
    assert main([*words, "--mean-std", "0.5", "0.25", "--normalize", "channel"]) == 2
    assert "--normalize and --mean-std exclude each other" in capsys.readouterr().err
    assert main(["eval", "run", "--mean-std", "0.5", "0.25"]) == 2
    assert "leave out --mean-std 0.5 0.25" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore:class names differ")
@pytest.mark.parametrize("model", ["run", "run/weights.safetensors"])
def test_images_that_a_net_was_trained_on_are_not_measured_unasked(
    run: Run, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run on 40 photos without a test part keeps its fifth, in another size too; 30 of the 40 were trained on."""
    word = str(Path(photos(10, "L")).resolve())
    about = {key: value for key, value in run.read_json("data.json").items() if key not in ("word", "options")}
    run.write_json("data.json", {**about, "word": word, "options": {}, "fingerprint": "of the photos at 8 x 8"})
    words = ["eval", model, "--data", "photos", "--size", "16", "--json"]
    words += [] if model == "run" else ["--net", "resnet8", "--normalize", "channel"]
    assert main(words) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["part"], found["n"]) == ("test", 10)


@pytest.mark.filterwarnings("ignore:class names differ")
def test_pictures_are_those_of_the_error_on_the_page(run: Run) -> None:
    """Ten crops become the headline, so its mistakes are theirs; training images and other data leave them alone."""
    before = run.read_json("results/pictures.json")
    assert (before["views"], before["n"], sum(before["confusion"]["n"])) == ("single view", 360, 360)
    assert main(["eval", "run", "--part", "train"]) == main(["eval", "run", "--data", photos(10, "L")]) == 0
    assert run.read_json("results/pictures.json") == before
    assert main(["eval", "run", "--crops", "10"]) == 0
    seen, found = run.read_json("results/eval.json"), run.read_json("results/pictures.json")
    assert found["views"] == seen["views"] == "10-crop"
    sparse = found["confusion"]
    assert all(seen["confusion"][i][j] == n
               for i, j, n in zip(sparse["true"], sparse["predicted"], sparse["n"], strict=True))  # fmt: skip
    assert found["error"] == seen["error"]


def test_test_images_among_the_training_images_are_warned_about(
    run: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Two of the photos in both parts, one of them with another label."""
    folder = Path(photos(2, "RGB"))
    for name in ("c0", "c1"):
        for part in ("train", "test"):
            (folder / part / name).mkdir(parents=True)
            for i in range(2):
                (folder / name / f"{2 * (part == 'test') + i}.png").rename(folder / part / name / f"{part}{i}.png")
        (folder / name).rmdir()
    shutil.copy(folder / "train" / "c0" / "train0.png", folder / "test" / "c0" / "again.png")
    shutil.copy(folder / "train" / "c0" / "train1.png", folder / "test" / "c1" / "elsewhere.png")
    assert main([*TRAIN[:-1], str(tmp_path / "twice"), "--data", str(folder), "--batch", "4"]) == 0
    warning = ("warning: 2 test images are training images, too (2 with the same pixels, 1 with another label); the "
               "report shows them\n")  # fmt: skip
    assert warning in capsys.readouterr().out
    assert main(["eval", str(tmp_path / "twice")]) == 0
    out = capsys.readouterr().out
    assert warning in out
    assert "top-5" not in out  # of two classes
    assert out.splitlines()[-1].startswith(f"next:   reslab predict {tmp_path / 'twice'} FILES")
    assert "elsewhere.png" in (tmp_path / "twice" / "report.html").read_text(encoding="utf-8")
