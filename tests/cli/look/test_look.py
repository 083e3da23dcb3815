"""`reslab look` as a user sees it: what it prints, stores and refuses."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import reslab
from reslab.cli import main
from reslab.run import Run

QUICK = ["--repeats", "2", "--ks", "1"]


def look(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    """What --json prints."""
    capsys.readouterr()
    assert main(["look", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_model_whose_one_block_turns_every_answer_round(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """h = x - 2 x = -x: all answers wrong; without the block all are right."""
    found = look(capsys, "merges", "own.py:labelled")["merges"]["merges"]
    assert [(m["kind"], m["params"], m["macs"], m["cuttable"]) for m in found] == [("identity", 4, 2 * 4, True)]
    lesions = look(capsys, "lesions", "own.py:labelled", *QUICK)["lesions"]
    assert (lesions["n"], lesions["whole"]["error"], lesions["single"][0]["values"]["error"]) == (3, 1.0, 0.0)
    influence = look(capsys, "influence", "own.py:labelled")["influence"]["merges"][0]
    assert influence["influence"] == pytest.approx(2)  # 1 - cos(x, -x)
    assert influence["ratio"] == pytest.approx(2)
    assert influence["cosine"] > 0  # a step uphill
    depths = look(capsys, "readout", "own.py:labelled")["readout"]["depths"]
    assert [depth["values"]["error"] for depth in depths] == [0.0, 1.0]
    paths = look(capsys, "paths", "own.py:labelled")["paths"]
    assert paths["counts"] == [1, 1]
    assert paths["exact"][1] == pytest.approx(2 * paths["exact"][0])


def test_what_is_kept_and_what_it_replaces(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["look", "influence", "own.py:labelled", "--batch", "2"]) == 0
    out = capsys.readouterr().out
    assert "results: runs/look-own-labelled/results/look-influence.json\n" in out
    assert out.endswith("next:   reslab look readout own.py:labelled --batch 2\n")
    run = Run("runs/look-own-labelled")
    told = run.read_json("look.json")
    assert told["model"]["word"] == f"{own / 'own.py'}:labelled"
    assert (told["model"]["class"], told["model"]["parameters"]) == ("Turn", 4)
    seen = told["seen"]["influence"]
    assert (seen["n"], seen["settings"]["batch"], seen["settings"]["labels"]) == (3, 2, True)
    assert {"data", "seconds", "when", "command"} <= set(seen)
    assert seen["settings"]["environment"]["device"] == "cpu"
    assert run.has("look.html")
    assert len(run.read_json("results/look-merges.json")["merges"]) == 1
    assert main(["look", "influence", "own.py:labelled", "--samples", "1"]) == 0
    assert f"(replaces those of {seen['when'].replace('T', ' ')} (n = 3))" in capsys.readouterr().out
    assert main(["look", "influence", "own.py:example", "--out", "runs/look-own-labelled"]) == 2
    assert "holds results of another model (word " in capsys.readouterr().err


def test_labels_may_be_integers_of_any_size(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = look(capsys, "lesions", "own.py:short_labels", *QUICK)["lesions"]
    assert (found["n"], found["whole"]["error"]) == (3, 1.0)
    assert look(capsys, "lesions", "own.py:float_labels", "--no-labels", *QUICK)["lesions"]["n"] == 3


def test_all_leaves_out_what_a_model_does_not_allow(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = look(capsys, "all", "own.py:plain")
    why = "no residual connection was recognized in Sequential: no sum of a skip and a branch was found"
    assert found["paths"]["left_out"].startswith(why)
    assert found["readout"]["left_out"].startswith(why)
    assert found["lesions"]["layers"][0]["module"] == "0"  # the second is the head; the first keeps the shape
    assert [layer["module"] for layer in found["responses"]["layers"]] == ["0", "2"]
    assert main(["look", "all", "own.py:plain"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("own.py:plain (3 samples of the example input of own.py:plain)\n")
    assert "\n\nresponses:\nstandard deviation of 1 layers' responses: " in out
    assert f"paths: skipped: {why}" in out
    assert "report: runs/look-own-plain/look.html\n" in out


def test_a_run_brings_its_own_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    train = ["train", "--net", "resnet8", "--iterations", "3", "--precision", "fp32", "--memory-format", "NCHW"]
    assert main([*train, "--compile", "off", "--out", "my run"]) == 0
    found = look(capsys, "lesions", "my run", *QUICK, "--swaps", "1")
    run = Run("my run")
    assert found["data"]["fingerprint"] == run.read_json("data.json")["fingerprint"]
    assert found["data"]["normalize"] == "the run's"
    assert found["report"] == "my run/look.html"
    error = look_at_error(capsys)
    assert found["lesions"]["n"] == 360
    assert 100 * found["lesions"]["whole"]["error"] == pytest.approx(error)
    assert len(found["lesions"]["single"]) == 3
    sample = [look(capsys, "influence", "my run", "--samples", "50", "--seed", seed)["influence"] for seed in "001"]
    assert sample[0] == sample[1] != sample[2]
    first = look(capsys, "gradients", "my run", "--no-weights", "--batch", "360")
    assert (first["gradients"]["training"], first["model"]["initial"]) == (True, True)
    assert not run.has("results/look-gradients.json")  # the trained net's are another's
    assert Run("runs/look-my-run-initial").has("results/look-gradients.json")
    assert main(["look", "influence", "my run", "--size", "9"]) == 2
    assert "remove --size 9, or add --data" in capsys.readouterr().err
    assert main(["look", "responses", "my run"]) == 0
    assert "next:   reslab look gradients 'my run'\n" in capsys.readouterr().out


def look_at_error(capsys: pytest.CaptureFixture[str]) -> float:
    capsys.readouterr()
    assert main(["eval", "my run", "--json"]) == 0
    return json.loads(capsys.readouterr().out)["error"]


def test_twins_side_by_side_fit_their_data(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["net:plain8", "net:resnet8", "--data", "digits", "--samples", "20"]
    found = look(capsys, "responses", *words)
    assert [each["model"]["spec"]["shortcut"] for each in found["models"]] == ["none", "A"]
    assert [each["model"]["spec"]["channels"] for each in found["models"]] == [1, 1]
    assert found["report"] == "look.html"
    assert main(["look", "gradients", *words, "--size", "16", "--out", "both"]) == 0
    assert "report: both/look.html" in capsys.readouterr().out
    assert sorted(path.name for path in Path("both").iterdir()) == ["look.html", "net-plain8", "net-resnet8"]
    assert main(["look", "gradients", "net:resnet8", "--data", "digits", "--size", "16"]) == 2
    assert "holds results of another model (size 8 there, 16 now)" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore")  # others' deprecations
def test_language_models_get_the_labels_they_learned(zoo: Path, own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = ["--data", str(zoo / "words.txt"), "--length", "16", "--samples", "6"]
    causal = look(capsys, "readout", str(zoo / "causal"), *text)
    assert causal["readout"]["metrics"] == ["error", "loss", "kl"]
    assert len(causal["readout"]["depths"]) == 5
    lesions = look(capsys, "lesions", str(zoo / "masked"), *text, *QUICK)
    assert lesions["lesions"]["n"] == 6 * 2  # 15 % of the 14 words between [CLS] and [SEP]
    assert lesions["data"]["name"] == "words.txt"
    bert = look(capsys, "readout", str(zoo / "bert"), *text)
    assert bert["readout"]["metrics"] == ["drift"]
    drift = look(capsys, "readout", str(zoo / "masked"), *text, "--no-labels")
    assert drift["readout"]["metrics"] == ["drift"]
    assert look(capsys, "paths", str(zoo / "causal"), "--random", "--length", "9", "--samples", "3")["paths"]["n"] == 3


@pytest.mark.filterwarnings("ignore")
def test_merges_need_no_data_and_no_weights(zoo: Path, own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["look", "merges", str(zoo / "causal"), "--no-weights"]) == 0
    out = capsys.readouterr().out
    assert "GPT2LMHeadModel: 4 residual connections" in out
    assert "0-3 removable: nothing follows the addition" in out
    assert out.endswith("--no-weights --data DATA\n")
    assert main(["look", "merges", "net:cifar_vgg11_bn"]) == 0
    assert "no residual connection was recognized in VGG: no sum of a skip" in capsys.readouterr().out
    assert look(capsys, "merges", "own.py:bare", "--input", "2")["merges"]["batch"] == 2
    assert look(capsys, "merges", "own.py:bare", "--input", "2", "--merge", "branch")["merges"]["merges"][0]["named"]


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_of_the_model(precision: str, own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = look(capsys, "lesions", "own.py:labelled", *QUICK, "--precision", precision)
    assert found["lesions"]["whole"]["error"] == 1.0
    assert main(["look", "lesions", "own.py:infinite", "--precision", "fp16"]) == 1
    assert "are NaN or infinite" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("code", "words", "said"),
    [
        (2, ["lesions", "own.py:example", "--metrics", "error"], "error needs labels, but the data have none"),
        (2, ["influence", "own.py:odd_labels"], "its labels have shape [2], but its example input has 3 samples"),
        (2, ["lesions", "own.py:float_labels"], "own.py:float_labels: its labels are float32; classes must be whole"),
        (
            2,
            ["lesions", "own.py:word_labels"],
            "own.py:word_labels: its labels must be whole numbers, one per sample, got",
        ),
        (2, ["lesions", "own.py:seven"], "own.py:seven: its labels range from 7 to 7, but the model has 2 classes, 0"),
        (2, ["lesions", "own.py:one_hot"], "own.py:one_hot: its model returns [2] per sample, so its labels must have"),
        (2, ["influence", "own.py:empty"], "own.py:empty: its example input has no samples"),
        (
            2,
            ["influence", "own.py:text"],
            "own.py:text: its example input must be a tensor, a tuple of arguments or a dict of keyword arguments, got",
        ),
        (
            2,
            ["influence", "own.py:plain"],
            "a branch was found; responses, gradients and lesions can still be measured",
        ),
        (2, ["influence", "own.py:bare"], "own.py:bare needs data: give --data cifar10, a folder or"),
        (
            2,
            ["merges", "own.py:bare"],
            "returns no example input; give the shape of an input, such as --input 3x224x224",
        ),
        (2, ["merges", "own.py:bare", "--input", "3xx"], "such as 3x224x224, got '3xx'"),
        (2, ["merges", "own.py:bare", "--input", "5"], "Turn does not accept the example (float32 [2, 5] on cpu)"),
        (
            2,
            ["merges", "own.py:example", "--merge", "no.such"],
            "the model has no module 'no.such' to treat as a residual connection",
        ),
        (
            2,
            ["influence", "own.py:pictures", "--data", "digits", "--normalize", "none"],
            "has 7 classes, but digits has 10, so the labels cannot be used",
        ),
        (
            2,
            ["influence", "own.py:example", "--data", "words.txt"],
            "own.py:example takes images, but words.txt is a file of",
        ),
        (2, ["influence", "own.py:example", "--data", "digit"], "no data set, folder or file named 'digit'"),
        (2, ["influence", "own.py:example", "--random", "--data", "digits"], "--random replaces the data"),
        (2, ["influence", "own.py:example", "--samples", "0"], "samples must be positive, got 0"),
        (2, ["influence", "own.py:example", "--samples", "1.5"], "must be a whole number, got 1.5"),
        (2, ["influence", "own.py:example", "--batch", "-1"], "batch must be positive, got -1"),
        (2, ["influence", "own.py:example", "--threads", "-1"], "threads must be zero or more, got -1"),
        (
            2,
            ["influence", "own.py:example", "--device", "quantum"],
            "device 'quantum' is not available on this",
        ),
        (2, ["influence", "own.py:example", "--out", "own.py"], "own.py is a file; choose a folder with --out"),
        (2, ["influence", "own.py:example", "--out", "."], ". is not empty and has no results of `reslab look`"),
        (
            2,
            ["paths", "own.py:example", "--sample", "-1"],
            "sample must be zero or more and chunk positive, got -1",
        ),
        (2, ["responses", "own.py:example", "own.py:example"], "own.py:example is given twice; there is nothing to"),
        (2, ["responses", "own.py:example", "gone"], "checkpoint file or Hugging Face folder named 'gone'"),
        (2, ["influence"], "MODEL"),
        (2, ["responses"], "`reslab look responses` needs a MODEL, such as `reslab look responses RUN`"),
        (2, ["lesion", "own.py:example"], "lesions"),
        (1, ["influence", "own.py:nan_weights"], "own.py:nan_weights: its weights contain NaN (branch.weight)"),
        (1, ["influence", "own.py:nan_input"], "some values are NaN or infinite; nothing can be measured with them"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    code: int, words: list[str], said: str, own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["look", *words]) == code
    error = capsys.readouterr().err.strip()
    assert said in error
    assert len(error.splitlines()) == 1, error


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "words", "said"),
    [
        ("causal", [], "needs texts: give --data FILE"),
        ("causal", ["--data", "digits"], "no such file of texts: digits; supported types: .txt"),
        (
            "causal",
            ["--data", "{zoo}/words.txt", "--length", "65"],
            "takes windows of at most 64 tokens, got --length 65",
        ),
        (
            "masked",
            ["--data", "{zoo}/words.txt", "--length", "3"],
            "length must leave room for two tokens and 2 special",
        ),
        ("causal", ["--random", "--length", "1"], "length must be two or more, got 1"),
        ("vit", ["--data", "{zoo}/words.txt"], "takes images, but"),
        ("vit", ["--random", "--input", "1x12x12"], "it is made for images of 8 pixels: use --size 8"),
        (
            "vit",
            ["--data", "digits"],
            "ImageNet's mean is for 3 channels, but digits has 1 channel; use --normalize channel or pixel",
        ),
    ],
)
def test_texts_that_do_not_serve_are_one_sentence(
    name: str, words: list[str], said: str, zoo: Path, own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["look", "influence", str(zoo / name), *(word.format(zoo=zoo) for word in words)]) == 2
    error = capsys.readouterr().err.strip()
    assert said in error
    assert len(error.splitlines()) == 1, error


def test_images_are_brought_to_a_size_and_normalized(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(reslab.net("resnet8", channels=1, size=8).state_dict(), "w.pt")
    words = ["influence", "w.pt", "--net", "resnet8", "--data", "digits", "--samples", "20"]
    assert main(["look", *words]) == 2
    assert "use --normalize channel or pixel, whichever the model was trained with" in capsys.readouterr().err
    found = look(capsys, *words, "--normalize", "pixel", "--size", "12", "--part", "train")
    assert (found["data"]["shape"], found["data"]["normalize"], found["data"]["part"]) == (
        [1, 12, 12],
        "pixel",
        "train",
    )
    assert found["data"]["of"] == 1437


@pytest.mark.filterwarnings("ignore")
def test_a_vision_model_says_its_own_normalization(zoo: Path, own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(zoo / "vit", "vit")
    words = ["influence", "vit", "--data", "digits", "--samples", "5"]
    Path("vit/preprocessor_config.json").write_text('{"image_mean": [0.5], "image_std": [0.25]}')
    assert look(capsys, *words)["data"]["normalize"] == "the model's own"
    assert look(capsys, *words, "--normalize", "none")["data"]["normalize"] == "none"
    Path("vit/preprocessor_config.json").write_text('{"image_mean": [0.5, 0.5, 0.5], "image_std": [0.2, 0.2, 0.2]}')
    assert main(["look", *words]) == 2
    assert "vit takes images with 3 channels, but digits has 1" in capsys.readouterr().err


@pytest.mark.filterwarnings("always")
def test_a_result_is_kept_where_its_page_cannot_be_drawn(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("out/look.html").mkdir(parents=True)
    assert main(["look", "influence", "own.py:labelled", "--out", "out"]) == 2  # not a folder of ours
    Path("out/look.html").rmdir()
    assert main(["look", "influence", "own.py:labelled", "--out", "out"]) == 0
    Path("out/look.html").unlink()
    Path("out/look.html").mkdir()
    capsys.readouterr()
    assert main(["look", "readout", "own.py:labelled", "--out", "out"]) == 0
    told = capsys.readouterr()
    assert "results: out/results/look-readout.json" in told.out
    assert "warning: the page was not written: cannot write out/look.html" in told.err


def test_stopped_with_ctrl_c(own: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("reslab.look.influence", interrupted)
    assert main(["look", "influence", "own.py:labelled"]) == 130
    assert capsys.readouterr().err == "reslab: stopped\n"


def test_progress_is_shown_with_rate_and_time_left(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The function's own example is one batch; its first step is its last."""
    assert main(["look", "responses", "own.py:labelled"]) == 0
    assert re.fullmatch(r"responses 1/1: [0-9,.]+ batches/s\n", capsys.readouterr().err)


