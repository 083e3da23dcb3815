"""What is counted and how it is named: masked classes, padding, metrics without names of their own."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from reslab import look
from reslab.errors import ReslabError
from reslab.look import measure
from reslab.look.lesion.silencing import agree
from reslab.look.path.entry import Entry


def linear(rows: list[list[float]]) -> nn.Linear:
    layer = nn.Linear(len(rows[0]), len(rows), bias=False)
    layer.weight.data = torch.tensor(rows)
    return layer


class Turn(nn.Module):
    """x + f(x) with f((a, b)) = (-b, a), of words or of vectors; the last of three classes may be masked."""

    def __init__(self, mask: float = 0.0) -> None:
        super().__init__()
        self.words, self.f, self.mask = nn.Embedding(4, 2), linear([[0.0, -1.0], [1.0, 0.0]]), mask
        self.words.weight.data = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0], [50.0, 7.0]])

    def forward(self, x: Tensor, attention_mask: Tensor | None = None, **_: Any) -> Tensor:
        x = self.words(x) if not x.is_floating_point() else x
        x = x + self.f(x)
        masked = torch.tensor([[0.0, 0.0, self.mask]])
        return torch.cat([x, x[..., :1]], dim=-1) + masked if self.mask else x


X = torch.tensor([[1.0, 0.0], [0.0, 2.0]])


@pytest.mark.parametrize("mask", [-torch.inf, torch.finfo(torch.float32).min, -1e9])
@pytest.mark.parametrize("method", ["auto", "naive"])
def test_classes_that_are_masked_do_not_matter(mask: float, method: Any) -> None:
    """(1, 1) becomes (1, 0) and (-2, 2) becomes (0, 2): of two classes, as if the masked third were not there."""
    found = look.lesions(Turn(mask), [(X, None)], metrics=["kl", "drift"], ks=(), swaps=(), method=method)
    plain = look.lesions(Turn(), [(X, None)], metrics=["kl", "drift"], ks=(), swaps=(), method="naive")
    p = torch.tensor([[1.0, 1.0], [-2.0, 2.0]]).log_softmax(1)
    q = X.log_softmax(1)
    by_hand = (p.exp() * (p - q)).sum(1).mean().item()
    assert plain.single[0].values["kl"] == pytest.approx(by_hand, rel=1e-6)
    assert found.single[0].values["kl"] == pytest.approx(by_hand, rel=1e-6)
    if mask == -torch.inf:
        assert found.single[0].values["drift"] == pytest.approx(plain.single[0].values["drift"])
    assert found.method == ("growing" if method == "auto" else "naive")


def test_masks_hide_no_difference_of_other_scores() -> None:
    whole = torch.tensor([[1.0, 2.0, -1e9], [3.0, 1.0, -1e9]])
    assert agree(whole.clone(), whole)
    assert not agree(whole + torch.tensor([0.1, 0.0, 0.0]), whole)
    assert not agree(whole.where(whole > 0, -torch.inf), whole)
    infinite = whole.where(whole > 0, -torch.inf)
    assert agree(infinite.clone(), infinite)
    assert not agree(infinite + torch.tensor([0.1, 0.0, 0.0]), infinite)


def test_what_is_not_a_number_is_not_hidden() -> None:
    with pytest.raises(ReslabError, match="metric 'kl' is nan"):
        measure.measure({"kl": measure.kl}, X, None, X.new_full(X.shape, -torch.inf))


def top(k: int, scores: Tensor, labels: Tensor | None, whole: Tensor) -> Tensor:
    return scores.topk(k, dim=1).values.sum(dim=1)


def test_metrics_of_one_name_are_measured_apart() -> None:
    def error(scores: Tensor, labels: Tensor | None, whole: Tensor) -> Tensor:
        return scores[:, 0]

    class Other:
        def __call__(self, scores: Tensor, labels: Tensor | None, whole: Tensor) -> Tensor:
            return scores[:, 1]

    labels = torch.tensor([0, 1])
    given = [partial(top, 1), partial(top, 2), partial(top, k=1), lambda s, y, w: s[:, 0], lambda s, y, w: -s[:, 0],
             error, "error", Other(), Other()]  # fmt: skip
    found = measure.chosen(given[:2] + given[3:], labels)  # type: ignore[operator]
    assert list(found) == ["top(1)", "top(2)", "<lambda>", "<lambda> 2", "error 2", "error", "Other", "Other 2"]
    values = look.lesions(Turn(), [(X, labels)], metrics=given[:2], ks=(), swaps=()).whole  # type: ignore[arg-type]
    assert values == pytest.approx({"top(1)": 1.5, "top(2)": 1.0})  # of (1, 1) and (-2, 2)


IDS, MASK = torch.tensor([[1, 2, 3], [1, 3, 3]]), torch.tensor([[1, 1, 0], [1, 0, 0]])


@pytest.mark.parametrize(
    "padding", [{"attention_mask": MASK}, {"attention_mask": MASK.bool()}, {"src_key_padding_mask": MASK == 0}]
)
@pytest.mark.parametrize("method", ["auto", "naive"])
def test_padding_is_not_counted(padding: dict[str, Tensor], method: Any) -> None:
    """Of 1, 2 and 1 the turn adds vectors as long as themselves: drift 1 / sqrt(2); 3 is padding of another size."""
    net, example = Turn(), {"x": IDS, **padding}
    real = torch.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 0.0]])
    out = real + net.f(real)
    found = look.lesions(net, [(example, None)], ks=(), swaps=(), method=method)
    assert found.n == 3
    assert found.single[0].values["drift"] == pytest.approx(0.5**0.5)
    (response,) = look.responses(net, [(example, None)]).merges
    assert response.skip == pytest.approx(real.std(correction=0).item())
    assert response.out == pytest.approx(out.std(correction=0).item())
    measured = look.gradients(net, [(example, None)])
    assert measured.merges[0].signal == pytest.approx(out.square().mean().sqrt().item())
    # The gradient comes from 3 tokens in 2 samples, whatever the padding is.
    other = look.gradients(net, [({"x": torch.tensor([[1, 2, 0], [1, 0, 0]]), **padding}, None)])
    assert measured.merges[0].out == other.merges[0].out
    assert measured.loss == other.loss
    assert look.paths(net, [(example, None)]).gradient == look.paths(
        net, [({"x": torch.tensor([[1, 2, 0], [1, 0, 0]]), **padding}, None)]
    ).gradient  # fmt: skip


def test_the_gradient_is_taken_at_the_last_module_that_leads_to_the_first_skip() -> None:
    """Embedding, then a linear layer of the same width, then positions that no module adds; the branch is no entry."""

    class Reader(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.mix, self.f = nn.Embedding(5, 4), nn.Linear(4, 4), nn.Linear(4, 4)
            self.places = nn.Parameter(torch.randn(3, 4))

        def forward(self, ids: Tensor) -> Tensor:
            x = self.mix(self.words(ids)) + self.places
            x += self.f(x)  # written in place: the branch leads to the sum, not to the skip
            return x

    net = Reader()
    ids = torch.tensor([[1, 2, 3]])
    merges = look.find(net, ids)
    assert Entry(net, merges, ids).name == "mix"
    assert look.paths(net, [(ids, None)]).at == "mix"
