"""The version of a served folder: a digest of its files; and a cheap sign that something changed."""

import hashlib
from pathlib import Path

from reslab.ship.folder import is_exported, sum_of, verify

SHORT = 12  # hex digits of the digest
# What a prediction of a run is made of; a run folder has other files, which change while it is looked at.
PARTS = (
    "spec.json", "weights.safetensors", "data.json", "normalize.json", "results/train.json", "qa.json", "members.json",
    "encoder.json", "encoder.safetensors", "target.json", "calibration.json", "tokenizer", "encoder", "model",
)  # fmt: skip


def parts(folder: Path) -> list[Path]:
    """The files that the version depends on."""
    if is_exported(folder):
        roots = [folder]
    else:
        members = [one for one in sorted(folder.glob("s*")) if (one / "spec.json").is_file()]
        roots = [base / name for base in (folder, *members) for name in PARTS]
    found = [path for root in roots for path in ([root] if root.is_file() else sorted(root.rglob("*")))]
    return [path for path in found if path.is_file()]


def version(folder: Path) -> str:
    """The version, 12 hex digits. An exported folder is verified: raises ReslabError if it is damaged."""
    if is_exported(folder):
        return verify(folder)[:SHORT]
    sums = {path.relative_to(folder).as_posix(): sum_of(path) for path in parts(folder)}
    return hashlib.sha256(repr(sorted(sums.items())).encode()).hexdigest()[:SHORT]


def trace(folder: Path) -> tuple[object, ...]:
    """Sizes and times of the files, and where the folder really lies: as long as it is the same, so is the version."""
    try:
        home = folder.resolve()
        stats = [(str(path), path.stat()) for path in parts(home)]
        return (str(home), *((name, one.st_size, one.st_mtime_ns, one.st_ino) for name, one in stats))
    except OSError:
        return ()
