"""scikit-learn estimators: residual networks for mixed tables, with scikit-learn's interface."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import Tags, check_random_state
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_is_fitted

from reslab.errors import UsageError
from reslab.progress import Progress, shown, silent
from reslab.run import MEMBERS, Run
from reslab.tables.calibrate import write_calibration
from reslab.tables.data.frame import Frame, Report
from reslab.tables.data.target import Target
from reslab.tables.fit_context import (
    ABOUT,
    check_words,
    defaults_of,
    recipe_of,
    start_or_resume,
    train_or_leave,
    untouched,
)
from reslab.tables.fit_parts import Fitted, count_members, cut, cut_all, format_of, joined
from reslab.tables.inputs import read_table, read_target, read_weights
from reslab.tables.model import TableModel, write_member
from reslab.tables.nested import inner_params, is_inner, set_inner
from reslab.tables.net.spec import to_dict
from reslab.tables.parts import ClassWeight, Parts, fingerprint
from reslab.tables.state import older_parameters, pickled, unpickled
from reslab.tables.training import model_of, spec_of
from reslab.train.folder import configure, pick_device
from reslab.train.recipe import Recipe
from reslab.train.session import alone


class TableEstimator(BaseEstimator):
    """The common base of classifier and regressor; ResidualClassifier explains the parameters."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train on the rows of X (N, F): a pandas, polars or pyarrow table, an array, or a mapping of columns.

        y: classes of any type, an indicator matrix of labels, or numbers. sample_weight (N,): a row of weight 2 counts
        as two in the loss and in early stopping, a row of weight 0 is left out. Global random states do not change.
        Raises UsageError, a ValueError, for invalid data, naming the column or the row; KeyboardInterrupt on Ctrl-C,
        SystemExit on SIGTERM.
        """
        if y is None:
            raise UsageError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        report = Report()
        check_words(self)
        frame = read_table(self, X, None, report, how=format_of(self))
        if len(frame) < 2:
            raise UsageError("X has n_samples=1, which is not enough to train on")
        values = read_target(y, len(frame))
        rows, heavy = read_weights(sample_weight, len(frame))
        if len(rows) < len(frame):
            frame, values = frame.take(rows), values[rows]
        place, self.members_ = pick_device(self.device), count_members(self, len(frame))
        seed = self.seed()
        with untouched(place):
            self.target_ = self.find_target(values)
            data = Fitted(frame=frame, y=values, target=self.target_, heavy=heavy)
            with self.showing(0) as progress:
                parts = cut_all(self, data, seed=seed, device=place, progress=progress, report=report)
            self.model_ = self.train(parts, seed, place)
        self.spec_, self.columns_ = self.model_.members[0].spec, self.model_.columns
        self.fit_problems_ = report.warn(stacklevel=3)
        self.problems_ = list(self.fit_problems_)
        return self

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters by name; `deep`: also each value of the dicts among them, as sizes__depth."""
        found: dict[str, Any] = super().get_params(deep=deep)
        return {**found, **inner_params(found)} if deep else found

    def set_params(self, **params: Any) -> Self:
        """Set parameters; sizes__depth=2 sets the depth alone, so GridSearchCV(model, {"sizes__depth": [1, 2]}) works.

        Raises UsageError, a ValueError, if such an outer parameter is no dict.
        """
        super().set_params(**{key: value for key, value in params.items() if not is_inner(key)})
        set_inner(self, {key: value for key, value in params.items() if is_inner(key)})
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The class of each row, its labels as 0 and 1, or its numbers, with the shape of y."""
        return self.answer(TableModel.predict, X)

    def save(self, folder: Path | str) -> Path:
        """Write a folder that `reslab.tables.load` reads: spec, encoder, weights; nothing pickled."""
        return self.fitted().save(folder)

    def read(self, X: Any, report: Report | None = None) -> Frame:
        model = self.fitted()
        return read_table(self, X, tuple(model.members[0].encoder.kinds), report, how=model.format)

    def answer(self, how: Callable[..., np.ndarray], X: Any) -> np.ndarray:
        """The model's predictions for X; warns about problems of X."""
        report = Report()
        frame = self.read(X, report)
        found = how(self.model_, frame, report=report)
        # In place: a prediction must not change what the estimator consists of, as scikit-learn checks.
        self.problems_[:] = [*self.fit_problems_, *report.warn(stacklevel=4)]
        return found

    def seed(self) -> int:
        """A seed from `random_state`; if that is None and the folder holds a training, that training's seed."""
        if self.random_state is None and self.folder is not None and self.run_of(0).has(ABOUT):
            return int(self.run_of(0).read_json(ABOUT, "recipe")["recipe"]["seed"])
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def cut(
        self, frame: Frame, y: np.ndarray, seed: int, place: torch.device, progress: Progress,
        report: Report | None = None, heavy: np.ndarray | None = None,
    ) -> Parts:  # fmt: skip
        """Training and validation parts, encoded for the net. heavy (N,): weights of the rows."""
        return cut(self, Fitted(frame=frame, y=y, target=self.target_, heavy=heavy), seed=seed, device=place,
                   progress=progress, report=report)  # fmt: skip

    def recipe_of(self, parts: Parts, seed: int) -> Recipe:
        return recipe_of(self, parts, seed)

    def train(self, parts: Sequence[Parts], seed: int, place: torch.device) -> TableModel:
        """Train the members one after another on their parts, in `folder` or in a temporary folder."""
        models, rule = [], defaults_of(self)
        for k, part in enumerate(parts):
            spec = spec_of(part, self.net, self.sizes or {}, rule=rule)
            recipe = self.recipe_of(part, (seed + k) % 2**31)
            configure(recipe)
            with self.showing(k) as progress, ExitStack() as stack:
                if self.folder is None:
                    run = Run(stack.enter_context(tempfile.TemporaryDirectory(prefix="reslab-")))
                    run.make()
                else:
                    run = self.run_of(k)
                    about = {"data": fingerprint(part), "net": to_dict(spec), "recipe": asdict(recipe)}
                    start_or_resume(run, about, rule)
                    stack.enter_context(alone(run))
                training = train_or_leave(part, spec, recipe=recipe, run=run, device=place, progress=progress)
                models.append(model_of(part, spec, training))
                if self.folder is not None:
                    write_member(run, models[k].members[0], self.target_)
        found = joined(models, parts, rule)
        if self.folder is not None:
            write_calibration(Run(self.folder), found.calibration)
            if len(parts) > 1:
                names = [self.run_of(k).folder.name for k in range(len(parts))]
                Run(self.folder).write_json(MEMBERS, {"members": names})
        return found

    def run_of(self, member: int) -> Run:
        """The run folder of a member's training, in `folder`."""
        where = Path(self.folder)
        return Run(where if self.members_ == 1 else where / f"s{member}")

    def showing(self, member: int) -> AbstractContextManager[Progress]:
        if not self.verbose:
            return nullcontext(silent)
        return shown(self.net if self.members_ == 1 else f"{self.net}-s{member}")

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
        """Plain data, JSON and arrays: neither nets nor classes that may change are pickled."""
        return pickled(super().__getstate__())

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__({**older_parameters(type(self)), **unpickled(state)})


