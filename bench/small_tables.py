"""Small tables: ours beside logistic or ridge regression, boosted trees, an MLP and the class shares.

Real tables of 100 to 1,000 rows that come with scikit-learn (its tests' copies of OpenML included) and plotly, and
samples of larger ones from ../shared/data (RESLAB_DATA names another place); those that are absent are skipped. Of each
table, --splits random splits with a quarter of the rows for testing, stratified by class. All models have their
defaults; linear models and the MLP read standardized numbers (missing ones imputed by the median) and one-hot
categories, and the MLP may train for 2,000 epochs. CPU seconds of fit and predict, on one thread.

python bench/small_tables.py [--splits 5] [--out FOLDER] [--models ours logistic trees mlp shares] [--tables NAME ...]

Resumable: each result is a line of FOLDER/results.jsonl, and finished ones are not measured again. Prints the tables of
docs/tables.md, and writes them to FOLDER/small-tables.md.
"""

import argparse
import csv
import gzip
import json
import os
import time
import warnings
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import torch
from scipy.stats import rankdata
from sklearn import datasets
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from reslab.run import processor
from reslab.statistics import bootstrap, mean, plus_minus, std
from reslab.tables import ResidualClassifier, ResidualRegressor

SHARED = Path(os.environ.get("RESLAB_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")) / "tables"
MODELS = ("ours", "logistic", "trees", "mlp", "shares")
NAMES = {"ours": "ours", "logistic": "logistic or ridge", "trees": "HistGradientBoosting", "mlp": "MLP",
         "shares": "class shares or mean"}  # fmt: skip
X_y = tuple[pd.DataFrame, pd.Series]


def bunch(load: Callable[..., Any]) -> X_y:
    found = load(as_frame=True)
    return found.data, found.target


def openml(number: int, target: str, *, rows: int | None = None, drop: Sequence[str] = ()) -> X_y:
    """A table of OpenML among scikit-learn's tests."""
    folder = files("sklearn.datasets").joinpath("tests", "data", "openml", f"id_{number}")
    (path,) = [one for one in folder.iterdir() if one.name.startswith("data-v1")]
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    names = [line.split()[1].strip("'\"") for line in lines if line.lower().startswith("@attribute")]
    start = next(k for k, line in enumerate(lines) if line.lower().startswith("@data"))
    body = [line for line in lines[start + 1 :] if line.strip() and not line.startswith("%")]
    mark = "'" if any("'" in line for line in body) and not any('"' in line for line in body) else '"'
    cells = [[None if one.strip() in ("?", "_", "") else one.strip() for one in row]
             for row in csv.reader(body, quotechar=mark, skipinitialspace=True)]  # fmt: skip
    frame = pd.DataFrame(cells, columns=names)
    for name in names:
        try:
            frame[name] = pd.to_numeric(frame[name])
        except ValueError:
            frame[name] = frame[name].astype(object)
    return sample(frame.drop(columns=list(drop)), target, rows)


def plotly(name: str, target: str) -> X_y:
    path = files("plotly").joinpath("package_data", "datasets", f"{name}.csv.gz")
    with path.open("rb") as file:
        return sample(pd.read_csv(file, compression="gzip"), target)


def shared(name: str, target: str, rows: int, *, only: str = "") -> X_y:
    frame = pd.read_parquet(SHARED / f"{name}.parquet")
    if only == "words":
        frame = pd.concat([frame.drop(columns=target).select_dtypes(exclude="number"), frame[target]], axis=1)
    return sample(frame, target, rows)


def sample(frame: pd.DataFrame, target: str, rows: int | None = None) -> X_y:
    frame = frame[frame[target].notna()]
    frame = frame if rows is None else frame.sample(rows, random_state=0)
    frame = frame.reset_index(drop=True)
    return frame.drop(columns=target), frame[target]


def digits() -> X_y:
    X, y = datasets.load_digits(return_X_y=True)
    frame = pd.DataFrame(X, columns=[f"pixel{k}" for k in range(64)])
    return sample(frame.assign(digit=y), "digit", 400)


