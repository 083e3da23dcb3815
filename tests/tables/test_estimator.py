"""The estimators among scikit-learn's tools: pickled, searched, stopped, resumed, with tables of any library."""

import contextlib
import io
import json
import os
import pickle
import pickletools
import signal
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.multiclass import type_of_target

from reslab.cli import say
from reslab.errors import Argument, ReslabWarning, UsageError
from reslab.tables import ResidualClassifier, ResidualRegressor, load
from reslab.tables.calibrate import mean_of
from reslab.train.training import Training

FAST: dict[str, Any] = {
    "sizes": {"width": 8, "inner": 8, "depth": 2, "embedding": 4, "bins": 4}, "recipe": {"epochs": 2, "lr": 1e-2},
    "device": "cpu", "random_state": 0, "members": 1,
}  # fmt: skip


def classifier(**changes: Any) -> ResidualClassifier:
    return ResidualClassifier(**{**FAST, **changes})


def same(one: Any, other: Any, X: Any) -> None:  # noqa: N803
    assert np.array_equal(one.predict_proba(X), other.predict_proba(X))


def test_any_library_s_table_gives_the_same_bits(flats: Any, large: Any) -> None:
    pd, pl, pa = (pytest.importorskip(name) for name in ("pandas", "polars", "pyarrow"))
    records = [dict(zip(flats, row, strict=True)) for row in zip(*flats.values(), strict=True)]
    forms = [flats, pd.DataFrame(flats), pl.DataFrame(flats), pa.table(flats), records]
    known = None
    for X in forms:
        found = classifier().fit(X, large)
        assert (found.n_features_in_, found.feature_names_in_.tolist()) == (7, list(flats))
        known = found.predict_proba(flats) if known is None else known
        for other in forms:
            assert np.array_equal(found.predict_proba(other), known)


def test_columns_without_names_are_taken_by_their_place(flats: Any, large: Any) -> None:
    pd = pytest.importorskip("pandas")
    frame, rows = pd.DataFrame(flats), [list(row) for row in zip(*flats.values(), strict=True)]
    named, bare = classifier().fit(frame, large), classifier().fit(rows, large)
    assert not hasattr(bare, "feature_names_in_")
    assert np.array_equal(named.predict_proba(frame), bare.predict_proba(rows))
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        assert np.array_equal(named.predict_proba(frame.to_numpy()), bare.predict_proba(rows))
    with pytest.warns(UserWarning, match="was fitted without feature names"):
        assert np.array_equal(bare.predict_proba(frame), named.predict_proba(frame))
    with pytest.raises(ValueError, match="X has 6 features, but ResidualClassifier is expecting 7"):
        bare.predict([row[:6] for row in rows])
    with pytest.raises(ValueError, match="should match those that were passed during fit"):
        named.predict(frame[frame.columns[::-1]])


@pytest.mark.parametrize(("y", "dtype"), [
    (["b", "a"], "U"), ([3, 1], "i"), ([True, False], "b"), ([2.0, 1.0], "f"), (np.array([1, 0], np.uint8), "u"),
])  # fmt: skip
def test_classes_of_any_type_come_back_as_they_were(flats: Any, y: Any, dtype: str) -> None:
    many = np.resize(y, 60)
    found = classifier().fit(flats, many)
    assert found.classes_.tolist() == sorted(np.unique(many).tolist())
    assert found.classes_.dtype.kind == found.predict(flats).dtype.kind == dtype
    assert 0 <= found.score(flats, many) <= 1
    assert found.predict_proba(flats).sum(axis=1) == pytest.approx(1)


def test_targets_of_any_library(flats: Any, large: Any) -> None:
    pd, pl, pa = (pytest.importorskip(name) for name in ("pandas", "polars", "pyarrow"))
    for y in (large.tolist(), pd.Series(large), pd.Series(large, dtype="category"), pl.Series(large), pa.array(large)):
        assert classifier().fit(flats, y).classes_.tolist() == ["no", "yes"]
    for dtype in ("Int64", "boolean"):
        found = classifier().fit(flats, pd.Series((large == "yes").astype(int)).astype(dtype))
        assert type_of_target(found.predict(flats)) == "binary"
    labels = {"a": [0, 1] * 30, "b": [1, 1, 0] * 20}
    for y in (pd.DataFrame(labels), pl.DataFrame(labels), pa.table(labels), np.stack(list(labels.values()), axis=1)):
        found = classifier().fit(flats, y)
        assert found.predict(flats).shape == found.predict_proba(flats).shape == (60, 2)
        assert type_of_target(found.predict(flats)) == "multilabel-indicator"


