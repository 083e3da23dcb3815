"""Whether a model generates the same tokens with its cache as without: it fails where layers have wrong indices."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from reslab.errors import ReslabError, first_line
from reslab.look.graph.example import Example, arguments, scores
from reslab.look.graph.passes import call, forward
from reslab.nets.hub import quiet
from reslab.slim.cutting.forms import apart

TOKENS = 8  # long enough for each layer to read what it wrote
FAILURES = (RuntimeError, ValueError, TypeError, LookupError, AttributeError, AssertionError)
TIE = 1e-4  # of the scores' range: tokens whose scores are that near are equally good


def compare_cache(model: nn.Module, example: Example, *, tokens: int = TOKENS) -> str:
    """Generate greedily twice, with the cache and without, and compare the tokens; what was found, in words.

    Raises ReslabError if they differ by more than a tie of two scores, or if generating fails with the cache alone.
    """
    given = prompts(model, example)
    if given is None:
        return "generation was not checked: the example holds no token ids"
    try:
        plain, others = generated(model, given, tokens=tokens, use_cache=False)
    except FAILURES as error:
        return f"generation was not checked: generate fails without a cache, too: {first_line(error)}"
    try:
        cached, steps = generated(model, given, tokens=tokens, use_cache=True)
    except FAILURES as error:
        raise ReslabError(f"{type(model).__name__} cannot generate with its cache: {hint(model, error)}") from error
    for row in range(len(cached)):
        differing = (cached[row] != plain[row]).nonzero()
        if not len(differing):
            continue
        at = int(differing[0])  # later tokens follow from this one
        a, b = int(cached[row, at]), int(plain[row, at])
        step = others[at][row].float()
        seen = step[step.isfinite()]
        if not causal(model, given):
            return "generation was not checked: the model sees later tokens (no decoder by its config)"
        if float(step[b] - step[a]) > tie(steps[at].dtype) * float(seen.max() - seen.min()):
            raise ReslabError(
                f"{type(model).__name__} generates other tokens with its cache ({a}) than without ({b}), at token {at}"
            )
    return f"generated {tokens} tokens for each of {len(cached)} prompts: the same with the cache as without"


def causal(model: nn.Module, given: Mapping[str, Tensor]) -> bool:
    """Whether a later token leaves what the model predicts before it unchanged; True if it cannot be tried."""
    ids = given.get("input_ids")
    if ids is None or model.config.is_encoder_decoder or ids.shape[1] < 2:  # type: ignore[union-attr]
        return True
    other = ids.clone()
    other[:, -1] = (ids[:, -1] == 0).to(ids.dtype)
    one, two = (scores(call(model, {**given, "input_ids": each}))[:, :-1] for each in (ids, other))
    return torch.allclose(one, two, rtol=0, atol=1e-3 * float(one.abs().max()))


def hint(model: Any, error: Exception) -> str:
    """The error, and what it means where an encoder has become shorter than its decoder."""
    reason = first_line(error)
    if isinstance(error, IndexError) and model.config.is_encoder_decoder:
        reason += (" (for this class, transformers counts the encoder's layers to make the decoder's cache: "
                   "keep at least as many layers in the encoder as in the decoder)")  # fmt: skip
    return reason


def in_two_steps(model: Any, example: Example) -> float | None:
    """How far the scores of a pass in two steps, the second with the first one's cache, are from those of one pass.

    `generate` hides some faults, because it counts the positions itself. None if the model has no such cache.
    """
    given = prompts(model, example) or {}
    ids = given.get("input_ids")
    if ids is None or ids.shape[1] < 2 or model.config.is_encoder_decoder or not causal(model, given):
        return None
    half, found = ids.shape[1] // 2, forward(model, {"input_ids": ids[:, : ids.shape[1] // 2], "use_cache": True})
    cache = getattr(found, "past_key_values", None)
    if cache is None:
        return None
    rest = scores(forward(model, {"input_ids": ids[:, half:], "past_key_values": cache, "use_cache": True}))
    return apart(rest, scores(call(model, {"input_ids": ids}))[:, half:])


def tie(dtype: torch.dtype) -> float:
    return max(TIE, 4 * torch.finfo(dtype).eps)


def generated(model: Any, given: Mapping[str, Tensor], *, tokens: int, use_cache: bool) -> tuple[Tensor, Any]:
    """The new tokens (rows, tokens), greedy, and the scores of each step."""
    config = model.generation_config
    pad = config.pad_token_id if config.pad_token_id is not None else 0
    start = {}
    if model.config.is_encoder_decoder and config.decoder_start_token_id is None and config.bos_token_id is None:
        start["decoder_start_token_id"] = pad  # any token will do
    with quiet(import_module("transformers")):  # about settings of sampling, which greedy decoding leaves unused
        out = model.generate(
            **given, max_new_tokens=tokens, min_new_tokens=tokens, do_sample=False, num_beams=1, use_cache=use_cache,
            pad_token_id=pad, output_scores=True, return_dict_in_generate=True, **start,
        )  # fmt: skip
    return out.sequences[:, -tokens:], out.scores


def prompts(model: Any, example: Example) -> dict[str, Tensor] | None:
    """The token ids in the example and what goes with them; None if there are none. The rest generate counts itself."""
    args, kwargs = arguments(example)
    main = getattr(model, "main_input_name", "input_ids")
    found = {key: value for key, value in kwargs.items() if isinstance(value, Tensor) and "labels" not in key}
    if args and isinstance(args[0], Tensor):
        found.setdefault(main, args[0])
    if main not in found:
        return None
    ids = found.get("input_ids")
    if main == "input_ids" and (ids is None or ids.is_floating_point() or ids.dim() != 2):
        return None
    return {key: value for key, value in found.items() if key != "position_ids" and not key.startswith("decoder_")}
