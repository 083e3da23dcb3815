"""The table of claims as a whole: each can be run, and each verdict turns where its claim is false.

RESLAB_CLAIMS_CACHE names a folder that keeps the cells of the slow test between runs: for those who write a claim.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from reslab.images.data import load
from reslab.statistics import sample
from reslab.study.claims.experiments import experiment
from reslab.study.claims.judge import Judgment, judge
from reslab.study.claims.plan import Asked, Planned, falsified, planned
from reslab.study.claims.prepare import costs_of
from reslab.study.claims.reading import claims
from reslab.study.claims.record import Claim, Measured
from reslab.study.grid import Cell, Found, run
from reslab.study.grid.cell import in_order
from reslab.study.grid.works import WORKS

TABLE = claims()
SHAPES = {"digits": (1, 8, 8), "mnist": (1, 28, 28), "cifar10": (3, 32, 32), "any": (3, 64, 64)}
PILOT = 900  # seeds from here on are for tests and pilots, never for verdicts
QUICK = 2_400  # CPU seconds of the quick edition: 20 minutes on two cores


def asked(kind: str, *, seeds: int | None = None) -> Asked:
    """Data of a kind, by their shape alone."""
    data: Any = SimpleNamespace(name=kind, shape=SHAPES[kind], classes=[str(k) for k in range(10)], fingerprint="f")
    return Asked(data=data, word=kind, options={}, seed=PILOT, seeds=seeds)


def on_digits(claim: Claim, *, seeds: int | None = None) -> Planned:
    return planned(claim, Asked(data=load("digits"), word="digits", options={}, seed=PILOT, seeds=seeds))


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize("kind", SHAPES)
def test_cells_can_be_planned_on_every_kind_of_data(name: str, kind: str) -> None:
    """Also where the claim is false; its cells differ then. Of one arm, every seed has a cell of its own."""
    one = planned(TABLE[name], asked(kind))
    if not one.cells:
        assert one.why_not
        return
    other = falsified(one)
    for each in (one, other):
        assert all(cell.work in WORKS for cell in each.all_cells)
        if one.claim.prediction.direction != "exact":
            for arm in each.cells.values():
                assert len({cell.key for cell in arm}) == len(arm) == len(one.seeds)
    changed = {cell.key for cell in other.all_cells} != {cell.key for cell in one.all_cells}
    assert changed or other.settings != one.settings


def test_the_table_is_of_many_papers() -> None:
    assert len(TABLE) >= 30
    assert len({claim.paper for claim in TABLE.values()} - {"reslab", "notes"}) >= 6


def test_the_quick_edition_fits_twenty_minutes_on_two_cores() -> None:
    runs = [on_digits(claim) for claim in TABLE.values()]
    seconds = costs_of(list(in_order([cell for one in runs for cell in one.all_cells])))
    assert sum(seconds.values()) <= QUICK


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    kept = os.environ.get("RESLAB_CLAIMS_CACHE")
    return Path(kept) if kept else tmp_path_factory.mktemp("cells")


def judged(one: Planned, found: Mapping[Cell, Found]) -> tuple[Judgment, Measured]:
    results = {arm: [found[cell] for cell in cells] for arm, cells in one.cells.items()}
    measured = experiment(one.claim.experiment).measure(one.settings, one.seeds, results)
    return judge([one.claim], [measured])[0], measured


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLE)
def test_the_verdict_turns_where_the_claim_is_false(name: str, cache: Path) -> None:
    """With three seeds each. A claim that so few do not show comes out less favorably where it is false.

    One whose effect has the wrong sign on digits already has nowhere to fall to: the other's has no better one. One
    that is refuted turns, too, if it is not refuted any more.
    """
    one = on_digits(TABLE[name], seeds=3)
    if not one.cells:
        pytest.skip(one.why_not)
    other = falsified(one)
    found = run([*one.all_cells, *other.all_cells], cache, jobs=1)
    (true, effects), (false, others) = judged(one, found), judged(other, found)
    assert false.verdict != "holds", false.answer
    if true.verdict == "contradicted" and false.verdict != "contradicted":
        return
    if true.verdict in ("not shown", "contradicted"):
        before, after = favor(one.claim, effects), favor(one.claim, others)
        assert after < before or (before < 0 and after <= 0), (true.answer, false.answer)
    else:
        assert false.verdict != true.verdict, (true.answer, false.answer)


def favor(claim: Claim, measured: Measured) -> float:
    """How far the mean effect lies on the predicted side."""
    away = sample(measured.effects).mean - claim.prediction.threshold
    return {"above": away, "below": -away}.get(claim.prediction.direction, -abs(away))
