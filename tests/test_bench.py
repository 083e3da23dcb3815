"""The benches still run, on next to nothing: what they claim is measured elsewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[1] / "bench"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "said"), [("tables.py", "predicted naive"), ("tables_embed.py", "30 numbers, 30 categories, 4 bags")]
)
def test_runs_and_agrees_with_the_naive_side(name: str, said: str) -> None:
    """Each compares its two sides before it times them."""
    words = [sys.executable, str(BENCH / name), "--rounds", "1", "--rows", "512"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert said in done.stdout


SMALL = {  # the least that each can do
    "startup.py": "--rounds 1",
    "train_step.py": "--net resnet8 --rounds 1 --steps 1",
    "train.py": "--iterations 2 --rounds 1",
    "find.py": "--rounds 1",
    "paths.py": "--net resnet8 --images 1 --paths 2 --rounds 1",
    "lesions.py": "--images 20 --batch 20 --rounds 1",
    "gradients.py": "--nets resnet20 --rounds 1",
    "initialization.py": "--depths 8 --seeds 1 --batch 8",
    "precision.py": "--net resnet8 --seeds 2 --epochs 1",
    "qa_fold.py": "--rounds 1 --batch 1 --tokens 32",
    "qa.py": "--rounds 1 --questions 1 --paragraphs 2 --batch 2 --length 256",
    "images.py": "--peer-images 512",
    "digests.py": "--rounds 1 --nets resnet8",
    "slim.py": "--images 8 --steps 1 --rounds 1",
    "ship.py": "--only table-1 --quick --rounds 1",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_every_other_bench_runs(name: str, tmp_path: Path) -> None:
    words = [sys.executable, str(BENCH / name), *SMALL[name].split()]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.slow
def test_short_recipes_are_compared_and_resumed(tmp_path: Path) -> None:
    words = [sys.executable, str(BENCH / "fast_cifar.py"), "--data", "digits", "--net", "resnet8", "--epochs", "0.1",
             "--validation", "100", "--only", "fast", "cutout-8", "--out", str(tmp_path)]  # fmt: skip
    for seeds in ("1", "2"):
        done = subprocess.run([*words, "--seeds", seeds], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("trained resnet8 on digits") == 2  # the second time those of the second seed alone
    assert re.search(r"\| cutout-8 \| 2 \| .* ± .* % \| [+-]", (tmp_path / "fast-cifar.md").read_text())


@pytest.mark.slow
def test_augmentation_is_timed_without_kornia_and_photographs(tmp_path: Path) -> None:
    words = [sys.executable, str(BENCH / "augment.py"), "--rounds", "1", "--sizes", "16"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.search(r"policy at 16 +Pillow +[\d,]+ images/s of CPU", done.stdout)


def test_make_bench_runs_every_bench() -> None:
    """peers_outputs.py and compatibility.py need torchvision and timm; results.py prints results, and measures nothing;
    small_tables.py takes an hour, for the tables of docs/tables.md, and fast_cifar.py a night; augment.py compares with
    kornia, which is no extra; photos.py, photos_train.py and photographs.py need photographs, and the last one takes an
    hour; slim_zoo.py checks, and measures no speed; serve_load.py needs a model to serve. The parts of ship.py are
    called ship_*.py.
    """
    listed = set(re.findall(r"bench/(\w+\.py)", (BENCH.parent / "Makefile").read_text(encoding="utf-8")))
    apart = {path.name for pattern in ("compatibility*.py", "ship_*.py") for path in BENCH.glob(pattern)}
    unlisted = {path.name for path in BENCH.glob("*.py")} - listed - apart
    assert unlisted == {
        "augment.py", "fast_cifar.py", "peers_outputs.py", "photographs.py", "photos.py", "photos_train.py",
        "results.py", "serve_load.py", "slim_zoo.py", "small_tables.py",
    }  # fmt: skip
    assert listed == {*SMALL, "tables.py", "tables_embed.py"}


@pytest.mark.slow
def test_the_zoo_of_slim(tmp_path: Path) -> None:
    """ResNet-56 without five blocks, one of which keeps its shortcut: loaded again, the outputs are the same."""
    words = [sys.executable, str(BENCH / "slim_zoo.py"), "--only", "reslab", "--match", "resnet56"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "| reslab resnet56 | 27 of 27 | 5, 1 keep their shortcut | a smaller spec | 0 | 0.0 |" in done.stdout
    assert "2 of 2 models were saved and loaded again with a difference of 0.0" in done.stdout


@pytest.mark.slow
def test_the_compatibility_script_resumes(tmp_path: Path) -> None:
    """bert of two layers: four residual connections, certified; run again, nothing is left to do."""
    pytest.importorskip("transformers")
    words = [sys.executable, str(BENCH / "compatibility.py"), "--log", "log.jsonl", "--only", "transformers"]
    for said in ("transformers:bert: 4 found, sum", ""):
        done = subprocess.run([*words, "--match", "^bert$"], capture_output=True, text=True, check=False, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(said)
        assert bool(done.stdout) == bool(said)
    table = subprocess.run([*words, "--table"], capture_output=True, text=True, check=False, cwd=tmp_path).stdout
    assert "1 architectures of 1 families were examined" in table
    assert "| 2 per layer (1) | bert |" in table
