"""Labels that may be wrong: confident disagreement between an image's label and the net (confident learning)."""

import torch
from torch import Tensor

ROWS = 4096  # examined at a time: N x K probabilities may be large


def thresholds(probabilities: Tensor, labels: Tensor) -> Tensor:
    """(K,): for each class, the mean probability of that class over the images labeled so; infinite without any.

    probabilities (N, K), labels int64 (N,). Northcutt et al. 2021, section 3.1.
    """
    K = probabilities.shape[1]
    own = probabilities.gather(1, labels[:, None])[:, 0].double()
    n = torch.bincount(labels, minlength=K)
    mean = torch.zeros(K, dtype=torch.float64).index_add_(0, labels, own) / n
    return torch.where(n > 0, mean, torch.inf)


def doubts(probabilities: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """(rows, classes): the images whose label may be wrong, the strongest disagreement first, and what they may be.

    These are the images off the diagonal of the confident joint (Northcutt et al. 2021, section 3.1): an image counts
    as the most probable of the classes whose probability reaches that class's threshold, so that a class of which the
    net is always unsure is judged by its own measure. Only those are kept whose suspected class is also the one that
    the net predicts: otherwise net and label do not disagree, or the net says a third class. They are ranked by the
    normalized margin (section 3.2): the probability of the label minus the largest other one. The net must not have
    been trained on these images.
    """
    bars = thresholds(probabilities, labels)
    found: list[Tensor] = []
    for start in range(0, len(labels), ROWS):
        p, given = probabilities[start : start + ROWS], labels[start : start + ROWS, None]
        confident = p.masked_fill(p.double() < bars, -1)
        best, likely = confident.max(dim=1)
        unlike = best > confident.gather(1, given)[:, 0]  # a tie is no disagreement
        rows = torch.nonzero(unlike & (likely == p.max(dim=1).indices))[:, 0]
        others = p[rows].scatter(1, given[rows], -1).max(dim=1).values
        margin = p[rows].gather(1, given[rows])[:, 0] - others
        found.append(torch.stack([(rows + start).double(), likely[rows].double(), margin.double()]))
    rows, likely, margin = torch.cat(found, dim=1)
    order = margin.argsort(stable=True)
    return rows[order].long(), likely[order].long()


def doubts_of_several(probabilities: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The same of several labels an image, each a question of yes or no: labels (N, K) of 0 and 1.

    (rows, labels) of the label of an image that is doubted most; an image occurs once. A doubted label is always one
    that the net predicts otherwise.
    """
    yes, is_yes = probabilities.double(), labels.bool()
    no = 1 - yes
    many, few = is_yes.sum(dim=0), (~is_yes).sum(dim=0)
    enough = torch.where(many > 0, (yes * is_yes).sum(dim=0) / many, torch.inf)
    little = torch.where(few > 0, (no * ~is_yes).sum(dim=0) / few, torch.inf)
    says_yes, says_no = (yes >= enough) & ((no < little) | (yes >= no)), (no >= little) & ((yes < enough) | (no > yes))
    said = probabilities > 0.5  # as predicted
    doubted = (says_yes & said & ~is_yes) | (says_no & ~said & is_yes)
    margin = torch.where(is_yes, yes - no, no - yes).masked_fill(~doubted, torch.inf)
    least, which = margin.min(dim=1)
    rows = torch.nonzero(torch.isfinite(least))[:, 0]
    rows = rows[least[rows].argsort(stable=True)]
    return rows, which[rows]
