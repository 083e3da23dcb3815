"""Training images that are JPEGs: the pixels and the verdicts of Pillow, whoever decodes them."""

import io
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from reslab.errors import BrokenImage
from reslab.images.data import Augment, Encoded, Normalize, jpeg
from reslab.images.data.augment import to_mirror
from reslab.images.data.augmented import augmented
from reslab.images.data.boxes import UNITS, crop_box, crop_boxes
from reslab.images.data.chance import Chance
from reslab.images.data.crops import boxed, resized_box, trimmed
from reslab.images.data.decode import Reading, decoded_rows, resize_box
from reslab.images.data.normalize import IMAGENET_MEAN, IMAGENET_STD
from reslab.images.sources.encoded import Rows
from reslab.train.order import CROP, draws

SHAPE = (3, 16, 16)
turbo = pytest.importorskip("simplejpeg")
DATA = Path(os.environ.get("RESLAB_DATA") or Path(__file__).parents[4] / "shared" / "data")


def picture(width: int, height: int) -> Image.Image:
    """Soft color gradients with some noise: neither flat nor pure noise."""
    y, x = np.mgrid[:height, :width]
    waves = np.stack([127 + 120 * np.sin(x / 9 + y / 23), 127 + 120 * np.cos(y / 7), (x * 3 + y * 2) % 256], axis=-1)
    noise = np.random.default_rng(0).normal(0, 12, waves.shape)
    return Image.fromarray((waves + noise).clip(0, 255).astype(np.uint8))


