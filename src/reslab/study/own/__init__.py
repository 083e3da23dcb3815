"""Data that claims bring along: on every machine with Python and reslab's dependencies, or generated; none is shipped.

They are for claims that images cannot speak to. A claim names them by a word, and its cells by word and fingerprint.
"""

from functools import lru_cache
from importlib import import_module
from typing import Any

OWN = {  # word: the module here whose function `load(word)` gives data with a fingerprint
    "python": "texts",
    "boxes": "questions",
    "pixels": "tables",
    "cancer": "tables",
    "diabetes": "tables",
    "wine": "tables",
    "planted": "tables",
    "unrelated": "tables",
}


@lru_cache(maxsize=4)
def load(word: str) -> Any:
    """The data of a word in OWN."""
    return import_module(f"{__name__}.{OWN[word]}").load(word)


def described(word: str) -> dict[str, Any]:
    """What a cell's settings say of them."""
    return {"word": word, "options": {}, "fingerprint": load(word).fingerprint}
