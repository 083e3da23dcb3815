"""What an export will do and about how long it takes, said before it begins."""

import time
from collections.abc import Sequence

from reslab.progress.row import duration
from reslab.ship.export.passes import SECONDS, taken
from reslab.ship.exportable import Examples, Exportable
from reslab.ship.record import EngineName, Precision

ENGINE = {"openvino": "OpenVINO", "onnx": "ONNX", "torch": "PyTorch"}
CONVERT, QUANTIZE, TIMING = 10.0, 20.0, 9.0  # seconds, as measured for ResNet-56 on two cores


def announced(
    subject: Exportable, examples: Sequence[Examples], to: EngineName, tried: Sequence[Precision]
) -> str:  # fmt: skip
    """The work in words; the original model is run once to tell its time."""
    n, one = len(examples[0]), examples[0]
    what = f"{n:,} random inputs" if one.random else f"{n:,} examples, {one.where},"
    more = f", then makes {' and '.join(tried)}, compares and times each" if tried else ", and times it"
    longer = ", or longer if layers must be put back from int8" if "int8" in tried else ""
    took = seconds(n, each(subject, examples), tried)
    return (f"{subject.name}: converts it for {ENGINE[to]}, compares the file with the model on {what} in batches of "
            f"1, 2 and 7{more}; about {duration(took)}{longer}")  # fmt: skip


def each(subject: Exportable, examples: Sequence[Examples]) -> float:
    """Seconds that the original model takes for an example, of all graphs."""
    took = 0.0
    for which, one in enumerate(examples):
        n = min(8, len(one))
        few = taken(one.inputs, 0, n)
        subject.reference(which, few)  # the first pass is slow
        began = time.perf_counter()
        subject.reference(which, few)
        took += (time.perf_counter() - began) / n
    return took


def seconds(n: int, each: float, tried: Sequence[Precision]) -> float:
    """About how long it takes, if the exported model is as fast as the original one."""
    compared = n * each + 2 * min(SECONDS, n * each)  # all in batches of 7, as many as fit in batches of 1 and 2
    found = CONVERT + TIMING + n * each + compared * (1 + len(tried))
    return found + (QUANTIZE + n * each if "int8" in tried else 0)
