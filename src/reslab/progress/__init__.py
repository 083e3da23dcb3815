"""Progress of long work: one protocol for whatever reports it, one display for each place where it is shown.

    with shown("digits-resnet8", unit="images") as progress:
        progress(3, 40, "loss 1.2000")

A display never ends the work: with a full disk, a closed pipe or a closed terminal, only the output is lost.
"""

from reslab.progress.choose import board, quiet, shown
from reslab.progress.parent import to_parent
from reslab.progress.protocol import Phase, Progress, Rows, Steps, in_phase, silent
from reslab.progress.stream import Lasting

__all__ = [
    "Lasting",
    "Phase",
    "Progress",
    "Rows",
    "Steps",
    "board",
    "in_phase",
    "quiet",
    "shown",
    "silent",
    "to_parent",
]
