"""Specs of nets for tables: presets, JSON and back, and one sentence for what cannot be built."""

import json
from typing import Any

import pytest

from reslab.errors import UsageError
from reslab.tables.net.spec import PRESETS, TableSpec, from_dict, table_spec, to_dict

SHAPE: dict[str, Any] = {"numbers": 2, "categories": (3, 5), "bags": (4, 6), "outputs": 3}


@pytest.mark.parametrize("preset", list(PRESETS))
def test_a_spec_comes_back_from_json(preset: str) -> None:
    spec = table_spec(preset, **SHAPE, vectors=(3, 2))
    assert from_dict(json.loads(json.dumps(to_dict(spec)))) == spec
    assert spec.name == preset


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"net": "transformer"}, "net must be gated or mlp or resnet, got 'transformer'"),
    ({"number_embedding": "linaer"}, "got 'linaer'; did you mean 'linear'"),
    ({"name": 3}, "name must be a text, got 3"),
    ({"numbers": -1}, "numbers must be a whole number of at least 0, got -1"),
    ({"outputs": 0}, "outputs must be a whole number of at least 1, got 0"),
    ({"width": 2.0}, "width must be a whole number of at least 1, got 2.0"),
    ({"depth": True}, "depth must be a whole number of at least 1, got True"),
    ({"depth": 1001}, "depth must be at most 1000, got 1001"),
    ({"bins": 0}, "bins must be a whole number of at least 1, got 0"),
    ({"categories": (3, 0)}, "each size in categories must be a whole number of at least 1, got 0"),
    ({"vectors": 5}, "vectors must be a tuple, got 5"),
    ({"dropout": 1}, "dropout must be a number from 0 to below 1, got 1"),
    ({"drop_path": float("nan")}, "drop_path must be a number from 0 to below 1, got nan"),
    ({"embedding_dropout": "0.1"}, "embedding_dropout must be a number from 0 to below 1, got '0.1'"),
    ({"embedding_std": 0}, "embedding_std must be a number above 0, got 0"),
    ({"rows": -1}, "rows must be a whole number of at least 0, got -1"),
    ({"bag_decay": -0.1}, "bag_decay must be a number of at least 0, got -0.1"),
    ({"direct": "yes"}, "direct must be true or false, got 'yes'"),
    ({"attention": 1}, "attention must be true or false, got 1"),
    ({"columns": ("a", "b")}, "columns must name all 6 columns or none, got 2 names"),
    ({"columns": ("a", "b", "c", "d", "e", 6)}, "each name in columns must be a text, got 6"),
    ({"reread": False}, "attention masks what is reread, so it needs reread"),
    ({"reread": False, "attention": False, "drop_path": 0.1}, "without reread it must be 0, got 0.1"),
    ({"shortcut": "nothing"}, "shortcut must be identity or none, got 'nothing'"),
    ({"shortcut": "none", "drop_path": 0.1}, "with shortcut 'none' nothing would be left, so it must be 0, got 0.1"),
    ({"shortcut": "none", "net": "mlp", "reread": False, "attention": False}, "but this net is 'mlp'"),
    ({"net": "mlp"}, "reread needs the gated net, but this net is 'mlp'"),
    ({"numbers": 0, "categories": (), "bags": ()}, "needs at least one column"),
    ({"widht": 3}, "the unknown field 'widht'; did you mean 'width'"),
]


@pytest.mark.parametrize(("fields", "said"), WRONG, ids=[said[:30] for _, said in WRONG])
def test_what_cannot_be_built_is_said(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as error:
        table_spec("gated", **{**SHAPE, **fields})
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_presets_and_families_that_are_not() -> None:
    with pytest.raises(UsageError, match="no preset named 'gatd'; did you mean 'gated'"):
        table_spec("gatd", numbers=1, outputs=1)
    with pytest.raises(UsageError, match="a spec for tables cannot have the family 'qa'; known: table"):
        from_dict({"family": "qa"})
    with pytest.raises(UsageError, match="a spec for tables is incomplete"):
        from_dict({"family": "table", "name": "x"})
    assert isinstance(table_spec("gated", numbers=1, outputs=1), TableSpec)
