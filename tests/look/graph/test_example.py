"""What goes into a model we know nothing of, what comes out, and that it is given back as it was lent."""

import threading
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from reslab.errors import ReslabError, UsageError
from reslab.look import find
from reslab.look.graph.copies import each, own
from reslab.look.graph.example import batch_size, repeated, rows, scores, tensors, with_tensor
from reslab.look.graph.passes import as_it_was, call
from reslab.look.graph.settings import no_checkpoints, not_asked, slow_attention


class Block(nn.Module):
    """x + f(x); its keyword is called x."""

    def __init__(self) -> None:
        super().__init__()
        self.f = nn.Linear(4, 4)

    def forward(self, x: Tensor, scale: float = 1.0) -> Tensor:
        return x + scale * self.f(x)


X = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("example", [X, (X,), [X], (X, 2.0), {"x": X}, {"x": X, "scale": 2.0}])
def test_examples_that_do(example: Any) -> None:
    assert len(find(Block(), example)) == 1


@pytest.mark.parametrize(
    ("example", "words"),
    [
        ("a text", "an example input must be a tensor, a tuple of arguments or a dict of keyword arguments, got str"),
        (3, "got int"),
        (None, "got NoneType"),
        ({1.0}, "got set"),
        (np.ones((3, 4), np.float32), "got ndarray"),
        ((np.ones((3, 4)),), r"the example \(ndarray\) has no tensor with a batch dimension"),
        ((), r"the example \(\) has no tensor"),
        (torch.tensor(1.0), r"the example \(float32 \[\] on cpu\) has no tensor with a batch dimension"),
        (X[:0], r"the example \(float32 \[0, 4\] on cpu\) has no samples"),
        (
            X[:, :2],
            r"Block does not accept the example \(float32 \[3, 2\] on cpu\): RuntimeError: mat1 and mat2 shapes",
        ),
        (X.long(), r"Block does not accept the example \(int64 \[3, 4\] on cpu\)"),
        (X.double(), r"Block does not accept the example \(float64 \[3, 4\] on cpu\)"),
        (
            {"y": X},
            r"Block does not accept the example \(y=float32 \[3, 4\] on cpu\): TypeError: .*keyword argument 'y'",
        ),
        ((X, X, X), "takes from 2 to 3 positional arguments but 4 were given"),
    ],
)
def test_examples_that_do_not(example: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        find(Block(), example)


def test_ids_out_of_range() -> None:
    model = nn.Sequential(nn.Embedding(5, 4), Block())
    assert len(find(model, torch.tensor([[0, 4]]))) == 1
    with pytest.raises(UsageError, match="IndexError: index out of range"):
        find(model, torch.tensor([[5]]))


@pytest.mark.parametrize("error", [AssertionError("224 asked"), KeyError("size"), NotImplementedError("not so")])
def test_a_model_that_refuses(error: Exception) -> None:
    class Refusing(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise error

    with pytest.raises(UsageError, match=f"Refusing does not accept the example .*: {type(error).__name__}: "):
        call(Refusing(), X)


def test_our_own_errors_and_full_memory_pass_through() -> None:
    class Failing(nn.Module):
        def forward(self, error: Exception) -> Tensor:
            raise error

    with pytest.raises(ReslabError, match=r"^mine$"):
        call(Failing(), (ReslabError("mine"),))
    with pytest.raises(RuntimeError, match=r"^CUDA out of memory"):
        call(Failing(), (RuntimeError("CUDA out of memory"),))


def test_what_the_model_writes_into() -> None:
    """find() runs it on a copy."""
    x = X.clone()
    find(nn.Sequential(nn.ReLU(inplace=True), Block()), x)
    assert torch.equal(x, X)


@dataclass
class Answer:
    loss: Tensor
    logits: Tensor
    more: Any = None


class Pair(NamedTuple):
    a: Tensor
    b: Any


A, B = torch.ones(2, 3), torch.zeros(2, 5)


@pytest.mark.parametrize(
    ("output", "found"),
    [
        (A, A),
        ((A, B), A),
        ({"x": A, "logits": B}, B),
        ({"last_hidden_state": B, "pooled": A}, B),
        (Answer(A, B), B),
        (Pair(torch.tensor([1]), [A]), A),
        ([{"ids": torch.tensor([1]), "deep": (B,)}], B),
    ],
)
def test_scores(output: Any, found: Tensor) -> None:
    assert scores(output) is found


@pytest.mark.parametrize("output", [None, "text", {"ids": torch.tensor([1])}, ()])
def test_no_scores(output: Any) -> None:
    with pytest.raises(UsageError, match=f"{type(output).__name__}, has no floating-point tensor"):
        scores(output)


def test_batches_are_cut_and_repeated_by_their_first_dimension() -> None:
    """What has another first dimension, or none, goes along whole."""
    example = {"x": torch.arange(6).reshape(3, 2), "table": torch.arange(4), "flag": torch.tensor(1), "name": "n"}
    assert batch_size(example) == 3
    part = rows(example, 1, 3)
    assert part["x"].tolist() == [[2, 3], [4, 5]]
    assert (len(part["table"]), part["flag"].item(), part["name"]) == (4, 1, "n")
    twice = repeated(example, 2)
    assert twice["x"].tolist() == [[0, 1], [2, 3], [4, 5], [0, 1], [2, 3], [4, 5]]
    assert len(twice["table"]) == 4
    assert [t.tolist() for t in each((A[:1, :1], [B[:1, :1]]), lambda t: t + 1)[1]] == [[[1]]]


def test_swapping_one_tensor_of_an_output() -> None:
    new = torch.full((2, 3), 7.0)
    assert with_tensor(A, A, new) is new
    pair = with_tensor(Pair(A, [B, A]), A, new)
    assert isinstance(pair, Pair)
    assert (pair.a is new, pair.b[0] is B, pair.b[1] is new) == (True, True, True)
    answer = Answer(B, A, 3)
    assert with_tensor(answer, A, new).logits is new
    assert answer.logits is A
    assert tensors(with_tensor({"x": (A,), "n": 1}, A, new))[0] is new


class Keeps(nn.Module):
    """Buffers written in place, replaced, resized, and made when first used."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("counted", torch.zeros(1))
        self.register_buffer("replaced", torch.zeros(1))
        self.register_buffer("resized", torch.zeros(0))
        self.register_buffer("made", None)
        self.register_buffer("passing", torch.zeros(1), persistent=False)
        self.block = Block()

    def forward(self, x: Tensor) -> Tensor:
        self.counted += 1
        self.passing += 1
        self.replaced = self.replaced + 1
        self.resized = x.sum(0)
        self.made = x if self.made is None else self.made
        return self.block(x)


def test_buffers_come_back() -> None:
    model = Keeps()
    before = dict(model.named_buffers())
    find(model, X)
    after = dict(model.named_buffers())
    assert {name: id(buffer) for name, buffer in after.items()} == {name: id(b) for name, b in before.items()}
    assert [after[name].tolist() for name in ("counted", "replaced", "resized", "passing")] == [[0], [0], [], [0]]
    assert model.made is None


def test_eval_mode_without_eval() -> None:
    """Some models do in eval() what they do not take back: adapters are merged into the weights."""

    class Adapter(nn.Linear):
        def train(self, mode: bool = True) -> "Adapter":
            if not mode:
                self.weight.data += 1
            return super().train(mode)

    model = nn.Sequential(Adapter(4, 4), nn.Dropout(0.5))
    weight = model[0].weight.clone()
    with as_it_was(model):
        assert not any(module.training for module in model.modules())
    assert torch.equal(model[0].weight, weight)
    assert all(module.training for module in model.modules())


def test_lent_twice_at_once() -> None:
    """The inner loan gives back what the outer one made; the outer one all."""
    model = nn.Sequential(Block(), nn.BatchNorm1d(4)).train()
    with as_it_was(model, evaluate=False):
        model(X).sum().backward()
        with as_it_was(model):
            assert model[0].f.weight.grad is None
            assert not model.training
        assert model.training
        assert model[0].f.weight.grad is not None
    assert model[0].f.weight.grad is None
    assert model[1].num_batches_tracked == 0


@pytest.mark.parametrize("before", [True, False])
def test_the_fused_attention_flag_is_as_before_when_the_last_is_done(before: bool) -> None:
    torch.backends.mha.set_fastpath_enabled(before)
    try:
        both, done = threading.Barrier(2), threading.Event()

        def first() -> None:
            with as_it_was(Block()):
                both.wait()
                done.wait()

        thread = threading.Thread(target=first)
        thread.start()
        with as_it_was(Block()):
            both.wait()
        assert not torch.backends.mha.get_fastpath_enabled()  # the other still needs it off
        done.set()
        thread.join()
        assert torch.backends.mha.get_fastpath_enabled() is before
    finally:
        torch.backends.mha.set_fastpath_enabled(True)


class Layer:
    """A cache's layer, with slots; `keys` is (samples, heads, length, size)."""

    __slots__ = ("keys", "steps")

    def __init__(self, keys: Tensor) -> None:
        self.keys, self.steps = keys, [1]


def test_objects_in_an_example_are_copied_cut_and_repeated_with_their_tensors() -> None:
    layer, generator = Layer(torch.arange(6.0).reshape(3, 2, 1, 1)), torch.Generator().manual_seed(3)
    example = {"x": A[:1].repeat(3, 1), "past": [layer, layer], "more": {"of": (X, "a")}, "coins": generator}
    copied = own(example)
    copied["past"][0].keys += 1
    copied["past"][0].steps.append(2)
    copied["past"].append(3)
    copied["more"]["of"][0].zero_()
    torch.rand(1, generator=copied["coins"])
    assert copied["past"][0] is copied["past"][1]
    assert layer.keys.flatten().tolist() == [0, 1, 2, 3, 4, 5]
    assert (layer.steps, len(example["past"]), example["more"]["of"][0] is X) == ([1], 2, True)
    assert X.any()
    assert torch.equal(generator.get_state(), torch.Generator().manual_seed(3).get_state())
    assert rows(example, 1, 3)["past"][0].keys.flatten().tolist() == [2, 3, 4, 5]
    assert repeated(example, 2)["past"][1].keys.shape == (6, 2, 1, 1)


def test_what_cannot_be_copied_is_named() -> None:
    with pytest.raises(UsageError, match=r"holds a generator, which cannot be copied .*an example of its own"):
        find(Block(), (X, (number for number in (1, 2))))


@pytest.mark.parametrize("change", [slow_attention, no_checkpoints, not_asked])
def test_settings_of_the_process_come_back_whatever_thread_ends_first(change: Any) -> None:
    """The first to begin ends first: the last to end restores what was there before both."""
    pytest.importorskip("transformers")
    import torch.utils.checkpoint
    from transformers.utils import import_utils

    def now() -> tuple[Any, ...]:
        place: Any = torch.utils.checkpoint
        return torch.backends.mha.get_fastpath_enabled(), place.CheckpointFunction, import_utils.is_fake_tensor

    before = now()
    one, two = change(), change()
    one.__enter__()
    two.__enter__()
    one.__exit__(None, None, None)
    assert now() != before
    two.__exit__(None, None, None)
    assert now() == before