def test_numbers_one_or_several(flats: Any) -> None:
    y = np.array(flats["size"])
    for target, shape in ((y, (60,)), (np.stack([y, -y], axis=1), (60, 2))):
        copied = pytest.warns(ReslabWarning, match="'size': .*the target") if target is y else contextlib.nullcontext()
        with copied:
            found = ResidualRegressor(**{**FAST, "recipe": {"epochs": 40, "lr": 1e-2}}).fit(flats, target)
        assert found.predict(flats).shape == shape
        assert found.score(flats, target) > 0.8
    with pytest.raises(UsageError, match="a target of numbers has no probabilities"):
        found.model_.predict_proba(flats)


def test_scikit_learn_s_tools(flats: Any, large: Any) -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(flats)
    again = clone(classifier(members=2)).set_params(net="mlp")
    assert again.get_params()["members"] == 2
    assert str(again).startswith("ResidualClassifier(")
    scale = ColumnTransformer([("scale", StandardScaler(), ["size"])], remainder="passthrough")
    for form in ("default", "pandas", "polars"):
        piped = make_pipeline(clone(scale).set_output(transform=form), classifier())
        assert piped.fit(frame, large).predict(frame).shape == (60,)
    search = GridSearchCV(classifier(), {"net": ["gated", "mlp"]}, cv=2, error_score="raise").fit(frame, large)
    assert search.best_params_["net"] in ("gated", "mlp")
    assert cross_val_score(classifier(), frame, large, cv=3, error_score="raise").shape == (3,)
    calibrated = CalibratedClassifierCV(classifier(), cv=2).fit(frame, large)
    assert calibrated.predict_proba(frame).sum(axis=1) == pytest.approx(1)


def test_a_search_reaches_into_the_sizes(flats: Any, large: Any) -> None:
    rows = np.array([list(row) for row in zip(*flats.values(), strict=True)], dtype=object)
    model = classifier()
    search = GridSearchCV(model, {"sizes__depth": [1, 3], "recipe__lr": [1e-2]}, cv=2, error_score="raise")
    search.fit(rows, large)
    best = search.best_params_["sizes__depth"]
    assert search.best_estimator_.spec_.depth == best
    assert search.best_estimator_.sizes == {**FAST["sizes"], "depth": best}
    assert model.sizes is FAST["sizes"]  # neither copied nor changed
    piped = make_pipeline(classifier()).set_params(residualclassifier__sizes__depth=5)
    assert piped[0].get_params()["sizes__depth"] == 5
    assert piped.get_params()["residualclassifier__sizes__width"] == 8
    bare = ResidualClassifier().set_params(sizes__depth=1, sizes={"width": 4}, kinds__size="number")
    assert (bare.sizes, bare.kinds) == ({"width": 4, "depth": 1}, {"size": "number"})
    again = clone(bare)
    assert again.get_params() == bare.get_params()
    assert again.set_params(**bare.get_params()).get_params() == bare.get_params()
    for params, sentence in (
        ({"recipe": "tables", "recipe__lr": 1}, "'recipe__lr' cannot be set, because recipe is 'tables'"),
        ({"net__depth": 1}, "'str' object has no attribute 'set_params'"), ({"siz": 1}, "Invalid parameter 'siz'"),
    ):  # fmt: skip
        with pytest.raises((ValueError, AttributeError), match=sentence):
            ResidualClassifier().set_params(**params)
    with pytest.raises(UsageError, match="ResidualRegressor has no parameter 'class_weight'"):
        ResidualRegressor().set_params(class_weight__yes=2)
    with pytest.raises(UsageError, match="no size named 'widht'; did you mean 'width'"):
        classifier().set_params(sizes__widht=3).fit(flats, large)


