"""Which tensors of a net are its head: those whose shape follows the number of classes."""

from dataclasses import replace

from reslab.nets.catalog import Spec
from reslab.nets.meta import shapes_of

Shape = tuple[int, ...]
Head = dict[str, tuple[int, ...]]  # by tensor: the dimensions that are as long as there are classes


def head_of(spec: Spec, shapes: dict[str, Shape] | None = None) -> Head:
    """The tensors of a net's head: the shapes of the net are compared with those of one with another class more.

    `shapes`: those of the net, if they are known.
    """
    shapes = shapes or shapes_of(spec)
    more = shapes_of(replace(spec, classes=spec.classes + 1))
    return {name: tuple(i for i, (a, b) in enumerate(zip(shapes[name], more[name], strict=True)) if a != b)
            for name in shapes if name in more and shapes[name] != more[name]}  # fmt: skip


def with_classes(shapes: dict[str, Shape], head: Head, classes: int) -> dict[str, Shape]:
    """The shapes of the same net with another number of classes."""
    return {name: tuple(classes if i in head.get(name, ()) else n for i, n in enumerate(shape))
            for name, shape in shapes.items()}  # fmt: skip
