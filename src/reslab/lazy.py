"""Public names of a package whose modules are imported on first use."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module


def lazy(
    package: str, home: Mapping[str, str], public: Sequence[str]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """The `__getattr__` and `__dir__` of a package with these `public` names.

    home: public name: the module that has it, ".module" for one of the package. Any other public name is a module of
    the package itself.
    """

    def get(name: str) -> object:
        if name in home:
            return getattr(import_module(home[name], package), name)
        if name in public:
            return import_module(f".{name}", package)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return get, lambda: sorted(public)
