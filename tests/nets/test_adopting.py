"""Tensors of others in our nets: names, heads of other classes, nets that they look like."""

from pathlib import Path
from typing import Any

import pytest
import torch
from models import peer
from strangers import mine
from torch import Tensor, nn

from reslab import nets
from reslab.errors import UsageError
from reslab.nets.adopting import adopt
from reslab.nets.headless import head_of
from reslab.nets.naming import in_our_names, our_name
from reslab.nets.resembling import resemblance
from reslab.nets.suiting import suited

__all__ = ["mine"]


def torchvision_name(ours: str) -> str:
    """The inverse of the map, written out by hand: stages.1.0.branch.norm1.weight -> layer2.0.bn1.weight."""
    parts = ours.split(".")
    if parts[0] == "stem":
        return f"{'conv1' if parts[1] == 'conv' else 'bn1'}.{parts[2]}"
    if parts[0] == "head":
        return f"fc.{parts[1]}"
    block = f"layer{int(parts[1]) + 1}.{parts[2]}"
    if parts[3] == "shortcut":
        return f"{block}.downsample.{0 if parts[4] == 'conv' else 1}.{parts[5]}"
    return f"{block}.{parts[4].replace('norm', 'bn')}.{parts[5]}"


def theirs(net: nn.Module, *, turned: bool = False) -> dict[str, Tensor]:
    """The net's tensors under torchvision's names; `turned`: in another order, so that only names can match."""
    state = {torchvision_name(name): tensor.clone() for name, tensor in net.state_dict().items()}
    return dict(sorted(state.items(), reverse=turned)) if turned else state


def features(net: Any, x: Tensor) -> Tensor:
    """What goes into our head."""
    return net.pool(net.last(net.stages(net.stem(x)))).flatten(1)


def stirred(net: nn.Module) -> nn.Module:
    """The net in eval mode with BatchNorm statistics and weights that are not their initial ones."""
    generator = torch.Generator().manual_seed(1)
    for tensor in net.state_dict().values():
        if tensor.is_floating_point() and tensor.dim() == 1:
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    return net.eval()


def test_names_of_torchvision() -> None:
    for ours in nets.net("resnet50_v1.5", classes=2).state_dict():
        assert our_name(torchvision_name(ours)) == ours
    assert our_name("layer1.0.se.fc1.weight") is None
    assert in_our_names({"conv1.weight": 1, "linear.weight": 2}) is None


@pytest.mark.parametrize("name", ["resnet18", "resnet50_v1.5"])
def test_their_names_in_any_order(name: str) -> None:
    """A head of other classes is skipped; before the head, the outputs are the same."""
    trained = stirred(nets.net(name, classes=5, widths=(4, 8, 8, 16)))
    found = adopt(nets.spec(name, classes=3, widths=(4, 8, 8, 16)), theirs(trained, turned=True), where="w.pt")
    assert (found.how, set(found.new), set(found.skipped)) == (
        "by torchvision's names", {"head.weight", "head.bias"}, {"fc.weight", "fc.bias"})  # fmt: skip
    net = nets.net(name, classes=3, widths=(4, 8, 8, 16)).eval()
    net.load_state_dict(found.tensors, strict=False)
    x = torch.randn(2, 3, 64, 64)
    assert torch.equal(features(net, x), features(trained, x))


def test_the_paper_s_stride_is_refused_for_their_bottlenecks() -> None:
    state = theirs(nets.net("resnet50_v1.5", classes=5, widths=(4, 8, 8, 16)))
    with pytest.raises(UsageError, match=r"w.pt: the names are torchvision's .* build the net with stride_on=\"3x3\""):
        adopt(nets.spec("resnet50", classes=3, widths=(4, 8, 8, 16)), state, where="w.pt")


@pytest.mark.slow
@pytest.mark.parametrize("library", ["torchvision", "timm"])
@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50"])
def test_equal_outputs_before_the_head(library: str, name: str) -> None:
    module = peer(library)
    other = module.models.get_model(name, weights=None) if library == "torchvision" else module.create_model(name)
    stirred(other)
    ours = nets.net("resnet50_v1.5" if name == "resnet50" else name, classes=3).eval()
    found = adopt(ours.spec, other.state_dict(), where="w.pt")
    ours.load_state_dict(found.tensors, strict=False)
    x, seen = torch.randn(1, 3, 96, 96), []
    other.fc.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        other(x)
        torch.testing.assert_close(features(ours, x), seen[0], rtol=1e-4, atol=1e-5)
    assert found.new == ("head.weight", "head.bias")


def test_the_head_is_found_by_structure(mine: Path) -> None:
    assert head_of(nets.spec("resnet20")) == {"head.weight": (0,), "head.bias": (0,)}
    assert [*head_of(nets.spec("vgg11"))] == [*nets.net("vgg11", widths=(1, 1, 1, 1, 1)).state_dict()][-2:]
    for function in ("asked", "fixed"):
        assert head_of(suited(nets.spec(f"{mine}:{function}"), classes=7, shape=(1, 8, 8))) == {
            "out.weight": (0,), "out.bias": (0,)
        }  # fmt: skip


def test_as_many_classes_keep_the_head(mine: Path) -> None:
    spec = suited(nets.spec(f"{mine}:asked"), classes=7, shape=(1, 8, 8))
    state = nets.build(spec).state_dict()
    found = adopt(spec, {f"module.{name}": tensor for name, tensor in state.items()}, where="w.pt")
    assert (found.new, found.skipped, len(found.tensors)) == ((), (), 10)
    turned = found.permuted([6, 5, 4, 3, 2, 1, 0])
    assert torch.equal(turned.tensors["out.weight"], state["out.weight"].flip(0))
    assert torch.equal(turned.tensors["out.bias"], state["out.bias"].flip(0))
    assert found.without_head().new == ("out.weight", "out.bias")


def test_a_checkpoint_without_head() -> None:
    state = {name: tensor for name, tensor in nets.net("resnet8").state_dict().items() if not name.startswith("head")}
    found = adopt(nets.spec("resnet8"), state, where="w.pt")
    assert found.line() == "35 tensors loaded by name; new: head.weight, head.bias"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("resnet32", "is not of resnet20 .157 tensors there, 97 in the net.; it looks like resnet32"),
        ("resnet20_v2", "it looks like resnet20_v2"),
        ("cifar_vgg11_bn", "it looks like cifar_vgg11_bn"),
    ],
)
def test_another_architecture_is_named(name: str, said: str) -> None:
    with pytest.raises(UsageError, match=f"^w.pt {said}|{said}$"):
        adopt(nets.spec("resnet20", classes=7), nets.net(name).state_dict(), where="w.pt")


def test_what_is_not_recognized() -> None:
    assert resemblance({"a.weight": torch.zeros(3, 4), "a.bias": torch.zeros(3)}) == (
        "no known net was recognized in it")  # fmt: skip
    blocks = {f"blocks.{i}.attn.qkv.weight": torch.zeros(9, 3) for i in range(3)}
    assert resemblance(blocks) == "it looks like a vision transformer of timm"


def test_one_tensor_that_differs_is_named() -> None:
    state = nets.net("resnet8").state_dict()
    state["stem.conv.weight"] = torch.zeros(16, 1, 3, 3)
    with pytest.raises(UsageError, match=r"\(stem.conv.weight is 16x1x3x3 there and 16x3x3x3 in the net\)"):
        adopt(nets.spec("resnet8", classes=7), state, where="w.pt")
