"""The page of `reslab slim`: every number where a reader looks for it, harmless names, a plan without its removal."""

import json
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import slims
from pages import Page, hovered, test_drawn_in_silence_at_any_width, test_the_dark_is_followed

from reslab.errors import ReslabError
from reslab.report import write
from reslab.report.figures.arms import Arm
from reslab.report.figures.removed import gone
from reslab.report.figures.tradeoff import ceiling, frontier
from reslab.slim import block, record
from reslab.stored import slims as stored
from reslab.stored.records import kind_of
from reslab.stored.typed import typed

__all__ = ["test_drawn_in_silence_at_any_width", "test_the_dark_is_followed"]
HOSTILE = '</script><script>alert(1)</script>"\u202egpj\n' + "W" * 90


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    plan = slims.plan()
    return slims.write(tmp_path / "slim", plan, slims.slimmed(plan))


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    plan = slims.plan(slims.blocks(1, 12, name="model.layers"), chosen=3, measure="loss")
    return slims.write(tmp_path / "texts", plan, slims.slimmed(plan, generation=slims.GENERATION))


@pytest.mark.parametrize(("name", "kind"), [
    ("Block", block.Block), *((name, getattr(record, name)) for name in (
        "Timing", "Step", "Plan", "Score", "Arm", "Size", "Slimmed")),
])  # fmt: skip
def test_every_field_of_a_record_is_declared_where_it_is_stored(name: str, kind: Any) -> None:
    assert {field.name for field in fields(kind)} == set(get_type_hints(getattr(stored, name)))


def test_records_pass_the_check_of_their_files() -> None:
    plan = slims.plan()
    for name, value in (("slim-plan", plan.as_dict()), ("slim", slims.slimmed(plan).as_dict())):
        typed(kind_of(f"results/{name}.json"), slims.raw(value))


def test_the_main_numbers_are_before_and_after(folder: Path) -> None:
    text = Page(write(folder)).text
    assert "resnet56: 14 of 27 blocks removed" in text
    # by hand: the mean of 13.96, 14.10 and 14.24 is 14.10; t(2) = 4.303 times 0.14 / sqrt(3) is 0.348
    assert "Test error, healed 14.10 % intact 13.90 %; intact-longer 13.50 %; 95 % interval 13.75 to 14.45" \
        in text  # fmt: skip
    assert "Speed-up, measured 1.81× 57.8 ms → 31.8 ms; 95 % interval 1.78 to 1.85" in text
    # 27 blocks of 4,718,592 and 1,000,000 beside them; 14 gone: 62,341,696 of 128,401,984
    assert "MACs that remain 49 % 128 M → 62.3 M" in text
    assert "Which wins? intact-longer wins" in text
    # 57.8 ms and 31.2 ms by the table
    assert "the plan expected 1.85×. Both models timed in turn at the end: 1.81× (95 % interval 1.78 to 1.85)." in text
    assert "healed − intact-longer +0.60 points 0.28 to 0.92 0.006" in text
    assert "planned on 2,000 validation images of cifar10-jpeg (seed 0) (n = 2,000)" in text


def test_every_step_is_a_point_with_its_interval(folder: Path) -> None:
    page = Page(write(folder))
    time, macs = page.figures["tradeoff"]
    plan = json.loads((folder / "results" / "slim-plan.json").read_text())
    steps = plan["steps"]
    points = next(trace for trace in time["data"] if trace["name"] == "steps of the plan")
    assert points["x"] == pytest.approx([step["milliseconds"] for step in steps], rel=1e-4)
    assert points["y"] == pytest.approx([100 * step["values"]["error"] for step in steps], rel=1e-4)
    assert points["error_y"]["array"] == pytest.approx([100 * (s["high"] - s["change"]) for s in steps], rel=1e-3)
    chosen = next(trace for trace in macs["data"] if trace["name"] == "chosen")
    assert chosen["x"] == pytest.approx([100 * steps[14]["macs"] / steps[0]["macs"]], rel=1e-4)
    places = {trace["name"]: trace["x"][0] for trace in time["data"] if trace["name"] in ("healed", "intact")}
    assert places == {"intact": 57.8, "healed": pytest.approx(31.82, rel=1e-3)}


