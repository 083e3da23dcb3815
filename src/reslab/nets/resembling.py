"""Which known net the tensors of a checkpoint look like, for the sentences that refuse them or ask for their net."""

import importlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from reslab.errors import Argument, ReslabError, arg
from reslab.nets.catalog import cifar_name, names, spec
from reslab.nets.checkpoints import common_prefix, sizes
from reslab.nets.headless import Shape
from reslab.nets.meta import shapes_of

DEEP = 400  # layers of the deepest net that is compared
V15 = r"^layer1\.0\.conv3\.weight$"  # torchvision's and timm's bottleneck, whose stride is on the 3x3
CLOSE = 0.6  # share of equal tensors from which a checkpoint looks like a net
FAMILIES: tuple[tuple[str, str, str, str], ...] = (  # a pattern of names; their kind; library; nets to compare with
    (r"^cls_token$|blocks\.\d+\.attn\.qkv\.weight$", "a vision transformer of timm", "timm",
     "vit_tiny_patch16_224 vit_small_patch16_224 vit_base_patch16_224 deit3_small_patch16_224"),
    (r"encoder\.layers\.encoder_layer_\d+\.", "a vision transformer of torchvision", "torchvision",
     "vit_b_16 vit_b_32"),
    (r"^(vit|deit|beit|swin|convnext|resnet)\.(embeddings|encoder|embedder)", "a net of transformers (hf:)", "", ""),
    (r"^stages\.\d+\.blocks\.\d+\.(conv_dw|gamma|mlp)", "a ConvNeXt of timm", "timm",
     "convnext_atto convnext_tiny convnext_small"),
    (r"^features\.denseblock\d+\.", "a DenseNet of torchvision", "torchvision", "densenet121 densenet169"),
    (r"^features\.\d+\.conv\.\d+\.", "a MobileNetV2 of torchvision", "torchvision", "mobilenet_v2"),
    (r"^features\.\d+\.\d+\.block\.", "an EfficientNet, MobileNetV3 or ConvNeXt of torchvision", "torchvision",
     "efficientnet_b0 mobilenet_v3_small mobilenet_v3_large convnext_tiny"),
    (r"^blocks\.\d+\.\d+\.(conv_pw|conv_dw|se)", "an EfficientNet or MobileNet of timm", "timm",
     "efficientnet_b0 mobilenetv3_large_100 mobilenetv3_small_100"),
    (r"^layers\.\d+\.blocks\.\d+\.attn\.", "a Swin transformer of timm", "timm", "swin_tiny_patch4_window7_224"),
    (r"^layer1\.0\.conv\d\.weight$", "a ResNet or one of its relatives", "torchvision",
     "wide_resnet50_2 resnext50_32x4d"),
    (r"^layer1\.0\.(se|downsample)\.", "a ResNet or one of its relatives", "timm", "resnet26d resnet50d seresnet50"),
)  # fmt: skip


def resemblance(state: Mapping[str, Tensor]) -> str:
    """`it looks like resnet50`; or which family its names are of, or that no known net was recognized."""
    return said(state, *nearest(state))


def suggested(state: Mapping[str, Tensor]) -> tuple[Argument, str]:
    """The end of a sentence that asks for the net of a checkpoint: the nearest net as an argument, and why that one."""
    best, share = nearest(state)
    return arg("net", best if share >= CLOSE else "resnet56"), f" ({said(state, best, share)})"


def nearest(state: Mapping[str, Tensor]) -> tuple[str, float]:
    """The known net that shares most shapes of tensors with a checkpoint, and their share."""
    shapes = {name: tuple(t.shape) for name, t in state.items() if not name.endswith("num_batches_tracked")}
    return closest(shapes, [*ours(state), *theirs(state)], sizes(state))


def said(state: Mapping[str, Tensor], best: str, share: float) -> str:
    """What a checkpoint looks like, in words."""
    if share == 1:
        return f"it looks like {best}"
    if share >= CLOSE:
        return f"it looks most like {best} ({100 * share:.0f} % of its tensors have the same shapes)"
    if kind := family(state):
        return f"it looks like {kind}"
    return "no known net was recognized in it"


def closest(shapes: Mapping[str, Shape], words: Iterable[str], found: Mapping[str, int]) -> tuple[str, float]:
    """The net whose tensors have most shapes in common with these, and the share of the larger of the two.

    Among equals, the one with most names in common, then the first. `found`: channels and classes of the tensors; those
    of other libraries are not all built for any number of channels.
    """
    best, most, counted = "", (0.0, 0), Counter(shapes.values())
    for word in words:
        try:
            wanted = {key: value for key, value in found.items() if key == "classes" or ":" not in word}
            one: Any = spec(word)
            known = shapes_of(replace(one, **wanted))
        except (ReslabError, RuntimeError):  # not installed, or not with so many classes
            continue
        common = (counted & Counter(known.values())).total() / max(len(shapes), len(known))
        if (close := (common, len(known.keys() & shapes.keys()))) > most:
            best, most = word, close
    return best, most[0]


def ours(state: Mapping[str, Tensor]) -> list[str]:
    """Names of the catalog with about as many filters as there are."""
    filters = sum(tensor.dim() == 4 for tensor in state.values())
    other = [f"{cifar_name('resnet', depth)}{v2}" for depth in range(8, DEEP, 6) for v2 in ("", "_v2")]
    found = [name for name in dict.fromkeys([*names(), *other])
             if spec(name).depth <= DEEP and -6 <= filters - spec(name).depth <= 6]  # fmt: skip
    return sorted(found, key=lambda name: not name.endswith("_v1.5")) if has(state, V15) else found


def family(state: Mapping[str, Tensor]) -> str:
    return next((kind for pattern, kind, _, _ in FAMILIES if has(state, pattern)), "")


def theirs(state: Mapping[str, Tensor]) -> list[str]:
    """Nets of other libraries that name their tensors in this way, of those libraries that can be imported."""
    fitting = [(library, nets) for pattern, _, library, nets in FAMILIES if library and has(state, pattern)]
    usable = {library for library in {one for one, _ in fitting} if importable(library)}
    return [f"{library}:{name}" for library, nets in fitting if library in usable for name in nets.split()]


def importable(library: str) -> bool:
    try:
        importlib.import_module(library)
    except Exception:  # a library that does not fit torch fails in many ways
        return False
    return True


def has(state: Mapping[str, Tensor], pattern: str) -> bool:
    shared = common_prefix(list(state)) if len(state) > 1 else ""
    return any(re.search(pattern, name) or re.search(pattern, name.removeprefix(shared)) for name in state)
