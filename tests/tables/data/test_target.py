"""Targets: classes as given, labels, numbers; there and back, and one sentence for what cannot be learnt."""

import json
from typing import Any

import numpy as np
import pytest

from reslab.errors import ReslabError, UsageError
from reslab.tables.data.frame import read_frame
from reslab.tables.data.target import Target, find_target_kind

NAN = float("nan")


def again(target: Target) -> Target:
    return Target.from_dict(json.loads(json.dumps(target.to_dict())))


@pytest.mark.parametrize(
    ("y", "classes", "codes"),
    [
        (["b", "a", "b"], ["a", "b"], [1, 0, 1]),
        (np.array(["b", "a", "b"], dtype=object), ["a", "b"], [1, 0, 1]),
        ([3, -1, 3], [-1, 3], [1, 0, 1]),
        ([2.0, 1.0, 2.0], [1.0, 2.0], [1, 0, 1]),
        ([True, False, True], [False, True], [1, 0, 1]),
        (np.array([[5], [7]], dtype=np.uint8), [5, 7], [0, 1]),
        (read_frame({"y": [5, 7, 5]}), [5, 7], [0, 1, 0]),
        (read_frame({"y": [True, False]}), [False, True], [1, 0]),
    ],
)
def test_classes_are_kept_as_given(y: Any, classes: list, codes: list[int]) -> None:
    for target in (Target.fit(y, "classes"), again(Target.fit(y, "classes"))):
        assert target.classes is not None
        assert (target.kind, target.outputs, target.classes.tolist()) == ("classes", len(classes), classes)
        assert [type(value) for value in target.classes.tolist()] == [type(value) for value in classes]
        encoded = target.encode(y)
        assert (encoded.dtype, encoded.tolist()) == (np.int64, codes)
        assert target.decode(np.eye(len(classes))[encoded]).tolist() == [classes[code] for code in codes]


def test_the_type_of_classes_is_kept() -> None:
    for y in (np.array([1, 2], dtype=np.int32), np.array(["a", "bc"]), np.array([True, False])):
        target = again(Target.fit(y))
        assert target.classes is not None
        assert target.classes.dtype == y.dtype


def test_a_series_is_a_target() -> None:
    pd = pytest.importorskip("pandas")
    assert Target.fit(pd.Series(["b", "a"])).encode(pd.Series(["a", "b"])).tolist() == [0, 1]
    assert Target.fit(pd.DataFrame({"u": [1.5, 2], "v": [3, 4]})).outputs == 2


def test_labels() -> None:
    y = [["x", "y"], [], ["z"], ["x"]]
    target = again(Target.fit(y))
    assert target.classes is not None
    assert (target.kind, target.outputs, target.classes.tolist()) == ("labels", 3, ["x", "y", "z"])
    indicator = np.array([[1, 1, 0], [0, 0, 0], [0, 0, 1], [1, 0, 0]])
    assert target.encode(y).tolist() == indicator.tolist()
    assert target.encode(indicator).tolist() == indicator.tolist()
    assert target.decode(target.encode(y)).tolist() == indicator.tolist()
    numbered = Target.fit(indicator)
    assert numbered.classes is not None
    assert (numbered.kind, numbered.classes.tolist()) == ("labels", [0, 1, 2])
    named = Target.fit(read_frame({"hot": [1, 0], "sour": [True, False]}))
    assert named.classes is not None
    assert (named.kind, named.classes.tolist()) == ("labels", ["hot", "sour"])


def test_numbers() -> None:
    y = np.array([1.0, 2.0, 3.0, 6.0])  # mean 3, variance (4 + 1 + 0 + 9) / 4
    target = again(Target.fit(y, "numbers"))
    encoded = target.encode(y)
    np.testing.assert_allclose(encoded[:, 0], (y - 3) / np.sqrt(3.5), rtol=1e-6)
    assert (target.outputs, encoded.dtype) == (1, np.float32)
    np.testing.assert_allclose(target.decode(target.unscaled(encoded)), y, rtol=1e-6)
    several = Target.fit(np.stack([y, 10 * y], axis=1))
    assert several.kind == "numbers"
    np.testing.assert_allclose(several.encode(np.stack([y, 10 * y], axis=1)), np.repeat(encoded, 2, axis=1), rtol=1e-6)
    assert several.decode(several.unscaled(np.zeros((5, 2)))).tolist() == [[3, 30]] * 5


