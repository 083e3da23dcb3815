"""The net for questions, an encoder and a head, built from a spec that the run folder stores."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from reslab.errors import UsageError, nearest
from reslab.nets.heads import BiLSTMHead, ConvSDSHead, Head, LinearHead, Scores, TokenConvHead
from reslab.nets.specs import make, of_family, read_stored
from reslab.qa.net.encoder import Encoder, EncoderSpec
from reslab.qa.net.pretrained import Pretrained, pretrained
from reslab.run import Run

HeadName = Literal["linear", "sds", "tokens", "bilstm"]
SHORTCUTS = ("identity", "none")
LAYERS = {"linear": 0, "sds": 5, "tokens": 5, "bilstm": 1}  # sds: as published


@dataclass(frozen=True, kw_only=True)
class QASpec:
    """Everything that defines a net for questions; plain data, stored as JSON."""

    name: str
    encoder: EncoderSpec | str  # reslab's, or a transformers folder or a name on the Hugging Face Hub
    head: HeadName = "sds"
    layers: int | None = None  # of the head; None: as in LAYERS
    length: int = 512  # tokens of a window, question and context together
    train_last: int | None = None  # number of the encoder's last layers to train; None: whole encoder; 0: frozen
    answerable: bool = False  # whether the head predicts if there is an answer at all, as in SQuAD 2
    shortcut: Literal["identity", "none"] = "identity"  # "none": the plain twin of the SDS head

    family: ClassVar[str] = "qa"

    @property
    def depth(self) -> int:
        """Number of residual layers in the head."""
        return LAYERS[self.head] if self.layers is None else self.layers

    def check(self) -> None:
        """Raise UsageError if it cannot be built."""
        if self.head not in LAYERS:
            raise UsageError(
                f"head must be one of {', '.join(LAYERS)}, got {self.head!r}{nearest(str(self.head), LAYERS)}"
            )
        for key, least in (("layers", 0), ("length", 1), ("train_last", 0)):
            value = getattr(self, key)
            if value is None and key != "length":
                continue
            if type(value) is not int or value < least:
                raise UsageError(f"{key} must be a whole number of at least {least}, got {value!r}")
        if self.head == "linear" and self.layers:
            raise UsageError(f"the linear head has no layers, got {self.layers}; choose another head or omit layers")
        if self.shortcut not in SHORTCUTS:
            raise UsageError(f"shortcut must be {' or '.join(SHORTCUTS)}, got {self.shortcut!r}")
        if self.shortcut == "none" and self.head != "sds":
            raise UsageError(f"shortcut 'none' is the plain twin of the head 'sds', but this head is {self.head!r}")
        if not isinstance(self.answerable, bool):
            raise UsageError(f"answerable must be true or false, got {self.answerable!r}")
        if isinstance(self.encoder, EncoderSpec):
            self.encoder.check()
        elif not (isinstance(self.encoder, str) and self.encoder):
            raise UsageError(f"encoder must be an EncoderSpec, a folder or a name on the hub, got {self.encoder!r}")


def build_head(spec: QASpec, hidden: int) -> Head:
    """The spec's head on an encoder of width `hidden`, initialized from torch's current random state."""
    spec.check()
    if spec.head == "linear":
        return LinearHead(hidden, answerable=spec.answerable)
    if spec.head == "sds":
        return ConvSDSHead(spec.depth, spec.length, hidden, answerable=spec.answerable,
                           skip=spec.shortcut == "identity")  # fmt: skip
    if spec.head == "tokens":
        return TokenConvHead(spec.depth, hidden, answerable=spec.answerable)
    return BiLSTMHead(spec.depth, hidden, answerable=spec.answerable)


class QANet(nn.Module):
    """Encoder, then head. forward(ids, mask, types, context) gives Scores; the arguments are (B, L) or None.

    `train_last` k: only the encoder's last k layers are trained (None: all). The rest gets no gradient and stays in
    eval mode even after train(), since dropout in frozen layers would only add noise.
    """

    def __init__(self, encoder: nn.Module, head: Head, *, train_last: int | None = None) -> None:
        super().__init__()
        self.encoder = encoder if isinstance(encoder, Encoder | Pretrained) else Pretrained(encoder)
        self.head = head
        self.train_last = train_last
        if train_last is not None:
            trained = self.encoder.trainable(train_last)
            self.encoder.requires_grad_(False)
            for module in trained:
                module.requires_grad_(True)
            self.train(self.training)

    def forward(
        self, ids: Tensor | None = None, mask: Tensor | None = None, types: Tensor | None = None,
        context: Tensor | None = None, *, features: Tensor | None = None,
    ) -> Scores:  # fmt: skip
        """`features` (B, L, hidden): stored outputs of the encoder for these windows, instead of ids and types."""
        x = self.encoder(ids, mask, types) if features is None else features.to(self.head.span.weight.dtype)
        return self.head.scores(x, mask, context)

    def train(self, mode: bool = True) -> "QANet":
        super().train(mode)
        if mode and self.train_last is not None:
            self.encoder.eval()
            for module in self.encoder.trainable(self.train_last):
                module.train()
        return self

    def rate_layers(self) -> list[list[nn.Parameter]]:
        """All parameters from the input to the head, for layer_decay: embeddings, each layer of the encoder, the head.

        Modules after the encoder's last layer count with that layer. Raises UsageError if its layers are not found.
        """
        depth = self.encoder.depth
        layers = [list(module.parameters()) for module in self.encoder.trainable(depth)]
        layers[depth - 1 :] = [[weight for layer in layers[depth - 1 :] for weight in layer]]
        known = {weight for layer in layers for weight in layer}
        embeddings = [weight for weight in self.encoder.parameters() if weight not in known]
        return [embeddings, *layers, list(self.head.parameters())]

    def checkpoint(self, on: bool = True) -> None:
        """Switch gradient checkpointing in the trained layers of the encoder."""
        self.encoder.checkpoint(on)


def parameters(net: nn.Module) -> tuple[int, int]:
    """(number of parameters, number of trained parameters)."""
    return sum(p.numel() for p in net.parameters()), sum(p.numel() for p in net.parameters() if p.requires_grad)


def build_qa(spec: QASpec, *, shape: Path | str | None = None) -> QANet:
    """The net of a spec, with net.spec. Only an encoder from transformers gets pretrained weights.

    `shape`: a folder with that encoder's config.json, to build it without weights if they are loaded next. Raises
    UsageError if the window is longer than the encoder allows, and the errors of `pretrained`.
    """
    spec.check()
    encoder: Encoder | Pretrained
    if isinstance(spec.encoder, EncoderSpec):
        encoder = Encoder(spec.encoder)
    else:
        encoder = pretrained(spec.encoder) if shape is None else pretrained(shape, weights=False)
    if encoder.longest is not None and spec.length > encoder.longest:
        raise UsageError(f"length must be at most {encoder.longest}, the encoder's limit, got {spec.length}")
    net = QANet(encoder, build_head(spec, encoder.hidden), train_last=spec.train_last)
    net.spec = spec  # type: ignore[assignment]
    return net


def to_dict(spec: QASpec) -> dict[str, Any]:
    """The spec as JSON-ready data; `from_dict` restores it."""
    return {"family": spec.family, **asdict(spec), "layers": spec.depth}


def from_dict(data: dict[str, Any]) -> QASpec:
    """The spec that `to_dict` wrote. Raises UsageError for another family or an unknown field."""
    values = dict(data)
    if isinstance(values.get("encoder"), dict):
        values["encoder"] = make(EncoderSpec, values["encoder"], "an encoder's spec")
    spec: QASpec = of_family(values, {QASpec.family: QASpec}, "a spec for questions")
    return spec


def read_qa_spec(run: Run) -> QASpec:
    """The spec of a run folder whose net is for questions. Raises as `read_stored` does."""
    return read_stored(run, "questions", from_dict)
