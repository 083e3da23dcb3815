"""results/pictures.json: what a net made of each image of a part, counted, with thumbnails of a bounded choice."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from reslab.images.account import name_of
from reslab.images.calibrate import Scored, measured, probabilities
from reslab.images.data.images import Part
from reslab.images.pictures import choice
from reslab.images.pictures.doubts import doubts, doubts_of_several
from reslab.images.pictures.names import clipped
from reslab.images.pictures.thumbnails import thumbnail

ROWS = 4096


@dataclass(kw_only=True)
class Album:
    """The chosen images of a part, each once, with its thumbnail."""

    part: Part
    facts: Any  # row -> what is stored of the image
    places: dict[int, int] = field(default_factory=dict)  # row -> number in `images`
    images: list[dict[str, Any]] = field(default_factory=list)

    def add(self, rows: Iterable[int]) -> list[int]:
        """The numbers of the images, each decoded when it is first added."""
        for row in rows:
            if row not in self.places:
                self.places[row] = len(self.images)
                image = {"name": clipped(name_of(self.part, row)), "thumbnail": thumbnail(self.part, row)}
                self.images.append(image | self.facts(row))
        return [self.places[row] for row in rows]


def gather(
    part: Part, scored: Scored, *, classes: Sequence[str], name: str = "test", temperature: float | None = None,
    validation: tuple[Part, Scored] | None = None, **about: Any,
) -> dict[str, Any] | None:  # fmt: skip
    """What the page shows of `part`, from the scores of its images in order; None if a score is not finite.

    Probabilities are those at `temperature`; None: as the net gives them. `validation`: images that were not trained
    on, either, whose labels are doubted too. `about` is stored as it is. At most 204 thumbnails (choice.py), each of at
    most 4,200 characters.
    """
    scores, labels = scored
    if not torch.isfinite(scores).all():
        return None
    several = labels.dim() == 2
    labels = labels.long()
    p = chances(scores, temperature, several=several)
    look = several_labels if several else one_class
    found = {"part": name, "n": len(part), "several": several, "size": list(part.shape[1:]), "classes": list(classes),
             "temperature": temperature, **about, **look(part, p, labels)}  # fmt: skip
    found["reliability"] = asdict(measured((scores, labels), temperature or 1.0))
    if temperature is not None:
        found["reliability_before"] = asdict(measured((scores, labels)))
    if validation is not None and torch.isfinite(validation[1][0]).all():
        held, (held_scores, held_labels) = validation
        p = chances(held_scores, temperature, several=several)
        album = Album(part=held, facts=facts_of(p, held_labels.long()))
        found["validation"] = {"n": len(held), "doubts": doubted(album, p, held_labels.long()), "images": album.images}
    return found


def chances(scores: Tensor, temperature: float | None, *, several: bool) -> Tensor:
    """The probabilities float32 (N, K), computed in float64 a few rows at a time: N x K may be large."""
    parts = scores.split(ROWS)
    return torch.cat([probabilities(rows, temperature or 1.0, several=several).float() for rows in parts])


def one_class(part: Part, p: Tensor, labels: Tensor) -> dict[str, Any]:
    """The choice for one class an image: p (N, K), labels int64 (N,)."""
    confidence, predicted = p.max(dim=1)
    album = Album(part=part, facts=facts_of(p, labels))
    cells = choice.cells(labels, predicted, confidence, classes=p.shape[1])
    return {
        "confusion": {"true": [one.true for one in cells], "predicted": [one.predicted for one in cells],
                      "n": [one.n for one in cells]},
        "worst": album.add(choice.worst(confidence, predicted != labels)),
        "uncertain": album.add(choice.uncertain(confidence)),
        "cells": [{"true": one.true, "predicted": one.predicted, "images": album.add(one.rows)}
                  for one in cells if one.rows],
        "doubts": doubted(album, p, labels),
        "images": album.images,
    }  # fmt: skip


def several_labels(part: Part, p: Tensor, labels: Tensor) -> dict[str, Any]:
    """The choice for several labels an image: p (N, K), labels (N, K) of 0 and 1. No image is behind a cell.

    An image's confidence is that of its worst label: the probability of what is false, or of the least certain one.
    """
    said = (p > 0.5).long()
    album = Album(part=part, facts=facts_of(p, labels))
    off = (p - labels).abs().max(dim=1).values  # the probability of the falsest label
    sure = torch.maximum(p, 1 - p).min(dim=1).values
    counts = torch.stack([(said * labels).sum(0), (said * (1 - labels)).sum(0), ((1 - said) * labels).sum(0)], dim=1)
    return {
        "counts": counts.tolist(),
        "worst": album.add(choice.worst(off, (said != labels).any(dim=1))),
        "uncertain": album.add(choice.uncertain(sure)),
        "cells": [],
        "doubts": doubted(album, p, labels),
        "images": album.images,
    }


def facts_of(p: Tensor, labels: Tensor) -> Any:
    """Row -> the image's class, the predicted one and their probabilities; or its labels, and the falsest one."""

    def of_one(row: int) -> dict[str, Any]:
        confidence, predicted = p[row].max(dim=0)
        true = int(labels[row])
        return {
            "true": true,
            "predicted": int(predicted),
            "confidence": digits(confidence),
            "own": digits(p[row, true]),
        }

    def of_several(row: int) -> dict[str, Any]:
        off, label = (p[row] - labels[row]).abs().max(dim=0)
        return {"labels": labels[row].nonzero()[:, 0].tolist(), "said": (p[row] > 0.5).nonzero()[:, 0].tolist(),
                "label": int(label), "confidence": digits(p[row, label]), "own": digits(1 - off)}  # fmt: skip

    return of_one if labels.dim() == 1 else of_several


def doubted(album: Album, p: Tensor, labels: Tensor) -> dict[str, Any]:
    """How many labels may be wrong, and the first of them with the class that the net says."""
    rows, likely = (doubts if labels.dim() == 1 else doubts_of_several)(p, labels)
    shown = rows[: choice.DOUBTS].tolist()
    return {"n": len(rows), "images": album.add(shown), "likely": likely[: choice.DOUBTS].tolist(),
            "probability": [digits(p[row, k]) for row, k in zip(shown, likely.tolist(), strict=False)]}  # fmt: skip


def digits(value: Tensor) -> float:
    """A probability as it is stored."""
    return float(f"{float(value):.6g}")
