"""Questions by hand: transformers in torch, ONNX Runtime and OpenVINO, for bench/ship.py.

All windows of a text in one batch; the 20 best starts with the 20 best ends of each, as in transformers' example.
"""

import contextlib
import io
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from qa import BEST, MAX_TOKENS, cut
from reslab.ship.packages import core

NAMES = ("input_ids", "attention_mask", "token_type_ids")
Infer = Callable[[Mapping[str, np.ndarray]], tuple[np.ndarray, np.ndarray]]  # tokens to the scores of starts and ends
Found = tuple[int, int]  # start and end of an answer, in characters


def answer(infer: Infer, tokenizer: Any, question: str, text: str, length: int) -> Found:
    """The best answer in all windows of a text."""
    found = cut(tokenizer, question, text, length, pad=False)
    wide = max(map(len, found["input_ids"]))
    given = {name: np.zeros((len(found["input_ids"]), wide), np.int64) for name in NAMES}
    for w in range(len(found["input_ids"])):
        for name in NAMES:
            given[name][w, : len(found[name][w])] = found[name][w]
    starts, ends = infer(given)
    best = (-float("inf"), 0, 0)
    for w in range(len(starts)):
        inside = np.array([one == 1 for one in found.sequence_ids(w)])
        offsets = found["offset_mapping"][w]
        a, b = (np.where(inside, one[w][: len(inside)], -np.inf) for one in (starts, ends))
        first, last = (one.argsort()[: -BEST - 1 : -1] for one in (a, b))
        sums = a[first][:, None] + b[last][None]
        right = (last[None] >= first[:, None]) & (last[None] < first[:, None] + MAX_TOKENS)
        i, j = np.unravel_index(np.where(right, sums, -np.inf).argmax(), sums.shape)
        if right[i, j]:
            best = max(best, (float(sums[i, j]), offsets[first[i]][0], offsets[last[j]][1]))
    _, begin, end = best
    return begin + len(text[begin:end]) - len(text[begin:end].lstrip()), end


def in_torch(peer: Any) -> Infer:
    @torch.inference_mode()
    def infer(given: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        out = peer(**{name: torch.from_numpy(value) for name, value in given.items()})
        return out.start_logits.float().numpy(), out.end_logits.float().numpy()

    return infer


class Pair(torch.nn.Module):
    """Tokens to a tuple, as converters need it."""

    def __init__(self, peer: Any) -> None:
        super().__init__()
        self.peer = peer

    def forward(self, input_ids: Any, attention_mask: Any, token_type_ids: Any) -> Any:
        out = self.peer(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids)
        return out.start_logits, out.end_logits


def example(length: int) -> dict[str, torch.Tensor]:
    return {name: torch.ones(2, length, dtype=torch.int64) for name in NAMES}


def in_onnx(peer: Any, threads: int, length: int) -> Infer:
    import onnxruntime as ort

    free = {0: torch.export.Dim("b"), 1: torch.export.Dim("l", max=length)}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "net.onnx")
        torch.onnx.export(Pair(peer), tuple(example(32).values()), file, dynamo=True, verbose=False,
                          input_names=list(NAMES), dynamic_shapes=dict.fromkeys(NAMES, free),
                          external_data=False)  # fmt: skip
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = threads, 3
        session = ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    return lambda given: tuple(session.run(None, dict(given)))  # type: ignore[return-value]


def in_openvino(peer: Any, threads: int, precision: str, examples: Sequence[Mapping[str, np.ndarray]]) -> Infer:
    import openvino as ov

    model = ov.convert_model(Pair(peer), example_input=example(32), input=[(name, [-1, -1]) for name in NAMES])
    if precision == "int8":
        import nncf

        data = nncf.Dataset([dict(one) for one in examples])
        with contextlib.redirect_stdout(io.StringIO()):  # its progress bars
            model = nncf.quantize(model, data, model_type=nncf.ModelType.TRANSFORMER, subset_size=len(examples))
    hint = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32"}  # fmt: skip
    request = core("the benchmark").compile_model(model, "CPU", hint).create_infer_request()

    def infer(given: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        found = request.infer(dict(given), share_inputs=True)
        return found[0], found[1]

    return infer


def hand_sides(
    peer: Any, tokenizer: Any, *, length: int, threads: int, asked: Sequence[str], text: str, compiled: bool
) -> tuple[dict[str, Callable[[Sequence[str]], list[Found]]], list[str]]:
    """Each side takes questions, one after another; sentences about those that are missing."""
    import copy
    import shutil

    def each(infer: Infer) -> Callable[[Sequence[str]], list[Found]]:
        return lambda questions: [answer(infer, tokenizer, one, text, length) for one in questions]

    missing = list[str]()
    found = {"transformers, eager, fp32": each(in_torch(peer)),
             "the same, bf16": each(in_torch(copy.deepcopy(peer).bfloat16()))}  # fmt: skip
    if not compiled:
        missing.append("torch.compile is left out with --quick: it compiles for minutes")
    elif shutil.which("g++") is None and shutil.which("clang++") is None:
        missing.append("torch.compile is left out: there is no C++ compiler")
    else:
        found["torch.compile, fp32"] = each(in_torch(torch.compile(copy.deepcopy(peer), dynamic=True)))
    examples = []
    for one in asked:
        given = cut(tokenizer, one, text, length, pad=True)
        examples += [{name: np.array([given[name][w]]) for name in NAMES} for w in range(len(given["input_ids"]))]
    for title, make in (("ONNX Runtime, fp32", lambda: in_onnx(peer, threads, length)),
                        *((f"OpenVINO, {p}", lambda p=p: in_openvino(peer, threads, p, examples[:32]))
                          for p in ("fp32", "bf16", "int8"))):  # fmt: skip
        try:
            found[f"{title}, by hand"] = each(make())
        except ImportError as error:
            missing.append(f"{title} is left out: {error}")
    return found, missing