TITANIC = ("name", "boat", "body", "ticket", "cabin", "home.dest")
CLASSES: dict[str, Callable[[], X_y]] = {
    "iris": lambda: bunch(datasets.load_iris),
    "wine": lambda: bunch(datasets.load_wine),
    "breast cancer": lambda: bunch(datasets.load_breast_cancer),
    "glass2": lambda: openml(40675, "class"),
    "zoo": lambda: openml(62, "type", drop=["animal"]),
    "penguins: sex": lambda: openml(42585, "sex"),
    "titanic (800)": lambda: openml(40945, "survived", rows=800, drop=TITANIC),
    "kr-vs-kp (300)": lambda: openml(3, "class", rows=300),
    "tips: smoker": lambda: plotly("tips", "smoker"),
    "digits (400)": digits,
    "adult (200)": lambda: shared("adult", "income", 200),
    "adult (1000)": lambda: shared("adult", "income", 1000),
    "adult, categories (300)": lambda: shared("adult", "income", 300, only="words"),
}
NUMBERS: dict[str, Callable[[], X_y]] = {
    "diabetes": lambda: bunch(datasets.load_diabetes),
    "cpu": lambda: openml(561, "class"),
    "tips: tip": lambda: plotly("tips", "tip"),
    "penguins: mass": lambda: openml(42585, "body_mass_g"),
    "california (300)": lambda: shared("california_housing", "MedHouseVal", 300),
    "california (1000)": lambda: shared("california_housing", "MedHouseVal", 1000),
}


def columns_of(frame: pd.DataFrame) -> tuple[list[str], list[str]]:
    numbers = list(frame.select_dtypes("number").columns)
    return numbers, [name for name in frame.columns if name not in numbers]