def test_a_plan_that_decides_by_the_loss_shows_the_error_with_its_own_interval(tmp_path: Path) -> None:
    """The chosen step has 27.77 % of 2,000: Wilson's interval of 555 is 25.8 to 29.8 %."""
    plan = slims.plan()
    steps = tuple(replace(s, change=4 * s.change, low=4 * s.low, high=4 * s.high) for s in plan.steps)
    page = Page(write(slims.write(tmp_path / "loss", replace(plan, measure="loss", steps=steps))))
    points = next(t for t in page.figures["tradeoff"][0]["data"] if t["name"] == "steps of the plan")
    assert points["y"][14] == pytest.approx(27.77, abs=0.01)
    assert points["error_y"]["array"][14] == pytest.approx(29.76 - 27.77, abs=0.1)
    assert "Expected error, before healing 27.8 % intact 13.9 %; 95 % interval 25.8 to 29.8" in page.text
    assert "14 7 stages.0.7 27.8 % (25.8 to 29.8) +0.555 (+0.483 to +0.627) 1.11" in page.text
    assert "change of the loss (95 % interval)" in page.text


def test_a_machine_that_was_busier_at_the_end_does_not_move_the_models(tmp_path: Path) -> None:
    """All times of the end doubled: the same places, as both models were timed in turn."""
    plan = slims.plan()
    done = slims.slimmed(plan)
    late = [replace(one, timing=replace(one.timing, milliseconds=2 * one.timing.milliseconds))
            for one in (done.before, done.after)]  # fmt: skip
    found = []
    for name, one in (("a", done), ("b", replace(done, before=late[0], after=late[1]))):
        page = Page(write(slims.write(tmp_path / name, plan, one)))
        found.append([trace["x"] for trace in page.figures["tradeoff"][0]["data"]])
    assert found[0] == found[1]


def test_the_frontier_holds_only_steps_that_nothing_beats() -> None:
    assert frontier([(3, 10), (2, 12), (1, 20), (2.5, 11), (2.2, 13)]) == [(1, 20), (2, 12), (2.5, 11), (3, 10)]


def test_steps_far_above_the_chosen_one_do_not_squeeze_it() -> None:
    """The chosen step ends at 12, the least is 10: the axis ends at 12 + 0.35 x 2, and 80 lies above."""
    assert ceiling([10.0, 11.0, 80.0], [0.0, 1.0, 1.0], 1, []) == (pytest.approx(12.7), True)
    assert ceiling([10.0, 11.0, 12.5], [0.0, 1.0, 1.0], 1, [])[1] is False


def test_the_map_counts_what_remains_by_stage(folder: Path) -> None:
    page = Page(write(folder))
    assert "Blocks that remain: stages.0 2 of 9, stages.1 9 of 9, stages.2 2 of 9." in page.text
    assert page.body.count('class="block gone"') == 14
    assert page.body.count('class="gap"') == 14 + 1  # and once in the legend
    assert "14 7 stages.0.7 27.8 % +13.9 points (+12.1 to +15.7)" in page.text


def test_the_order_is_the_plan_s_though_the_record_names_blocks_from_front_to_back(tmp_path: Path) -> None:
    """The invented plan takes blocks 26, 1, 25, 2, ... in turn."""
    plan = slims.plan(chosen=4)
    done = slims.slimmed(plan, removed=tuple(sorted(plan.removed, key=lambda block: block.index)))
    assert gone(slims.raw(plan.as_dict()), slims.raw(done.as_dict())) == {26: 1, 1: 2, 25: 3, 2: 4}
    body = Page(write(slims.write(tmp_path / "order", plan, done))).body
    rows = {i: body.partition(f'id="block-{i}"')[2].partition("</tr>")[0] for i in (1, 2, 3)}
    assert ['<td class="n">2</td>' in rows[1], '<td class="n">4</td>' in rows[2]] == [True, True]
    assert '<td class="n">–</td>' in rows[3]


def test_a_plan_alone_says_that_nothing_was_removed(tmp_path: Path) -> None:
    page = Page(write(slims.write(tmp_path / "p", replace(slims.plan(), reached=False))))
    assert "ResNet: a plan to remove 14 of 27 blocks" in page.text
    assert "Only planned: nothing was removed or trained." in page.text
    assert "Expected speed-up 1.85×" in page.text  # 57.8 / 31.2
    assert "not reached: this is the nearest" in page.text
    assert "arms" not in page.figures
    assert "The models side by side" not in page.text


def test_one_seed_has_the_interval_over_the_test_examples(tmp_path: Path) -> None:
    plan = slims.plan()
    page = Page(write(slims.write(tmp_path / "one", plan, slims.slimmed(plan, seeds=1))))
    assert "4,000 test examples 20" in page.text
    assert "The bars are 95 % intervals over the test examples." in page.text


