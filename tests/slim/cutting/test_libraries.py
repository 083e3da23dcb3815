"""Models of torchvision and timm without blocks: equal to those with the blocks disabled, loaded without reslab."""

import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from models import peer
from torch import Tensor, nn

import reslab
from reslab.look import intervene, silence
from reslab.slim.cutting.removal import Cut, cut
from reslab.slim.finding import find_blocks

pytestmark = pytest.mark.slow
PICTURE = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def of_torchvision(name: str, **options: Any) -> Callable[[], nn.Module]:
    return lambda: peer("torchvision").models.get_model(name, weights=None, num_classes=10, **options)


def of_timm(name: str, **options: Any) -> Callable[[], nn.Module]:
    return lambda: peer("timm").create_model(name, num_classes=10, **options)


SWIN = {"img_size": 64, "window_size": 2}
CASES: dict[str, tuple[Callable[[], nn.Module], list[int], str]] = {
    "torchvision resnet18": (of_torchvision("resnet18"), [1, 2, 3], "file"),
    "torchvision convnext": (of_torchvision("convnext_tiny"), [1, 9, 10], "file"),
    "torchvision vit": (of_torchvision("vit_b_16", image_size=64), [3, 11], "file"),
    "torchvision regnet": (of_torchvision("regnet_y_400mf"), [1, 2, 5], "file"),
    "torchvision swin": (of_torchvision("swin_t"), [1, 5], "file"),
    "timm resnet": (of_timm("resnet26d"), [1, 3], "timm"),
    "timm resnet, a projection": (of_timm("resnet26d"), [0, 3], "file"),
    "timm vit": (of_timm("vit_tiny_patch16_224", img_size=64), [0, 5], "timm"),
    "timm mixer": (of_timm("mixer_s32_224", img_size=64), [2, 3], "file"),
    "timm convnextv2": (of_timm("convnextv2_atto"), [1, 5, 6], "timm"),
    "timm swin, a pair": (of_timm("swin_tiny_patch4_window7_224", **SWIN), [5, 6], "timm"),
    "timm swin, one of a pair": (of_timm("swin_tiny_patch4_window7_224", **SWIN), [5], "file"),
}


def lively(net: nn.Module) -> nn.Module:
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_var is not None:
            module.running_var.uniform_(0.5, 1.5)
    for name, p in net.named_parameters():
        if "gamma" in name or "layer_scale" in name:  # 1e-6 in a new ConvNeXt
            p.data.fill_(0.5)
        elif not p.any():  # heads of ViT and Mixer, the last norm of a branch: they would hide every difference
            p.data.normal_(std=0.1)
    return net.eval()


def without(net: nn.Module, removed: list[int], x: Tensor) -> Tensor:
    blocks = find_blocks(net, x)
    with torch.no_grad(), intervene(net, blocks.merges, {i: silence() for b in removed for i in blocks[b].merges}):
        return net(x)


@pytest.mark.parametrize("name", CASES)
def test_equal_to_the_blocks_disabled_and_loaded_anew(name: str, tmp_path: Path) -> None:
    make, removed, form = CASES[name]
    torch.manual_seed(0)
    net = lively(make())
    small = cut(net, removed, example=PICTURE)
    assert small.form == form
    with torch.no_grad():
        out = small.model(PICTURE)
        assert torch.allclose(out, without(net, removed, PICTURE), rtol=0, atol=1e-5)
        assert not torch.allclose(out, net(PICTURE), rtol=0, atol=1e-3)
    assert small.save(tmp_path / "small").difference == 0.0


@pytest.mark.parametrize("name", ["torchvision regnet", "timm convnextv2"])
def test_a_fresh_process_loads_it_without_reslab(name: str, tmp_path: Path) -> None:
    make, removed, _ = CASES[name]
    small: Cut = cut(lively(make()), removed, example=PICTURE)
    saved = small.save(tmp_path / "small")
    torch.save(PICTURE, tmp_path / "x.pt")
    code = f"""
import contextlib, runpy, sys, torch
with contextlib.suppress(ImportError):
    import torchvision_cpu
with contextlib.suppress(ImportError):
    import timm
net = {saved.loads}
with torch.no_grad():
    torch.save(net(torch.load("x.pt")), "out.pt")
assert "reslab" not in sys.modules
"""
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    env["PYTHONPATH"] = os.pathsep.join(p for p in sys.path if p and "site-packages" not in p and "src" not in p)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, env=env, check=False
    )
    assert done.returncode == 0, done.stderr
    with torch.no_grad():
        assert torch.equal(torch.load(tmp_path / "out.pt"), small.model(PICTURE))


def test_reslab_takes_the_file_as_a_word(tmp_path: Path) -> None:
    peer("torchvision")
    net = reslab.model("torchvision:resnet18").eval()
    small = cut(net, [1, 3], example=PICTURE, word="torchvision:resnet18")
    saved = small.save(tmp_path / "small")
    again = reslab.model(f"{saved.folder}/slimmed.py:make")
    assert len(reslab.look.find(again, PICTURE)) == 6
    with torch.no_grad():
        assert torch.equal(again(PICTURE), small.model(PICTURE))


def test_a_net_that_reslab_built_of_torchvision(tmp_path: Path) -> None:
    """As the net of a run: for 7 classes, from its stored spec."""
    peer("torchvision")
    net = reslab.net("torchvision:resnet18", classes=7, size=64).eval()
    small = cut(net, [1, 2], example=PICTURE)
    assert small.form == "file"
    small.save(tmp_path / "small")


@pytest.mark.parametrize(("name", "removed", "form"), [
    ("vit_tiny_patch16_224", 1, "timm"), ("resnet26d", 0, "file"),  # a projection goes: no argument gives that
])  # fmt: skip
def test_what_timm_keeps_beside_the_weights_stays(name: str, removed: int, form: str, tmp_path: Path) -> None:
    """Not those of the architecture's default weights: who normalizes as timm says would get other answers."""
    timm = peer("timm")
    own = {"mean": (0.1, 0.2, 0.3), "std": (0.4, 0.5, 0.6), "crop_pct": 0.77, "interpolation": "bilinear",
           "label_names": list("abcdefghij"), "license": "cc-by-4.0", "tag": "mine"}  # fmt: skip
    more = {"img_size": 64, "embed_dim": 48, "num_heads": 3, "depth": 3} if form == "timm" else {}
    net = lively(timm.create_model(name, num_classes=10, pretrained_cfg_overlay=own, **more))
    small = cut(net, [removed], example=PICTURE)
    saved = small.save(tmp_path / "small")
    assert small.form == form
    again = eval(saved.loads, {"timm": timm, "runpy": runpy})
    for model in (small.model, again):
        assert {key: type(value)(model.pretrained_cfg[key]) for key, value in own.items()} == own
        found = timm.data.resolve_data_config({}, model=model)
        for key in ("mean", "std", "crop_pct", "interpolation"):
            assert type(own[key])(found[key]) == own[key]
