"""What each layer of a trained language model is worth: for the loss, for what it writes, and by its influence."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from reslab.errors import ReslabError
from reslab.look import influence
from reslab.progress import Progress
from reslab.report.look.words import rank_correlation
from reslab.slim import cut, find_blocks, generation
from reslab.slim.block import Block, Blocks
from reslab.slim.cutting.cached import compare_cache
from reslab.slim.families.language_task import measured
from reslab.slim.families.texts import Texts
from reslab.slim.surgery import bypassed
from reslab.statistics import mean
from reslab.study.work.texts import RUN, loaded

PROMPTS, TOKENS = 32, 24  # prompts of as many tokens as are then generated
WINDOWS = 100  # of the validation texts
TOGETHER = 8  # windows in one pass of `influence`


def work(
    folder: Path, settings: dict[str, Any], needs: Sequence[Path], *, device: str, progress: Progress
) -> dict[str, Any]:
    """Measure the model of the run that it needs, of work "texts", on validation texts.

    Early layers are the first half; late ones the others but the last, which reads out. `share` of the layers are
    removed together: by `order` "least" (default) the late ones of least influence, by "most" any of most influence.
    `removal`: "cut" (default), for good by reslab.slim; "deleted": from the list of layers alone, as is often done.
    None: `cut_share` of a model that learned nothing beyond how frequent each token is, and `cache_differs` if
    generating without a cache failed, too.
    """
    family = Texts(str(needs[0] / RUN), loaded(settings["data"]), samples=WINDOWS, device=device,
                   changes={"precision": "fp32"})  # fmt: skip
    model, ids = family.model, family.parts["validation"]
    blocks = find_blocks(model, family.example)
    layers = [block for block in blocks if block.removable]

    def loss(net: nn.Module) -> float:
        return float(measured(net, ids, family.ask, device=family.device, choice=family.choice)[0].mean())

    intact, rises = loss(model), []
    for done, layer in enumerate(layers):
        progress(done, len(layers) + 2)
        with bypassed(model, [layer]):
            rises.append(loss(model) - intact)
    turned = influences(model, blocks, layers, ids.to(family.device))
    half, last = len(layers) // 2, len(layers) - 1
    early, late = range(half), range(half, last)
    many = max(1, round(settings["share"] * len(layers)))
    order = sorted(range(len(layers)), key=lambda i: turned[i])
    gone = order[-many:] if settings.get("order") == "most" else [i for i in order if i in late][:many]
    progress(len(layers), len(layers) + 2)
    small = cut(model, [layers[i] for i in gone], example=family.example, blocks=blocks)
    short = small.model if settings.get("removal", "cut") == "cut" else deleted(model, [layers[i] for i in gone])
    written = generation(small.model, model, ids.to(family.device), tokenizer=family.loaded.tokenizer,
                         prompts=PROMPTS, prompt_tokens=TOKENS, new_tokens=TOKENS)  # fmt: skip
    cached = says(lambda: compare_cache(short, {"input_ids": ids[:TOGETHER, :TOKENS].to(family.device)}))
    unigram = entropy(family.parts["train"], ids)
    rise = loss(small.model) - intact
    return {
        "loss": intact, "unigram": unigram, "rises": rises, "influences": turned, "removed": gone,
        "late": mean([rises[i] for i in late]), "early": mean([rises[i] for i in early]),
        "late_minus_early": mean([rises[i] for i in late]) - mean([rises[i] for i in early]),
        "rank": rank_correlation(list(zip(turned, rises, strict=True))) or 0.0, "places": list(range(len(layers))),
        "cut_rise": rise, "cut_share": rise / (unigram - intact) if unigram > intact else None,
        "agreement": written.agreement, "exact": written.exact, "cut_difference": small.difference,
        "cached": cached, "cache_differs": differs(cached),
    }  # fmt: skip


def cost(settings: dict[str, Any]) -> float:
    """CPU seconds: about a dozen passes over the validation windows, and greedy continuations without a cache."""
    return 10.0


def influences(model: nn.Module, blocks: Blocks, layers: Sequence[Block], ids: Tensor) -> list[float]:
    """1 - cos(x, h) of each layer: the sum over its residual connections, attention and MLP."""
    batches = [({"input_ids": some}, None) for some in ids.split(TOGETHER)]
    found = {one.index: one.influence for one in influence(model, batches, merges=blocks.merges).merges}
    return [sum(found[i] for i in layer.merges) for layer in layers]


def entropy(train: Tensor, ids: Tensor) -> float:
    """Nats per token of `ids` if the next token is guessed by its share of the training tokens alone."""
    most = int(max(train.max(), ids.max())) + 1
    share = (train.flatten().bincount(minlength=most) + 1.0) / (train.numel() + most)
    return float(-share[ids[:, 1:]].log().mean())


def deleted(model: Any, gone: Sequence[Block]) -> Any:
    """A copy whose list of layers lacks these, and whose config has their number, and no more: a common mistake."""
    short = copy.deepcopy(model)
    container = short.get_submodule(gone[0].container)
    for path in sorted((block.module for block in gone), key=lambda path: -int(path.rpartition(".")[2])):
        del container[int(path.rpartition(".")[2])]
    short.config.num_hidden_layers = len(container)
    return short


def says(check: Any) -> str:
    """What a check found, or "!" and why it failed."""
    try:
        return str(check())
    except ReslabError as error:
        return f"!{error}"


def differs(said: str) -> float | None:
    """1 if generating with the cache fails or gives other tokens, 0 if it gives the same, None if neither was seen."""
    return 1.0 if said.startswith("!") else 0.0 if said.startswith("generated ") else None
