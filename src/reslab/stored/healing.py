"""Keys and types of what `reslab slim` stores in the run folder of a net that is healed."""

from typing import Required, TypedDict

from reslab.stored.numbers import Real


class Teacher(TypedDict, total=False):
    """teacher.json: what the net learns from, and how."""

    teacher: Required[str]  # digest of its weights
    weight: Required[Real]
    temperature: Required[Real]
    features: Required[Real]