def test_sample_weights(flats: Any, large: Any, tmp_path: Path) -> None:
    n = len(large)
    plain = classifier().fit(flats, large)
    for even in (np.ones(n), [3] * n):  # equal weights change nothing
        same(classifier().fit(flats, large, even), plain, flats)
    some, two = np.arange(n) % 4 > 0, {name: flats[name] for name in ("size", "lift")}
    fewer = {name: [value for value, kept in zip(column, some, strict=True) if kept] for name, column in two.items()}
    same(classifier().fit(two, large, sample_weight=some), classifier().fit(fewer, large[some]), two)
    heavy = 1 + np.arange(n) % 3
    found = classifier(folder=tmp_path / "run").fit(flats, large, heavy)
    assert not np.array_equal(found.predict_proba(flats), plain.predict_proba(flats))
    same(classifier().fit(flats, large, 8 * heavy), found, flats)  # only their ratios count
    with pytest.raises(UsageError, match="different settings"):
        classifier(folder=tmp_path / "run").fit(flats, large, heavy[::-1])
    assert found.score(flats, large, large == "yes") == (found.predict(flats) == large)[large == "yes"].mean()
    regressor = ResidualRegressor(**FAST).fit(two, np.sin(np.arange(n)), heavy)
    assert np.isfinite(regressor.predict(two)).all()


def test_heavy_rows_win(flats: Any) -> None:
    """Where the columns tell nothing, the class of larger total weight is named, though it has fewer rows."""
    y, X = np.array(["rare"] * 12 + ["often"] * 48), {"a": [0.0, 1.0] * 30, "b": [0, 1, 2] * 20}
    model = classifier(recipe={"epochs": 20, "lr": 1e-2}, validation=0)
    assert (model.fit(X, y).predict(X) == "rare").mean() < 0.5
    assert (model.fit(X, y, np.where(y == "rare", 20, 1)).predict(X) == "rare").mean() > 0.5
    both = classifier(recipe={"epochs": 20, "lr": 1e-2}, validation=0, class_weight="balanced")
    assert both.fit(X, y, np.where(y == "rare", 20, 1)).predict_proba(X)[:, 1].mean() > 0.8


@pytest.mark.parametrize(("weights", "sentence"), [
    ([1.0] * 5, "sample_weight.shape == "), ([-1.0, *[1.0] * 59], "Negative values"), ([float("nan")] * 60, "NaN"),
    (np.ones((60, 2)), "Sample weights must be 1D"), ([0.0] * 60, "non-zero"),
    ([1.0, *[0.0] * 59], "above 0 in 1 of 60 rows"),
])  # fmt: skip
def test_odd_sample_weights_are_refused(weights: Any, sentence: str, flats: Any, large: Any) -> None:
    with pytest.raises(ValueError, match=sentence):
        classifier().fit(flats, large, weights)


def test_a_pickle_holds_no_net(flats: Any, large: Any, tmp_path: Path) -> None:
    found = classifier(members=2).fit(flats, large)
    data = pickle.dumps(found)
    names = {str(arg) for op, arg, _ in pickletools.genops(data) if "GLOBAL" in op.name or "UNICODE" in op.name}
    assert not {name for name in names if name.startswith("torch")}
    assert {name for name in names if name.startswith("reslab")} == {"reslab.tables.estimator"}
    buffer = io.BytesIO()
    joblib.dump(found, buffer)
    buffer.seek(0)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    for other in (pickle.loads(data), joblib.load(buffer), clone(found).fit(flats, large)):
        same(found, other, flats)
        assert (other.spec_, other.columns_) == (found.spec_, found.columns_)
        assert other.target_.classes.tolist() == ["no", "yes"]
    same(found, pickle.loads(pickle.dumps(pickle.loads(data))), flats)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_process_is_left_as_it_was(flats: Any, large: Any) -> None:
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002 -- the state that others may rely on
    states = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    torch.use_deterministic_algorithms(True)
    try:
        one, two = (classifier(recipe={"epochs": 1, "threads": 2}).fit(flats, large) for _ in range(2))
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(False)
    assert torch.get_num_threads() == 1
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.array_equal(np.random.get_state()[1], states[1])  # noqa: NPY002
    same(one, two, flats)
    other = classifier(random_state=1, recipe={"epochs": 1}).fit(flats, large)
    assert not np.array_equal(one.predict_proba(flats), other.predict_proba(flats))


def test_members_are_averaged(flats: Any, large: Any, tmp_path: Path) -> None:
    found = classifier(members=3).fit(flats, large)
    frame = found.read(flats)
    each = [found.model_.of_table(member, member.encoder.transform(frame)) for member in found.model_.members]
    assert not np.array_equal(each[0], each[1])
    calibration = found.model_.calibration
    assert calibration is not None
    assert np.array_equal(found.predict_proba(flats), calibration.apply(mean_of(each, "classes"), found.model_.target))
    found.model_.calibration = None  # as of a large table
    assert np.array_equal(found.predict_proba(flats), np.mean(each, axis=0))
    found.model_.calibration = calibration
    same(load(found.save(tmp_path / "kept"), device="cpu"), found, flats)


