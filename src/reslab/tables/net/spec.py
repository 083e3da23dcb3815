"""The spec of a net for tables as plain data, its presets, and its validation."""

from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

from reslab.errors import UsageError, nearest
from reslab.nets.specs import of_family

NetName = Literal["gated", "mlp", "resnet"]
NETS = ("gated", "mlp", "resnet")
DEEPEST = 1000
NUMBER_EMBEDDINGS = ("linear", "piecewise")
SHORTCUTS = ("identity", "none")
SHARED = {
    "embedding": 24,
    "embedding_std": 0.3,
    "number_embedding": "piecewise",
    "bins": 32,
    "normalize": True,
    "embedding_dropout": 0.0,
    "drop_path": 0.0,
}
GATED = {**SHARED, "net": "gated", "width": 160, "inner": 160, "depth": 3, "dropout": 0.15,
         "attention": True, "reread": True, "direct": True, "bag_decay": 0.015}  # fmt: skip
PLAIN = {**SHARED, "attention": False, "reread": False}
PRESETS: dict[str, dict[str, Any]] = {
    "published": {
        **GATED, "embedding": 64, "embedding_std": 0.02, "normalize": False, "number_embedding": "linear", "width": 512,
        "inner": 1024, "depth": 18, "dropout": 0.5, "drop_path": 0.5,  # in every dropout; embeddings have none
        "direct": False, "bag_decay": 0.0,
    },
    "gated": GATED,
    "gated-plain": {**GATED, "attention": False},
    "gated-block": {**GATED, "attention": False, "reread": False},
    "mlp": {**PLAIN, "net": "mlp", "width": 256, "inner": 256, "depth": 3, "dropout": 0.15},
    "resnet": {**PLAIN, "net": "resnet", "width": 192, "inner": 384, "depth": 4, "dropout": 0.15},
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class TableSpec:
    """Everything that defines a net for tables; plain data, stored as JSON. `table_spec` fills it in from a preset."""

    name: str
    net: NetName
    numbers: int = 0  # number of numeric columns
    categories: tuple[int, ...] = ()  # size of each column's vocabulary, including index 0
    bags: tuple[int, ...] = ()  # the same for each multi-valued or text column
    vectors: tuple[int, ...] = ()  # width of each column of frozen vectors
    columns: tuple[str, ...] = ()  # names, in the order numbers, categories, bags, vectors; or none
    outputs: int
    embedding: int  # E
    embedding_std: float  # of its weights at initialization
    width: int  # H
    inner: int  # I: between the two linear layers of a block
    depth: int  # layers, blocks, or the MLP's hidden layers
    dropout: float
    normalize: bool  # BatchNorm of the numbers' and categories' part of X
    embedding_dropout: float  # on X
    drop_path: float  # on the branches that reread X
    attention: bool  # column masks
    reread: bool  # whether each layer rereads X
    number_embedding: Literal["linear", "piecewise"]
    bins: int  # of the piecewise embedding
    rows: int = 0  # training rows; the more, the weaker the regularization of bags; 0: none
    bag_decay: float = 0.0  # L2 regularization of the vectors of bags, for one value per training row
    direct: bool = False  # whether values in bags also have a direct path to the outputs
    linear: bool = False  # whether the net starts from, and adds to, a regression of numbers and categories
    shortcut: Literal["identity", "none"] = "identity"  # "none": the plain twin of the gated net

    family: ClassVar[str] = "table"

    def check(self) -> None:
        """Raise UsageError if it cannot be built."""
        for key, known in (("net", NETS), ("number_embedding", NUMBER_EMBEDDINGS), ("shortcut", SHORTCUTS)):
            value = getattr(self, key)
            if value not in known:
                raise UsageError(f"{key} must be {' or '.join(known)}, got {value!r}{nearest(str(value), known)}")
        if not isinstance(self.name, str):
            raise UsageError(f"name must be a text, got {self.name!r}")
        for key in ("numbers", "rows", "outputs", "embedding", "width", "inner", "depth", "bins"):
            whole(key, getattr(self, key), least=0 if key in ("numbers", "rows") else 1)
        if self.depth > DEEPEST:
            raise UsageError(f"depth must be at most {DEEPEST}, got {self.depth}")
        for key in ("categories", "bags", "vectors"):
            for size in several(key, getattr(self, key)):
                whole(f"each size in {key}", size, least=1)
        for key in ("dropout", "embedding_dropout", "drop_path"):
            value = getattr(self, key)
            if not is_number(value) or not 0 <= value < 1:
                raise UsageError(f"{key} must be a number from 0 to below 1, got {value!r}")
        std = self.embedding_std
        if not is_number(std) or not 0 < std < float("inf"):
            raise UsageError(f"embedding_std must be a number above 0, got {std!r}")
        if not is_number(self.bag_decay) or not 0 <= self.bag_decay < float("inf"):
            raise UsageError(f"bag_decay must be a number of at least 0, got {self.bag_decay!r}")
        for key in ("attention", "reread", "normalize", "direct", "linear"):
            if not isinstance(getattr(self, key), bool):
                raise UsageError(f"{key} must be true or false, got {getattr(self, key)!r}")
        self.check_columns()
        self.check_rereading()
        self.check_shortcut()

    def check_columns(self) -> None:
        n = self.numbers + len(self.categories) + len(self.bags) + len(self.vectors)
        if n == 0:
            raise UsageError("a net for tables needs at least one column: numbers, categories, bags or vectors")
        names = several("columns", self.columns)
        if wrong := [name for name in names if not isinstance(name, str)]:
            raise UsageError(f"each name in columns must be a text, got {wrong[0]!r}")
        if names and len(names) != n:
            raise UsageError(f"columns must name all {n} columns or none, got {len(names)} names")

    def check_rereading(self) -> None:
        if self.net != "gated" and self.reread:
            raise UsageError(f"reread needs the gated net, but this net is {self.net!r}; set it to false")
        if not self.reread and self.attention:
            raise UsageError("attention masks what is reread, so it needs reread")
        if not self.reread and self.drop_path:
            raise UsageError(f"drop_path drops rereading branches; without reread it must be 0, got {self.drop_path}")

    def check_shortcut(self) -> None:
        if self.shortcut == "none" and self.net != "gated":
            raise UsageError(f"shortcut 'none' is the plain twin of the gated net, but this net is {self.net!r}")
        if self.shortcut == "none" and self.drop_path:
            raise UsageError(f"drop_path drops branches; with shortcut 'none' nothing would be left, so it must be 0, "
                             f"got {self.drop_path}")  # fmt: skip


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def whole(name: str, value: object, *, least: int) -> None:
    if type(value) is not int or value < least:
        raise UsageError(f"{name} must be a whole number of at least {least}, got {value!r}")


def several(name: str, value: Any) -> tuple:
    if not isinstance(value, tuple):
        raise UsageError(f"{name} must be a tuple, got {value!r}")
    return value


def table_spec(preset: str, **fields: Any) -> TableSpec:
    """A preset's spec for a table: table_spec("gated", numbers=3, categories=(4, 9), outputs=2), any size changed.

    Raises UsageError for an unknown preset or field, with the nearest one, and the errors of `check`.
    """
    if preset not in PRESETS:
        known = nearest(str(preset), PRESETS) or f"; available: {', '.join(PRESETS)}"
        raise UsageError(f"no preset named {preset!r}{known}")
    return from_dict({"family": TableSpec.family, "name": preset, **PRESETS[preset], **fields})


def to_dict(spec: TableSpec) -> dict[str, Any]:
    """The spec as JSON-ready data; `from_dict` restores it."""
    return {"family": spec.family, **asdict(spec)}


def from_dict(data: dict[str, Any]) -> TableSpec:
    """The spec that `to_dict` wrote. Raises UsageError for another family or an unknown field."""
    spec: TableSpec = of_family(data, {TableSpec.family: TableSpec}, "a spec for tables")
    return spec
