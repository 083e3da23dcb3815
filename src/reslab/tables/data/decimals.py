"""The decimal mark of a file: found from the numbers that can be read in one way, for those that can in two."""

from collections.abc import Callable
from typing import Any

from reslab.errors import Sentence, arg
from reslab.tables.data.report import Report
from reslab.tables.data.written import MARKS, decimal_mark, number_of

EITHER = {".": r"^\s*[-+]?[1-9]\d{0,2}\.\d{3}\s*$", ",": r"^\s*[-+]?[1-9]\d{0,2},\d{3}\s*$"}  # a thousand, or one
MANY = 2_000  # distinct strings of a column that are looked at
NEARLY = 0.95


def settle(
    table: Any, read: Callable[..., Any], *, mark: str, hint: str | None, report: Report
) -> tuple[Any, str | None]:
    """The table with its numbers read by its decimal mark, and this mark, None if no number shows one.

    mark: the separator; if it is a comma, decimal commas are quoted. `hint`: the mark of numbers like 1.001 if no other
    number of the file tells. `read` gives the table by other options. What is not certain is reported.
    """
    names = table.column_names
    if not table.num_rows or len(set(names)) < len(names):
        return table, hint
    other = read(decimal_point=",") if mark != "," else table
    written = {name: "." for name in _floating(table) if name not in _floating(other) or mark == ","}
    written |= {name: "," for name in _floating(other) if name not in _floating(table)}
    texts = _marks_of_texts(table, [name for name in names if name not in written])
    if mark == "," and "," not in texts:  # the usual file: its numbers have points
        return table, "." if written or texts else hint
    raw = read(include_columns=list(written), column_types=dict.fromkeys(written, _string())) if written else table
    raw = _without_gaps(raw, table, other) if written else raw
    doubtful = {name for name in written if _is_doubtful(raw.column(name), written[name])}
    shown = texts | {written[name] for name in written if name not in doubtful}
    known = shown.copy().pop() if len(shown) == 1 else hint
    chosen = set(shown)
    for name, own in written.items():
        decimal = own
        if name in doubtful:
            decimal = known or (MARKS[own == "."] if _has_thousands(raw.column(name), own) else own)
            chosen.add(decimal)
            if known is None:
                _tell(name, raw.column(name), own, decimal, report)
        same = table if own == "." else other
        column = same.column(name) if decimal == own else _without(raw.column(name), own)
        table = table.set_column(names.index(name), name, column)
    return table, known or (chosen.pop() if len(chosen) == 1 else None)


def _without_gaps(raw: Any, table: Any, other: Any) -> Any:
    """The strings of columns without those that are read as missing, such as n/a, which tell nothing of numbers."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for k, name in enumerate(raw.column_names):
        if pa.types.is_string(raw.column(name).type):
            read = next(one for one in (table, other) if pa.types.is_floating(one.column(name).type))
            column = pc.if_else(pc.is_valid(read.column(name)), raw.column(name), pa.scalar("", pa.string()))
            raw = raw.set_column(k, name, column)
    return raw


def _string() -> Any:
    import pyarrow as pa

    return pa.string()


def _floating(table: Any) -> list[str]:
    import pyarrow as pa

    return [field.name for field in table.schema if pa.types.is_floating(field.type)]


def _marks_of_texts(table: Any, names: list[str]) -> set[str]:
    """The marks of columns of strings that are numbers which can only have one, such as 1.000,05."""
    import pyarrow as pa

    found = set()
    for name in names:
        column = table.column(name)
        if not pa.types.is_string(column.type):
            continue
        some = [text for text in column.slice(0, 10 * MANY).unique().slice(0, MANY).to_pylist() if text]
        mark = decimal_mark(some)
        numbers = [number_of(text, mark.mark) for text in some] if mark is not None and mark.sure else []
        marked = any("." in text or "," in text for text in some)
        if marked and mark is not None and len(numbers) - numbers.count(None) >= max(1, NEARLY * len(some)):
            found.add(mark.mark)
    return found


def _is_doubtful(column: Any, mark: str) -> bool:
    """Whether every number with this mark has it before three last digits."""
    import pyarrow.compute as pc

    marked = pc.filter(column, pc.match_substring(column, mark))
    return bool(len(marked)) and bool(pc.all(pc.match_substring_regex(marked, EITHER[mark])).as_py())


def _has_thousands(column: Any, mark: str) -> bool:
    """Whether the numbers without this mark, of which there are some, have three digits at most: 950 beside 1.001."""
    import pyarrow.compute as pc

    plain = pc.filter(
        column, pc.and_(pc.invert(pc.match_substring(column, mark)), pc.greater(pc.utf8_length(column), 0))
    )
    return bool(len(plain)) and bool(pc.all(pc.match_substring_regex(plain, r"^\s*[-+]?\d{1,3}\s*$")).as_py())


def _without(column: Any, mark: str) -> Any:
    """The numbers, in which this mark stands between thousands; what is no number is missing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = pc.utf8_trim_whitespace(pc.replace_substring(column, mark, ""))
    plain = pc.match_substring_regex(texts, r"^[-+]?\d+(\.\d+)?([eE][-+]?\d+)?$")
    return pc.cast(pc.if_else(plain, texts, pa.scalar(None, pa.string())), pa.float64())


def _tell(name: str, column: Any, mark: str, decimal: str, report: Report) -> None:
    import pyarrow.compute as pc

    text = pc.filter(column, pc.match_substring(column, mark))[0].as_py().strip()
    others = MARKS[decimal == "."]
    report.add("written numbers", name.strip(), Sentence(
        f"{text!r} and the like are read as {number_of(text, decimal):.16g}; ", arg("decimal", others),
        f" reads {number_of(text, others):.16g}"))  # fmt: skip