@pytest.mark.parametrize("members", [1, 2])
def test_stopped_and_resumed_is_bit_identical(
    members: int, flats: Any, large: Any, tmp_path: Path, stopped_after: Any
) -> None:
    whole = classifier(members=members).fit(flats, large)
    how = {"members": members, "folder": tmp_path / "run", "random_state": None}  # the folder knows its seed
    with stopped_after(1, signal.SIGINT), pytest.raises(KeyboardInterrupt):
        classifier(**{**how, "random_state": 0}).fit(flats, large)
    for k, number, error in ((2, signal.SIGINT, KeyboardInterrupt), (4, signal.SIGTERM, SystemExit)):
        with stopped_after(k, number), pytest.raises(error):
            classifier(**how).fit(flats, large)
    for _ in range(2):  # the second finds it finished
        found = classifier(**how).fit(flats, large)
        same(found, whole, flats)
    same(load(tmp_path / "run", device="cpu"), whole, flats)


def test_a_signal_at_the_last_step_is_heard(flats: Any, large: Any, tmp_path: Path, stopped_after: Any) -> None:
    whole = classifier(folder=tmp_path / "whole").fit(flats, large)
    last = torch.load(tmp_path / "whole" / "last.pt", weights_only=True)["iteration"]
    with stopped_after(last, signal.SIGINT), pytest.raises(KeyboardInterrupt):
        classifier(folder=tmp_path / "run").fit(flats, large)
    same(classifier(folder=tmp_path / "run").fit(flats, large), whole, flats)


def test_a_search_does_not_swallow_ctrl_c(flats: Any, large: Any, stopped_after: Any) -> None:
    rows = [list(row) for row in zip(*flats.values(), strict=True)]
    with stopped_after(2, signal.SIGINT), pytest.raises(KeyboardInterrupt):
        GridSearchCV(classifier(), {"net": ["gated", "mlp"]}, cv=2).fit(np.array(rows, dtype=object), large)


def test_ctrl_c_outside_the_steps_too(flats: Any, large: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Training, "keep_best", lambda self: os.kill(os.getpid(), signal.SIGINT))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    try:
        with pytest.raises(KeyboardInterrupt):
            classifier().fit(flats, large)
    finally:
        signal.signal(signal.SIGINT, before)


def test_another_training_s_folder_is_refused(flats: Any, large: Any, tmp_path: Path) -> None:
    classifier(folder=tmp_path / "run").fit(flats, large)
    before = (tmp_path / "run" / "weights.safetensors").read_bytes()
    flipped = np.where(large == "yes", "no", "yes")
    renamed = np.where(large == "yes", "large", "small")
    for y, changes, what in (
        (flipped, {}, "data"), (renamed, {}, "data"), (large, {"class_weight": "balanced"}, "data"),
        (large, {"random_state": 1}, "data, .*recipe"), (large, {"recipe": {"epochs": 3, "lr": 1e-2}}, "recipe"),
        (large, {"sizes": {**FAST["sizes"], "width": 9}}, "net"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=rf"a training with different settings \({what}.*\); choose anoth"):
            classifier(folder=tmp_path / "run", **changes).fit(flats, y)
    assert (tmp_path / "run" / "weights.safetensors").read_bytes() == before
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match="is not empty and contains no training of this kind"):
        classifier(folder=tmp_path / "notes").fit(flats, large)
    assert [path.name for path in (tmp_path / "notes").iterdir()] == ["thesis.tex"]


def test_progress_goes_to_standard_error(flats: Any, large: Any, capsys: pytest.CaptureFixture[str]) -> None:
    classifier().fit(flats, large)
    assert capsys.readouterr() == ("", "")
    classifier(verbose=True).fit(flats, large)
    out, err = capsys.readouterr()
    assert (out, "rows/s" in err) == ("", True)


