"""The page of one run on images."""

from pathlib import Path
from typing import Any

from reslab.report import words
from reslab.report.figures import charts, classes, per_class, scores
from reslab.report.figures.reliability import reliability
from reslab.report.folder import Facts, Points, Run, facts, read_run
from reslab.report.pages import pictures
from reslab.report.pages.samples import samples


def page(folder: Path) -> Facts:
    """What run.html.j2 shows."""
    run = read_run(folder)
    shown = pictures.pictures(run)
    figures = [_errors(run), losses(run), classes.by_class(run), classes.confusion(run), calibration(run), choice(run)]
    return {
        "template": "run.html.j2",
        "title": run.train.get("net") or run.spec.get("name") or run.label,
        "run": run,
        "result": headline(run),
        "choice": {key: value for key, value in chosen(run).items() if value not in (None, {})},
        "figures": {f["id"]: f for f in figures if f},
        "unequal": _unequal(run),
        "per_class": per_class.table(run),
        "pictures": shown,
        "shown": {one["id"] for one in shown.get("cells", [])},
        "duplicates": pictures.duplicates(run),
        "samples": samples(run),
        "mistakes": classes.mistakes(run),
        "skipped": _skipped(run),
        "resumed": [e.get("iteration") for e in run.named("resume")],
        "measured_in": measured_in(chosen(run)),
        "ended": ended(run),
        "others": run.others,
        "looked": (folder / "look.html").is_file(),
        "commands": [f["command"] for f in (run.train, run.evaluation, *run.others) if f.get("command")],
    }


def headline(run: Run) -> Facts:
    """The headline: an evaluation if there is one (it has an interval), else the end of training or the last so far."""
    seen, main = run.evaluation, run.train.get("main")
    if main:  # of a table: the best net, evaluated once
        test = facts(run.train.get("test"))
        return {"score": scores.name_of(main), "text": scores.text(main, test.get(main)), "n": test.get("n"),
                "how": scores.interval(main, facts(test.get("intervals")).get(main)), "done": True}  # fmt: skip
    if words.is_number(seen.get("error")):
        interval = {"low": seen.get("error_low"), "high": seen.get("error_high")}
        norms = ", precise BN" if seen.get("precise_bn") else ""
        how = f"evaluated{measured_in(seen)}, {seen.get('views', 'single view')}{norms}"
        return {"error": seen["error"], "n": seen.get("n"), "how": how, "done": True, **balance(run)} | interval
    if words.is_number(run.train.get("test_error")):
        return {
            "error": run.train["test_error"],
            "n": run.train.get("test_n"),
            "how": f"{ended(run)}{measured_in(chosen(run))}",
            "done": True,
            **balance(run),
        }
    last = run.points("eval", "error", part="test")[-1:]
    return {"error": last[0][1] if last else None, "how": "so far", "done": bool(run.train)}


def ended(run: Run) -> str:
    """Which net the training ended with: the last, or the one with the best validation."""
    kept = run.train.get("kept_iteration")
    return f"best by validation, iteration {kept:,}" if words.is_number(kept) else "last epoch"


def balance(run: Run) -> Facts:
    """The balanced error, and the error of always predicting the most frequent class, as far as they are stored."""
    seen, ended = run.evaluation, run.train
    if words.is_number(seen.get("balanced")):
        return {"balanced": seen["balanced"], "majority": seen.get("majority")}
    return {"balanced": ended.get("test_balanced"), "majority": ended.get("test_majority")}


def _unequal(run: Run) -> str:
    """The balanced error in a sentence, where the classes are very unequal."""
    found = balance(run)
    return words.unequal(found["balanced"], found["majority"], len(run.data.get("classes") or ()))


def calibration(run: Run) -> Facts | None:
    """How often predictions of each confidence are right, before and after they were calibrated."""
    stored = run.pictures or run.train
    temperature = facts(run.train.get("temperature")).get("temperature")
    how = ""
    if words.is_number(temperature):
        chose = ", which also chose the net" if words.is_number(run.train.get("kept_iteration")) else ""
        how = f" Calibrated by a temperature of {temperature:.2f}, fitted on the validation part{chose}."
    right = "are right"
    noun = "labels" if run.pictures.get("several") else "images"
    return reliability(facts(stored.get("reliability")), noun=noun, right=right,
                       before=facts(stored.get("reliability_before")), how=how)  # fmt: skip


def measured_in(found: Facts) -> str:
    """` in bf16`: errors differ slightly between precisions."""
    return f" in {found['precision']}" if found.get("precision") else ""


def _skipped(run: Run) -> dict[str, Any]:
    """Images that could not be read, with the reason if one was logged."""
    found = dict.fromkeys(map(str, run.train.get("skipped") or []))
    return found | {str(e.get("name")): e.get("reason") for e in run.named("skipped")}


def _lr_drops(run: Run) -> list[Any]:
    """Iterations at which the learning rate changed, from the log and from the result."""
    found = [*(e.get("iteration") for e in run.named("lr")), *(run.train.get("drops") or [])]
    return sorted({x for x in found if words.is_number(x)})


