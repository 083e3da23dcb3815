"""The claims: an exported model predicts at >= 0.95x the rate of OpenVINO used by hand at the same precision, ResNet-50
at >= 7x of torchvision in eager torch, a slimmed and exported ResNet-56 at >= 12x of the intact one in eager torch
within 0.5 points; `reslab serve` answers 8 clients at >= 0.8x the rate in the process.

Everything that a user waits for is timed on both sides: JPEG decoding and resizing of photographs, tokenizing, encoding
of rows. All sides of a part take turns in one process with 2 threads; ratios are of the same round, their median and
range over the rounds. Both wall time and CPU seconds are shown; the claims are judged by wall time on an idle machine,
and by CPU seconds on a busy one, where wall time is the neighbors' and torch's threads are told not to spin. Nets have
random weights, on which speed does not depend, unless --slimmed names a run. Photographs of the shared folder, or noise
as JPEG files:
python bench/ship.py [--only resnet50-8 ...] [--quick] [--rounds 7] [--json FILE] [--slimmed RUN --intact RUN]
"""

import argparse
import io
import json
import logging
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

import reslab
import ship_by_hand
import ship_http
import ship_tables
import ship_texts
from reslab.run import processor

SHARED = Path(os.environ.get("RESLAB_SHARED", Path(__file__).parents[2] / "shared"))
PRECISIONS = ("fp32", "bf16", "int8")
HAND, EAGER, SLIM, HTTP, POINTS = 0.95, 7.0, 12.0, 0.8, 0.5  # the claims
PARTS = (
    "resnet50-1",
    "resnet50-8",
    "resnet56-1",
    "resnet56-8",
    "questions",
    "table-1",
    "table-1000",
    "http",
    "slimmed",
)
SAMPLES = 64  # for the proof, which random weights make meaningless
WAIT = "OMP_WAIT_POLICY"
LONG = 0.3  # seconds of a side in a round, at least: short work is repeated


@dataclass
class Options:
    threads: int
    rounds: int
    quick: bool
    folder: Path  # for what is exported
    slimmed: str = ""
    intact: str = ""


@dataclass
class Part:
    """Sides that do the same work; the first is the eager one."""

    title: str
    sides: dict[str, Callable[[], Any]]
    examples: int  # of one call
    unit: str
    claims: list[tuple[str, str, float]] = field(default_factory=list)  # (ours, theirs, ratio)
    notes: list[str] = field(default_factory=list)
    inside: dict[str, Callable[[], Any]] = field(default_factory=dict)  # what ours consists of


def export(word: str, options: Options, precision: str, name: str) -> Path:
    """An exported folder; the drop is not limited: random weights have no accuracy to lose."""
    from reslab.ship import export as exported  # type: ignore[attr-defined]

    out = options.folder / f"{name}-{precision}"
    if not out.exists():
        exported(
            word, out=out, to="openvino", precision=precision, max_drop=100, threads=options.threads, samples=SAMPLES
        )
    return out


def photographs(n: int) -> tuple[list[bytes], str]:
    """JPEG files of about 500 x 375 pixels."""
    found = sorted((SHARED / "data/photos/originals").rglob("*.JPEG"))[:n]
    if found:
        return [path.read_bytes() for path in found], "photographs"
    made = np.random.default_rng(0)
    return [jpeg(made.integers(0, 256, (47, 63, 3), dtype=np.uint8), (500, 375)) for _ in range(n)], "noise"


def small_images(n: int) -> tuple[list[bytes], str]:
    """JPEG files of 32 x 32 pixels."""
    made = np.random.default_rng(0)
    return [jpeg(made.integers(0, 256, (8, 8, 3), dtype=np.uint8), (32, 32)) for _ in range(n)], "noise"


def jpeg(pixels: np.ndarray, size: tuple[int, int]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).resize(size).save(file, "JPEG", quality=90)
    return file.getvalue()


def net_of(name: str) -> tuple[nn.Module, str, str, int]:
    """(net, its title, the word that is exported, side of its images)."""
    torch.manual_seed(0)
    if name == "resnet50":
        word = "net:resnet50_v1.5"
        net = reslab.model(word)
        try:
            from torchvision.models import resnet50
        except (ImportError, RuntimeError):
            return net.eval(), "ResNet-50 of torchvision's layout", word, 224
        theirs = resnet50()
        theirs.load_state_dict(dict(zip(theirs.state_dict(), net.state_dict().values(), strict=True)))
        return theirs.eval(), "torchvision's ResNet-50", word, 224
    return reslab.model("net:resnet56").eval(), "ResNet-56", "net:resnet56", 32


