"""The versions of what made an export, for config.json."""

from reslab.extras import installed
from reslab.ship.record import EngineName
from reslab.version import __version__

PACKAGES: dict[EngineName, tuple[str, ...]] = {
    "openvino": ("torch", "openvino", "nncf"),
    "onnx": ("torch", "onnx", "onnxscript", "onnxruntime", "nncf"),
    "torch": ("torch",),
}


def versions(engine: EngineName) -> dict[str, str]:
    """Of reslab and of the packages that export for the engine, as far as they are installed."""
    found = {name: version for name in PACKAGES[engine] if (version := installed(name)) is not None}
    return {"reslab": __version__, **found}
