"""Compare nets on one table, each trained from several seeds, with scikit-learn's boosted trees as a baseline."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_matrix
from sklearn.decomposition import TruncatedSVD
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from reslab.errors import UsageError, arg, nearest
from reslab.progress import Progress, Rows, quiet
from reslab.run import Run, environment
from reslab.statistics import mean, std
from reslab.tables.data.table import Table
from reslab.tables.data.target import Target
from reslab.tables.metrics import MAIN, scores
from reslab.tables.net.spec import PRESETS
from reslab.tables.parts import Parts
from reslab.tables.reading import Reading, as_older, like_stored
from reslab.tables.train import TableData, load, parts_of, prepare, train, true_values
from reslab.tables.training import fit_recipe
from reslab.train.checkpoint import LAST
from reslab.train.folder import finished, pick_device
from reslab.train.recipe import IMAGES_ONLY, Recipe, change

NETS = ("gated", "gated-plain", "gated-block", "mlp", "resnet")
TREES = "trees"  # scikit-learn's HistGradientBoosting
TOPICS = 64  # numbers per text for the trees: truncated SVD of its tf-idf
MOST = 254  # largest number of values of a category for the trees
DONE = "results/compare-tables.json"


def compare(
    folder: Path | str, word: str, reading: Reading, recipe: Recipe, *, nets: Sequence[str] | None = None,
    seeds: int = 3, device: str = "auto", fitting: Mapping[str, Any] | None = None, rows: Rows = quiet,
    command: str = "",
) -> dict[str, Any]:  # fmt: skip
    """Train every net from every seed (which also splits the table); mean and standard deviation of the test scores.

    All nets use the same rows, columns, recipe and early stopping; the trees use the same rows and columns, and early
    stopping, too. Each net is trained in a separate folder; finished ones are not trained again. The result, also in
    results/compare-tables.json, is rewritten after each. nets: by default NETS, and trees if they can predict the
    target; fitting: the requested changes to the recipe "tables", whose other values then suit the number of rows, as
    for a net trained alone.

    Raises UsageError for an unknown net, before any is trained.
    """
    if seeds < 1 or (nets is not None and not nets):
        raise UsageError(f"need at least one net and one seed, got {len(nets or NETS)} and {seeds}")
    known = [*PRESETS, TREES]
    if strange := [net for net in nets or () if net not in known]:
        hint = nearest(strange[0], known) or f"; available: {', '.join(known)}"
        raise UsageError(f"no net named {strange[0]!r} to compare{hint}")
    out, place = Run(folder), pick_device(device)
    out.make()
    stored = out.read_json(DONE) if out.has(DONE) else {}
    reading = as_before(out, stored, reading)
    trees: dict[str, Any] = stored.get("trees", {})
    used = {key: value for key, value in asdict(recipe).items() if key not in IMAGES_ONLY}
    runs: dict[str, list[dict[str, Any]]] = {}
    for seed in range(seeds):
        cut = replace(reading, split=100 * seed)
        data = load(word, cut, recipe)
        if nets is None:
            nets = (*NETS, TREES) if one_answer(data.target) else NETS
        elif TREES in nets and not one_answer(data.target):
            raise UsageError(f"{TREES} predict one class or one number; leave them out of ", arg("nets"))
        if fitting is not None:
            train = len(data.frames["train"])
            held = len(data.frames["validation"]) if "validation" in data.frames else 0
            recipe = fit_recipe(recipe, fitting, train=train, rows=train + held, rule=cut.defaults)
            used |= {key: value for key, value in asdict(recipe).items() if key in used}
        for net in nets:
            if net == TREES:
                found = trees.get(str(seed)) or boosted(data, parts_of(data, cut), seed)
                trees[str(seed)] = found
            else:
                found = one(out, net, seed, word, cut, data, recipe, device, rows(f"{net}-s{seed}"))
            runs.setdefault(net, []).append(found)
            env = environment(str(place), torch.get_num_threads())
            out.write_json(DONE, {
                "nets": [row(name, each) for name, each in runs.items() if each], "main": MAIN[data.target.kind],
                "data": word, "reading": asdict(reading), "seeds": seeds, "recipe": used, "trees": trees,
                "env": env, "command": command,
            })  # fmt: skip
    return out.read_json(DONE)


def as_before(out: Run, stored: dict[str, Any], reading: Reading) -> Reading:
    """The reading as in the comparison in the folder, even if no net was finished there."""
    if "reading" in stored:
        return as_older(reading, stored["reading"])
    begun = sorted(out.folder.glob("*-s*/spec.json"))
    return like_stored(begun[0].parent, reading) if begun else reading


def one(
    out: Run, net: str, seed: int, word: str, reading: Reading, data: TableData, recipe: Recipe, device: str,
    progress: Progress,
) -> dict[str, Any]:  # fmt: skip
    """One net's test scores, parameters and seconds (process time on a CPU, otherwise wall time)."""
    folder = out.path(f"{net}-s{seed}")
    run = prepare(folder, word=word, reading=reading, data=data, preset=net, recipe=change(recipe, seed=seed))
    clock = "results/clock.json"
    if not finished(folder):
        on_cpu = pick_device(device).type == "cpu"
        began, now = (time.process_time(), time.process_time) if on_cpu else (time.perf_counter(), time.perf_counter)
        result = train(folder, data=data, device=device, progress=progress)
        run.write_json(clock, {"seconds": now() - began})
        run.path(LAST).unlink(missing_ok=True)
    else:
        result = train(folder)
    test = {key: value for key, value in result["test"].items() if isinstance(value, float)}
    spent = run.read_json(clock, "seconds")["seconds"] if run.has(clock) else result["seconds"]
    return {**test, "parameters": result["parameters"], "epochs": result["epochs"], "seconds": spent}


