"""Serve folders: `reslab serve`."""

import logging
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from reslab.extras import need
from reslab.ship.serve.servable import places
from reslab.ship.serve.settings import Settings

log = logging.getLogger("reslab.serve")


def serve(folders: Sequence[str], settings: Settings) -> None:
    """Serve exported folders and runs until SIGTERM or Ctrl-C.

    folders: FOLDER or NAME=FOLDER each. Raises UsageError for a folder that cannot be served or an address that is
    taken, ReslabError for a damaged folder.
    """
    for package in ("starlette", "uvicorn", "python_multipart", "prometheus_client"):
        need(package, extra="ship", why="`reslab serve`")
    found = places(folders)
    server: Any = import_module("reslab.ship.serve.server")
    workers: Any = import_module("reslab.ship.serve.workers")
    listening = server.listen(settings)
    port = listening.getsockname()[1]
    names = ", ".join(where.name for where in found)
    log.info("loading %s; then it answers at http://%s (Ctrl-C stops)", names, server.address(settings.host, port))
    if not settings.local and settings.token is None:
        log.warning("everyone who can reach %s may use this server: it has no token", settings.host)
    try:
        if settings.workers == 1:
            workers.run(found, settings, listening)
        else:
            workers.Supervisor(found, settings, listening).run()
    finally:
        listening.close()
    log.info("stopped")
