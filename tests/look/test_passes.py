"""Passes do not leak: every verb, on models that write where they can, gives the numbers of a model that does not."""

import copy
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from reslab import look

WAYS = (
    "input", "counter", "list", "cache", "own cache", "buffer", "buffer by data", "replaced buffer", "tensor", "weight",
    "weight by data", "replaced weight", "output", "array", "generator", "object", "submodule",
)  # fmt: skip


@dataclass
class Cache:
    """Keys that a model has seen: it lengthens them."""

    keys: list[Tensor] = field(default_factory=list)
    length: int = 0

    def lengthen(self, key: Tensor) -> Tensor:
        self.keys.append(key)
        self.length += 1
        return torch.stack(self.keys).sum(0)


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.norm, self.b = nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 6)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.b(self.norm(self.a(x)).tanh())


class Leaky(nn.Module):
    """The same function whatever the `ways`, when called for the first time; each way changes the next call."""

    def __init__(self, ways: frozenset[str]) -> None:
        super().__init__()
        self.ways, self.calls, self.seen = ways, 0, list[int]()
        self.blocks, self.norm, self.head = nn.ModuleList(Block() for _ in range(3)), nn.BatchNorm1d(6), nn.Linear(6, 4)
        self.scale = nn.Parameter(torch.ones(6))
        self.register_buffer("factor", torch.ones(6))
        self.register_buffer("answer", torch.zeros(99, 4))
        self.plain, self.array, self.kept = torch.ones(6), np.ones(6, np.float32), Cache()
        self.coins, self.twice = torch.Generator().manual_seed(1), nn.Identity()
        self.drop = nn.Dropout(0.5)

    def forward(self, x: Tensor, cache: Cache | None = None) -> Tensor:
        ways = self.ways
        x = x.mul_(0.5) if "input" in ways else x * 0.5
        # Copies: autograd itself refuses a model that writes into what its backward pass needs.
        factors = [each.clone() for each in (self.factor, self.plain, self.scale)]
        x = self.drop(x) * (1 + self.calls) * (1 + len(self.seen)) * factors[0] * factors[1] * factors[2]
        x = self.twice(x * torch.from_numpy(self.array.copy()).to(x))
        if cache is not None:
            x = x + (cache if "cache" in ways else copy.deepcopy(cache)).lengthen(x * 0.1)
        for block in self.blocks:
            x = block(x)
        x = x + (self.kept if "own cache" in ways else copy.deepcopy(self.kept)).lengthen(x.detach()).mean(
            1, keepdim=True
        )
        out = self.head(self.norm(x)) + 0.1 * torch.rand(4, generator=self.coins if "generator" in ways else copied())
        self.leak()
        return self.answer[: len(out)].copy_(out) if "output" in ways and not out.requires_grad else out

    def leak(self) -> None:
        ways = self.ways
        self.calls += "counter" in ways
        self.seen += [1] * ("list" in ways)
        with torch.no_grad():
            if "buffer" in ways:
                self.factor += 1
            if "buffer by data" in ways:
                self.factor.data.mul_(3)
            if "replaced buffer" in ways:
                self.factor = self.factor * 2
            if "tensor" in ways:
                self.plain.add_(1)
            if "weight" in ways:
                self.scale.mul_(0.9)
            if "weight by data" in ways:
                self.scale.data[0] = 7
            if "replaced weight" in ways:
                self.head.weight.data = self.head.weight.data * 2
        if "array" in ways:
            self.array *= 2
        if "object" in ways:
            self.kept.length += 1
            self.kept.extra = [1]  # type: ignore[attr-defined]
        if "submodule" in ways:
            self.twice = nn.Dropout(1.0).eval() if isinstance(self.twice, nn.Identity) else nn.Hardsigmoid()


def copied() -> torch.Generator:
    return torch.Generator().manual_seed(1)


def model(ways: frozenset[str]) -> Leaky:
    torch.manual_seed(0)
    net = Leaky(ways).double()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
    return net.eval()


def batches(x: Tensor, cached: bool) -> list[Any]:
    return [((part, Cache([part.detach() * 0.2], 1)) if cached else part, torch.arange(len(part)) % 4)
            for part in (x[:5], x[5:])]  # fmt: skip


