"""What is read at each depth: toys with known answers, and the logit lens by hand in language models."""

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import reslab
from reslab.errors import UsageError
from reslab.look import find, intervene, silence
from reslab.look.lesion.readout import readout


def adds(source: int, target: int, much: float) -> nn.Linear:
    """The branch that adds `much` times feature `source` to feature `target`, of three."""
    layer = nn.Linear(3, 3, bias=False)
    layer.weight.data.zero_()[target, source] = much
    return layer


class Steps(nn.Module):
    """x = (1, 0, 0) becomes (1, 2, 0), then (1, 2, 3): the answers are class 0, 1, 2."""

    def __init__(self) -> None:
        super().__init__()
        self.branches = nn.ModuleList([adds(0, 1, 2.0), adds(0, 2, 3.0)])

    def forward(self, x: Tensor) -> Tensor:
        for branch in self.branches:
            x = x + branch(x)
        return x


@pytest.mark.parametrize(("label", "errors"), [(0, [0, 1, 1]), (1, [1, 0, 1]), (2, [1, 1, 0])])
def test_known_answers(label: int, errors: list[float]) -> None:
    x = torch.tensor([[1.0, 0.0, 0.0]]).repeat(4, 1)
    found = readout(Steps(), [(x, torch.full((4,), label))])
    assert [depth.values["error"] for depth in found.depths] == errors
    assert [depth.module for depth in found.depths] == [None, "", ""]
    assert [depth.depth for depth in found.depths] == [0, 1, 2]
    assert found.n == 4
    assert found.metrics == ("error", "loss", "kl")
    for depth, h in zip(found.depths, ([1.0, 0, 0], [1.0, 2, 0], [1.0, 2, 3]), strict=True):
        assert depth.values["loss"] == pytest.approx(-F.log_softmax(torch.tensor(h), 0)[label].item())


def test_means_go_over_samples_not_batches() -> None:
    x = torch.eye(3)  # (0, 1, 0) and (0, 0, 1) stay as they are
    labels = torch.tensor([2, 1, 2])
    for batches in ([(x, labels)], [(x[:1], labels[:1]), (x[1:], labels[1:])]):
        found = readout(Steps(), batches, metrics=["error"])
        assert [d.values["error"] for d in found.depths] == [pytest.approx(1 / 3), pytest.approx(1 / 3), 0]


class Nested(nn.Module):
    """x + g(y + f(y)) with y = x: the inner merge is passed first, inside the outer one's branch."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.inner, self.outer = adds(0, 1, 2.0), adds(0, 1, 4.0), adds(1, 2, 1.0)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.first(x)
        y = x + self.inner(x)
        return x + self.outer(y)


def test_what_holds_the_last_merge_passed_is_kept() -> None:
    """Passed: nothing (1, 0, 0); first (1, 2, 0); inner, within outer (1, 2, 6): as outer is the last."""
    x = torch.tensor([[1.0, 0.0, 0.0]])
    merges = find(Nested(), x)
    assert [merge.parent for merge in merges] == [None, 2, None]

    def digits(scores: Tensor, labels: Tensor | None, whole: Tensor) -> Tensor:
        return scores @ torch.tensor([100.0, 10.0, 1.0])

    found = readout(Nested(), [(x, None)], metrics=[digits])
    assert [depth.values["digits"] for depth in found.depths] == [100, 120, 126, 126]


@pytest.mark.parametrize(
    "options", [{}, {"shortcut": "B"}, {"activation": "pre"}, {"activation": "pre", "norm": False}]
)
def test_the_last_depth_is_the_whole_net_and_the_first_its_skips(options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    net = reslab.net("cifar_resnet20", stages=(1, 2), widths=(4, 8), **options)
    x, y = torch.randn(4, 3, 8, 8), torch.tensor([0, 1, 2, 3])
    with torch.no_grad():
        whole = net.eval()(x)
    found = readout(net.train(), [(x, y)])
    assert len(found.depths) == 4
    assert [d.projections for d in found.depths] == [1, 1, 0, 0]
    assert found.depths[-1].values["loss"] == pytest.approx(F.cross_entropy(whole, y).item(), rel=1e-7)
    assert found.depths[-1].values["kl"] == 0
    for module in net.modules():
        if isinstance(module, reslab.blocks.Residual):
            module.branch = Nothing(module.branch)
    with torch.no_grad():
        assert found.depths[0].values["loss"] == pytest.approx(F.cross_entropy(net.eval()(x), y).item(), rel=1e-6)


class Nothing(nn.Module):
    """Zeros in the shape of what the branch gives."""

    def __init__(self, branch: nn.Module) -> None:
        super().__init__()
        self.branch = branch

    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros_like(self.branch(x))


def test_renorm_measures_the_last_batchnorm_again() -> None:
    """Pre-activation: the head's BatchNorm comes to know what each depth hands it; in training mode it does, too."""
    torch.manual_seed(0)
    net = reslab.net("cifar_resnet20", stages=(1, 1), widths=(4, 8), activation="pre")
    net.last.norm.running_var.fill_(9)
    x, y = torch.randn(16, 3, 8, 8), torch.arange(16) % 10
    before = {name: value.clone() for name, value in net.state_dict().items()}
    plain, again = (readout(net, [(x, y)], renorm=renorm) for renorm in (False, True))
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert {m.momentum for m in net.modules() if isinstance(m, nn.BatchNorm2d)} == {0.1}
    assert again.depths[-1] == plain.depths[-1]  # nothing is shortened
    for module in net.modules():
        if isinstance(module, reslab.blocks.Residual):
            module.branch = Nothing(module.branch)
    net.eval()
    net.last.norm.train()  # normalizes by the batch; running averages hold the unbiased variance, a little larger
    with torch.no_grad():
        by_hand = F.cross_entropy(net(x), y).item()
    assert again.depths[0].values["loss"] == pytest.approx(by_hand, rel=1e-3)
    assert plain.depths[0].values["loss"] != pytest.approx(by_hand, rel=1e-2)