def one_answer(target: Target) -> bool:
    """Whether trees can predict the target: one class or one number."""
    return target.kind == "classes" or (target.kind == "numbers" and target.outputs == 1)


def boosted(data: TableData, parts: Parts, seed: int) -> dict[str, Any]:
    """The test scores of scikit-learn's HistGradientBoosting, stopped early by the validation rows if there are any.

    Without them, the number of trees is scikit-learn's default.
    """
    began = time.process_time()
    columns, categorical = features(parts, seed)
    y = {part: values if parts.target.kind == "classes" else values[:, 0] for part, values in parts.targets.items()}
    kind = HistGradientBoostingClassifier if parts.target.kind == "classes" else HistGradientBoostingRegressor
    aside = "validation" in y
    stop: dict[str, Any] = {"max_iter": 1000, "n_iter_no_change": 20} if aside else {}
    trees = kind(early_stopping=aside, categorical_features=categorical, random_state=seed, **stop)
    trees.fit(
        columns["train"], y["train"], **({"X_val": columns["validation"], "y_val": y["validation"]} if aside else {})
    )
    if parts.target.kind == "classes":
        predicted = trees.predict_proba(columns["test"])
    else:
        predicted = parts.target.unscaled(trees.predict(columns["test"])[:, None].astype(np.float64))
    found = scores(parts.target.kind, true_values(parts.target, data.values["test"], data.report), predicted)
    return {**found, "parameters": None, "epochs": None, "seconds": time.process_time() - began}


def features(parts: Parts, seed: int) -> tuple[dict[str, np.ndarray], list[int]]:
    """(per part (N, F): z-scores, category codes, TOPICS numbers per column of bags; indices of the categories)."""
    found: dict[str, list[np.ndarray]] = {part: [] for part in parts.tables}
    sizes = parts.tables["train"].sizes
    for part, table in parts.tables.items():
        if table.numbers is not None:
            found[part].append(table.numbers[:, :, 1].numpy())
        if table.codes is not None:
            found[part].append(np.minimum(table.codes.numpy(), MOST))
    for column, size in enumerate(sizes["bags"]):
        matrices = {part: matrix(table, column, size) for part, table in parts.tables.items()}
        svd = TruncatedSVD(min(TOPICS, size - 1), random_state=seed).fit(matrices["train"])
        for part, each in matrices.items():
            found[part].append(svd.transform(each))
    first = sizes["numbers"]
    categorical = list(range(first, first + len(sizes["categories"])))
    return {part: np.concatenate(each, axis=1).astype(np.float64) for part, each in found.items()}, categorical


def matrix(table: Table, column: int, size: int) -> csr_matrix:
    """One column of bags as a sparse matrix (N, size)."""
    assert table.bags is not None
    assert table.starts is not None
    assert table.ids is not None
    assert table.weights is not None
    place, starts = table.bags[:, column].numpy().astype(np.int64), table.starts.numpy()
    lengths = starts[place + 1] - starts[place]
    bounds = np.concatenate([[0], np.cumsum(lengths)])
    taken = np.repeat(starts[place] - bounds[:-1], lengths) + np.arange(bounds[-1])
    return csr_matrix((table.weights.numpy()[taken], table.ids.numpy()[taken], bounds), shape=(len(table), size))


def row(net: str, runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Mean, standard deviation and each seed's value of every score."""
    found: dict[str, Any] = {"net": net, "seeds": len(runs), "parameters": runs[0]["parameters"]}
    for key in runs[0]:
        values = [one[key] for one in runs if one.get(key) is not None]
        if key != "parameters" and values:
            found |= {
                key: mean(values),
                f"{key}_std": std(values),
                f"{key}_each": values,
            }
    return found