def scaled(frame: pd.DataFrame, model: Any) -> Any:
    numbers, words = columns_of(frame)
    hot = make_pipeline(SimpleImputer(strategy="constant", fill_value="?"), OneHotEncoder(handle_unknown="ignore"))
    read = ColumnTransformer(
        [("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers), ("words", hot, words)]
    )
    return make_pipeline(read, model)


def model_for(name: str, frame: pd.DataFrame, classes: bool, seed: int) -> Any:
    if name == "ours":
        return (ResidualClassifier if classes else ResidualRegressor)(random_state=seed, device="cpu")
    if name == "logistic":
        return scaled(frame, LogisticRegression(max_iter=5000) if classes else Ridge())
    if name == "trees":
        kind = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
        return kind(categorical_features="from_dtype", random_state=seed)
    if name == "mlp":
        return scaled(frame, (MLPClassifier if classes else MLPRegressor)(max_iter=2000, random_state=seed))
    return DummyClassifier(strategy="prior") if classes else DummyRegressor()


def prepared(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    _, words = columns_of(frame)
    if name == "ours":
        return frame
    frame = frame.astype(dict.fromkeys(words, object))
    frame[words] = frame[words].where(frame[words].notna(), "?").astype(str)
    return frame.astype(dict.fromkeys(words, "category")) if name == "trees" else frame


def measured(name: str, frame: pd.DataFrame, y: pd.Series, *, classes: bool, split: int) -> dict[str, Any]:
    X = prepared(name, frame)
    rows = train_test_split(np.arange(len(y)), test_size=0.25, random_state=split, stratify=y if classes else None)
    (X_train, X_test), (y_train, y_test) = ([one.iloc[part] for part in rows] for one in (X, y))
    began = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", UserWarning)
        model = model_for(name, X, classes, split).fit(X_train, y_train)
        out = model.predict_proba(X_test) if classes else model.predict(X_test)
    found: dict[str, Any] = {"seconds": time.process_time() - began}
    if classes:
        place = np.searchsorted(model.classes_, y_test.to_numpy())
        share = np.clip(out[np.arange(len(place)), place], 1e-15, 1)
        return {"score": float((out.argmax(1) == place).mean()), "loss": float(-np.log(share).mean()), **found}
    errors = y_test.to_numpy() - out
    spread = ((y_test - y_test.mean()) ** 2).sum()
    return {"score": float(1 - (errors**2).sum() / spread), "loss": float(np.sqrt((errors**2).mean())), **found}


def ranks(results: dict[tuple[str, str, int], dict[str, Any]], models: Sequence[str], tables: Sequence[str],
          splits: int, key: str) -> np.ndarray:  # fmt: skip
    """(tables, models): the mean over splits of each model's rank; 1 is best."""
    sign = -1 if key == "score" else 1
    each = [[[sign * round(results[table, model, k][key], 12) for model in models] for k in range(splits)]
            for table in tables]  # fmt: skip
    return rankdata(np.array(each), axis=2).mean(axis=1)


def cell(found: Sequence[dict[str, Any]], key: str) -> str:
    values = [one[key] for one in found]
    if key == "seconds":
        return f"{mean(values):.2g}" if mean(values) < 10 else f"{mean(values):.0f}"
    digits = 3 if mean(values) < 10 else 1
    return plus_minus(mean(values), std(values), digits=digits)


def page(results: dict[tuple[str, str, int], dict[str, Any]], sizes: dict[str, tuple[int, int]], models: Sequence[str],
         splits: int) -> str:  # fmt: skip
    whole = [table for table in sizes if all((table, model, k) in results for model in models for k in range(splits))]
    head = " | ".join(NAMES.get(model, model) for model in models)
    rule = "|---" * (len(models) + 2) + "|"
    lines = [f"{len(whole)} tables, {splits} splits each; {processor()}, one thread.", ""]
    for key, names, title in (
        ("loss", CLASSES, "log loss"), ("score", CLASSES, "accuracy"), ("loss", NUMBERS, "RMSE"),
        ("score", NUMBERS, "R²"), ("seconds", {**CLASSES, **NUMBERS}, "CPU seconds"),
    ):  # fmt: skip
        lines += [f"| {title} | rows, columns | {head} |", rule]
        for table in (one for one in names if one in whole):
            cells = [cell([results[table, model, k] for k in range(splits)], key) for model in models]
            lines.append(f"| {table} | {sizes[table][0]}, {sizes[table][1]} | {' | '.join(cells)} |")
        lines.append("")
    beside = [model for model in models if model != "shares"]
    lines += [f"| mean rank of {len(beside)} | " + " | ".join(NAMES.get(one, one) for one in beside) + " |",
              "|---" * (len(beside) + 1) + "|"]  # fmt: skip
    for title, names, key in (
        ("log loss or RMSE, all tables", {**CLASSES, **NUMBERS}, "loss"), ("log loss", CLASSES, "loss"),
        ("RMSE", NUMBERS, "loss"), ("accuracy or R², all tables", {**CLASSES, **NUMBERS}, "score"),
    ):  # fmt: skip
        some = [one for one in names if one in whole]
        if not some:
            continue
        found = ranks(results, beside, some, splits, key)
        around = bootstrap(
            lambda rows, found=found: dict(zip(beside, found[rows].mean(axis=0).tolist(), strict=True)), len(some)
        )
        cells = [f"{found[:, k].mean():.2f} ({around[one].low:.2f} to {around[one].high:.2f})"
                 for k, one in enumerate(beside)]  # fmt: skip
        lines.append(f"| {title} ({len(some)}) | {' | '.join(cells)} |")
    if {"ours", "shares"} <= set(models):
        above = [f"{table}, split {k}" for table in whole for k in range(splits)
                 if results[table, "ours", k]["loss"] > results[table, "shares", k]["loss"] + 1e-9]  # fmt: skip
        lines += ["", f"Ours above the class shares (or the mean): {', '.join(above) or 'never'}."]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("runs/small-tables"))
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--tables", nargs="+", choices=[*CLASSES, *NUMBERS])
    asked = parser.parse_args()
    torch.set_num_threads(1)
    asked.out.mkdir(parents=True, exist_ok=True)
    store, results = asked.out / "results.jsonl", {}
    for line in store.read_text().splitlines() if store.exists() else []:
        one = json.loads(line)
        results[one["table"], one["model"], one["split"]] = one
    sizes = {}
    for table, load in {**CLASSES, **NUMBERS}.items():
        if asked.tables and table not in asked.tables:
            continue
        try:
            X, y = load()
        except (FileNotFoundError, ModuleNotFoundError) as error:
            print(f"{table}: skipped ({error})", flush=True)
            continue
        sizes[table] = X.shape
        for model in asked.models:
            for split in range(asked.splits):
                if (table, model, split) in results:
                    continue
                found = measured(model, X, y, classes=table in CLASSES, split=split)
                results[table, model, split] = {"table": table, "model": model, "split": split, **found}
                with store.open("a") as file:
                    file.write(json.dumps(results[table, model, split]) + "\n")
                print(f"{table}, {model}, split {split}: {found}", flush=True)
    text = page(results, sizes, asked.models, asked.splits)
    (asked.out / "small-tables.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
