"""Gray of more than 8 bits: one black and one white for a whole data set, and what the header alone decides."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reslab.errors import ReslabError, UsageError
from reslab.images.data import load
from reslab.images.data.gray import decide
from reslab.images.train import load_stored, prepare
from reslab.nets import spec
from reslab.run import Run
from reslab.train.recipe import Recipe


def folder_of(root: Path, images: dict[str, np.ndarray], kind: str = "tif") -> Path:
    """root/train/CLASS and root/test/CLASS with two copies of each image; the class is named as the image."""
    for part in ("train", "test"):
        for name, values in images.items():
            (root / part / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(values).save(root / part / name / f"1.{kind}")
    return root


def levels(data) -> dict[str, list[int]]:
    """The distinct gray values of each training image."""
    return {data.classes[label]: sorted(set(image.flatten().tolist()))
            for label, image in zip(data.train.labels.tolist(), data.train.pixels, strict=True)}  # fmt: skip


def test_floats_a_little_above_one_are_as_white_as_those_at_one(tmp_path: Path) -> None:
    pair = {"a": np.float32([[0, 0.5, 1.0]]), "b": np.float32([[0, 0.5, 1.001]])}
    data = load(str(folder_of(tmp_path, pair)))
    assert levels(data) == {"a": [0, 128, 255], "b": [0, 128, 255]}
    assert data.reading.gray == {"float": (0.0, 1.0)}
    assert "float gray: 0 is black and 1 white" in data.line()


def test_dim_and_bright_floats_of_one_set_keep_their_ratio(tmp_path: Path) -> None:
    """0..255: taken alone, the dim image's 0.8 would be nearly white."""
    data = load(str(folder_of(tmp_path, {"dim": np.float32([[0, 0.8]]), "bright": np.float32([[0, 200.0]])})))
    assert levels(data) == {"dim": [0, 1], "bright": [0, 200]}


def test_integers_up_to_255_are_not_black(tmp_path: Path) -> None:
    data = load(str(folder_of(tmp_path, {"a": np.int32([[0, 100, 255]]), "b": np.int32([[0, 3, 7]])})))
    assert levels(data) == {"a": [0, 100, 255], "b": [0, 3, 7]}


def test_twelve_bits_in_a_png_of_sixteen(tmp_path: Path) -> None:
    """4095 is white, so 2048 becomes 2048 * 255 / 4095 = 127.53."""
    images = {"a": np.arange(0, 4096, 16, dtype=np.uint16)[None], "b": np.uint16([[2048] * 255 + [4095]])}
    data = load(str(folder_of(tmp_path, images, "png")))
    found = levels(data)
    assert len(found["a"]) == 255  # 0 to 254: 4080 is not quite white; 17 with 65535 as white
    assert found["b"] == [128, 255]
    assert data.describe()["gray"] == {"16-bit": [0.0, 4095.0]}


def test_values_below_zero_are_not_cut_off(tmp_path: Path) -> None:
    """A CT scan in Hounsfield units: -1000 is air and black."""
    data = load(str(folder_of(tmp_path, {"a": np.int32([[-1000, 0, 3080]]), "b": np.int32([[-1000, 0, 1040]])})))
    assert data.reading.gray == {"integer": (-1000.0, 3080.0)}
    assert levels(data) == {"a": [0, 62, 255], "b": [0, 62, 128]}  # 1000 / 4080 * 255 = 62.5 (to even), 2040 / 4080


def test_infinite_values_do_not_decide(tmp_path: Path) -> None:
    values = np.float32([[0, 0.5, np.inf, np.nan, -np.inf]])
    data = load(str(folder_of(tmp_path, {"a": values, "b": np.float32([[0, 1, 0, 0, 0]])})))
    assert levels(data)["a"] == [0, 128, 255]
    assert data.reading.gray == {"float": (0.0, 1.0)}


@pytest.mark.parametrize(
    ("kind", "low", "high", "ends"),
    [
        ("float", 0, 1.2, (0, 1)),
        ("float", -0.1, 1.1, (0, 1)),  # what a sharp resampling filter leaves
        ("float", -1, 1, (-1, 1)),
        ("float", 0, 300, (0, 255)),
        ("float", 0, 4000.5, (0, 4095)),
        ("16-bit", 0, 0, (0, 255)),
        ("16-bit", 0, 256, (0, 511)),
        ("16-bit", 5, 65535, (0, 65535)),
        ("integer", 0, 2**31 - 1, (0, 2**31 - 1)),
        ("integer", -5, -5, (-5, -4)),
    ],
)
def test_white_is_the_largest_value_of_the_fewest_bits(kind: str, low: float, high: float, ends: tuple) -> None:
    assert decide(kind, [(low, high)]) == ends


