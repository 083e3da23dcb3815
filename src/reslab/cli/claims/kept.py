"""reslab claims agree, reslab claims table: of finished runs."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from reslab.cli import say
from reslab.cli.options import Json
from reslab.errors import one_line


def agree(
    a: Annotated[Path, Parameter(help="Folder of a run of `reslab claims`.")],
    b: Annotated[Path, Parameter(help="Folder of another, such as one with other seeds.")],
    /,
    *,
    json: Json = False,
) -> None:
    """Compare the verdicts of two runs: the share that is the same, and the claims that differ."""
    from reslab.study.claims.agree import agreement

    found = agreement(a, b)
    if json:
        say.as_json(found)
        return
    for one in found["differ"]:
        print(one_line(f"{one['name']}: {one['a']} in {a}, {one['b']} in {b}"))
    if left := found["not_compared"]:
        print(one_line(f"not compared, since not run in both: {', '.join(left)}"))
    print(found["sentence"])
    if found["note"]:
        print(one_line(f"note: {found['note']}"))


def table(folder: Annotated[Path, Parameter(help="Folder of a run of `reslab claims`.")], /) -> None:
    """Print the verdicts of a run as a Markdown table, as in docs/claims.md."""
    from reslab.study.claims.agree import read
    from reslab.study.claims.markdown import markdown

    print(markdown(read(folder)))
