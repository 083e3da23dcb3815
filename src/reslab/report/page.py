"""One folder (or several runs) to one HTML page that needs nothing else: no server, no network."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from reslab.errors import UsageError
from reslab.report import folder as folders_
from reslab.report import heads, look, nets, questions, runs, scores, studies, tabular, words
from reslab.run import write_aside

TEMPLATES = Path(__file__).parent / "templates"


def write(folder: Path, *, out: Path | None = None) -> Path:
    """Draw a run, a study or a comparison as one self-contained page, by default `<folder>/report.html`.

    What `reslab look` saw in a model that is no run of ours is drawn as `<folder>/look.html`. Returns the path of the
    page. Raises UsageError for a folder that is none of these, ReslabError for a damaged file or where the page cannot
    be written.
    """
    folder = Path(folder)
    kind = folders_.kind(folder)
    if kind == "look":
        return look.write(folder, out=out)
    target = Path(out) if out else folder / "report.html"
    pages = {"study": studies.page, "run": runs.page, "questions": questions.page, "heads": heads.page}
    pages |= {"table": tabular.page, "nets": nets.page}
    page = pages[kind](folder)
    page["beside"] = target.resolve().parent == folder.resolve()  # else links to pages in the folder lead nowhere
    return save(render(page), target)


def write_many(folders: Iterable[Path], *, out: Path) -> Path:
    """Draw several runs on one page, their curves in one frame; raises as `write` does."""
    chosen = [Path(folder) for folder in folders]
    if not chosen:
        raise UsageError("no run folders to compare: name at least one")
    return save(render(runs.page_of_many(chosen)), Path(out))


@cache
def _environment() -> Any:
    import jinja2  # here, like plotly below: a command line that draws nothing should not wait for them

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.ChainableUndefined,  # a missing key is an empty section, not an error
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in ("percent", "count", "short", "duration", "plain", "number", "plus_minus", "statistic", "tied"):
        environment.filters[name] = getattr(words, name)
    for name in ("name_of", "text", "interval"):
        environment.globals[f"score_{name}"] = getattr(scores, name)
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False, "ensure_ascii": False}
    return environment


def render(page: dict[str, Any]) -> str:
    """The page's template filled, with the figures' data and the library that draws them."""
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    plots = {name: figure["plots"] for name, figure in page["figures"].items()}
    library = Markup(get_plotlyjs().replace("</script", "<\\/script"))
    return str(_environment().get_template(page["template"]).render(page, plots=plots, plotly=library))


def save(text: str, out: Path) -> Path:
    """Write a page whole or not at all."""
    return write_aside(out, lambda file: file.write(text.encode(errors="replace")))  # names may hold lone surrogates
