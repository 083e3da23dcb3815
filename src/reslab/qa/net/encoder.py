"""A small text encoder, trained from scratch: a transformer in which every addition is a Residual.

Vaswani et al. 2017 (arXiv 1706.03762), with the norm before each branch (Xiong et al. 2020, arXiv 2002.04745).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from reslab.blocks import Residual
from reslab.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class EncoderSpec:
    """Everything that defines an encoder; plain data, stored as JSON."""

    vocab: int  # number of tokens of its tokenizer
    hidden: int = 128
    layers: int = 4
    heads: int = 4
    mlp: int = 4  # width of the MLP as a multiple of hidden
    length: int = 512  # largest number of tokens: the number of positions
    types: int = 2  # question and context
    dropout: float = 0.1

    def check(self) -> None:
        """Raise UsageError if it cannot be built."""
        for key in ("vocab", "hidden", "layers", "heads", "mlp", "length", "types"):
            value = getattr(self, key)
            if type(value) is not int or value < 1:
                raise UsageError(f"an encoder's {key} must be a positive whole number, got {value!r}")
        if self.hidden % self.heads:
            raise UsageError(f"an encoder's hidden must be a multiple of its heads, got {self.hidden} and {self.heads}")
        if not (isinstance(self.dropout, int | float) and 0 <= self.dropout < 1):
            raise UsageError(f"an encoder's dropout must be from 0 to below 1, got {self.dropout!r}")


class Encoder(nn.Module):
    """Embeddings, layers, norm. Token ids (B, L) to vectors (B, L, hidden); padding does not affect other tokens."""

    def __init__(self, spec: EncoderSpec) -> None:
        super().__init__()
        spec.check()
        self.spec = spec
        self.tokens = nn.Embedding(spec.vocab, spec.hidden)
        self.positions = nn.Embedding(spec.length, spec.hidden)
        self.types = nn.Embedding(spec.types, spec.hidden)
        self.dropout = nn.Dropout(spec.dropout)
        self.layers = nn.ModuleList(EncoderLayer(spec) for _ in range(spec.layers))
        self.norm = nn.LayerNorm(spec.hidden)
        self.checkpointing = False
        initialize(self)

    @property
    def hidden(self) -> int:
        return self.spec.hidden

    @property
    def longest(self) -> int:
        return self.spec.length

    def forward(self, ids: Tensor, mask: Tensor | None = None, types: Tensor | None = None) -> Tensor:
        """`mask` (B, L): the real tokens; `types` (B, L): 0 in the question, 1 in the context (default: 0).

        Raises UsageError for more tokens than positions.
        """
        length = ids.shape[1]
        if length > self.longest:
            raise UsageError(
                f"windows of {length} tokens do not fit this encoder; use windows of at most {self.longest}"
            )
        types = torch.zeros_like(ids) if types is None else types
        places = self.positions(torch.arange(length, device=ids.device))
        x = self.dropout(self.tokens(ids) + self.types(types) + places)
        seen = None if mask is None else mask.bool()[:, None, None, :]  # for every head and query
        for layer in self.layers:
            if self.checkpointing and layer.training:
                x = checkpoint(layer, x, seen, use_reentrant=False)
            else:
                x = layer(x, seen)
        return self.norm(x)

    @property
    def depth(self) -> int:
        return len(self.layers)

    def trainable(self, last: int) -> Sequence[nn.Module]:
        """The `last` layers and the norm after them. Raises UsageError for more layers than there are."""
        return [*last_of(self.layers, last), self.norm] if last else []

    def checkpoint(self, on: bool) -> None:
        """Whether to keep only each layer's input and recompute the layer in the backward pass, to save memory."""
        self.checkpointing = on


class EncoderLayer(nn.Module):
    """x + attention(x), then x + MLP(x). (B, L, hidden) to the same shape."""

    def __init__(self, spec: EncoderSpec) -> None:
        super().__init__()
        self.attention = Residual(Attention(spec), nn.Identity())
        self.mlp = Residual(
            nn.Sequential(
                nn.LayerNorm(spec.hidden),
                nn.Linear(spec.hidden, spec.mlp * spec.hidden),
                nn.GELU(),
                nn.Linear(spec.mlp * spec.hidden, spec.hidden),
                nn.Dropout(spec.dropout),
            ),
            nn.Identity(),
        )

    def forward(self, x: Tensor, seen: Tensor | None = None) -> Tensor:
        return self.mlp(self.attention(x, seen))


class Attention(nn.Module):
    """Self-attention to the tokens in the mask `seen` (B, 1, 1, L); None: to all tokens."""

    def __init__(self, spec: EncoderSpec) -> None:
        super().__init__()
        self.heads, self.drop = spec.heads, spec.dropout
        self.norm = nn.LayerNorm(spec.hidden)
        self.qkv = nn.Linear(spec.hidden, 3 * spec.hidden)
        self.out = nn.Linear(spec.hidden, spec.hidden)
        self.dropout = nn.Dropout(spec.dropout)

    def forward(self, x: Tensor, seen: Tensor | None = None) -> Tensor:
        q, k, v = self.qkv(self.norm(x)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # (B, heads, L, d)
        drop = self.drop if self.training else 0.0
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=seen, dropout_p=drop)
        return self.dropout(self.out(y.transpose(1, 2).flatten(2)))


def last_of(layers: nn.ModuleList, last: int) -> Sequence[nn.Module]:
    """The `last` layers. Raises UsageError for more than there are."""
    if last > len(layers):
        raise UsageError(f"train_last must be at most the encoder's {len(layers)} layers, got {last}")
    return list(layers)[len(layers) - last :]


def initialize(encoder: Encoder) -> None:
    """Weights of standard deviation 0.02, biases zero."""
    for module in encoder.modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)
    # Each of the 2 * layers branches adds to the stream; scaled like this, their sum has the same variance at any depth
    # (GPT-2, Radford et al. 2019, section 2.3).
    scale = 1 / math.sqrt(2 * len(encoder.layers))
    for block in encoder.modules():
        if isinstance(block, Residual):
            last = [m for m in block.branch.modules() if isinstance(m, nn.Linear)][-1]
            nn.init.normal_(last.weight, std=0.02 * scale)
