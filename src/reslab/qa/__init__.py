"""Answer questions: train a net on questions about texts, judge it, and let it read.

reader = reslab.qa.load("runs/squad-sds")         # the folder of a training
reader.ask("Who wrote it?", [text, another])      # the best answers: text, probability, where it stands
reader.ask(["Who?", "When?"], {"a.txt": text})    # many questions at once, many texts, of any length
reader.save("reader")                             # a folder that loads alone
"""

from reslab.qa.reader import Answer, Reader, load

__all__ = ["Answer", "Reader", "load"]
