"""The linear part of a net for small tables: the net starts as a regression, solved exactly."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge

from reslab.tables.data.frame import read_frame
from reslab.tables.data.target import Target
from reslab.tables.linear import VARIANCE, features_of, start
from reslab.tables.net.net import Inside, TableNet, build_table
from reslab.tables.net.spec import table_spec
from reslab.tables.parts import Parts, make_parts
from reslab.tables.training import build_net, spec_of

SIZES = {"width": 8, "inner": 8, "depth": 2, "embedding": 4, "bins": 4, "linear": True}
N = 120


def table() -> dict[str, Any]:
    draws = np.random.default_rng(0)
    size = draws.normal(50, 20, N)
    size[::17] = np.nan
    return {
        "size": size, "city": draws.choice(["Rome", "Oslo", "Bern"], N).tolist(),
        "rooms": draws.integers(1, 6, N).tolist(),
        "near": ["|".join(draws.choice(["sea", "bus"], 2)) for _ in range(N)],
    }  # fmt: skip


def parts_of(y: Any, **how: Any) -> Parts:
    target = Target.fit(y)
    return make_parts({"train": read_frame(table())}, {"train": target.encode(y)}, target=target, **how)


def out(net: TableNet, parts: Parts) -> np.ndarray:
    with torch.no_grad():
        return net.eval()(**parts.tables["train"].batch(np.arange(N))).double().numpy()


def net_of(parts: Parts) -> TableNet:
    return build_net(parts, spec_of(parts, "gated", SIZES))


def test_a_net_starts_as_ridge_regression() -> None:
    y = np.random.default_rng(1).normal(size=(N, 2)) + np.arange(N)[:, None] / 40
    heavy = 1 + np.arange(N) % 3
    for weights in (None, {"train": heavy.astype(float)}):
        parts = parts_of(y, row_weights=weights)
        features, scales = features_of(parts.tables["train"], parts)
        # size in three views, city's and rooms' values one-hot (0: unknown), rooms as a number
        assert features.shape == (N, 3 + (1 + 3) + (1 + 5) + 1)
        assert [scale is None for scale in scales] == [True, False]
        scale = None if weights is None else heavy / heavy.mean()
        ridge = Ridge(alpha=1 / VARIANCE).fit(features.numpy(), parts.targets["train"], sample_weight=scale)
        assert out(net_of(parts), parts) == pytest.approx(ridge.predict(features.numpy()), abs=1e-3)


def test_a_net_starts_as_logistic_regression() -> None:
    parts = parts_of(np.random.default_rng(1).choice(["a", "b", "c"], N, p=[0.2, 0.3, 0.5]), class_weight="balanced")
    features = features_of(parts.tables["train"], parts)[0].numpy()
    y = parts.targets["train"]
    assert parts.weights is not None
    known = LogisticRegression(C=VARIANCE, max_iter=5000, tol=1e-8).fit(features, y, parts.weights[y])
    p = torch.from_numpy(out(net_of(parts), parts)).softmax(dim=1).numpy()
    assert p == pytest.approx(known.predict_proba(features), abs=2e-3)
    labels = np.random.default_rng(1).integers(0, 2, (N, 2))
    labels[:, 1] = 0  # a label that no row has
    found = out(net_of(parts_of(labels)), parts_of(labels))
    first = LogisticRegression(C=VARIANCE, max_iter=5000, tol=1e-8).fit(features, labels[:, 0])
    assert 1 / (1 + np.exp(-found[:, 0])) == pytest.approx(first.predict_proba(features)[:, 1], abs=2e-3)
    assert (found[:, 1] < -3).all()
    assert np.isfinite(found).all()


def test_the_optimizer_leaves_it() -> None:
    net = net_of(parts_of(np.arange(N) % 2))
    assert not any(name.startswith("linear") for name, _ in net.named_parameters())
    assert {name for name in net.state_dict() if name.startswith("linear")} == {
        "linear.numbers", "linear.codes", "linear.bias"
    }  # fmt: skip


def test_what_lies_inside_gives_the_same_outputs() -> None:
    parts = parts_of(np.arange(N) % 2)
    net = net_of(parts)
    batch = parts.tables["train"].batch(np.arange(N))
    with torch.no_grad():
        net.body.head.weight.normal_()  # type: ignore[union-attr,operator]
        net.eval()
        assert torch.allclose(Inside(net)(**net.read(**batch)), net(**batch), atol=1e-6)


@pytest.mark.parametrize("columns", [{"numbers": 2}, {"categories": (3, 4)}, {"bags": (5,)}])
def test_nets_without_numbers_or_categories(columns: Any) -> None:
    net = build_table(table_spec("gated", outputs=2, linear=True, **columns))
    assert (net.linear is None) == ("bags" in columns)
    if net.linear is None:
        start(net, parts_of(np.arange(N) % 2))  # nothing to fit
