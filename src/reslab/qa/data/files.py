"""Read questions from SQuAD's JSON, JSON lines, parquet or the hub. Only their format is checked here."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from reslab.errors import ReslabError, UsageError, first_line, nearest
from reslab.extras import need
from reslab.nets.hub import hub_data_set
from reslab.qa.data.record import ANSWERS, IDS, Record, kind, optional, record, take
from reslab.stored.files import CORRECT, parse_json

FORMS = (".json", ".jsonl", ".parquet")
COLUMNS = ("question", "context")
OPTIONAL = (*IDS, *ANSWERS, "is_impossible", "title")
MOST = 5_000_000  # questions of one file: thirty times SQuAD; repeated rows compress to almost nothing
FEW = 100_000  # rows that any file may hold
TOGETHER = 64  # rows of a parquet file that are read at once, since each may hold a long context


def records(path: Path) -> Iterator[Record]:
    """The questions of a .json in SQuAD's format, a .jsonl or a .parquet.

    Raises UsageError for a file that is missing or of another format, naming the missing key, and ReslabError for a
    damaged one.
    """
    if not path.is_file():
        raise UsageError(f"no such file of questions: {path}; give a {', '.join(FORMS)} file or hf:NAME")
    readers = {".json": nested, ".jsonl": lines, ".parquet": rows}
    if path.suffix.lower() not in readers:
        raise UsageError(f"unsupported type of question file: {path} (supported: {', '.join(FORMS)}, hf:NAME)")
    try:
        yield from readers[path.suffix.lower()](path)
    except UnicodeDecodeError as error:
        raise ReslabError(f"{path} is not UTF-8 text: {error.reason} at byte {error.start}") from error
    except OSError as error:
        raise ReslabError(f"cannot read {path}: {error.strerror or error}") from error


def nested(path: Path) -> Iterator[Record]:
    """SQuAD's format: {"data": [{"title", "paragraphs": [{"context", "qas": [{"id", "question", "answers"}]}]}]}."""
    try:
        text = path.read_text(encoding="utf-8-sig")  # -sig: editors leave a byte order mark
        if not text.strip():
            raise ReslabError(f"{path} is empty")
        whole = parse_json(text, f"{path}", cure=CORRECT)
    except UnicodeDecodeError:
        raise  # `records` reports it
    except ReslabError as error:
        more = isinstance(error.__cause__, ValueError) and str(error.__cause__).startswith("Extra data")
        if not more:
            raise
        raise ReslabError(f"{error}; name it .jsonl if each line is a record") from error
    if isinstance(whole, dict) and not whole:
        raise UsageError(f'{path} is an empty object; expected SQuAD\'s {{"data": [...]}}')
    if isinstance(whole, dict) and any(key in whole for key in ("paragraphs", "qas", "question")):
        yield from each(whole, f"{path}")
        return
    if not isinstance(whole, dict | list):
        raise UsageError(f'{path} holds {kind(whole)}, not SQuAD\'s {{"data": [...]}}')
    articles, place = (whole, "[{}]") if isinstance(whole, list) else (take(whole, "data", list, f"{path}"), "data[{}]")
    for k, item in enumerate(articles):
        yield from each(item, f"{path}: {place.format(k)}")


def each(item: Any, where: str, *, title: str = "", expected: str = "paragraphs") -> Iterator[Record]:
    """The questions of an article (with paragraphs), of a paragraph (with qas), or one question.

    `expected`: the key that is missing if the object is none of these.
    """
    keys = item if isinstance(item, dict) else ()
    if "qas" in keys:
        context = take(item, "context", str, where)
        for q, one in enumerate(take(item, "qas", list, where)):
            yield record(one, f"{where}.qas[{q}]", context=context, title=title)
    elif "question" in keys and "paragraphs" not in keys:
        yield record(item, where, title=title)
    elif expected == "paragraphs":
        own = optional(item, "title", str, where) or "" if isinstance(item, dict) else ""
        for p, paragraph in enumerate(take(item, "paragraphs", list, where)):
            yield from each(paragraph, f"{where}.paragraphs[{p}]", title=own, expected="qas")
    else:
        take(item, "context", str, where)
        take(item, expected, list, where)


def lines(path: Path) -> Iterator[Record]:
    """JSON lines, each a question, a paragraph or an article; MRQA's header is skipped."""
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n"), 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        item = parse_json(line, where, cure=CORRECT)
        if isinstance(item, dict) and list(item) == ["header"]:
            continue
        several = isinstance(item, dict) and ("qas" in item or "paragraphs" in item)
        yield from each(item, where) if several else [record(item, where)]


def rows(path: Path) -> Iterator[Record]:
    """A parquet file with the columns id, question, context, answers, as the hub stores squad, a few rows at a time.

    Raises UsageError for more than MOST rows, before they are read.
    """
    pa, pq = (need(name, extra="data", why="reading parquet files") for name in ("pyarrow", "pyarrow.parquet"))
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            refuse_many(path, file.metadata.num_rows)
            columns = [name for name in (*COLUMNS, *OPTIONAL) if name in names]
            lacking(columns, f"{path}", names)
            count = 0
            for batch in file.iter_batches(batch_size=TOGETHER, columns=columns):
                for item in batch.to_pylist():
                    yield record(item, f"{path}, row {count}")
                    count += 1
    except (pa.ArrowException, OSError) as error:  # Arrow's own OSErrors have no number
        if isinstance(error, OSError) and error.errno:
            raise
        raise ReslabError(f"{path} is damaged: {first_line(error)}") from error


def hub(name: str) -> dict[str, Iterable[Record]]:
    """The splits of the hub's data set `name`.

    Raises UsageError for one of another format, ReslabError if it cannot be loaded.
    """
    splits = hub_data_set(name)
    for split in splits:
        lacking(splits[split].column_names, f"hf:{name}", splits[split].column_names)

    def each(split: str) -> Iterator[Record]:
        for row, item in enumerate(splits[split]):
            yield record(item, f"hf:{name}, {split} row {row}")

    return {split: each(split) for split in splits}


def refuse_many(path: Path, rows: int) -> None:
    """Raise UsageError if a file claims more rows than questions can need: repeated rows compress to nothing."""
    size = path.stat().st_size
    if rows > MOST or (rows > FEW and rows > size):
        raise UsageError(f"{path} claims {rows:,} rows in {size:,} bytes; at most {MOST:,} questions are read, and "
                         f"above {FEW:,} no more than there are bytes")  # fmt: skip


def lacking(columns: list[str], where: str, names: list[str]) -> None:
    for column in COLUMNS:
        if column not in columns:
            raise UsageError(f"{where} has no column {column!r}; it has {', '.join(names)}{nearest(column, names)}")
    if not any(key in names for key in IDS):
        raise UsageError(f"{where} has no column 'id'; it has {', '.join(names)}")
