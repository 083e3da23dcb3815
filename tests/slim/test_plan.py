"""Plans of toy models are computed by hand: which block goes, what is measured, where the search ends."""

import itertools
import json
import math
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from shifts import Shifts, gone, greedy, losses, order, problem, shifting, untimed
from torch import Tensor, nn

import reslab
from reslab.errors import OtherSettings, UsageError
from reslab.slim import find_blocks, plan
from reslab.slim.planning import job
from reslab.slim.planning.copies import shortened
from reslab.statistics import ratio_interval, student
from reslab.train.signals import Interrupted


@pytest.fixture(autouse=True)
def _untimed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Except where a test says otherwise."""
    untimed(monkeypatch)


def test_greedy_is_the_naive_loop_and_measures_each_step_again() -> None:
    x, y, shifts = problem(90, 7)
    found = plan(shifting(*shifts), [(x[:50], y[:50]), (x[50:], y[50:])], remove=4)
    assert order(found) == greedy(x, y, shifts, 4)
    assert [block.index for block in found.removed] == greedy(x, y, shifts, 4)
    assert (found.chosen, found.reached, found.n, found.measure) == (4, True, 90, "loss")
    whole = losses(x, y, shifts)
    for i, step in enumerate(found.steps):
        now = losses(x, y, shifts, greedy(x, y, shifts, i))
        apart = (now - whole).double()
        reach = student(89) * float(apart.std()) / math.sqrt(90)
        assert step.values["loss"] == pytest.approx(float(now.mean()), abs=1e-5)
        assert (step.change, step.low, step.high) == pytest.approx(
            (float(apart.mean()), float(apart.mean()) - reach, float(apart.mean()) + reach), abs=1e-5
        )
        assert step.ranges["loss"] == (step.low, step.high)
        assert (step.macs, step.params, step.milliseconds) == (16 * (8 - i), 16 + 20 * (7 - i), 10 - i)
    assert found.steps[0].values["error"] == float((scores(x, shifts).argmax(1) != y).double().mean())


def scores(x: Tensor, shifts: Any) -> Tensor:
    return x + torch.tensor(shifts).sum(0)


@pytest.mark.parametrize("seed", [0, 1])
def test_candidates_that_are_clearly_worse_are_stopped_and_the_plan_is_the_same(seed: int) -> None:
    """Samples lie sorted by class, so a first share taken in their order would mislead."""
    x, y, shifts = problem(320, 8, seed=seed)
    net, data = shifting(*shifts), [(x, y)]
    steps: list[int] = []
    raced = plan(net, data, remove=4, held_out=0, progress=lambda done, total, note="": steps.append(done))
    full = plan(net, data, remove=4, held_out=0, race=False)
    assert raced.steps == full.steps
    assert order(raced) == greedy(x, y, shifts, 4)
    assert any("% of the measurements were saved" in note for note in raced.notes)
    assert not any("saved" in note for note in full.notes)
    assert steps == sorted(steps)
    assert steps[-1] == 320 * (8 + 7 + 6 + 5)


def test_the_best_sets_are_kept_where_greedy_goes_wrong() -> None:
    """Blocks 0 and 1 cancel each other: together they can go for free, each alone costs most."""
    shifts = [[5.0, 0, 0], [-5.0, 0, 0], [0.1, 0, 0], [0, 0.2, 0]]
    x, _, _ = problem(40, 1, classes=3)
    net, data = shifting(*shifts), [(x, None)]
    assert set(order(plan(net, data, remove=2))) == {2, 3}
    wide = plan(net, data, remove=2, beam=4)
    assert set(order(wide)) == {0, 1}
    assert wide.last.values["drift"] == pytest.approx(0, abs=1e-5)
    best = min(itertools.combinations(range(4), 2), key=lambda pair: moved(x, shifts, pair))
    assert set(order(wide)) == set(best)


def moved(x: Tensor, shifts: Any, without: tuple[int, ...]) -> float:
    whole = scores(x, shifts)
    now = scores(x, [shift for i, shift in enumerate(shifts) if i not in without])
    return float(((now - whole).norm(dim=1) / whole.norm(dim=1)).mean())


def test_residual_connections_stay_valid_in_the_shortened_model() -> None:
    """A plan of the shortened copy with its blocks found anew goes on as the plan of the intact model did."""
    torch.manual_seed(0)
    net = reslab.net("resnet14").eval()
    x, y = torch.randn(12, 3, 8, 8), torch.arange(12) % 10
    blocks = find_blocks(net, x[:2])
    first = plan(net, [(x, y)], remove=3, blocks=blocks)
    short = shortened(net, first.removed[:1])
    fresh = find_blocks(short, x[:2])
    again = plan(short, [(x, y)], remove=2, blocks=fresh)
    assert [step.module for step in again.steps[1:]] == [step.module for step in first.steps[2:]]
    for one, other in zip(again.steps, first.steps[1:], strict=True):
        assert one.values == pytest.approx(other.values, abs=1e-4)


def test_the_model_is_as_it_was_and_shares_its_weights_with_the_copies() -> None:
    x, y, shifts = problem(20, 3)
    net = shifting(*shifts).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    plan(net, [(x, y)], remove=1)
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert all(module.training for module in net.modules())
    assert all(a is b for a, b in zip(net.parameters(), shortened(net).parameters(), strict=True))


def test_some_samples_choose_and_others_measure() -> None:
    x, y, shifts = problem(900, 4)
    found = plan(shifting(*shifts), [(x, y)], remove=1)
    assert found.n == 300
    assert any("a random 600 of the samples chose the blocks" in note for note in found.notes)
    alike = plan(shifting(*shifts), [(x, y)], remove=1, held_out=0)
    assert alike.n == 900
    assert any("look better than they are" in note for note in alike.notes)


def test_tokens_of_one_text_are_no_independent_items() -> None:
    """6 texts of 5 tokens: the interval is that of a mean over texts, not over 30 tokens."""
    x, y, shifts = problem(30, 3)
    x, y = x.reshape(6, 5, 4), y.reshape(6, 5).clone()
    y[0, 2:] = -100
    found = plan(shifting(*shifts), [(x, y)], remove=1)
    assert found.n == 27
    asked = y != -100
    apart = losses(x[asked], y[asked], shifts, order(found)) - losses(x[asked], y[asked], shifts)  # type: ignore[arg-type]
    by_text = [float(part.sum()) for part in apart.split([2, 5, 5, 5, 5, 5])]
    around = ratio_interval(by_text, [2, 5, 5, 5, 5, 5])
    assert (found.last.low, found.last.high) == pytest.approx((around.low, around.high), abs=1e-5)


def test_it_ends_at_the_share_of_macs() -> None:
    """5 equal layers of 8: the first, and 7 blocks."""
    x, y, shifts = problem(20, 7)
    assert plan(shifting(*shifts), [(x, y)], max_macs=5 / 8).chosen == 3
    with pytest.raises(UsageError, match=r"at least 25\.0 % of the MACs .* the nearest is max_macs=0\.25"):
        plan(shifting(*shifts), [(x, y)], max_macs=0.2)


def test_it_ends_when_the_model_is_as_fast_as_asked() -> None:
    """By the table 10 / 7 ms with three blocks gone; the model's own time says the same."""
    x, y, shifts = problem(20, 7)
    found = plan(shifting(*shifts), [(x, y)], speedup=1.4)
    assert (found.chosen, found.last.milliseconds) == (3, 7)
    assert any("1.43x as fast (1.43 to 1.43); by the table of the blocks' times 1.43x" in note for note in found.notes)
    with pytest.raises(UsageError, match=r"blocks can give at most 2\.50x .* the nearest is speedup=2\.5"):
        plan(shifting(*shifts), [(x, y)], speedup=3)


