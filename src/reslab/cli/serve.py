"""reslab serve: models over HTTP."""

import os
from typing import Annotated

from cyclopts import Parameter

from reslab.cli.options import whole
from reslab.errors import UsageError
from reslab.ship.serve.settings import Settings


def serve(
    *folders: Annotated[
        str,
        Parameter(help="Folders of exported models or of runs, or hf:OWNER/NAME; each is served under its own name, or "
                  "as NAME=FOLDER."),
    ],
    host: Annotated[
        str, Parameter(help="Address to listen on; 0.0.0.0: every address of this machine, for other machines.")
    ] = Settings.host,
    port: Annotated[int, Parameter(help="Port to listen on; 0: any free one.", converter=whole)] = Settings.port,
    workers: Annotated[
        int, Parameter(help="Number of processes; each loads every model.", converter=whole)
    ] = Settings.workers,
    threads: Annotated[
        int, Parameter(help="CPU threads per worker (default: the cores divided by the workers).", converter=whole)
    ] = Settings.threads,
    token: Annotated[
        str | None,
        Parameter(help="Require `Authorization: Bearer TOKEN`. Other users of this machine can see the options of a "
                  "command; the environment variable RESLAB_TOKEN hides the token from them."),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        Parameter(help="Names under which this server may be called, such as a proxy's (default: on 127.0.0.1 only "
                  "this machine's own, otherwise any).", negative=(), consume_multiple=True),
    ] = None,
    max_batch: Annotated[int, Parameter(help="Maximum size of a batch.", converter=whole)] = Settings.max_batch,
    max_delay_ms: Annotated[
        float, Parameter(help="How long a request may wait for others to share a batch, in milliseconds.")
    ] = Settings.max_delay_ms,
    queue: Annotated[
        int,
        Parameter(help="How many images, questions or requests of rows may wait for each model; when full, the answer "
                  "is 503 with Retry-After.", converter=whole),
    ] = Settings.queue,
    max_bytes: Annotated[
        int, Parameter(help="Maximum size of a request in bytes.", converter=whole)
    ] = Settings.max_bytes,
    max_pixels: Annotated[
        int, Parameter(help="Maximum number of pixels of an image, checked before it is decoded.", converter=whole)
    ] = Settings.max_pixels,
    max_files: Annotated[
        int, Parameter(help="Maximum number of images in a request.", converter=whole)
    ] = Settings.max_files,
    max_text: Annotated[
        int, Parameter(help="Maximum number of characters of a question and its texts together.", converter=whole)
    ] = Settings.max_text,
    timeout: Annotated[
        float, Parameter(help="Seconds within which a request must arrive, and within which it is answered.")
    ] = Settings.timeout,
    reload: Annotated[
        float,
        Parameter(help="Look for a new version of each folder every N seconds; 0: only on SIGHUP or when asked."),
    ] = Settings.reload,
    unit: Annotated[
        bool, Parameter(help="Print a systemd unit for this command, and do not serve.", negative=())
    ] = False,
    dockerfile: Annotated[
        bool, Parameter(help="Print a Dockerfile for this command, and do not serve.", negative=())
    ] = False,
) -> None:  # fmt: skip
    """Serve models: a page, a JSON API (/docs), the Open Inference Protocol (/v2) and metrics (/metrics)."""
    from reslab.ship.serve.start import serve as start

    if not folders:
        raise UsageError("name at least one folder: reslab serve FOLDER")
    settings = Settings(
        host=host, port=port, workers=workers, threads=threads, token=token or os.environ.get("RESLAB_TOKEN") or None,
        hosts=tuple(one.lower() for one in allow_host or ()), max_batch=max_batch, max_delay_ms=max_delay_ms,
        queue=queue, max_bytes=max_bytes, max_pixels=max_pixels, max_files=max_files, max_text=max_text,
        timeout=timeout, reload=reload,
    )  # fmt: skip
    if unit or dockerfile:
        from reslab.ship.serve import unit as units
        from reslab.ship.serve.servable import places

        print((units.unit if unit else units.dockerfile)(places(folders), settings), end="")
        return
    start(folders, settings)
