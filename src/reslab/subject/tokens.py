"""Batches of tokens for looking inside a language model or an encoder."""

from typing import Any

from reslab.errors import UsageError, arg
from reslab.nets.words import Loaded

SAMPLES, BATCH = 100, 10  # defaults; a window of 128 tokens costs as much as many small images


def text_batches(loaded: Loaded, flags: Any, device: Any) -> tuple[list[Any], dict[str, Any]]:
    """Windows of tokens with labels for the model's training task, and a description of the texts for look.json.

    Raises UsageError if the texts or the tokenizer do not fit the model.
    """
    from reslab.qa.data.language import token_windows
    from reslab.qa.data.plain import load_texts

    if flags.data is None:
        raise UsageError(f"{loaded.word} needs texts: give ", arg("data", "FILE"),
                         " (.txt, .json, .jsonl, .parquet), or use ", arg("random", True))  # fmt: skip
    texts = load_texts(flags.data, column=flags.column)
    ids = token_windows(loaded, texts.texts, length=flags.length, count=flags.samples or SAMPLES, seed=flags.seed)
    return token_batches(loaded, flags, ids, device), {**texts.describe(), "length": ids.shape[1]}


def random_tokens(loaded: Loaded, flags: Any, n: int) -> Any:
    """Windows (n, length) of tokens sampled uniformly from the vocabulary."""
    import torch

    from reslab.qa.data.language import length_of, vocabulary

    return torch.randint(
        vocabulary(loaded), (n, length_of(loaded, flags.length)), generator=torch.Generator().manual_seed(flags.seed)
    )


def token_batches(loaded: Loaded, flags: Any, ids: Any, device: Any) -> list[Any]:
    """Windows (N, L) as batches, with labels (N, L) for the kind of model."""
    from reslab.qa.data.language import model_inputs
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
