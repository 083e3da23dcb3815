"""reslab push: a model to the Hugging Face Hub, or the files that would be there, to a folder."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from reslab.cli import say
from reslab.cli.options import Json
from reslab.errors import UsageError

if TYPE_CHECKING:
    from reslab.ship.hub.record import Published

MB = 1_000_000


def push(
    model: Annotated[Path, Parameter(help="Run folder, folder of `reslab slim`, or exported folder.")],
    name: Annotated[str, Parameter(help="OWNER/NAME on the Hugging Face Hub.")],
    /,
    *,
    out: Annotated[
        Path | None, Parameter(help="Only write the files to this folder; nothing is uploaded, no login is needed.")
    ] = None,
    private: Annotated[bool, Parameter(help="Make the repository private.", negative=())] = False,
    license: Annotated[
        str, Parameter(help="License of the weights, an SPDX name such as apache-2.0.", show_default=False)
    ] = "",
    message: Annotated[str, Parameter(help="Message of the commit.", show_default=False)] = "",
    json: Json = False,
) -> None:  # fmt: skip
    """Publish a model on the Hugging Face Hub: safetensors, config and a card with its numbers; no private path."""
    from reslab.ship.hub.publish import publish
    from reslab.ship.hub.upload import check_name, push

    check_name(name)
    if out is not None:
        if private or message:
            raise UsageError(f"--{'private' if private else 'message'} is for an upload, and --out only writes files: "
                             "leave out one of them")  # fmt: skip
        found = publish(model, out=out, name=name.rpartition("/")[2], license=license)
        if json:
            say.as_json({"folder": str(out), "kind": found.kind, "files": found.files, "bytes": found.size,
                         "notes": found.notes})  # fmt: skip
            return
        tell(found, "")
        print(f"written to {out}; nothing was uploaded: hf upload {name} {out}")
        print(f"next:   reslab predict {out} FILE")
        return

    def shown(found: "Published") -> None:
        if not json:
            tell(found, f" to {name}")

    done = push(model, name, private=private, license=license, message=message, say=shown)
    if json:
        found = done.published
        say.as_json({"name": name, "url": done.url, "private": done.private, "kind": found.kind, "files": found.files,
                     "bytes": found.size, "notes": found.notes})  # fmt: skip
        return
    seen = "as visible as it was" if done.private is None else "private" if done.private else "public"
    print(f"uploaded: {done.url} ({seen})")


def tell(found: "Published", where: str) -> None:
    """Say what is uploaded, and how large it is, before it is."""
    print(f"{len(found.files)} files of {size(found.size)}{where}:")
    for name, many in found.files.items():
        print(f"  {name}  {size(many)}")
    for note in found.notes:
        print(f"note: {note}")


def size(many: int) -> str:
    return f"{many / MB:,.1f} MB" if many >= MB / 10 else f"{many / 1000:,.1f} kB"
