"""Text of any encoding as UTF-8: given, shown by a mark at the start, or recognized."""

import codecs
from pathlib import Path

from reslab.errors import ReslabError, Sentence, UsageError, arg

BOMS = ((codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be"), (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))  # fmt: skip
SHOWN = {"utf-8": "UTF-8", "utf-16-le": "UTF-16", "utf-16-be": "UTF-16", "utf-32-le": "UTF-32", "utf-32-be": "UTF-32",
         "cp1252": "Windows-1252"}  # fmt: skip
WINDOWS = "cp1252"  # Latin-1's letters, and those that Windows adds
CHUNK = 2**20


def as_utf8(path: Path, data: bytes, encoding: str | None = None) -> tuple[bytes, str, Sentence | None]:
    """(the text as UTF-8 without a mark at its start, its encoding's name, what is not certain about it).

    Raises UsageError for an unknown encoding, ReslabError for bytes that are not of it.
    """
    if encoding is not None:
        name = known(encoding)
        start = next((mark for mark, one in BOMS if name in (one, one[:6]) and data.startswith(mark)), b"")
        exact = next((one for mark, one in BOMS if start == mark), name)
        return converted(path, data[len(start) :], exact), SHOWN.get(exact, encoding), None
    for start, name in BOMS:
        if data.startswith(start):
            return converted(path, data[len(start) :], name), SHOWN[name], None
    if (wide := zeros(data)) is not None:
        return converted(path, data, wide), SHOWN[wide], None
    bad = first_bad(data)
    if bad is None:
        return data, SHOWN["utf-8"], None
    if is_damaged_utf8(data):
        raise not_of(path, data, bad, "UTF-8")
    try:
        text = data.decode(WINDOWS)
    except UnicodeDecodeError:
        raise not_of(path, data, bad, "UTF-8 or Windows-1252") from None
    line, around = shown(data, bad, WINDOWS)
    said = Sentence(f"{path} is not UTF-8; read as Windows-1252 (line {line}: {around!r}); otherwise name its ",
                    arg("encoding"))  # fmt: skip
    return text.encode(), SHOWN[WINDOWS], said


def known(encoding: str) -> str:
    """Python's name of an encoding of text. Raises UsageError for any other word."""
    try:
        found = codecs.lookup(encoding)
    except (LookupError, ValueError):
        found = None
    if found is None or not found._is_text_encoding or found.name in ("idna", "punycode", "undefined"):
        raise UsageError(f"no encoding named {encoding!r}; examples: utf-8, latin-1, cp1250, utf-16, shift_jis")
    return found.name


def converted(path: Path, data: bytes, encoding: str) -> bytes:
    try:
        return data if encoding == "utf-8" and first_bad(data) is None else data.decode(encoding).encode()
    except UnicodeDecodeError as error:
        raise not_of(path, data, error.start, SHOWN.get(encoding, encoding)) from None
    except (UnicodeError, ValueError) as error:  # half characters; odd codecs
        raise ReslabError(f"{path} is not {SHOWN.get(encoding, encoding)}: {error}") from None


def zeros(data: bytes) -> str | None:
    """UTF-16 without a mark: nearly every second byte of its start is 0, and no other one."""
    head = data[:4096]
    even, odd = head[::2].count(0), head[1::2].count(0)
    if max(even, odd) < 0.4 * len(head) / 2 or min(even, odd):
        return None
    return "utf-16-be" if even else "utf-16-le"


def first_bad(data: bytes) -> int | None:
    """The first byte that is not UTF-8."""
    if data.isascii():
        return None
    decoder, start = codecs.getincrementaldecoder("utf-8")(), 0
    for start in range(0, len(data), CHUNK):
        rest = len(decoder.getstate()[0])
        try:
            decoder.decode(data[start : start + CHUNK], final=start + CHUNK >= len(data))
        except UnicodeDecodeError as error:
            return start - rest + error.start
    return None


def is_damaged_utf8(data: bytes) -> bool:
    """Whether there are more characters of several bytes than bytes that are no UTF-8."""
    text = data[: 2**24].decode(errors="replace")
    bad = text.count("\ufffd")
    return sum(not char.isascii() for char in text) - bad > bad


def shown(data: bytes, place: int, encoding: str) -> tuple[int, str]:
    """The number of the line with this byte, and what is around it there."""
    begin = data.rfind(b"\n", 0, place) + 1
    end = data.find(b"\n", place, place + 11)
    around = data[max(begin, place - 10) : place + 11 if end < 0 else end]
    return data.count(b"\n", 0, place) + 1, around.decode(encoding, "replace").strip("\r")


def not_of(path: Path, data: bytes, start: int, name: str) -> ReslabError:
    line, around = shown(data, start, "latin-1")
    return ReslabError(
        f"{path}, line {line} is not {name}: {around!r}; save it as UTF-8, or name its ", arg("encoding")
    )