def left_out(net: nn.Module, data: list[Any]) -> Any:
    example = data[0][0]
    merges = look.find(net, example)
    args = example if isinstance(example, tuple) else (example,)
    with look.intervene(net, merges, {1: look.silence()}), torch.no_grad():
        return net(*copy.deepcopy(args)).tolist()


def readings(net: nn.Module, data: list[Any]) -> Any:
    example = data[0][0]
    args = example if isinstance(example, tuple) else (example,)
    return [(r.skip.tolist(), r.out.tolist()) for r in look.read(net, look.find(net, example),
                                                                lambda: net(*copy.deepcopy(args)))]  # fmt: skip


VERBS: dict[str, Callable[[nn.Module, list[Any]], Any]] = {
    # Without the place of the fork: mul_ has another name than mul.
    "find": lambda net, data: [replace(merge, fork=None) for merge in look.find(net, data[0][0])],
    "certify": lambda net, data: str(look.certify(net, data[0][0])),
    "find_layers": lambda net, data: look.find_layers(net, data[0][0]),
    "read": readings,
    "intervene": left_out,
    "naive": lambda net, data: look.lesions(net, data, method="naive", repeats=2, ks=(1, 2), swaps=(1,)),
    "growing": lambda net, data: look.lesions(net, data, repeats=2, layers=True, metrics=["loss", "kl", "drift"]),
    "readout": lambda net, data: look.readout(net, data),
    "renorm": lambda net, data: look.readout(net, data, renorm=True),
    "paths": lambda net, data: look.paths(net, data, sample=2),
    "responses": lambda net, data: look.responses(net, data),
    "gradients": lambda net, data: look.gradients(net, data),
    "training": lambda net, data: look.gradients(net, data, training=True),
    "influence": lambda net, data: look.influence(net, data),
}


def everything(net: nn.Module) -> Any:
    """All that a pass could have changed, as plain data."""
    held = {name: (id(p), p.tolist(), p.requires_grad, p.grad) for name, p in net.named_parameters()}
    buffers = {name: (id(b), b.tolist()) for name, b in net.named_buffers()}
    modules = {name: (id(m), m.training) for name, m in net.named_modules()}
    own: Any = net
    rest = (own.calls, list(own.seen), own.plain.tolist(), own.array.tolist(), own.coins.get_state().tolist(),
            own.kept.length, len(own.kept.keys), sorted(vars(own.kept)))  # fmt: skip
    draws = (torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist())  # noqa: NPY002
    return held, buffers, modules, rest, draws


@given(verb=st.sampled_from(sorted(VERBS)), ways=st.sets(st.sampled_from(WAYS), min_size=1).map(frozenset))
@settings(max_examples=8, deadline=None)
def test_no_pass_changes_the_next_or_the_users_model(verb: str, ways: frozenset[str]) -> None:
    check(verb, ways)


@pytest.mark.slow
@pytest.mark.parametrize("way", [*WAYS, "all"])
@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_with_every_way(verb: str, way: str) -> None:
    check(verb, frozenset(WAYS) if way == "all" else frozenset({way}))


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_with_all_ways(verb: str) -> None:
    check(verb, frozenset(WAYS))


def check(verb: str, ways: frozenset[str]) -> None:
    x = torch.randn(9, 6, generator=torch.Generator().manual_seed(3)).double()
    results = []
    for net in (model(frozenset()), model(ways)):
        data = batches(x.clone(), "cache" in ways)
        inputs = copy.deepcopy(data)
        torch.manual_seed(5)
        before = everything(net)
        results.append(VERBS[verb](net, data))
        assert everything(net) == before
        for (example, labels), (was, labels_were) in zip(data, inputs, strict=True):
            assert torch.equal(labels, labels_were)
            if isinstance(example, tuple):
                assert torch.equal(example[0], was[0])
                assert [k.tolist() for k in example[1].keys] == [k.tolist() for k in was[1].keys]
                assert example[1].length == was[1].length
            else:
                assert torch.equal(example, was)
    assert results[0] == results[1] or plain_of(results[0]) == plain_of(results[1])


def plain_of(result: Any) -> str:
    return repr(result).replace("nan", "NaN")


