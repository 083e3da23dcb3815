"""The account of a table on one line."""

from pathlib import Path

from reslab.tables.account import line, line_of
from reslab.tables.train import Reading, load
from reslab.train.recipe import Recipe


def test_target_parts_columns_and_what_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "rooms.csv"
    file.write_text(
        "id,size,town,let\n" + "".join(f"{k},{k % 7},t{k % 3},{'yes' if k % 2 else 'no'}\n" for k in range(50))
    )
    data = load(str(file), Reading(target=("let",)), Recipe(epochs=1, validation=0.25))
    kinds = {"id": "skip", "size": "number", "town": "category"}
    assert line(data, kinds) == (
        "2 classes of let: no, yes; 30 + 10 + 10 rows (train, validation, test); "
        "2 columns: 1 number, 1 category; left out: id"
    )
    assert line_of(1, 3) == "1 row, 3 columns"
