"""The names that torchvision and timm give the tensors of a ResNet, and those of reslab's ResNets."""

import re
from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")
RULES = (  # theirs, ours; stages count from 1 there
    (r"^conv1\.", "stem.conv."),
    (r"^bn1\.", "stem.norm."),
    (r"^layer(\d+)\.(\d+)\.conv(\d)\.", "stages.{0}.{1}.branch.conv{2}."),
    (r"^layer(\d+)\.(\d+)\.bn(\d)\.", "stages.{0}.{1}.branch.norm{2}."),
    (r"^layer(\d+)\.(\d+)\.downsample\.0\.", "stages.{0}.{1}.shortcut.conv."),
    (r"^layer(\d+)\.(\d+)\.downsample\.1\.", "stages.{0}.{1}.shortcut.norm."),
    (r"^fc\.", "head."),
)


def our_name(name: str) -> str | None:
    """The name of one of their tensors in reslab's ResNets: layer2.0.bn1.weight -> stages.1.0.branch.norm1.weight.

    None for a name that a ResNet of torchvision and timm does not have.
    """
    for theirs, ours in RULES:
        if found := re.match(theirs, name):
            groups = [str(int(found[1]) - 1), *found.groups()[1:]] if found.groups() else []
            return ours.format(*groups) + name[found.end() :]
    return None


def in_our_names(state: Mapping[str, T]) -> dict[str, T] | None:
    """The tensors by reslab's names; None unless all names are those of a ResNet of torchvision or timm."""
    found = {our_name(name): value for name, value in state.items()}
    return None if None in found or len(found) < len(state) else {str(name): value for name, value in found.items()}
