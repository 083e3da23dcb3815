"""The claims: a whole training of ResNet-20 on 32 pixels takes a third of the CPU time of the usual loop, and one of
ResNet-18 on photographs at 224 pixels two fifths.

    python bench/train.py [--case cifar | photos] [--iterations N] [--rounds 3] [--auto]

Each side is a process of its own that reads the same generated image files, trains the same net for the same number of
iterations from random weights, reports its loss and error as it goes, and evaluates the test part at the end; its start
is counted. Theirs is what PyTorch's and torchvision's examples write: a Dataset that augments one PIL image at a time
(pad, crop and flip, of images kept in memory; or a resized crop and flip, of JPEG files opened each time), a DataLoader
with two workers, whose batches are channels first, fp32, eager, `torch.optim.SGD` with momentum and its defaults,
`loss.item()` and the count of errors in each step, and PyTorch's own memory settings. Ours is `reslab train` with the
same augmentation, in bf16 and NHWC, which `auto` finds on this machine, and with fused norms; with --auto it looks for
them first, which takes up to 20 seconds once and so is only worth counting in long runs. One thread each. The sides
take turns; CPU seconds of a process and its workers, and wall time; the interval is that of the mean over rounds.

Then steps alone, in turn in one process, without data: the usual one, ours, ours without fused norms, and the floor:
the convolutions of a step alone, forward and backward, in bf16 and NHWC.
"""

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

import reslab
from reslab.run import processor
from reslab.statistics import mean, mean_interval
from reslab.train.heap import keep_freed
from reslab.train.optimizer import make_optimizer
from reslab.train.recipe import read
from reslab.train.tune import Choice

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CLASSES = 10


@dataclass(frozen=True, kw_only=True)
class Case:
    """A net, its images and what `reslab train` is told."""

    net: str
    size: int  # of the net's input
    file: tuple[int, int]  # width and height of the image files
    kind: str  # ".png" or ".jpg"
    images: int  # training images
    batch: int
    flags: str


CASES = {
    "cifar": Case(net="cifar_resnet20", size=32, file=(32, 32), kind=".png", images=2560, batch=128,
                  flags="--recipe paper-cifar --mean imagenet --std"),
    "photos": Case(net="resnet18", size=224, file=(500, 375), kind=".jpg", images=320, batch=32,
                   flags="--recipe finetune --lr 0.1 --area 0.08 --validation 0 --keep last --mean imagenet "
                         "--size 224 --workers 2 --decay-all"),
}  # fmt: skip


