"""Cut blocks out of models of several libraries, save them, load them with the library alone, and compare.

    python bench/slim_zoo.py               # the table of docs/compatibility.md, for the libraries that are installed
    python bench/slim_zoo.py --only torchvision timm --match resnet

Weights are random. A row is printed once its model is done. "disabled": the largest difference of the scores from the
intact model with the same blocks disabled; "reload": from the cut model, after the line that loads it has been run;
"cached": whether `generate` gives the same tokens with the cache as without.
"""

import argparse
import contextlib
import copy
import importlib
import runpy
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

import reslab
from reslab.look.graph.example import scores
from reslab.look.graph.passes import as_it_was, call

SIZE = 64  # pixels, where an architecture allows it
FORMS = {
    "spec": "a smaller spec", "timm": "timm's folder", "transformers": "transformers' folder", "file": "Python file",
    "module": "weights, and a function for the intact model",
}  # fmt: skip
TEXT = {"vocab_size": 99, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 6, "num_attention_heads": 4}
GROUPED = {**TEXT, "num_key_value_heads": 2, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
VISION = {**TEXT, "image_size": 32, "patch_size": 8}
ENDS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2}


@dataclass(frozen=True)
class Case:
    """A model, a small example, and the blocks to remove."""

    library: str
    name: str
    make: Callable[[], tuple[Any, Any]]
    remove: tuple[int | str, ...]


def images(model: Any, size: int = SIZE) -> tuple[Any, torch.Tensor]:
    return model, torch.randn(2, 3, size, size)


def ours(name: str, *remove: int, **options: Any) -> Case:
    words = "".join(f", {key}={value}" for key, value in options.items())
    return Case("reslab", f"{name}{words}", lambda: images(reslab.net(name, **options)), remove)


def torchvision(name: str, *remove: int, size: int = SIZE, **options: Any) -> Case:
    def make() -> tuple[Any, torch.Tensor]:
        from torchvision import models

        return images(models.get_model(name, weights=None, num_classes=10, **options), size)

    return Case("torchvision", name, make, remove)


def timm(name: str, *remove: int, size: int = SIZE, **options: Any) -> Case:
    def make() -> tuple[Any, torch.Tensor]:
        return images(importlib.import_module("timm").create_model(name, num_classes=10, **options), size)

    return Case("timm", name, make, remove)


def transformers(kind: str, config: str, *remove: int | str, **fields: Any) -> Case:
    def make() -> tuple[Any, Any]:
        library = importlib.import_module("transformers")
        model = getattr(library, kind)(getattr(library, config)(**fields))
        if model.main_input_name == "pixel_values":
            return images(model, model.config.image_size)
        ids = torch.randint(3, 99, (2, 9))
        more = {"decoder_input_ids": ids[:, :5]} if model.config.is_encoder_decoder else {}
        return model, {"input_ids": ids, **more}

    return Case("transformers", kind, make, remove)


CASES: list[Case] = [
    ours("resnet56", 1, 2, 9, 12, 20),
    ours("resnet56_v2", 0, 1, 9, 12, 20, shortcut="B"),
    ours("resnet50", 1, 3, 9),
    ours("resnet50_v2", 0, 3, 9),
    torchvision("resnet18", 1, 2, 3),
    torchvision("resnet50", 1, 3, 9),
    torchvision("convnext_tiny", 1, 5, 9, 10),
    torchvision("vit_b_16", 3, 4, 11, size=32, image_size=32),
    torchvision("regnet_y_400mf", 1, 2, 5),
    torchvision("swin_t", 1, 5, 6),
    torchvision("efficientnet_b0", 1, 4),
    torchvision("mobilenet_v2", 1, 4),
    timm("resnet26d", 1, 3),
    timm("resnetv2_50", 0, 2, 9),
    timm("vit_tiny_patch16_224", 0, 4, 5, img_size=SIZE),
    timm("mixer_s32_224", 2, 3, img_size=SIZE),
    timm("convnextv2_atto", 1, 5, 6),
    timm("swin_tiny_patch4_window7_224", 5, img_size=SIZE, window_size=2),
    timm("regnety_002", 0, 3),
    timm("efficientnet_b0", 0, 3),
    transformers("BertForMaskedLM", "BertConfig", 1, 4, **TEXT),
    transformers("RobertaForMaskedLM", "RobertaConfig", 1, 4, **TEXT),
    transformers("DistilBertForMaskedLM", "DistilBertConfig", 1, 4, vocab_size=99, dim=32, n_layers=6, n_heads=4,
                 hidden_dim=48),
    transformers("GPT2LMHeadModel", "GPT2Config", 0, 3, vocab_size=99, n_embd=32, n_layer=6, n_head=4, bos_token_id=1,
                 eos_token_id=2),
    transformers("GPTNeoXForCausalLM", "GPTNeoXConfig", 0, 3, **TEXT, bos_token_id=1, eos_token_id=2),
    transformers("LlamaForCausalLM", "LlamaConfig", 0, 3, **GROUPED),
    transformers("Gemma2ForCausalLM", "Gemma2Config", 2, 3, **GROUPED, head_dim=8),
    transformers("Gemma3ForCausalLM", "Gemma3TextConfig", 2, 3, **GROUPED, head_dim=8),
    transformers("Qwen3ForCausalLM", "Qwen3Config", 0, 3, **GROUPED, head_dim=8),
    transformers("PhiForCausalLM", "PhiConfig", 0, 3, **TEXT, bos_token_id=1, eos_token_id=2),
    transformers("Olmo2ForCausalLM", "Olmo2Config", 0, 3, **GROUPED),
    transformers("OPTForCausalLM", "OPTConfig", 0, 3, vocab_size=99, hidden_size=32, ffn_dim=48, num_hidden_layers=6,
                 num_attention_heads=4, word_embed_proj_dim=32),
    transformers("Qwen3MoeForCausalLM", "Qwen3MoeConfig", 0, 3, **GROUPED, head_dim=8, num_experts=4,
                 num_experts_per_tok=2, moe_intermediate_size=16, decoder_sparse_step=2),
    transformers("MambaForCausalLM", "MambaConfig", 0, 3, vocab_size=99, hidden_size=32, state_size=8,
                 num_hidden_layers=6),
    transformers("ViTForImageClassification", "ViTConfig", 0, 3, **VISION),
    transformers("ModernBertForMaskedLM", "ModernBertConfig", 0, 3, **TEXT, **ENDS),
    transformers("MixtralForCausalLM", "MixtralConfig", 0, 3, **GROUPED, num_local_experts=4),
    transformers("T5ForConditionalGeneration", "T5Config", 1, "decoder.block.2", vocab_size=99, d_model=32, d_kv=8,
                 d_ff=48, num_layers=4, num_heads=4, decoder_start_token_id=0),
    transformers("BartForConditionalGeneration", "BartConfig", 1, "model.decoder.layers.2", vocab_size=99, d_model=32,
                 encoder_layers=4, decoder_layers=4, encoder_attention_heads=4, decoder_attention_heads=4,
                 encoder_ffn_dim=48, decoder_ffn_dim=48),
]  # fmt: skip


