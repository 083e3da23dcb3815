"""Settings of claims: a misspelt key or word is refused, with the nearest known one."""

from typing import Any

import pytest
from claiming import claim

from reslab.errors import UsageError
from reslab.study.claims.allowed import EXPERIMENTS, LOOKS, MODELS
from reslab.study.claims.experiments import EXPERIMENTS as MODULES
from reslab.study.claims.experiments import curve
from reslab.study.claims.settings import check
from reslab.study.grid.works import WORKS

LOOK = {"look": {"work": "lesions"}, "metric": "same"}
TEXTS = {"work": "texts", "data": "python", "layers": 2, "hidden": 8, "heads": 2, "vocabulary": 99, "length": 16}


def changed(**changes: Any) -> dict[str, Any]:
    return {**claim().settings, **changes}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (changed(scale="diference"), "settings.scale must be one of difference, decades, got 'diference'; did you mean "
         "'difference'?"),
        (changed(scale="ratio"), "settings.scale must be one of difference, decades, got 'ratio'"),
        (changed(scal="decades"), "unknown key settings.scal; did you mean 'scale'?"),
        (changed(metric=3), "settings.metric must be a text, got 3"),
        (changed(a={"net": "plain8", "data": {"word": "mnist", "options": {"download": True}}}),
         "unknown key settings.a.data"),
        (changed(train={"recipe": "digits", "data": "mydata"}), "unknown key settings.train.data"),
        (changed(train={"recipe": "digit"}), "no recipe 'digit' in reslab; did you mean 'digits'?"),
        (changed(b={"recipe": "mine"}), "no recipe 'mine' in reslab"),
        (changed(look={"work": "lesion"}), "settings.a.look.work must be one of "),
        (changed(look={"work": "lesions", "repeat": 3}), "unknown key settings.a.look.repeat; did you mean 'repeats'?"),
        (changed(look={"work": "slim"}), "settings.a.look.remove is missing"),
        (changed(statistic="rank"), "settings.curve is missing"),
        (changed(curve={"x": "ks"}), "settings.curve.y is missing"),
        ({"metric": "m", "a": {}}, "settings.train is missing"),
        (changed(model=TEXTS), "settings has both train and model"),
        ({"metric": "m", "a": {}, "model": {**TEXTS, "data": "/etc"}}, "settings.model.data must be one of python, "),
        ({"metric": "m", "a": {"hiden": 2}, "model": TEXTS}, "unknown key settings.a.hiden; did you mean 'hidden'?"),
    ],
)  # fmt: skip
def test_a_misspelt_setting_is_a_sentence(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as error:
        check(claim(settings=settings))
    assert said in str(error.value)


def test_data_tables_and_the_false_changes_are_checked_too() -> None:
    with pytest.raises(
        UsageError, match=r"unknown key settings\.metrc; did you mean 'metric'\?.*\(with data\.digits\)"
    ):
        check(claim(data={"digits": {"metrc": "test_error"}}))
    with pytest.raises(UsageError, match=r"settings\.scale must be one of .*\(with false\)"):
        check(claim(false={"scale": "ratio"}))


def test_what_a_data_table_brings_may_be_missing_from_the_settings() -> None:
    check(claim(settings={**claim().settings, "train": {}}, data={"digits": {"train": {"recipe": "digits"}}}))
    check(claim(settings=changed(**LOOK)))
    check(claim(settings={"metric": "m", "a": {"label": "x"}, "model": TEXTS}, false={"a": {"layers": 1}}))


def test_the_tables_name_what_there_is() -> None:
    assert set(MODULES) <= set(EXPERIMENTS)
    assert {*LOOKS, *MODELS} <= set(WORKS)
    assert set(WORKS) - {*LOOKS, *MODELS} == {"train", "count"}
    assert set(EXPERIMENTS["compare"]["statistic"].kind.__args__) == set(curve.STATISTICS)


def test_percent_is_no_scale_of_compare() -> None:
    """It is one of counted."""
    counted = {"pairs": [["plain20", "resnet20"]], "metrics": ["macs"], "scale": "percent", "axis": "multiply-adds"}
    check(claim(experiment="counted", settings=counted, false={"metrics": ["parameters"]}))
    with pytest.raises(UsageError, match=r"scale must be one of difference, percent, per layer, got 'ratio'"):
        check(claim(experiment="counted", settings={**counted, "scale": "ratio"}, false={"field": True}))
    with pytest.raises(UsageError, match=r"settings\.scale must be one of"):
        check(claim(settings=changed(scale="percent")))
