"""A checkpoint is resumed only with the recipe, net and data that it was written with."""

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from reslab.errors import ReslabError
from reslab.images.data import ImageData
from reslab.images.train import train
from reslab.run import Run
from reslab.train.folder import read_recipe
from reslab.train.signals import Interrupted


@pytest.fixture
def stopped(begin: Any, few: ImageData, tmp_path: Path, stopped_after: Any) -> Run:
    run: Run = begin(tmp_path / "run", few)
    with stopped_after(7), pytest.raises(Interrupted):
        train(run.folder, data=few, device="cpu")
    return run


def rewrite(run: Run, name: str, old: str, new: str, *, digest: bool) -> None:
    """Replace a text in a file of the run; without the `digest`, as whoever accepts the change."""
    text = run.path(name).read_text(encoding="utf-8")
    assert text.count(old) == 1
    text = text.replace(old, new)
    if not digest:
        text = re.sub(r'\n# digest .*|,\s*"digest": "\w+"', "", text)
    run.path(name).write_text(text, encoding="utf-8")


CHANGES = [
    ("recipe.toml", "lr = 0.05", "lr = 0.4", r"lr: 0\.05 there, 0\.4 in recipe\.toml"),
    ("recipe.toml", "stochastic_depth = 0.0", "stochastic_depth = 0.8", "stochastic_depth: 0.0 there, 0.8 in recipe"),
    ("recipe.toml", "seed = 0", "seed = 2", "seed: 0 there, 2 in recipe"),
    ("spec.json", '"activation": "post"', '"activation": "pre"', "activation: 'post' there, 'pre' in spec.json"),
    ("data.json", '"train": 80', '"train": 81', "train: 80 there, 81 in data.json"),
]


@pytest.mark.parametrize(("name", "old", "new", "said"), CHANGES)
def test_a_change_is_named_with_the_way_on(
    name: str, old: str, new: str, said: str, stopped: Run, few: ImageData
) -> None:
    """Values as good as any: nothing else would notice them."""
    before = stopped.path("last.pt").read_bytes()
    rewrite(stopped, name, old, new, digest=False)
    what = "data" if name == "data.json" else "net or recipe"
    with pytest.raises(ReslabError, match=rf"last\.pt is of another {what} than this folder's \({said}.*new run"):
        train(stopped.folder, data=few, device="cpu")
    assert stopped.path("last.pt").read_bytes() == before
    rewrite(stopped, name, new, old, digest=False)
    train(stopped.folder, data=few, device="cpu")


@pytest.mark.parametrize(("name", "old", "new", "_said"), CHANGES)
def test_a_change_is_noticed_before_by_the_digest(
    name: str, old: str, new: str, _said: str, stopped: Run, few: ImageData
) -> None:
    rewrite(stopped, name, old, new, digest=True)
    with pytest.raises(ReslabError, match=rf"{name} was changed after reslab wrote it"):
        train(stopped.folder, data=few, device="cpu")


def test_where_the_data_lie_may_change(stopped: Run, few: ImageData) -> None:
    """They have a fingerprint."""
    word = json.dumps(stopped.read_json("data.json")["word"])
    rewrite(stopped, "data.json", f'"word": {word}', '"word": "/elsewhere"', digest=False)
    assert train(stopped.folder, data=few, device="cpu")["iterations"] == 12


def test_a_checkpoint_of_an_older_version_is_resumed_with_a_note(
    stopped: Run, few: ImageData, caplog: pytest.LogCaptureFixture
) -> None:
    state = torch.load(stopped.path("last.pt"), weights_only=True)
    del state["of"]
    torch.save(state, stopped.path("last.pt"))
    with caplog.at_level("INFO", logger="reslab"):
        train(stopped.folder, data=few, device="cpu")
    assert [record.getMessage() for record in caplog.records] == [
        f"{stopped.path('last.pt')} is of an older version of reslab: a recipe, net or data that was changed since "
        "cannot be noticed"
    ]


def test_any_flipped_bit_of_a_recipe_is_noticed_or_says_the_same(stopped: Run) -> None:
    """Comments may change. No bit makes another value: not even one that hides a key or starts a comment."""
    path, chance = stopped.path("recipe.toml"), random.Random(0)
    whole, recipe, refused = path.read_bytes(), read_recipe(stopped), 0
    for _ in range(300):
        content, bit = bytearray(whole), chance.randrange(8 * len(whole))
        content[bit // 8] ^= 1 << bit % 8
        path.write_bytes(content)
        try:
            assert read_recipe(stopped) == recipe
        except ReslabError:
            refused += 1
    assert refused > 200
