"""Baselines of the gated network on the same X (N, F, E): an MLP, and the ResNet for tables.

Gorishniy et al. 2021, "Revisiting Deep Learning Models for Tabular Data" (arXiv 2106.11959), section 3.
"""

from torch import nn

from reslab.blocks import Residual
from reslab.nets.dropout import Dropout


def mlp(inputs: int, *, width: int, depth: int, outputs: int, dropout: float) -> nn.Sequential:
    """Linear, ReLU, Dropout, depth times, on vec X of `inputs` numbers; then a linear layer."""
    layers = nn.Sequential()
    layers.add_module("flatten", nn.Flatten())
    for i in range(1, depth + 1):
        layers.add_module(f"linear{i}", nn.Linear(inputs if i == 1 else width, width))
        layers.add_module(f"relu{i}", nn.ReLU())
        layers.add_module(f"dropout{i}", Dropout(dropout))
    layers.add_module("head", nn.Linear(width, outputs))
    return layers


def resnet(inputs: int, *, width: int, inner: int, depth: int, outputs: int, dropout: float) -> nn.Sequential:
    """h = Linear(vec X); depth times h <- h + branch(h); Linear(ReLU(BatchNorm(h))).

    branch: Dropout(Linear(Dropout(ReLU(Linear(BatchNorm(h)))))), of `inner` numbers inside. In training, BatchNorm
    needs batches of two rows or more.
    """
    layers = nn.Sequential()
    layers.add_module("flatten", nn.Flatten())
    layers.add_module("linear", nn.Linear(inputs, width))
    for i in range(1, depth + 1):
        branch = nn.Sequential()
        branch.add_module("norm", nn.BatchNorm1d(width))
        branch.add_module("linear1", nn.Linear(width, inner))
        branch.add_module("relu", nn.ReLU())
        branch.add_module("dropout1", Dropout(dropout))
        branch.add_module("linear2", nn.Linear(inner, width))
        branch.add_module("dropout2", Dropout(dropout))
        layers.add_module(f"block{i}", Residual(branch, nn.Identity()))
    layers.add_module("norm", nn.BatchNorm1d(width))
    layers.add_module("relu", nn.ReLU())
    layers.add_module("head", nn.Linear(width, outputs))
    return layers