def test_renorm_forgets_how_often_a_trained_net_was_updated() -> None:
    """BatchNorm counts its batches: averages measured again are of these batches alone, whatever training counted."""
    torch.manual_seed(0)
    net = reslab.net("cifar_resnet20", stages=(1, 1), widths=(4, 8), activation="pre")
    x, y = torch.randn(16, 3, 8, 8), torch.arange(16) % 10
    fresh = readout(net, [(x, y)], renorm=True)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.num_batches_tracked.fill_(1000)
    trained = readout(net, [(x, y)], renorm=True)
    assert trained.depths[0] == fresh.depths[0]
    assert {int(m.num_batches_tracked) for m in net.modules() if isinstance(m, nn.BatchNorm2d)} == {1000}


def test_renorm_is_of_all_samples_whatever_the_batches() -> None:
    """1, 2, 3 and 10 in a channel: mean 4, variance 50 / 3 with n - 1; batches of 3 and 1 have the means 2 and 10."""

    class Shifted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.f, self.norm = adds(0, 1, 2.0), nn.BatchNorm1d(3, eps=0)

        def forward(self, x: Tensor) -> Tensor:
            return self.norm(x + self.f(x))

    x = torch.tensor([1.0, 2.0, 3.0, 10.0])[:, None].repeat(1, 3)
    net = Shifted()
    net.norm.num_batches_tracked.fill_(1000)  # a trained net

    def first(scores: Tensor, labels: Tensor | None, whole: Tensor) -> Tensor:
        return scores[:, 0] ** 3  # its mean over the samples tells whether mean and variance are right

    by_hand = sum(((v - 4) / (50 / 3) ** 0.5) ** 3 for v in (1, 2, 3, 10)) / 4
    for sizes in ([4], [3, 1], [1, 3], [2, 2], [1, 1, 1, 1]):
        found = readout(net, [(part, None) for part in x.split(sizes)], metrics=[first], renorm=True)
        assert found.depths[0].values["first"] == pytest.approx(by_hand, rel=1e-6)
    with pytest.raises(UsageError, match="more than 1 value per channel, but BatchNorm1d gets 1"):
        readout(net, [(x[:1], None)], renorm=True)
    assert (net.norm.momentum, net.norm.num_batches_tracked.item()) == (0.1, 1000)
    assert torch.equal(net.norm.running_mean, torch.zeros(3))


@pytest.mark.parametrize("shortcut", ["A", "B"])
def test_renorm_of_norms_that_follow_one_another(shortcut: str) -> None:
    """As in training mode with all samples in one batch, which each norm then keeps; cut into 7 + 1, the same."""
    torch.manual_seed(0)
    net = reslab.net("cifar_resnet20", stages=(1, 1, 1), widths=(4, 8, 16), shortcut=shortcut)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    x, y = torch.randn(8, 3, 8, 8), torch.arange(8)
    merges = find(net, x)
    by_hand = copy.deepcopy(net).eval()
    with torch.no_grad(), intervene(by_hand, merges, {i: silence() for i in range(3)}):
        for name, module in by_hand.named_modules():
            if isinstance(module, nn.BatchNorm2d) and not name.startswith(("stem", "stages.0")):
                module.train()
                module.momentum = 1.0
        by_hand(x)
        found = F.cross_entropy(by_hand.eval()(x), y).item()
    for sizes in ([8], [7, 1]):
        batches = list(zip(x.split(sizes), y.split(sizes), strict=True))
        again = readout(net, batches, renorm=True)
        assert again.depths[0].values["loss"] == pytest.approx(found, rel=1e-5)


