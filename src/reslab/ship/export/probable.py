"""A net whose outputs are probabilities already: a second softmax would flatten them."""

from torch import Tensor, nn

from reslab.errors import ReslabError
from reslab.images.data.images import ImageData, Shape
from reslab.images.data.normalize import Normalize
from reslab.look.graph.example import scores
from reslab.nets.words import Loaded
from reslab.ship.export.images_data import examples, noise, parts_of
from reslab.ship.export.images_graph import ImagesGraph, run

FEW = 32  # examples that are looked at
ROUNDED = 1e-4  # a row of probabilities sums to 1 within this
LEAST = 1e-30  # a probability of 0 as a score
TOLD = ("the net's outputs are probabilities already (never negative, each row sums to 1): they are taken as they are, "
        "and the scores of the export are their logarithms")  # fmt: skip
BETWEEN = ("all outputs of the net lie between 0 and 1: if it ends in a sigmoid, its probabilities are taken through "
           "another one; export it without")  # fmt: skip


class LogOf(nn.Module):
    """z = log p, so that softmax(z) = p: everything after it takes scores."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return scores(self.net(x)).float().clamp_min(LEAST).log()


def as_scores(
    found: Loaded, data: ImageData | None, shape: Shape, normalize: Normalize
) -> tuple[nn.Module, list[str]]:  # fmt: skip
    """(the model in eval mode, as one that gives scores; what is to be said of it).

    A run's net was trained with the softmax of what it gives, whatever that is, and stays.
    """
    model = found.model.eval()
    if found.run is not None:
        return model, []
    some = noise(FEW, shape, seed=2)
    if data is not None:
        some = examples(parts_of(data, None).proof, FEW, size=shape[1:], where="")
    try:
        given = run(ImagesGraph(model, normalize.to("cpu"), size=shape[1:]), some.inputs["images"])["scores"]
    except ReslabError:  # who exports it says so
        return model, []
    if given.ndim != 2 or given.shape[1] < 2 or given.min() < 0 or given.max() > 1 + ROUNDED:
        return model, []
    if data is not None and data.several:
        return model, [BETWEEN]
    if (abs(given.sum(axis=1) - 1) <= ROUNDED).all():
        return LogOf(model).eval(), [TOLD]
    return model, []
