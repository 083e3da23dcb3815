"""Ship a model: a folder that predicts without PyTorch, proved equal to the model it was made of, and served.

    found = reslab.ship.export("runs/cifar", to="openvino", out="shipped")   # converted, compared, written
    model = reslab.predict("shipped")                                        # no torch is imported
    model("a.jpg")

`reslab export`, `reslab predict` and `reslab serve` do the same on the command line. Modules are imported on first use.
"""

from typing import TYPE_CHECKING

from reslab.lazy import lazy

if TYPE_CHECKING:
    from reslab.ship.export.job import export
    from reslab.ship.export.proof import NotEqual
    from reslab.ship.export.results import Exported
    from reslab.ship.folder import is_exported, read_config
    from reslab.ship.hub.publish import publish
    from reslab.ship.hub.upload import push
    from reslab.ship.record import Config, Port

HOME = {  # public name: its module here; `export` is a package that is also a function
    "Config": ".record",
    "Exported": ".export.results",
    "NotEqual": ".export.proof",
    "Port": ".record",
    "is_exported": ".folder",
    "publish": ".hub.publish",
    "push": ".hub.upload",
    "read_config": ".folder",
}

__all__ = [
    "Config", "Exported", "NotEqual", "Port", "export", "is_exported", "publish", "push", "read_config",
]  # fmt: skip

if not TYPE_CHECKING:  # otherwise a type checker accepts any name
    __getattr__, __dir__ = lazy(__name__, HOME, __all__)
