"""The stand-in for a GPU finds each kind of fault that it is for, and takes no sound code for one."""

import copy
import io
import re
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from far import Far, stand_in
from torch import Tensor, nn

KINDS = ("cuda", "mps")
TWO = "Expected all tensors to be on the same device"


def there(*shape: int) -> Tensor:
    return torch.ones(shape, device=Far.kind)


def cast(kind: str) -> Tensor:
    with torch.autocast(kind, torch.bfloat16):
        return F.linear(there(2, 3), there(4, 3))


FAULTS: dict[str, tuple[Callable[[], object], str]] = {
    "a constant left on the CPU": (lambda: there(3) + torch.ones(3), TWO),
    "a hard-coded device": (lambda: torch.cat([there(3), torch.zeros(3, device="cpu")]), TWO),
    "a scalar where none may be": (lambda: torch.stack([there(), torch.ones(())]), TWO),
    "a weight left on the CPU": (lambda: F.linear(there(2, 3), torch.ones(4, 3)), TWO),
    "a buffer left on the CPU": (lambda: F.batch_norm(there(2, 3), torch.zeros(3), torch.ones(3)), TWO),
    "a target left on the CPU": (lambda: F.cross_entropy(there(2, 3), torch.tensor([0, 1])), TWO),
    "a sum on the CPU": (lambda: torch.zeros(()).add_(there()), TWO),
    "rows chosen by an index of the CPU": (lambda: there(3).index_select(0, torch.tensor([0])), TWO),
    "rows of the CPU chosen by an index of the device": (lambda: torch.ones(3)[there(1).long()], TWO),
    "places filled from the CPU": (lambda: there(3).index_put((there(1).long(),), torch.ones(3)), TWO),
    "numpy without cpu": (lambda: there(3).numpy(), re.escape("Use Tensor.cpu()")),
    "a generator of the CPU": (lambda: torch.randn(3, device=Far.kind, generator=torch.Generator()), "generator"),
    "an autocast of the CPU": (lambda: cast("cpu"), "autocast of the CPU"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(kind: str, fault: str) -> None:
    does, said = FAULTS[fault]
    with stand_in(kind), pytest.raises((RuntimeError, TypeError), match=said):
        does()


def test_a_fault_inside_a_net_and_its_gradient_is_found() -> None:
    """The forward pass mixes nothing; the backward pass of a function of ours does."""

    class Twice(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, x: Tensor) -> Tensor:
            return x.clone()

        @staticmethod
        def backward(ctx: object, grad: Tensor) -> Tensor:  # type: ignore[override]
            return grad * torch.ones(grad.shape)

    with stand_in():
        x = there(3).requires_grad_()
        y = Twice.apply(x).sum()  # type: ignore[no-untyped-call]
        with pytest.raises(RuntimeError, match=TWO):
            y.backward()


@pytest.mark.parametrize("wide", [torch.float64, torch.complex128])
def test_mps_has_no_double_precision(wide: torch.dtype) -> None:
    with stand_in("mps"):
        for make in (lambda: there(2).to(wide), lambda: torch.ones(2, dtype=wide).to("mps"),
                     lambda: torch.ones(2, dtype=wide, device="mps")):  # fmt: skip
            with pytest.raises(TypeError, match="MPS"):
                make()
    with stand_in("cuda"):
        assert there(2).to(wide).dtype == wide


@pytest.mark.parametrize("kind", KINDS)
def test_sound_code_gives_the_cpus_numbers(kind: str) -> None:
    """A net, its gradients, an optimizer and a copy: on the device, and equal to those of the CPU."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 5))
    x, y = torch.randn(6, 3, 4, 4), torch.tensor([0, 1, 2, 3, 4, 0])

    def trained(device: str) -> list[Tensor]:
        mine = copy.deepcopy(net).to(device, memory_format=torch.channels_last)
        steps = torch.optim.SGD(mine.parameters(), lr=0.1, momentum=0.9, nesterov=True)
        for _ in range(3):
            steps.zero_grad()
            F.cross_entropy(mine(x.to(device)), y.to(device), label_smoothing=0.1).backward()
            nn.utils.clip_grad_norm_(mine.parameters(), 1.0)
            steps.step()
        with torch.inference_mode():
            out = mine.eval()(x.to(device))
        assert {one.device.type for one in (out, *mine.parameters(), *mine.buffers())} == {device}
        return [one.cpu() for one in (out, *mine.state_dict().values())]

    alone = trained("cpu")
    with stand_in(kind):
        for mine, its in zip(trained(kind), alone, strict=True):
            assert type(mine) is Tensor
            torch.testing.assert_close(mine, its)


def test_what_a_gpu_allows_is_allowed() -> None:
    with stand_in() as device:
        x, layer = there(4, 3), nn.Linear(3, 3)
        weight = layer.weight
        tied = nn.ModuleList([layer, nn.Linear(3, 3)])
        tied[1].weight = layer.weight
        tied.to(device)
        assert tied[1].weight is layer.weight is weight  # a parameter stays the same object
        tied.cpu()
        assert tied[1].weight is weight
        assert type(weight) is nn.Parameter
        assert torch.allclose(weight, tied[0](torch.eye(3)).T - layer.bias[:, None])
        assert x.to(device) is x
        assert x.to(device).device == torch.device("cuda", 0) != device
        assert (x * torch.tensor(2.0)).device.type == "cuda"  # a scalar of the CPU
        assert x[torch.tensor([0, 2])].device.type == "cuda"  # indices of the CPU
        assert torch.ones(3).copy_(x[0]).device.type == "cpu"
        assert x.new_tensor([1.0]).device == torch.zeros_like(x).device == torch.tensor([1], device=device).device
        assert x[0].tolist() == [1.0, 1.0, 1.0]
        assert float(x.sum()) == 12.0
        assert torch.zeros(2, device="meta").device.type == "meta"
        assert cast("cuda").dtype == torch.bfloat16
        file = io.BytesIO()
        torch.save({"x": x}, file)
        file.seek(0)
        assert torch.equal(torch.load(file, weights_only=True)["x"], torch.ones(4, 3))
    assert not torch.cuda.is_available()
    assert torch.ones(2).device.type == "cpu"
