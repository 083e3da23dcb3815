"""`publish`: the folder as it will be on the Hub, written, and checked by loading it back."""

import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from reslab.errors import ReslabError, UsageError
from reslab.nets.published import local
from reslab.run import MEMBERS, Run, slug
from reslab.ship.folder import is_exported, read_config
from reslab.ship.hub.card import card
from reslab.ship.hub.facts import about_of, facts_of
from reslab.ship.hub.of_export import write_export
from reslab.ship.hub.of_run import WEIGHTS, kind_of, run_named, write_run
from reslab.ship.hub.private import left_over
from reslab.ship.hub.record import Published
from reslab.ship.record import Kind
from reslab.stored.write import explained

SPDX = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*")
VALUES = {  # what of the training data the files need, and so becomes public
    "images": "the names of its classes become public",
    "questions": "the vocabulary of its tokenizer becomes public",
    "tables": "the names of its columns and the values of its categories become public",
}


def publish(model: Path | str, *, out: Path | str, name: str = "", license: str = "") -> Published:
    """Write a run folder, or an exported folder, as a folder of the Hugging Face Hub; no network is used.

    out: a folder that does not exist yet, or is empty. name: of the model on its card (default: the folder's).
    license: an SPDX name. The folder is loaded back, and its weights are compared with the model's. Raises UsageError
    for what is no such folder, ReslabError for a damaged one.
    """
    folder, out = local(model), Path(out)
    if license and not SPDX.fullmatch(license):
        raise UsageError(f"a license is named as SPDX does, such as apache-2.0, mit or cc-by-4.0, got {license!r}")
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UsageError(f"{out} is not an empty folder; choose another one")
    if out.resolve().is_relative_to(folder.resolve()):
        raise UsageError(f"{out} lies in {folder}, which is published; choose another folder")
    with explained(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        with explained(out):
            kind, notes = written(folder, aside, name, license)
            aside.chmod(0o755)
            if out.exists():
                out.rmdir()
            aside.rename(out)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    files = {path.relative_to(out).as_posix(): path.stat().st_size for path in sorted(out.rglob("*")) if path.is_file()}
    return Published(folder=out, kind=kind, files=files, notes=notes)


def written(folder: Path, out: Path, name: str, license: str) -> tuple[Kind, list[str]]:
    """Write the files; (what the model is for, notes)."""
    places = [folder]
    if exported := is_exported(folder):
        kind = read_config(folder).kind
        notes = write_export(folder, out, name=name or slug(folder.resolve().name), license=license)
    else:
        run = run_named(folder)
        kind, notes = kind_of(run), []
        if run.folder != folder:
            places.append(run.folder)
            notes.append(f"{folder} holds several nets: {run.folder}, the slimmed one, is taken")
        notes += of_run(run, kind, out, name=name or slug(folder.resolve().name), license=license)
    notes.append(VALUES[kind])
    if not license and not exported:
        notes.append("no license is named, so others may not use the weights")
    places = [Path.home(), Path.cwd(), *(place.resolve() for place in places)]
    notes += [
        f"{file} still names {place}: it is a value that the model needs" for file, place in left_over(out, places)
    ]
    return kind, notes


def of_run(run: Run, kind: Kind, out: Path, *, name: str, license: str) -> list[str]:
    """Write a run, loaded before and after; notes."""
    before = weights_of(run, kind)
    write_run(run, kind, out)
    spec = {} if run.has(MEMBERS) else run.read_json("spec.json")
    (out / "README.md").write_text(card(facts_of(run, kind, spec, name=name, license=license)), encoding="utf-8")
    compare(before, weights_of(Run(out), kind), run.folder)
    notes = ["paths of this machine are left out, or shortened to their last part"]
    if kind == "images" and not about_of(run).get("classes"):
        notes.append("it names no classes: others can load the net, and cannot predict images with it")
    return notes


def weights_of(run: Run, kind: Kind) -> list[dict[str, Any]]:
    """The weights of each net as its family loads them. Raises ReslabError if that fails."""
    if kind == "questions":
        from reslab.qa.reader import load as load_reader

        return [dict(load_reader(run.folder, device="cpu", precision="fp32").net.state_dict())]
    if kind == "tables":
        from reslab.tables.model import load as load_table

        return [dict(member.net.state_dict()) for member in load_table(run.folder, device="cpu").members]
    from reslab.nets import load

    return [dict(load(run.folder).state_dict())]


def compare(before: list[dict[str, Any]], after: list[dict[str, Any]], folder: Path) -> None:
    """Raise ReslabError unless both have the same tensors to the bit."""
    import torch

    same = len(before) == len(after) and all(
        a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)
        for a, b in zip(before, after, strict=True)
    )
    if not same:
        raise ReslabError(f"{folder} is not published: what was written loads other weights than {WEIGHTS}; please "
                          "report it")  # fmt: skip