def test_class_weights_move_the_border(flats: Any, large: Any) -> None:
    """Where the columns tell nothing, the heavier class is named, though it is the rarer one."""
    y, X = np.array(["rare"] * 12 + ["often"] * 48), {"a": [0.0, 1.0] * 30, "b": [0, 1, 2] * 20}
    how: dict[str, Any] = {"recipe": {"epochs": 20, "lr": 1e-2}, "validation": 0}
    assert (classifier(**how).fit(X, y).predict(X) == "rare").mean() < 0.5
    found = classifier(**how, class_weight={"rare": 20}).fit(X, y)
    assert (found.predict(X) == "rare").mean() > 0.5
    balanced = classifier(**how, class_weight="balanced").fit(X, y)
    assert balanced.predict_proba(X)[:, 1].mean() == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize(("changes", "sentence"), [
    ({"net": "gatd"}, "no preset named 'gatd'; did you mean 'gated'"),
    ({"sizes": {"widht": 3}}, "no size named 'widht'; did you mean 'width'?"),
    ({"sizes": {"foo": 3}}, "no size named 'foo'; available: embedding, "),
    ({"kinds": {"sise": "number"}}, "no column named 'sise'; did you mean 'size'"),
    ({"recipe": {"epoch": 3}}, "a recipe has no key 'epoch'; did you mean 'epochs'"),
    ({"recipe": {"seed": 3}}, "use the estimator's random_state"),
    ({"recipe": {"validation": 0.1}}, "use the estimator's validation"),
    ({"recipe": {"flip": True}}, "flip is for images only, got True"),
    ({"members": 0}, "members must be at least 1, got 0"),
    ({"members": 1.5}, "members must be a whole number, got 1.5"),
    ({"sizes": [1]}, "sizes must be a dict, got"), ({"kinds": ["a"]}, "kinds must be a dict, got"),
    ({"recipe": 3}, "a recipe's name or a dict of changes, got 3"),
    ({"validation": -0.5}, "a share below 1 or a number of rows, got -0.5"), ({"validation": 2.5}, "got 2.5"),
    ({"validation": 60}, "fewer than the 60 rows, got 60"),
    ({"class_weight": "balanced?"}, "got 'balanced\\?'"),
    ({"class_weight": {"maybe": 2}}, "a weight for the class 'maybe'"),
    ({"device": "cuda:99"}, "device 'cuda:99' is not available on this machine"),
])  # fmt: skip
def test_what_cannot_be_is_said(changes: Any, sentence: str, flats: Any, large: Any) -> None:
    with pytest.raises(UsageError, match=sentence):
        classifier(**changes).fit(flats, large)


