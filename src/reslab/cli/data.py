"""reslab data: the account of an image data set, and its images as shards."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from reslab.cli import prepare, say
from reslab.cli.errors import ALWAYS
from reslab.cli.options import DataFlags, Json, data_options
from reslab.errors import one_line
from reslab.progress import shown
from reslab.run import command_line, slug

ROWS = 30  # classes in the table
EXAMPLES = 3
NAMES = {"train": "training"}  # of parts, in sentences


def data(
    word: Annotated[
        str,
        Parameter(
            help="digits, cifar10, ..., a folder, a CSV list, a parquet file, .tar shards or hf:NAME, as --data of "
            "`reslab train`."
        ),
    ],
    /,
    *,
    out: Annotated[Path | None, Parameter(help="The HTML file (default: data-NAME.html in this folder).")] = None,
    data_flags: DataFlags | None = None,
    json: Json = False,
) -> None:
    """Account for an image data set: classes, sizes, ignored and broken files, images in several parts, thumbnails."""
    from reslab.images.account import take
    from reslab.images.data import load
    from reslab.images.sheet import sheet
    from reslab.report.pages.data import write
    from reslab.report.render import target

    if out is not None:
        target(out, out)  # before every image is read
    images = load(word, memory=0, **data_options(data_flags))
    with shown("reading", unit="images") as progress:
        account = take(images, progress=progress)
    found = account.as_dict()
    page = write(found, sheet(images), out=out or Path(f"data-{slug(images.name)}.html"), command=command_line())
    if json:
        say.as_json({**found, "report": str(page)})
        return
    print(one_line(f"{account.name}: {account.line}"))
    print(one_line(account.about))
    tell(found)
    print(f"report: {page}")


def tell(found: dict[str, Any]) -> None:
    """Print the account."""
    parts = found["parts"]
    rows = list(zip(found["classes"], *(part["by_class"] for part in parts), strict=True))
    one, many = ("label", "labels") if found["several"] else ("class", "classes")
    say.table([one, *(part["name"] for part in parts)], [(name, *(f"{n:,}" for n in counts)) for name, *counts in
                                                             rows[:ROWS]])  # fmt: skip
    if len(rows) > ROWS:
        print(f"and {len(rows) - ROWS:,} more {many}; the page lists them")
    for part in parts:
        sizes = ", ".join(f"{one['height']} x {one['width']} ({one['images']:,})" for one in part["sizes"][:EXAMPLES])
        other = len(part["sizes"]) - EXAMPLES + part["other_sizes"]
        modes = ", ".join(f"{mode} ({n:,})" for mode, n in part["modes"].items())
        print(f"{part['name']}: {part['images']:,} images, {part['broken']:,} broken, {part['repeated']:,} repeated; "
              f"sizes: {sizes}{f' and {other:,} more' * (other > 0)}; modes: {modes}")  # fmt: skip
        for one in part["broken_examples"][:EXAMPLES]:
            print(f"  broken: {one_line(one)}")
        if (rest := part["broken"] - EXAMPLES) > 0:
            print(f"  and {rest:,} more broken images")
    shares = ", ".join(f"{say.percent(part['majority'])} ({part['name']})" for part in parts)
    print(f"error of {ALWAYS[found['several']]}: {shares}")
    for one in found["ignored"]:
        more = ", ..." * (one["files"] > EXAMPLES)
        print(one_line(f"ignored: {one['reason']} ({one['files']:,}): {', '.join(one['examples'][:EXAMPLES])}{more}"))
    print(f"test images that are training images, too: {found['shared']:,}, of these "
          f"{'with other labels' if found['several'] else 'in another class'}: {found['shared_elsewhere']:,}; images "
          f"{'with several sets of labels' if found['several'] else 'in more than one class'}: "
          f"{found['contradictory']:,}")  # fmt: skip
    for one in found["overlaps"]:
        print(f"{one['part']} images that are {NAMES.get(one['other'], one['other'])} images, too: {one['images']:,}")
    for one in found["shared_examples"][:EXAMPLES]:
        print(one_line(f"  {one['test']} = {one['train']}"))
    if (rest := found["shared"] - EXAMPLES) > 0:
        print(f"  and {rest:,} more such test images")


app = App(
    name="data",
    help="Account for an image data set: classes, sizes, ignored and broken files, images in several parts, "
    "thumbnails.",
    help_format="plaintext",
)
app.default(data)
app.command(prepare.prepare)
