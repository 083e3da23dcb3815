"""Images of strangers: formats that start programs, files that wait for ever, sizes that only a header claims."""

import io
import os
import resource
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reslab.errors import BrokenImage, ReslabError, UsageError
from reslab.images.data import Augment, Normalize, decode, load, training_batches, view_batches
from reslab.images.data.decode import Reading, fit, header, resize_shorter
from reslab.images.sources.mnist import read_idx


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\nshowpage\n"


@pytest.mark.parametrize("kind", ["EPS", "ICO", "TGA", "PCX", "JPEG2000", "ICNS", "DDS", "SGI"])
def test_only_the_formats_of_the_extensions_are_opened(kind: str, tmp_path: Path) -> None:
    """Pillow reads these, too: PostScript by starting Ghostscript."""
    image = Image.new("RGB", (16, 16))
    content = POSTSCRIPT if kind == "EPS" else encoded(image, kind)
    with Image.open(io.BytesIO(content)) as known:
        assert known.size
    file = tmp_path / "x.png"
    file.write_bytes(content)
    for source in (file, content):
        for read in (header, lambda *args, **named: decode(*args, channels=3, **named)):
            with pytest.raises(BrokenImage, match="x: it is not an image that Pillow can read as BMP, GIF, JPEG, PNG"):
                read(source, name="x")


