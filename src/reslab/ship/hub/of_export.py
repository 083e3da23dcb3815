"""An exported folder as a folder of the Hub: its own files, with metadata on its card, and without private paths."""

import json
import shutil
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from reslab.ship.folder import CARD, CONFIG, LICENSE, PROOF, SUMS, listed, read_config, seal, verify
from reslab.ship.hub.card import front, slug
from reslab.ship.hub.private import cleaned, without_paths
from reslab.ship.hub.record import Facts, Metric, task_of
from reslab.ship.record import Config
from reslab.stored import ships
from reslab.stored.read import read_json
from reslab.stored.records import kind_of
from reslab.tables.coded import TARGET

SEEN = "has seen them"  # in the words of an export that was proved on images of the training
METRICS = {"accuracy": "accuracy", "exact match": "exact_match", "R squared": "r2"}  # unit of a score: the Hub's name
CLEANED = (CONFIG, PROOF)  # files of ours that may name places of this machine


def write_export(source: Path, folder: Path, *, name: str, license: str) -> list[str]:
    """Write the whole folder, sealed again; notes. Raises ReslabError for a damaged one: its checksums are compared."""
    verify(source, warn=False)  # the notes name what is left out
    config = read_config(source)
    names = list(listed(source))
    for one in names:
        (folder / one).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / one, folder / one)
    for one in (one for one in CLEANED if one in names):
        data = cleaned(json.loads((folder / one).read_bytes()))
        if one == CONFIG and license:
            data["license"] = license
        (folder / one).write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    text = (folder / CARD).read_text(encoding="utf-8") if CARD in names else f"# {name}\n"
    facts = facts_of(config, name, license, source, names)
    (folder / CARD).write_text(with_metadata(without_paths(text), facts), encoding="utf-8")
    if license and LICENSE in names:
        (folder / LICENSE).write_text(f"License of the weights: {license}\n", encoding="utf-8")
    seal(folder)
    extra = sorted(path.relative_to(source).as_posix() for path in source.rglob("*")
                   if path.is_file() and path.relative_to(source).as_posix() not in (*names, SUMS))  # fmt: skip
    return [f"left out, as {SUMS} does not list them: {', '.join(extra)}"] if extra else []


def with_metadata(text: str, facts: Facts) -> str:
    """The card with the Hub's metadata before it, in the place of those that it may have had."""
    if text.startswith("---\n") and (end := text.find("\n---\n", 3)) > 0:
        text = text[end + 5 :].lstrip("\n")
    return f"{front(facts)}\n{text}"


def measured(proof: Path) -> tuple[list[Metric], int, str]:
    """(the exported model's score, on how many examples, on which); none if unknown, or of data it was trained on."""
    if not proof.is_file():
        return [], 0, ""
    found = read_json(proof, ships.Proof)["proofs"][0]
    score, where = found["score"], without_paths(found["where"])
    if score is None or found["random"] or SEEN in where:
        return [], 0, ""
    unit = score["unit"]
    one = Metric(kind=METRICS.get(unit, slug(unit)), name=f"{unit} (%)", value=score["after"],
                 low=score["after_low"], high=score["after_high"])  # fmt: skip
    return [one], score["n"], where


def target_of(source: Path, names: Iterable[str]) -> str | None:
    """The kind of the target that an exported net for tables predicts; None for other nets."""
    file = next((one for one in names if PurePosixPath(one).name == TARGET), None)
    return str(read_json(source / file, kind_of(TARGET))["kind"]) if file else None


def facts_of(config: Config, name: str, license: str, source: Path, names: Iterable[str]) -> Facts:
    granted = license or (config.license if " " not in config.license.strip() else "")
    metrics, n, where = measured(source / PROOF)
    task = task_of(config.kind, target_of(source, names))
    return Facts(kind=config.kind, name=name, task=task, title=config.name, data=where, metrics=metrics, n=n, part="",
                 license=granted, tags=[config.engine, config.precision])  # fmt: skip
