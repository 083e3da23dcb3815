"""reslab report: draw runs and studies as a page."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from reslab.cli import say
from reslab.cli.options import Json


def report(
    *folders: Annotated[Path, Parameter(help="Run or study folders.", required=True)],
    out: Annotated[Path | None, Parameter(help="The HTML file (default: report.html in the folder).")] = None,
    single_file: Annotated[
        bool,
        Parameter(
            help="Make a page that can be sent alone (about 2 MB), with the script that draws its figures. By default "
            "only a page outside its folder is one; the pages of a folder or study share one script beside them.",
            negative=(),
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Write stored results as one HTML page that needs no network; several runs are compared on one page."""
    from reslab.report import write, write_look, write_many

    single = single_file or None
    if len(folders) > 1:
        page, inside = write_many(list(folders), out=out or Path("report.html"), single_file=single), None
    else:
        page = write(folders[0], out=out, single_file=single)
        inside = write_look(folders[0]) if single_file and out is None else None
    if json:
        say.as_json({"report": str(page), **({"look": str(inside)} if inside else {})})
        return
    print(f"report: {page}")
    if inside:
        print(f"look:   {inside}")