def images(name: str, batch: int, options: Options) -> Part:
    net, title, word, size = net_of(name)
    files, what = (photographs if size == 224 else small_images)(64 + batch)
    hand, missing = ship_by_hand.hand_sides(title, net, size=size, batch=batch, threads=options.threads,
                                            files=files[batch:], compiled=not options.quick)  # fmt: skip
    part = Part(f"{title}, batch {batch}, {what} as JPEG", {}, batch, "images", notes=missing)
    part.sides = {one: (lambda work=work: work(files[:batch])) for one, work in hand.items()}
    given = files[0] if batch == 1 else files[:batch]
    for precision in PRECISIONS:
        model = reslab.predict(export(word, options, precision, name), threads=options.threads)
        ours = f"reslab.predict, {precision}"
        part.sides[ours] = lambda model=model: model(given)
        part.claims.append((ours, f"OpenVINO, {precision}, by hand", HAND))
        inside(part, precision, model, files[:batch])
    if name == "resnet50":
        part.claims.append(("reslab.predict, int8", next(iter(hand)), EAGER))
    return part


def inside(part: Part, precision: str, model: Any, files: Sequence[bytes]) -> None:
    """The engine alone, and decoding alone, of an image predictor."""
    from reslab.images.inputs import source_of

    sources = [source_of(one) for one in files]
    pixels = np.stack([model.preprocess.read(one)[0] for one in sources])
    part.inside[f"{precision}: its engine alone"] = lambda: model.probabilities(pixels)
    part.inside.setdefault("decoding alone, one by one", lambda: [model.preprocess.read(one) for one in sources])


def questions(options: Options) -> Part:
    import transformers

    from qa import MINILM, peer_of, untrained
    from reslab.qa.data.questions import read_questions

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    data = SHARED / "data/qa/squad1/dev.json"
    if not data.exists():
        data = Path(__file__).parents[1] / "docs/examples/questions.json"
    read = read_questions(data)
    text = "\n\n".join(list(dict.fromkeys(one.context for one in read))[:6])
    asked = [one.question for one in read if one.context in text][::5][:4]
    run = options.folder / "reader"
    if not (run / "spec.json").exists():
        untrained(run, read, os.environ.get("RESLAB_MINILM"), 384)
    peer = peer_of(reslab.qa.load(run, precision="fp32"), run)
    tokenizer = transformers.AutoTokenizer.from_pretrained(run / "tokenizer")
    hand, missing = ship_texts.hand_sides(peer, tokenizer, length=384, threads=options.threads, asked=asked, text=text,
                                          compiled=not options.quick)  # fmt: skip
    title = f"MiniLM's size ({MINILM['num_hidden_layers']} layers), {len(asked)} questions, {len(text):,} characters"
    part = Part(title, {}, len(asked), "questions", notes=missing)
    part.sides = {one: (lambda work=work: work(asked)) for one, work in hand.items()}
    for precision in PRECISIONS:
        reader = reslab.predict(export(str(run), options, precision, "reader-out"), threads=options.threads)
        ours = f"reslab.predict, {precision}"
        part.sides[ours] = lambda reader=reader: [reader.ask(one, text, top=1) for one in asked]
        part.claims.append((ours, f"OpenVINO, {precision}, by hand", HAND))
    return part


def table(n: int, options: Options) -> Part:
    run = options.folder / "table"
    if not run.exists():
        ship_tables.trained(run)
    given = ship_tables.rows(n, seed=1)[0]
    model = reslab.tables.load(run, device="cpu")
    hand = ship_tables.in_openvino(model, options.threads, given)
    ours = reslab.predict(export(str(run), options, "fp32", "table-out"), threads=options.threads)
    part = Part(f"a table of 16 columns, {n} row{'s' * (n > 1)}", {}, n, "rows")
    part.sides = {"reslab.tables.load, torch, fp32": lambda: model.predict_proba(given),
                  "OpenVINO, fp32, by hand": lambda: hand(given),
                  "reslab.predict, fp32": lambda: ours.predict_proba(given)}  # fmt: skip
    part.claims = [("reslab.predict, fp32", "OpenVINO, fp32, by hand", HAND)]
    for name, side in list(part.sides.items())[1:]:
        if (far := float(np.abs(side() - part.sides["reslab.tables.load, torch, fp32"]()).max())) > 1e-4:
            raise SystemExit(f"{name} gives other probabilities: {far:.2g} apart")
    return part


