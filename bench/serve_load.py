"""Load of a server: clients ask again and again; errors, latencies and the rate are printed.

    PYTHONPATH=src python bench/serve_load.py FOLDER [--photos DIR] [--clients 8] [--seconds 60] [--workers 1]
    PYTHONPATH=src python bench/serve_load.py --url http://127.0.0.1:8080 --model NAME [--photos DIR] ...

FOLDER: an exported model or a run, served here by a process of its own with its default options. Each client is a
thread with one kept connection that sends one request after another: an image file as the body, a question about a
text, or a row. Without --photos, images are JPEG files of random pixels. Then the same inputs are predicted in this
process, without HTTP, in lists of as many as there were clients (--no-compare leaves it out); the ratio of the rates is
the cost of HTTP. The clients run on the same machine and take their share of it; on Linux, CPU time per answer is
printed, too, which other work on the machine changes less.
"""

import argparse
import contextlib
import http.client
import io
import json
import os
import platform
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from PIL import Image

TEXT = "The lighthouse was built by Ada in 1901. It has 120 steps, and its lamp is seen from 20 miles. " * 4
JPEG = re.compile(r"\.jpe?g$", re.IGNORECASE)
Request = tuple[str, bytes, str]  # path, body, content type


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--url")
    parser.add_argument("--model")
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--no-compare", action="store_true")
    asked = parser.parse_args()
    with contextlib.ExitStack() as stack:
        url, pid = (asked.url, 0) if asked.url else stack.enter_context(served(asked.folder, asked.workers))
        about = get(url, f"/api/models/{asked.model or get(url, '/api/models')[0]['name']}")
        requests, inputs = made(about, asked.photos)
        model = f"{about['name']}: {about['kind']}, {about['engine']} {about['precision']}"
        load = f"{asked.clients} clients, {asked.seconds:g} s, {asked.workers} worker(s)"
        print(f"{platform.machine()}, {os.cpu_count()} cores; {model}; {load}")
        run(url, requests, clients=asked.clients, seconds=2)  # warm
        used = cpu(pid)
        found = run(url, requests, clients=asked.clients, seconds=asked.seconds)
        rate = shown(*found)
        print(f"CPU of the server: {1000 * (cpu(pid) - used) / max(1, len(found[0])):.2f} ms per answer")
    if asked.folder and not asked.no_compare:
        seconds = min(asked.seconds, 20)
        alone, used = in_process(asked.folder, about["kind"], inputs, many=asked.clients, seconds=seconds)
        print(f"in this process: {alone:.1f} per second, CPU {1000 * used:.2f} ms each; over HTTP {rate / alone:.2f}x")


