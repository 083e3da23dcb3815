"""scikit-learn estimators: residual networks for mixed tables, with scikit-learn's manners."""

import json
import tempfile
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import Tags, check_random_state
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_array, check_is_fitted, column_or_1d, validate_data

from reslab.data.frames import Frame, read_frame
from reslab.data.tables import TableEncoder
from reslab.data.targets import Target
from reslab.errors import UsageError
from reslab.nets.table import build_table, from_dict, to_dict
from reslab.run import Run
from reslab.tables.model import Member, TableModel
from reslab.tables.training import (
    FEW,
    ClassWeight,
    Parts,
    batch_for,
    fingerprint,
    make_parts,
    model_of,
    set_aside,
    spec_of,
    train_net,
)
from reslab.train.progress import Tell, shown, silent
from reslab.train.recipe import Recipe, change, read
from reslab.train.start import configure, pick_device
from reslab.train.tune import Choice

ABOUT = "table.json"  # in a folder to go on in: what is trained there


class Residual(BaseEstimator):
    """What classifier and regressor share.

    net: of nets.table.PRESETS; sizes: what to change in it, such as {"depth": 6}. kinds: of columns, by name, where
    what is found by itself is not meant. recipe: a recipe's name or file, or changes of the one called "tables", such
    as {"epochs": 20}. validation: share of the rows for early stopping; of fewer than 40 rows none, and training goes
    on to its end. class_weight: "balanced", or of each class. members: nets, from as many seeds, whose predictions are
    averaged. folder: where training keeps its state, to go on there exactly if it is stopped, and a run folder in the
    end. device: auto, cpu, cuda, mps. verbose: show the progress.
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Train on the rows of X (N, F): a pandas, polars or pyarrow table, an array, or a mapping of columns.

        Raises UsageError, a ValueError, for what cannot be learned from, naming the column or the row.
        """
        if y is None:
            raise UsageError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        frame, seed = self.read(X, reset=True), int(check_random_state(self.random_state).randint(2**31 - 1))
        self.target_ = self.find_target(y, len(frame))
        self.model_ = self.train(self.cut(frame, y, seed), seed)
        self.spec_ = self.model_.members[0].spec
        self.columns_ = self.model_.columns
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Of each row its class, its labels as 0 and 1, or its numbers: shaped as y was."""
        return self.fitted().predict(self.read(X, reset=False))

    def save(self, folder: Path | str) -> Path:
        """Write a folder that `reslab.tables.load` reads: spec, encoder, weights; nothing pickled."""
        return self.fitted().save(folder)

    def read(self, X: Any, *, reset: bool) -> Frame:
        """X as a Frame, its names and width checked as scikit-learn does it."""
        if isinstance(X, Mapping | str | Path):
            frame = read_frame(X)
            if reset:
                self.n_features_in_, self.feature_names_in_ = len(frame.names), np.array(frame.names, dtype=object)
            return frame
        table = hasattr(X, "columns") or hasattr(X, "column_names")
        if table:
            validate_data(self, X, reset=reset, skip_check_array=True)
        else:
            X = validate_data(self, X, reset=reset, dtype=None, ensure_all_finite=False)
        return read_frame(X)

    def cut(self, frame: Frame, y: Any, seed: int) -> Parts:
        """Train and validation parts, as the net reads them."""
        values, rows = self.target_.encode(y), {"train": np.arange(len(frame))}
        if self.validation and len(frame) >= FEW:
            groups = values if self.target_.kind == "classes" else None
            rows["train"], rows["validation"] = set_aside(len(frame), self.validation, seed=seed, groups=groups)
        frames = {part: frame.take(some) for part, some in rows.items()}
        targets = {part: values[some] for part, some in rows.items()}
        weight = getattr(self, "class_weight", None)
        return make_parts(frames, targets, target=self.target_, kinds=self.kinds, class_weight=weight)

    def recipe_of(self, parts: Parts, seed: int) -> Recipe:
        """The recipe, of a batch that makes about STEPS of an epoch unless it says another."""
        changes = dict(self.recipe) if isinstance(self.recipe, Mapping) else {}
        recipe = read("tables" if self.recipe is None or changes else self.recipe)
        if "batch" not in changes and not isinstance(self.recipe, str):
            changes["batch"] = batch_for(len(parts.tables["train"]), recipe.batch)
        if "validation" not in parts.tables:
            changes["early_stop"] = 0
        return change(recipe, seed=seed, **changes)

    def train(self, parts: Parts, seed: int) -> TableModel:
        """The members, one after the other, in `folder` or in one that is gone afterwards."""
        if self.members < 1:
            raise UsageError(f"members must be at least 1, got {self.members}")
        place, spec = pick_device(self.device), spec_of(parts, self.net, self.sizes or {})
        models = []
        for k in range(self.members):
            recipe = self.recipe_of(parts, (seed + k) % 2**31)
            configure(recipe)
            with self.folder_for(k) as where, self.showing(k) as tell:
                run = Run(where)
                run.make()
                agree(run, {"data": fingerprint(parts), "net": to_dict(spec), "recipe": asdict(recipe)})
                training = train_net(parts, spec, recipe=recipe, run=run, device=place, tell=tell)
                models.append(model_of(parts, spec, training))
        members = [member for model in models for member in model.members]
        return TableModel(members, self.target_, device=place, choice=models[0].choice)

    def folder_for(self, member: int) -> AbstractContextManager[str]:
        """Where a member's training keeps its state."""
        if self.folder is None:
            return tempfile.TemporaryDirectory(prefix="reslab-")
        where = Path(self.folder)
        return nullcontext(str(where if self.members == 1 else where / f"s{member}"))

    def showing(self, member: int) -> AbstractContextManager[Tell]:
        if not self.verbose:
            return nullcontext(silent)
        return shown(self.net if self.members == 1 else f"{self.net}-s{member}", unit="rows")

    def fitted(self) -> TableModel:
        check_is_fitted(self, "model_")
        return self.model_

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        tags.target_tags.multi_output = True
        return tags

    def __getstate__(self) -> dict[str, Any]:
        """Plain data, JSON and arrays: no net is pickled."""
        state = dict(super().__getstate__())
        if "model_" in state:
            state["model_"] = to_state(state["model_"])
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "model_" in state:
            state = {**state, "model_": from_state(state["model_"])}
        super().__setstate__(state)


