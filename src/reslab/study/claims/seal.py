"""Fix the predictions of all claims that are not fixed yet, for us: python -m reslab.study.claims.seal now

It writes the day and the digest of each into its file and the ledger. A claim whose name the ledger knows cannot be
fixed again: give the changed claim a new name, and its old entry `superseded = "NEW-NAME"`.
"""

import datetime
import re
import sys
from dataclasses import replace
from pathlib import Path

from reslab.errors import UsageError
from reslab.stored.files import parse_toml
from reslab.stored.write import write_aside
from reslab.study.claims.fixed import Entry, digest, entries
from reslab.study.claims.reading import read

HERE = Path(__file__).parent


def seal(table: Path, ledger: Path, *, day: str) -> list[str]:
    """The names of the claims that were fixed now. Raises UsageError, before anything is written, for a known name."""
    known = entries(parse_toml(ledger.read_bytes(), str(ledger)))
    wanted = [path for path in sorted(table.glob("*.toml")) if not read(path).hash]
    check(known, {path.stem for path in table.glob("*.toml")}, [path.stem for path in wanted])
    for path in wanted:
        text = path.read_text(encoding="utf-8")
        mark = digest(replace(read(path), fixed=day))
        for key, value in (("fixed", day), ("hash", mark)):
            text, n = re.subn(rf'^{key} = "[^"\n]*"$', f'{key} = "{value}"', text, flags=re.MULTILINE)
            if n != 1:
                raise UsageError(f'{path}: write {key} on one line: {key} = ""')
        entry = f'\n[[claim]]\nname = "{path.stem}"\ndate = "{day}"\nhash = "{mark}"\n'
        held = ledger.read_text(encoding="utf-8") + entry
        write_text(path, text)
        write_text(ledger, held)
        read(path)
    return [path.stem for path in wanted]


def check(known: list[Entry], present: set[str], wanted: list[str]) -> None:
    """Raise UsageError if a claim to be fixed was fixed before, or if one that was fixed is gone and not superseded."""
    names = {one["name"] for one in known}
    if again := [name for name in wanted if name in names]:
        raise UsageError(f"{again[0]} was fixed before: a changed prediction is a new claim; give its file a new name, "
                         f'and the entry of {again[0]} in the ledger superseded = "NEW-NAME"')  # fmt: skip
    for one in known:
        after = one.get("superseded")
        if after is None and one["name"] not in present:
            raise UsageError(f"{one['name']} was fixed, but its file is gone: restore it, or say what superseded it")
        if after is not None and after not in names | set(wanted):
            raise UsageError(f"{one['name']} is superseded by {after!r}, which is no claim")


def write_text(path: Path, text: str) -> None:
    write_aside(path, lambda file: file.write(text.encode()))


if __name__ == "__main__":
    if sys.argv[1:] != ["now"]:  # what is fixed cannot be taken back
        sys.exit(__doc__)
    done = seal(HERE / "table", HERE / "ledger.toml", day=datetime.date.today().isoformat())
    sys.stdout.write(f"{len(done)} claims fixed: {', '.join(done) or 'none was left'}\n")
