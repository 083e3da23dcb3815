"""Tensors of the Open Inference Protocol: read from JSON or from the binary extension, and written."""

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from reslab.ship.serve.refused import Refused, no_such

DTYPES = {
    "BOOL": "?", "UINT8": "u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8", "INT8": "i1", "INT16": "<i2",
    "INT32": "<i4", "INT64": "<i8", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip
MOST_AXES = 8
LONGEST_AXIS = 2**31 - 1


@dataclass(frozen=True, eq=False)
class Tensor:
    """values: an array of the shape; of the datatype BYTES a flat list of bytes or, from JSON, of str."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: Any


@dataclass(frozen=True, kw_only=True)
class Room:
    """What a model's inputs may be: checked by the declared shape, before anything is made of the data."""

    names: tuple[str, ...]
    rows: int  # the longest first axis
    elements: int | None = None  # of one input; None: as many as the request has room for
    what: str = "items"


def read(given: Any, tail: memoryview, room: Room) -> tuple[Tensor, memoryview]:
    """One entry of a request's `inputs`, and what it leaves of the bytes after the JSON. Raises Refused."""
    if not isinstance(given, Mapping):
        raise Refused(400, "each input must be an object with name, datatype, shape and data")
    name, datatype, shape = given.get("name"), given.get("datatype"), given.get("shape")
    if not isinstance(name, str) or not name:
        raise Refused(400, "each input needs a name")
    if name not in room.names:
        names = ", ".join(room.names[:20]) + ", ..." * (len(room.names) > 20)
        raise Refused(400, f"the model has no input {no_such(name, room.names)}; it takes {names}")
    if datatype not in (*DTYPES, "BYTES"):
        raise Refused(400, f"input {name!r} must have a datatype: {', '.join(DTYPES)} or BYTES")
    if not isinstance(shape, list) or not 0 < len(shape) <= MOST_AXES or not all(type(n) is int and n >= 0
                                                                                for n in shape):  # fmt: skip
        raise Refused(400, f"input {name!r} must have a shape: a list of 1 to {MOST_AXES} lengths")
    if max(shape) > LONGEST_AXIS:  # beside a 0 it would need no data, and be a shape that no array can have
        raise Refused(400, f"input {name!r} has a length beyond {LONGEST_AXIS:,} in its shape")
    count = math.prod(shape)
    if shape[0] > room.rows or (room.elements is not None and count > room.elements):
        raise Refused(413, f"a request may hold at most {room.rows:,} {room.what}, got {max(shape[0], 1):,}")
    extra = given.get("parameters") or {}
    size = extra.get("binary_data_size") if isinstance(extra, Mapping) else None
    if size is not None:
        if type(size) is not int or not 0 <= size <= len(tail):
            raise Refused(400, f"input {name!r} has binary_data_size {size}, and {len(tail)} bytes follow the JSON")
        values = from_bytes(name, datatype, shape, tail[:size])
        tail = tail[size:]
    elif "data" in given:
        values = from_json(name, datatype, shape, given["data"])
    else:
        raise Refused(400, f"input {name!r} has no data")
    return Tensor(name, datatype, tuple(shape), values), tail


def from_bytes(name: str, datatype: str, shape: Sequence[int], data: memoryview) -> Any:
    count = math.prod(shape)
    if datatype != "BYTES":
        dtype = np.dtype(DTYPES[datatype])
        if len(data) != count * dtype.itemsize:
            raise Refused(400, f"input {name!r} of shape {list(shape)} needs {count * dtype.itemsize} bytes, got "
                               f"{len(data)}")  # fmt: skip
        return shaped(name, np.frombuffer(data, dtype), shape)
    if len(data) < 4 * count:
        raise Refused(400, f"input {name!r} must hold {count} elements, each after its length in 4 bytes")
    values: list[bytes] = []
    while len(data) >= 4 and len(values) < count:
        (size,) = struct.unpack("<I", data[:4])
        if size > len(data) - 4:
            break
        values.append(bytes(data[4 : 4 + size]))
        data = data[4 + size :]
    if len(data) or len(values) != count:
        raise Refused(400, f"input {name!r} must hold {count} elements, each after its length in 4 bytes")
    return values


def from_json(name: str, datatype: str, shape: Sequence[int], data: Any) -> Any:
    count = math.prod(shape)
    if datatype == "BYTES":
        values = list(islice(flat(data), count + 1))
        if not all(isinstance(one, str | type(None)) for one in values):
            raise Refused(400, f"input {name!r} must hold texts")
        if len(values) != count:
            raise Refused(400, f"input {name!r} of shape {list(shape)} needs {count} elements, got "
                               f"{len(values) if len(values) <= count else 'more'}")  # fmt: skip
        return values
    if isinstance(data, list) and len(data) > count:
        raise Refused(400, f"input {name!r} of shape {list(shape)} needs {count} elements, got {len(data)}")
    dtype = np.dtype(DTYPES[datatype])
    try:
        found = np.asarray(data)
        if found.dtype == object and dtype.kind == "f":
            found = found.astype(np.float64)  # null becomes NaN
        allowed = {"b": "b", "u": "iu", "i": "iu", "f": "iuf"}[dtype.kind]
        if found.size and (found.dtype.kind not in allowed or (dtype.kind in "iu" and not (
                np.iinfo(dtype).min <= int(found.min()) and int(found.max()) <= np.iinfo(dtype).max))):  # fmt: skip
            raise ValueError
        with np.errstate(over="ignore"):
            found = found.astype(dtype)
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise Refused(400, f"input {name!r} must hold numbers of the datatype {datatype}") from None
    if found.size != count:
        raise Refused(400, f"input {name!r} of shape {list(shape)} needs {count} elements, got {found.size}")
    return shaped(name, found, shape)


def shaped(name: str, values: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    try:
        return values.reshape(shape)
    except ValueError:  # no elements, of a shape that overflows
        raise Refused(400, f"input {name!r} has a shape that no array can have") from None


def flat(data: Any, depth: int = 0) -> Any:
    """The elements of a list of lists."""
    if not isinstance(data, list) or depth > MOST_AXES:
        yield data
        return
    for one in data:
        yield from flat(one, depth + 1)


def written(tensor: Tensor, *, binary: bool) -> tuple[dict[str, Any], bytes]:
    """An entry of a response's `outputs`, and its bytes after the JSON (b"" if the values are in the JSON)."""
    entry: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}
    if not binary:
        entry["data"] = list(tensor.values) if tensor.datatype == "BYTES" else tensor.values.ravel().tolist()
        return entry, b""
    if tensor.datatype == "BYTES":
        encoded = [one.encode("utf-8", "replace") for one in tensor.values]
        data = b"".join(struct.pack("<I", len(one)) + one for one in encoded)
    else:
        data = np.ascontiguousarray(tensor.values, DTYPES[tensor.datatype]).tobytes()
    entry["parameters"] = {"binary_data_size": len(data)}
    return entry, data