def write_images(folder: Path, case: Case) -> None:
    """Smooth noise in ten class folders: photographs' sizes, and hardly less detail for a decoder."""
    rng = np.random.default_rng(0)
    for part, n in (("train", case.images), ("test", max(10, case.images // 10))):
        for i in range(n):
            place = folder / part / f"class{i % CLASSES}"
            place.mkdir(parents=True, exist_ok=True)
            noise = rng.integers(0, 256, (case.file[1] // 4, case.file[0] // 4, 3), dtype=np.uint8)
            Image.fromarray(noise).resize(case.file, Image.Resampling.BICUBIC).save(place / f"{i}{case.kind}")


class Photos(Dataset[tuple[Tensor, int]]):
    """The usual Dataset. Small images are kept in memory, as torchvision's CIFAR10 keeps them; large ones are not."""

    def __init__(self, folder: Path, case: Case, *, train: bool) -> None:
        self.case, self.train = case, train
        self.files = sorted(folder.glob(f"{'train' if train else 'test'}/*/*{case.kind}"))
        self.arrays = [np.asarray(Image.open(file).convert("RGB")) for file in self.files] if case.size == 32 else None

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        kept = self.arrays
        image = Image.open(self.files[i]).convert("RGB") if kept is None else Image.fromarray(kept[i])
        image = self.augmented(image) if self.train else self.centered(image)
        x = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().to(torch.float32).div(255)
        x = x.sub_(torch.tensor(MEAN).view(-1, 1, 1)).div_(torch.tensor(STD).view(-1, 1, 1))
        return x, int(self.files[i].parent.name.removeprefix("class"))

    def augmented(self, image: Image.Image) -> Image.Image:
        size = self.case.size
        if size == 32:
            image = ImageOps.expand(image, 4)
            left, top = random.randint(0, 8), random.randint(0, 8)
            image = image.crop((left, top, left + size, top + size))
        else:
            image = image.resize((size, size), Image.Resampling.BILINEAR, box=resized_crop(*image.size))
        return ImageOps.mirror(image) if random.random() < 0.5 else image

    def centered(self, image: Image.Image) -> Image.Image:
        return image if self.case.size == 32 else ImageOps.fit(image, (self.case.size,) * 2)


def resized_crop(width: int, height: int) -> tuple[float, float, float, float]:
    """A box of 8 % to 100 % of the area and an aspect ratio of 3/4 to 4/3, as RandomResizedCrop draws it."""
    for _ in range(10):
        area = width * height * random.uniform(0.08, 1)
        ratio = float(np.exp(random.uniform(np.log(3 / 4), np.log(4 / 3))))
        w, h = round((area * ratio) ** 0.5), round((area / ratio) ** 0.5)
        if 0 < w <= width and 0 < h <= height:
            left, top = random.randint(0, width - w), random.randint(0, height - h)
            return left, top, left + w, top + h
    return 0, 0, width, height


def usual(folder: Path, case: Case, iterations: int) -> None:
    """The usual training script."""
    net = reslab.net(case.net, classes=CLASSES)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    loader = DataLoader(Photos(folder, case, train=True), case.batch, shuffle=True, num_workers=2, drop_last=True)
    done, total, wrong = 0, 0.0, 0
    net.train()
    while done < iterations:
        for x, y in loader:
            out = net(x)
            loss = F.cross_entropy(out, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total, wrong, done = total + loss.item(), wrong + int((out.argmax(1) != y).sum()), done + 1
            if done == iterations:
                break
    print(f"loss {total / done:.3f}, error {100 * wrong / (done * case.batch):.1f} %")
    net.eval()
    missed = n = 0
    with torch.no_grad():
        for x, y in DataLoader(Photos(folder, case, train=False), case.batch, num_workers=2):
            missed, n = missed + int((net(x).argmax(1) != y).sum()), n + len(y)
    print(f"test error {100 * missed / n:.1f} %")


def spent(words: list[str], env: dict[str, str]) -> tuple[float, float]:
    """(CPU seconds of the process and its workers, wall seconds)."""
    began = time.perf_counter()
    process = subprocess.Popen(words, env={**os.environ, **env}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(words)} failed:\n{said.decode()}")
    return used.ru_utime + used.ru_stime, time.perf_counter() - began


def convolutions(net: nn.Module, x: Tensor) -> Callable[[], None]:
    """The convolutions of a step of the net on x alone, forward and backward, in bf16 and NHWC."""
    works: list[Callable[[], Any]] = []
    found = [module for module in net.modules() if isinstance(module, nn.Conv2d)]

    def keep(module: nn.Module, inputs: Any, out: Tensor) -> None:
        assert isinstance(module, nn.Conv2d)
        given, weight = inputs[0].detach().bfloat16(), module.weight.detach().bfloat16()
        given, gradient = (one.contiguous(memory_format=torch.channels_last) for one in (given, torch.randn_like(out)))
        how: Any = (None, module.stride, module.padding, module.dilation)
        needs = [module is not found[0], True, False]
        works.append(lambda: F.conv2d(given, weight, *how))
        works.append(lambda: torch.ops.aten.convolution_backward(
            gradient.bfloat16(), given, weight, None, *how[1:], False, [0, 0], 1, needs))  # fmt: skip

    handles = [module.register_forward_hook(keep) for module in found]
    with torch.no_grad():
        net(x)
    for handle in handles:
        handle.remove()

    def alone() -> None:
        for work in works:
            work()

    return alone


def stepper(
    case: Case, choice: Choice, x: Tensor, y: Tensor, optimizer: Callable[[nn.Module], Any]
) -> Callable[[], None]:
    """A step of the case's net without its data."""
    net = choice.place(reslab.net(case.net, classes=CLASSES), torch.device("cpu")).train()
    update = optimizer(net)

    def step() -> None:
        update.zero_grad()
        with choice.autocast(x.device):
            out = choice.run(net, x)
        F.cross_entropy(out, y).backward()
        update.step()

    return step


def steps_alone(case: Case, rounds: int) -> dict[str, list[float]]:
    """CPU seconds of a step of each kind, in turn; memory that is freed stays with the process for all of them."""
    keep_freed()
    x, y = torch.randn(case.batch, 3, case.size, case.size), torch.randint(0, CLASSES, (case.batch,))

    def ours(net: nn.Module) -> Any:
        return make_optimizer(net, read("paper-cifar"))

    def theirs(net: nn.Module) -> Any:
        return torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)

    plain = Choice(precision="bf16", memory_format="NHWC")
    sides = {
        "the usual step": stepper(case, Choice(), x, y, theirs),
        "ours": stepper(case, replace(plain, fused=True), x, y, ours),
        "ours without fused norms": stepper(case, plain, x, y, ours),
        "the convolutions alone": convolutions(reslab.net(case.net, classes=CLASSES), x),
    }
    found: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(rounds + 1):
        for name, side in sides.items():
            began = time.process_time()
            side()
            if turn:
                found[name].append(time.process_time() - began)
    return found


def said(values: Sequence[float]) -> str:
    """Median, range, and the interval of the mean."""
    interval = mean_interval(values)
    of_mean = f"; mean {mean(values):.2f}, 95 % interval {interval.low:.2f} to {interval.high:.2f}" if interval else ""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f}, n = {len(values)}{of_mean})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", choices=CASES, default="cifar")
    parser.add_argument("--iterations", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=7, help="steps of each kind that are timed alone")
    parser.add_argument("--auto", action="store_true", help="ours looks for precision and memory format itself")
    parser.add_argument("--usual", type=Path, help=argparse.SUPPRESS)  # one side, in a process of its own
    args = parser.parse_args()
    torch.set_num_threads(1)
    case = CASES[args.case]
    if args.usual:
        usual(args.usual, case, args.iterations)
        return
    env = {"OMP_NUM_THREADS": "1"}
    seen: dict[str, list[tuple[float, float]]] = {"the usual loop": [], "reslab": []}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_images(folder / "images", case)
        choice = "" if args.auto else "--precision bf16 --memory-format NHWC --fuse on"
        for turn in range(args.rounds):
            sides = (
                [sys.executable, __file__, "--case", args.case, "--iterations", str(args.iterations), "--usual",
                 str(folder / "images")],
                [sys.executable, "-m", "reslab", "train", "--data", str(folder / "images"), "--net", case.net,
                 "--batch", str(case.batch), "--iterations", str(args.iterations), "--threads", "1",
                 "--compile", "off", "--out", str(folder / f"run{turn}"), *case.flags.split(), *choice.split()],
            )  # fmt: skip
            for name, words in zip(seen, sides, strict=True):
                seen[name].append(spent(words, env))
    print(f"{processor()}, 1 thread, torch {torch.__version__}, {case.net} at {case.size} pixels, {args.iterations} "
          f"iterations of {case.batch}, load {os.getloadavg()[0]:.1f}")  # fmt: skip
    for k, what in enumerate(("CPU", "wall")):
        for name, times in seen.items():
            values = [one[k] for one in times]
            print(f"{name:<15} {statistics.median(values):7.1f} s {what} ({min(values):.1f} to {max(values):.1f}, "
                  f"n = {len(values)})")  # fmt: skip
        ratios = [a[k] / b[k] for a, b in zip(*seen.values(), strict=True)]
        print(f"reslab is so many times as fast by {what}: {said(ratios)}")
    steps = steps_alone(case, args.steps)
    for name, times in steps.items():
        print(f"{name:<25} {said([1000 * one for one in times])} ms CPU")
    usual_step = steps.pop("the usual step")
    for name, times in steps.items():
        print(f"the usual step / {name}: {said([a / b for a, b in zip(usual_step, times, strict=True)])}")


if __name__ == "__main__":
    main()
