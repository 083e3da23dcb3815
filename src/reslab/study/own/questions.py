"""Generated questions: a context names boxes and what each holds; the question names a box, the answer is its thing.

Made to be answered only by finding the box in the context and reading on: no word by itself gives the answer, and every
answer stands in many contexts. Synthetic, and so much easier than people's questions.
"""

import random

from reslab.qa.data.question import Answer, Question, Report
from reslab.qa.data.questions import QuestionData, fingerprint

COLORS = ("red", "blue", "green", "white", "black", "brown", "pink", "gray")
THINGS = ("coin", "lamp", "pear", "book", "ring", "shoe", "cup", "key")
BOXES = 5  # in a context
PARTS = {"train": 4000, "dev": 200, "test": 500}


def load(word: str) -> QuestionData:
    """The same questions in every version of Python: only random() is used, which is guaranteed to stay as it is."""
    coin, parts = random.Random("boxes"), {}
    for part, many in PARTS.items():
        parts[part] = tuple(question(f"{part}-{i}", coin) for i in range(many))
    return QuestionData(name=word, **parts, about="generated: which thing is in the box of this color",
                        fingerprint=fingerprint(parts), report=Report())  # fmt: skip


def question(name: str, coin: random.Random) -> Question:
    colors, things = (sorted(words, key=lambda _: coin.random())[:BOXES] for words in (COLORS, THINGS))
    asked, context, start = int(coin.random() * BOXES), "", 0
    for i, (color, thing) in enumerate(zip(colors, things, strict=True)):
        context += f"{color} "
        if i == asked:
            start = len(context)
        context += f"{thing} . "
    return Question(id=name, question=colors[asked], context=context.strip(), answers=(Answer(things[asked], start),))
