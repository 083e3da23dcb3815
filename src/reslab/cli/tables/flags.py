"""Options of reslab tables: the file, the table, the net; and NAME=VALUE words."""

import json as json_
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from reslab.cli.options import whole
from reslab.errors import UsageError

FILE = ".csv, .tsv, .parquet or .jsonl, each also with .gz."


@dataclass(frozen=True, kw_only=True)
class _File:
    header: Annotated[
        bool | None,
        Parameter(help="Whether the first row of a file of text holds the columns' names (default: found in it)."),
    ] = None
    encoding: Annotated[
        str | None, Parameter(help="Encoding of a file of text, such as latin-1 or shift_jis (default: found in it).")
    ] = None


@dataclass(frozen=True, kw_only=True)
class _Table:
    test: Annotated[str | None, Parameter(help="File of test rows; without it, test rows are sampled at random.")] = (
        None
    )
    test_share: Annotated[float | None, Parameter(help="Share of the rows to sample for testing (default: 0.2).")] = (
        None
    )
    kind: Annotated[
        Literal["classes", "labels", "numbers"] | None,
        Parameter(help="Kind of the target: classes, labels (several per row) or numbers (default: from its values)."),
    ] = None
    kinds: Annotated[
        list[str] | None,
        Parameter(
            help="Correct the guessed kind of a column: NAME=number, category, categories, date, text or skip.",
            consume_multiple=True,
            negative=(),
        ),
    ] = None
    missing: Annotated[
        list[str] | None,
        Parameter(
            help="Words for missing values, instead of the usual ones (? NA N/A NaN null None - ...); '' for none.",
            consume_multiple=True,
            negative=(),
        ),
    ] = None
    decimal: Annotated[
        Literal[".", ","] | None,
        Parameter(help="Decimal mark of numbers like 1.001 that may be either (default: that of the other numbers)."),
    ] = None
    text: Annotated[
        str | None,
        Parameter(help="Folder of a transformers encoder; its vectors of the text columns are used too (extra: text)."),
    ] = None
    class_weight: Annotated[
        list[str] | None,
        Parameter(
            help="Class weights: balanced, or CLASS=WEIGHT for single classes.", consume_multiple=True, negative=()
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class _Net:
    net: Annotated[
        str | None, Parameter(help="gated (default), gated-plain, gated-block, published, mlp or resnet.")
    ] = None
    sizes: Annotated[
        list[str] | None,
        Parameter(
            help="Change sizes of the net, such as depth=6 width=128 dropout=0.3.", consume_multiple=True, negative=()
        ),
    ] = None
    members: Annotated[
        int | None,
        Parameter(help="Train this many nets, with --seed and the seeds after it, and average "
            "their predictions (default: 1, or up to 5 for tables of fewer than 8,000 rows).",
                  converter=whole),
    ] = None  # fmt: skip


TableFlags = Annotated[_Table, Parameter(name="*", group="Table")]
FileFlags = Annotated[_File, Parameter(name="*", group="File")]
NetFlags = Annotated[_Net, Parameter(name="*", group="Net")]


def number(text: str) -> Any:
    """6, 0.3 or true converted to its type; any other word unchanged."""
    try:
        return json_.loads(text.lower())
    except ValueError:
        return text


def pairs(words: Sequence[str] | None, flag: str, convert: Callable[[str], Any] = number) -> dict[str, Any]:
    """NAME=VALUE words as a dict; names may contain =."""
    found = {}
    for word in words or []:
        name, mark, value = word.rpartition("=")
        if not mark or not name or not value:
            raise UsageError(f"--{flag} takes NAME=VALUE, got {word!r}")
        found[name] = convert(value)
    return found


def weights(words: Sequence[str] | None) -> Any:
    """None, "balanced", or the weight of each class that is named."""
    if not words:
        return None
    return "balanced" if list(words) == ["balanced"] else pairs(words, "class-weight")
