"""Data that claims bring along: the same each time, of the kind they say, and of parts that share nothing."""

import csv
import io

import numpy as np
import pytest

from reslab.study import own
from reslab.study.own.questions import BOXES, PARTS
from reslab.study.own.tables import LOADERS, SHUFFLED


@pytest.mark.parametrize("word", [word for word, module in own.OWN.items() if module != "texts"])
def test_the_same_each_time(word: str) -> None:
    first = own.described(word)
    own.load.cache_clear()
    assert own.described(word) == first
    assert len(first["fingerprint"]) == 64


def test_questions_are_answered_by_their_box() -> None:
    data = own.load("boxes")
    assert {part: len(getattr(data, part)) for part in PARTS} == PARTS
    for one in (*data.train[:50], *data.test[:50]):
        words = one.context.replace(".", "").split()
        assert len(set(words)) == len(words) == 2 * BOXES
        answer = words[words.index(one.question) + 1]
        assert one.answers[0].text == answer
        assert one.context[one.answers[0].start :].startswith(answer)


def test_planted_columns_have_the_same_values_and_no_relation() -> None:
    rows = list(csv.reader(io.StringIO(own.load("planted").text)))
    names, values = rows[0], np.array([[float(x) for x in row[:-1]] for row in rows[1:]])
    target = np.array([row[-1] == "class 1" for row in rows[1:]])
    assert values.shape == (569, 60)
    for i in range(30):
        assert names[30 + i] == SHUFFLED + names[i]
        np.testing.assert_array_equal(np.sort(values[:, i]), np.sort(values[:, 30 + i]))
    related = [abs(np.corrcoef(values[:, i], target)[0, 1]) for i in range(60)]
    assert max(related[30:]) < 0.15 < np.median(related[:30])


def test_every_table_has_its_target_last() -> None:
    for word in LOADERS:
        first = own.load(word).text.split("\n", 1)[0].split(",")
        assert first[-1] == "target"
        assert len(set(first)) == len(first)


def test_python_s_source_is_split_by_file() -> None:
    data = own.load("python")
    parts = [set(data.train), set(data.validation), set(data.test)]
    assert all(parts)
    assert not parts[0] & parts[1]
    assert not (parts[0] | parts[1]) & parts[2]
    assert sum(map(len, data.train)) > 1e6
    assert any(text.startswith('"""Base64') or "def b64encode" in text for part in parts for text in part)
    assert own.described("python") == own.described("python")
