"""A model that answers questions and is served."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Any

from reslab.errors import ReslabWarning
from reslab.ship.folder import is_exported
from reslab.ship.serve.refused import Refused
from reslab.ship.serve.servable import About, Place
from reslab.ship.serve.versions import SHORT, version

MOST_CONTEXTS = 1000


@dataclass(frozen=True, eq=False)
class Item:
    """One question about texts."""

    question: str
    contexts: tuple[str, ...]
    top: int


class Questions:
    """See servable.Servable."""

    def __init__(self, about: About, reader: Any) -> None:
        self.about, self.reader = about, reader

    def prepare(self, payload: Any, options: Mapping[str, Any]) -> Item:
        question, contexts = payload
        if not isinstance(question, str) or not question.strip():
            raise Refused(422, "the question is empty, or not a text")
        if not isinstance(contexts, list | tuple) or not all(isinstance(one, str) for one in contexts):
            raise Refused(422, "contexts must be a list of texts")
        if not any(one.strip() for one in contexts):
            raise Refused(422, "the contexts are empty")
        if len(contexts) > MOST_CONTEXTS:
            raise Refused(413, f"a question may have at most {MOST_CONTEXTS} contexts, got {len(contexts)}")
        return Item(question, tuple(contexts), options.get("top", 3))

    def run(self, items: Sequence[Item]) -> list[list[Any]]:
        found = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ReslabWarning)  # of empty contexts, which the client sees
            for item in items:
                found.append(self.reader.ask(item.question, list(item.contexts), top=item.top))
        return found

    def warm(self, batch: int) -> None:
        self.run([Item("what is warm?", ("the first pass is warm.",), 1)])

    def close(self) -> None:
        self.reader = None


def load(where: Place, *, threads: int = 0, max_pixels: int | None = None) -> Questions:
    """The reader of a folder. Raises UsageError or ReslabError."""
    exported = is_exported(where.folder)
    mark = "" if exported else version(where.folder)
    reader: Any = import_module("reslab.ship.predict").predict(where.folder, threads=threads)
    config = reader.config if exported else None
    about = About(
        name=where.name, kind="questions", version=reader.version[:SHORT] if config else mark,
        engine=config.engine if config else "torch", precision=(config or reader.choice).precision,
        details={"settings": asdict(reader.settings)},
    )  # fmt: skip
    return Questions(about, reader)