def test_a_table_that_does_not_add_up_is_reported_and_the_own_time_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "in_turn", lambda models, *_, **__: [[10.0] * 9, [10.0 - gone(*models) / 2] * 9])
    x, y, shifts = problem(20, 7)
    with pytest.warns(UserWarning, match="do not add up: by their table the model would be 2.50x as fast"):
        found = plan(shifting(*shifts), [(x, y)], speedup=1.4)
    assert found.chosen == 6  # 10 / 7
    with pytest.raises(UsageError, match=r"blocks can give at most 1\.43x \(measured\); the nearest is speedup=1\.42"):
        plan(shifting(*shifts), [(x, y)], speedup=1.6)


def test_it_ends_before_the_error_is_too_high() -> None:
    """Each of 3 blocks repairs other samples; the fourth does nothing."""
    x = torch.tensor([[0.0, 3, 0, 0]] * 4 + [[0.0, 0, 2, 0]] * 2 + [[0.0, 0, 0, 1]] + [[9.0, 0, 0, 0]] * 13)
    shifts = [[0.0, -4, 0, 0], [0, 0, -4, 0], [0, 0, 0, -4], [0, 0, 0, 0.0]]
    y = torch.zeros(20, dtype=torch.long)
    net, data = shifting(*shifts), [(x, y)]
    found = plan(net, data, keep_error=5)
    assert [block.index for block in found.removed] == [3, 2]
    assert [step.values["error"] for step in found.steps] == [0, 0, pytest.approx(0.05), pytest.approx(0.15)]
    with pytest.raises(UsageError, match=r"by at least 5 points; the nearest is keep_error=5"):
        plan(net, data, keep_error=1, keep=[3])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "name exactly one target: remove, speedup, max_macs or keep_error"),
        ({"remove": 1, "speedup": 2}, "2 targets were given"),
        ({"remove": 0}, "remove is a number of blocks, at least 1, got 0"),
        ({"remove": 3}, "has 2 blocks that can be removed together, not 3; the nearest is remove=2"),
        ({"speedup": 0.5}, "speedup must be above 1"),
        ({"max_macs": 40}, "max_macs is a share"),
        ({"keep_error": -1}, "from 0 on"),
        ({"remove": 1, "beam": 0}, "beam is how many sets"),
        ({"remove": 1, "by": "size"}, "by must be one of disabling, influence"),
        ({"remove": 1, "by": "response", "beam": 2}, "beam=2 needs by=\"disabling\""),
        ({"remove": 1, "keep": ["1.7"]}, "no block '1.7'"),
        ({"remove": 1, "keep": [3]}, "it has blocks 0 to 2"),
        ({"remove": 1, "keep": [0, 1, 2]}, "no block that can be removed: 3 are kept as requested"),
        ({"remove": 1, "held_out": 1}, "held_out is a share"),
        ({"remove": 1, "metrics": ["accuracy"]}, "there is no metric"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked(options: dict[str, Any], said: str) -> None:
    x, y, shifts = problem(20, 3)
    with pytest.raises(UsageError, match=said):
        plan(shifting(*shifts), [(x, y)], **options)


def test_models_and_labels_that_no_plan_fits() -> None:
    x, y, shifts = problem(20, 3)
    with pytest.raises(UsageError, match="labels range from 0 to 7, but the model has 4 classes"):
        plan(shifting(*shifts), [(x, y + torch.tensor([4] * 20).where(y == 3, 0))], remove=1)
    with pytest.raises(UsageError, match="keep_error needs the error, which is measured on data with labels"):
        plan(shifting(*shifts), [(x, None)], keep_error=1)
    with pytest.raises(UsageError, match="no block that can be removed: no"):
        plan(nn.Sequential(nn.Linear(4, 4), nn.ReLU()), [(x, y)], remove=1)
    with pytest.raises(UsageError, match="float16"):
        plan(shifting(*shifts).half(), [(x.half(), y)], remove=1)


def test_a_stopped_plan_resumes_with_the_same_numbers(tmp_path: Path) -> None:
    x, y, shifts = problem(80, 6)
    net, data = shifting(*shifts), [(x, y)]
    whole = plan(net, data, remove=4)
    asked: list[int] = []

    def stop(done: int, total: int, note: str = "") -> None:
        if note.startswith("block 3") and not asked:
            asked.append(done)
            signal.raise_signal(signal.SIGINT)

    def at_once(done: int, total: int, note: str = "") -> None:
        if note == "measuring the intact model":
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted, match="stopped before its first step was finished; run the same command again"):
        plan(net, data, remove=4, folder=tmp_path, progress=at_once)
    with pytest.raises(Interrupted, match="stopped after 2 steps, which are kept in") as stopped:
        plan(net, data, remove=4, folder=tmp_path, progress=stop)
    assert stopped.value.exit_code == 130
    notes: list[str] = []
    begun = json.loads((tmp_path / "plan-state.json").read_text())["seconds"]
    again = plan(net, data, remove=4, folder=tmp_path, progress=lambda done, total, note="": notes.append(note))
    assert again.steps == whole.steps
    assert again.seconds > begun  # of both calls
    with pytest.raises(Interrupted, match="stopped after 4 steps, which are kept in"):
        plan(net, data, remove=5, folder=tmp_path, progress=at_once)
    assert not any(note.startswith(("block 1", "block 2")) for note in notes)
    more = plan(net, data, max_macs=0.9, folder=tmp_path)  # another target, nothing to measure
    assert (more.chosen, len(more.steps), more.steps) == (1, 5, whole.steps)
    with pytest.raises(OtherSettings, match=r"plan-state\.json belongs to a plan with other settings \(data\)"):
        plan(net, [(x + 1, y)], remove=4, folder=tmp_path)
    with pytest.raises(OtherSettings, match=r"\(by\)"):
        plan(net, data, remove=4, folder=tmp_path, by="influence")
    with torch.no_grad():
        net[1][0].f.bias += 1  # type: ignore[index, union-attr, operator]
    with pytest.raises(OtherSettings, match=r"\(weights\)"):
        plan(net, data, remove=4, folder=tmp_path)


