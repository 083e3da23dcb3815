"""What the files of a run say of it, for its card: true numbers of a held-out part alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reslab.run import Run
from reslab.ship.hub.private import name_only, without_paths
from reslab.ship.hub.record import Facts, Metric, task_of
from reslab.ship.record import Kind
from reslab.statistics import wilson
from reslab.tables.model import members_of

DONE, SLIM = "results/train.json", "results/slim.json"
OF_TABLES = {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "f1": "F1", "auc": "area under the ROC "
             "curve", "log_loss": "log loss", "rmse": "root mean squared error", "mae": "mean absolute error",
             "r2": "R squared"}  # fmt: skip
OF_LABELS = {"test_f1_micro": ("f1", "F1 of all decisions (%)"), "test_f1_macro": ("f1", "mean F1 of the labels (%)"),
             "test_mean_ap": ("mean_average_precision", "mean average precision (%)")}  # fmt: skip


def facts_of(run: Run, kind: Kind, spec: Mapping[str, Any], *, name: str, license: str) -> Facts:
    """The facts of a run; without a result, no number."""
    result = run.read_json(DONE) if run.has(DONE) else {}
    about = about_of(run)
    word = str(about.get("word") or about.get("name") or result.get("data") or "unknown data")
    data = without_paths(name_only(str(about.get("name") or word)))
    numbers, n = measured(result, kind)
    lines = [*made_of(about, result), *slimmed(run)]
    encoder = spec.get("encoder")
    on_hub = isinstance(encoder, str) and "/" in encoder and not Path(encoder).exists() and encoder[0] not in "/~."
    return Facts(
        kind=kind, name=name, task=task_of(kind, result.get("kind")), title=title(spec, result, data), data=data,
        hub_data=word.removeprefix("hf:") if word.startswith("hf:") and not Path(word[3:]).exists() else "",
        base=str(encoder) if on_hub else "", metrics=numbers, n=n, lines=lines, license=license,
        tags=["slimmed"] if slim_of(run) else [],
    )  # fmt: skip


def about_of(run: Run) -> dict[str, Any]:
    """The data.json of the run, or of the first net of several; {} if there is none."""
    first = members_of(run)[0]
    return first.read_json("data.json") if first.has("data.json") else {}


def title(spec: Mapping[str, Any], result: Mapping[str, Any], data: str) -> str:
    count = result.get("parameters")
    size = f" of {count:,} parameters" if isinstance(count, int) else ""
    return f"{spec.get('name') or result.get('net') or 'A net'}{size}, trained on {data} with reslab."


def measured(result: Mapping[str, Any], kind: Kind) -> tuple[list[Metric], int]:
    """The numbers of the held-out part, and how many examples they are of."""
    if kind == "images":
        return of_images(result)
    if kind == "questions":
        return of_questions(result)
    test = result.get("test") or {}
    ends = test.get("intervals") or {}
    found = [Metric(kind=key, name=words, value=test[key], low=ends.get(key, (None, None))[0],
                    high=ends.get(key, (None, None))[1])
             for key, words in OF_TABLES.items() if isinstance(test.get(key), int | float)]  # fmt: skip
    return found, int(test.get("n") or 0)


def of_images(result: Mapping[str, Any]) -> tuple[list[Metric], int]:
    error, n = result.get("test_error"), int(result.get("test_n") or 0)
    if error is None or not n:
        return [], 0
    if result.get("several"):
        found = [Metric(kind=kind, name=words, value=result[key])
                 for key, (kind, words) in OF_LABELS.items() if isinstance(result.get(key), int | float)]  # fmt: skip
        return [Metric(kind="accuracy", name="right labels (%)", value=100 - error), *found], n
    right = round((100 - error) * n / 100)
    around = wilson(right, n)
    found = [Metric(kind="accuracy", name="top-1 accuracy (%)", value=100 - error, low=100 * around.low,
                    high=100 * around.high)]  # fmt: skip
    if isinstance(balanced := result.get("test_balanced"), int | float):
        found.append(Metric(kind="balanced_accuracy", name="balanced accuracy (%)", value=100 - balanced))
    return found, n


def of_questions(result: Mapping[str, Any]) -> tuple[list[Metric], int]:
    exact, f1, n = result.get("exact"), result.get("f1"), int(result.get("test_n") or 0)
    if exact is None or f1 is None or not n:
        return [], 0
    around = wilson(round(exact * n / 100), n)
    matched = Metric(kind="exact_match", name="exact match (%)", value=exact, low=100 * around.low,
                     high=100 * around.high)  # fmt: skip
    return [matched, Metric(kind="f1", name="F1 of the words (%)", value=f1)], n


def made_of(about: Mapping[str, Any], result: Mapping[str, Any]) -> list[str]:
    """Sentences about the data and the training."""
    lines = []
    if text := about.get("about"):
        lines.append(f"Data: {without_paths(str(text))}")
    if mark := about.get("fingerprint"):
        lines.append(f"Fingerprint of the data: {str(mark)[:16]}.")
    if result.get("iterations") and result.get("batch"):
        seed = f", seed {result['seed']}" if result.get("seed") is not None else ""
        lines.append(f"Trained for {result['iterations']:,} steps of {result['batch']}{seed}.")
    if precision := (result.get("choice") or {}).get("precision"):
        lines.append(f"The numbers above were measured in {precision}.")
    fitted = (result.get("temperature") or {}).get("temperature")
    if fitted:
        lines.append(f"Its probabilities are calibrated with the temperature {fitted:.2f}.")
    return lines


def slim_of(run: Run) -> dict[str, Any] | None:
    """What `reslab slim` measured, if the run is the model that it delivered."""
    above = Run(run.folder.resolve().parent)
    return above.read_json(SLIM) if run.folder.resolve().name == "model" and above.has(SLIM) else None


def slimmed(run: Run) -> list[str]:
    """Sentences about what `reslab slim` removed and measured."""
    found = slim_of(run)
    if not found:
        return []
    before, after, n = found.get("before") or {}, found.get("after") or {}, len(found.get("removed") or ())
    lines = [f"Slimmed: {n} block{'s' * (n != 1)} removed, {before.get('params', 0):,} parameters before and "
             f"{after.get('params', 0):,} after."]  # fmt: skip
    timing = after.get("timing") or {}
    if found.get("speedup") and found.get("speedup_low") and found.get("speedup_high"):
        lines.append(f"{found['speedup']:.2f}x as fast as before (95 % interval {found['speedup_low']:.2f} to "
                     f"{found['speedup_high']:.2f}; batch {timing.get('batch')}, {timing.get('device')}, "
                     f"{timing.get('threads')} threads, {timing.get('precision')}).")  # fmt: skip
    return [*lines, *([f"The comparison: {without_paths(found['verdict'])}"] if found.get("verdict") else [])]
