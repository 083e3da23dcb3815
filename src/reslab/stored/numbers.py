"""Types of stored numbers, bounded so that no sum of them overflows."""

from typing import Annotated

from msgspec import Meta

from reslab.stored.bounds import LARGEST, MOST

Whole = Annotated[int, Meta(ge=-MOST, le=MOST)]
Seed = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Count = Annotated[int, Meta(ge=0, le=MOST)]
Unbounded = Annotated[int, Meta(ge=0)]  # how many paths a net has
Real = Annotated[float, Meta(ge=-LARGEST, le=LARGEST)]
Number = Real | None  # null where it was not finite
