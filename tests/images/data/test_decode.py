"""Each kind of image file that people have, with colors known by hand."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from reslab.errors import BrokenImage, ReslabError
from reslab.images.data import decode, png
from reslab.images.data.decode import Reading, decode_shorter, decoded_rows, fit, header, resize_shorter


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def first(source: bytes | Path, channels: int = 3) -> object:
    return decode(source, channels=channels, name="x").getpixel((0, 0))


def test_gray_and_color() -> None:
    assert first(encoded(Image.new("RGB", (2, 2), (10, 20, 30)))) == (10, 20, 30)
    assert first(encoded(Image.new("L", (2, 2), 77))) == (77, 77, 77)
    assert first(encoded(Image.new("L", (2, 2), 77)), channels=1) == 77
    # ITU-R 601: 0.299 * 255 = 76.2
    assert first(encoded(Image.new("RGB", (2, 2), (255, 0, 0))), channels=1) == 76


def test_one_bit() -> None:
    image = Image.new("1", (2, 1))
    image.putpixel((0, 0), 1)
    assert first(encoded(image)) == (255, 255, 255)
    assert decode(encoded(image), channels=1, name="x").getpixel((1, 0)) == 0


def test_transparent_parts_are_white() -> None:
    assert first(encoded(Image.new("RGBA", (2, 2), (200, 0, 0, 0)))) == (255, 255, 255)
    # half over white: (0 * 128 + 255 * 127) / 255 = 127
    assert first(encoded(Image.new("RGBA", (2, 2), (0, 0, 0, 128)))) == (127, 127, 127)
    assert first(encoded(Image.new("LA", (2, 2), (0, 128))), channels=1) == 127
    assert first(encoded(Image.new("L", (2, 2), 9), transparency=9), channels=1) == 255


@pytest.mark.parametrize("transparency", [0, bytes([0, 255])], ids=["index", "table"])
def test_palette_with_alpha(transparency: int | bytes) -> None:
    image = Image.new("P", (2, 1), 0)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((1, 0), 1)
    got = decode(encoded(image, transparency=transparency), channels=3, name="x")
    assert got.getpixel((0, 0)) == (255, 255, 255)
    assert got.getpixel((1, 0)) == (0, 0, 255)


def test_palette() -> None:
    image = Image.new("P", (2, 1), 1)
    image.putpalette([255, 0, 0, 0, 0, 255])
    assert first(encoded(image)) == (0, 0, 255)
    assert first(encoded(image, "GIF")) == (0, 0, 255)


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    values = np.array([[0, 257, 32896, 65535]], dtype=np.uint16)  # 257 * 1, 257 * 128, 257 * 255
    for kind in ("PNG", "TIFF"):
        got = np.asarray(decode(encoded(Image.fromarray(values), kind), channels=1, name="x"))
        assert got.tolist() == [[0, 1, 128, 255]]
    wide = Image.fromarray(values.astype(np.int32))
    assert wide.mode == "I"
    assert np.asarray(decode(encoded(wide, "TIFF"), channels=1, name="x")).tolist() == [[0, 1, 128, 255]]


def test_float() -> None:
    unit = Image.fromarray(np.array([[0.0, 0.2, 1.0]], dtype=np.float32))
    assert np.asarray(decode(encoded(unit, "TIFF"), channels=1, name="x")).tolist() == [[0, 51, 255]]
    bytes_ = Image.fromarray(np.array([[0.0, 51.0, 300.0]], dtype=np.float32))
    assert np.asarray(decode(encoded(bytes_, "TIFF"), channels=1, name="x")).tolist() == [[0, 51, 255]]


def test_cmyk_jpeg() -> None:
    # cyan ink alone: red is absorbed, green and blue come back
    red, green, blue = first(encoded(Image.new("CMYK", (8, 8), (255, 0, 0, 0)), "JPEG", quality=100))
    assert red < 5
    assert min(green, blue) > 250


def test_exif_rotation() -> None:
    image = Image.new("RGB", (16, 8), "black")
    image.paste((255, 255, 255), (0, 0, 8, 8))  # left half white
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise to see it upright: left becomes top
    source = encoded(image, "JPEG", exif=exif, quality=100)
    upright = decode(source, channels=1, name="x")
    assert upright.size == (8, 16)
    assert upright.getpixel((4, 2)) > 250
    assert upright.getpixel((4, 13)) < 5
    found = header(source, name="x")
    assert (found.width, found.height, found.gray) == (8, 16, False)


def png_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def turned(where: str) -> bytes:
    """An image of 16 x 8 pixels, white on the left, that a note in one place turns a quarter clockwise."""
    image = Image.new("L", (16, 8), 0)
    image.paste(255, (0, 0, 8, 8))
    exif = Image.Exif()
    exif[0x0112] = 6
    raw = exif.tobytes()
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    if where.startswith("JPEG"):
        other = Image.Exif()
        other[0x010F] = "a camera"
        return encoded(image, "JPEG", quality=100, xmp=xmp, **({"exif": other} if "EXIF" in where else {}))
    lines = "\n".join(raw.hex()[k : k + 72] for k in range(0, 2 * len(raw), 72))
    note = {
        "eXIf": png_chunk(b"eXIf", raw[6:]),
        "XMP": png_chunk(b"iTXt", b"XML:com.adobe.xmp" + bytes(5) + xmp),
        "raw profile": png_chunk(
            b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(f"\nexif\n{len(raw):8}\n{lines}\n".encode())
        ),
    }[where.split(",")[0]]
    plain = encoded(image)
    at = plain.rindex(b"IEND") - 4 if "behind" in where else plain.index(b"IDAT") - 4
    return plain[:at] + note + plain[at:]


@pytest.mark.parametrize("where", [
    "eXIf", "eXIf, behind the data", "XMP", "XMP, behind the data", "raw profile", "raw profile, behind the data",
    "JPEG, XMP", "JPEG, XMP beside EXIF",
])  # fmt: skip
def test_wherever_the_orientation_stands(where: str) -> None:
    """Header, evaluation and training agree with Pillow's exif_transpose."""
    source = turned(where)
    judge = ImageOps.exif_transpose(Image.open(io.BytesIO(source)))
    assert judge.size == (8, 16)
    found, upright = header(source, name="x"), decode(source, channels=1, name="x")
    assert (found.width, found.height) == (8, 16)
    assert np.array_equal(np.asarray(upright), np.asarray(judge.convert("L")))
    pixels, box = decoded_rows(source, lambda w, h: (0, 0, w, h), shape=(1, 16, 8), reading=Reading())
    assert np.array_equal(pixels[..., 0], np.asarray(upright))
    assert box == (0, 0, 8, 16)


