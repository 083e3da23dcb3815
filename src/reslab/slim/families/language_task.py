"""Predicting tokens as a task for the training loop: a causal or a masked language model on windows of texts."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reslab.errors import Sentence, UsageError, arg
from reslab.look.graph.example import scores
from reslab.nets.words import Loaded
from reslab.qa.data.plain import IGNORED, hidden, next_tokens
from reslab.slim.healing.divergence import of_classes
from reslab.train.batch import Batch
from reslab.train.order import batch_indices
from reslab.train.recipe import Recipe
from reslab.train.tune import Choice

AT_ONCE = 4096  # tokens per pass of an evaluation
Kind = Literal["causal", "masked"]


@dataclass(frozen=True, kw_only=True)
class Asking:
    """What a language model is asked about a window of tokens: the next ones, or masked ones."""

    kind: Kind
    mask: int = 0  # id of the mask token
    special: tuple[int, ...] = ()  # ids that are never masked

    def __call__(self, ids: Tensor, *, seed: int = 0) -> tuple[Tensor, Tensor]:
        """(tokens that go in, labels), both (N, L); with masked tokens, `seed` samples them."""
        if self.kind == "causal":
            return ids, next_tokens(ids)
        return hidden(ids, mask=self.mask, special=self.special, seed=seed)


def asking(loaded: Loaded) -> Asking:
    """What a model is trained to predict. Raises UsageError for one that is no language model of texts."""
    if loaded.kind == "causal":
        return Asking(kind="causal")
    if loaded.kind != "masked":
        raise UsageError(f"{loaded.word} is no language model ({type(loaded.model).__name__}): texts need one that "
                         "predicts tokens, whose class ends in ForCausalLM, LMHeadModel or ForMaskedLM")  # fmt: skip
    mask = getattr(loaded.tokenizer, "mask_token_id", None)
    if mask is None:
        raise UsageError(f"{loaded.word} is a masked language model, and its tokenizer has no mask token")
    return Asking(kind="masked", mask=mask, special=tuple(loaded.tokenizer.all_special_ids))


def loss(scores: Tensor, labels: Tensor | None, whole: Tensor) -> Tensor:
    """Cross-entropy in nats per token, the mean of each window, (N,): the tokens of a window are not independent."""
    if labels is None:
        raise UsageError("the loss of a language model needs the tokens to predict")
    return of_windows(scores, labels)[0]


def of_windows(scores: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """(mean cross-entropy in nats, share of wrong tokens) of the labelled tokens of each window, (N,) each."""
    each = F.cross_entropy(scores.float().flatten(0, 1), labels.flatten(), reduction="none", ignore_index=IGNORED)
    asked = labels != IGNORED
    wrong = (scores.argmax(dim=-1) != labels) & asked
    many = asked.sum(dim=1)
    return each.view_as(labels).sum(dim=1) / many, wrong.sum(dim=1) / many


def of_tokens(student: Any, teacher: Any, temperature: float) -> Tensor:
    """KL(teacher || student) of the predicted token, the mean over a window's positions, (B,)."""
    return of_classes(scores(student), scores(teacher), temperature)


@torch.inference_mode()
def measured(
    net: nn.Module, ids: Tensor, ask: Asking, *, device: torch.device, choice: Choice
) -> tuple[Tensor, Tensor]:
    """`of_windows` of all windows (N, L), in eval mode; the net's mode is restored afterwards."""
    was, found = net.training, []
    net.eval()
    given, labels = ask(ids)
    step = max(1, AT_ONCE // ids.shape[1])
    for k in range(0, len(ids), step):
        with choice.autocast(device):
            out = scores(net(input_ids=given[k : k + step].to(device)))
        found.append([each.cpu() for each in of_windows(out, labels[k : k + step].to(device))])
    net.train(was)
    losses, wrong = (torch.cat(column) for column in zip(*found, strict=True))
    return losses, wrong


class LanguageTask:
    """Predict the tokens of windows (N, L), which come in an order that follows from (seed, epoch) alone."""

    unit = "windows"
    shorter = Sentence("fewer ", arg("epochs"))
    validates = True

    def __init__(self, parts: Mapping[str, Tensor], ask: Asking, recipe: Recipe, device: torch.device) -> None:
        self.parts, self.ask, self.recipe, self.device = parts, ask, recipe, device
        self.examples = len(parts["train"])
        self.losses: dict[str, Tensor] = {}  # of "validation" and "test", by window, from the last evaluation

    def rows(self, iteration: int) -> list[int]:
        found = batch_indices(self.examples, batch=self.recipe.batch, iteration=iteration, seed=self.recipe.seed)
        return [int(row) for row in found]

    def batches(self, start: int, stop: int) -> Iterator[Batch]:
        for i in range(start, stop):
            rows = torch.tensor(self.rows(i))
            ids, labels = self.ask(self.parts["train"][rows], seed=2**20 * self.recipe.seed + i)
            yield Batch(x={"input_ids": ids.to(self.device)}, y=labels.to(self.device), index=rows, iteration=i)

    def loss(self, out: Any, y: Tensor) -> Tensor:
        """The mean cross-entropy in nats per token."""
        return of_windows(scores(out), y)[0].mean()

    def wrong(self, out: Any, y: Tensor) -> Tensor:
        """The shares of wrong tokens, summed over the windows."""
        return of_windows(scores(out).detach(), y)[1].sum()

    def evaluate(self, net: nn.Module, part: str, choice: Choice) -> dict[str, Any] | None:
        """Wrong tokens (%) and loss (nats per token) on "validation" or "test"."""
        if part not in self.parts or part == "train":
            return None
        losses, wrong = measured(net, self.parts[part], self.ask, device=self.device, choice=choice)
        self.losses[part] = losses
        return {"error": 100 * float(wrong.mean()), "loss": float(losses.mean()), "n": len(losses)}

    def average_norms(self, net: nn.Module) -> None:
        raise UsageError("precise_bn needs BatchNorm, which language models do not have")
