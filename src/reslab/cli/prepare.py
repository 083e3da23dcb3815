"""reslab data prepare: write a data set of images as shards, once."""

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from reslab.cli import say
from reslab.cli.options import DataFlags, Json, data_options, whole
from reslab.errors import UsageError, arg, one_line
from reslab.progress import shown

EXAMPLES = 5  # broken images that are printed; the manifest lists all


def prepare(
    word: Annotated[
        str | None, Parameter(help="The data set, as --data of `reslab train` (not with --verify).")
    ] = None,
    /,
    *,
    out: Annotated[Path, Parameter(help="Folder of the shards.")],
    side: Annotated[
        int, Parameter(help="Shorter side of the images in pixels; smaller ones are not enlarged.", converter=whole)
    ] = 288,
    quality: Annotated[int, Parameter(help="Quality of JPEG, 1 to 100.", converter=whole)] = 90,
    shard_mb: Annotated[int, Parameter(help="Size of a shard in megabytes.", converter=whole)] = 256,
    shard_images: Annotated[int | None, Parameter(help="Maximum number of images in a shard.", converter=whole)] = None,
    workers: Annotated[
        int | None, Parameter(help="Number of processes (default: one per core, up to 8).", converter=whole)
    ] = None,
    verify: Annotated[
        bool, Parameter(help="Only check the shards in --out: sizes, digests, examples.", negative=())
    ] = False,
    data_flags: DataFlags | None = None,
    json: Json = False,
) -> None:
    """Write the images as shards, resized and in their order, to train from without unpacking; resumable, verified.

    Small JPEGs are copied byte for byte. The parts of the data stay as they are. Broken images are left out and listed.
    Run the same command again to go on after an interruption, or to write damaged shards anew.
    """
    from reslab.images.data.words import data_folder
    from reslab.images.prepare.verify import manifest_in

    options = data_options(data_flags)
    if options.pop("size", None) is not None:
        raise UsageError("shards keep the shape of each image; set ", arg("side"), " to limit the shorter side")
    cache = data_folder(options.get("root"))
    if verify:
        if word is not None:
            raise UsageError(arg("verify", True), " checks the shards in --out; leave out the data set")
        manifest = manifest_in(out)
        checked(out, manifest, cache)
    else:
        if word is None:
            raise UsageError("name the data set to prepare, such as `reslab data prepare FOLDER --out SHARDS`")
        manifest = written(word, out, cache, options, side=side, quality=quality, shard_mb=shard_mb,
                           shard_images=shard_images, workers=workers)  # fmt: skip
    if json:
        say.as_json(asdict(manifest))
        return
    tell(out, manifest)


def written(word: str, out: Path, cache: Path, options: dict[str, Any], **asked: Any) -> Any:
    """The manifest of the shards after they are written."""
    from reslab.images.data import load
    from reslab.images.prepare.job import Asked, prepare
    from reslab.run import absolute

    how = Asked(**asked)
    how.check()  # before every header is read
    images = load(word, memory=0, **options)
    images.announce()
    with shown("preparing", unit="images") as progress:
        return prepare(images, out, word=absolute(word), cache=cache, asked=how, progress=progress)


def checked(out: Path, manifest: Any, cache: Path) -> None:
    """Read every byte of the shards."""
    from reslab.images.prepare.verify import faults, refuse_faults

    with shown(out.name) as progress:
        found = faults(out, manifest, cache=cache, progress=progress)
    refuse_faults(out, found, manifest)
    if not manifest.complete:
        raise UsageError(f"the shards in {out} are whole so far, but not all are written; run `reslab data prepare` "
                         "again with the same options")  # fmt: skip


def tell(out: Path, manifest: Any) -> None:
    """Print what the shards hold."""
    parts = {name: shards for name, shards in manifest.parts.items() if shards}
    say.table(["part", "images", "shards", "GB"], [
        (name, f"{sum(one.images for one in shards):,}", len(shards), f"{sum(one.bytes for one in shards) / 1e9:,.3f}")
        for name, shards in parts.items()])  # fmt: skip
    images = sum(one.images for shards in parts.values() for one in shards)
    print(f"{out}: {images:,} images verified, {manifest.copied:,} of them copied byte for byte")
    if manifest.skipped:
        n = len(manifest.skipped)
        print(f"{n:,} broken image{'s' * (n > 1)} left out; {out / 'reslab-shards.json'} lists all:")
        for one in manifest.skipped[:EXAMPLES]:
            print(f"  {one_line(one)}")
    print(f"train on them: reslab train --data {shlex.quote(str(out))}")
