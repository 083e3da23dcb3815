"""The words - and -- as values of --missing, which a parser would take for options."""

from collections.abc import Sequence

TAKES = "--missing"


def joined(words: Sequence[str]) -> list[str]:
    """The words; - and -- among the values of --missing as --missing=-, which means the same."""
    found, inside = [], False
    for word in words:
        if word in ("-", "--") and inside:
            found.append(f"{TAKES}={word}")
            continue
        inside = word.partition("=")[0] == TAKES or (inside and not word.startswith("--"))
        found.append(word)
    if TAKES in found and found.index(TAKES) + 1 < len(found) and found[found.index(TAKES) + 1].startswith(f"{TAKES}="):
        found.remove(TAKES)
    return found
