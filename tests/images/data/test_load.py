"""What a --data word gives."""

from pathlib import Path

import pytest

from reslab.errors import UsageError
from reslab.images.data import load


def test_digits() -> None:
    digits = load("digits")
    assert (len(digits.train), len(digits.test), digits.shape) == (1437, 360, (1, 8, 8))
    # a fifth of 178 182 177 183 181 182 181 179 174 180, what is left over to the largest remainders
    assert digits.test.labels.bincount().tolist() == [36, 37, 35, 37, 36, 36, 36, 36, 35, 36]
    assert digits.train.pixels.unique().tolist() == [round(k * 255 / 16) for k in range(17)]
    assert digits.classes == tuple("0123456789")


def test_digits_are_the_same_everywhere() -> None:
    # Philox's words and scikit-learn's file are fixed: so is the split
    assert load("digits").fingerprint.startswith("f22aa5daafe614e4")


def test_no_home_folder_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "expanduser", lambda self: (_ for _ in ()).throw(RuntimeError("no home")))
    monkeypatch.delenv("RESLAB_DATA", raising=False)
    with pytest.raises(UsageError, match=r"home folder is unknown .HOME is not set.; name the .* with root"):
        load("cifar10")
    assert len(load("digits").classes) == 10  # needs no folder


def test_unknown_word_names_the_nearest() -> None:
    with pytest.raises(
        UsageError,
        match=r"no data set, folder or file named 'cifar-10'.*available: digits, .*; did you mean 'cifar10'\?$",
    ):
        load("cifar-10")


@pytest.mark.parametrize("word", ["https://x.org/d/train-{000..002}.tar", "s3://bucket/d", "gs://bucket/list.csv"])
def test_addresses_are_refused(word: str) -> None:
    with pytest.raises(UsageError, match=r"://.* lies on the network, and images are read from files of this machine"):
        load(word)


def test_unknown_path(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no data set, folder or file named"):
        load(str(tmp_path / "nowhere"))
    with pytest.raises(UsageError, match="hf: needs the name of a data set"):
        load("hf:")
    (tmp_path / "data.txt").write_text("a,b")
    with pytest.raises(UsageError, match=r"unsupported file type: .*data.txt"):
        load(str(tmp_path / "data.txt"))


def test_size_is_not_for_published_sets() -> None:
    with pytest.raises(UsageError, match="digits has a fixed size"):
        load("digits", size=32)