def test_a_large_image_is_not_decoded_for_its_header() -> None:
    """A PNG of 400 million pixels, compressed to nothing, with a note behind its data."""
    note = png_chunk(b"eXIf", b"MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0")
    big = png.SIGNATURE + png_chunk(b"IHDR", struct.pack(">IIBBBBB", 20_000, 19_999, 8, 0, 0, 0, 0))
    found = header(big + png_chunk(b"IDAT", b"no image") + note + png_chunk(b"IEND", b""), name="x", limit=10**9)
    assert (found.width, found.height) == (19_999, 20_000)


def test_exif_rotation_of_a_tiff_counts_once() -> None:
    image = Image.new("L", (16, 8), 0)
    image.paste(255, (0, 0, 8, 8))
    source = encoded(image, "TIFF", tiffinfo={0x0112: 6})
    upright = decode(source, channels=1, name="x")
    assert upright.size == (8, 16)
    assert (upright.getpixel((4, 2)), upright.getpixel((4, 13))) == (255, 0)
    found = header(source, name="x")
    assert (found.width, found.height, found.gray) == (8, 16, True)


def test_pixels_outlive_the_file(tmp_path: Path) -> None:
    for kind in ("PPM", "TIFF", "BMP", "GIF"):  # some are mapped from the file, not read
        file = tmp_path / f"x.{kind.lower()}"
        Image.new("L", (8, 8), 77).save(file, kind)
        got = decode(file, channels=1, name="x")
        file.unlink()
        assert got.getpixel((7, 7)) == 77


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")  # Pillow's, which people see; not the image's fault
def test_damaged_exif_is_no_reason_to_refuse() -> None:
    source = encoded(Image.new("RGB", (8, 8), "white"), "JPEG", exif=b"Exif\0\0MM\0*\0\0\xff\xffjunk")
    assert first(source) == (255, 255, 255)


def test_draft_stays_at_or_above_the_wanted_size() -> None:
    source = encoded(Image.new("RGB", (640, 480), "red"), "JPEG")
    assert decode(source, channels=3, name="x", near=120).size == (160, 120)  # a quarter
    assert decode(source, channels=3, name="x", near=121).size == (320, 240)
    assert decode(source, channels=3, name="x").size == (640, 480)


