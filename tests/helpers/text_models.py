"""Tiny readers and language models, and texts for them."""

from pathlib import Path
from typing import Any

import torch

from reslab.nets.words import Loaded
from reslab.qa.data.vocabulary import build_vocabulary
from reslab.qa.folder import Reading, load, prepare, small
from reslab.qa.net.net import QASpec
from reslab.qa.train import train
from reslab.train.recipe import Recipe

QUICK = Recipe(iterations=2, batch=4, optimizer="adamw", lr=1e-3, schedule="linear", decay_all=False, precision="fp32",
               compile="off", threads=1, checkpoint_seconds=1e9)  # fmt: skip
NAMES = "Ada Bob Cleo Dan Eve Finn Gus Hal Ida Jon Kim Lea Max Nan Oda Pia".split()
TINY: Any = {"layers": 3, "hidden": 8, "heads": 2, "vocabulary": 262, "length": 16, "iterations": 3, "batch": 4,
             "device": "cpu", "precision": "fp32", "checkpoint_seconds": 1e9}  # fmt: skip


def trained(
    folder: Path, word: Path, *, encoder: Any = None, tokenizer: Any = None, rule: str = "", **shape: Any
) -> Path:
    """A finished run: its encoder has three layers, its head two."""
    reading, data = load(str(word), Reading(rule="", stride=8, share=0.2))
    built: Any = encoder and str(encoder)
    if encoder is None:
        built, tokenizer = small(data, vocabulary=300, hidden=16, layers=3, heads=2, length=48)
    spec = QASpec(name="net", encoder=built, head="tokens", layers=2, length=48, **shape)
    run = prepare(folder, spec=spec, tokenizer=tokenizer, data=data, word=str(word), reading=reading, recipe=QUICK)
    train(run.folder, device="cpu")
    return run.folder


def tiny(kind: str, texts: Path) -> Loaded:
    """A model of three layers with random weights."""
    import transformers

    tokenizer = build_vocabulary([texts.read_text()], size=262)
    sizes: Any = {"vocab_size": len(tokenizer), "hidden_size": 8, "num_hidden_layers": 3, "num_attention_heads": 2,
                  "intermediate_size": 16, "max_position_embeddings": 32}  # fmt: skip
    torch.manual_seed(0)
    model: Any = (transformers.LlamaForCausalLM(transformers.LlamaConfig(**sizes)) if kind == "causal" else
                  transformers.BertForMaskedLM(transformers.BertConfig(**sizes)))  # fmt: skip
    return Loaded(model=model, kind=kind, word="tiny", name="tiny", tokenizer=tokenizer)  # type: ignore[arg-type]
