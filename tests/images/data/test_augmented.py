"""All changes of a batch: the same bits however few images are changed at a time, and tensors on the images' device."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from reslab.images.data import Augment, Normalize
from reslab.images.data import augmented as module
from reslab.images.data.augmented import augmented, mixed
from reslab.images.data.boxes import UNITS
from reslab.images.data.chance import Chance
from reslab.images.data.policy import changes
from reslab.train.order import draws

ALL = Augment(kind="resized-crop", jitter=(0.4, 0.4, 0.4, 0.1), policy="rand", policy_ops=2, erase=0.5, color=True,
              mixup=0.2)  # fmt: skip
NORMALIZE = Normalize(torch.tensor([0.4, 0.5, 0.6]).view(3, 1, 1), torch.tensor([0.2, 0.3, 0.4]).view(3, 1, 1))


def chance(n: int) -> Chance:
    return Chance.of(lambda stream: draws(100, batch=n, iteration=3, seed=1, stream=stream), kept=list(range(n)))


@pytest.mark.parametrize("few", [1, 3, 16, 100])
def test_a_few_at_a_time_or_all_at_once(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randint(0, 256, (16, 3, 9, 11), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    before = x.clone()
    monkeypatch.setattr(module, "CACHED", 2**30)
    whole = augmented(x, chance(16), augment=ALL, normalize=NORMALIZE, boxed=True)
    monkeypatch.setattr(module, "CACHED", few * 4 * 3 * 9 * 11)
    assert augmented(x, chance(16), augment=ALL, normalize=NORMALIZE, boxed=True).equal(whole)
    assert x.equal(before)
    assert whole.dtype == torch.float32


def test_the_order_of_the_changes() -> None:
    """White, made black by brightness, is normalized after that; erased parts are 0, the mean, after that."""
    white = torch.full((8, 3, 6, 6), 255, dtype=torch.uint8)
    dark = Augment(kind="none", policy="rand", policy_ops=1, policy_magnitude=30, erase=1.0)
    few = Chance(draw=lambda stream: np.full((8, 4), 2**63, dtype=np.uint64), kept=list(range(8)))  # all numbers 0.5
    x = augmented(white, few, augment=dark, normalize=NORMALIZE)  # operation 7 of 14, color: white stays white
    erased = x[0, 0] == 0
    assert 0 < erased.sum() < 36
    assert x[0, :, ~erased].T.unique(dim=0).tolist() == [pytest.approx([0.6 / 0.2, 0.5 / 0.3, 0.4 / 0.4])]


def test_a_policy_of_no_operations_is_none() -> None:
    x = torch.randint(0, 256, (4, 3, 5, 5), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    nothing = Augment(policy="rand", policy_ops=0)
    assert augmented(x, chance(4), augment=nothing, normalize=NORMALIZE).equal(NORMALIZE(x))


def on_meta(x: Tensor, function: Callable[[Tensor], Any]) -> None:
    """On PyTorch's device without memory, a tensor made on the CPU by mistake raises an error."""
    out = function(x.to("meta"))
    assert out.device.type == "meta"
    assert out.shape == x.shape


@pytest.mark.parametrize("name", sorted(set(changes(height=8, width=8)) - {"identity", "equalize"}))
def test_every_operation_stays_on_the_device(name: str) -> None:
    """Except equalize, which counts: its result has a shape that depends on values."""
    operation = changes(height=8, width=8)[name].operation
    assert operation is not None
    on_meta(torch.rand(4, 3, 8, 8), lambda x: operation(x, np.full(4, 3.0)))


def test_the_other_changes_stay_on_the_device() -> None:
    normalize = NORMALIZE.to("meta")
    augment = Augment(kind="resized-crop", jitter=(0.4, 0.4, 0.4, 0.1), erase=0.5, color=True)
    x = torch.zeros(16, 3, 8, 8, dtype=torch.uint8)
    on_meta(x, lambda x: augmented(x, chance(16), augment=augment, normalize=normalize, boxed=True))
    on_meta(x, lambda x: augmented(x, chance(16), augment=Augment(kind="crop"), normalize=normalize))
    y = torch.zeros(16, 5, device="meta")
    for more in ({"mixup": 0.2}, {"cutmix": 1.0}):
        on_meta(x, lambda x, more=more: mixed(x.float(), y, chance(16), augment=Augment(**more), classes=5, step=1)[0])
    assert chance(4).units(16, UNITS).shape == (4, UNITS)
