"""A model that answers questions and is served."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import import_module
from math import isfinite
from typing import Any

from reslab.qa.data.question import Report
from reslab.ship.folder import is_exported
from reslab.ship.serve.refused import Refused
from reslab.ship.serve.servable import About, Place
from reslab.ship.serve.settings import Settings
from reslab.ship.serve.versions import SHORT, version

MOST_CONTEXTS = 1000


@dataclass(frozen=True, eq=False)
class Item:
    """One question about texts. `given_up` is set when nobody waits for its answers any more."""

    question: str
    contexts: tuple[str, ...]
    top: int
    given_up: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True, eq=False)
class Answered:
    """The answers to one question, best first, and what was changed of it, in sentences."""

    answers: tuple[Any, ...]
    notes: tuple[str, ...] = ()


class GivenUp(Exception):  # noqa: N818 - what it says
    """Ends the pass of a question whose client left, or whose time is over."""


class Questions:
    """See servable.Servable."""

    def __init__(self, about: About, reader: Any) -> None:
        self.about, self.reader = about, reader

    def prepare(self, payload: Any, options: Mapping[str, Any]) -> Item:
        question, contexts = payload
        if not isinstance(question, str) or not visible(question):
            raise Refused(422, "the question is empty, or not a text")
        if not isinstance(contexts, list | tuple) or not all(isinstance(one, str) for one in contexts):
            raise Refused(422, "contexts must be a list of texts")
        if not any(map(visible, contexts)):
            raise Refused(422, "the contexts are empty")
        if len(contexts) > MOST_CONTEXTS:
            raise Refused(413, f"a question may have at most {MOST_CONTEXTS} contexts, got {len(contexts)}")
        length, most = len(question) + sum(map(len, contexts)), options.get("max_text")
        if most is not None and length > most:
            raise Refused(413, f"a question and its contexts may have at most {most:,} characters together, got "
                               f"{length:,}")  # fmt: skip
        return Item(question, tuple(contexts), options.get("top", 3))

    def run(self, items: Sequence[Item]) -> list[Any]:
        """`Answered` for each item. Between two batches of windows, a pass that nobody waits for is ended."""
        return [self.answered(item) for item in items]

    def answered(self, item: Item) -> Answered | Refused:
        def still_waited_for(done: int, of: int) -> None:
            if item.given_up.is_set():
                raise GivenUp

        report = Report()
        try:
            still_waited_for(0, 1)
            found = self.reader.ask(item.question, list(item.contexts), top=item.top, report=report,
                                    progress=still_waited_for)  # fmt: skip
        except GivenUp:
            return Refused(503, "the question was given up: nobody waits for its answer")
        if not isfinite(found[0].score) and found[0].document is None and len(found) == 1:
            return Refused(422, "the contexts hold nothing that could be an answer")
        notes = [one.sentence if one.kind != "long question" else f"the question: {one.sentence}"
                 for one in report.problems]  # fmt: skip
        return Answered(tuple(found), tuple(map(str, notes)))

    def warm(self, batch: int) -> None:
        self.run([Item("what is warm?", ("the first pass is warm.",), 1)])

    def close(self) -> None:
        self.reader = None


def visible(text: str) -> bool:
    """Whether a text has a character that can be seen: zero-width spaces are none, and no white space either."""
    return any(one.isprintable() and not one.isspace() for one in text)


def load(where: Place, *, threads: int = 0, max_pixels: int = Settings.max_pixels) -> Questions:
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
