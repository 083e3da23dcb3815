"""How a checkpoint's tensors were matched to a net's."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Match:
    """How a checkpoint's tensors were matched to a net's."""

    how: str  # "by name" or "by order and shape"
    pairs: tuple[tuple[str, str], ...]  # (our name, theirs)
    missing: tuple[str, ...] = ()  # ours without a match (strict=False only)
    unused: tuple[str, ...] = ()  # theirs without a match (strict=False), or outside the part that is the net
    source: str = ""  # which of several sets of weights in the file; "" if there is one
    warning: str | None = None
    certain: bool = False  # whether names show that the trained net computed something else, as the warning says

    def __str__(self) -> str:
        left = f"; {len(self.missing)} missing, {len(self.unused)} unused" if self.missing or self.unused else ""
        left += f"; {self.source}" if self.source else ""
        return f"{len(self.pairs)} tensors matched {self.how}{left}" + (f"; {self.warning}" if self.warning else "")
