"""Fill a page's template and write the page atomically."""

import os
from functools import cache
from pathlib import Path
from typing import Any

from reslab.errors import UsageError, arg
from reslab.report import library, words
from reslab.report.figures import scores
from reslab.stored.files import named, read_bytes
from reslab.stored.write import write_aside
from reslab.version import __version__

TEMPLATES = Path(__file__).parent / "templates"
MARKS = (b'<meta name="generator" content="reslab ', b"<footer>Drawn by <code>reslab report</code>")  # new pages; all


@cache
def _environment() -> Any:
    import jinja2  # here, like plotly below: a command that draws nothing should not wait for them

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


def draw(page: dict[str, Any], place: Path, *, home: Path | None, single_file: bool | None) -> Path:
    """Write a page to `place`, which is from `target`; returns it.

    Pages in `home`, the folder they are about, share one script beside them unless `single_file`. A page anywhere else
    is a single file unless `single_file` is False, for it has left the others.
    """
    if single_file is None:
        single_file = home is None or place.resolve().parent != home.resolve()
    return save(render(page, script=None if single_file else library.shared(place)), place)


def render(page: dict[str, Any], *, script: str | None = None) -> str:
    """The page as HTML, with the figures' data. `script`: URL of the library that draws them; None: it is included."""
    plots = {name: figure["plots"] for name, figure in page["figures"].items()}
    packed = "" if script or (not page.get("figures") and page.get("scriptless")) else library.packed()
    template = _environment().get_template(page["template"])
    return str(template.render(page, plots=plots, script=script, packed=packed, version=__version__))


def target(out: Path | str | None, default: Path) -> Path:
    """The file for a page: `out`, or else `default`. Raises UsageError for one that is not .html, or a foreign file.

    An existing file is replaced only if it is a page of reslab, or empty.
    """
    path = Path(default if out is None else out)
    if path.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"pages are written as .html, got {named(path.name)!r}; choose another file with ", arg("out"))
    if os.path.isfile(path) and (old := read_bytes(path)) and not any(mark in old for mark in MARKS):
        there = f"{named(path)} exists and is not a page of reslab; "
        if out is None:
            raise UsageError(f"{there}move it to another folder and run `reslab report` again")
        raise UsageError(f"{there}choose another file with ", arg("out"))
    return path


def save(text: str, out: Path) -> Path:
    """Write a page atomically: the whole page or nothing. `out` is from `target`."""
    return write_aside(out, lambda file: file.write(text.encode(errors="replace")))  # names may hold lone surrogates
