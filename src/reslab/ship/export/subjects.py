"""A MODEL word -> what its family (images, questions, tables) brings to an export."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reslab.errors import UsageError, arg
from reslab.images.model import other_use
from reslab.nets.published import published
from reslab.ship.exportable import Exportable
from reslab.slim.families.named import kind_of


def subject(
    word: str, *, data: Any = None, options: Mapping[str, Any] | None = None, net: str | None = None,
    key: str | None = None, net_options: Mapping[str, Any] | None = None, weights: bool | None = None,
    normalize: str | None = None, mean_std: tuple[float, ...] | None = None, license: str | None = None, seed: int = 0,
) -> Exportable:  # fmt: skip
    """The model that `word` names, ready to be exported.

    `data`: images as for `reslab train`; a run has its own data. `license`: of the weights of a model of images; where
    none is given, it is looked up. The other arguments are for images, too: see `images_word.images`. Raises UsageError
    for a model or data that cannot be exported.
    """
    path = published(word) or Path(os.path.expanduser(word))
    use = other_use(path) if path.is_dir() else None
    if use is not None:
        given = {"data": data, **(options or {}), "net": net, "key": key, **(net_options or {}), "weights": weights,
                 "normalize": normalize, "mean_std": mean_std}  # fmt: skip
        if wrong := [part for name, value in given.items() if value is not None for part in (arg(name), ", ")][:-1]:
            raise UsageError(f"{word} is a run of {use}, which has its own data and weights: leave out ", *wrong)
        return of_run(path, use)
    if kind_of(word) == "texts":
        raise UsageError(f"{word} is a language model: only models of images, questions and tables can be exported")
    from reslab.ship.export.images_word import images

    return images(word, data=data, options=options, net=net, key=key, net_options=net_options, weights=weights,
                  normalize=normalize, mean_std=mean_std, license=license, seed=seed)  # fmt: skip


def of_run(path: Path, use: str) -> Exportable:
    """A run for questions or tables."""
    if use == "questions":
        from reslab.ship.export.questions import QuestionExport

        return QuestionExport(path)
    from reslab.ship.export.tables import TableExport

    return TableExport(path)
