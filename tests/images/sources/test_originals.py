"""CIFAR and MNIST from files in the published formats, tiny ones made here by the formats' own rules."""

import gzip
import hashlib
import pickle
import struct
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reslab.errors import ReslabError, UsageError
from reslab.images.data import load
from reslab.images.sources.cifar import CIFAR10, CIFAR100, Cifar, load_cifar
from reslab.images.sources.fetch import download
from reslab.images.sources.mnist import FASHION_MNIST, MNIST, load_mnist, read_idx

TINY10 = replace(CIFAR10, train={"data_batch_1": 2, "data_batch_2": 1}, test={"test_batch": 1})
TINY100 = replace(CIFAR100, train={"train": 2}, test={"test": 1})


def record(*labels: int, red: int = 1, green: int = 2, blue: int = 3) -> bytes:
    return bytes(labels) + bytes([red]) * 1024 + bytes([green]) * 1024 + bytes([blue]) * 1024


def write_binary(root: Path) -> Path:
    folder = root / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    (folder / "data_batch_1.bin").write_bytes(record(3, red=9) + record(7))
    (folder / "data_batch_2.bin").write_bytes(record(0))
    (folder / "test_batch.bin").write_bytes(record(9, blue=200))
    return folder


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def test_cifar10_binary(tmp_path: Path) -> None:
    write_binary(tmp_path)
    data = load_cifar(TINY10, root=tmp_path, may_download=False)
    assert data.train.labels.tolist() == [3, 7, 0]
    assert data.train.pixels[0, :, 31, 31].tolist() == [9, 2, 3]
    assert data.test.pixels[0, :, 0, 0].tolist() == [1, 2, 200]
    assert data.classes[3] == "cat"
    assert data.shape == (3, 32, 32)