def test_certify(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """x - 2 x is exact; a model that doubles its input unseen fails with exit code 1, and its numbers are stored."""
    with Path("own.py").open("a") as file:
        file.write(
            "class Unseen(Turn):\n    def forward(self, x):\n        y = self.branch(x)\n"
            "        x.numpy().__imul__(2)\n        return x + y\ndef unseen(): return Unseen(), x\n"
        )
    found = look(capsys, "certify", "own.py:bare", "--input", "2")["certify"]
    assert found["holds"]
    assert found["merges"][0]["stream"] == {
        "absolute": 0,
        "relative": 0,
        "allowed": found["merges"][0]["stream"]["allowed"],
    }
    assert main(["look", "certify", "own.py:unseen"]) == 1
    shown = capsys.readouterr()
    assert "Unseen: the certificate fails for 1 of 1 residual connection (batch of 3, float32)" in shown.out
    assert "the certificate fails for 1 of 1 residual connection; do not rely" in shown.err
    stored = Run(Path("runs/look-own-unseen")).read_json("results/look-certify.json")["merges"][0]
    assert (stored["stream"]["absolute"], stored["entered"]) == (3, "fork")
    assert main(["look", "certify", "own.py:plain"]) == 2
    assert "no residual connection" in capsys.readouterr().err