def test_a_constant_number_is_learnt_as_its_mean() -> None:
    target = Target.fit([0.1] * 7, "numbers")
    assert np.abs(target.encode([0.1] * 7)).max() < 1e-6
    assert target.decode(target.unscaled(np.zeros((1, 1)))) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("y", "kind"),
    [
        (["a", "b"], "classes"),
        ([True, False], "classes"),
        ([1, 2, 3], "classes"),
        ([1.0, 2.0], "classes"),
        (list(range(26)), "numbers"),
        ([0.5, 1.0], "numbers"),
        ([["a"], ["b"]], "labels"),
        ([[1, 2], [3]], "labels"),
        ([[1, 0], [0, 1]], "labels"),
        ([[1, 0], [0, 2]], "numbers"),
    ],
)
def test_the_kind_of_a_target(y: list, kind: str) -> None:
    assert find_target_kind(y) == kind


@pytest.mark.parametrize(
    ("y", "kind", "sentence"),
    [
        ([1.0, NAN, NAN], "numbers", r"the target is missing \(NaN\) in row 1 \(and in 1 more\); remove such rows"),
        (["a", None], "classes", r"the target is missing \(NaN\) in row 1; remove"),
        ([["a"], None], "labels", "the target is missing"),
        ([1.0, float("inf")], "numbers", "the target is infinite in row 1"),
        ([1.0, -1e200], "numbers", "row 1 of the target is .*exceed 1e150"),
        (["a", "a"], "classes", "the target has only one class, 'a'"),
        (np.array([4, 4]), "classes", "the target has only one class, 4,"),
        ([1.5, 2.0], "classes", "Unknown label type: row 0 of the target is 1.5"),
        (["a", 1], "classes", "mixes strings and numbers"),
        ([[1, 2], [3, 4]], "classes", "a target of classes must be one column, got 2"),
        ([[0, 1], [0, 3]], "labels", "row 1 of label 1 is 3, but columns of labels must hold 0 and 1"),
        (["a", "b"], "labels", "a target of labels must be one list per row"),
        ([[], []], "labels", "no row of the target has a label"),
        (["1,000", "b"], "numbers", "a target of numbers has 'b' in row 1"),
        (np.array([["1", "2"], ["3", "x"]]), "numbers", "a target of numbers has 'x' in row 1"),
        ([["a"], ["b", "c"]], "numbers", "a target of numbers has .* in row 0"),
        ([], None, r"got shape \(0,\)"),
        (np.zeros((2, 2, 2)), None, r"got shape \(2, 2, 2\)"),
        (np.array([1j, 2]), None, "strings, booleans or numbers, not complex128"),
        ([1, 2], "class", "must be one of classes, labels, numbers, got 'class'"),
        (np.array([b"a", b"b"], dtype=object), None, "a class must be .* or a whole number, got bytes"),
    ],
)
def test_what_cannot_be_learnt(y: Any, kind: Any, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        Target.fit(y, kind)


def test_what_training_had_not() -> None:
    with pytest.raises(
        UsageError, match="row 1 of the target is 'c', which was not in training; its classes are 'a', 'b'"
    ):
        Target.fit(["a", "b"]).encode(["a", "c"])
    with pytest.raises(UsageError, match="row 0 of the target has the label 'c'"):
        Target.fit([["a"], ["b"]]).encode([["a", "c"]])
    with pytest.raises(UsageError, match="must have 2 labels, got 3 columns"):
        Target.fit([[0, 1], [1, 0]]).encode([[0, 1, 1]])
    with pytest.raises(UsageError, match="must have 1 columns, got 2"):
        Target.fit([0.5, 1]).encode([[0.5, 1]])


def test_weights_of_classes() -> None:
    target = Target.fit(["a", "a", "a", "b"])
    codes = target.encode(["a", "a", "a", "b"])
    assert target.weights("balanced", codes).tolist() == [4 / (2 * 3), 4 / (2 * 1)]
    assert target.weights({"b": 3}, codes).tolist() == [1, 3]
    assert Target.fit([1, 2]).weights({"2": 3}, codes).tolist() == [1, 3]  # as a JSON file says it
    for given, sentence in (
        ("even", "must be 'balanced' or a mapping of classes to weights, got 'even'"),
        ({"c": 1}, "a weight for the class 'c'"),
        ({"a": 0}, "must be a number above 0, got 0"),
        ({"a": "2"}, "must be a number above 0, got '2'"),
    ):
        with pytest.raises(UsageError, match=sentence):
            target.weights(given, codes)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="not of numbers"):
        Target.fit([0.5, 1]).weights("balanced", codes)


def test_damaged_data_are_said() -> None:
    with pytest.raises(ReslabError, match="not a table's target, or it is damaged"):
        Target.from_dict({"kind": "classes"})
