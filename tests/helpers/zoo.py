"""Small random models of transformers, one of each kind of layer list: nothing is fetched."""

from collections.abc import Callable
from typing import Any

import torch

Case = tuple[Any, dict[str, Any], str]  # the model, an example, the path of its list of layers
LAYERS = 4
SMALL: dict[str, Any] = {
    "vocab_size": 99, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": LAYERS, "num_attention_heads": 4,
    "max_position_embeddings": 64,
}  # fmt: skip
GROUPED = {**SMALL, "num_key_value_heads": 2, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
MOE = {"num_experts_per_tok": 2, "moe_intermediate_size": 16, "head_dim": 8, "num_experts": 4}
VISION = {**SMALL, "image_size": 16, "patch_size": 8, "num_channels": 3}


def made(kind: str, config: str, path: str, **fields: Any) -> Case:
    """A model in eval mode, with weights large enough for its layers to matter, and an example of 2 rows."""
    import transformers

    torch.manual_seed(0)
    model = getattr(transformers, kind)(getattr(transformers, config)(**fields)).eval()
    for p in model.parameters():
        if p.dim() > 1:
            torch.nn.init.normal_(p, std=0.1)
    ids = torch.randint(3, 99, (2, 9), generator=torch.Generator().manual_seed(1))
    example: dict[str, Any] = {"input_ids": ids}
    if model.main_input_name == "pixel_values":
        example = {"pixel_values": torch.randn(2, 3, 16, 16)}
    elif model.config.is_encoder_decoder:
        example = {"input_ids": ids, "decoder_input_ids": ids[:, :5]}
    return model, example, path


def llama(**more: Any) -> Case:
    return made("LlamaForCausalLM", "LlamaConfig", "model.layers", **{**GROUPED, **more})


def gpt2(**more: Any) -> Case:
    return made("GPT2LMHeadModel", "GPT2Config", "transformer.h", vocab_size=99, n_embd=32, n_layer=LAYERS, n_head=4,
                n_positions=64, bos_token_id=1, eos_token_id=2, **more)  # fmt: skip


def qwen3_moe(**more: Any) -> Case:
    return made("Qwen3MoeForCausalLM", "Qwen3MoeConfig", "model.layers", **GROUPED, **MOE, **more)


def t5(stack: str, **more: Any) -> Case:
    return made("T5ForConditionalGeneration", "T5Config", f"{stack}.block", vocab_size=99, d_model=32, d_kv=8, d_ff=48,
                num_layers=LAYERS, num_heads=4, decoder_start_token_id=0, **more)  # fmt: skip


def bart(stack: str) -> Case:
    return made("BartForConditionalGeneration", "BartConfig", f"model.{stack}.layers", vocab_size=99, d_model=32,
                encoder_layers=LAYERS, decoder_layers=LAYERS, encoder_attention_heads=4, decoder_attention_heads=4,
                encoder_ffn_dim=48, decoder_ffn_dim=48, max_position_embeddings=64)  # fmt: skip


ZOO: dict[str, Callable[[], Case]] = {
    "BERT": lambda: made("BertModel", "BertConfig", "encoder.layer", **SMALL),
    "RoBERTa": lambda: made("RobertaForMaskedLM", "RobertaConfig", "roberta.encoder.layer", **SMALL),
    "DistilBERT": lambda: made(
        "DistilBertModel", "DistilBertConfig", "transformer.layer", vocab_size=99, dim=32, hidden_dim=48,
        n_layers=LAYERS, n_heads=4, max_position_embeddings=64,
    ),
    "ModernBERT": lambda: made(
        "ModernBertForMaskedLM", "ModernBertConfig", "model.layers", **SMALL, pad_token_id=0, bos_token_id=1,
        eos_token_id=2, cls_token_id=1, sep_token_id=2, local_attention=4,
    ),
    "ViT": lambda: made("ViTForImageClassification", "ViTConfig", "vit.layers", **VISION),
    "GPT-2": gpt2,
    "GPT-NeoX": lambda: made("GPTNeoXForCausalLM", "GPTNeoXConfig", "gpt_neox.layers", **SMALL),
    "Llama": llama,
    "Gemma 2": lambda: made(
        "Gemma2ForCausalLM", "Gemma2Config", "model.layers", **GROUPED, head_dim=8, sliding_window=4
    ),
    "Gemma 3": lambda: made(
        "Gemma3ForCausalLM", "Gemma3TextConfig", "model.layers", **GROUPED, head_dim=8, sliding_window=4,
        sliding_window_pattern=3,
    ),
    "Qwen3": lambda: made(
        "Qwen3ForCausalLM", "Qwen3Config", "model.layers", **GROUPED, head_dim=8, use_sliding_window=True,
        sliding_window=4, max_window_layers=2,
    ),
    "Phi": lambda: made("PhiForCausalLM", "PhiConfig", "model.layers", **GROUPED),
    "OLMo 2": lambda: made("Olmo2ForCausalLM", "Olmo2Config", "model.layers", **GROUPED),
    "OPT": lambda: made(
        "OPTForCausalLM", "OPTConfig", "model.decoder.layers", vocab_size=99, hidden_size=32, ffn_dim=48,
        num_hidden_layers=LAYERS, num_attention_heads=4, max_position_embeddings=64, word_embed_proj_dim=32,
    ),
    "Mixtral": lambda: made(
        "MixtralForCausalLM", "MixtralConfig", "model.layers", **GROUPED, num_local_experts=4, num_experts_per_tok=2
    ),
    "Qwen3 MoE": qwen3_moe,
    "Qwen3 MoE, every second layer": lambda: qwen3_moe(decoder_sparse_step=2),
    "T5 encoder": lambda: t5("encoder", num_decoder_layers=2),
    "T5 decoder": lambda: t5("decoder"),
    "BART encoder": lambda: bart("encoder"),
    "BART decoder": lambda: bart("decoder"),
    "Mamba": lambda: made(
        "MambaForCausalLM", "MambaConfig", "backbone.layers", vocab_size=99, hidden_size=32, state_size=8,
        num_hidden_layers=LAYERS,
    ),
}  # fmt: skip
