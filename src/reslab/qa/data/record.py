"""One question's object in a file, in any of the usual spellings, as a Record."""

from typing import Any, NamedTuple

from reslab.errors import UsageError, nearest

IDS = ("id", "qid", "guid", "question_id", "_id", "uid", "query_id")  # SQuAD, MRQA, AI Hub and others
ANSWERS = ("answers", "detected_answers", "answer")  # SQuAD, MRQA, AI Hub
TRUE_FALSE = {0: False, 1: True, "0": False, "1": True, "false": False, "true": True}
Given = tuple[tuple[str, int | None], ...]  # text, answer_start if the file has it


class Record(NamedTuple):
    """One question as stored in its file; the positions of its answers are not checked yet."""

    id: str
    question: str
    context: str
    answers: Given | None  # None: the file has none, not even an empty list
    impossible: bool | None  # None: not in the file
    columnar: bool  # answers as {"text": [], "answer_start": []}, where empty lists mean "unanswerable"
    title: str


def record(item: Any, where: str, *, context: str | None = None, title: str = "") -> Record:
    """The record of a question's object; `context` and `title` if an enclosing object holds them."""
    names = [key for key in IDS if key in item] if isinstance(item, dict) else []
    id = take(item, next((key for key in names if item[key] is not None), "id"), (str, int), where)
    key = next((key for key in ANSWERS if item.get(key) is not None), None)
    if key is None and nearest("answers", [name for name in item if name not in ANSWERS]):
        take(item, "answers", list, where)  # misspelled: raises
    given = None if key is None else item[key]
    if isinstance(given, str) and item.get("answer_start") is not None:  # both beside the question
        given = {"text": given, "answer_start": item["answer_start"]}
    return Record(
        id=str(id),
        question=take(item, "question", str, where),
        context=take(item, "context", str, where) if context is None else context,
        answers=None if key is None else answers(given, f"{where}.{key}"),
        impossible=truth(item, "is_impossible", where),
        columnar=isinstance(given, dict),
        title=title or optional(item, "title", str, where) or "",
    )


def answers(given: Any, where: str) -> Given:
    """Answers as a list of objects or texts, as one of them, or as columns."""
    if isinstance(given, dict):
        texts = take(given, "text", (list, str), where)
        starts = given.get("answer_start")
        if isinstance(texts, str):
            return (answer(given, where),)
        starts = [None] * len(texts) if starts is None else take(given, "answer_start", list, where)
        if len(texts) != len(starts):
            raise UsageError(f"{where} has {len(texts)} text but {len(starts)} answer_start; they must come in pairs")
        given = [{"text": text, "answer_start": start} for text, start in zip(texts, starts, strict=True)]
    if isinstance(given, str):
        given = [given]
    if not isinstance(given, list):
        raise UsageError(f"{where} must be an object, a list or a text, got {kind(given)}")
    return tuple(answer(one, f"{where}[{k}]") for k, one in enumerate(given))


def answer(given: Any, where: str) -> tuple[str, int | None]:
    """(text, answer_start) of one answer; the start is None if the file has none."""
    if isinstance(given, str):
        return given, None
    text = take(given, "text", str, where)
    spans = given.get("char_spans")  # MRQA: pairs of first and last character
    if given.get("answer_start") is None and isinstance(spans, list) and spans and isinstance(spans[0], list | tuple):
        return text, whole(spans[0][0] if spans[0] else None, "char_spans", where)
    return text, None if given.get("answer_start") is None else whole(given["answer_start"], "answer_start", where)


def whole(value: Any, key: str, where: str) -> int:
    """A whole number, also as 3.0 or "3". Raises UsageError for anything else."""
    if isinstance(value, str) and value.strip().removeprefix("-").isdecimal() and len(value) < 20:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value or value % 1:
        shown = f" {value!r}" if isinstance(value, float | str) else ""
        raise UsageError(f"{where}: {key!r} must be a whole number, got {kind(value)}{shown}")
    return int(value)


def truth(item: dict[str, Any], key: str, where: str) -> bool | None:
    """True or false, also as 0 and 1 or as text; None if it is absent or null."""
    value = item.get(key)
    if value is None or isinstance(value, bool):
        return value
    plain = value.strip().lower() if isinstance(value, str) else value
    if not isinstance(plain, str | int | float) or plain not in TRUE_FALSE:
        raise UsageError(f"{where}: {key!r} must be true/false, got {kind(value)} {value!r:.60}")
    return TRUE_FALSE[plain]


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
