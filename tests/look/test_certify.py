"""Certificates: nets whose sums are known, and nets and claims built to be wrong, which must fail."""

import dataclasses

import pytest
import torch
from torch import Tensor, nn

from reslab import look


class Block(nn.Module):
    """out = gain * x + f(x) (+ g(x)), with f = factor x and g = x."""

    def __init__(self, factor: float = 3, *, gain: float = 1, two: bool = False) -> None:
        super().__init__()
        self.gain, self.f, self.g = gain, matrix(factor), matrix(1) if two else None

    def forward(self, x: Tensor) -> Tensor:
        skip = x if self.gain == 1 else self.gain * x
        return skip + self.f(x) + self.g(x) if self.g else skip + self.f(x)


def matrix(factor: float) -> nn.Linear:
    layer = nn.Linear(2, 2, bias=False)
    layer.weight.data = factor * torch.eye(2)
    return layer


X = torch.tensor([[1.0, -2.0], [4.0, 0.5]])


def test_whole_numbers_add_up_exactly() -> None:
    found = look.certify(nn.Sequential(Block(3), nn.ReLU(), Block(-2), Block(5, two=True)), X)
    assert found.holds
    assert [(m.kind, m.sum.absolute, m.stream.absolute, m.entered, m.why) for m in found.merges] == [
        ("identity", 0, 0, "fork", "")
    ] * 3
    assert found.failed == found.unchecked == ()
    assert str(found) == (
        "Sequential: the certificate holds for all 3 residual connections (batch of 2, float32)\n"
        "skip + branches = out: no difference\n"
        "all branches disabled, out = what entered: no difference"
    )


def test_rounding_is_allowed_but_shown() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(*(nn.Sequential(Block(0.1), nn.LayerNorm(2)) for _ in range(3))).bfloat16()
    found = look.certify(net, torch.randn(50, 2).bfloat16())
    assert found.holds
    assert found.dtype == "bfloat16"
    worst = max(m.sum.relative for m in found.merges)
    assert 2**-12 < worst <= 2**-8  # half an eps of bf16 is 2^-8, relative to the largest value


def test_a_branch_that_is_forgotten_fails() -> None:
    """x + 3 x + x with g left out: 4 x is not 5 x, and with f disabled 2 x remains."""
    net = nn.Sequential(Block(3, two=True))
    (merge,) = look.find(net, X)
    wrong = dataclasses.replace(merge, branches=merge.branches[:1])
    (found,) = look.certify(net, X, merges=[wrong]).merges
    assert not found.holds
    assert found.sum.absolute == found.stream.absolute == 4  # the largest |x|
    assert (found.sum.relative, found.stream.relative) == (4 / 20, 4 / 8)
    assert found.why == "skip + branches is not out"


class Writer(nn.Module):
    """Doubles its input behind PyTorch's back while the branch is computed."""

    def __init__(self) -> None:
        super().__init__()
        self.f = matrix(3)

    def forward(self, x: Tensor) -> Tensor:
        branch = self.f(x)
        array = x.numpy()
        array *= 2
        return x + branch


def test_a_skip_that_changes_on_the_way_fails() -> None:
    x = X.clone()
    certificate = look.certify(Writer(), x)
    (found,) = certificate.merges
    assert found.sum.holds  # 2 x + 3 x is what it returns
    assert found.stream.absolute == 4  # 2 x is not what entered
    assert not certificate.holds
    assert found.why == "with every branch disabled, out is not the value that entered"
    assert str(certificate).splitlines()[0] == (
        "Writer: the certificate fails for 1 of 1 residual connection (batch of 2, float32)"
    )
    assert "block 0 (the model itself): with every branch disabled" in str(certificate)
    assert torch.equal(x, X)  # each pass has a copy


def test_a_projection_is_compared_with_its_skip() -> None:
    class Projected(Block):
        def forward(self, x: Tensor) -> Tensor:
            return self.g(x) + self.f(torch.relu(self.f(x)))

    found = look.certify(Projected(two=True), X)
    assert found.holds
    assert [(m.kind, m.entered) for m in found.merges] == [("projection", "skip")]


def test_merges_inside_branches_are_certified() -> None:
    class Outer(Block):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Sequential(matrix(2), Block(3))

        def forward(self, x: Tensor) -> Tensor:
            return x + self.inner(x)

    found = look.certify(nn.Sequential(Outer(), Outer()), X)
    assert found.holds
    assert len(found.merges) == 4


def test_not_a_number_fails() -> None:
    found = look.certify(Block(), torch.tensor([[1.0, float("nan")]]))
    assert len(found.failed) == 1
    assert "skip + branches = out: the values are NaN" in str(found)