@contextlib.contextmanager
def served(folder: Path, workers: int) -> Any:
    """The address of a server of this folder, and its process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "reslab", "serve", str(folder), "--port", str(port), "--workers", str(workers)]
    process = subprocess.Popen(command)
    try:
        for _ in range(600):
            with contextlib.suppress(OSError):
                if get(f"http://127.0.0.1:{port}", "/v2/health/ready"):
                    break
            if process.poll() is not None:
                sys.exit(f"the server ended with code {process.returncode}")
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}", process.pid
        start = time.perf_counter()
        process.send_signal(signal.SIGTERM)
        print(f"stopped with code {process.wait(60)} in {time.perf_counter() - start:.1f} s")
    finally:
        process.kill()


def cpu(pid: int) -> float:
    """CPU seconds of a process and those it started, so far; NaN if the system does not tell."""
    total = 0.0
    try:
        for path in Path("/proc").glob("[0-9]*/stat"):
            about = path.read_text().rpartition(")")[2].split()
            if pid and pid in (int(path.parent.name), int(about[1])):
                total += (int(about[11]) + int(about[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError):
        return float("nan")
    return total if pid and total else float("nan")


def get(url: str, path: str) -> Any:
    one = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    one.request("GET", path)
    return json.loads(one.getresponse().read())


def made(about: dict[str, Any], photos: Path | None) -> tuple[list[Request], list[Any]]:
    """Requests for a model, and what they hold."""
    base = f"/api/models/{about['name']}"
    if about["kind"] == "images":
        names = [] if photos is None else [path for path in sorted(photos.iterdir()) if JPEG.search(path.name)][:64]
        files = [path.read_bytes() for path in names] or jpegs(about)
        return [(f"{base}/images?top=5", data, "image/jpeg") for data in files], files
    if about["kind"] == "questions":
        asked = [{"question": f"Who built {what}?", "contexts": [TEXT]} for what in ("it", "the lighthouse")]
        return [(f"{base}/ask", json.dumps(one).encode(), "application/json") for one in asked], asked
    noise = np.random.default_rng(0)
    rows = [{field["name"]: value(field, noise) for field in about["fields"]} for _ in range(64)]
    return [(f"{base}/rows", json.dumps({"rows": [row]}).encode(), "application/json") for row in rows], rows


def jpegs(about: dict[str, Any]) -> list[bytes]:
    C, H, W = about["shape"]
    noise, found = np.random.default_rng(0), []
    for _ in range(64):
        small = Image.fromarray(noise.integers(0, 256, (8, 8, 3), dtype=np.uint8)).resize((W, H))
        file = io.BytesIO()
        (small.convert("L") if C == 1 else small).save(file, "JPEG", quality=90)
        found.append(file.getvalue())
    return found


def value(field: dict[str, Any], noise: np.random.Generator) -> Any:
    if field["kind"] == "number" and field["low"] is not None:
        return float(noise.uniform(field["low"], field["high"]))
    return str(noise.choice(field["values"])) if field["kind"] == "category" and field["values"] else None


def run(url: str, requests: list[Request], *, clients: int, seconds: float) -> tuple[list[float], Counter[str], float]:
    """Latencies in seconds of the answers 200, the other outcomes, and the seconds that it took."""
    times: list[float] = []
    errors: Counter[str] = Counter()
    begin = time.perf_counter()

    def client(number: int) -> None:
        one = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
        k = number
        while time.perf_counter() - begin < seconds:
            path, body, kind = requests[k % len(requests)]
            k += clients
            start = time.perf_counter()
            try:
                one.request("POST", path, body, {"Content-Type": kind})
                answer = one.getresponse()
                text = answer.read()
            except (OSError, http.client.HTTPException) as error:
                errors[type(error).__name__] += 1
                one.close()
                continue
            if answer.status == 200:
                times.append(time.perf_counter() - start)
            else:
                errors[f"{answer.status} {text[:100]!r}"] += 1
        one.close()

    threads = [threading.Thread(target=client, args=(k,)) for k in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times, errors, time.perf_counter() - begin


def shown(times: list[float], errors: Counter[str], seconds: float) -> float:
    """Print the outcome; the rate."""
    p50, p95, p99 = (1000 * float(q) for q in np.quantile(times, (0.5, 0.95, 0.99)))
    rate = len(times) / seconds
    print(f"{len(times)} answers, {errors.total()} errors; p50 {p50:.1f}, p95 {p95:.1f}, p99 {p99:.1f}, longest "
          f"{1000 * max(times):.1f} ms; {rate:.1f} per second")  # fmt: skip
    for what, count in errors.most_common(5):
        print(f"  {count}: {what}")
    return rate


def in_process(folder: Path, kind: str, inputs: list[Any], *, many: int, seconds: float) -> tuple[float, float]:
    """Inputs per second through `reslab.predict`, in lists of `many`, and CPU seconds for each."""
    import reslab

    model = reslab.predict(folder)

    def answer(some: list[Any]) -> None:
        if kind == "images":
            model(some)
        elif kind == "questions":
            for one in some:
                model.ask(one["question"], one["contexts"])
        else:
            for row in some:
                model.predict([row])

    lists = [[inputs[(k + i) % len(inputs)] for i in range(many)] for k in range(0, 8 * many, many)]
    answer(lists[0])
    done, begin, used = 0, time.perf_counter(), time.process_time()
    while (passed := time.perf_counter() - begin) < seconds:
        answer(lists[done // many % len(lists)])
        done += many
    return done / passed, (time.process_time() - used) / done


if __name__ == "__main__":
    main()
