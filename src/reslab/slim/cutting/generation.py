"""What a model of transformers generates with, where it names layers by number: without those that were removed."""

from collections.abc import Mapping, Sequence
from typing import Any

from reslab.slim.cutting.configs import Removal, whole


def renumber(model: Any, removed: Mapping[str, Sequence[int]], layers: Mapping[str, int]) -> list[str]:
    """Give the layers in the generation config their new numbers; what was changed, in words.

    They are the decoder's: Whisper's alignment_heads [[layer, head], ...] say which attention gives time stamps, and
    other heads would give wrong ones. `layers`: how many each list of layers had.
    """
    config, notes = getattr(model, "generation_config", None), list[str]()
    for path, gone in removed.items() if config is not None else ():
        if "encoder" in path.split("."):
            continue
        removal = Removal(layers=layers[path], removed=tuple(gone))
        for name, value in list(vars(config).items()):
            if (new := renumbered(name, value, removal)) is None or new == value:
                continue
            if new:
                setattr(config, name, new)
                notes.append(f"generation config: {name}: {value} -> {new}")
            else:
                delattr(config, name)
                notes.append(f"generation config: {name} is left out: it named removed layers alone, so what needs it "
                             "(time stamps of words, for instance) is not available")  # fmt: skip
    return notes


def renumbered(name: str, value: Any, removal: Removal) -> list[Any] | None:
    """The new value of a list of layers, or of pairs of a layer and a head; None if it is neither."""
    if not isinstance(value, list) or not value:
        return None
    pairs = name.endswith("heads") and all(isinstance(one, list | tuple) and len(one) == 2 for one in value)
    if pairs and all(whole(layer) and 0 <= layer < removal.layers for layer, _ in value):
        return [[removal.kept.index(layer), head] for layer, head in value if layer in removal.kept]
    if name.endswith("layers") and all(whole(one) and 0 <= one < removal.layers for one in value):
        return removal.renumbered(value)
    return None
