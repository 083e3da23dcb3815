"""Digests inside stored files, so that every load notices damage: a file and its digest are replaced together.

A .safetensors file has its digest in the header's metadata, a file of torch.save in the comment of its ZIP archive, a
JSON file under the key "digest", a recipe in its last line.
Files of others have none; of those, only the CRC-32 that torch.save stores for each record can be checked.
"""

import json
import mmap
import os
import re
import shutil
import zipfile
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

FIELD = "digest"  # the key in a JSON file; in a TOML file, the start of the last line, a comment
KEY, MARK = "reslab.digest", "reslab-digest:"
NONE = "0" * 64  # in the place of the digest while it is computed
INSIDE = re.compile(rb'"%b":"%b([^"]*)"' % (re.escape(KEY.encode()), MARK.encode()))
TRACES = (f'"{KEY}"'.encode(), f'"{MARK}'.encode())
COMMENT = len(MARK) + len(NONE)  # bytes
END = b"PK\5\6"  # begins the last 22 bytes of a ZIP archive, before its comment
ROW = 512  # words
Bytes = bytes | memoryview | mmap.mmap


class Damaged(ValueError):  # noqa: N818 - what it says
    """The content of a file does not match what the message names: its digest, or its checksums."""


def digest(*pieces: Bytes) -> str:
    """64 hex digits for the bytes and lengths of the pieces.

    SHA-256 of one number per row of 512 words of 8 bytes: their weighted sum modulo 2**64. SHA-256 of all bytes takes
    ten times as long, which loading would show. The weights are odd: a change within one word always changes the sum.
    """
    import numpy as np

    weights = (np.arange(1, ROW + 1, dtype="<u8") * np.uint64(0x9E3779B97F4A7C15)) | np.uint64(1)
    whole = sha256()
    for piece in pieces:
        data = memoryview(piece).cast("B")
        rows = len(data) // (8 * ROW)
        if rows:
            words = np.frombuffer(data, "<u8", rows * ROW).reshape(rows, ROW)
            whole.update(np.einsum("ij,j->i", words, weights).astype("<u8", copy=False))
        whole.update(data[8 * ROW * rows :])
        whole.update(len(data).to_bytes(8, "little"))
    return whole.hexdigest()


def sealed_tensors(data: bytes) -> Callable[[BinaryIO], None]:
    """What writes a .safetensors file with its digest."""
    end = 8 + int.from_bytes(data[:8], "little")
    header: dict[str, Any] = json.loads(data[8:end])
    header = {"__metadata__": {**dict(sorted(header.pop("__metadata__", {}).items())), KEY: MARK + NONE}, **header}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # tensors are aligned
    head, tensors = len(text).to_bytes(8, "little") + text, memoryview(data)[end:]
    return written(head.replace((MARK + NONE).encode(), (MARK + digest(head, tensors)).encode(), 1), tensors)


def sealed_archive(data: memoryview) -> Callable[[BinaryIO], None]:
    """What writes a ZIP archive without a comment, as torch.save makes it, with its digest as the comment."""
    archive, size = data[:-2], COMMENT.to_bytes(2, "little")
    return written(archive, size, (MARK + digest(archive, size)).encode())


def written(*pieces: Bytes) -> Callable[[BinaryIO], None]:
    def write(file: BinaryIO) -> None:
        file.writelines(pieces)

    return write


def sealed(content: Any) -> Any:
    """The content of a JSON file with its digest; anything but an object stays as it is."""
    return {**without(content), FIELD: digest_of(without(content))} if isinstance(content, dict) else content


def without(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a JSON file without its digest."""
    return {key: value for key, value in content.items() if key != FIELD}


def digest_of(content: Any) -> str:
    """16 hex digits for what JSON or TOML say: spaces, line breaks, comments and the order of keys do not count."""
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def changed(content: Any) -> bool:
    """Whether the content of a JSON file has a digest and does not match it."""
    return isinstance(content, dict) and FIELD in content and content[FIELD] != digest_of(without(content))


def check_tensors(path: Path | str) -> bool:
    """Whether a .safetensors file has a digest. Raises Damaged if its content does not match it."""
    with mapped(path) as data:
        end = 8 + int.from_bytes(data[:8], "little")
        if end > len(data):
            return False  # not such a file: whoever reads it says so
        head = bytes(data[:end])
        found = INSIDE.search(head)
        if found is None:
            if any(trace in head for trace in TRACES):
                raise Damaged("digest")
            return False
        start, stop = found.span(1)
        with memoryview(data)[end:] as tensors:
            compare(found[1], digest(head[:start] + NONE.encode() + head[stop:], tensors).encode())
    return True


def check_archive(path: Path | str) -> bool:
    """Whether a file of torch.save has a digest. Raises Damaged if its content does not match it, or a CRC-32."""
    with mapped(path) as data:
        comment, size = bytes(data[-COMMENT:]), bytes(data[-COMMENT - 2 : -COMMENT])
        as_long = size == COMMENT.to_bytes(2, "little") and data[-COMMENT - 22 : -COMMENT - 18] == END
        if not as_long and not comment.startswith(MARK.encode()):
            check_records(path)
            return False
        with memoryview(data) as whole, whole[: -COMMENT - 2] as archive:
            compare(comment, MARK.encode() + digest(archive, size).encode())
    return True


def compare(stored: bytes, found: bytes) -> None:
    if stored != found:
        raise Damaged("digest")


def check_records(path: Path | str) -> None:
    """Raise Damaged if a record does not match its CRC-32; torch.save may be told to store zeros."""
    try:
        archive = zipfile.ZipFile(path)
    except Exception:  # not such a file: whoever reads it says so
        return
    with archive:
        each = archive.infolist()
        if all(one.CRC == 0 or one.compress_type != zipfile.ZIP_STORED for one in each):
            return
        try:
            bad = archive.testzip()
        except Exception as error:  # a record that is encrypted, of another version, ...
            raise Damaged("checksums") from error
    if bad is not None:
        raise Damaged("checksums")


class mapped:  # noqa: N801 - used as a function
    """Inside, the bytes of a file, without reading it into memory."""

    def __init__(self, path: Path | str) -> None:
        self.path = path

    def __enter__(self) -> mmap.mmap | bytes:
        with open(self.path, "rb") as file:
            try:
                self.data: mmap.mmap | bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            except (ValueError, OSError):  # empty, or on a file system that cannot map
                self.data = file.read()
        return self.data

    def __exit__(self, *_: object) -> None:
        if isinstance(self.data, mmap.mmap):
            self.data.close()


def keep_as(name: Path, path: Path) -> None:
    """Let the file at `path`, if there is one, be at `name` too; at each moment there is a file at both."""
    aside = name.with_name(f".{name.name}.link")
    aside.unlink(missing_ok=True)
    try:
        os.link(path, aside)
    except FileNotFoundError:
        return
    except OSError:  # a file system without hard links
        shutil.copyfile(path, aside)
    os.replace(aside, name)
    aside.unlink(missing_ok=True)  # if both were one file, nothing was renamed