def slimmed(options: Options) -> Part | None:
    """A slimmed run, exported, against the intact run in eager torch; on the images of the run's own test part."""
    if not (options.slimmed and options.intact):
        return None
    from reslab.images.data import load

    intact = reslab.load(options.intact)
    test = load(reslab.run.Run(options.intact).read_json("data.json")["word"]).test  # type: ignore[attr-defined]
    pixels = test.pixels.permute(0, 2, 3, 1).contiguous().numpy()
    labels, batch, normalize = test.labels.numpy(), 128, intact.preprocess.normalize
    part = Part("slimmed and exported, batch 128, decoded images", {}, batch, "images")

    @torch.inference_mode()
    def eager(some: np.ndarray) -> np.ndarray:
        return intact(normalize(torch.from_numpy(some).permute(0, 3, 1, 2))).numpy()

    part.sides = {"intact, eager, fp32": lambda: eager(pixels[:batch])}
    errors = {"intact, eager, fp32": wrong(eager, pixels, labels)}
    for precision in PRECISIONS:
        model = reslab.predict(export(options.slimmed, options, precision, "slimmed"), threads=options.threads)
        ours = f"slimmed, reslab.predict, {precision}"
        part.sides[ours] = lambda model=model: model.probabilities(pixels[:batch])
        errors[ours] = wrong(model.probabilities, pixels, labels)
    first = errors["intact, eager, fp32"]
    part.claims = [(name, "intact, eager, fp32", SLIM) for name, error in errors.items()
                   if name != "intact, eager, fp32" and error - first <= POINTS]  # fmt: skip
    for name, error in errors.items():
        part.notes.append(f"{name}: error {error:.2f} % of {len(labels):,} test images ({error - first:+.2f} points; "
                          f"claim: within {POINTS})")  # fmt: skip
    return part


def wrong(infer: Callable[[np.ndarray], np.ndarray], pixels: np.ndarray, labels: np.ndarray) -> float:
    said = np.concatenate([infer(pixels[k : k + 128]).argmax(axis=1) for k in range(0, len(pixels), 128)])
    return 100 * float((said != labels).mean())


def timed(sides: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[tuple[float, float]]]:
    """(seconds, CPU seconds) of one call of each side, in turn, after a round that does not count."""
    seen: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    repeats = dict.fromkeys(sides, 1)
    for number in range(rounds + 1):
        for name, work in sides.items():
            if not number:
                work()  # compiled, cached
            begin, cpu = time.perf_counter(), time.process_time()
            for _ in range(repeats[name]):
                work()
            took = time.perf_counter() - begin, time.process_time() - cpu
            if number:
                seen[name].append((took[0] / repeats[name], took[1] / repeats[name]))
            else:
                repeats[name] = max(1, round(LONG / max(took[1], 1e-4)))
    return seen


def ratio(a: list[tuple[float, float]], b: list[tuple[float, float]], which: int) -> tuple[float, float, float]:
    """How many times as fast the side b is as a: (median, lowest, highest) over rounds; which: wall or CPU seconds."""
    each = [one[which] / other[which] for one, other in zip(a, b, strict=True)]
    return statistics.median(each), min(each), max(each)


