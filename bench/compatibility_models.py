"""The architectures of bench/compatibility.py: which, how to build each with random weights, and an example for it."""

import inspect
import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

with suppress(ImportError):
    import torchvision_cpu  # noqa: F401  (lets a CUDA build of torchvision import beside CPU torch)

Built = tuple[nn.Module, Any, dict[str, Any]]  # the model, its example, facts for the log
SIZES = "test atto zepto femto pico nano xxtiny xxs xxsmall xx tiny mini xs xsmall t s small m medium b base".split()
MOST = 1_500_000_000  # parameters


@dataclass(frozen=True, kw_only=True)
class Case:
    """One architecture."""

    library: str
    family: str
    name: str
    build: Callable[[], Built]

    @property
    def key(self) -> str:
        return f"{self.library}:{self.name}"


def timm_cases() -> Iterator[Case]:
    """The smallest architecture, by its name, of each module and first word of the names in it."""
    import timm

    families: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name in timm.list_models():
        word = re.match(r"[a-z]+", name)
        module = inspect.getmodule(timm.model_entrypoint(name)).__name__.rpartition(".")[2]  # type: ignore
        families[module, word.group() if word else name].append(name)
    for (module, _), names in sorted(families.items()):
        names.sort(key=size_of)
        yield Case(library="timm", family=module, name=names[0], build=lambda name=names[0]: timm_model(name))


def size_of(name: str) -> tuple[int, list[int], str]:
    """A sort key that guesses the size from the name."""
    parts = re.findall(r"[a-z]+|\d+", name)
    rank = min((SIZES.index(part) for part in parts[1:] if part in SIZES), default=SIZES.index("s"))
    big = any(part in ("large", "l", "xl", "xlarge", "huge", "giant", "gigantic", "big", "enormous") for part in parts)
    return rank + 100 * big, [int(part) for part in parts if part.isdigit()], name


def timm_model(name: str) -> Built:
    import timm

    refuse_large(lambda: timm.create_model(name))
    model = timm.create_model(name)
    channels, height, width = model.default_cfg.get("input_size") or (3, 224, 224)
    return model, *smallest(model, [(1, channels, 96, 96), (1, channels, height, width)])


def smallest(model: nn.Module, shapes: list[tuple[int, ...]]) -> tuple[torch.Tensor, dict[str, Any]]:
    """A random image of the first shape that the model accepts."""
    with torch.no_grad():
        for shape in shapes[:-1]:
            with suppress(Exception):
                model.eval()(torch.randn(shape))
                return torch.randn(shape), {"input": list(shape)}
    return torch.randn(shapes[-1]), {"input": list(shapes[-1])}


def refuse_large(build: Callable[[], nn.Module], most: int = MOST) -> None:
    """Raise where the architecture has too many parameters; where it cannot be built as shapes, nothing is known."""
    try:
        with torch.device("meta"):
            n = sum(p.numel() for p in build().parameters())
    except Exception:
        return
    if n > most:
        raise MemoryError(f"{n:,} parameters")


def torchvision_cases() -> Iterator[Case]:
    """Every architecture of torchvision."""
    from torchvision import models

    for name in models.list_models():
        builder = models.get_model_builder(name)
        module = inspect.getmodule(inspect.unwrap(builder)).__name__  # type: ignore
        family = module.removeprefix("torchvision.models.")
        yield Case(library="torchvision", family=family, name=name, build=lambda n=name, f=family: vision(n, f))


def vision(name: str, family: str) -> Built:
    from torchvision import models

    refuse_large(lambda: models.get_model(name, weights=None))
    options = {}
    if family.startswith(("detection", "segmentation")):
        options["weights_backbone"] = None
    model = models.get_model(name, weights=None, **options)
    if family.startswith("detection"):
        box_operators()
        image = torch.rand(3, 128, 160)
        model.transform.min_size, model.transform.max_size = (128,), 160
        if hasattr(model, "rpn"):  # few boxes: the plain operators are slow
            model.rpn._pre_nms_top_n = model.rpn._post_nms_top_n = {"training": 10, "testing": 10}
        model.topk_candidates = 5
        if name.startswith("ssd"):
            image = torch.rand(3, 320, 320)
        return model, ([image],), {"input": list(image.shape)}
    if family.startswith("optical_flow"):
        return model, (torch.rand(1, 3, 128, 128), torch.rand(1, 3, 128, 128)), {"input": [1, 3, 128, 128]}
    if family.startswith("video"):
        shape = (1, 3, 16, 224, 224) if "swin" in name or "mvit" in name or name == "s3d" else (1, 3, 16, 112, 112)
        return model, torch.randn(shape), {"input": list(shape)}
    return model, *smallest(model, [(1, 3, side, side) for side in (96, 224, 299)])