def saved(image: Image.Image, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", **{"quality": 90, **options})
    return out.getvalue()


@contextmanager
def by_pillow(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setattr(jpeg, "turbo", lambda: None)
        yield


def seen(data: bytes, box: tuple[float, ...], shape: tuple[int, int, int] = SHAPE) -> tuple[np.ndarray, object]:
    """The pixels of the box, and the box in what was decoded."""
    pixels, (left, top, right, bottom) = decoded_rows(data, lambda w, h: box, shape=shape, reading=Reading())
    return pixels[int(top) : int(-(-bottom // 1)), int(left) : int(-(-right // 1))], (left, top, right, bottom)


PLAIN = {
    "gray": ("L", {}), "4:4:4": ("RGB", {"subsampling": 0}), "4:2:2": ("RGB", {"subsampling": 1}),
    "4:2:0": ("RGB", {"subsampling": 2}), "progressive": ("RGB", {"progressive": True}),
    "gray progressive": ("L", {"progressive": True}), "restarts": ("RGB", {"restart_marker_rows": 1}),
    "dense restarts": ("RGB", {"restart_marker_blocks": 3}), "optimized": ("RGB", {"optimize": True}),
    "comment": ("RGB", {"comment": b"hello"}), "colors": ("RGB", {"icc_profile": b"\0" * 70_000}),
    "quality 5": ("RGB", {"quality": 5}),
}  # fmt: skip
SIZES = ((1, 1), (7, 5), (16, 16), (101, 75), (64, 190))


@pytest.mark.parametrize("kind", PLAIN)
def test_pixels_are_exactly_those_of_pillow(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mean and largest difference are zero: whole images, upper halves, and 1/2, 1/4, 1/8 of the size."""
    mode, options = PLAIN[kind]
    for (width, height), channels in product(SIZES, (1, 3)):
        data = saved(picture(width, height).convert(mode), **options)
        assert (channels == 1 and mode == "RGB") or jpeg.layout(data) is not None
        for share, side in product((0.5, 1), (1, 2, 4, 8, 300)):
            box = (0, 0, width, max(1, int(height * share)))
            shape = (channels, side, side)
            found = seen(data, box, shape)
            with by_pillow(monkeypatch):
                wanted = seen(data, box, shape)
            assert found[1] == wanted[1]
            assert np.array_equal(found[0], wanted[0])


def cropped(part: Encoded, i: int, choose: Callable[[int, int], tuple[int, int, int, int]]) -> torch.Tensor:
    return resized_box(boxed(part, i, choose), part=part)


def exif(turn: int) -> Image.Exif:
    found = Image.Exif()
    found[0x0112] = turn
    return found


OTHERS = {
    "cmyk": saved(picture(60, 40).convert("CMYK")),
    "rgb": saved(picture(60, 40), keep_rgb=True),
    "4:1:1": turbo.encode_jpeg(np.asarray(picture(60, 40)), colorsubsampling="411"),
    "4:4:0": turbo.encode_jpeg(np.asarray(picture(60, 40)), colorsubsampling="440"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_unusual_colors_are_left_to_pillow(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert jpeg.layout(OTHERS[kind]) is None
    box = (0, 0, 60, 20)
    found, _ = seen(OTHERS[kind], box)
    whole = np.asarray(Image.open(io.BytesIO(OTHERS[kind])).convert("RGB"))[:20]
    assert np.array_equal(found, whole) or kind == "cmyk"  # Pillow may shrink


@pytest.mark.parametrize("turn", range(1, 9))
def test_turned_photographs_come_upright(turn: int, monkeypatch: pytest.MonkeyPatch) -> None:
    data = saved(picture(60, 40), exif=exif(turn))
    asked = []

    def choose(width: int, height: int) -> tuple[int, int, int, int]:
        asked.append((width, height))
        return 3, 2, 30, 31

    part = Encoded(sources=Rows([data], "x"), rows=torch.tensor([0]), labels=torch.tensor([0]), shape=SHAPE)
    found = cropped(part, 0, choose)
    with by_pillow(monkeypatch):
        assert found.equal(cropped(part, 0, choose))
    assert asked[0] == ((60, 40) if turn < 5 else (40, 60))
    assert jpeg.layout(data).upright is False  # only Pillow reads EXIF


def verdict(data: bytes) -> str | None:
    part = Encoded(sources=Rows([data], "x"), rows=torch.tensor([0]), labels=torch.tensor([0]), shape=SHAPE)
    try:
        found = cropped(part, 0, lambda width, height: (0, 0, width, -(-height // 2)))
    except BrokenImage as error:
        return error.reason
    assert found.shape == SHAPE
    return None


def damaged(whole: bytes, chance: random.Random) -> bytes:
    found = bytearray(whole)
    for _ in range(chance.choice((1, 1, 2, 8))):
        at = chance.randrange(chance.choice((len(found), 700)))
        found[at % len(found)] = chance.choice((0, 0xFF, 0xD8, 0xD9, 0xDA, 0xC4, 0xE1, chance.randrange(256)))
    at, kind = chance.randrange(len(found)), chance.randrange(6)
    if kind == 0:
        del found[at:]
    elif kind == 1:
        del found[at : at + chance.randrange(1, 30)]
    elif kind == 2:
        found[at:at] = b"\xff" + bytes([chance.randrange(256)])
    return bytes(found)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("count", [400, pytest.param(8000, marks=pytest.mark.slow)])
def test_a_damaged_image_has_the_verdict_of_pillow(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes flipped, cut and repeated: refused with the same words, or accepted as Pillow accepts it."""
    chance = random.Random(count)
    wholes = [saved(picture(90, 120).convert(mode), **options) for mode, options in PLAIN.values()]
    wholes += [saved(picture(90, 120), exif=exif(6)), *OTHERS.values()]
    cases = [damaged(wholes[k % len(wholes)], chance) for k in range(count)]
    found = [verdict(case) for case in cases]
    with by_pillow(monkeypatch):
        wanted = [verdict(case) for case in cases]
    assert found == wanted
    assert 0.1 * count < sum(reason is None for reason in found) < 0.95 * count


def test_the_limit_of_pixels_is_kept() -> None:
    data = saved(picture(30, 20))
    with pytest.raises(ValueError, match="more than 599 pixels"):
        decoded_rows(data, lambda w, h: (0, 0, 1, 1), shape=SHAPE, reading=Reading(limit=599))
    assert decoded_rows(data, lambda w, h: (0, 0, w, h), shape=SHAPE, reading=Reading(limit=600))[0].shape == (
        20,
        30,
        3,
    )


def test_a_box_of_one_image_is_that_of_many() -> None:
    chance = np.random.default_rng(0)
    sizes, units = chance.integers(1, 600, (3000, 2)), chance.random((3000, UNITS))
    for area, aspect in ((0.08, 4 / 3), (0.9, 3.0)):
        many = crop_boxes(sizes, units, area=area, aspect=aspect).tolist()
        assert many == [
            list(crop_box(h, w, each, area=area, aspect=aspect))
            for (h, w), each in zip(sizes.tolist(), units.tolist(), strict=True)
        ]


@pytest.mark.parametrize("how", ["bilinear", "bicubic"])
def test_a_box_is_resized_as_pillow_resizes_it_alone(how: str) -> None:
    image, chance = picture(120, 90), np.random.default_rng(1)
    for units in chance.random((20, UNITS)).tolist():
        top, left, h, w = crop_box(90, 120, units, area=0.08, aspect=4 / 3)
        box = (left, top, left + w, top + h)
        for mode in ("RGB", "L"):
            pixels = np.asarray(image.convert(mode)).reshape(90, 120, -1)
            part = Encoded(sources=Rows([], "x"), rows=torch.empty(0), labels=torch.empty(0),
                           shape=(pixels.shape[2], 40, 50), reading=Reading(interpolation=how))  # fmt: skip
            found = resized_box(trimmed(pixels, box, height=40, width=50), part=part).permute(1, 2, 0).numpy()
            alone = resize_box(image.convert(mode).crop(box), (0, 0, w, h), height=40, width=50, interpolation=how)
            apart = abs(found.astype(int) - np.asarray(alone).reshape(found.shape))
            assert apart.mean() < 0.5  # levels of 256: rounding
            assert apart.max() <= {"bilinear": 1, "bicubic": 32}[how]  # and clipping between the two directions


def test_mirrored_by_the_decoder_is_mirrored_afterwards() -> None:
    """With channels last in memory or not, mirrored before or after the normalization: the same numbers."""
    pixels = torch.from_numpy(np.asarray(picture(40, 30)).copy()).permute(2, 0, 1)[None].repeat(5, 1, 1, 1)
    pixels = (pixels + torch.arange(5).view(5, 1, 1, 1)).to(torch.uint8)
    rows = pixels.contiguous(memory_format=torch.channels_last)
    normalize = Normalize(torch.tensor(IMAGENET_MEAN).view(3, 1, 1), torch.tensor(IMAGENET_STD).view(3, 1, 1))
    assert normalize(rows).equal(normalize(pixels))
    words = draws(5, batch=5, iteration=0, seed=0, stream=CROP)
    chance = Chance.of(lambda stream: words, kept=[0, 1, 2, 3, 4])
    how = {"augment": Augment(kind="resized-crop"), "normalize": normalize}
    turned = torch.stack([x.flip(2) if t else x for x, t in zip(rows, to_mirror(words), strict=True)])
    assert 0 < to_mirror(words).sum() < 5
    assert augmented(turned, chance, **how, mirrored=True).equal(augmented(pixels, chance, **how))
    assert augmented(rows, chance, **how).equal(augmented(pixels, chance, **how))


@pytest.mark.parametrize("how", ["bilinear", "bicubic"])
def test_a_box_between_pixels_is_pillows(how: str) -> None:
    """Also where only the pixels around it were kept, at any scale."""
    image = picture(300, 200)
    part = Encoded(sources=Rows([], "x"), rows=torch.empty(0), labels=torch.empty(0), shape=(3, 40, 50),
                   reading=Reading(interpolation=how))  # fmt: skip
    for box in ((10.5, 20.25, 60.5, 60.25), (0.3, 0.1, 299.5, 199.9), (100.5, 50.5, 120.5, 66.5)):
        found = resized_box(trimmed(np.asarray(image), box, height=40, width=50), part=part)
        wanted = resize_box(image, box, height=40, width=50, interpolation=how)
        assert np.array_equal(found.permute(1, 2, 0).numpy(), np.asarray(wanted))


@pytest.mark.slow
def test_photographs(monkeypatch: pytest.MonkeyPatch) -> None:
    """300 photographs, a random box of each: no pixel differs from Pillow's, and all but a few are not left to it."""
    files = sorted((DATA / "photos" / "originals").rglob("*.[jJ][pP]*"))
    if not files:
        pytest.skip(f"no photographs in {DATA}")
    units, plain = np.random.default_rng(0).random((len(files), UNITS)).tolist(), 0
    for file, each in zip(files, units, strict=True):
        data = file.read_bytes()
        plain += jpeg.layout(data) is not None

        def choose(width: int, height: int, each: list[float] = each) -> tuple[int, int, int, int]:
            top, left, h, w = crop_box(height, width, each, area=0.08, aspect=4 / 3)
            return left, top, left + w, top + h

        boxes = []
        for patch in (False, True):
            with monkeypatch.context() as context:
                if patch:
                    context.setattr(jpeg, "turbo", lambda: None)
                pixels, box = decoded_rows(data, choose, shape=(3, 224, 224), reading=Reading())
            boxes.append((pixels[: int(box[3])], box))
        assert boxes[0][1] == boxes[1][1]
        assert np.array_equal(boxes[0][0], boxes[1][0])
    assert plain >= 0.95 * len(files)
