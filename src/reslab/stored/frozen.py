"""The keys of the event "frozen" of metrics.jsonl: which layers keep their weights."""

from typing import TypedDict

from reslab.stored.numbers import Count


class FrozenLayers(TypedDict, total=False):
    layers: list[str]  # the frozen ones; of the event "gradients", those that are measured
    of: Count  # layers of the net
    tensors: Count  # frozen parameters, of all_tensors
    all_tensors: Count
    trained: Count  # numbers in the parameters that are trained, of `numbers` in all
    numbers: Count
