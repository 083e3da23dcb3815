"""What a --data word gives."""

import pytest

from reslab.data import load
from reslab.errors import UsageError


def test_digits_split() -> None:
    digits = load("digits")
    assert (len(digits.train), len(digits.test), digits.shape) == (1437, 360, (1, 8, 8))
    assert digits.train.labels.bincount().tolist() == [142, 145, 142, 146, 145, 146, 145, 143, 139, 144]


def test_unknown_word_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'cifar10'"):
        load("cifar-10")