def test_truncated(tmp_path: Path) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    for kind in ("JPEG", "PNG"):
        whole = encoded(noise, kind)
        file = tmp_path / f"half.{kind.lower()}"
        file.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(BrokenImage, match=rf"^broken image {file.name}: .*truncated"):
            decode(file, channels=3, name=file.name)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (b"", "it is empty"),
        (b"<html>404</html>", "not an image that Pillow can read"),
        (Path("no/such.png"), "no such file"),
    ],
)
def test_no_image_at_all(source: bytes | Path, reason: str) -> None:
    with pytest.raises(BrokenImage, match=f"broken image cat.png: .*{reason}") as caught:
        decode(source, channels=3, name="cat.png")
    assert caught.value.exit_code == 1
    assert isinstance(caught.value, ReslabError)
    with pytest.raises(BrokenImage, match=reason):
        header(source, name="cat.png")


@pytest.mark.parametrize("limit", [60, 40, 20], ids=["allowed", "Pillow warns", "Pillow refuses"])
def test_bomb(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    source = encoded(Image.new("L", (10, 6)))  # 60 pixels
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    if limit == 60:
        assert decode(source, channels=1, name="x").size == (10, 6)
        return
    with pytest.raises(BrokenImage, match=f"more than {limit} pixels"):
        decode(source, channels=1, name="x")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_bomb_is_refused_where_warnings_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    source = encoded(Image.new("L", (10, 6)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40)
    with pytest.raises(BrokenImage, match="more than 40 pixels"):
        decode(source, channels=1, name="x")


def test_fit_keeps_the_middle() -> None:
    row = np.arange(6, dtype=np.uint8)[None].repeat(2, 0)  # 6 wide, 2 high
    assert np.asarray(fit(Image.fromarray(row), height=2, width=2)).tolist() == [[2, 3], [2, 3]]
    assert fit(Image.new("L", (100, 50)), height=32, width=32).size == (32, 32)
    assert fit(Image.new("L", (3, 7)), height=32, width=32).size == (32, 32)


def test_resize_shorter() -> None:
    assert resize_shorter(Image.new("L", (100, 50)), 10).size == (20, 10)
    assert resize_shorter(Image.new("L", (30, 50)), 60).size == (60, 100)
    # averaging, not picking: black and white columns become gray
    stripes = Image.fromarray(np.tile(np.array([0, 255], dtype=np.uint8), (64, 32)))
    middle = np.asarray(resize_shorter(stripes, 8))[4, 2:6]
    assert abs(middle.astype(int) - 127).max() <= 2


@pytest.mark.parametrize("turn", range(1, 9))
def test_a_shrunk_photograph_lies_where_the_whole_one_does(turn: int) -> None:
    """601 x 430 pixels at an eighth are 76 x 54: the decoder adds 7 columns and 2 rows, left or above if turned."""
    y, x = np.mgrid[:430, :601]
    picture = Image.fromarray(np.stack([x * 255 // 601, y * 255 // 430, (x + y) % 256 // 2], 2).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = turn
    source = encoded(picture, "JPEG", quality=95, exif=exif)
    judge = ImageOps.exif_transpose(Image.open(io.BytesIO(source)))
    pixels, box = decoded_rows(source, lambda w, h: (0, 0, w, h), shape=(3, 32, 32), reading=Reading())
    assert max(pixels.shape[:2]) == 76
    wanted = np.asarray(judge.resize((32, 32), Image.Resampling.BILINEAR), dtype=float)
    small = Image.fromarray(pixels).resize((32, 32), Image.Resampling.BILINEAR, box=box)
    assert np.abs(np.asarray(small, dtype=float) - wanted)[..., :2].max() < 3  # one of 32 columns is 8
    shorter = decode_shorter(source, 50, channels=3, name="x", reading=Reading())
    wanted = np.asarray(judge.resize(shorter.size, Image.Resampling.BILINEAR), dtype=float)
    assert min(shorter.size) == 50
    assert np.abs(np.asarray(shorter, dtype=float) - wanted)[..., :2].max() < 3


def test_a_small_image_is_not_enlarged() -> None:
    source = encoded(Image.new("RGB", (16, 8)), "JPEG")
    assert decode_shorter(source, 50, channels=3, name="x", reading=Reading()).size == (16, 8)
