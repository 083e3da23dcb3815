"""Names of parts: the same in folders, files and splits."""

import pytest

from reslab.train.parts import DEV, HELD_OUT, TEST, TRAIN, first_of, starts_as


@pytest.mark.parametrize(("name", "part"), [
    ("train-00000-of-00002.parquet", "train"), ("Training.json", "train"), ("train_v2.jsonl", "train"),
    ("train2.json", "train"), ("TEST.parquet", "test"), ("hold-out.json", "test"), ("holdout_1.json", "test"),
    ("testing", "test"), ("dev-v1.1.json", "dev"), ("validation", "dev"), ("val", "dev"), ("valid.json", "dev"),
    ("eval.json", "dev"), ("evaluation-1.json", "dev"), ("Dev", "dev"), ("development", "dev"),
    ("trainset.json", "train"), ("testImages.parquet", "test"), ("devset", "dev"), ("tests.json", "test"),
    ("TRAINSET_1.json", "train"),
    ("trainer.json", ""), ("value.json", ""), ("devices.json", ""), ("testament.json", ""), ("a_train.json", ""),
])  # fmt: skip
def test_a_name_is_of_one_part_or_of_none(name: str, part: str) -> None:
    found = [which for which, words in (("train", TRAIN), ("test", TEST), ("dev", DEV)) if starts_as(name, words)]
    assert found == [part] * bool(part)


def test_one_kind_of_held_out_files_is_taken_and_test_is_the_first() -> None:
    assert sorted(HELD_OUT) == sorted((*TEST, *DEV))
    names = ["eval-1.parquet", "val-2.parquet", "val-1.parquet", "train.parquet"]
    assert first_of(names, HELD_OUT) == ["val-2.parquet", "val-1.parquet"]
    assert first_of([*names, "holdout.parquet"], HELD_OUT) == ["holdout.parquet"]
    assert first_of(["x"], HELD_OUT) == []
