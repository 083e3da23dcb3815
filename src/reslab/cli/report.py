"""reslab report: draw runs and studies as a page."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from reslab.cli import say
from reslab.cli.options import Json


def report(
    *folders: Annotated[Path, Parameter(help="Run or study folders.", required=True)],
    out: Annotated[Path | None, Parameter(help="The HTML file (default: report.html in the folder).")] = None,
    json: Json = False,
) -> None:
    """Write stored results as one self-contained HTML page; several runs are compared on one page."""
    from reslab.report import write, write_many

    page = (
        write(folders[0], out=out) if len(folders) == 1 else write_many(list(folders), out=out or Path("report.html"))
    )
    if json:
        say.as_json({"report": str(page)})
    else:
        print(f"report: {page}")