class ResidualClassifier(ClassifierMixin, Residual):
    """Names the class of each row; or all labels of a row, where y is an indicator matrix (N, K)."""

    def __init__(
        self, net: str = "gated", *, sizes: Mapping[str, Any] | None = None, kinds: Mapping[str, str] | None = None,
        recipe: str | Mapping[str, Any] | None = None, validation: float = 0.15, class_weight: ClassWeight = None,
        members: int = 1, folder: str | Path | None = None, device: str = "auto", random_state: Any = None,
        verbose: bool = False,
    ) -> None:  # fmt: skip
        self.net, self.sizes, self.kinds, self.recipe = net, sizes, kinds, recipe
        self.validation, self.class_weight, self.members = validation, class_weight, members
        self.folder, self.device, self.random_state, self.verbose = folder, device, random_state, verbose

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each class in the order of classes_, or of each label: (N, K)."""
        return self.fitted().predict_proba(self.read(X, reset=False))

    def find_target(self, y: Any, rows: int) -> Target:
        check_classification_targets(y)
        target = Target.fit(
            checked(y, rows), kind="labels" if type_of_target(y).startswith("multilabel") else "classes"
        )
        self.classes_ = target.classes
        return target

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class ResidualRegressor(RegressorMixin, Residual):
    """Predicts a number a row, or several where y is (N, K)."""

    def __init__(
        self, net: str = "gated", *, sizes: Mapping[str, Any] | None = None, kinds: Mapping[str, str] | None = None,
        recipe: str | Mapping[str, Any] | None = None, validation: float = 0.15, members: int = 1,
        folder: str | Path | None = None, device: str = "auto", random_state: Any = None, verbose: bool = False,
    ) -> None:  # fmt: skip
        self.net, self.sizes, self.kinds, self.recipe = net, sizes, kinds, recipe
        self.validation, self.members = validation, members
        self.folder, self.device, self.random_state, self.verbose = folder, device, random_state, verbose

    def find_target(self, y: Any, rows: int) -> Target:
        return Target.fit(checked(y, rows), kind="numbers")


def checked(y: Any, rows: int) -> np.ndarray:
    """y as an array (N,) or (N, K), finite, as many rows as X has; a column becomes (N,), with a warning."""
    if hasattr(y, "to_numpy"):
        y = y.to_numpy()
    array: np.ndarray = check_array(
        y, dtype=None, ensure_2d=False, ensure_all_finite=True, input_name="y", allow_nd=True
    )
    if array.ndim != 2 or array.shape[1] == 1:
        array = column_or_1d(array, warn=True)
    if len(array) != rows:
        raise UsageError(f"Found input variables with inconsistent numbers of samples: X has {rows}, y {len(array)}")
    return array


def agree(run: Run, about: dict[str, Any]) -> None:
    """Raise UsageError where the folder holds the training of something else, naming what differs."""
    about = json.loads(json.dumps(about))
    if run.has(ABOUT):
        there = run.read_json(ABOUT)
        if differ := [key for key in about if there.get(key) != about[key]]:
            raise UsageError(f"{run.folder} holds another training ({', '.join(differ)} differ); name a new folder")
    run.write_json(ABOUT, about)


def to_state(model: TableModel) -> dict[str, Any]:
    """A model as JSON and arrays."""
    members = []
    for member in model.members:
        about, arrays = member.encoder.to_dict()
        weights = {name: value.cpu().numpy() for name, value in member.net.state_dict().items()}
        members.append({"spec": to_dict(member.spec), "encoder": about, "arrays": arrays, "weights": weights})
    return {"members": members, "target": model.target.to_dict(), "device": str(model.device),
            "choice": model.choice.as_dict()}  # fmt: skip


def from_state(state: Mapping[str, Any]) -> TableModel:
    """The model that `to_state` described; on the CPU where its device is not there."""
    members = []
    for one in state["members"]:
        spec = from_dict(one["spec"])
        with torch.random.fork_rng(devices=[]):
            net = build_table(spec)
        net.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in one["weights"].items()})
        encoder = TableEncoder.from_dict(one["encoder"], one["arrays"])
        members.append(Member(spec=spec, encoder=encoder, net=net.requires_grad_(False)))
    try:
        device = pick_device(state["device"])
    except UsageError:
        device = torch.device("cpu")
    return TableModel(members, Target.from_dict(state["target"]), device=device, choice=Choice(**state["choice"]))