def test_a_pgm_names_its_own_white(tmp_path: Path) -> None:
    """Half of maxval is half of white, however dark the set is."""
    for part in ("train", "test"):
        for name in "ab":
            (tmp_path / part / name).mkdir(parents=True)
            (tmp_path / part / name / "1.pgm").write_bytes(b"P5 2 1 4095\n" + struct.pack(">HH", 0, 2048))
    data = load(str(tmp_path))
    assert levels(data)["a"] == [0, 128]
    assert data.reading.gray == {}


def test_a_given_white(tmp_path: Path) -> None:
    root = folder_of(tmp_path, {"a": np.uint16([[0, 500]]), "b": np.uint16([[0, 1000]])}, "png")
    assert levels(load(str(root)))["b"] == [0, 249]  # 1000 / 1023
    assert levels(load(str(root), white=4000))["b"] == [0, 64]
    assert levels(load(str(root), white={"16-bit": (500, 1000)})) == {"a": [0], "b": [0, 255]}
    with pytest.raises(UsageError, match="white must be positive, got -1"):
        load(str(root), white=-1)
    with pytest.raises(ReslabError, match=r"must be two numbers, the smaller first, got \[7, 7\]"):
        load(str(root), white={"16-bit": (7, 7)})


def test_a_run_keeps_its_white(tmp_path: Path) -> None:
    """Encoded images as well: their fingerprint holds the white."""
    root = folder_of(tmp_path / "d", {"a": np.uint16([[0, 500]]), "b": np.uint16([[0, 1000]])}, "png")
    whole, encoded = load(str(root), white=4000), load(str(root), white=4000, memory=0)
    assert encoded.fingerprint != load(str(root), memory=0).fingerprint
    run = prepare(tmp_path / "r", net=spec("resnet8"), data=whole, word=str(root), recipe=Recipe(epochs=1, batch=2),
                  options={"white": 4000})  # fmt: skip
    assert Run(tmp_path / "r").read_json("data.json")["gray"] == {"16-bit": [0.0, 4000.0]}
    assert load_stored(run).fingerprint == whole.fingerprint


def test_color_outside_a_sample_of_headers(tmp_path: Path) -> None:
    """One red image among 600 gray ones, and a colored test part beside a gray training part."""
    gray, red = io.BytesIO(), io.BytesIO()
    Image.new("L", (4, 4), 9).save(gray, "PNG")
    Image.new("RGB", (4, 4), (255, 0, 0)).save(red, "PNG")
    for part, count in (("train", 599), ("test", 2)):
        for name in "ab":
            (tmp_path / part / name).mkdir(parents=True)
        for k in range(count):
            (tmp_path / part / "a" / f"{k}.png").write_bytes(gray.getvalue())
        (tmp_path / part / "b" / "x.png").write_bytes(gray.getvalue())
    assert load(str(tmp_path)).shape == (1, 4, 4)
    (tmp_path / "train/a/1.png").write_bytes(red.getvalue())
    data = load(str(tmp_path))
    assert data.shape == (3, 4, 4)
    assert [255, 0, 0] in data.train.pixels[:, :, 0, 0].tolist()
    assert "602 gray images read as RGB" in data.line()
    (tmp_path / "train/a/1.png").write_bytes(gray.getvalue())
    (tmp_path / "test/b/x.png").write_bytes(red.getvalue())
    assert load(str(tmp_path)).test.pixels[-1, :, 0, 0].tolist() == [255, 0, 0]


def test_one_training_image_of_another_size_is_no_longer_called_unchanged(tmp_path: Path) -> None:
    """Whichever it is: here the second of 600."""
    for name, n in (("a", 600), ("b", 5)):
        (tmp_path / name).mkdir()
        for k in range(n):
            Image.new("L", (9, 4) if k == 1 else (4, 4)).save(tmp_path / name / f"{k:03}.png")
    data = load(str(tmp_path))
    assert "resized and center-cropped to 32 x 32 (the sizes differ)" in data.about


def test_a_test_image_of_another_size_is_named(tmp_path: Path) -> None:
    root = folder_of(tmp_path, {"a": np.zeros((4, 4), np.uint8), "b": np.ones((4, 4), np.uint8)}, "png")
    Image.new("L", (8, 8)).save(root / "test/a/1.png")
    data = load(str(root))
    assert data.shape == (1, 4, 4)
    assert "1 test image of other sizes resized" in data.line()
    assert "unchanged but for 1 test image" in data.about


def test_sixteen_bits_per_color_are_named(tmp_path: Path) -> None:
    """Pillow keeps the upper eight."""
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0))
    png = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0\xff\0\x80\0\0\0")) + chunk(b"IEND", b"")
    for name in ("a/1", "a/2", "b/1", "b/2"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.png").write_bytes(png)
    data = load(str(tmp_path))
    assert data.train.pixels[0].flatten().tolist() == [255, 128, 0]
    assert "4 images with 16 bits per color read with 8" in data.line()
