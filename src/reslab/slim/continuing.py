"""Next-token losses and greedy continuations of any model that predicts the next token: model(ids) gives scores."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from reslab.errors import ReslabError, UsageError
from reslab.look.graph.example import scores
from reslab.look.graph.passes import call

GRAM = 4  # tokens in a row that count as a repetition
CAUSAL = 1e-3  # of the largest score: how far earlier scores may change with a later token


def split(data: Tensor | Sequence[Any], tokenizer: Any, tokens: int) -> Tensor:
    """Token ids (windows, tokens)."""
    if isinstance(data, Tensor):
        if data.dim() != 2 or data.is_floating_point() or not len(data):
            raise UsageError(f"token ids must be whole numbers of shape (windows, tokens), got {list(data.shape)}")
        return data
    texts = list(data)
    if not texts or not all(isinstance(text, str) for text in texts):
        raise UsageError("data must be token ids (windows, tokens) or a list of texts")
    if tokenizer is None:
        raise UsageError("texts need their tokenizer")
    ids = [i for text in texts for i in tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]]
    if len(ids) < tokens:
        raise UsageError(
            f"the texts have {len(ids)} tokens: too few for a prompt and its continuation ({tokens} tokens)"
        )
    whole = len(ids) // tokens
    return torch.tensor(ids[: whole * tokens]).reshape(whole, tokens)


def ends_of(intact: Any, tokenizer: Any) -> frozenset[int]:
    """The tokens with which the intact model ends a text."""
    for holder in (getattr(intact, "generation_config", None), getattr(intact, "config", None), tokenizer):
        found = getattr(holder, "eos_token_id", None)
        if found is not None:
            return frozenset(found if isinstance(found, list | tuple) else [found])
    return frozenset()


def predicted(model: nn.Module, ids: Tensor) -> Tensor:
    """The scores of the next token at each place (rows, tokens, vocabulary), in float32."""
    device = next((p.device for p in model.parameters()), ids.device)
    found = scores(call(model, ids.to(device))).float()
    if found.shape[:2] != ids.shape or found.dim() != 3:
        raise UsageError(f"{type(model).__name__} does not predict the next token: its output has the shape "
                         f"{list(found.shape)} for {list(ids.shape)} token ids")  # fmt: skip
    if not found.isfinite().any(-1).all() or found.isnan().any():
        raise ReslabError(f"{type(model).__name__} gives scores that are not numbers (NaN)")
    return found.cpu()


def check_causal(model: nn.Module, window: Tensor) -> None:
    """Raise UsageError if a later token changes what the model predicts before it."""
    if getattr(getattr(model, "config", None), "is_encoder_decoder", False):
        raise UsageError(
            f"{type(model).__name__} has an encoder and a decoder: continuations of a prompt do not fit it"
        )
    other = window.clone()
    other[:, -1] = (window[:, -1] == 0).to(window.dtype)  # another token: 0, or 1 in its place
    one, two = (predicted(model, ids)[:, :-1].nan_to_num(0, 0, 0) for ids in (window, other))
    if float((one - two).abs().max()) > CAUSAL * float(one.abs().max()):
        raise UsageError(f"{type(model).__name__} sees later tokens, so it does not predict the next one: "
                         "only its loss can be measured")  # fmt: skip


def window_losses(model: nn.Module, rows: Tensor) -> list[float]:
    """The mean loss of each window, nats."""
    found = predicted(model, rows)[:, :-1]
    each = nn.functional.cross_entropy(found.transpose(1, 2), rows[:, 1:].cpu(), reduction="none")
    return [float(loss) for loss in each.mean(1)]


def greedy(model: nn.Module, starts: Tensor, tokens: int) -> Tensor:
    """The likeliest next token, again and again: (rows, tokens)."""
    ids = starts.cpu()
    for _ in range(tokens):
        ids = torch.cat([ids, predicted(model, ids)[:, -1].argmax(-1, keepdim=True)], dim=1)
    return ids[:, starts.shape[1] :]


def surprises(intact: nn.Module, starts: Tensor, texts: Tensor, ends: frozenset[int]) -> list[float]:
    """The mean of -log p of each continuation's tokens under the intact model, nats."""
    found = predicted(intact, torch.cat([starts.cpu(), texts], dim=1))[:, starts.shape[1] - 1 : -1]
    each = nn.functional.cross_entropy(found.transpose(1, 2), texts, reduction="none")
    return [float(nats[: length(text, ends)].mean()) for nats, text in zip(each, texts, strict=True)]


def length(text: Tensor, ends: frozenset[int]) -> int:
    """The number of tokens up to the end of the text."""
    return next((i + 1 for i, token in enumerate(text.tolist()) if token in ends), len(text))


def agreeing(one: Tensor, other: Tensor, n: int) -> float:
    """The share of the first n tokens before the first difference."""
    differing = (one[:n] != other[:n]).nonzero()
    return int(differing[0]) / n if len(differing) else 1.0


def repeated(text: Tensor, ends: frozenset[int]) -> float:
    """The share of four tokens in a row that stood in the text before."""
    tokens = text.tolist()[: length(text, ends)]
    grams = [tuple(tokens[i : i + GRAM]) for i in range(len(tokens) - GRAM + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0
