"""`reslab serve` under load, for bench/ship.py: several clients, each with one open connection."""

import http.client
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

BORDER = "reslab-bench"


@dataclass(frozen=True)
class Load:
    """What clients saw, and CPU seconds of the server."""

    images: int
    seconds: float
    cpu: float  # of the server's processes; 0 where the system does not tell
    latencies: list[float]  # seconds, of each request
    errors: list[str]


@contextmanager
def server(folder: Path, threads: int) -> Iterator[tuple[int, int]]:
    """(port, process) of a server of one model."""
    words = [sys.executable, "-m", "reslab", "serve", f"net={folder}", "--port", "0", "--threads", str(threads)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if found := re.search(r"http://127\.0\.0\.1:(\d+)", line):
                threading.Thread(target=process.stdout.read, daemon=True).start()
                wait(int(found[1]))
                yield int(found[1]), process.pid
                return
        raise SystemExit(f"the server did not start: exit code {process.wait()}")
    finally:
        process.terminate()
        process.wait(30)


def wait(port: int, seconds: float = 60) -> None:
    """Until the server is ready."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            asked = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            asked.request("GET", "/v2/health/ready")
            if asked.getresponse().status == 200:
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise SystemExit("the server was not ready within a minute")


def body(data: bytes) -> bytes:
    head = f'--{BORDER}\r\nContent-Disposition: form-data; name="files"; filename="a.jpg"\r\n\r\n'
    return head.encode() + data + f"\r\n--{BORDER}--\r\n".encode()


def load(port: int, process: int, files: Sequence[bytes], *, clients: int, seconds: float) -> Load:
    """Each client sends one image after another, for so long."""
    bodies = [body(one) for one in files]
    latencies, errors, end = list[float](), list[str](), time.monotonic() + seconds
    head = {"Content-Type": f"multipart/form-data; boundary={BORDER}"}

    def client(number: int) -> None:
        asked = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        k = number
        while time.monotonic() < end:
            begin = time.perf_counter()
            asked.request("POST", "/api/models/net/images?top=1", bodies[k % len(bodies)], head)
            reply = asked.getresponse()
            text = reply.read()
            if reply.status != 200 or not json.loads(text)["predictions"]:
                errors.append(f"{reply.status}: {text[:200]!r}")
            latencies.append(time.perf_counter() - begin)
            k += clients

    before, begin = cpu_of(process), time.perf_counter()
    each = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for one in each:
        one.start()
    for one in each:
        one.join()
    took = time.perf_counter() - begin
    return Load(len(latencies), took, cpu_of(process) - before, sorted(latencies), errors)


def cpu_of(process: int) -> float:
    """CPU seconds of a process and its children, as Linux tells."""
    total = 0.0
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            _, _, rest = entry.read_text().rpartition(")")
        except OSError:
            continue
        fields = rest.split()
        if int(entry.parent.name) == process or int(fields[1]) == process:
            total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def percentile(values: Sequence[float], share: float) -> float:
    return values[min(len(values) - 1, int(share * len(values)))]
