"""The residual block and its parts. No other module of reslab adds a skip.

Papers: He et al. 2015, "Deep Residual Learning for Image Recognition" (arXiv 1512.03385), sections 3.2, 3.3
and 4.1; He et al. 2016, "Identity Mappings in Deep Residual Networks" (arXiv 1603.05027), for pre-activation and
gates; those of the scales and of the streams are named there.
"""

from reslab.blocks.gate import DropShortcut, Exclusive, Gated, Half, ShortcutOnly, check_gate, make_gate
from reslab.blocks.init import INITS, check_init, initialize, start_options, zero_last_norms
from reslab.blocks.layers import (
    PadShortcut,
    Shift,
    Shortcut,
    Stride,
    conv,
    layer_sizes,
    make_shortcut,
    normalizer,
    post_branch,
    pre_branch,
    strided,
)
from reslab.blocks.residual import Residual, bare
from reslab.blocks.scale import Fixed, Fixup, Learned, check_scale, make_scale
from reslab.blocks.streams import (
    Dependence,
    EachStream,
    Gather,
    Mixing,
    Read,
    Spread,
    Streams,
    Write,
    check_streams,
    doubly_stochastic,
    read_streams,
)

__all__ = [
    "INITS", "Dependence", "DropShortcut", "EachStream", "Exclusive", "Fixed", "Fixup", "Gated", "Gather", "Half",
    "Learned", "Mixing", "PadShortcut", "Read", "Residual", "Shift", "Shortcut", "ShortcutOnly", "Spread", "Streams",
    "Stride", "Write", "bare", "check_gate", "check_init", "check_scale", "check_streams", "conv", "doubly_stochastic",
    "initialize", "layer_sizes", "make_gate", "make_scale", "make_shortcut", "normalizer", "post_branch", "pre_branch",
    "read_streams", "start_options", "strided", "zero_last_norms",
]  # fmt: skip
