"""Walk through the headers of a tar file: where each member lies. Names are only names: nothing is ever unpacked."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from reslab.errors import ReslabError, UsageError
from reslab.stored.files import named, unreadable

BLOCK = 512
NAMES = 2**20  # bytes of a long name or of pax records; Linux's longest path has 4,096
REGULAR, FOLDER, LONG_NAME, LONG_LINK, PAX, PAX_GLOBAL = (b"0", b"\0", b"7"), b"5", b"L", b"K", b"x", b"g"
COMPRESSED = {  # magic number: (format, what unpacks it)
    b"\x1f\x8b": ("gzip", "gunzip"),
    b"BZh": ("bzip2", "bunzip2"),
    b"\xfd7zXZ": ("xz", "unxz"),
    b"\x28\xb5\x2f\xfd": ("zstd", "unzstd"),
}
RECORD = re.compile(rb"(\d{1,20}) ([^=]*)=", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Member:
    """A member of a tar: its bytes are [offset, offset + size), its header the block before them."""

    name: str
    offset: int
    size: int
    regular: bool  # a file; otherwise a link, a device, ...
    header: bytes


def members(path: Path, file: BinaryIO, size: int) -> Iterator[Member]:
    """The members of the tar of `size` bytes in order, without its folders.

    Raises UsageError for what is no plain tar, ReslabError for one that is cut short, damaged or goes on after its end.
    """
    refuse_compressed(path, file)
    at, last, extra = 0, "", dict[str, bytes]()
    while True:
        header = read(file, at, BLOCK)
        if header == bytes(BLOCK):
            check_end(path, file, at)
            return
        if len(header) < BLOCK:
            raise cut(path, last)
        stored = checked(path, header, last, at)
        kind, data = header[156:157], at + BLOCK
        if kind in (PAX, PAX_GLOBAL, LONG_NAME, LONG_LINK):
            if stored > NAMES:
                raise ReslabError(f"{named(path)} is damaged: a name in it has {stored:,} bytes; write it again")
            text = read(file, data, stored)
            if len(text) < stored:
                raise cut(path, last)
            if kind == PAX:
                extra |= records(path, text)
            elif kind == LONG_NAME:
                extra["path"] = text.rstrip(b"\0")
            at = data + padded(stored)
            continue
        name = (extra.get("path") or own_name(header)).decode("utf-8", errors="surrogateescape")
        length = number_of(path, extra["size"], name) if "size" in extra else stored
        sparse = kind == b"S" or any(key.startswith("GNU.sparse") for key in extra)
        if not (kind == FOLDER or (kind in REGULAR and name.endswith("/"))):
            regular = kind in REGULAR and not sparse
            holds = length if kind in (*REGULAR, b"S") else 0  # a link may state the size of what it leads to
            if data + holds > size:
                raise ReslabError(f"{named(path)} is cut short: its member {named(name)} should have {holds:,} bytes, "
                                  f"but {max(0, size - data):,} are there; write or download it again")  # fmt: skip
            yield Member(name=name, offset=data, size=holds, regular=regular, header=header)
            at = data + padded(holds)
        else:
            at = data
        last, extra = name, {}


def read(file: BinaryIO, at: int, size: int) -> bytes:
    file.seek(at)
    return file.read(size)


def refuse_compressed(path: Path, file: BinaryIO) -> None:
    """Raise UsageError for a compressed tar: finding an image in it would mean unpacking all before it."""
    begin = read(file, 0, 6)
    for magic, (name, unpack) in COMPRESSED.items():
        if begin.startswith(magic):
            raise UsageError(f"{named(path)} is compressed with {name}, so its images cannot be read at random; unpack "
                             f"it once with `{unpack} {path.name}` (images do not get smaller by it)")  # fmt: skip


def checked(path: Path, header: bytes, last: str, at: int) -> int:
    """The size that a header states, whose checksum must be right. Raises UsageError or ReslabError."""
    try:
        stated = octal(header[148:156])
        size = octal(header[124:136])
    except ValueError:
        stated, size = -1, -1
    if sum(header[:148]) + 8 * ord(" ") + sum(header[156:]) != stated or size < 0:
        if at == 0:
            raise UsageError(f"{named(path)} is not a tar file, or damaged at its start; write or download it again")
        raise ReslabError(f"{named(path)} is damaged after its member {named(last)}: no header stands at byte {at:,}; "
                          "write or download it again")  # fmt: skip
    return size


def octal(field: bytes) -> int:
    """A number field: octal digits, or binary if its first bit is set. Raises ValueError."""
    if field[0] & 0x80:
        return int.from_bytes(bytes([field[0] & 0x7F, *field[1:]]), "big")
    text = field.split(b"\0")[0].strip()
    return int(text, 8) if text else 0


def own_name(header: bytes) -> bytes:
    """The name in the header itself: with the prefix of ustar, which GNU's headers do not have."""
    name = header[:100].split(b"\0")[0]
    prefix = header[345:500].split(b"\0")[0] if header[257:263] == b"ustar\0" else b""
    return prefix + b"/" + name if prefix else name


def records(path: Path, text: bytes) -> dict[str, bytes]:
    """The records of a pax header: each is its own length, a key and a value."""
    found: dict[str, bytes] = {}
    while text.strip(b"\0"):
        match = RECORD.match(text)
        length = int(match[1]) if match else 0
        if match is None or not match.end() < length <= len(text):
            raise ReslabError(f"{named(path)} is damaged: its pax header cannot be read; write or download it again")
        found[match[2].decode("utf-8", errors="replace")] = text[match.end() : length - 1]
        text = text[length:]
    return found


def number_of(path: Path, text: bytes, name: str) -> int:
    if not (text.isdigit() and len(text) < 20):
        raise ReslabError(
            f"{named(path)} is damaged: the size of its member {named(name)} is no number; write it again"
        )
    return int(text)


def padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def cut(path: Path, last: str) -> ReslabError:
    after = f" after its member {named(last)}" if last else ""
    return ReslabError(f"{named(path)} is cut short{after}: the two empty blocks that end a tar are missing; write or "
                       "download it again")  # fmt: skip


def check_end(path: Path, file: BinaryIO, at: int) -> None:
    """Raise ReslabError if only one empty block ends the tar, or if anything follows its end."""
    file.seek(at)
    seen = 0
    while piece := file.read(2**20):
        if piece.count(0) != len(piece):
            raise ReslabError(f"{named(path)} goes on after its end, as two tars that were joined by cat do: its "
                              "second part would be lost; give both, or join them with tar -A")  # fmt: skip
        seen += len(piece)
    if seen < 2 * BLOCK:
        raise cut(path, "")


def opened_shard(path: Path) -> BinaryIO:
    """The open file. Raises MissingFile or ReslabError."""
    try:
        return open(path, "rb")
    except (OSError, ValueError) as error:
        unreadable(path, error)
