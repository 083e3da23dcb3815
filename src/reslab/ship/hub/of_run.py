"""A run folder as a folder of the Hub: its spec as config.json, its weights as model.safetensors, what predicts beside.

What a training needs alone, and what names places of this machine, is left out.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from reslab.errors import UsageError
from reslab.nets.checkpoints import read_state
from reslab.nets.specs import FAMILIES
from reslab.run import MEMBERS, Run
from reslab.ship.hub.private import cleaned, name_only, without_paths
from reslab.ship.record import Kind
from reslab.stored.digest import sealed_tensors
from reslab.stored.published import CONFIG, FORMAT, MARK
from reslab.stored.read import COMMENT
from reslab.stored.write import write_aside
from reslab.tables.model import members_of
from reslab.train.checkpoint import as_file
from reslab.version import __version__

DONE, WEIGHTS, TEXTS = "results/train.json", "weights.safetensors", "text-encoder"
FILES: dict[Kind, tuple[str, ...]] = {  # beside spec and weights, where they are there
    "images": ("data.json", "normalize.json", DONE),
    "questions": ("data.json", "qa.json", DONE),
    "tables": ("data.json", "encoder.json", "target.json", "calibration.json", DONE),
}
FOLDERS = ("tokenizer", "encoder")  # of questions, written by other libraries
LEFT = ("command", "start")  # keys that say how this machine made it


def run_named(folder: Path) -> Run:
    """The run of a folder: itself, or the model that `reslab slim` delivered in it. Raises UsageError for no run."""
    for run in (Run(folder), Run(folder / "model")):
        if run.has("spec.json") or run.has(MEMBERS):
            return run
    if not folder.exists():
        raise UsageError(f"{folder}: no such run folder or exported folder")
    raise UsageError(f"{folder} is neither a run folder (no spec.json) nor an exported folder (no config.json)")


def kind_of(run: Run) -> Kind:
    """What the net of a run is for. Raises UsageError for nets that a folder of the Hub cannot hold."""
    if run.has(MEMBERS):
        return "tables"
    spec = run.read_json("spec.json")
    use = FAMILIES.get(str(spec.get("family")), "images")
    if use == "texts":
        there = run.path("model")
        raise UsageError(f"{run.folder} holds a language model, and {there} in it is a Hugging Face folder already; "
                         f"`hf upload OWNER/NAME {there}` publishes it")  # fmt: skip
    file = str(spec.get("word", "")).rpartition(":")[0]
    if spec.get("family") == "model" and file.endswith(".py"):
        raise UsageError(f"{run.folder} holds a net that your file {Path(file).name} builds, and code is not "
                         f"published; `reslab export {run.folder}` makes a folder that needs none")  # fmt: skip
    return {"questions": "questions", "tables": "tables"}.get(use, "images")  # type: ignore[return-value]


def write_run(run: Run, kind: Kind, folder: Path) -> None:
    """Write everything but the card. Raises ReslabError for missing or damaged files of the run."""
    if not run.has(MEMBERS):
        write_one(run, kind, Run(folder), folder)
        return
    members = members_of(run)
    for k, member in enumerate(members):
        write_one(member, kind, Run(folder / f"s{k}"), folder)
    out = Run(folder)
    for name in ("calibration.json", DONE):
        copy_json(run, name, out)
    out.write_json(MEMBERS, {"members": [f"s{k}" for k in range(len(members))]})
    out.write_json(CONFIG, {MARK: FORMAT, "reslab": __version__, "kind": kind, "members": len(members)})


def write_one(run: Run, kind: Kind, out: Run, root: Path) -> None:
    """One net: config, weights, and the family's files. `root`: the whole folder, of which it may be a part."""
    spec = public_spec(run.read_json("spec.json"))
    out.make()
    for name in FILES[kind]:
        copy_json(run, name, out)
    write_recipe(run, out)
    if kind == "questions":
        for part in FOLDERS:
            copy_library(run, part, out)
    if kind == "tables":
        write_aside(out.path("encoder.safetensors"), copying(run.path("encoder.safetensors")))
        bring_texts(run, out, root)
    inside = json.dumps(spec)
    state = read_state(run.path(WEIGHTS))
    write_aside(out.folder / "model.safetensors", sealed_tensors(as_file(state, {"format": "pt", "reslab": inside})))
    config = {MARK: FORMAT, "reslab": __version__, "kind": kind, "family": spec.pop("family", None), "spec": spec}
    out.write_json(CONFIG, config)
    if not any((results := out.folder / "results").iterdir()):
        results.rmdir()


