"""reslab doctor, the part about exporting: which of its packages are here, which pairs work together, and a trial."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator

from reslab.extras import installed

COLUMNS = ("pair", "versions", "verdict", "why")
Version = tuple[int, ...]
PACKAGES = ("openvino", "nncf", "onnx", "onnxscript", "onnxruntime")  # beside torch
MISSING = {  # package: what cannot be done without it
    "openvino": "exporting to OpenVINO and predicting with such folders",
    "nncf": "int8",
    "onnx": "exporting to ONNX, and images of any size in an export",
    "onnxscript": "exporting to ONNX",
    "onnxruntime": "predicting with folders exported to ONNX",
}
INSTALL = "pip install 'reslab[ship]'"


def same_release(nncf: Version, openvino: Version) -> str:
    """An NNCF is released with each OpenVINO: 2.15 with 2025.0, one further with each, 3.0 with 2026.0."""
    made = (2025, nncf[1] - 15) if nncf[0] == 2 else (2026 + nncf[0] - 3, nncf[1])
    if openvino[:2] == made:
        return ""
    return f"nncf {text(nncf[:2])} was released with openvino {text(made)}, not with {text(openvino[:2])}"


def operators(openvino: Version, torch: Version) -> str:
    """torch.export traces any batch size from torch 2.8 on; OpenVINO reads that from 2025.0 on (what reslab needs)."""
    if torch < (2, 8):
        return f"torch {text(torch)} cannot trace a model with any batch size: 2.8 or newer can"
    return "" if openvino >= (2025, 0) else f"openvino {text(openvino)} does not know this torch: 2025.0 or newer does"


def reads_ir_10(onnxruntime: Version, torch: Version) -> str:
    """torch's exporter writes ONNX files of IR version 10, which ONNX Runtime reads from 1.18 on."""
    return "" if onnxruntime >= (1, 18) else f"onnxruntime {text(onnxruntime)} cannot read what torch writes: 1.18 can"


def writes(onnxscript: Version, torch: Version) -> str:
    """torch.onnx translates with onnxscript, from 0.2 on."""
    return "" if onnxscript >= (0, 2) else f"onnxscript {text(onnxscript)} is older than torch.onnx needs: 0.2 or newer"


PAIRS: tuple[tuple[tuple[str, str], Callable[[Version, Version], str], str], ...] = (  # and what they do together
    (("openvino", "torch"), operators, "OpenVINO converts what torch.export traced"),
    (("nncf", "openvino"), same_release, "NNCF makes int8 of OpenVINO's graphs"),
    (("onnxscript", "torch"), writes, "torch.onnx translates through onnxscript"),
    (("onnxruntime", "torch"), reads_ir_10, "ONNX Runtime runs what torch.onnx wrote"),
)
TRIAL = """
import json, sys
found = {}
for name in sys.argv[1:]:
    try:
        if name in ("openvino", "nncf"):
            from reslab.ship import packages
            getattr(packages, name)("the trial")
        else:
            __import__(name)
        found[name] = ""
    except BaseException as error:
        found[name] = (str(error).strip().splitlines() or [type(error).__name__])[0]
    print(json.dumps(found), flush=True)
"""


def table() -> tuple[list[tuple[str, str, str, str]], list[str], list[str]]:
    """(a row for each pair that is installed; what is missing or untried; what the packages ask for and is not so)."""
    here = {name: installed(name) for name in ("torch", *PACKAGES)}
    rows, notes = [], []
    for (one, other), asked, what in PAIRS:
        first, second = here[one], here[other]
        if first is None or second is None:
            continue
        why = asked(numbers(first), numbers(second))
        rows.append((f"{one} + {other}", f"{first} + {second}", "doubtful" if why else "fits", what))
        if why:
            notes.append(f"{why}; it may work all the same: `reslab doctor --export` tries it")
    gone = [name for name in PACKAGES if here[name] is None]
    notes += [f"{name} is missing, which {MISSING[name]} needs: {INSTALL}" for name in gone]
    return rows, notes, list(unmet(name for name, version in here.items() if version))


def unmet(names: Iterator[str]) -> Iterator[str]:
    """What the packages' own metadata ask for and is not so: "nncf 3.4.0 wants numpy<2.5.0, but 2.5.1 is installed"."""
    try:
        from packaging.requirements import InvalidRequirement, Requirement
    except ImportError:  # nncf and onnxruntime bring it
        return
    from importlib import metadata

    for name in names:
        for line in metadata.requires(name) or ():
            try:
                asked = Requirement(line)
            except InvalidRequirement:
                continue
            if asked.marker and not asked.marker.evaluate({"extra": ""}):
                continue
            there = installed(asked.name)
            if there is None:
                yield f"{name} {installed(name)} wants {asked.name}, which is not installed: pip install '{asked}'"
            elif not asked.specifier.contains(there, prereleases=True):
                yield (f"{name} {installed(name)} wants {asked.name}{asked.specifier}, but {there} is installed: "
                       f"pip install '{asked.name}{asked.specifier}'")  # fmt: skip


def tried() -> Iterator[tuple[str, str]]:
    """(what was tried, why it failed or ""): each package imported, then a tiny net exported, in other processes."""
    names = [name for name in PACKAGES if installed(name)]
    failed = imported(names)
    yield from ((f"import {name}", why) for name, why in failed.items())
    for to, precision, needs in EXPORTS:
        if all(name in failed and not failed[name] for name in needs):
            done = in_process("-m", "reslab.ship.export.trial", to, precision)
            yield f"export a tiny net: {to} {precision}", "" if done.returncode == 0 else last_line(done.stderr)


EXPORTS = (
    ("openvino", "fp32", ("openvino",)),
    ("openvino", "int8", ("openvino", "nncf")),
    ("onnx", "fp32", ("onnx", "onnxscript", "onnxruntime")),
    ("onnx", "int8", ("onnx", "onnxscript", "onnxruntime", "nncf")),
)


def imported(names: list[str]) -> dict[str, str]:
    """Why each cannot be imported, or "". A package that ends the process is named, and the others are tried again."""
    found: dict[str, str] = {}
    while left := [name for name in names if name not in found]:
        done = in_process("-c", TRIAL, *left)
        lines = done.stdout.strip().splitlines()
        now = json.loads(lines[-1]) if lines else {}
        found |= now
        if len(now) < len(left):
            found[left[len(now)]] = f"importing it ends Python (exit code {done.returncode})"
    return found


def in_process(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)


def last_line(said: str) -> str:
    return (said.strip().splitlines() or ["it ended without a word"])[-1]


def numbers(version: str) -> Version:
    """2.13.0+cpu as (2, 13, 0)."""
    found = []
    for part in version.partition("+")[0].split("."):
        digits = "".join(c for c in part if c.isdigit())
        if not digits or not part[0].isdigit():
            break
        found.append(int(digits))
    return (*found, 0, 0)[: max(2, len(found))]


def text(version: Version) -> str:
    return ".".join(map(str, version))
