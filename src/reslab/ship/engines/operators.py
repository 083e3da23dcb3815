"""Which operators a stored torch program may name: PyTorch's own functions of tensors, and arithmetic of sizes.

PyTorch's .pt2 files are no safe form for a stranger's model: torch.export.load ran code that we put into one, once as
an expression of a size (sympy evaluates it as Python), once in the pickled example inputs (torch 2.13).
"""

import math
import operator
import re
from collections.abc import Callable
from typing import Any

import torch

from reslab.errors import ReslabError
from reslab.stored.typed import brief

NAME = re.compile(r"aten\.(\w+)\.(\w+)")
SIZES: dict[str, Callable[..., Any]] = {  # of whole numbers, and items of a tuple
    **{f"operator.{one}": getattr(operator, one)
       for one in ("add", "sub", "mul", "floordiv", "truediv", "mod", "neg", "eq", "ne", "lt", "le", "gt", "ge",
                   "getitem")},
    "math.ceil": math.ceil, "math.floor": math.floor, "math.trunc": math.trunc,
    "torch.sym_max": max, "torch.sym_min": min, "torch.sym_int": int, "torch.sym_float": float,
    "torch.sym_not": operator.not_,
}  # fmt: skip
NAMES = {one: name for name, one in SIZES.items()} | {
    torch.sym_max: "torch.sym_max", torch.sym_min: "torch.sym_min", torch.sym_int: "torch.sym_int",
    torch.sym_float: "torch.sym_float", torch.sym_not: "torch.sym_not",
}  # fmt: skip
TYPES = {"Tensor", "int", "float", "bool", "number", "Scalar", "Device", "Any"}  # within Optional and List
WITH_WORDS = {"gelu", "div", "div_", "einsum", "pad"}  # take a word that only chooses a formula
PRIVATE = {"_to_copy", "_softmax", "_log_softmax", "_native_batch_norm_legit_no_training", "_weight_norm"}
# Memory that was never written, or another view of memory than its tensor's.
NEVER = re.compile(r"(new_)?empty|as_strided|resize|set_|.*unsafe|.*storage|data$|record_stream|.*from_file")
IN_PLACE = re.compile(r"[a-z][a-z0-9_]*[a-z0-9]_")


def operator_of(name: str) -> Callable[..., Any]:
    """The function that a program's node names. Raises ReslabError for one that no program may name."""
    if name in SIZES:
        return SIZES[name]
    found = NAME.fullmatch(name)
    one = getattr(getattr(torch.ops.aten, found[1], None), found[2], None) if found else None
    if found is None or not isinstance(one, torch._ops.OpOverload) or not allowed(found[1], found[2], one):
        raise ReslabError(f"a stored program may not use {brief(name)}")
    made: Callable[..., Any] = one
    return made


def allowed(base: str, overload: str, one: Any) -> bool:
    """Whether it computes tensors from tensors and numbers, and nothing else."""
    full = f"aten::{base}" + ("" if overload == "default" else f".{overload}")
    if not torch._C._dispatch_has_kernel(full):  # a function of TorchScript: save, format
        return False
    special = base.startswith("_") and not base.startswith("__")
    if NEVER.match(base) or (special and base not in PRIVATE):
        return False
    schema = one._schema
    if schema.is_mutable and not (IN_PLACE.fullmatch(base) and changes_first(schema)):
        return False
    kinds = {kind for given in schema.arguments for kind in re.findall(r"\w+", str(given.type))}
    return kinds - {"Optional", "List"} <= TYPES | ({"str"} if base in WITH_WORDS else set())


def changes_first(schema: Any) -> bool:
    """Whether only the first argument is written to, as relu_ does."""
    written = [k for k, one in enumerate(schema.arguments) if one.alias_info is not None and one.alias_info.is_write]
    return written == [0]


def name_of(target: Any) -> str:
    """The name under which a program stores a function. Raises ReslabError for one that it may not name."""
    name = NAMES.get(target) if not isinstance(target, torch._ops.OpOverload) else str(target)
    if name is None:
        raise ReslabError(f"a stored program may not use {brief(str(target))}")
    operator_of(name)
    return name
