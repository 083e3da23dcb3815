"""Dropout with 16 random bits per element."""

import torch

from reslab.nets.dropout import Dropout, kept


def test_each_element_is_dropped_or_scaled() -> None:
    """p = 1/4: of 40,000 ones about 30,000 become 4/3; 5 standard deviations are 433."""
    torch.manual_seed(0)
    x = torch.ones(200, 200, requires_grad=True)
    out = Dropout(0.25)(x)
    kept_ones = out > 0
    torch.testing.assert_close(out[kept_ones], torch.full((int(kept_ones.sum()),), 4 / 3))
    assert abs(int(kept_ones.sum()) - 30_000) < 433
    out.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, out)  # of ones
    rows = kept_ones.float()
    assert (torch.corrcoef(rows[:8]) - torch.eye(8)).abs().max() < 0.36  # 5 / sqrt(200)


def test_sizes_types_and_modes() -> None:
    for shape in ((), (3,), (5, 7), (2, 3, 5)):
        assert kept(torch.empty(shape), 0.5).shape == shape
    assert Dropout(0.5)(torch.ones(9, dtype=torch.bfloat16)).dtype == torch.bfloat16
    assert Dropout(0.0)(torch.ones(9)).tolist() == [1.0] * 9
    assert Dropout(1.0)(torch.ones(9)).tolist() == [0.0] * 9
    assert Dropout(0.9).eval()(torch.ones(9)).tolist() == [1.0] * 9


def test_it_is_resumed_from_the_state_of_torchs_generator() -> None:
    state = torch.get_rng_state()
    first = Dropout(0.5)(torch.ones(101))
    torch.set_rng_state(state)
    assert torch.equal(Dropout(0.5)(torch.ones(101)), first)
    assert not torch.equal(Dropout(0.5)(torch.ones(101)), first)
