"""Download files of the published data sets: only on request, and always with a checksum."""

import contextlib
import hashlib
import http.client
import os
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from reslab.errors import ReslabError
from reslab.stored.write import sync

TIMEOUT_S = 60.0  # without receiving a byte


def md5(path: Path) -> str:
    """MD5 (hex) of a file. The publishers give MD5 sums, which reveal damage but not tampering."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, _md5).hexdigest()


def _md5() -> "hashlib._Hash":
    return hashlib.md5(usedforsecurity=False)


def download(urls: Sequence[str], target: Path, *, md5: str) -> None:
    """Download the first of `urls` that answers to `target`: to a temporary file, verified, then renamed.

    Raises ReslabError if no URL gives the published file.
    """
    made = [folder for folder in (target.parent, *target.parent.parents) if not folder.exists()]
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f"{target.name}.{os.getpid()}.part")
    failures = []
    try:
        for url in urls:
            try:
                found = _copy(url, aside)
            except (OSError, http.client.HTTPException) as error:  # URLError is an OSError
                failures.append(f"{url}: {getattr(error, 'reason', None) or error}")
                continue
            if found == md5:
                aside.replace(target)
                return
            failures.append(f"{url}: not the published file (MD5 {found}, published {md5})")
    finally:
        aside.unlink(missing_ok=True)
    for folder in made:  # an empty folder would look like a damaged copy
        with contextlib.suppress(OSError):
            folder.rmdir()
    tried = "; ".join(failures)
    raise ReslabError(f"could not download {target.name} ({tried}); try again, or put it into {target.parent} yourself")


def _copy(url: str, aside: Path) -> str:
    """Download `url` to `aside` and return the MD5 of its content."""
    digest = _md5()
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer, aside.open("wb") as file:
        while block := answer.read(2**20):
            digest.update(block)
            file.write(block)
        file.flush()
        sync(file)
    return digest.hexdigest()
