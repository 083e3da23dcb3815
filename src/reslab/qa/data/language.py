"""What a language model of transformers reads: its tokenizer's tokens, in windows that it can take."""

import warnings
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from reslab.errors import UsageError, arg
from reslab.nets.words import Loaded
from reslab.qa.data.plain import windows

LENGTH = 128  # tokens per window, where nothing is requested


def token_windows(loaded: Loaded, texts: Sequence[str], *, length: int | None, count: int, seed: int) -> Tensor:
    """Up to `count` windows of tokens, int64 (n, length), of texts in random order, joined by its end-of-text token.

    `length` None: as `length_of`. Raises UsageError if the texts or the tokenizer do not fit the model.
    """
    tokenizer = loaded.tokenizer
    if tokenizer is None:
        raise UsageError(
            f"{loaded.word} has no tokenizer beside its weights: add its tokenizer.json, or use ", arg("random", True)
        )
    before, after = special_tokens(tokenizer)
    between = [] if after or tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    ids = windows(
        texts, lambda text: encode(tokenizer, text), length=length_of(loaded, length), count=count, seed=seed,
        before=before, after=after, between=between,
    )  # fmt: skip
    known = vocabulary(loaded)
    if int(ids.max()) >= known:
        raise UsageError(
            f"the tokenizer of {loaded.word} produces token {int(ids.max())}, but the model knows only {known} tokens"
        )
    return ids


def length_of(loaded: Loaded, length: int | None) -> int:
    """Tokens per window: as requested, else 128 or the model's maximum. Raises UsageError for too many."""
    config = loaded.model.config
    longest = getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None)
    if length is not None and longest and length > longest:
        raise UsageError(f"{loaded.word} takes windows of at most {longest} tokens, got ", arg("length", length))
    return length or min(LENGTH, longest or LENGTH)


def model_inputs(loaded: Loaded, ids: Tensor) -> dict[str, Tensor]:
    """The arguments for a transformers model; the decoder of an encoder-decoder gets the same tokens."""
    both = getattr(loaded.model.config, "is_encoder_decoder", False)
    return {"input_ids": ids, **({"decoder_input_ids": ids} if both else {})}


def vocabulary(loaded: Loaded) -> int:
    """The number of tokens that the model knows."""
    return int(loaded.model.get_input_embeddings().num_embeddings)


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
