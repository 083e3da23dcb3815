"""The functions of norms.c on tensors."""

import ctypes
import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import torch
from torch import Tensor

from reslab.errors import ReslabError
from reslab.train.fusing.built import NAMES, library

PARTS = 16  # into which the rows are cut, whatever the number of threads: so the bits do not depend on it
ALONE = 2**17  # numbers up to which one thread is faster
WIDEST, GROUP = 4096, 64  # as in norms.c


def functions(dtype: torch.dtype) -> ctypes.CDLL:
    """Those of norms.c for numbers of this type. Raises ReslabError if they cannot be compiled."""
    found = library(dtype)
    if isinstance(found, str):
        raise ReslabError(f"BatchNorm cannot be fused: {found}; set fuse = off")
    return found


def normalized(x: Tensor, skip: Tensor | None, found: Tensor, *, relu: bool) -> Tensor:
    """a x + b (+ skip), its part above 0 if `relu`. (N, C, H, W), channels last; `found` by `moments`."""
    y = torch.empty_like(x)
    n, _, C = sizes(x)
    apply = functions(x.dtype).apply
    given = (address(x), address(skip), address(y), n, C, address(found), int(relu))
    shared(lambda first, last: apply(*given, first, last, whole(PARTS)), x.numel())
    return y


def moments(
    x: Tensor, weight: Tensor, bias: Tensor, running: tuple[Tensor | None, Tensor | None], *, momentum: float,
    eps: float,
) -> Tensor:  # fmt: skip
    """Mean, 1 / sqrt(variance + eps), and a, b of a x + b, of each channel: float32 (4, C). Moves what is `running`."""
    n, rows, C = sizes(x)
    sums, found = torch.empty(PARTS, 2, C.value, dtype=torch.float64), torch.empty(4, C.value)
    c = functions(x.dtype)
    shared(lambda first, last: c.moments(address(x), n, C, first, last, whole(PARTS), address(sums)), x.numel())
    c.settle(address(x), rows, C, whole(PARTS), address(sums), address(weight), address(bias), ctypes.c_double(eps),
             ctypes.c_double(momentum), address(running[0]), address(running[1]), address(found))  # fmt: skip
    return found


def gradients(g: Tensor, x: Tensor, y: Tensor | None, found: Tensor, *, relu: bool) -> tuple[Tensor, Tensor, Tensor]:
    """(of x, of weight and bias and more (4, C), what passed the ReLU: like x).

    `y`: the output, if something was added before the ReLU.
    """
    n, rows, C = sizes(x)
    c, parts = functions(x.dtype), whole(PARTS)
    sums, slopes = torch.empty(PARTS, 2, C.value, dtype=torch.float64), torch.empty(4, C.value)
    passed = g if y is None else torch.empty_like(x)
    summed = (address(g), address(x), address(y), address(passed), n, C, address(found), int(relu))
    shared(lambda first, last: c.sums(*summed, first, last, parts, address(sums)), x.numel())
    c.settle_gradient(rows, C, parts, address(sums), address(found), address(slopes))
    dx = torch.empty_like(x)
    given = (address(passed), address(x), address(dx), n, C, address(found), address(slopes), int(relu and y is None))
    shared(lambda first, last: c.gradient(*given, first, last, parts), x.numel())
    return dx, slopes, passed


def takes(x: Tensor) -> bool:
    """Whether norms.c takes an x of this type and shape: (N, C, H, W), whose numbers fill panels."""
    C = x.shape[1] if x.dim() == 4 else 0
    fits = C in (16, 32) or (0 < C <= WIDEST and C % GROUP == 0)
    return fits and x.dtype in NAMES and x.numel() > C and x.numel() % GROUP == 0


def sizes(x: Tensor) -> tuple[ctypes.c_int64, ctypes.c_int64, ctypes.c_int64]:
    """(panels, rows, channels)."""
    C = x.shape[1]
    return whole(x.numel() // max(C, GROUP)), whole(x.numel() // C), whole(C)


def whole(n: int) -> ctypes.c_int64:
    return ctypes.c_int64(n)


def address(tensor: Tensor | None) -> ctypes.c_void_p:
    return ctypes.c_void_p(None if tensor is None else tensor.data_ptr())


def shared(work: Callable[[ctypes.c_int64, ctypes.c_int64], object], numbers: int) -> None:
    """work(first, last) for all parts: by as many threads as torch uses, if there are many numbers."""
    many = torch.get_num_threads() if numbers > ALONE else 1
    if many == 1:
        work(whole(0), whole(PARTS))
        return
    ends = [whole(k * PARTS // many) for k in range(many + 1)]
    for done in [pool(many).submit(work, *pair) for pair in itertools.pairwise(ends)]:
        done.result()


@cache
def pool(many: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(many, thread_name_prefix="reslab-norm")