@pytest.mark.parametrize("kind", ["BMP", "GIF", "JPEG", "MPO", "PNG", "PPM", "TIFF", "WEBP"])
def test_a_format_under_another_name(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "x.gif"
    file.write_bytes(encoded(Image.new("RGB", (8, 8), (250, 250, 250)), kind))
    assert min(decode(file, channels=3, name="x").getpixel((4, 4))) > 245


def test_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.png")
    for file in (tmp_path / "x.png", Path("/dev/zero"), tmp_path):
        with pytest.raises(BrokenImage, match="it is not a regular file"):
            decode(file, channels=3, name="x")


@pytest.mark.parametrize("name", ["d/train.parquet", "d.parquet", "cifar-10-batches-bin/data_batch_1.bin"])
def test_a_fifo_in_the_place_of_a_file_is_not_waited_for(name: str, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    os.mkfifo(tmp_path / name)
    word = "cifar10" if "cifar" in name else str(tmp_path / name.split("/")[0])
    with pytest.raises(UsageError):
        load(word, root=tmp_path)


def test_a_strip_is_cropped_before_it_is_resized() -> None:
    """8000 x 1 pixels to 224 x 224: resized as a whole, it would have 401 million pixels."""
    row = Image.fromarray(np.arange(8000, dtype=np.uint16).astype(np.uint8)[None])
    began = time.perf_counter()
    middle = np.asarray(fit(row, height=224, width=224))
    assert time.perf_counter() - began < 1
    values = np.arange(8000) % 256  # one pixel covers the square: the middle falls between the 4000th and 4001st
    assert set(middle.flatten().tolist()) <= set(range(values[3999] - 1, values[4000] + 2))
    assert fit(row.transpose(Image.Transpose.ROTATE_90), height=32, width=32).size == (32, 32)


def test_a_crop_of_a_strip_is_that_of_the_resized_strip() -> None:
    """Of 400 x 10 pixels, where both can be computed: equal up to rounding."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (10, 400), dtype=np.uint8))
    for size in (5, 20):
        whole = resize_shorter(noise, size)
        box = (3 * size, 0, 4 * size, size)
        cut = np.asarray(resize_shorter(noise, size, box=box)).astype(int)
        assert np.abs(cut - np.asarray(whole.crop(box)).astype(int)).max() <= 1
    square = Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 30), dtype=np.uint8))  # not thin: as before
    assert np.array_equal(
        fit(square, height=4, width=4), square.resize((15, 4), Image.Resampling.BILINEAR).crop((5, 0, 9, 4))
    )


def strips(root: Path) -> Path:
    for part in ("train", "test"):
        for name in "ab":
            (root / part / name).mkdir(parents=True)
            Image.new("RGB", (8000, 1), (9, 9, 9)).save(root / part / name / "1.png")
    return root


def test_strips_in_every_view(tmp_path: Path) -> None:
    """Random scale and crop, one view, ten views; the whole strip at a scale is refused."""
    data = load(str(strips(tmp_path)), size=32, memory=0)
    plain = Normalize.from_dict({"mean": [[[0.0]]] * 3, "std": [[[1.0]]] * 3})
    began = time.perf_counter()
    (batch,) = training_batches(data.train, batch=2, start=0, stop=1, seed=0, normalize=plain, device="cpu",
                                augment=Augment(kind="scale", scale=(40, 60)))  # fmt: skip
    assert batch.x.shape == (2, 3, 32, 32)
    for crops in (1, 10):
        ((views, _, _),) = view_batches(data.test, batch=2, normalize=plain, device="cpu", crops=crops)
        assert {tuple(view.shape) for view in views} == {(2, 3, 32, 32)}
        assert views[-1].mean().item() == pytest.approx(9 / 255, abs=1e-6)
    assert time.perf_counter() - began < 5
    with pytest.raises(BrokenImage, match=r"a/1.png: its 8000 x 1 pixels would become 1,792,000 x 224 at scale 224"):
        list(view_batches(data.test, batch=2, normalize=plain, device="cpu", scale=224))


def test_the_limit_of_pixels_can_be_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    for name in "ab":
        (tmp_path / name).mkdir()
        for k in range(2):
            Image.new("L", (10, 6), 7).save(tmp_path / name / f"{k}.png")
    with pytest.raises(
        ReslabError, match=r"it has more than 20 pixels \(max_pixels\): refused as a decompression bomb"
    ):
        load(str(tmp_path))
    data = load(str(tmp_path), max_pixels=60)
    assert data.train.pixels.unique().tolist() == [7]
    encoded_part = load(str(tmp_path), max_pixels=60, memory=0).train
    assert encoded_part.pixels(0).shape == (1, 6, 10)
    assert Image.MAX_IMAGE_PIXELS == 20  # Pillow's own is as before
    with pytest.raises(ReslabError, match="more than 59 pixels"):
        load(str(tmp_path), max_pixels=59)
    with pytest.raises(BrokenImage, match="more than 59 pixels"):
        decode(tmp_path / "a/0.png", channels=1, name="x", reading=Reading(limit=59))


def limited(work: object, *, megabytes: int) -> float:
    """The seconds that `work()` takes with so much more address space than now."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + megabytes * 2**20, before[1]))
    began = time.perf_counter()
    try:
        work()
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
    return time.perf_counter() - began


def claims(kind: str, width: int, height: int) -> bytes:
    """A few hundred bytes whose header claims width x height pixels."""
    if kind == "TIFF":
        whole = bytearray(encoded(Image.new("L", (1, 1)), "TIFF"))
        for tag, value in ((256, width), (257, height)):
            at = whole.index(struct.pack("<H", tag))  # in its directory: tag, type 4 (32 bits), one value
            whole[at : at + 12] = struct.pack("<HHII", tag, 4, 1, value)
        return bytes(whole)
    small = bytearray(encoded(Image.new("L", (1, 1)), kind))
    if kind == "PNG":
        small[16:24] = struct.pack(">II", width, height)
        small[29:33] = struct.pack(">I", zlib.crc32(small[12:29]))
    else:
        small[18:26] = struct.pack("<ii", width, height)
    return bytes(small)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_a_header_of_300_bytes_takes_no_more_than_its_pixels(kind: str) -> None:
    """Claims 2,500 million pixels: refused at once. Claims 81 million, which are allowed: 81 MB, then truncated."""

    def huge() -> None:
        with pytest.raises(BrokenImage, match="more than 89,478,485 pixels"):
            decode(claims(kind, 50_000, 50_000), channels=1, name="x")

    def allowed() -> None:
        with pytest.raises(BrokenImage):
            decode(claims(kind, 9_000, 9_000), channels=1, name="x")

    assert len(claims(kind, 9_000, 9_000)) < 2_000
    assert limited(huge, megabytes=50) < 2
    assert limited(allowed, megabytes=400) < 5


@pytest.mark.parametrize(
    ("shape", "sentence"),
    [
        ((4,), "holds more values, but its header announces 4"),
        ((10**4, 10**6), "cannot hold the 10,000,000,000 values"),
    ],
)
def test_a_small_gz_unpacks_no_more_than_its_header_announces(shape: tuple, sentence: str, tmp_path: Path) -> None:
    """194 kB of 200 MB."""
    file = tmp_path / "x.gz"
    zeros = zlib.compressobj(1, wbits=31)
    head = struct.pack(f">BBBB{len(shape)}I", 0, 0, 8, len(shape), *shape)
    file.write_bytes(zeros.compress(head) + b"".join(zeros.compress(bytes(10**6)) for _ in range(200)) + zeros.flush())
    assert file.stat().st_size < 1_000_000

    def read() -> None:
        with pytest.raises(UsageError, match=sentence):
            read_idx(file)

    assert limited(read, megabytes=50) < 1