def test_what_cannot_be_learned_from(flats: Any, large: Any) -> None:
    for X, y, sentence in (
        (flats, None, "requires y to be passed"), (flats, large[:5], "inconsistent numbers of samples: X has 60, y 5"),
        (flats, ["yes"] * 60, "only one class, 'yes'"), ({"a": [1.0]}, [1], "n_samples=1"),
        ({"a": [1] * 60}, large, "constant"), ({"a": list(range(5))}, [1, None, 0, 0, 1], "missing"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=sentence):
            classifier().fit(X, y)
    found = classifier().fit(flats, large)
    with pytest.raises(UsageError, match="missing columns: 'size', 'lift'"):
        found.predict({name: column for name, column in flats.items() if name not in ("size", "lift")})


def test_an_empty_recipe_is_the_default_one(flats: Any, large: Any, tmp_path: Path) -> None:
    asked = [classifier(recipe=recipe).recipe_of(classifier_parts(flats, large), 0) for recipe in (None, {})]
    assert asked[0] == asked[1]
    path = tmp_path / "mine.toml"
    path.write_text('epochs = 1\nbatch = 8\noptimizer = "adamw"\nlr = 0.01\n')
    for recipe in (path, str(path)):
        found = classifier(recipe=recipe, folder=tmp_path / type(recipe).__name__).fit(flats, large)
        about = json.loads((Path(found.folder) / "table.json").read_text())
        assert (about["recipe"]["batch"], about["recipe"]["epochs"]) == (8, 1)


def classifier_parts(flats: Any, large: Any) -> Any:
    found = classifier().fit(flats, large)
    return found.cut(found.read(flats), large, 0, torch.device("cpu"), lambda *said: None)


def test_what_was_odd_is_kept(flats: Any, large: Any) -> None:
    odd = {**flats, "one": [1.0] * 60, "far": [float("inf"), *range(59)]}
    with pytest.warns(ReslabWarning) as caught:
        model = classifier().fit(odd, large)
    assert [str(one.message) for one in caught] == model.problems_
    assert {Path(one.filename).name for one in caught} == {"test_estimator.py"}
    assert model.problems_[0] == "column 'one': constant ('1' in every row); ignored"
    assert any(line.startswith("column 'far': 1 of ") for line in model.problems_)
    assert pickle.loads(pickle.dumps(model)).problems_ == model.problems_


@pytest.mark.parametrize("lacking", [["fit_problems_"], ["fit_problems_", "problems_"]])
def test_an_older_pickle_predicts(lacking: list[str], flats: Any, large: Any) -> None:
    """It holds `problems_`, then only those of fit, or not even that."""
    with pytest.warns(ReslabWarning, match="constant"):
        model = classifier().fit({**flats, "one": [1.0] * 60}, large)
    state = {name: value for name, value in model.__getstate__().items() if name not in lacking}
    old = ResidualClassifier.__new__(ResidualClassifier)
    old.__setstate__(state)
    same(old, model, {**flats, "one": [1.0] * 60})
    assert old.problems_ == old.fit_problems_ == ([] if "problems_" in lacking else model.fit_problems_)


def test_what_is_odd_at_predict_is_warned_of_and_kept(flats: Any, large: Any, tmp_path: Path) -> None:
    """As the command line does; the loaded model alike."""
    model = classifier().fit(flats, large)
    assert model.problems_ == []
    odd = {**flats, "size": [float("inf"), *flats["size"][1:]], "city": ["Atlantis", *flats["city"][1:]]}
    for _ in range(2):  # the last prediction's only
        with pytest.warns(ReslabWarning) as caught:
            model.predict(odd)
        assert len(model.problems_) == 2
        assert [str(one.message) for one in caught] == model.problems_
        assert {Path(one.filename).name for one in caught} == {"test_estimator.py"}
    assert any("e.g. 'Atlantis'" in line for line in model.problems_)
    loaded = load(model.save(tmp_path / "kept"))
    with pytest.warns(ReslabWarning) as again:
        loaded.predict_proba(odd)
    assert [str(one.message) for one in again] == [str(one.message) for one in caught]
    assert {Path(one.filename).name for one in again} == {"test_estimator.py"}
    model.predict_proba(flats)
    assert model.problems_ == []


def test_a_copy_of_the_target_is_warned_of_and_its_advice_works(flats: Any, large: Any) -> None:
    odd = {**flats, "copy": [{"yes": "big", "no": "small"}[one] for one in large]}
    with pytest.warns(ReslabWarning, match='leave it out with kinds={"copy": "skip"}') as caught:
        model = classifier().fit(odd, large)
    (line,) = (one.message.sentence for one in caught if "copy" in str(one.message))
    assert str(line) in model.problems_
    (argument,) = (part for part in line.parts if isinstance(part, Argument))
    assert say.argument(argument) == "--kinds copy=skip"
    assert classifier(kinds=argument.value).fit(odd, large).problems_ == []
    numbers = np.arange(60.0)
    with pytest.warns(ReslabWarning, match="same information as the target"):
        ResidualRegressor(**FAST).fit({**flats, "twice": 2 * numbers + 1}, numbers)


def test_joined_labels_are_warned_of(flats: Any) -> None:
    tags = np.tile(np.array(["drama|crime", "drama|love", "love|crime"], dtype=object), 20)
    with pytest.warns(ReslabWarning, match="make columns of 0 and 1 of them, as MultiLabelBinarizer does"):
        classifier().fit(flats, tags)


@pytest.mark.parametrize(
    ("X", "y", "sentence"),
    [
        ([[1.5, 2], [3.5]] * 30, None, "the rows of this list have different lengths"),
        (None, [["a", "b"], ["c"]] * 30, "y holds lists; convert them to columns of 0 and 1"),
        (None, np.array([1, "a"] * 30, dtype=object), "y mixes strings and other values"),
    ],
)
def test_odd_shapes_are_said(X: Any, y: Any, sentence: str, flats: Any, large: Any) -> None:  # noqa: N803
    with pytest.raises(ValueError, match=sentence) as caught:
        classifier().fit(flats if X is None else X, large if y is None else y)
    assert type(caught.value) is UsageError


def test_a_name_twice_is_said(large: Any) -> None:
    pd = pytest.importorskip("pandas")
    with pytest.raises(UsageError, match="two columns are named 'a'"):
        classifier().fit(pd.DataFrame(np.ones((60, 2)), columns=["a", "a"]), large)
