"""The claim: `look` finds the residual connections of other people's architectures, and they add up.

Finds and certifies the residual connections of as many families of timm, torchvision and transformers as are
installed, with random weights, and looks for missed ones independently (compatibility_missed.py). Each architecture
runs in a process of its own with limits of time and memory, one after another; each result is one line of --log, so
that the script can be stopped and run again. `--table` prints the tables of docs/compatibility.md from the log.

    python bench/compatibility.py --log compatibility.jsonl [--only timm torchvision transformers] [--match vit]
    python bench/compatibility.py --log compatibility.jsonl --table
"""

import argparse
import contextlib
import json
import os
import re
import resource
import signal
import sys
import time
import traceback
import warnings
from collections import defaultdict
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch
from torch import nn

from compatibility_missed import suspects
from compatibility_models import LIBRARIES, Case
from compatibility_table import markdown
from reslab.look import certify, find


def examine(case: Case) -> dict[str, Any]:
    """Build one architecture, find and certify its residual connections, and look for missed ones."""
    torch.manual_seed(0)
    model, example, facts = case.build()
    model.eval()
    awaken(model)
    begin = time.process_time()
    merges = find(model, example)
    seconds = time.process_time() - begin
    certificate = certify(model, example, merges=merges)
    differences = [[d.relative for merge in certificate.merges if (d := getattr(merge, claim)) is not None]
                   for claim in ("sum", "stream")]  # fmt: skip
    kinds: dict[str, int] = defaultdict(int)
    for merge in merges:
        kinds[merge.kind] += 1
    return {
        **facts,
        "parameters": sum(p.numel() for p in model.parameters()),
        "found": len(merges),
        "found_on": merges.found_on,
        "kinds": dict(kinds),
        "sums": [merge.path for merge in merges.sums],
        "unreachable": sum(not merge.reachable for merge in merges),
        "sum": max(differences[0], default=None),
        "stream": max(differences[1], default=None),
        "failed": [f"{merge.index} {merge.module} ({merge.kind}): {merge.why}" for merge in certificate.failed],
        "unchecked": [f"{merge.index} {merge.module} ({merge.kind}): {merge.why}" for merge in certificate.unchecked],
        "notes": list(merges.notes),
        "suspects": suspects(model, example, merges),
        "find_seconds": round(seconds, 2),
    }


def awaken(model: nn.Module) -> None:
    """Give every constant parameter random values: a branch whose last gain starts at 0 would certify nothing."""
    with torch.no_grad():
        for p in model.parameters():
            if p.is_floating_point() and p.numel() and bool((p == p.flatten()[0]).all()):
                p.uniform_(-0.1, 0.1) if p.dim() > 1 or float(p.flatten()[0]) == 0 else p.uniform_(0.5, 1.5)


def limited(case: Case, *, seconds: int, memory: int) -> dict[str, Any]:
    """The result of `examine` in a child process; a failure is a result, too."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.close(read)
        try:
            warnings.simplefilter("ignore")
            used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (used + memory, used + memory))
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
            with (
                open(os.devnull, "w") as nothing,
                contextlib.redirect_stdout(nothing),
                contextlib.redirect_stderr(nothing),
            ):
                found = examine(case)
        except BaseException as error:  # whatever a stranger's model raises
            last = traceback.extract_tb(error.__traceback__)[-1]
            found = {"error": f"{type(error).__name__}: {str(error).splitlines()[0][:300] if str(error) else ''}",
                     "at": f"{Path(last.filename).name}:{last.lineno}"}  # fmt: skip
        os.write(write, json.dumps(found).encode())
        os._exit(0)
    os.close(write)
    text, end = b"", time.monotonic() + 5 * seconds  # the cores may be shared
    os.set_blocking(read, False)
    while time.monotonic() < end:
        with contextlib.suppress(BlockingIOError):
            chunk = os.read(read, 2**20)
            if not chunk:
                break
            text += chunk
            continue
        time.sleep(0.05)
    else:
        os.kill(child, signal.SIGKILL)
        text = b""
    os.close(read)
    _, status = os.waitpid(child, 0)
    stopped = status in (signal.SIGXCPU, signal.SIGKILL)
    reason = f"took more than {seconds} s" if stopped else f"the process ended with status {status}"
    return json.loads(text) if text else {"error": reason}


def warm_up() -> None:
    """Import here, once, what each process would import when it first finds residual connections on shapes."""
    layer = nn.TransformerEncoderLayer(8, 2, 8, batch_first=True).eval()
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(2), nn.GELU())
    certify(net.eval(), torch.randn(1, 3, 8, 8))
    suspects(layer, (x := torch.randn(1, 4, 8)), merges := find(layer, x))
    certify(layer, x, merges=merges)


def cases(only: list[str], match: str) -> Iterator[Case]:
    """The architectures of all libraries in turn, so that a run that is stopped has seen some of each."""
    for row in zip_longest(*(LIBRARIES[library]() for library in only)):
        yield from (case for case in row if case and re.search(match, case.name))


def load(log: Path) -> dict[str, dict[str, Any]]:
    """The latest line of each architecture."""
    lines = log.read_text().splitlines() if log.exists() else []
    return {row["key"]: row for row in map(json.loads, lines)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log", type=Path, default=Path("compatibility.jsonl"))
    parser.add_argument("--only", nargs="+", choices=list(LIBRARIES), default=list(LIBRARIES))
    parser.add_argument("--match", default="", help="a regular expression: only architectures whose name it finds")
    parser.add_argument("--again", choices=["errors", "exceptions", "all"], help="run these again")
    parser.add_argument("--seconds", type=int, default=120, help="limit of an architecture")
    parser.add_argument("--gigabytes", type=float, default=6, help="limit of an architecture's memory")
    parser.add_argument("--limit", type=int, help="stop after so many")
    parser.add_argument("--table", action="store_true")
    args = parser.parse_args()
    done = load(args.log)
    if args.table:
        print(markdown(list(done.values())))
        return
    torch.set_num_threads(1)
    warm_up()
    ran = 0
    for case in cases(args.only, args.match):
        row = done.get(case.key)
        if row and not runs_again(row, args.again):
            continue
        if args.limit is not None and ran >= args.limit:
            break
        ran += 1
        found = limited(case, seconds=args.seconds, memory=int(args.gigabytes * 2**30))
        row = {"key": case.key, "library": case.library, "family": case.family, "name": case.name, **found}
        with args.log.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(f"{case.key}: {row.get('error') or summary(row)}", flush=True)


def runs_again(row: dict[str, Any], which: str | None) -> bool:
    error = "error" in row
    exception = error or any(row[name] for name in ("failed", "unchecked", "suspects"))
    return {None: False, "errors": error, "exceptions": exception, "all": True}[which]


def summary(row: dict[str, Any]) -> str:
    words = [f"{row['found']} found"]
    words += [f"{name} {row[name]:.1e}" for name in ("sum", "stream") if row[name] is not None]
    words += [f"{len(row[name])} {name}" for name in ("failed", "unchecked", "suspects") if row[name]]
    return ", ".join(words)


if __name__ == "__main__":
    sys.exit(main())
