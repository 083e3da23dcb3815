"""Sentences that state a comparison are true whatever was stored: ties, zeros, one sample, few draws."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reslab.report.look import depth, effects, harm, many, paths, signal
from reslab.report.look.folder import Look, read_look
from reslab.report.look.page import page_of
from reslab.report.look.words import Metric

Facts = dict[str, Any]
Net = Callable[..., Facts]
Read = Callable[[Facts], Look]
ERROR = Metric("error")


@pytest.fixture
def read(make_look: Callable[..., Path]) -> Read:
    return lambda results: read_look(make_look("net", results))


def said(sentences: list[str]) -> str:
    return " ".join(sentences).replace("\u00a0", " ")


def errors(results: Facts, whole: float, values: list[float], n: int, spreads: list[float] | None = None) -> Facts:
    """The same results with these errors (shares) of the intact model and with each block disabled."""
    found = copy.deepcopy(results)
    found["lesions"] |= {"n": n, "metrics": ["error"], "whole": {"error": whole}}
    for i, (each, value) in enumerate(zip(found["lesions"]["single"], values, strict=True)):
        each["values"] = {"error": value}
        if spreads:
            each["spread"] = {"error": spreads[i]}
    return found


def test_a_step_that_stays_equal_is_no_rise(net: Net, read: Read) -> None:
    """Medians 16.8, 20, 20, 40, 30: up, equal, up, down."""
    results = net((4,))
    medians = (0.2, 0.2, 0.4, 0.3)
    results["lesions"]["random"] = [{"k": k, "values": {"error": [y]}} for k, y in enumerate(medians, 1)]
    assert "It rises in 2 of 4 steps and stays equal in 1." in said(many.random_found(read(results)))


@pytest.mark.parametrize(("ratio", "why"), [(0.0, ": every branch adds exactly zero"), (0.2, ".")])
def test_all_zeros_are_not_ranked(ratio: float, why: str, net: Net, read: Read, make_look: Callable[..., Path]) -> None:
    """An untrained net whose last norms start at zero: every lesion gives exactly what the intact model gives."""
    results = net((2, 2))
    results["lesions"]["whole"] = {"error": 0.5, "loss": 2.0, "kl": 0.0}
    for each in results["lesions"]["single"]:
        each["values"] = {"error": 0.5, "loss": 2.0, "kl": 0.0}
    for each in results["influence"]["merges"]:
        each["ratio"] = ratio
    for each in results["responses"]["merges"]:
        each["branch"] = ratio
    text = said(harm.single_found(read(results)))
    assert f"Disabling any one block changes nothing{why}" in text
    assert "hurt" not in text
    cards = page_of([make_look("zeros", results)])["head"]["cards"]
    assert [(card["title"], card["items"]) for card in cards] == [("No block matters alone", [])]


def test_equal_errors_with_another_output_are_told_apart(net: Net, read: Read) -> None:
    results = errors(net((2, 2)), 0.5, [0.5] * 4, 10)
    results["lesions"]["whole"]["kl"] = 0.0
    for each in results["lesions"]["single"]:
        each["values"]["kl"] = 0.1
    assert "leaves the error as it is, though not the output" in said(harm.single_found(read(results)))


def test_all_ties_leave_no_block_standing_out(net: Net, read: Read) -> None:
    text = said(harm.single_found(read(errors(net((2, 2)), 0.1, [0.3] * 4, 1000))))
    assert "Every block has the same error when disabled; the blocks that change the shape do not stand out." in text


def test_a_lead_within_its_interval_is_not_as_in_the_paper(net: Net, read: Read) -> None:
    """Of 200 images: block 2 changes the shape and errs on 2 more than the next; of 20,000 on 200 more."""
    few, many_of_them = (errors(net((2, 2)), 0.1, [0.1, 0.11, 0.12, 0.1], n) for n in (200, 20_000))
    text = said(harm.single_found(read(few)))
    assert "as in the paper" not in text
    assert "the 95 % interval of the difference from the next block (11.0 %) contains zero" in text
    assert "The error rises for 0 of 4 blocks by more than the 95 % interval" in text
    assert "hurt most, as in the paper: block 2 (stages.1.0, 12.0 %)" in said(harm.single_found(read(many_of_them)))


def test_equal_blocks_share_their_place(net: Net, read: Read) -> None:
    """Blocks 0, 1, 3 at 40, 30, 30 %; block 2, which changes the shape, at 30 %: it is 2nd, with two others."""
    text = said(harm.single_found(read(errors(net((2, 2)), 0.1, [0.4, 0.3, 0.3, 0.3], 1000))))
    assert "Ranked by harm it is 2nd of 4 (equal blocks share a place)." in text
    assert "hurt more than most" not in text


@pytest.mark.parametrize("n", [1, 2, 5])
def test_a_few_images_show_nothing(n: int, net: Net, read: Read, make_look: Callable[..., Path]) -> None:
    results = errors(net((2, 2)), 0.0, [1.0, 0.0, 1.0, 0.0], n)
    assert "The error rises for 0 of 4 blocks" in said(harm.single_found(read(results)))
    titles = [card["title"] for card in page_of([make_look("one", results)])["head"]["cards"]]
    assert titles == ["No block is shown to matter alone"]


def test_a_change_of_a_difference_by_floats_is_no_change(net: Net, read: Read) -> None:
    """16.8 + 5 points is at most 5 points more, although 21.8 - 16.8 is 5.000000000000002 in floats."""
    text = said(harm.single_found(read(errors(net((2, 2)), 0.168, [0.218, 0.218, 0.9, 0.219], 1000))))
    assert "For 2 of the 4 blocks, disabling it changes the error by at most 5 points." in text


def test_intervals_use_the_same_samples_where_their_spread_is_stored() -> None:
    """Of 400 samples 40 are wrong, without the block 50: 11 newly wrong and 1 newly right, or any 50 others.

    Sum of squares 12 = 399 s² + 400 (10/400)²; (12 - 2) / 402 ± 1.96 sqrt((14/402 - (10/402)²) / 402).
    """
    spread = 100 * ((12 - 400 * (10 / 400) ** 2) / 399) ** 0.5
    same, other = (effects.around(ERROR, 12.5, 10.0, 400, one) for one in (spread, None))
    assert same is not None
    assert other is not None
    assert (same.low, same.high) == pytest.approx((2.4876 - 1.8080, 2.4876 + 1.8080), abs=1e-3)
    assert other.low < 0 < same.low


def test_a_model_right_on_a_tenth_of_a_thousand_classes_is_better_than_chance() -> None:
    assert harm.hardly(87.0, 90.0)
    assert not harm.hardly(91.0, 99.9)  # right 90 times as often as by guessing
    assert not harm.hardly(30.0, 50.0)


def test_few_reorderings_show_no_trend(net: Net, read: Read) -> None:
    """Three draws in perfect order are a rank correlation of 1, and nothing is known; twelve are a finding."""
    results = net((4,))
    for draws, text in ((3, "is not shown to follow disorder"), (12, "rises with disorder (rank")):
        results["lesions"]["reorder"] = [
            {"swaps": 1, "tau": 0.8 - i / 20, "values": {"error": 0.2 + i / 20}} for i in range(draws)
        ]
        assert f"the error {text}" in said(many.order_found(read(results)))


def test_each_model_has_its_own_range_of_reorderings(net: Net, make_look: Callable[..., Path]) -> None:
    """One model from 10 to 20 %, another from 60 to 70 %."""
    looks = []
    for name, draws in (("one", (0.1, 0.2)), ("other", (0.6, 0.7))):
        results = net((4,))
        results["lesions"]["reorder"] = [{"swaps": 1, "tau": 0.9, "values": {"error": value}} for value in draws]
        looks.append(read_look(make_look(name, results)))
    panel = many.reordered(looks)
    assert panel is not None
    assert "one: from 10.0 % to 20.0 %; other: from 60.0 % to 70.0 %" in said([panel[1]])


def test_equal_influences_have_no_first_block_to_remove(net: Net, read: Read) -> None:
    results = net((4,))
    for each in results["influence"]["merges"]:
        each |= {"influence": 0.25, "ratio": 0.5, "cosine": 0.0}
    text = said(depth.influence_found(read(results)))
    assert "Block influence is 0.25 for each block." in text
    assert "later blocks change their input about as much." in text
    assert "0 of 4 blocks move along the negative gradient" in text


def test_the_largest_shares_are_named_and_ties_are_not(net: Net, read: Read) -> None:
    results = net((4,))
    results["paths"] |= {"share": [0.1, 0.2, 0.3, 0.2, 0.2], "sampled": [1.0, 0.5, 2.0, 0.5, 1.0]}
    text = said(paths.paths_found(read(results)))
    assert "The largest share of the gradient flows through paths of length 2 (30 %)." in text
    assert "is not shown to fall or to grow" in text
    results["paths"]["share"] = [0.2] * 5
    assert "The largest" not in said(paths.paths_found(read(results)))


def test_the_exact_range_comes_first(net: Net, read: Read) -> None:
    results = net((4,))
    results["paths"] |= {"effective": [2, 4], "effective_exact": [1, 3]}
    text = said(paths.paths_found(read(results)))
    assert text.index("lengths 1 to 3") < text.index("lengths 2 to 4")


def test_responses_name_the_pairs_that_differ(net: Net, plain: Net, make_look: Callable[..., Path]) -> None:
    """Medians by hand: plain 1; residual nets 0.9 (1 block), 1.2 (2 blocks), 1.2 (3 blocks)."""
    looks = []
    for name, results, std in (
        ("plain", plain(3), 1.0),
        ("a", net((1,)), 0.9),
        ("b", net((2,)), 1.2),
        ("c", net((3,)), 1.2),
    ):
        for layer in results["responses"]["layers"]:
            layer["std"] = std
        looks.append(read_look(make_look(name, results)))
    text = said(signal.response_found(looks))
    assert (
        "In 1 of 3 pairs the residual net has smaller responses than the plain net (by this median); not in b " in text
    )
    assert "b (1.2) beside plain (1, 1.2 times) and c (1.2) beside plain (1, 1.2 times)." in text
    assert (
        "In 0 of 3 pairs the deeper residual net has smaller responses than the shallower one; not in b (1.2) " in text
    )
    assert "beside a (0.9, 1.33 times), c (1.2) beside a (0.9, 1.33 times) and c (1.2) beside b (1.2, 1 times)." in text
    assert "as in the paper" not in text
    twins = [looks[2], looks[2]]
    assert "deeper" not in said(signal.response_found(twins)).lower()
