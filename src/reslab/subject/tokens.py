"""Batches of tokens for looking inside a language model or an encoder."""

import warnings
from typing import Any

from reslab.errors import UsageError, arg
from reslab.nets.words import Loaded

SAMPLES, BATCH, LENGTH = 100, 10, 128  # defaults; a window of 128 tokens costs as much as many small images


def text_batches(loaded: Loaded, flags: Any, device: Any) -> tuple[list[Any], dict[str, Any]]:
    """Windows of tokens with labels for the model's training task, and a description of the texts for look.json.

    Raises UsageError if the texts or the tokenizer do not fit the model.
    """
    from reslab.qa.data.plain import load_texts, windows

    if flags.data is None:
        raise UsageError(f"{loaded.word} needs texts: give ", arg("data", "FILE"),
                         " (.txt, .json, .jsonl, .parquet), or use ", arg("random", True))  # fmt: skip
    tokenizer = loaded.tokenizer
    if tokenizer is None:
        raise UsageError(
            f"{loaded.word} has no tokenizer beside its weights: add its tokenizer.json, or use ", arg("random", True)
        )
    texts = load_texts(flags.data, column=flags.column)
    length = length_of(loaded, flags)
    before, after = special_tokens(tokenizer)
    between = [] if after or tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    ids = windows(
        texts.texts, lambda text: encode(tokenizer, text), length=length, count=flags.samples or SAMPLES,
        seed=flags.seed, before=before, after=after, between=between,
    )  # fmt: skip
    known = vocabulary(loaded)
    if int(ids.max()) >= known:
        raise UsageError(
            f"the tokenizer of {loaded.word} produces token {int(ids.max())}, but the model knows only {known} tokens"
        )
    return token_batches(loaded, flags, ids, device), {**texts.describe(), "length": length}


def random_tokens(loaded: Loaded, flags: Any, n: int) -> Any:
    """Windows (n, length) of tokens sampled uniformly from the vocabulary."""
    import torch

    return torch.randint(
        vocabulary(loaded), (n, length_of(loaded, flags)), generator=torch.Generator().manual_seed(flags.seed)
    )


def token_batches(loaded: Loaded, flags: Any, ids: Any, device: Any) -> list[Any]:
    """Windows (N, L) as batches, with labels (N, L) for the kind of model."""
    from reslab.qa.data.plain import hidden, next_tokens

    labels = None
    if loaded.kind == "causal":
        labels = next_tokens(ids)
    elif loaded.kind == "masked" and flags.labels:
        mask = getattr(loaded.tokenizer, "mask_token_id", None)
        if mask is None:
            raise UsageError(
                f"{loaded.word} has no tokenizer with a mask token, which is needed to hide words: use ",
                arg("labels", False),
            )
        ids, labels = hidden(ids, mask=mask, special=loaded.tokenizer.all_special_ids, seed=flags.seed)
    step = flags.batch or BATCH
    return [
        (
            model_inputs(loaded, ids[i : i + step].to(device)),
            None if labels is None else labels[i : i + step].to(device),
        )
        for i in range(0, len(ids), step)
    ]


def model_inputs(loaded: Loaded, ids: Any) -> dict[str, Any]:
    """The arguments for a transformers model; the decoder of an encoder-decoder gets the same tokens."""
    both = getattr(loaded.model.config, "is_encoder_decoder", False)
    return {"input_ids": ids, **({"decoder_input_ids": ids} if both else {})}


def length_of(loaded: Loaded, flags: Any) -> int:
    """Tokens per window: as requested, else 128 or the model's maximum. Raises UsageError for too many."""
    config = loaded.model.config
    longest = getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None)
    if flags.length is not None and longest and flags.length > longest:
        raise UsageError(f"{loaded.word} takes windows of at most {longest} tokens, got ", arg("length", flags.length))
    return flags.length or min(LENGTH, longest or LENGTH)


def vocabulary(loaded: Loaded) -> int:
    """The number of tokens that the model knows."""
    return loaded.model.get_input_embeddings().num_embeddings


def encode(tokenizer: Any, text: str) -> list[int]:
    """A text's tokens, without the tokenizer's warning about long texts, because these are cut later."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return list(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])


def special_tokens(tokenizer: Any) -> tuple[list[int], list[int]]:
    """The special tokens that the tokenizer adds before and after a text."""
    bare, dressed = encode(tokenizer, "a"), list(tokenizer("a")["input_ids"])
    at = next((i for i in range(len(dressed)) if dressed[i : i + len(bare)] == bare), 0)
    return dressed[:at], dressed[at + len(bare) :]