def box_operators() -> None:
    """Plain versions of torchvision's two compiled operators, which a CUDA build lacks beside CPU torch."""
    import torchvision
    from torchvision.ops import boxes, poolers, roi_align  # noqa: F401

    if torchvision.extension._has_ops():
        return

    def nms(dets: torch.Tensor, scores: torch.Tensor, iou_threshold: float) -> torch.Tensor:
        order, kept = scores.argsort(descending=True), []
        overlap = boxes.box_iou(dets, dets)
        while len(order):
            kept.append(int(order[0]))
            order = order[1:][overlap[order[0], order[1:]] <= iou_threshold]
        return torch.tensor(kept, dtype=torch.long)

    def align(input: Any, boxes: Any, output_size: Any, spatial_scale: float = 1.0, sampling_ratio: int = -1,
              aligned: bool = False) -> torch.Tensor:  # fmt: skip
        """Bilinear samples at the middle of each bin: enough to run, not to detect."""
        size = (output_size, output_size) if isinstance(output_size, int) else tuple(output_size)
        each = isinstance(boxes, torch.Tensor)
        rois = [(row[0], row[1:]) for row in boxes] if each else [(i, box) for i, b in enumerate(boxes) for box in b]
        if not len(rois):
            return input.new_zeros(0, input.shape[1], *size)
        found = []
        for i, box in rois:
            x0, y0, x1, y1 = (box * spatial_scale).tolist()
            height, width = input.shape[2:]
            ys = torch.linspace(y0, y1, size[0]) / max(1, height - 1) * 2 - 1
            xs = torch.linspace(x0, x1, size[1]) / max(1, width - 1) * 2 - 1
            grid = torch.stack(torch.meshgrid(ys, xs, indexing="ij")[::-1], dim=-1)[None]
            found.append(nn.functional.grid_sample(input[int(i) : int(i) + 1], grid, align_corners=True))
        return torch.cat(found)

    boxes.nms = nms
    boxes.batched_nms.__globals__["nms"] = nms
    poolers.roi_align = align


def transformers_cases() -> Iterator[Case]:
    """Every model type with a base model, as small as its configuration can be made."""
    from transformers.models.auto import modeling_auto
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    transformer("bert"), transformer("llama"), transformer("vit")  # what all import is imported here, once
    for kind in sorted(CONFIG_MAPPING_NAMES):
        if not any(kind in getattr(modeling_auto, names) for names in MAPPINGS):
            continue  # a part of another model
        yield Case(library="transformers", family=kind, name=kind, build=lambda kind=kind: transformer(kind))


SMALL: dict[str, int] = {  # by what the key ends in
    "hidden_size": 32, "embed_dim": 32, "d_model": 32, "n_embd": 32, "hidden_dim": 32, "embedding_size": 32,
    "intermediate_size": 48, "ffn_dim": 48, "d_ff": 48, "n_inner": 48, "mlp_dim": 48,
    "vocab_size": 99, "num_hidden_layers": 2, "num_layers": 2, "n_layer": 2, "n_layers": 2, "encoder_layers": 2,
    "decoder_layers": 2, "depth": 2, "num_attention_heads": 4, "num_heads": 4, "n_head": 4, "n_heads": 4,
    "attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "d_kv": 8, "image_size": 32, "patch_size": 8,
    "num_experts": 4, "num_local_experts": 4, "n_routed_experts": 4, "num_experts_per_tok": 2,
    "moe_intermediate_size": 24, "word_embed_proj_dim": 32, "projection_dim": 32, "state_size": 8,
    "max_position_embeddings": 64, "n_positions": 64,
}  # fmt: skip
MAPPINGS = ["MODEL_MAPPING_NAMES", "MODEL_FOR_CAUSAL_LM_MAPPING_NAMES", "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES",
            "MODEL_FOR_DEPTH_ESTIMATION_MAPPING_NAMES", "MODEL_FOR_TEXT_TO_WAVEFORM_MAPPING_NAMES"]  # fmt: skip
LAYERS = "num_hidden_layers num_layers n_layer n_layers encoder_layers decoder_layers depth".split()


def transformer(kind: str) -> Built:
    """The smallest of several configurations that can be built and run."""
    from transformers import AutoConfig

    reasons = []
    for shrink in (SMALL, {k: v for k, v in SMALL.items() if k not in ("head_dim", "d_kv", "patch_size", "image_size")},
                   {key: SMALL[key] for key in LAYERS}):  # fmt: skip
        try:
            config = smaller(AutoConfig.for_model(kind), shrink)
            refuse_large(lambda config=config: base_model(config), most=10**8)
            model = base_model(config).eval()
            facts = {"class": type(model).__name__, "layers": layers_of(config)}
            with torch.no_grad():
                for both in (False, True):
                    with suppress(Exception if not both else KeyboardInterrupt):
                        example = example_for(model, config, both=both)
                        model(**example)
                        return model, example, facts
        except Exception as error:
            reasons.append(f"{type(error).__name__}: {str(error)[:160]}")
    raise NotImplementedError(f"no example: {reasons[0]} | {reasons[-1]}")


