"""Judge a slim language model by what it writes, not by its loss alone.

A loss is a mean over tokens that a person wrote. When a model continues its own text, an early mistake stays in the
context, so models with nearly equal losses may write very different texts.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, overload

import torch
from torch import Tensor, nn

from reslab.errors import UsageError, one_line
from reslab.look.graph.passes import as_it_was
from reslab.slim.continuing import (
    agreeing,
    check_causal,
    ends_of,
    greedy,
    length,
    repeated,
    split,
    surprises,
    window_losses,
)
from reslab.statistics import clustered, mean, mean_interval, wilson

WARNING = (
    "Published removals that hardly changed the loss or the answers to multiple-choice questions (ShortGPT, arXiv "
    "2403.03853) broke long chains of reasoning after one or two layers, and fine-tuning did not repair them (arXiv "
    "2510.22228). Test this model on what you use it for."
)
SHOWN = 3  # continuations stored as examples


@dataclass(frozen=True, kw_only=True)
class Generation:
    """What a slim model writes, compared with the intact one: plain data. Intervals are over windows or prompts."""

    windows: int
    window_tokens: int
    loss: float  # of the next token, nats
    loss_low: float | None  # 95 %, over windows; None for fewer than two
    loss_high: float | None
    intact_loss: float
    loss_change: float  # paired by window
    loss_change_low: float | None
    loss_change_high: float | None
    prompts: int
    prompt_tokens: int
    new_tokens: int  # of each greedy continuation, at most: it ends where the intact model ends its text
    agreement: float  # share of the intact model's continuation that the slim one gives before the first difference
    agreement_low: float
    agreement_high: float
    exact: float  # share of continuations that are equal
    exact_low: float
    exact_high: float
    perplexity: float  # of the slim model's continuations, under the intact model
    perplexity_low: float | None
    perplexity_high: float | None
    intact_perplexity: float  # of the intact model's own continuations, under itself
    repetition: float  # share of four tokens in a row that the continuation held before: it lowers the perplexity
    intact_repetition: float
    warning: str = WARNING
    examples: tuple[dict[str, str], ...] = ()  # prompt, intact, slim

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def generation(
    model: nn.Module, intact: nn.Module, data: Tensor | Sequence[Any], *, tokenizer: Any = None, prompts: int = 32,
    prompt_tokens: int = 32, new_tokens: int = 32, batch: int = 8,
) -> Generation:  # fmt: skip
    """Compare the slim `model` with the `intact` one on `data`: next-token loss, and greedy continuations.

    `data`: token ids (windows, tokens), or texts with their `tokenizer`, which are joined and split into windows of
    prompt_tokens + new_tokens. The starts of `prompts` windows, evenly spread, are continued by `new_tokens` each,
    without the cache, so that a fault there does not count here. Models are called as model(ids) on their own devices.
    Raises UsageError for a model that does not predict the next token, or too little text, ReslabError for scores of
    NaN.
    """
    for name, value in (("prompts", prompts), ("prompt_tokens", prompt_tokens), ("new_tokens", new_tokens)):
        if value < 1:
            raise UsageError(f"{name} must be positive, got {value}")
    windows = split(data, tokenizer, prompt_tokens + new_tokens)
    if windows.shape[1] < max(prompt_tokens, 2):
        raise UsageError(f"windows of {windows.shape[1]} tokens are too short for prompts of {prompt_tokens} tokens")
    stops = ends_of(intact, tokenizer)
    with as_it_was(model), as_it_was(intact), torch.no_grad():
        for each in (intact, model):
            check_causal(each, windows[:1])
        losses, intact_losses = ([loss for rows in windows.split(batch) for loss in window_losses(each, rows)]
                                 for each in (model, intact))  # fmt: skip
        spread = torch.linspace(0, len(windows) - 1, min(prompts, len(windows))).long()
        starts = windows[spread.to(windows.device), :prompt_tokens]
        slim, own = (torch.cat([greedy(each, rows, new_tokens) for rows in starts.split(batch)])
                     for each in (model, intact))  # fmt: skip
        surprise, own_surprise = (
            [nats for i, rows in enumerate(starts.split(batch))
             for nats in surprises(intact, rows, texts[i * batch : (i + 1) * batch], stops)]
            for texts in (slim, own)
        )  # fmt: skip
    same = [agreeing(one, other, length(other, stops)) for one, other in zip(slim, own, strict=True)]
    exact = sum(share == 1 for share in same)
    changed = [a - b for a, b in zip(losses, intact_losses, strict=True)]
    around, whole = clustered(same), wilson(exact, len(same))
    (low, high), (change_low, change_high), (sure_low, sure_high) = map(ends, (losses, changed, surprise))
    return Generation(
        windows=len(windows), window_tokens=windows.shape[1],
        loss=mean(losses), loss_low=low, loss_high=high, intact_loss=mean(intact_losses),
        loss_change=mean(changed), loss_change_low=change_low, loss_change_high=change_high,
        prompts=len(starts), prompt_tokens=prompt_tokens, new_tokens=new_tokens,
        agreement=mean(same), agreement_low=around.low, agreement_high=around.high,
        exact=exact / len(same), exact_low=whole.low, exact_high=whole.high,
        perplexity=power(mean(surprise)), perplexity_low=power(sure_low), perplexity_high=power(sure_high),
        intact_perplexity=power(mean(own_surprise)),
        repetition=mean([repeated(one, stops) for one in slim]),
        intact_repetition=mean([repeated(one, stops) for one in own]),
        examples=shown(tokenizer, starts, own, slim),
    )  # fmt: skip


def ends(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Both ends of the interval of the mean; None for fewer than two values."""
    found = mean_interval(values)
    return (None, None) if found is None else (found.low, found.high)


@overload
def power(nats: float) -> float: ...
@overload
def power(nats: None) -> None: ...
def power(nats: float | None) -> float | None:
    """e to the power of it; the largest number where that has no digits left, which JSON could not hold."""
    return None if nats is None else math.exp(min(nats, 700.0))


def shown(tokenizer: Any, starts: Tensor, own: Tensor, slim: Tensor) -> tuple[dict[str, str], ...]:
    """A few continuations as text; as numbers without a tokenizer."""

    def text(ids: Tensor) -> str:
        return one_line(" ".join(map(str, ids.tolist())) if tokenizer is None else tokenizer.decode(ids.tolist()))

    return tuple({"prompt": text(a), "intact": text(b), "slim": text(c)}
                 for a, b, c in zip(starts[:SHOWN], own[:SHOWN], slim[:SHOWN], strict=True))  # fmt: skip
