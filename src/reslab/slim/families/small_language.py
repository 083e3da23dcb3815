"""A small language model of your own texts, trained from nothing: a Llama of a few layers and its tokenizer."""

from pathlib import Path
from typing import Any

from reslab.errors import UsageError
from reslab.extras import need
from reslab.progress import Progress, silent
from reslab.qa.data.texts import TextData, load_text_data
from reslab.run import Run
from reslab.slim.families.language_run import LanguageSpec, OnTexts, digest_of, prepare
from reslab.train.folder import finished
from reslab.train.life import train_run
from reslab.train.recipe import Recipe, change

END = "[SEP]"  # of build_vocabulary's special tokens: it stands between two texts
RECIPE = Recipe(  # AdamW and a cosine with warmup, as small language models are commonly trained
    epochs=6, batch=16, optimizer="adamw", lr=2e-3, weight_decay=0.1, decay_all=False, clip=1.0, schedule="cosine",
    warmup=0.05, compile="off",
)  # fmt: skip


def language_model(
    folder: Path | str, data: str | TextData, *, layers: int = 8, hidden: int = 128, heads: int = 4,
    vocabulary: int = 2048, length: int = 128, column: str | None = None, recipe: Recipe = RECIPE,
    device: str = "auto", progress: Progress = silent, **changes: Any,
) -> dict[str, Any]:  # fmt: skip
    """Train a small Llama from nothing on texts, in a run folder; its result, also in results/train.json.

    `data`: as for `load_text_data`. The same call resumes a training that was stopped, with bit-identical results, and
    returns the stored result of a finished one. `changes`: keys of the recipe (epochs=3, seed=1). model/ in the folder
    is a Hugging Face folder: `reslab look`, `reslab slim` and transformers load it. The tokenizer is byte-level BPE
    without upper case, built from the training texts. Raises UsageError for texts that are too few, and for sizes that
    do not fit.
    """
    transformers = need("transformers", extra="text", why="a language model")
    if min(layers, hidden, heads) < 1 or hidden % heads or hidden // heads % 2:
        raise UsageError(f"hidden must be a multiple of heads with an even quotient, and layers positive, got hidden "
                         f"{hidden}, heads {heads}, layers {layers}")  # fmt: skip
    texts = load_text_data(data, column=column) if isinstance(data, str) else data
    run, made = Run(folder), change(recipe, **changes) if changes else recipe
    if not finished(folder):
        tokenizer = end_of_text_tokenizer(texts, vocabulary)
        config = transformers.LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads,
            num_key_value_heads=heads, intermediate_size=4 * hidden, max_position_embeddings=max(2 * length, 256),
            tie_word_embeddings=True, bos_token_id=None, eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id, architectures=["LlamaForCausalLM"],
        )  # fmt: skip
        spec = LanguageSpec(name=f"llama-{layers}x{hidden}", kind="causal", length=length, config=digest_of(config))
        prepare(folder, spec=spec, config=config, tokenizer=tokenizer, data=texts, column=column, recipe=made)
    return train_run(run.folder, OnTexts(texts), device=device, progress=progress)


def end_of_text_tokenizer(texts: TextData, size: int) -> Any:
    """A byte-level BPE tokenizer of the training texts, whose only special token in use ends a text."""
    from reslab.qa.data.vocabulary import build_vocabulary

    tokenizer = build_vocabulary(texts.train, size=size)
    from tokenizers import processors

    tokenizer.backend_tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.eos_token = END
    return tokenizer
