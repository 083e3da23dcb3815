"""Public names whose modules are imported on first use."""

from importlib import import_module
from types import ModuleType

import pytest

PACKAGES = ("reslab", *(f"reslab.{name}" for name in ("nets", "images.data", "qa", "tables", "slim", "ship")))


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_there_and_no_other(package: str) -> None:
    module = import_module(package)
    assert dir(module) == sorted(module.__all__)
    assert set(module.HOME) <= set(module.__all__)
    assert all(hasattr(module, name) for name in module.__all__)
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'none'"):
        _ = module.none


def test_a_public_name_without_a_home_is_a_module() -> None:
    import reslab

    for name in ("look", "qa", "slim", "tables", "train"):
        assert isinstance(found := getattr(reslab, name), ModuleType)
        assert found.__name__ == f"reslab.{name}"
