"""Answer questions: train a net on questions about texts, evaluate it, and use it as a reader.

reader = reslab.qa.load("runs/squad-sds")         # the folder of a finished training
reader.ask("Who wrote it?", [text, another])      # the best answers: text, probability, position
reader.ask(["Who?", "When?"], {"a.txt": text})    # many questions at once, many texts, of any length
reader.save("reader")                             # a self-contained folder

Modules are imported on first use: an exported reader (reslab.ship) needs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reslab.qa.asking import Answer
    from reslab.qa.reader import Reader, load

HOME = {"Answer": "asking", "Reader": "reader", "load": "reader"}  # public name: its module here

__all__ = ["Answer", "Reader", "load"]


if not TYPE_CHECKING:  # otherwise a type checker accepts any name

    def __getattr__(name: str) -> object:
        if name not in HOME:
            raise AttributeError(f"module 'reslab.qa' has no attribute {name!r}")
        return getattr(import_module(f"reslab.qa.{HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