@pytest.mark.filterwarnings("ignore")
def test_a_cache_of_keys_and_values_stays_as_long_as_it_was() -> None:
    """GPT-2 lengthens the cache it is given: each lesion sees the 4 tokens of before, as with fresh copies."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    net = transformers.GPT2LMHeadModel(transformers.GPT2Config(n_embd=16, n_layer=2, n_head=2, vocab_size=20)).eval()
    ids, labels = torch.randint(0, 20, (3, 5)), torch.randint(0, 20, (3, 5))
    with torch.no_grad():
        past = net(input_ids=torch.randint(0, 20, (3, 4)), use_cache=True).past_key_values
    example = {"input_ids": ids, "past_key_values": past}
    merges, by_hand = look.find(net, example), []
    for i in range(len(merges)):
        with torch.no_grad(), look.intervene(net, merges, {i: look.silence()}):
            answer = net(input_ids=ids, past_key_values=copy.deepcopy(past)).logits
        by_hand.append(F.cross_entropy(answer.flatten(0, 1), labels.flatten()).item())
    for method in ("naive", "growing"):
        found = look.lesions(net, [(example, labels)], method=method, ks=(), swaps=())  # type: ignore[arg-type]
        assert [each.values["loss"] for each in found.single] == pytest.approx(by_hand, rel=1e-6)
    assert past.get_seq_length() == 4


def test_a_model_that_always_draws_gets_the_same_numbers_in_every_pass_over_a_batch() -> None:
    class Drops(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.Sequential(Block(), Block())

        def forward(self, x: Tensor) -> Tensor:
            noise = float(np.random.rand()) + random.random()  # noqa: NPY002
            return F.dropout(self.blocks(x), 0.5, training=True) + noise

    torch.manual_seed(0)
    net, x = Drops().eval(), torch.randn(4, 6)
    merges, fresh = look.find(net, x), []
    for edits in ({}, {0: look.silence()}, {1: look.silence()}):
        torch.manual_seed(1), random.seed(1), np.random.seed(1)  # noqa: NPY002
        with torch.no_grad(), look.intervene(net, merges, edits):
            fresh.append(net(x))
    torch.manual_seed(1), random.seed(1), np.random.seed(1)  # noqa: NPY002
    found = look.lesions(net, [(x, None)], ks=(), swaps=(1,), repeats=1)
    drift = [((each - fresh[0]).norm(dim=1) / fresh[0].norm(dim=1)).mean().item() for each in fresh[1:]]
    assert [each.values["drift"] for each in found.single] == pytest.approx(drift, rel=1e-6)


def test_a_metric_may_write_into_what_it_is_given() -> None:
    def rude(scores: Tensor, labels: Tensor | None, whole: Tensor) -> Tensor:
        return whole.sub_(scores).abs_().sum(dim=1)

    net, x = model(frozenset()), torch.randn(5, 6).double()
    found = look.lesions(net, [(x, None)], metrics=[rude, "drift"], ks=(), swaps=(), method="naive")
    alone = look.lesions(net, [(x, None)], metrics=["drift"], ks=(), swaps=(), method="naive")
    assert [each.values["drift"] for each in found.single] == [each.values["drift"] for each in alone.single]
    assert len({each.values["rude"] for each in found.single}) == 3


class Hooked(nn.Module):
    """Adds hooks in its first pass, once, as models of transformers do that were asked for hidden states."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Block() for _ in range(3))
        self.ready, self.states = False, list[Tensor]()

    def forward(self, x: Tensor) -> Tensor:
        self.states.clear()
        if not self.ready:
            self.ready = True
            for layer in self.layers:
                layer.register_forward_hook(lambda _module, _args, output: self.states.append(output))
        for layer in self.layers:
            x = layer(x)
        if len(self.states) != len(self.layers):
            raise ValueError(f"{len(self.states)} states of {len(self.layers)} layers")
        return x + sum(self.states)


@pytest.mark.parametrize("before", [0, 1])
def test_hooks_that_a_model_adds_once_are_not_added_in_every_pass(before: int) -> None:
    """`before`: passes of the user's own, after which the hooks are the model's, and stay."""
    net, x = Hooked().eval(), torch.randn(2, 6)
    own = net.register_forward_hook(lambda *_: None)
    for _ in range(before):
        net(x)
    assert len(look.find(net, x)) >= 3
    with look.intervene(net, look.find(net, x), {}):
        net(x)
    assert [len(layer._forward_hooks) for layer in net.layers] == [before] * 3
    assert (net.ready, own.id in net._forward_hooks) == (bool(before), True)
    net(x)  # it would raise with doubled hooks
