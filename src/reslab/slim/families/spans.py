"""How good a reader's start and end scores are: a loss for plans, a divergence for healing, F1 with its interval."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from reslab.errors import UsageError
from reslab.nets.heads import Scores
from reslab.qa.data.question import Question
from reslab.qa.rules import score
from reslab.slim.healing.divergence import of_classes, of_labels
from reslab.slim.record import Score
from reslab.statistics import bootstrap


def loss_of_spans(scores: Tensor, labels: Tensor | None, whole: Tensor) -> Tensor:
    """Cross-entropy of the answer's start and end, their mean in nats, (B,): scores (B, L, 2), labels (B, 2)."""
    if labels is None:
        raise UsageError("the loss of spans needs the answers' positions")
    each = F.cross_entropy(scores.float().transpose(1, 2).flatten(0, 1), labels.flatten(), reduction="none")
    return each.unflatten(0, (-1, 2)).mean(dim=1)


def of_spans(student: Scores, teacher: Scores, temperature: float) -> Tensor:
    """KL(teacher || student) over the tokens of a window, the mean of start and end, (B,).

    Plus that of the two outcomes "answerable" and "not", if both have this output.
    """
    found = of_classes(student.span.transpose(1, 2), teacher.span.transpose(1, 2), temperature)
    if student.answerable is None or teacher.answerable is None:
        return found
    return found + of_labels(student.answerable[:, None], teacher.answerable[:, None], temperature)


def score_of(questions: Sequence[Question], predictions: Mapping[str, str], *, rule: str) -> Score:
    """F1 (%) over the questions, with exact match beside it; a question without a prediction scores 0.

    The intervals are of the bootstrap over contexts: questions about one text are not independent.
    """
    found = np.array([score(one, predictions[one.id], rule=rule) if one.id in predictions else (0.0, 0.0)
                      for one in questions])  # fmt: skip
    names: dict[str, int] = {}
    of = np.array([names.setdefault(one.context, len(names)) for one in questions])
    sums = np.stack([np.bincount(of, weights=column) for column in found.T])  # (2, contexts)
    counts = np.bincount(of)

    def means(rows: np.ndarray) -> dict[str, float | None]:
        exact, f1 = 100 * sums[:, rows].sum(axis=1) / counts[rows].sum()
        return {"exact": float(exact), "f1": float(f1)}

    ends, (exact, f1) = bootstrap(means, len(names)), 100 * found.mean(axis=0)
    more = {"exact": float(exact), "exact_low": ends["exact"].low, "exact_high": ends["exact"].high,
            "contexts": float(len(names))}  # fmt: skip
    return Score(value=float(f1), low=ends["f1"].low, high=ends["f1"].high, n=len(questions), more=more)
