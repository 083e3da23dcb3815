"""norms.c, compiled for this processor when a training first needs it, in a second.

The compiler is `cc`, or what the environment says in CC. Nothing is kept: a library that another machine or user built
would have to be trusted, and may hold instructions that this processor lacks.
"""

import ctypes
import os
import shlex
import subprocess
import tempfile
from functools import cache
from importlib.resources import files
from pathlib import Path

import torch

SECONDS = 60  # that the compiler may take
TUNED: tuple[list[str], ...] = (["-march=native"], ["-mcpu=native"], [])  # the first that the compiler knows
NAMES = {torch.bfloat16: ["-DBF16"], torch.float32: []}


class NotBuiltError(Exception):
    """Why there is no library."""


@cache
def library(dtype: torch.dtype) -> ctypes.CDLL | str:
    """The functions of norms.c for numbers of this type, or why there are none."""
    try:
        with tempfile.TemporaryDirectory(prefix="reslab-") as place:
            return built(Path(place), NAMES[dtype])
    except NotBuiltError as error:
        return str(error)
    except OSError as error:  # no such folder, or one from which nothing may be run
        return f"the compiled BatchNorm could not be loaded: {error}"


def built(place: Path, how: list[str]) -> ctypes.CDLL:
    """Compile and load. Raises NotBuiltError, or OSError."""
    source, target = place / "norms.c", place / "norms.so"
    source.write_bytes(files("reslab.train.fusing").joinpath("norms.c").read_bytes())
    compiler = shlex.split(os.environ.get("CC") or "cc")
    said = ""
    for tuned in TUNED:
        words = [*compiler, "-O3", "-std=c11", *tuned, *how, "-shared", "-fPIC", "-o", str(target), str(source)]
        try:
            done = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS, check=False)
        except FileNotFoundError:
            raise NotBuiltError(f"there is no C compiler {compiler[0]!r}") from None
        except subprocess.TimeoutExpired:
            raise NotBuiltError(f"the C compiler took more than {SECONDS} s") from None
        if done.returncode == 0:
            return ctypes.CDLL(str(target))
        said = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[0]
    raise NotBuiltError(f"the C compiler failed: {said}")
