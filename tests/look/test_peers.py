"""How many merges others' models have (facts.md, section 4). Skips what is not installed: torchvision and timm have
no build beside CPU torch here; run with them in the peers' environment."""

from typing import Any

import pytest
import torch
from models import peer
from torch import nn
from torch._subclasses import FakeTensorMode

from reslab.look import find

TORCHVISION = {
    "resnet18": 8,
    "resnet50": 16,
    "densenet121": 0,
    "vgg11_bn": 0,
    "mobilenet_v2": 10,
    "efficientnet_b0": 9,
    "convnext_tiny": 18,
    "swin_t": 24,
}
TIMM = {"resnet26d": 8, "vit_tiny_patch16_224": 24, "mixer_s32_224": 16, "cait_xxs24_224": 52}

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48, "vocab_size": 50}
TRANSFORMERS: dict[str, tuple[dict[str, Any], int]] = {
    "bert": (SMALL, 4),
    "gpt2": ({"n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": 50}, 4),
    "llama": ({**SMALL, "num_key_value_heads": 2}, 4),
    "gemma2": ({**SMALL, "num_key_value_heads": 2, "head_dim": 8}, 4),
    "opt": ({"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "ffn_dim": 48, "vocab_size": 50,
             "word_embed_proj_dim": 32}, 4),
    "mixtral": ({**SMALL, "num_key_value_heads": 2, "num_local_experts": 2}, 4),
    "gpt_neox": (SMALL, 2),  # attention and MLP side by side: one merge with two branches
    "phi": ({**SMALL, "num_key_value_heads": 4}, 2),
    "mamba": ({"hidden_size": 32, "num_hidden_layers": 2, "vocab_size": 50, "state_size": 4}, 2),
    "t5": ({"d_model": 32, "num_layers": 2, "num_decoder_layers": 3, "num_heads": 4, "d_kv": 8, "d_ff": 48,
            "vocab_size": 50}, 2 * 2 + 3 * 3),
    "bart": ({"d_model": 32, "encoder_layers": 2, "decoder_layers": 3, "encoder_attention_heads": 4,
              "decoder_attention_heads": 4, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "vocab_size": 50}, 13),
}  # fmt: skip


@pytest.mark.parametrize(("name", "count"), TORCHVISION.items())
def test_torchvision(name: str, count: int) -> None:
    merges = find(peer("torchvision").models.get_model(name), torch.randn(1, 3, 224, 224))
    assert len(merges) == count
    if name == "densenet121":
        assert "concatenates" in merges.notes[0]


@pytest.mark.parametrize(("name", "count"), TIMM.items())
def test_timm(name: str, count: int) -> None:
    assert len(find(peer("timm").create_model(name), torch.randn(1, 3, 224, 224))) == count


@pytest.mark.filterwarnings("ignore")  # others' deprecations
@pytest.mark.parametrize("kind", TRANSFORMERS)
def test_transformers(kind: str) -> None:
    transformers = peer("transformers")
    options, count = TRANSFORMERS[kind]
    model = transformers.AutoModel.from_config(transformers.AutoConfig.for_model(kind, **options))
    ids = torch.arange(7)[None]
    example = {"input_ids": ids, "decoder_input_ids": ids} if kind in ("t5", "bart") else {"input_ids": ids}
    merges = find(model, example)
    assert len(merges) == count
    assert find(model, example, values=True).merges == merges.merges
    branches = [len(merge.branches) for merge in merges]
    assert set(branches) == ({2} if kind in ("gpt_neox", "phi") else {1})


@pytest.mark.filterwarnings("ignore")
def test_vit() -> None:
    transformers = peer("transformers")
    config = transformers.ViTConfig(
        **{k: v for k, v in SMALL.items() if k != "vocab_size"}, image_size=32, patch_size=8
    )
    assert len(find(transformers.ViTModel(config), torch.randn(1, 3, 32, 32))) == 4


def test_pytorchs_own_encoder() -> None:
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    encoder = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)
    assert len(find(encoder, torch.randn(2, 5, 16))) == 6


@pytest.mark.filterwarnings("ignore")
def test_a_llama_of_seven_billions_without_weights() -> None:
    transformers = peer("transformers")
    with FakeTensorMode():
        model = transformers.LlamaForCausalLM(transformers.LlamaConfig())
        example = {"input_ids": torch.zeros(1, 16, dtype=torch.long)}
    merges = find(model, example)
    assert len(merges) == 64
    assert merges[0].params == 4 * 4096 * 4096 + 4096  # queries, keys, values, output; the norm before them
    assert merges[1].params == 3 * 4096 * 11008 + 4096
    assert merges[1].macs == 16 * 3 * 4096 * 11008


@pytest.mark.filterwarnings("ignore")
def test_on_the_meta_device() -> None:
    transformers = peer("transformers")
    with torch.device("meta"):
        model = transformers.BertModel(transformers.BertConfig(**SMALL))
        example = {"input_ids": torch.zeros(1, 16, dtype=torch.long)}
    assert len(find(model, example)) == 4


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["roberta", "xlm-roberta", "electra", "deberta-v2", "albert", "distilbert"])
def test_encoders_have_two_merges_a_layer(kind: str) -> None:
    """Sums of embeddings, and of attention scores by content and by place, are no merges."""
    transformers = peer("transformers")
    own = {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48, "vocab_size": 50}
    options = own if kind == "distilbert" else SMALL
    if kind == "deberta-v2":
        options = {**SMALL, "relative_attention": True, "pos_att_type": ["p2c", "c2p"], "max_relative_positions": 8}
    model = transformers.AutoModel.from_config(transformers.AutoConfig.for_model(kind, **options))
    assert len(find(model, {"input_ids": torch.arange(3, 10)[None]})) == 4
