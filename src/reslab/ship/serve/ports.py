"""What a model of each kind takes and gives as tensors of the Open Inference Protocol."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from reslab.ship.serve.images import labels, remarked
from reslab.ship.serve.refused import Refused, shown
from reslab.ship.serve.servable import About
from reslab.ship.serve.tables import MOST_ROWS, by_row
from reslab.ship.serve.tensors import DTYPES, Room, Tensor

Port = dict[str, Any]
COLUMN = {"number": "FP64"}  # kind of a table's column: its datatype; BYTES for others


def inputs(about: About) -> list[Port]:
    """The inputs, as model metadata lists them."""
    if about.kind == "images":
        return [{"name": "images", "datatype": "UINT8", "shape": [-1, -1, -1, about.details["shape"][0]]}]
    if about.kind == "questions":
        return [{"name": name, "datatype": "BYTES", "shape": [-1]} for name in ("question", "context")]
    return [{"name": field["name"], "datatype": COLUMN.get(field["kind"], "BYTES"), "shape": [-1]}
            for field in about.details["fields"]]  # fmt: skip


def outputs(about: About) -> list[Port]:
    """The outputs, as model metadata lists them."""
    if about.kind == "questions":
        found = {"text": "BYTES", "score": "FP64", "probability": "FP64", "start": "INT64", "end": "INT64"}
        return [{"name": name, "datatype": kind, "shape": [-1]} for name, kind in found.items()]
    classes = about.details["classes"]
    if about.kind == "images":
        return [{"name": "probabilities", "datatype": "FP32", "shape": [-1, len(classes)]},
                {"name": "label", "datatype": "BYTES", "shape": [-1]}]  # fmt: skip
    if classes is None:
        return [{"name": "predicted", "datatype": "FP64", "shape": [-1, about.details["outputs"]]}]
    return [{"name": "probabilities", "datatype": "FP64", "shape": [-1, len(classes)]},
            {"name": "predicted", "datatype": "BYTES", "shape": [-1]}]  # fmt: skip


def room(about: About, queue: int) -> Room:
    """What the model's inputs may be."""
    names = tuple(port["name"] for port in inputs(about))
    if about.kind == "images":
        return Room(names=names, rows=queue, what="images here")
    if about.kind == "questions":
        return Room(names=names, rows=queue, elements=queue, what="questions here")
    return Room(names=names, rows=MOST_ROWS, elements=MOST_ROWS, what="rows")


def payloads(about: About, given: Mapping[str, Tensor]) -> list[Any]:
    """What the model is asked, from the request's tensors. Raises Refused."""
    if about.kind == "images":
        return pictures(about, needed(given, "images"))
    if about.kind == "questions":
        asked, texts = (column(needed(given, name)) for name in ("question", "context"))
        if len(asked) != len(texts):
            raise Refused(400, f"question has {len(asked)} elements, and context {len(texts)}")
        return [(question, [text]) for question, text in zip(asked, texts, strict=True)]
    columns = {name: column(tensor) for name, tensor in given.items()}
    many = {len(values) for values in columns.values()}
    if len(many) != 1 or 0 in many:
        raise Refused(400, "the inputs must be the columns of a table: of one length, and not empty")
    return [[dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]]


def needed(given: Mapping[str, Tensor], name: str) -> Tensor:
    if name not in given:
        raise Refused(400, f"the input {name!r} is missing")
    return given[name]


def pictures(about: About, tensor: Tensor) -> list[Any]:
    """Arrays uint8 (H, W, C), or the bytes of files."""
    C = about.details["shape"][0]
    if tensor.datatype == "BYTES":
        if not tensor.values:
            raise Refused(400, "images holds no image")
        try:
            return [one if isinstance(one, bytes) else base64.b64decode(one, validate=True) for one in tensor.values]
        except (binascii.Error, ValueError, TypeError):
            raise Refused(400, "images of the datatype BYTES are files, in JSON as base64") from None
    if tensor.datatype != "UINT8" or len(tensor.shape) != 4 or tensor.shape[3] != C or 0 in tensor.shape:
        raise Refused(400, f"images must be UINT8 of shape [N, H, W, {C}], or BYTES: files; got {tensor.datatype} of "
                           f"shape {list(tensor.shape)}")  # fmt: skip
    return list(tensor.values)


def column(tensor: Tensor) -> list[Any]:
    """A tensor (N,) or (N, 1) as plain values: texts, numbers or truth values; NaN is missing."""
    if len(tensor.shape) != 1 and tensor.shape[1:] != (1,):
        raise Refused(400, f"input {shown(tensor.name)} must have the shape [N], got {list(tensor.shape)}")
    if tensor.datatype != "BYTES":
        return [None if one != one else one for one in tensor.values.ravel().tolist()]
    try:
        return [one.decode() if isinstance(one, bytes) else one for one in tensor.values]
    except UnicodeDecodeError:
        raise Refused(400, f"input {shown(tensor.name)} must hold UTF-8 text") from None


def notes(about: About, found: Sequence[Any]) -> list[str]:
    """What was changed of the inputs, in sentences, without repetitions."""
    if about.kind == "images":
        return remarked([key for one in found for key in one.remarks])
    return list(dict.fromkeys(note for one in found for note in one.notes))


def results(about: About, found: Sequence[Any]) -> dict[str, Tensor]:
    """The outputs by name, from the model's results."""
    values, made = values_of(about, found), {}
    for port in outputs(about):
        name, datatype = port["name"], port["datatype"]
        if datatype == "BYTES":
            made[name] = Tensor(name, datatype, (len(values[name]),), values[name])
        else:
            array = np.asarray(values[name], DTYPES[datatype])
            made[name] = Tensor(name, datatype, array.shape, array)
    return made


def values_of(about: About, found: Sequence[Any]) -> dict[str, Any]:
    """What each output holds, by name: see `outputs`."""
    if about.kind == "images":
        classes, several = about.details["classes"], about.details["several"]
        return {"probabilities": np.stack([one.values for one in found]),
                "label": ["|".join(labels(one.values, classes, several)) for one in found]}  # fmt: skip
    if about.kind == "questions":
        return {port["name"]: [getattr(one.answers[0], port["name"]) for one in found] for port in outputs(about)}
    [predicted] = found
    if about.details["classes"] is None:
        return {"predicted": predicted.scores}
    rows = by_row(predicted, about.details["target"], about.details["classes"])
    said = ["|".join(one) if isinstance(one := row["predicted"], list) else str(one) for row in rows]
    return {"probabilities": predicted.scores, "predicted": said}