class ResidualClassifier(ClassifierMixin, TableEstimator):
    """Predicts the class of each row, or all its labels if y is an indicator matrix (N, K).

    net: gated, gated-plain, gated-block, published, mlp or resnet; sizes: changes to it, such as {"depth": 6}. kinds:
    kinds of columns, by name, to correct wrong guesses. missing: words for missing values, by default "?", "NA", "null"
    and other usual ones. decimal: "," or ".", the mark of numbers like "1.001", which may be either. recipe: a recipe's
    name or file, or changes to the recipe "tables", such as {"epochs": 20}. text: folder of a transformers encoder,
    whose vectors of the text columns are used too; also needed to predict. validation: share of the rows for early
    stopping, by default 0.15. class_weight: "balanced", or a weight per class. members: number of nets, with different
    seeds, whose predictions are averaged. By default, tables of fewer than 8,000 rows get smaller nets, several members
    that each set aside other rows, and calibrated predictions (defaults.py); fewer than 10 rows, or 40 for a single
    net, are all trained on, to the end. folder: the run folder, from which an interrupted fit is resumed. device: auto,
    cpu, cuda, mps. random_state: an integer makes training reproducible. verbose: show progress on standard error.
    Problems of a table are warned about at fit and predict and stored in `problems_`. Searches reach into sizes,
    recipe, kinds and class_weight: GridSearchCV(model, {"sizes__depth": [1, 2]}).
    """

    def __init__(
        self, net: str = "gated", *, sizes: Mapping[str, Any] | None = None, kinds: Mapping[str, str] | None = None,
        missing: Sequence[str] | None = None, decimal: str | None = None,
        recipe: str | Mapping[str, Any] | None = None, text: str | Path | None = None, validation: float | None = None,
        class_weight: ClassWeight = None, members: int | None = None, folder: str | Path | None = None,
        device: str = "auto", random_state: Any = None, verbose: bool = False,
    ) -> None:  # fmt: skip
        self.net, self.sizes, self.kinds, self.missing, self.decimal = net, sizes, kinds, missing, decimal
        self.recipe, self.text = recipe, text
        self.validation, self.class_weight, self.members = validation, class_weight, members
        self.folder, self.device, self.random_state, self.verbose = folder, device, random_state, verbose

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each class in the order of classes_, or of each label: (N, K)."""
        return self.answer(TableModel.predict_proba, X)

    def find_target(self, y: np.ndarray) -> Target:
        check_classification_targets(y)
        target = Target.fit(y, kind="labels" if type_of_target(y).startswith("multilabel") else "classes")
        self.classes_ = target.classes
        return target

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class ResidualRegressor(RegressorMixin, TableEstimator):
    """Predicts one number per row, or several if y is (N, K). Parameters as for ResidualClassifier."""

    def __init__(
        self, net: str = "gated", *, sizes: Mapping[str, Any] | None = None, kinds: Mapping[str, str] | None = None,
        missing: Sequence[str] | None = None, decimal: str | None = None,
        recipe: str | Mapping[str, Any] | None = None, text: str | Path | None = None, validation: float | None = None,
        members: int | None = None, folder: str | Path | None = None, device: str = "auto", random_state: Any = None,
        verbose: bool = False,
    ) -> None:  # fmt: skip
        self.net, self.sizes, self.kinds, self.missing, self.decimal = net, sizes, kinds, missing, decimal
        self.recipe, self.text = recipe, text
        self.validation, self.members = validation, members
        self.folder, self.device, self.random_state, self.verbose = folder, device, random_state, verbose

    def find_target(self, y: np.ndarray) -> Target:
        return Target.fit(y, kind="numbers")
