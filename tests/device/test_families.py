"""Every command of every family on the stand-in for a GPU: nothing stays on the CPU, and the numbers are the same."""

from pathlib import Path

import pytest
from far_runs import NET, TABLE, TEXT, Place

from reslab.cli import main
from reslab.run import Run

FOUND = 10  # layers of resnet8: its residual connections are found before it is moved


@pytest.fixture(scope="session")
def images(place: Place) -> Place:
    place(f"train --data @pngs {NET} --iterations 8 --augment crop --flip --precision fp32 --out %images", here=FOUND)
    return place


@pytest.fixture(scope="session")
def table(place: Place) -> Place:
    place(f"tables train @flats.csv --target large {TABLE} --members 1 --iterations 4 --precision fp32 --out %table")
    return place


@pytest.fixture(scope="session")
def reader(place: Place) -> Place:
    place(f"qa train --data @facts.json {TEXT} --iterations 3 --precision fp32 --out %reader")
    return place


def losses(run: Path) -> list[float]:
    return [line["loss"] for line in Run(run).metrics() if line["event"] in ("train", "eval")]


def test_images(images: Place) -> None:
    """The losses are those of a training on the CPU; another command evaluates and predicts."""
    run = images.folder / f"{images.kind}-images"
    again = run.with_name(f"{images.kind}-images-cpu")
    words = f"train --data @pngs {NET} --iterations 8 --augment crop --flip --precision fp32"
    assert main([*images.named(words).split(), "--device", "cpu", "--out", str(again)]) == 0
    assert losses(run) == pytest.approx(losses(again), rel=1e-4)
    images("eval %images")
    images("predict %images @pngs/c1 --tta flip --out %images.csv")
    images("look certify %images --samples 6")
    images("look merges %images")


def test_tables(table: Place) -> None:
    table("tables eval %table @flats.csv")
    table("tables predict %table @flats.csv --out %table.csv")


def test_questions(reader: Place) -> None:
    reader("qa eval %reader")
    reader("qa ask %reader Where? --context @text.txt")


@pytest.mark.slow
@pytest.mark.parametrize("how", [
    "--precision bf16 --ema .9 --mixup .2 --cutmix 1 --erase .5 --stochastic-depth .5 --precise-bn --accumulate 2 "
    "--validation 8 --early-stop 3 --look 2 --clip 1",
    "--policy rand --augment resized-crop --brightness .2 --hue .1 --class-weights balanced --sampling balanced",
    "--size 8 --augment scale --shortest 9 --longest 12 --color --mean channel --std --optimizer adamw --no-nesterov",
    "--policy rand --policy-ops 1 --repeats 2 --label-smoothing .1 --nesterov --schedule one-cycle --warmup .2",
    "--streams free:4", "--gate half", "--scale layer:1e-4", "--shortcut A", "--freeze backbone --weights %images",
    "--freeze 1 --layer-decay .9 --head-rate 2 --weights %images", "--active-blocks 1",
])  # fmt: skip
def test_recipes_of_images(images: Place, how: str, request: pytest.FixtureRequest) -> None:
    name = f"%{request.node.name.partition('[')[2][5:25].strip('-').replace(' ', '')}"
    images(f"train --data @pngs {NET} --iterations 4 {how} --out {name}", here=40)
    images(f"eval {name}")


@pytest.mark.slow
def test_several_labels(images: Place) -> None:
    images(f"train --data @list.csv --label-separator ; {NET} --iterations 4 --out %list", here=FOUND)
    for verb in ("eval %list", "predict %list @pngs/c0 --precision bf16", "look all %list --samples 8"):
        images(verb)


@pytest.mark.slow
@pytest.mark.parametrize("verb", [
    "eval %images --crops 10", "eval %images --scales 12 14", "eval %images --precise-bn",
    "predict %images @pngs/c0 --precision bf16", "look all %images --samples 12", "look lesions %images --samples 12",
    "look paths %images --samples 12", "look readout %images --samples 12", "look responses %images --samples 12",
    "look influence %images --samples 12", "look gradients %images --samples 12",
    "look all %images --samples 12 --precision bf16", "train --lr-find --data @pngs --net resnet8 --out %find.html",
])  # fmt: skip
def test_verbs_of_images(images: Place, verb: str) -> None:
    images(verb)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["--by disabling", "--by influence --method merge --distill .5"])
def test_slimming_images(images: Place, how: str) -> None:
    images(f"slim %images --remove 1 --epochs .3 --samples 12 {how} --out %slim{len(how)}", here=100)


@pytest.mark.slow
@pytest.mark.parametrize("how", [
    "--target large --members 2 --class-weight balanced --validation 10 --early-stop 3",
    "--target price --ema .9 --members 1",
    "--target sea bus --precision bf16 --members 1", "--target large --net mlp --members 1",
    "--target large --net gated-plain --members 1",
])  # fmt: skip
def test_recipes_of_tables(table: Place, how: str) -> None:
    sizes = "--sizes depth=2 width=8" if "mlp" in how else "--sizes depth=2 width=8 inner=8 embedding=4 bins=4"
    name = f"%table{len(how)}"
    table(f"tables train @flats.csv {how} --batch 16 --compile off {sizes} --iterations 4 --out {name}")
    table(f"tables eval {name} @flats.csv")
    table(f"predict {name} @flats.csv --out {name}.csv")


@pytest.mark.slow
@pytest.mark.parametrize("how", ["--head linear --precision bf16 --ema .9", "--answerable --checkpointing",
                                 "--train-last 0", "--head tokens"])  # fmt: skip
def test_recipes_of_questions(reader: Place, how: str) -> None:
    name = f"%reader{len(how)}"
    reader(f"qa train --data @facts.json {TEXT} --iterations 3 {how} --out {name}")
    reader(f"qa eval {name}")
    reader(f"predict {name} Where? --context @text.txt")
    reader(f"slim {name} --remove 1 --epochs .2 --out {name}-slim", here=200)
