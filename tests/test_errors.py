"""One sentence, both doors: arguments for Python, flags for the command line, and text that is never rewritten."""

import copy
import pickle
import warnings

import pytest

from reslab.cli import say
from reslab.errors import BrokenImage, ReslabError, ReslabWarning, Sentence, UsageError, arg


@pytest.mark.parametrize(
    ("argument", "python", "flags"),
    [
        (arg("validation", 0.1), "validation=0.1", "--validation 0.1"),
        (arg("stem", "cifar"), 'stem="cifar"', "--stem cifar"),
        (arg("norm", False), "norm=False", "--no-norm"),
        (arg("download", True), "download=True", "--download"),
        (arg("drops", (0.5, 0.75)), "drops=(0.5, 0.75)", "--drops 0.5 0.75"),
        (arg("drops", (0.5,)), "drops=(0.5,)", "--drops 0.5"),
        (arg("nets", ["mlp", "trees"]), 'nets=["mlp", "trees"]', "--nets mlp trees"),
        (arg("kinds", {"a b": "number"}), 'kinds={"a b": "number"}', "--kinds 'a b=number'"),
        (arg("kinds", {'say "x"': "skip"}), r'kinds={"say \"x\"": "skip"}', "--kinds 'say \"x\"=skip'"),
        (arg("class_weight", {"no": 1, "yes": 3}), 'class_weight={"no": 1, "yes": 3}', "--class-weight no=1 yes=3"),
        (arg("stride_on"), "stride_on", "--stride-on"),
        (arg("folder"), "folder", "folder with --out"),
    ],
)
def test_an_argument_is_worded_for_each_door(argument: object, python: str, flags: str) -> None:
    error = UsageError("take ", argument, ", or not")
    assert str(error) == f"take {python}, or not"
    assert say.words(error) == f"take {flags}, or not"


def test_text_of_users_is_never_taken_for_an_argument() -> None:
    text = 'the file {0} {x} %s stem="cifar" --norm is odd'
    assert str(UsageError(text)) == say.words(UsageError(text)) == text
    assert say.words(UsageError(text, ": take ", arg("norm", True))) == f"{text}: take --norm"


def test_an_error_inside_a_sentence_keeps_its_arguments() -> None:
    inner = UsageError("give more rows, or ", arg("validation", 0))
    error = ReslabError("t.csv: ", inner)
    assert str(error) == "t.csv: give more rows, or validation=0"
    assert say.words(ReslabError(Sentence("so: ", error))) == "so: t.csv: give more rows, or --validation 0"
    assert say.words(ReslabError("cannot read: ", OSError("no such file"))) == "cannot read: no such file"


def test_what_is_no_sentence_is_said_as_it_is() -> None:
    assert say.words("plain") == say.words(UserWarning("plain")) == "plain"
    assert str(ReslabError()) == ""
    assert say.words(BrokenImage("a.png", "no image")) == "broken image a.png: no image; replace or remove it"


def test_sentences_and_errors_are_copied_and_pickled_with_their_arguments() -> None:
    sentence = Sentence("set ", arg("kinds", {"x": "skip"}))
    error = UsageError(sentence, "!")
    for one in (copy.copy(sentence), copy.deepcopy(sentence), pickle.loads(pickle.dumps(sentence))):
        assert one == 'set kinds={"x": "skip"}'
        assert say.words(one) == "set --kinds x=skip"
    back = pickle.loads(pickle.dumps(error))
    assert isinstance(back, ValueError)
    assert say.words(back) == "set --kinds x=skip!"


def test_a_warning_has_two_wordings_too() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.warn(ReslabWarning("take ", arg("flip", False)), stacklevel=1)
    (one,) = caught
    assert one.category is ReslabWarning
    assert issubclass(one.category, UserWarning)
    assert str(one.message) == "take flip=False"
    assert say.words(one.message) == "take --no-flip"
