"""Texts as batches of tokens for a language model or an encoder that is looked at."""

import warnings
from typing import Any

from reslab.errors import UsageError, arg
from reslab.nets.words import Loaded

SAMPLES, BATCH, LENGTH = 100, 10, 128  # by default; a window of 128 tokens costs as much as many small images


def text_batches(loaded: Loaded, flags: Any, device: Any) -> tuple[list[Any], dict[str, Any]]:
    """Windows of tokens with the labels that the model was trained for, and what look.json says of the texts.

    Raises UsageError where the texts or the tokenizer do not serve the model.
    """
    from reslab.qa.data.plain import load_texts, windows

    if flags.data is None:
        raise UsageError(f"{loaded.word}: say which texts to look at it with: ", arg("data", "FILE"),
                         " (.txt, .json, .jsonl, .parquet); or ", arg("random", True))  # fmt: skip
    tokenizer = loaded.tokenizer
    if tokenizer is None:
        raise UsageError(
            f"{loaded.word} has no tokenizer beside its weights: add its tokenizer.json, or take ", arg("random", True)
        )
    texts = load_texts(flags.data, column=flags.column)
    length = length_of(loaded, flags)
    before, after = special(tokenizer)
    between = [] if after or tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    ids = windows(
        texts.texts, lambda text: encode(tokenizer, text), length=length, count=flags.samples or SAMPLES,
        seed=flags.seed, before=before, after=after, between=between,
    )  # fmt: skip
    known = vocabulary(loaded)
    if int(ids.max()) >= known:
        raise UsageError(f"the tokenizer of {loaded.word} gives token {int(ids.max())}, and the model knows {known}")
    return token_batches(loaded, flags, ids, device), {**texts.describe(), "length": length}


def random_tokens(loaded: Loaded, flags: Any, n: int) -> Any:
    """Windows (n, length) of tokens drawn evenly from the vocabulary."""
    import torch

    return torch.randint(
        vocabulary(loaded), (n, length_of(loaded, flags)), generator=torch.Generator().manual_seed(flags.seed)
    )


def token_batches(loaded: Loaded, flags: Any, ids: Any, device: Any) -> list[Any]:
    """Windows (N, L) as batches, labels (N, L) of the model's kind beside them."""
    from reslab.qa.data.plain import hidden, next_tokens

    labels = None
    if loaded.kind == "causal":
        labels = next_tokens(ids)
    elif loaded.kind == "masked" and flags.labels:
        mask = getattr(loaded.tokenizer, "mask_token_id", None)
        if mask is None:
            raise UsageError(
                f"{loaded.word} has no tokenizer with a mask token to hide words with: take ", arg("labels", False)
            )
        ids, labels = hidden(ids, mask=mask, special=loaded.tokenizer.all_special_ids, seed=flags.seed)
    step = flags.batch or BATCH
    return [
        (called(loaded, ids[i : i + step].to(device)), None if labels is None else labels[i : i + step].to(device))
        for i in range(0, len(ids), step)
    ]


def called(loaded: Loaded, ids: Any) -> dict[str, Any]:
    """What a model of transformers is called with; the decoder beside an encoder gets the same tokens."""
    both = getattr(loaded.model.config, "is_encoder_decoder", False)
    return {"input_ids": ids, **({"decoder_input_ids": ids} if both else {})}


def length_of(loaded: Loaded, flags: Any) -> int:
    """Tokens in a window: what is asked for, else 128 or what the model takes. Raises UsageError for too many."""
    config = loaded.model.config
    longest = getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None)
    if flags.length is not None and longest and flags.length > longest:
        raise UsageError(f"{loaded.word} takes windows of up to {longest} tokens, got ", arg("length", flags.length))
    return flags.length or min(LENGTH, longest or LENGTH)


def vocabulary(loaded: Loaded) -> int:
    """How many tokens the model knows."""
    return loaded.model.get_input_embeddings().num_embeddings


def encode(tokenizer: Any, text: str) -> list[int]:
    """A text's tokens. The tokenizer's warning of long texts is not for those that will be cut."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return list(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])


def special(tokenizer: Any) -> tuple[list[int], list[int]]:
    """The tokens that the tokenizer puts before and after a text."""
    bare, dressed = encode(tokenizer, "a"), list(tokenizer("a")["input_ids"])
    at = next((i for i in range(len(dressed)) if dressed[i : i + len(bare)] == bare), 0)
    return dressed[:at], dressed[at + len(bare) :]