def test_progress_and_mistakes() -> None:
    seen: list[tuple[int, int]] = []
    x = torch.ones(2, 3)
    readout(Steps(), [(x, None)] * 2, renorm=True, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(i, 8) for i in (2, 4, 6, 8)]  # samples times shortened depths
    with pytest.raises(UsageError, match="no batches"):
        readout(Steps(), [])
    with pytest.raises(UsageError, match="found in Linear: there is only one depth"):
        readout(nn.Linear(3, 3), [(x, None)])
    with pytest.raises(UsageError, match="error needs labels"):
        readout(Steps(), [(x, None)], metrics=["error"])


SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24, "vocab_size": 20}


@pytest.mark.filterwarnings("ignore")
def test_the_logit_lens_of_a_causal_language_model() -> None:
    """GPT-2 is pre-norm: after 0 and 2 merges the state goes to the final norm and the head; padding is not asked."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    model = transformers.GPT2LMHeadModel(transformers.GPT2Config(n_embd=16, n_layer=2, n_head=2, vocab_size=20)).eval()
    ids = torch.randint(0, 20, (3, 6))
    labels = torch.cat([ids[:, 1:], torch.full((3, 1), -100)], dim=1)
    found = readout(model, [({"input_ids": ids}, labels)])
    with torch.no_grad():
        output = model(input_ids=ids, output_hidden_states=True)
        lens = [model.lm_head(model.transformer.ln_f(output.hidden_states[i])) for i in (0, 1)] + [output.logits]
    for depth, scores in zip(found.depths[::2], lens, strict=True):
        loss = F.cross_entropy(scores[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
        assert depth.values["loss"] == pytest.approx(loss.item(), rel=1e-6)
        assert depth.values["error"] == (scores[:, :-1].argmax(-1) != ids[:, 1:]).float().mean().item()
    assert found.depths[-1].values["kl"] == 0
    assert len(found.depths) == 5


@pytest.mark.filterwarnings("ignore")
def test_a_masked_language_model_keeps_its_norms() -> None:
    """BERT is post-norm: with both branches disabled, a block is still its two LayerNorms."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    model = transformers.BertForMaskedLM(transformers.BertConfig(**SMALL)).eval()
    ids = torch.randint(0, 20, (3, 6))
    labels = torch.where(torch.rand(3, 6) < 0.5, ids, -100)
    found = readout(model, [({"input_ids": ids, "attention_mask": torch.ones_like(ids)}, labels)])
    with torch.no_grad():
        h = model.bert.embeddings(ids)
        for layer in model.bert.encoder.layer:
            h = layer.output.LayerNorm(layer.attention.output.LayerNorm(h))
        stem, whole = model.cls(h), model(input_ids=ids).logits
    for depth, scores in ((found.depths[0], stem), (found.depths[-1], whole)):
        loss = F.cross_entropy(scores.flatten(0, 1), labels.flatten(), ignore_index=-100)
        assert depth.values["loss"] == pytest.approx(loss.item(), rel=1e-6)


def test_a_merge_on_the_skip_is_passed_without_the_outer_branch() -> None:
    """The inner merge lies in the projection of the outer one: after it alone, the outer branch is still disabled."""

    class Projected(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.project = nn.Sequential(adds(0, 1, 2.0), nn.ReLU()), adds(1, 1, 1.0)
            self.branch = nn.Sequential(*(nn.Sequential(adds(0, 0, 1.0), nn.ReLU()) for _ in range(4)))
            self.project.weight.data[0, 0] = 1.0

        def forward(self, x: Tensor) -> Tensor:
            return self.project(x + self.inner(x)) + self.branch(x)  # type: ignore[no-any-return]

    x = torch.tensor([[1.0, 0.0, 0.0]])  # becomes (1, 2, 0) within, and (2, 2, 0)
    assert [merge.sides for merge in find(Projected(), x)] == [(-1,), ()]

    def digits(scores: Tensor, labels: Tensor | None, whole: Tensor) -> Tensor:
        return scores @ torch.tensor([100.0, 10.0, 1.0])

    found = readout(Projected(), [(x, None)], metrics=[digits])
    assert [depth.values["digits"] for depth in found.depths] == [100, 120, 220]