def test_infinite_values_do_not_hide_a_difference() -> None:
    net, x = Block(3, two=True), torch.tensor([[float("inf"), 1.0]])
    (merge,) = look.find(net, x)
    wrong = dataclasses.replace(merge, branches=merge.branches[:1])
    assert not look.certify(net, x, merges=[wrong]).holds


def test_a_model_without_merges_has_no_certificate() -> None:
    found = look.certify(nn.Sequential(matrix(1), nn.ReLU()), X)
    assert not found.holds
    assert found.merges == ()
    assert str(found).startswith("Sequential: there is nothing to certify\n")


def test_what_is_hidden_is_not_certified() -> None:
    net = nn.Sequential(Block(), Block())
    first, second = look.find(net, X)
    found = look.certify(net, X, merges=[first, dataclasses.replace(second, out=None)])
    assert not found.holds
    assert not found.failed
    assert [m.index for m in found.unchecked] == [1]
    assert "holds for 1 of 2 residual connections; 1 could not be checked" in str(found)


def test_a_module_named_by_the_user_is_certified() -> None:
    found = look.certify(nn.Sequential(Block(), Block()), X, modules=["1.f"])
    assert found.holds
    assert len(found.merges) == 3


def test_the_model_and_the_random_state_are_left_alone() -> None:
    net = nn.Sequential(Block(), nn.BatchNorm1d(2), nn.Dropout())
    net.train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    torch.manual_seed(3)
    state = torch.get_rng_state()
    look.certify(net, X)
    assert net.training
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


@pytest.mark.parametrize("kind", ["stack", "lerp", "in place", "sub", "alpha", "foreach", "cat"])
def test_other_ways_to_add(kind: str) -> None:
    class Adds(Block):
        def forward(self, x: Tensor) -> Tensor:
            branch = self.f(x)
            match kind:
                case "stack":
                    return torch.stack([x, branch]).sum(0)
                case "lerp":
                    return torch.lerp(x, branch, 0.25)
                case "sub":
                    return x - branch
                case "alpha":
                    return torch.add(x, branch, alpha=0.5)
                case "foreach":
                    return torch._foreach_add([x], [branch])[0]
                case "cat":
                    return torch.cat([x[None], branch[None]]).sum(0)
            x += branch
            return x

    found = look.certify(nn.Sequential(Adds(), Adds()), X)
    assert found.holds
    assert len(found.merges) == 2


def test_values_that_are_moved_are_compared_wherever_they_are() -> None:
    """Windows of one shape with the image: the branch sees x permuted, the skip is x."""

    class Windows(Block):
        def forward(self, x: Tensor) -> Tensor:
            turned = x.view(2, 2, 2).permute(1, 0, 2).reshape(4, 2)
            return turned + self.f(turned.relu())

    found = look.certify(Windows(), torch.arange(8.0).view(4, 2))
    assert [(m.kind, m.entered, m.stream.absolute) for m in found.merges] == [("identity", "fork", 0)]


def test_places_do_not_depend_on_tensors_that_are_made_on_the_way() -> None:
    """PyTorch detaches what `find` keeps alive, so that there are more ops in its pass than in the others."""

    class Makes(Block):
        def forward(self, x: Tensor) -> Tensor:
            for _ in range(3):
                x = (x * torch.arange(1, 3)).relu()
                x = x + self.f(x)
            return x

    found = look.certify(Makes(), X)
    assert found.holds
    assert {m.entered for m in found.merges} == {"fork"}


def test_a_model_that_takes_another_way_without_its_branches() -> None:
    """With the first branch disabled x stays 1, and the second block is left out."""

    class Gate(Block):
        def forward(self, x: Tensor) -> Tensor:
            x = x + self.f(x)
            return x + self.g(x) if x.sum() > 4 else x

    found = look.certify(Gate(3, two=True), torch.ones(1, 2))
    assert [m.holds for m in found.merges] == [True, False]
    assert not found.failed
    assert found.merges[1].why.startswith("not checked with every branch disabled: a pass did not reach merge 1")


def test_a_gain_per_channel_is_a_branch() -> None:
    """A re-parametrized depthwise block: (conv(x) + gain x) + x."""

    class Rep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False), nn.BatchNorm2d(4))
            self.gain = nn.Conv2d(4, 4, 1, groups=4)

        def forward(self, x: Tensor) -> Tensor:
            return (self.conv(x) + self.gain(x)) + x

    torch.manual_seed(0)
    found = look.certify(nn.Sequential(Rep(), nn.ReLU(), Rep()).eval(), torch.randn(2, 4, 5, 5))
    assert found.holds
    assert [m.kind for m in found.merges] == ["identity"] * 2