def _errors(run: Run) -> Facts | None:
    """Curves of the error: training thin, test bold, validation dashed."""
    parts: dict[str, tuple[Points, Facts]] = {
        "training": (run.points("train", "error"), {"width": 1.1}),
        "validation": (run.points("eval", "error", part="validation"), {"width": 1.8, "dash": "dash"}),
        "test": (run.points("eval", "error", part="test"), {"width": 2.6}),
    }
    parts = {name: part for name, part in parts.items() if part[0]}
    if not parts:
        return None
    colors = {"training": "@residual0", "validation": "@other1", "test": "@residual3"}
    top = charts.ceiling([points for points, _ in parts.values()])
    data = [charts.line(name, points, colors[name], **look) for name, (points, look) in parts.items()]
    ends = [(name, points[-1][1], colors[name]) for name, (points, _) in parts.items()]
    drops = _lr_drops(run)
    axes = {"xaxis": charts.ITERATION, "yaxis": {"range": [0, top]}}
    labels = charts.end_labels(ends, top=top, height=380)
    more = {"shapes": charts.drops(drops), "annotations": labels, "margin": charts.room(labels)}
    plot = charts.plot("error (%)", data, height=380, key="iteration", **axes, **more)
    caption = "Error by iteration. Thin: training (batches as trained); bold: test."
    caption += f" Dotted: the learning rate changes, at iteration {words.listed(drops)}." if drops else ""
    alt = "; ".join(f"{name} ends at {words.percent(points[-1][1])}" for name, (points, _) in parts.items())
    return charts.figure("errors", [plot], alt=f"Curves of error by iteration: {alt}.", caption=caption)


def losses(run: Run) -> Facts | None:
    """Loss and learning rate, side by side."""
    losses = {"training": run.points("train", "loss"), "test": run.points("eval", "loss", part="test")}
    losses = {name: points for name, points in losses.items() if points}
    rates = run.points("train", "lr")
    plots, said, cut = [], [], ""
    if losses:
        looks = {"training": ("@residual0", 1.1), "test": ("@residual3", 2.6)}
        data = [charts.line(n, p, looks[n][0], width=looks[n][1], unit="") for n, p in losses.items()]
        top = charts.ceiling(list(losses.values()))
        cut = charts.cut_off(list(losses.values()), top)
        ends = [(name, points[-1][1], looks[name][0]) for name, points in losses.items()]
        labels = charts.end_labels(ends, top=top, height=280)
        more: Facts = {"annotations": labels, "margin": charts.room(labels)}
        more |= {"shapes": charts.drops(_lr_drops(run)), "xaxis": charts.ITERATION, "yaxis": {"range": [0, top]}}
        plots.append(charts.plot("loss", data, height=280, key="iteration", **more))
        said += [f"{name} loss ends at {words.number(points[-1][1])}" for name, points in losses.items()]
    if rates:
        data = [charts.line("learning rate", rates, "@ink", width=1.6, unit="", shape="hv")]
        yaxis = (
            {"type": "log", "dtick": 1, "exponentformat": "power"}
            if all(words.is_number(y) and y > 0 for _, y in rates)
            else {}
        )
        plots.append(
            charts.plot("learning rate", data, height=280, key="iteration", xaxis=charts.ITERATION, yaxis=yaxis)
        )
        said.append(f"learning rate goes from {words.number(rates[0][1])} to {words.number(rates[-1][1])}")
    alt = f"Curves by iteration: {'; '.join(said)}."
    caption = f"Loss and learning rate by iteration.{cut}"
    return charts.figure("losses", plots, alt=alt, caption=caption) if plots else None


def chosen(run: Run) -> Facts:
    """The precision and memory format of a run, from its result or, before it is finished, its log."""
    logged = next(({k: v for k, v in e.items() if k not in ("event", "iteration")} for e in run.named("choice")), {})
    stored = run.train.get("choice")
    return stored if isinstance(stored, dict) else logged


def choice(run: Run) -> Facts | None:
    """The time per step in each precision and memory format that was tried; None if there was nothing to compare."""
    found = chosen(run)
    tried = found.get("milliseconds")
    if not isinstance(tried, dict) or len(tried) < 2:
        return None
    slow_first = sorted(tried.items(), key=lambda item: -item[1])
    taken = " ".join(str(found[key]) for key in ("precision", "memory_format") if found.get(key))
    taken = taken if taken in tried else slow_first[-1][0]
    bars = {
        "type": "bar", "orientation": "h", "name": "ms/step",
        "y": [name for name, _ in slow_first], "x": [charts.finite(ms) for _, ms in slow_first],
        "marker": {"color": ["@residual2" if name == taken else "@rule" for name, _ in slow_first]},
        "texttemplate": "%{x:,.3~r} ms", "textposition": "outside", "cliponaxis": False,
        "hovertemplate": "<b>%{y}</b><br>%{x:,.4~r} ms/step<extra></extra>",
    }  # fmt: skip
    way = words.plain([found[k] for k in ("precision", "memory_format") if found.get(k)])
    way += "".join(f", {word}" for key, word in (("fused", "fused"), ("compile", "compiled")) if found.get(key))
    more: Facts = {"yaxis": {"type": "category", "showgrid": False}, "xaxis": {"visible": False}, "bargap": 0.35}
    size: Facts = {"height": 60 + 34 * len(tried), "margin": {"l": 8, "r": 64, "b": 8}}
    plot = charts.plot("ms/step", [bars], key="way", **size, **more)
    alt = "Time per step: " + "; ".join(f"{name} {words.number(ms)} ms" for name, ms in slow_first[::-1])
    what = "Precisions and memory formats"
    if len({name.removesuffix(" compiled").removesuffix(" fused") for name in tried}) == 1:
        what = "The net with and without compiling"
        if not any(name.endswith(" compiled") for name in tried):
            what = "The net with and without fused layers"
    caption = f"{what} timed before training; chosen: {way or slow_first[-1][0]}."
    return charts.figure("choice", [plot], alt=f"{alt}.", caption=caption)
