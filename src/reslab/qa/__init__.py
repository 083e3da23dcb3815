"""Answer questions: train a net on questions about texts, evaluate it, and use it as a reader.

reader = reslab.qa.load("runs/squad-sds")         # the folder of a finished training
reader.ask("Who wrote it?", [text, another])      # the best answers: text, probability, position
reader.ask(["Who?", "When?"], {"a.txt": text})    # many questions at once, many texts, of any length
reader.save("reader")                             # a self-contained folder

Modules are imported on first use: an exported reader (reslab.ship) needs no torch.
"""

from typing import TYPE_CHECKING

from reslab.lazy import lazy

if TYPE_CHECKING:
    from reslab.qa.asking import Answer
    from reslab.qa.reader import Reader, load

HOME = {"Answer": ".asking", "Reader": ".reader", "load": ".reader"}  # public name: its module here

__all__ = ["Answer", "Reader", "load"]

if not TYPE_CHECKING:  # otherwise a type checker accepts any name
    __getattr__, __dir__ = lazy(__name__, HOME, __all__)
