"""Answer questions: train a net on questions about texts, evaluate it, and use it as a reader.

reader = reslab.qa.load("runs/squad-sds")         # the folder of a finished training
reader.ask("Who wrote it?", [text, another])      # the best answers: text, probability, position
reader.ask(["Who?", "When?"], {"a.txt": text})    # many questions at once, many texts, of any length
reader.save("reader")                             # a self-contained folder
"""

from reslab.qa.reader import Answer, Reader, load

__all__ = ["Answer", "Reader", "load"]