def test_cifar100_takes_the_fine_label(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-100-binary"
    folder.mkdir()
    (folder / "train.bin").write_bytes(record(11, 19, red=5) + record(4, 0))
    (folder / "test.bin").write_bytes(record(1, 99))
    data = load_cifar(TINY100, root=tmp_path, may_download=False)
    assert data.train.labels.tolist() == [19, 0]
    assert data.train.pixels[0, :, 0, 0].tolist() == [5, 2, 3]
    assert (data.classes[19], data.classes[99], len(set(data.classes))) == ("cattle", "worm", 100)
    assert list(data.classes) == sorted(data.classes)


def test_real_sizes_are_those_of_the_page() -> None:
    assert CIFAR10.train == {f"data_batch_{i}": 10_000 for i in (1, 2, 3, 4, 5)}
    assert (sum(CIFAR100.train.values()), sum(CIFAR100.test.values())) == (50_000, 10_000)


def test_truncated_binary(tmp_path: Path) -> None:
    folder = write_binary(tmp_path)
    (folder / "data_batch_1.bin").write_bytes(record(3))
    with pytest.raises(UsageError, match=r"data_batch_1.bin has 3,073 bytes, but the original has 6,146"):
        load_cifar(TINY10, root=tmp_path, may_download=False)


def test_missing_batch(tmp_path: Path) -> None:
    (write_binary(tmp_path) / "data_batch_2.bin").unlink()
    with pytest.raises(UsageError, match=r"has no data_batch_2.bin"):
        load_cifar(TINY10, root=tmp_path, may_download=False)


def test_label_out_of_range(tmp_path: Path) -> None:
    (write_binary(tmp_path) / "test_batch.bin").write_bytes(record(10))
    with pytest.raises(UsageError, match=r"label 10, but the largest label is 9"):
        load_cifar(TINY10, root=tmp_path, may_download=False)


def packed(root: Path) -> tuple[Path, Cifar]:
    folder = write_binary(root / "unpacked")
    archive = root / "cifar-10-binary.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, arcname=folder.name)
    return archive, replace(TINY10, binary_archive=(archive.name, md5(archive)))


def test_archive_is_read_where_it_lies(tmp_path: Path) -> None:
    archive, spec = packed(tmp_path)
    assert load_cifar(spec, root=tmp_path, may_download=False).train.labels.tolist() == [3, 7, 0]
    archive.write_bytes(archive.read_bytes()[:-10])
    with pytest.raises(UsageError, match=r"damaged or not the original \(MD5 .*, published"):
        load_cifar(spec, root=tmp_path, may_download=False)


def pickled(root: Path, batches: dict[str, bytes]) -> Cifar:
    """A Python version whose published sums are those of `batches`."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir()
    for name, data in batches.items():
        (folder / name).write_bytes(data)
    sums = {name: hashlib.md5(data).hexdigest() for name, data in batches.items()}
    return replace(TINY10, train={"data_batch_1": 2}, python_md5=sums)


def batch(labels: list[int]) -> bytes:
    pixels = np.zeros((len(labels), 3072), dtype=np.uint8)
    pixels[:, 1024] = 8  # green, first row, first column
    data = pickle.dumps({b"data": pixels, b"labels": labels}, protocol=2)
    return data.replace(b"numpy._core", b"numpy.core")  # as in 2009


def test_cifar10_python(tmp_path: Path) -> None:
    spec = pickled(tmp_path, {"data_batch_1": batch([5, 6]), "test_batch": batch([1])})
    data = load_cifar(spec, root=tmp_path, may_download=False)
    assert data.train.labels.tolist() == [5, 6]
    assert data.train.pixels[0, :, 0, 0].tolist() == [0, 8, 0]


class Evil:
    def __reduce__(self) -> tuple:
        return (Path.touch, (Path("evil"),))


def test_only_the_published_pickle_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    evil = pickle.dumps(Evil())
    spec = pickled(tmp_path, {"data_batch_1": evil, "test_batch": batch([1])})
    real = replace(spec, python_md5={**spec.python_md5, "data_batch_1": "0" * 32})
    with pytest.raises(UsageError, match=r"is not the original file .* and is not opened"):
        load_cifar(real, root=tmp_path, may_download=False)
    with pytest.raises(pickle.UnpicklingError, match="not allowed"):  # even with the right sum
        load_cifar(spec, root=tmp_path, may_download=False)
    assert not Path("evil").exists()


@pytest.mark.parametrize("word", ["cifar10", "cifar100", "mnist", "fashion-mnist"])
def test_not_there(word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESLAB_DATA", str(tmp_path))
    with pytest.raises(UsageError, match=rf"^{word} not found in {tmp_path} \(looked .*; pass download=True") as caught:
        load(word)
    assert caught.value.exit_code == 2


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_mnist(folder: Path, *, dots: bool = False) -> None:
    folder.mkdir(parents=True)
    images = np.arange(3 * 4 * 2, dtype=np.uint8).reshape(3, 4, 2)
    mark = ".idx" if dots else "-idx"
    (folder / f"train-images{mark}3-ubyte").write_bytes(idx(images))
    (folder / f"train-labels{mark}1-ubyte").write_bytes(idx(np.array([7, 0, 9], dtype=np.uint8)))
    (folder / f"t10k-images{mark}3-ubyte.gz").write_bytes(gzip.compress(idx(images[:1])))
    (folder / f"t10k-labels{mark}1-ubyte.gz").write_bytes(gzip.compress(idx(np.array([4], dtype=np.uint8))))


@pytest.mark.parametrize("dots", [False, True])
@pytest.mark.parametrize(("spec", "folder"), [(MNIST, "MNIST/raw"), (FASHION_MNIST, "FashionMNIST/raw")])
def test_mnist(spec, folder: str, dots: bool, tmp_path: Path) -> None:
    write_mnist(tmp_path / folder, dots=dots)
    data = load(spec.name, root=tmp_path)
    assert data.shape == (1, 4, 2)
    assert data.train.labels.tolist() == [7, 0, 9]
    assert data.train.pixels[1].tolist() == [[[8, 9], [10, 11], [12, 13], [14, 15]]]
    assert (len(data.test), data.test.labels.tolist()) == (1, [4])


def test_idx_faults(tmp_path: Path) -> None:
    whole = idx(np.zeros((2, 3), dtype=np.uint8))
    file = tmp_path / "x"
    for content, sentence in [
        (whole[:-1], "holds 5 values, but its header announces 6"),
        (b"\x89PNG" + whole, "not an idx file"),
        (whole[:6], "not an idx file"),
    ]:
        file.write_bytes(content)
        with pytest.raises(UsageError, match=sentence):
            read_idx(file)
    packed = tmp_path / "x.gz"
    packed.write_bytes(gzip.compress(whole)[:-12])
    with pytest.raises(UsageError, match="truncated or damaged"):
        read_idx(packed)


def test_mnist_counts_must_agree(tmp_path: Path) -> None:
    write_mnist(tmp_path / "MNIST/raw")
    (tmp_path / "MNIST/raw/train-labels-idx1-ubyte").write_bytes(idx(np.zeros(2, dtype=np.uint8)))
    with pytest.raises(UsageError, match=r"shape \(3, 4, 2\), train-labels-idx1-ubyte \(2,\)"):
        load_mnist(MNIST, root=tmp_path, may_download=False)


def test_a_missing_file_is_fetched(tmp_path: Path) -> None:
    write_mnist(tmp_path / "site")
    write_mnist(tmp_path / "MNIST/raw")
    (tmp_path / "MNIST/raw/t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(UsageError, match=r"has no t10k-labels-idx1-ubyte\(.gz\); pass download=True"):
        load_mnist(MNIST, root=tmp_path, may_download=False)
    labels = tmp_path / "site/t10k-labels-idx1-ubyte.gz"
    near = replace(MNIST, sites=(labels.parent.as_uri() + "/",), md5={**MNIST.md5, labels.stem: md5(labels)})
    assert load_mnist(near, root=tmp_path, may_download=True).test.labels.tolist() == [4]


def test_download(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"the file")
    target = tmp_path / "deep/er/target"
    nowhere = (tmp_path / "nowhere").as_uri()
    download([nowhere, source.as_uri()], target, md5=md5(source))  # the second answers
    assert target.read_bytes() == b"the file"
    target.unlink()
    with pytest.raises(ReslabError, match=r"not the published file \(MD5 .*, published 00"):
        download([source.as_uri()], target, md5="0" * 32)
    with pytest.raises(ReslabError, match=r"could not download target \(.*nowhere.*; try again, or put it into"):
        download([nowhere], target, md5="0" * 32)
    assert list(target.parent.iterdir()) == []
    with pytest.raises(ReslabError, match="could not download target"):
        download([nowhere], tmp_path / "new/er/target", md5="0" * 32)
    assert not (tmp_path / "new").exists()
