"""Fill a page's template, include the plotting library, and write the page atomically."""

from functools import cache
from pathlib import Path
from typing import Any

from reslab.report import words
from reslab.report.figures import scores
from reslab.run import write_aside

TEMPLATES = Path(__file__).parent / "templates"


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


def render(page: dict[str, Any]) -> str:
    """The page as HTML, with the figures' data and the library that draws them."""
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    plots = {name: figure["plots"] for name, figure in page["figures"].items()}
    library = Markup(get_plotlyjs().replace("</script", "<\\/script"))
    return str(_environment().get_template(page["template"]).render(page, plots=plots, plotly=library))


def save(text: str, out: Path) -> Path:
    """Write a page atomically: the whole page or nothing."""
    return write_aside(out, lambda file: file.write(text.encode(errors="replace")))  # names may hold lone surrogates
