"""The page of several runs side by side."""

from pathlib import Path

from reslab.report import words
from reslab.report.figures import charts
from reslab.report.folder import Facts, Run, read_run
from reslab.report.pages.images import headline


def page_of_many(folders: list[Path]) -> Facts:
    """What runs.html.j2 shows: the curves of several runs in one plot, and a table to compare them."""
    names = [folder.resolve().name for folder in folders]
    twice = len(set(names)) < len(names)
    labels = [f"{f.resolve().parent.name}/{n}" if twice else n for f, n in zip(folders, names, strict=True)]
    runs = [read_run(folder, label=label) for folder, label in zip(folders, labels, strict=True)]
    figure, results = overlay(runs), [headline(run) for run in runs]
    prints = {run.data["fingerprint"] for run in runs if run.data.get("fingerprint")}
    return {
        "template": "runs.html.j2",
        "title": f"{len(runs)} runs compared",
        "runs": runs,
        "results": results,
        "balanced": any(words.is_number(result.get("balanced")) for result in results),
        "figures": {figure["id"]: figure} if figure else {},
        "same_data": len(prints) < 2,
        "commands": [run.train["command"] for run in runs if run.train.get("command")],
    }


def overlay(runs: list[Run]) -> Facts | None:
    """Every run's training (thin) and test (bold) error in one plot."""
    lines = [(r, r.points("train", "error"), r.points("eval", "error", part="test")) for r in runs]
    lines = [found for found in lines if found[1] or found[2]]
    if not lines:
        return None
    data, said = [], []
    for rank, (run, train, test) in enumerate(lines):
        color, dash = f"@hue{rank % charts.HUES}", ("solid", "dash", "dot")[rank // charts.HUES % 3]
        for part, points, width in (("training", train, 1), ("test", test, 2.6)):
            if points:
                trace = charts.line(run.label, points, color, width=width, dash=dash)
                hover = trace["hovertemplate"].replace("fullData.name", "meta")
                legend = {"legendgroup": run.label, "showlegend": part == "test" or not test}
                data.append(trace | legend | {"meta": f"{run.label}, {part}", "hovertemplate": hover})
        said.append(f"{run.label} ends at {words.percent((test or train)[-1][1])}")
    top = charts.ceiling([points for _, *both in lines for points in both if points])
    axes = {"xaxis": charts.ITERATION, "yaxis": {"range": [0, top]}}
    plot = charts.plot("error (%)", data, height=420, key="iteration", showlegend=True, **axes)
    caption = "Error by iteration. Thin: training; bold: test. Click a name to hide a run."
    return charts.figure("overlay", [plot], alt=f"Curves of error: {'; '.join(said)}.", caption=caption)