def report(part: Part, options: Options, busy: bool) -> dict[str, Any]:
    """Measure and print a part; what it found."""
    seen = timed(part.sides, options.rounds)
    first = next(iter(seen))
    print(f"\n{part.title}; n = {options.rounds} rounds")
    found: dict[str, Any] = {"title": part.title, "sides": {}, "claims": [], "notes": part.notes}
    for name, times in seen.items():
        wall, cpu = (statistics.median(one[k] for one in times) for k in (0, 1))
        ratios = [ratio(seen[first], times, k) for k in (0, 1)]
        found["sides"][name] = {"seconds": wall, "cpu": cpu, "wall_ratio": ratios[0], "cpu_ratio": ratios[1]}
        rate = f"{part.examples / wall:9.1f} {part.unit}/s"
        print(f"  {name:<38} {1000 * wall:9.2f} ms, CPU {1000 * cpu:9.2f} ms; {rate}; "
              + "; ".join(f"{what} {mid:.2f}x ({low:.2f} to {high:.2f})"
                          for what, (mid, low, high) in zip(("wall", "CPU"), ratios, strict=True)))  # fmt: skip
    for ours, theirs, wanted in part.claims:
        if theirs not in seen:
            continue
        mid, low, high = ratio(seen[theirs], seen[ours], int(busy))
        met = "met" if mid >= wanted else "NOT met"
        print(f"  claim: {ours} at >= {wanted:g}x of {theirs}: {mid:.2f}x ({low:.2f} to {high:.2f}), {met}")
        found["claims"].append({"ours": ours, "theirs": theirs, "wanted": wanted, "ratio": [mid, low, high]})
    if part.inside:
        for name, times in timed(part.inside, max(1, options.rounds // 2)).items():
            wall, cpu = (statistics.median(one[k] for one in times) for k in (0, 1))
            found["sides"][f"inside: {name}"] = {"seconds": wall, "cpu": cpu}
            print(f"    of which {name:<29} {1000 * wall:9.2f} ms, CPU {1000 * cpu:9.2f} ms")
    for note in part.notes:
        print(f"  {note}")
    return found


def over_http(options: Options, busy: bool) -> dict[str, Any]:
    """8 clients with ResNet-50, one photograph a request, against batches of 8 in this process."""
    _, title, word, _ = net_of("resnet50")
    files, what = photographs(64)
    folder = export(word, options, "int8", "resnet50")
    model = reslab.predict(folder, threads=options.threads)
    seconds, rounds = (5.0, 1) if options.quick else (20.0, 3)
    print(
        f"\n{title}, int8, over HTTP: 8 clients, {what} as JPEG, {seconds:g} s; in turn with the process, n = {rounds}"
    )
    rates, cpus, loads = [], [], []
    with ship_http.server(folder, options.threads) as (port, process):
        ship_http.load(port, process, files, clients=8, seconds=2)
        for _ in range(rounds):
            begin, cpu, count = time.perf_counter(), time.process_time(), 0
            while time.perf_counter() - begin < seconds:
                model(files[count % 56 : count % 56 + 8])
                count += 8
            own = time.perf_counter() - begin, time.process_time() - cpu
            one = ship_http.load(port, process, files, clients=8, seconds=seconds)
            loads.append(one)
            rates.append(one.images / one.seconds / (count / own[0]))
            cpus.append(one.images / one.cpu / (count / own[1]) if one.cpu else float("nan"))
            print(f"  in the process {count / own[0]:7.1f} images/s, {1000 * own[1] / count:6.2f} CPU ms each; HTTP "
                  f"{one.images / one.seconds:7.1f} images/s, {1000 * one.cpu / max(one.images, 1):6.2f} CPU ms each; "
                  f"{len(one.errors)} errors")  # fmt: skip
    each = sorted(latency for one in loads for latency in one.latencies)
    times = {f"p{share}": 1000 * ship_http.percentile(each, share / 100) for share in (50, 95, 99)}
    mid = statistics.median(rates)
    print(f"  {', '.join(f'{name} {value:.1f} ms' for name, value in times.items())} of {len(each)} requests")
    judged = statistics.median(cpus) if busy else mid
    print(
        f"  claim: HTTP at >= {HTTP}x of the process: {mid:.2f}x by wall time (the clients take CPU, too), "
        f"{statistics.median(cpus):.2f}x by the server's CPU seconds: {'met' if judged >= HTTP else 'NOT met'}"
    )
    return {"title": "http", "wall": rates, "cpu": cpus, **times, "errors": [e for one in loads for e in one.errors]}


def measured(name: str, options: Options, busy: bool) -> dict[str, Any] | None:
    if name == "http":
        return over_http(options, busy)
    net, _, number = name.partition("-")
    part: Part | None
    if net == "questions":
        part = questions(options)
    elif net == "slimmed":
        part = slimmed(options)
    elif net == "table":
        part = table(int(number), options)
    else:
        part = images(net, int(number), options)
    return None if part is None else report(part, options, busy)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--quick", action="store_true", help="two rounds, without torch.compile")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where exported folders are kept for the next time")
    parser.add_argument("--slimmed", default="", help="run of a slimmed ResNet-56, with --intact")
    parser.add_argument("--intact", default="", help="run of the intact one")
    parser.add_argument("--json", type=Path, help="write what was measured to this file")
    args = parser.parse_args()
    warnings.simplefilter("ignore")  # of converters
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    torch.set_num_threads(args.threads)
    busy = os.getloadavg()[0] > 1.5
    if busy and WAIT not in os.environ:  # torch's waiting threads would count as work; read when torch is imported
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, WAIT: "passive"})
    with tempfile.TemporaryDirectory() as place:
        options = Options(args.threads, args.rounds or (2 if args.quick else 7), args.quick, args.folder or Path(place),
                          args.slimmed, args.intact)  # fmt: skip
        judged = "CPU seconds, as the machine is busy" if busy else "wall time"
        print(f"{processor()}, {args.threads} threads, torch {torch.__version__}, load {os.getloadavg()[0]:.1f}; "
              f"claims are judged by {judged}")  # fmt: skip
        found = [one for name in args.only if (one := measured(name, options, busy)) is not None]
    if args.json:
        machine = {"processor": processor(), "threads": args.threads, "load": os.getloadavg()[0], "busy": busy}
        args.json.write_text(json.dumps({"machine": machine, "parts": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
