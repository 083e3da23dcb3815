"""Which modules of a model could be removed as blocks: the entries of lists around residual connections."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from reslab.look.graph.merges import Merge
from reslab.look.graph.questions import MOVING

FOLLOWS = " follows the addition and would remain"  # in Merge.why
Lists = nn.Sequential | nn.ModuleList


@dataclass(frozen=True)
class Candidate:
    """A module around residual connections, which may turn out to be a block."""

    module: str
    container: str  # path of the list whose entry it is; "" if there is none
    entries: int  # of the container
    merges: tuple[Merge, ...]  # the outermost residual connections in it

    @property
    def remaining(self) -> list[tuple[str, str]]:
        """The ops that follow the additions and may change numbers, such as a ReLU; each with its module, or ""."""
        found = [merge.why.partition(FOLLOWS) for merge in self.merges]
        ops = [op.split(" (") for op, follows, _ in found if follows]
        return [(op, where[0].rstrip(")") if where else "") for op, *where in ops if op not in MOVING]


def candidates(model: nn.Module, merges: Sequence[Merge]) -> list[Candidate]:
    """The candidates in forward order, each residual connection in one of them or in none."""
    found: dict[str, list[Merge]] = {}
    for merge in merges:
        if not merge.named and (path := home_of(model, merge)):
            found.setdefault(path, []).append(merge)
    out = []
    for path, inside in found.items():
        container, entries = container_of(model, path)
        indices = {merge.index for merge in inside}
        outer = tuple(merge for merge in inside if merge.parent not in indices)
        out.append(Candidate(path, container, entries, outer))
    return out


def home_of(model: nn.Module, merge: Merge) -> str:
    """The module that would be removed with a residual connection; "" if none is recognized.

    It is the innermost entry of a list around it, or, outside of lists, the module that adds. A ModuleList of
    modules that are all of different classes holds the parts of a block (T5): the entry around it is the block.
    """
    around = [path for path in prefixes(merge.module) if container_of(model, path)[1]]
    for path in around:
        if not of_parts(model, path) or path == around[-1]:
            return path
    return merge.path if merge.module == merge.path or merge.module.startswith(f"{merge.path}.") else ""


def prefixes(path: str) -> list[str]:
    """The path and those of the modules around it, innermost first: a.b.c, a.b, a."""
    names = path.split(".") if path else []
    return [".".join(names[:n]) for n in range(len(names), 0, -1)]


def container_of(model: nn.Module, path: str) -> tuple[str, int]:
    """(the list whose entry the module is, its number of entries); ("", 0) if it is none's."""
    parent = path.rpartition(".")[0]
    holder = model.get_submodule(parent)
    return (parent, len(holder)) if isinstance(holder, Lists) and path else ("", 0)


def of_parts(model: nn.Module, path: str) -> bool:
    """Whether the module lies in a ModuleList of modules of different classes."""
    holder = model.get_submodule(path.rpartition(".")[0])
    kinds = [type(entry) for entry in holder.children()]
    return isinstance(holder, nn.ModuleList) and len(kinds) > 1 and len(set(kinds)) == len(kinds)