@pytest.mark.parametrize("labelled", [True, False])
def test_steps_of_a_model_whose_code_has_changed_are_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, labelled: bool
) -> None:
    """Class and weights are the same; without labels the intact model's drift is 0 before and after."""
    x, y, shifts = problem(40, 5)
    net, data = shifting(*shifts), [(x, y if labelled else None)]
    before = plan(net, data, remove=2, folder=tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Shifts, "forward", lambda self, x: x + 5 * self.f(x))
        with pytest.raises(OtherSettings, match="gave other outputs with the same weights, so its code"):
            plan(net, data, remove=3, folder=tmp_path)
    assert plan(net, data, remove=3, folder=tmp_path).steps[:3] == before.steps


def test_the_order_of_one_shot_scores_by_hand() -> None:
    x, y, shifts = problem(30, 5)
    net, data = shifting(*shifts), [(x, y)]
    at = [x + torch.tensor(shifts[:i]).sum(0) for i in range(6)]
    slope = scores(x, shifts).softmax(1) - nn.functional.one_hot(y, 4)  # dL/dF of every block
    cos = nn.functional.cosine_similarity
    by = {
        "influence": [float(1 - cos(at[i], at[i + 1]).mean()) for i in range(5)],
        "response": [float((torch.tensor(s).norm() / at[i].norm(dim=1)).mean()) for i, s in enumerate(shifts)],
        "gradient": [float(slope.norm(dim=1).mean())] * 5,
        "first-order": [abs(float((slope @ torch.tensor(s)).mean())) for s in shifts],
    }
    for score, values in by.items():
        found = plan(net, data, remove=3, by=score)  # type: ignore[arg-type]
        assert order(found) == sorted(range(5), key=lambda i: (round(values[i], 5), i))[:3], score
        assert found.last.values["loss"] == pytest.approx(float(losses(x, y, shifts, order(found)).mean()), abs=1e-5)  # type: ignore[arg-type]


