"""Why a model cannot be converted, in a few words, from the long messages of the libraries that convert it."""

import re
from collections.abc import Iterator

from reslab.errors import first_line

FIXED = re.compile(r"marked (\S+) as dynamic but your code specialized it to be a constant \((\d+)\)")
UNKNOWN = (re.compile(r"No conversion rule found for operations: (.+)"),  # OpenVINO
           re.compile(r"No ONNX function found for <OpOverload\(op='([\w.:]+)'"))  # torch.onnx  # fmt: skip


def reason(error: BaseException) -> str:
    """What the library says, without its headings and its advice about its own functions."""
    text = "\n".join(str(one) for one in chain(error))
    if found := FIXED.search(text):
        return f"its code fixes {found[1]} to {found[2]}, which is that of the example"
    if "data-dependent" in text:
        return "what it computes depends on the values of its input (a Python if, float() or item())"
    for pattern in UNKNOWN:
        if found := pattern.search(text):
            return f"no form is known for its operation {found[1].strip()}"
    lines = [line.strip(" -") for line in str(error).splitlines() if line.strip(" -=")]
    said = [line for line in lines if not line.endswith((":", "!")) and not line.startswith("Check '")]
    return (said or lines or [first_line(error)])[0].rstrip(".")


def chain(error: BaseException) -> Iterator[BaseException]:
    """The error, and those that it came from."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__
