"""Read questions from SQuAD's JSON, JSON lines, parquet or the hub. Only their format is checked here."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from reslab.errors import ReslabError, UsageError, first_line, nearest
from reslab.extras import need
from reslab.nets.hub import hub_data_set
from reslab.stored.files import CORRECT, parse_json

FORMS = (".json", ".jsonl", ".parquet")
COLUMNS = ("id", "question", "context", "answers")
OPTIONAL = ("is_impossible", "title")


class Record(NamedTuple):
    """One question as stored in its file; the positions of its answers are not checked yet."""

    id: str
    question: str
    context: str
    answers: tuple[tuple[str, int], ...]  # text, answer_start
    impossible: bool | None  # None: not in the file
    columnar: bool  # answers as {"text": [], "answer_start": []}, where empty lists mean "unanswerable"
    title: str


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
    if not isinstance(whole, dict):
        raise UsageError(
            f'{path} holds {kind(whole)}, not SQuAD\'s {{"data": [...]}}; name it .jsonl if each line is a record'
        )
    if not whole:
        raise UsageError(f'{path} is an empty object; expected SQuAD\'s {{"data": [...]}}')
    for a, article in enumerate(take(whole, "data", list, f"{path}")):
        where = f"{path}: data[{a}]"
        paragraphs = take(article, "paragraphs", list, where)
        title = optional(article, "title", str, where) or ""
        for p, paragraph in enumerate(paragraphs):
            inner = f"{where}.paragraphs[{p}]"
            context = take(paragraph, "context", str, inner)
            for q, item in enumerate(take(paragraph, "qas", list, inner)):
                yield record(item, f"{inner}.qas[{q}]", context=context, title=title)


def lines(path: Path) -> Iterator[Record]:
    """JSON lines with {"id", "question", "context", "answers"}; "title" and "is_impossible" are optional."""
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n"), 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        yield record(parse_json(line, where, cure=CORRECT), where)


def rows(path: Path) -> Iterator[Record]:
    """A parquet file with the columns id, question, context, answers, as the hub stores squad."""
    pa, pq = (need(name, extra="data", why="reading parquet files") for name in ("pyarrow", "pyarrow.parquet"))
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            columns = [name for name in (*COLUMNS, *OPTIONAL) if name in names]
            lacking(columns, f"{path}", names)
            count = 0
            for batch in file.iter_batches(batch_size=4096, columns=columns):
                for item in batch.to_pylist():
                    yield record(item, f"{path}, row {count}")
                    count += 1
    except pa.ArrowException as error:
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


def lacking(columns: list[str], where: str, names: list[str]) -> None:
    for column in COLUMNS:
        if column not in columns:
            raise UsageError(f"{where} has no column {column!r}; it has {', '.join(names)}{nearest(column, names)}")


def record(item: Any, where: str, *, context: str | None = None, title: str = "") -> Record:
    """The record of a question's object; `context` and `title` if an enclosing object holds them."""
    id = take(item, "id", (str, int), where)
    given = take(item, "answers", (list, dict), where)
    return Record(
        id=str(id),
        question=take(item, "question", str, where),
        context=take(item, "context", str, where) if context is None else context,
        answers=columnar(given, where) if isinstance(given, dict) else listed(given, where),
        impossible=optional(item, "is_impossible", bool, where),
        columnar=isinstance(given, dict),
        title=title or optional(item, "title", str, where) or "",
    )


def columnar(given: dict[str, Any], where: str) -> tuple[tuple[str, int], ...]:
    texts = take(given, "text", list, f"{where}.answers")
    starts = take(given, "answer_start", list, f"{where}.answers")
    if len(texts) != len(starts):
        raise UsageError(
            f"{where}.answers has {len(texts)} text but {len(starts)} answer_start; they must come in pairs"
        )
    pairs = [{"text": text, "answer_start": start} for text, start in zip(texts, starts, strict=True)]
    return listed(pairs, where)


def listed(given: list[Any], where: str) -> tuple[tuple[str, int], ...]:
    answers = []
    for k, answer in enumerate(given):
        inner = f"{where}.answers[{k}]"
        answers.append((take(answer, "text", str, inner), take(answer, "answer_start", int, inner)))
    return tuple(answers)


def take(item: Any, key: str, wanted: type | tuple[type, ...], where: str) -> Any:
    """item[key], if it has the wanted type. Raises UsageError otherwise."""
    if not isinstance(item, dict):
        raise UsageError(f"{where} is {kind(item)}, not an object with the key {key!r}")
    if not item:
        raise UsageError(f"{where} is an empty object; it needs the key {key!r}")
    if key not in item:
        raise UsageError(f"{where} has no key {key!r}; it has {', '.join(map(str, item))}")
    value = item[key]
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        names = " or ".join(NAMES[one] for one in (wanted if isinstance(wanted, tuple) else (wanted,)))
        raise UsageError(f"{where}: {key!r} must be {names}, got {kind(value)}")
    return value


def optional(item: dict[str, Any], key: str, wanted: type, where: str) -> Any:
    """item[key], or None if it is absent or null."""
    return take(item, key, wanted, where) if item.get(key) is not None else None


NAMES = {dict: "an object", list: "a list", str: "a text", int: "a whole number", float: "a number", bool: "true/false"}


def kind(value: Any) -> str:
    return "null" if value is None else NAMES.get(type(value), type(value).__name__)
