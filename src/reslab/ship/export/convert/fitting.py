"""Pillow's antialiased resize and the center crop, written as an ONNX graph; OpenVINO reads it, too.

Along an axis of n pixels that is resized to m, output i is the mean of the pixels j weighted by K(|t|), where t is the
distance of their centers in units of max(n / m, 1) pixels, and K is the triangle max(0, 1 - |t|), or Keys' cubic with
a = -1/2. Counted from the middle, twice the distance times m is (2j + 1 - n) m - (2i + 1 - m) n: whole numbers, which
an engine that computes in bf16 keeps. Both axes are products with a matrix; as in Pillow, rows are resized first and
rounded to 8 bits. Pillow 13 begins with the columns of an image that is more than twice as high as wide: a fifth of its
pixels then differ by 1 of 255. OpenVINO's own operation takes a second for a photograph (2026.4), and ONNX's makes the
whole image before the crop: 1.2 GB for one of 8000 x 1.

Measured against Pillow 13 on 150 photographs of about 500 x 375, fitted to 224 x 224: bilinear, 0.13 % of the values
differ, by 1 of 255; bicubic (75 photographs), 0.012 %, by at most 2; in both engines. Where OpenVINO is told to compute
in bf16, a quarter of the values differ, by at most 3 (bicubic: 7); engines/openvino.py computes this part in fp32.
"""

from typing import Any

from reslab.extras import need
from reslab.ship.exportable import Fit

