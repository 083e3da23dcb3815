"""The versions of what made an export, for config.json."""

import importlib.metadata

from reslab.ship.record import EngineName
from reslab.version import __version__

PACKAGES: dict[EngineName, tuple[str, ...]] = {
    "openvino": ("torch", "openvino", "nncf"),
    "onnx": ("torch", "onnx", "onnxscript", "onnxruntime", "nncf"),
    "torch": ("torch",),
}


def versions(engine: EngineName) -> dict[str, str]:
    """Of reslab and of the packages that export for the engine, as far as they are installed."""
    found = {"reslab": __version__}
    for name in PACKAGES[engine]:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
