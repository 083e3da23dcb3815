"""Turn a folder, or several runs, into one HTML page that needs no server and no network."""

from collections.abc import Iterable
from pathlib import Path

from reslab.errors import UsageError
from reslab.report import folder as folders_
from reslab.report import look
from reslab.report.look.folder import has_results
from reslab.report.pages import claims, combinations, heads, images, many, nets, questions, slim, studies, tables
from reslab.report.render import draw, target


def write(folder: Path, *, out: Path | None = None, single_file: bool | None = None) -> Path:
    """Draw a run, a study or a comparison as one page, by default `<folder>/report.html`.

    Results of `reslab look` on any other model are drawn as `<folder>/look.html`. `single_file`: whether the page
    holds the script that draws its figures (about 2 MB), so that it can be sent alone; if not, the pages of a folder or
    study share one beside them. Default: only for an `out` in another folder. Returns the path of the page. Raises
    UsageError for a folder of another kind and for an existing file that is not a page of reslab, ReslabError if a file
    is damaged or the page cannot be written.
    """
    folder = Path(folder)
    kind = folders_.kind(folder)
    if kind == "look":
        return look.write(folder, out=out, single_file=single_file)
    place = target(out, folder / "report.html")
    pages = {"study": studies.page, "run": images.page, "questions": questions.page, "heads": heads.page}
    pages |= {"table": tables.page, "nets": nets.page, "slim": slim.page, "claims": claims.page}
    pages |= {"grid": combinations.page}
    page = pages[kind](folder)
    page["beside"] = place.resolve().parent == folder.resolve()  # if not, links would break
    return draw(page, place, home=folder, single_file=single_file)


def write_look(folder: Path) -> Path | None:
    """Draw the look.html that belongs to a run's report as a single file; None if the folder has no such page."""
    folder = Path(folder)
    if folders_.kind(folder) == "look" or not has_results(folder):
        return None
    return look.write(folder, single_file=True)


def write_many(folders: Iterable[Path], *, out: Path, single_file: bool | None = None) -> Path:
    """Draw several runs on one page, with their curves in one plot: a single file by default. Raises as `write`."""
    chosen = [Path(folder) for folder in folders]
    if not chosen:
        raise UsageError("no run folders to compare: name at least one")
    place = target(out, Path("report.html"))
    return draw(many.page_of_many(chosen), place, home=None, single_file=single_file)