AXIS = """
  P_i = Add(P_twice, P_shift)
  P_in = Mul(P_i, P_n)
  P_column = Unsqueeze(P_in, last)
  P_j = Range(zero, P_n, one)
  P_jj = Mul(P_j, two)
  P_j1 = Add(P_jj, one)
  P_from_middle = Sub(P_j1, P_n)
  P_most = Div(big, P_m)
  P_least = Neg(P_most)
  P_near = Clip(P_from_middle, P_least, P_most)
  P_jm = Mul(P_near, P_m)
  P_off = Sub(P_jm, P_column)
  P_away = Abs(P_off)
  P_long = Max(P_n, P_m)
  P_unit = Mul(P_long, two)
  P_away_f = Cast<to = 1>(P_away)
  P_unit_f = Cast<to = 1>(P_unit)
  P_t = Div(P_away_f, P_unit_f)
  KERNEL
  P_sum = ReduceSum(P_k, last)
  P_weights = Div(P_k, P_sum)
"""
KERNELS = {
    "bilinear": """
  P_rest = Sub(f1, P_t)
  P_k = Relu(P_rest)
""",
    "bicubic": """
  P_a1 = Mul(P_t, c15)
  P_a2 = Sub(P_a1, c25)
  P_a3 = Mul(P_a2, P_t)
  P_a4 = Mul(P_a3, P_t)
  P_inner = Add(P_a4, f1)
  P_b1 = Mul(P_t, half)
  P_b2 = Sub(c25, P_b1)
  P_b3 = Mul(P_b2, P_t)
  P_b4 = Sub(P_b3, f4)
  P_b5 = Mul(P_b4, P_t)
  P_outer = Add(P_b5, f2)
  P_in1 = Less(P_t, f1)
  P_in2 = Less(P_t, f2)
  P_tail = Where(P_in2, P_outer, f0)
  P_k = Where(P_in1, P_inner, P_tail)
""",
}
SIDE = """
  P_by = Mul(P_n, O_size)
  P_by2 = Mul(P_by, two)
  P_by3 = Add(P_by2, O_n)
  O_n2 = Mul(O_n, two)
  P_round = Div(P_by3, O_n2)
  P_back = Mul(P_round, O_n2)
  P_tie = Equal(P_back, P_by3)
  P_odd = Mod(P_round, two)
  P_down = Sub(P_round, P_odd)
  P_even = Where(P_tie, P_down, P_round)
  P_m = Max(P_even, P_size)
  P_left = Sub(P_m, P_size)
  P_half = Div(P_left, two)
  P_start = Mul(P_half, two)
  P_begun = Add(P_start, one)
  P_shift = Sub(P_begun, P_m)
"""
RESIZED = """
  {sides}
  {axes}
  x_turned = Transpose<perm = [1, 0]>(x_weights)
  planes = Transpose<perm = [0, 3, 1, 2]>(images)
  pixels = Cast<to = 1>(planes)
  across = MatMul(pixels, x_turned)
  across_up = Add(across, half)
  across_whole = Floor(across_up)
  across_8 = Clip(across_whole, f0, high)
  down = MatMul(y_weights, across_8)
  down_up = Add(down, half)
  down_whole = Floor(down_up)
  down_8 = Clip(down_whole, f0, high)
  turned = Transpose<perm = [0, 2, 3, 1]>(down_8)
  made = Cast<to = 2>(turned)
"""
UNLESS_FITTING = """
  y_same = Equal(y_n, y_size)
  x_same = Equal(x_n, x_size)
  same = And(y_same, x_same)
  any = If (same) <
    then_branch = as_is () => (uint8[N,a,b,{C}] kept) {{ kept = Identity(images) }},
    else_branch = resized () => (uint8[N,c,d,{C}] made) {{ {resized} }}
  >
  fitted = Reshape(any, out)
"""
ALWAYS = """
  {resized}
  fitted = Reshape(made, out)
"""
CONSTANTS = {  # that only this kernel reads: ONNX Runtime warns about those that nothing does
    "bilinear": "",
    "bicubic": ", float c15 = {1.5}, float f2 = {2.0}, float c25 = {2.5}, float f4 = {4.0}",
}
WHOLE = """
<ir_version: {ir}, opset_import: ["" : {opset}]>
fit (uint8[N,h,w,{C}] images) => (uint8[N,{H},{W},{C}] fitted)
<int64 zero = {{0}}, int64 one = {{1}}, int64 two = {{2}}, int64 big = {{1073741824}}, int64[1] last = {{-1}},
 int64 y_size = {{{H}}}, int64 x_size = {{{W}}}, int64[4] out = {{-1, {H}, {W}, {C}}},
 int64[{H}] y_twice = {{{rows}}}, int64[{W}] x_twice = {{{columns}}},
 float f0 = {{0.0}}, float half = {{0.5}}, float f1 = {{1.0}}, float high = {{255.0}}{constants}>
{{
  shape = Shape(images)
  y_n = Gather<axis = 0>(shape, one)
  x_n = Gather<axis = 0>(shape, two)
  {body}
}}
"""


def fitting(fit: Fit, *, opset: int = 18, ir: int = 8, unless: bool = True) -> Any:
    """The onnx.ModelProto from "images", uint8 (N, h, w, C), to "fitted", uint8 (N, H, W, C).

    Images of H x W come out as they are; with `unless`, nothing is computed for them: not for OpenVINO, whose If gives
    other memory for an input that a branch hands on (2026.4). Raises UsageError if onnx is missing.
    """
    parser: Any = need("onnx.parser", extra="ship", why="resizing inside an exported model")
    C, H, W = fit.shape
    axis = AXIS.replace("KERNEL", KERNELS[fit.interpolation])
    rows, columns = (", ".join(str(2 * i) for i in range(n)) for n in (H, W))
    sides = SIDE.replace("P_", "x_").replace("O_", "y_") + SIDE.replace("P_", "y_").replace("O_", "x_")
    resized = RESIZED.format(sides=sides, axes=axis.replace("P_", "x_") + axis.replace("P_", "y_"))
    body = (UNLESS_FITTING if unless else ALWAYS).format(C=C, resized=resized)
    return parser.parse_model(WHOLE.format(ir=ir, opset=opset, C=C, H=H, W=W, rows=rows, columns=columns, body=body,
                                           constants=CONSTANTS[fit.interpolation]))  # fmt: skip