def test_a_users_metric_decides_and_stays_whole() -> None:
    """It is given whole batches, and its one number has no spread over samples."""
    x, y, shifts = problem(40, 4)
    sizes = set()

    def most(scores: Tensor, labels: Tensor | None, whole: Tensor) -> Tensor:
        sizes.add(len(scores))
        return (scores - whole).abs().max()

    found = plan(shifting(*shifts), [(x, y)], remove=1, metrics=[most])
    assert order(found) == [min(range(4), key=lambda i: max(map(abs, shifts[i])))]
    assert sizes == {40}
    assert found.measure == "most"


def test_the_text_shows_every_step_and_the_target() -> None:
    x, y, shifts = problem(40, 4)
    found = replace(plan(shifting(*shifts), [(x, y)], remove=2, data="toys, validation part"), chosen=1)
    text = str(found)
    assert "remove 1 of 4 blocks of Sequential (target: 2 blocks removed)" in text
    assert "measured on toys, validation part; n = 40 items" in text
    lines = text.splitlines()
    assert [line.split()[0] for line in lines if "x  " in line] == ["0", "1", "-"]
    assert "1.11x" in next(line for line in lines if line.startswith("1  "))
    low, high = found.steps[1].ranges["error"]
    assert f"({100 * low:+.2f} to {100 * high:+.2f})" in text
    assert found.rows()[2]["chosen"] is False
    assert "<table>" in found._repr_html_()