def public_spec(spec: dict[str, Any]) -> dict[str, Any]:
    """The spec without places of this machine: an encoder, or a net of a Hugging Face folder, by its name."""
    found = dict(spec)
    for key in ("encoder", "word"):
        if isinstance(word := found.get(key), str):
            first, colon, rest = word.partition(":") if key == "word" else ("", "", word)
            found[key] = f"{first}{colon}{shared(rest)}"
    return found


def shared(word: str) -> str:
    """A name on the Hub as it is; a path as its last part, and for .../NAME/model, as packages have it, NAME."""
    path = Path(word)
    if not path.is_absolute() and not path.exists() and not word.startswith((".", "~")):
        return word
    path = path.parent if path.name == "model" and path.parent.name else path
    return path.name or "encoder"


def copy_json(run: Run, name: str, out: Run) -> None:
    """A file of the run without paths, with a new digest."""
    if not run.has(name):
        return
    data = run.read_json(name)
    if name == "data.json":
        data = public_data(data)
    kept = {key: value for key, value in cleaned(data).items() if key not in LEFT}
    if name == DONE:
        kept.pop("folder", None)
        for member in kept.get("members") or ():
            if isinstance(member, dict):
                member.pop("folder", None)
    out.write_json(name, kept)


def public_data(data: Mapping[str, Any]) -> dict[str, Any]:
    """data.json with names in the place of paths."""
    found = {key: value for key, value in data.items() if key not in LEFT}
    for key in ("word", "name"):
        if isinstance(found.get(key), str):
            found[key] = name_only(found[key])
    for part, key in (("options", "root"), ("reading", "test_word"), ("reading", "text")):
        if isinstance(found.get(part), dict) and isinstance(value := found[part].get(key), str):
            found[part] = {**found[part], key: name_only(value)}
    return found


def write_recipe(run: Run, out: Run) -> None:
    """The recipe without its comments, which hold the command; its digest counts values alone."""
    if not run.has("recipe.toml"):
        return
    lines = run.path("recipe.toml").read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if not line.startswith("#") or line.startswith(COMMENT)]
    if any(without_paths(line) != line for line in kept):
        return  # a value is a path: it belongs to this machine
    out.write_text("recipe.toml", "\n".join(kept) + "\n")


def copy_library(run: Run, part: str, out: Run) -> None:
    """A tokenizer or an encoder's shape as another library wrote it, without paths, with new digests."""
    from reslab.qa.settings import DIGESTS, check_seal, seal

    source = run.path(part)
    if not source.is_dir():
        return
    check_seal(run, part)
    out.path(part).mkdir(parents=True, exist_ok=True)
    for path in sorted(source.glob("*.json")):
        if path.name != DIGESTS:
            copy_file(path, out.path(part))
    seal(out, part)


def copy_file(path: Path, folder: Path) -> None:
    """A file that another library wrote; JSON without paths."""
    text = path.read_bytes()
    if path.suffix == ".json" and path.name != "tokenizer.json":  # whose vocabulary is meant
        text = (json.dumps(cleaned(json.loads(text)), indent=2, ensure_ascii=False) + "\n").encode()
    (folder / path.name).write_bytes(text)


def bring_texts(run: Run, out: Run, root: Path) -> None:
    """The encoder of texts that a table's columns need, once beside all nets, and named relative to the net."""
    from reslab.tables.vectors import FILES as PATTERNS
    from reslab.tables.vectors import fingerprint_of, reader

    texts = run.read_json("encoder.json").get("texts")
    if texts is None:
        return
    source, there = run.path(texts["folder"]).resolve(), root / TEXTS
    if not there.exists():
        reader(str(source), texts["fingerprint"], "cpu")  # refuses a missing one and another one
        there.mkdir(parents=True)
        for path in sorted({path for pattern in PATTERNS for path in source.glob(pattern)}):
            copy_file(path, there)
    about = out.read_json("encoder.json")
    name = TEXTS if out.folder == root else f"../{TEXTS}"
    about["texts"] = {**texts, "folder": name, "fingerprint": fingerprint_of(str(there))}
    out.write_json("encoder.json", about)


def copying(source: Path) -> Callable[[Any], Any]:
    def write(file: Any) -> None:
        with source.open("rb") as data:
            shutil.copyfileobj(data, file)

    return write
