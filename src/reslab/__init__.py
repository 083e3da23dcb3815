"""reslab, the laboratory for residual networks: build them, train them, look inside any residual PyTorch model.

    import reslab
    net = reslab.net("resnet56", classes=10, shortcut="A")
    net.spec
    reslab.model("timm:resnet18")
    reslab.train("photos/", lr=0.01).model.predict("a.jpg")
    reslab.look.find(net, torch.randn(2, 3, 32, 32))
    reslab.qa.load("runs/squad").ask("Who wrote it?", text)
    reslab.tables.ResidualClassifier().fit(table, target)
    reslab.predict("shipped")("a.jpg")        # what `reslab export` wrote; without torch

Nothing heavy is imported until a name is used.
"""

from typing import TYPE_CHECKING

from reslab.lazy import lazy
from reslab.version import __version__

if TYPE_CHECKING:
    from reslab import look, qa, slim, tables
    from reslab.errors import ReslabError, UsageError
    from reslab.images.model import load
    from reslab.nets import build, net, spec
    from reslab.nets.words import model
    from reslab.ship.predict import predict
    from reslab.subject.train import train

HOME = {  # public name: the module that has it; the others are modules, and `train` is a function, too
    "ReslabError": "reslab.errors",
    "UsageError": "reslab.errors",
    "build": "reslab.nets",
    "load": "reslab.images.model",
    "model": "reslab.nets.words",
    "net": "reslab.nets",
    "predict": "reslab.ship.predict",
    "spec": "reslab.nets",
}

__all__ = [
    "ReslabError",
    "UsageError",
    "__version__",
    "build",
    "load",
    "look",
    "model",
    "net",
    "predict",
    "qa",
    "slim",
    "spec",
    "tables",
    "train",
]

if not TYPE_CHECKING:  # otherwise a type checker accepts any name
    __getattr__, __dir__ = lazy(__name__, HOME, __all__)