def base_model(config: Any) -> nn.Module:
    import transformers
    from transformers.models.auto import modeling_auto

    for names in MAPPINGS:
        found = getattr(modeling_auto, names).get(config.model_type)
        if found:
            return getattr(transformers, found if isinstance(found, str) else found[0])(config)
    raise NotImplementedError(f"no model class takes {type(config).__name__}")


def smaller(config: Any, shrink: dict[str, int]) -> Any:
    """The configuration made again with small numbers, its parts included."""
    import transformers

    changed: dict[str, Any] = {}
    for key, value in vars(config).items():
        if isinstance(value, transformers.PretrainedConfig):
            changed[key] = smaller(value, shrink).to_dict()
        elif isinstance(value, int) and not isinstance(value, bool):
            small = next((shrink[end] for end in shrink if key == end or key.endswith(f"_{end}")), None)
            if small is not None and small < value:
                changed[key] = small
    given = {key: value for key, value in config.to_dict().items() if key in inspect.signature(type(config)).parameters}
    lists = {key: value[:2] for key, value in given.items()
             if isinstance(value, list) and len(value) == getattr(config, "num_hidden_layers", -1) and changed.get(
                 "num_hidden_layers") == 2}  # fmt: skip
    own = {"layer_types": None} if "layer_types" in given and lists.get("layer_types") is None else {}
    return type(config)(**{**given, **changed, **lists, **own} if changed else {})


def layers_of(config: Any) -> dict[str, int]:
    """How many layers the configuration states."""
    import transformers

    found: dict[str, int] = {}
    for key, value in vars(config).items():
        if isinstance(value, transformers.PretrainedConfig):
            found |= {f"{key}.{name}": n for name, n in layers_of(value).items()}
        elif key in LAYERS and isinstance(value, int):
            found[key] = value
    return found


def example_for(model: nn.Module, config: Any, *, both: bool = False) -> dict[str, Any]:
    """Arguments by the names of the model's parameters; `both` gives it images and texts if it takes them."""
    names = inspect.signature(model.forward).parameters
    text, sight = getattr(config, "text_config", config), getattr(config, "vision_config", config)
    vocabulary = min(
        getattr(c, "vocab_size", 99) or 99 for c in (config, text) if isinstance(getattr(c, "vocab_size", 99), int)
    )
    ids = torch.arange(7)[None].repeat(2, 1) % max(2, vocabulary - 2) + 1
    size = getattr(sight, "image_size", None) or getattr(config, "image_size", None) or 64
    height, width = size if isinstance(size, list | tuple) else (size, size)
    channels = getattr(sight, "num_channels", 3)
    channels = channels if isinstance(channels, int) else 3
    main = getattr(model, "main_input_name", "input_ids")
    found: dict[str, Any] = {}
    if "input_ids" in names and main not in ("pixel_values", "input_values", "input_features"):
        found["input_ids"] = ids
    if getattr(config, "is_encoder_decoder", False) and "decoder_input_ids" in names:
        found["decoder_input_ids"] = ids
    if "input_ids" in names and main == "pixel_values" and "pixel_values" in names:
        found["input_ids"] = ids
    if both and "input_ids" in names:
        found["input_ids"] = ids
    for name in ("pixel_values", "pixel_values_videos"):
        if (
            (both and name in names)
            or main == name
            or (name == "pixel_values" and name in names and requires(names, name))
        ):
            shape = (2, channels, height, width)
            frames = getattr(config, "num_frames", None) or getattr(config, "frames_per_clip", None)
            found[name] = torch.randn(*((2, frames, *shape[1:]) if frames else shape))
    if main == "input_values":
        found["input_values"] = torch.randn(2, 1600)
    if main == "input_features":
        bins = getattr(config, "num_mel_bins", None) or getattr(config, "feature_size", None) or 80
        length = 2 * getattr(config, "max_source_positions", 0)
        found["input_features"] = (
            torch.randn(2, bins, length) if length and "whisper" in config.model_type else torch.randn(2, 64, bins)
        )
    for name, parameter in names.items():
        if name not in found and parameter.default is inspect.Parameter.empty and parameter.kind not in (
            inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL):  # fmt: skip
            found[name] = guess(name, ids, math.prod((channels, height, width)), model)
    return found


def requires(names: Any, name: str) -> bool:
    return names[name].default in (inspect.Parameter.empty, None) and "input_ids" not in names


def guess(name: str, ids: torch.Tensor, numbers: int, model: nn.Module) -> torch.Tensor:
    if "mask" in name:
        return torch.ones_like(ids)
    if "ids" in name:
        return ids
    if "embeds" in name or "hidden" in name:
        width = getattr(model.config, "hidden_size", 32)
        return torch.randn(2, 7, width)
    return torch.randn(2, 16, 8)


LIBRARIES: dict[str, Callable[[], Iterator[Case]]] = {
    "timm": timm_cases, "torchvision": torchvision_cases, "transformers": transformers_cases,
}  # fmt: skip
