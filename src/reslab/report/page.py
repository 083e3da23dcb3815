"""Turn a folder, or several runs, into one HTML page that needs no server and no network."""

from collections.abc import Iterable
from pathlib import Path

from reslab.errors import UsageError
from reslab.report import folder as folders_
from reslab.report import look
from reslab.report.pages import heads, images, nets, questions, studies, tables
from reslab.report.render import render, save, target


def write(folder: Path, *, out: Path | None = None) -> Path:
    """Draw a run, a study or a comparison as one self-contained page, by default `<folder>/report.html`.

    Results of `reslab look` on any other model are drawn as `<folder>/look.html`. Returns the path of the page. Raises
    UsageError for a folder of another kind and for an existing file that is not a page of reslab, ReslabError if a file
    is damaged or the page cannot be written.
    """
    folder = Path(folder)
    kind = folders_.kind(folder)
    if kind == "look":
        return look.write(folder, out=out)
    place = target(out, folder / "report.html")
    pages = {"study": studies.page, "run": images.page, "questions": questions.page, "heads": heads.page}
    pages |= {"table": tables.page, "nets": nets.page}
    page = pages[kind](folder)
    page["beside"] = place.resolve().parent == folder.resolve()  # if not, links would break
    return save(render(page), place)


def write_many(folders: Iterable[Path], *, out: Path) -> Path:
    """Draw several runs on one page, with their curves in one plot. Raises as `write` does."""
    chosen = [Path(folder) for folder in folders]
    if not chosen:
        raise UsageError("no run folders to compare: name at least one")
    place = target(out, Path("report.html"))
    return save(render(images.page_of_many(chosen)), place)