def test_generated_texts_stand_under_their_warning(texts: Path) -> None:
    page = Page(write(texts))
    assert "Careful. Judged on short continuations" in page.text
    assert "continuations equal to the intact model’s 35.0 % 22.1 % to 50.5 % 100 %" in page.text
    assert "perplexity of its continuations under the intact model 14.2 11.8 to 17.3 9.1" in page.text
    assert "The <b>tower</b> was built in" in page.text
    assert "Test loss, healed 3.520" in page.text
    assert [len(page.figures[name]) for name in ("tradeoff", "arms")] == [2, 2]


def test_a_measure_of_another_kind_keeps_the_models_out_of_the_plans_figure(tmp_path: Path) -> None:
    plan = slims.plan()
    page = Page(write(slims.write(tmp_path / "q", plan, replace(slims.slimmed(plan), measure="f1"))))
    assert {trace["name"] for trace in page.figures["tradeoff"][0]["data"]} == {
        "frontier", "steps of the plan", "chosen"}  # fmt: skip
    assert "test F1 (%)" in page.text


def hostile(folder: Path) -> Path:
    """A model whose modules, name, notes and texts try to break out of the page."""
    found = tuple(replace(one, module=f"{HOSTILE}.{k}", container=HOSTILE, why=HOSTILE)
                  for k, one in enumerate(slims.blocks()))  # fmt: skip
    plan = replace(slims.plan(found), notes=(HOSTILE,), data=HOSTILE)
    texts = {**slims.GENERATION, "examples": [{HOSTILE: HOSTILE}], "warning": HOSTILE}
    done = slims.slimmed(plan, generation=texts, verdict=HOSTILE, commands=(HOSTILE,), loads=HOSTILE,
                         model={"name": HOSTILE}, budget=HOSTILE)  # fmt: skip
    return slims.write(folder, plan, done)


def test_names_cannot_break_out(tmp_path: Path) -> None:
    page = Page(write(hostile(tmp_path / "h")))
    assert page.body.count("<script>alert") == 0
    assert "&lt;/script&gt;" in page.body
    assert "<h1><bdi>" in page.body


def test_damaged_files_end_in_one_sentence(folder: Path) -> None:
    path = folder / "results" / "slim.json"
    path.write_text(json.dumps({"measure": "error", "before": {}, "after": 5}))
    with pytest.raises(ReslabError, match=r"slim.json is damaged: .after must be an object, got 5"):
        write(folder)


def test_arms_of_an_unknown_kind_are_shown_by_their_name() -> None:
    one = Arm(what="new", values=(1.0,), value=1.0, low=None, high=None, over="", epochs=0, seconds=0, more={})
    assert one.name == "new"


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_overlaps_and_a_point_says_its_step(tab: Callable[..., Any], folder: Path, width: int) -> None:
    one = tab(viewport={"width": width, "height": 900})
    page = one.open(write(folder))
    assert "14 removed: stages.0.7" in hovered(page, "tradeoff", "steps of the plan", 14)
    inside = """all => all.map(p => { const r = p.getBoundingClientRect();
        return [...p.querySelectorAll('.ytick text, .xtick text')].every(t => {
            const b = t.getBoundingClientRect(); return b.left >= r.left - 1 && b.right <= r.right + 1; }); })"""
    assert all(page.eval_on_selector_all(".plot", inside))
    heights = "all => all.map(e => e.getBoundingClientRect().height)"
    assert set(page.eval_on_selector_all(".blockmap tr.block", heights)) == {28}
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert one.noise == []


@pytest.mark.browser
def test_hostile_names_stay_within_a_phone(tab: Callable[..., Any], tmp_path: Path) -> None:
    one = tab(viewport={"width": 390, "height": 800})
    page = one.open(write(hostile(tmp_path / "h")))
    for summary in page.locator("summary").all():
        summary.click()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert one.noise == []


@pytest.mark.browser
def test_the_page_of_a_language_model_and_of_a_plan_fit_a_phone(
    tab: Callable[..., Any], texts: Path, tmp_path: Path
) -> None:
    for place in (texts, slims.write(tmp_path / "plan", slims.plan())):
        one = tab(viewport={"width": 390, "height": 800})
        page = one.open(write(place))
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        assert one.noise == []
