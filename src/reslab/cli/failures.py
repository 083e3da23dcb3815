"""What a failure that no command foresees is called, and the exit code of any."""

import sys

from reslab.cli import say
from reslab.errors import ReslabError
from reslab.train.supervised import AGAIN, supervised


def exit_code(error: BaseException) -> int:
    """1, or an error's own; for a supervisor AGAIN where the failure may be gone at the next try."""
    if supervised() and "torch" in sys.modules:  # without it nothing has been trained
        from reslab.train.passing import may_pass

        if may_pass(error):
            return AGAIN
    return int(getattr(error, "exit_code", 1))


def sentence(error: BaseException) -> str:
    """What is said of any failure."""
    if isinstance(error, ReslabError):
        return say.words(error)
    return unforeseen(error) if isinstance(error, Exception) else f"ended by {type(error).__name__}"


def unforeseen(error: Exception) -> str:
    """A sentence for an unexpected error."""
    text = str(error).strip().splitlines()
    sentence = f"{type(error).__name__}: {text[0] if text else 'no message'}"
    if type(error).__name__ == "OutOfMemoryError" or "MPS backend out of memory" in sentence:
        return "out of memory on the device; a smaller --batch or --size may fit"
    if "DefaultCPUAllocator" in sentence:  # torch raises a RuntimeError
        return "out of memory; a smaller --batch or --size may fit"
    return f"{sentence} (unexpected: please report it with the output of --debug)"