def available(library: str) -> bool:
    """Whether the library can be imported; the peers' environment mends torchvision first."""
    if library == "reslab":
        return True
    try:
        with contextlib.suppress(ImportError):
            importlib.import_module("torchvision_cpu")
        found = importlib.import_module(library)
    except (ImportError, RuntimeError, OSError) as error:
        print(f"{library} is left out: {str(error).splitlines()[0]}", file=sys.stderr)
        return False
    if library == "transformers":
        found.utils.logging.disable_progress_bar()
        found.utils.logging.set_verbosity_error()
    return True


def lively(model: Any) -> Any:
    """With statistics of BatchNorm and gains of branches that are not those of a new model, so that blocks matter."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is not None:
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 1.5)
    for name, p in model.named_parameters():
        if "gamma" in name or "layer_scale" in name:  # 1e-6 in a new ConvNeXt
            p.data.fill_(0.5)
        elif p.is_floating_point() and not p.any():  # heads of ViT and Mixer, the last norm of a branch
            p.data.normal_(std=0.1)
    return model.eval()


def output(model: nn.Module, example: Any) -> torch.Tensor:
    with as_it_was(model), torch.no_grad():
        return scores(call(model, example))


def loaded(line: str, intact: nn.Module) -> nn.Module:
    """What the line gives; only a model that nobody can build but its user is passed in."""
    libraries = {name: sys.modules[name] for name in ("timm", "transformers") if name in sys.modules}
    made: nn.Module = eval(line, {"reslab": reslab, "runpy": runpy, "net": copy.deepcopy(intact), **libraries})
    return made.eval()


def row(case: Case) -> list[str]:
    torch.manual_seed(0)
    model, example = case.make()
    model = lively(model)
    blocks = reslab.slim.find_blocks(model, example)
    small = reslab.slim.cut(model, list(case.remove), example=example, blocks=blocks)
    assert not torch.equal(output(model, example), output(small.model, example)), "the blocks do nothing"
    with tempfile.TemporaryDirectory() as folder:
        saved = small.save(Path(folder) / "small")
        again = loaded(saved.loads, model)
        far = float((output(again, example) - output(small.model, example)).abs().max())
    kinds = [block.kind for block in small.removed]
    removed = f"{len(kinds)}" + (f", {kinds.count('branch')} keep their shortcut" if "branch" in kinds else "")
    cached = "same" if any("the same with the cache as without" in note for note in saved.notes) else ""
    return [f"{case.library} {case.name}", f"{len(blocks.removable)} of {len(blocks)}", removed, FORMS[small.form],
            f"{small.difference:.1g}", f"{far:.1f}" if far == 0 else f"{far:.1g}", cached]  # fmt: skip


def rows(cases: list[Case]) -> Iterator[list[str]]:
    here = {library: available(library) for library in dict.fromkeys(case.library for case in cases)}
    for case in cases:
        if here[case.library]:
            try:
                yield row(case)
            except reslab.ReslabError as error:
                yield [f"{case.library} {case.name}", "", "", f"failed: {error}", "", "", ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", nargs="*", help="libraries")
    parser.add_argument("--match", default="", help="part of a model's name")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    cases = [case for case in CASES if (not asked.only or case.library in asked.only) and asked.match in case.name]
    head = ["model", "removable blocks", "removed", "saved as", "disabled", "reload", "cached"]
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    done = []
    for found in rows(cases):
        done.append(found)
        print(f"| {' | '.join(found)} |", flush=True)
    good = [found for found in done if found[5] == "0.0"]
    print(f"\n{len(good)} of {len(done)} models were saved and loaded again with a difference of 0.0")


if __name__ == "__main__":
    main()
