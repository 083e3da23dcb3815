"""Lesions: toys worked out by hand, the growing pass beside the naive loop, and what users do wrong."""

import json
import math
import statistics
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import reslab
from reslab.errors import ReslabError, UsageError
from reslab.look import find
from reslab.look.lesion.lesion import Lesions, lesions


class Scale(nn.Module):
    """x + a x."""

    def __init__(self, a: float, **_: Any) -> None:
        super().__init__()
        self.f = nn.Linear(2, 2, bias=False)
        self.f.weight.data = a * torch.eye(2)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.f(x)


def scales(*factors: float) -> nn.Sequential:
    return nn.Sequential(*(Scale(a) for a in factors)).double()


def apart(a: Lesions, b: Lesions) -> float:
    """The largest relative difference of any number of the two."""
    pairs = [(a.whole[name], b.whole[name]) for name in a.metrics]
    for one, two in [*zip(a.single, b.single, strict=True), *zip(a.random, b.random, strict=True)]:
        for name in a.metrics:
            left, right = one.values[name], two.values[name]
            pairs += zip(left, right, strict=True) if isinstance(left, tuple) else [(left, right)]
    return max(abs(x - y) / max(1, abs(y)) for x, y in pairs)


def test_each_block_alone_by_hand() -> None:
    """Blocks that scale by 2, 3 and 4: without one the output is 1/2, 1/3, 1/4 of the whole."""
    x = torch.tensor([[1.0, 2.0], [3.0, -1.0], [0.0, 1.0]], dtype=torch.float64)
    found = lesions(scales(1, 2, 3), [(x, None)])
    assert found.metrics == ("drift",)
    assert found.whole == {"drift": 0.0}
    assert found.n == 3
    assert [each.values["drift"] for each in found.single] == pytest.approx([1 / 2, 2 / 3, 3 / 4], abs=1e-7)
    assert [(each.merge, each.module, each.kind) for each in found.single] == [
        (i, str(i), "identity") for i in range(3)
    ]
    assert (found.method, found.why, found.layers, found.notes) == ("growing", "", (), ())


def test_k_at_random_by_hand() -> None:
    """All pairs of blocks that scale by 2, 3 and 5 leave 1/6, 1/10 or 1/15 of the whole; all three leave 1/30."""
    x = torch.randn(4, 2).double()
    found = lesions(scales(1, 2, 4), [(x, None)], ks=(2, 3), repeats=20, swaps=())
    two, three = found.random
    assert (two.k, three.k, len(two.values["drift"])) == (2, 3, 20)
    seen = sorted({round(v, 6) for v in two.values["drift"]})
    assert seen == pytest.approx([1 - 1 / 6, 1 - 1 / 10, 1 - 1 / 15], abs=1e-5)
    assert three.values["drift"] == pytest.approx([1 - 1 / 30] * 20, abs=1e-6)
    assert found == lesions(scales(1, 2, 4), [(x, None)], ks=(2, 3), repeats=20, swaps=())
    other = lesions(scales(1, 2, 4), [(x, None)], ks=(2, 3), repeats=20, swaps=(), seed=1)
    assert other.random[0] != two
    assert other.single == found.single
    more = lesions(scales(1, 2, 4), [(x, None)], ks=(1, 2), repeats=25, swaps=())
    assert more.random[1].values["drift"][:20] == two.values["drift"]  # a draw depends on nothing but its own number


def test_the_same_seed_gives_the_same_draw_on_any_machine() -> None:
    x = torch.ones(1, 2).double()
    found = lesions(scales(1, 2, 4), [(x, None)], ks=(1,), repeats=6, swaps=())
    blocks = {1 / 2: 0, 2 / 3: 1, 4 / 5: 2}
    drawn = [min(blocks, key=lambda drift: abs(drift - v)) for v in found.random[0].values["drift"]]
    assert [blocks[drift] for drift in drawn] == [1, 1, 2, 1, 1, 2]


def test_error_loss_and_kl_by_hand() -> None:
    """Scores x and 2 x: the highest stays, so no error is made; loss and KL are written out."""
    x = torch.tensor([[1.0, 0.0], [0.0, 2.0]], dtype=torch.float64)
    labels = torch.tensor([0, 0])
    found = lesions(scales(1), [(x, labels)])
    assert found.metrics == ("error", "loss", "kl")
    loss = [(math.log1p(math.exp(-s)) + math.log1p(math.exp(2 * s))) / 2 for s in (2, 1)]
    assert found.whole == pytest.approx({"error": 0.5, "loss": loss[0], "kl": 0.0}, abs=1e-7)
    p, q = ([1 / (1 + math.exp(-s)) for s in each] for each in ((2, 4), (1, 2)))
    kl = sum(a * math.log(a / b) + (1 - a) * math.log((1 - a) / (1 - b)) for a, b in zip(p, q, strict=True)) / 2
    assert found.single[0].values == pytest.approx({"error": 0.5, "loss": loss[1], "kl": kl}, abs=1e-7)


def test_batches_count_by_what_is_asked() -> None:
    """Means are over tokens that have a label, however they lie in batches; a batch may ask nothing."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Embedding(9, 2), Scale(1), Scale(2))
    ids, labels = torch.randint(0, 9, (6, 4)), torch.randint(0, 2, (6, 4))
    labels[:2] = -100
    labels[3, 1:] = -100
    whole = lesions(net, [(ids, labels)], ks=(2,), repeats=2, swaps=(1,))
    parts = lesions(net, [(ids[:2], labels[:2]), (ids[2:3], labels[2:3]), (ids[3:], labels[3:])], ks=(2,), repeats=2,
                    swaps=(1,), chunk=2)  # fmt: skip
    assert whole.n == parts.n == 4 + 1 + 2 * 4
    assert apart(whole, parts) < 1e-7
    loss = F.cross_entropy(net(ids)[labels != -100], labels[labels != -100])
    assert whole.whole["loss"] == pytest.approx(loss.item(), abs=1e-6)


def trained_like(net: nn.Module) -> nn.Module:
    """Statistics and gains as a trained net has them: none is 0 or 1."""
    torch.manual_seed(1)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return net


@pytest.mark.parametrize("name", ["cifar_resnet20", "resnet20_v2", "resnet26"])
def test_growing_is_naive_on_our_nets(name: str) -> None:
    net = trained_like(reslab.net(name, classes=10))
    x, y = torch.randn(7, 3, 16, 16), torch.arange(7)
    both = [
        lesions(net, [(x[:5], y[:5]), (x[5:], y[5:])], repeats=2, ks=(1, 3, 6), swaps=(), method=method, chunk=40)
        for method in ("growing", "naive")
    ]
    assert [each.method for each in both] == ["growing", "naive"]
    assert apart(*both) < 1e-6
    assert {each.kind for each in both[0].single} == {"identity", "projection"}
    assert len({each.values["loss"] for each in both[0].single}) == len(both[0].single)
    assert both[0].random[0].values["loss"][0] in [each.values["loss"] for each in both[0].single]


def test_half_precision() -> None:
    net = trained_like(reslab.net("resnet8")).bfloat16()
    batch = [(torch.randn(6, 3, 16, 16).bfloat16(), torch.arange(6))]
    both = [lesions(net, batch, ks=(2,), repeats=2, swaps=(), method=method) for method in ("growing", "naive")]
    assert apart(*both) < 0.05


def test_a_chunk_bounds_the_rows() -> None:
    """Five lesions and the whole: six copies of 3 samples in 20 rows; where a sample's are too many, in groups."""
    net, rows = scales(1, 2, 3, 4, 5), []
    net.register_forward_hook(lambda _m, _args, out: rows.append(len(out)))
    x = torch.randn(50, 2).double()
    merges = find(net, x)
    for chunk, most in ((2, 2), (5, 4), (20, 18), (None, 48)):
        rows.clear()
        found = lesions(net, [(x, None)], merges=merges, ks=(), swaps=(), chunk=chunk, metrics=["drift"])
        assert found.method == "growing"
        assert max(n for n in rows if n != 50) == most  # 50: the whole model's own pass
        assert [each.values["drift"] for each in found.single] == pytest.approx([1 / 2, 2 / 3, 3 / 4, 4 / 5, 5 / 6])


class Mixing(nn.Module):
    """Three blocks in a model that does something with its samples at the end."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.blocks = how, scales(1, 2, 3)

    def forward(self, x: Tensor) -> Tensor:
        n = len(x)
        y = self.blocks(x)
        match self.how:
            case "centers":
                return y - y.mean(dim=0)
            case "first":
                return y[:n]
            case "first, and as many":
                return y[:n].repeat(len(y) // n, 1)
            case "asserts":
                assert len(y) == n, "the batch changed"
            case "one row":
                return y.sum(dim=0)
        return y


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("centers", "the output for a sample changes if more samples are in the batch"),
        ("first", "the model returned 2 rows for 6 copies of 2 samples"),
        (
            "first, and as many",
            "with merge 0 (blocks.0) disabled, a growing pass does not give the result of a single pass",
        ),
        ("asserts", "does not accept a growing batch: the batch changed"),
        ("one row", "the first dimension of the output, [2], is not the 9 samples"),
    ],
)
def test_one_pass_a_lesion_where_the_batch_cannot_grow(how: str, why: str) -> None:
    model, x = Mixing(how), torch.randn(9, 2).double()
    found = lesions(model, [(x, None)], ks=(2,), swaps=(), repeats=2)
    assert found.method == "naive"
    assert why in found.why
    assert found == lesions(model, [(x, None)], ks=(2,), swaps=(), repeats=2)
    naive = lesions(model, [(x, None)], ks=(2,), swaps=(), repeats=2, method="naive")
    assert (found.single, found.random) == (naive.single, naive.random)
    assert [each.values["drift"] for each in found.single] == pytest.approx([1 / 2, 2 / 3, 3 / 4])
    with pytest.raises(ReslabError, match=r'a growing pass is not possible: .*; use method="naive"'):
        lesions(model, [(x, None)], ks=(), swaps=(), method="growing")


def test_each_end_of_a_growing_pass_is_verified() -> None:
    """A model that treats only the rows of its second lesion differently: the first agrees, the second does not."""

    class Third(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = scales(1, 2)

        def forward(self, x: Tensor) -> Tensor:
            y = self.blocks(x)
            return torch.cat([y[:4], 3 * y[4:]])  # two samples: copies 0 and 1 are right, copy 2 is not

    x = torch.randn(2, 2).double()
    found = lesions(Third(), [(x, None)], ks=(), swaps=())
    assert found.method == "naive"
    assert "blocks.1) disabled, a growing pass does not give the result of a single pass" in found.why
    assert [each.values["drift"] for each in found.single] == pytest.approx([1 / 2, 2 / 3])


def test_what_fails_later_is_seen_too() -> None:
    """A model that mixes its samples only where they are long: the batches before it are measured again."""

    class Long(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = scales(1, 2)

        def forward(self, x: Tensor) -> Tensor:
            y = self.blocks(x)
            return y if x.shape[1] < 9 else y + y.mean(dim=0)

    told: list[tuple[int, int]] = []
    batches = [(torch.randn(5, 3, 2).double(), None), (torch.randn(5, 9, 2).double(), None)]
    found = lesions(Long(), batches, ks=(), swaps=(), progress=lambda *step: told.append(step))
    assert found.method == "naive"
    assert found.n == 5 * 3 + 5 * 9
    assert told[-1] == (20, 20)
    assert [each.values["drift"] for each in found.single] == pytest.approx([1 / 2, 2 / 3])


def test_progress_and_json() -> None:
    told: list[tuple[int, int]] = []
    x, y = torch.randn(6, 2).double(), torch.tensor([0, 1, 0, 1, 0, 1])
    found = lesions(scales(1, 2), [(x, y)] * 2, repeats=2, layers=True, progress=lambda *step: told.append(step))
    lesioned = 2 + 1 + 2 * 2 + 2  # single, both, two orders of 1 and of 2 swaps, layers
    assert told[-1] == (12 * lesioned, 12 * lesioned)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    data = json.loads(json.dumps(asdict(found)))
    assert list(data) == ["n", "metrics", "whole", "method", "why", "single", "random", "reorder", "layers", "notes"]
    assert list(data["single"][0]) == ["merge", "module", "kind", "values", "spread"]
    assert list(data["random"][0]) == ["k", "values"]
    assert list(data["reorder"][0]) == ["swaps", "tau", "values", "spread"]
    assert list(data["layers"][0]) == ["layer", "module", "kind", "values", "spread"]


def test_layers_left_out_by_hand() -> None:
    """A plain net that scales by 2 and 4: without a layer the output is 1/2, 1/4; there is nothing else to cut."""
    net = nn.Sequential(*(block.f for block in scales(2, 4)))
    found = lesions(net, [(torch.randn(3, 2).double(), None)])
    assert [(each.module, each.kind) for each in found.layers] == [("0", "Linear"), ("1", "Linear")]
    assert [each.values["drift"] for each in found.layers] == pytest.approx([1 / 2, 3 / 4])
    assert (found.single, found.random) == ((), ())
    assert {(each.swaps, each.tau, each.values["drift"]) for each in found.reorder} == {(1, -1, 0), (2, 1, 0)}
    assert found.why == "there is no block to disable"
    assert "no residual connection was recognized in Sequential" in found.notes[0]


def test_a_layer_goes_with_its_normalization() -> None:
    """conv - BN - ReLU - conv - BN, the second pair disabled: ReLU's output comes out, nothing is overwritten."""
    torch.manual_seed(0)
    net = trained_like(nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True),
                                     nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True),
                                     nn.Flatten(), nn.Linear(4 * 25, 3))).eval()  # fmt: skip
    x = torch.randn(2, 3, 5, 5)
    found = lesions(net, [(x, None)])
    assert [each.module for each in found.layers] == ["3"]
    whole, short = net(x), net[7](net[:3](x).flatten(1))
    drift = ((short - whole).norm(dim=1) / whole.norm(dim=1)).mean().item()
    assert found.layers[0].values["drift"] == pytest.approx(drift, abs=1e-6)
    assert not any(m._forward_hooks for m in net.modules())


def test_layers_of_plain_nets_and_vgg_and_of_residual_ones_if_asked() -> None:
    x = torch.randn(2, 3, 32, 32)
    plain = lesions(trained_like(reslab.net("plain8")), [(x, torch.tensor([1, 2]))])
    assert len(plain.layers) == 4  # conv 16-16 twice, and the second of stages 2 and 3
    vgg = lesions(reslab.net("cifar_vgg16"), [(x, torch.tensor([1, 2]))])
    assert len(vgg.layers) >= 8
    residual = lesions(trained_like(reslab.net("resnet8")), [(x, None)], ks=(), swaps=(), layers=True)
    assert [each.module for each in residual.layers] == [each.module for each in plain.layers]
    assert len(residual.single) == 3


def test_a_users_function_sees_all_samples_at_once() -> None:
    """However the growing pass is cut into chunks; one number for a batch weighs by the batch's samples."""

    def spread(scores: Tensor, labels: Tensor | None, whole: Tensor) -> Tensor:
        assert labels is not None
        assert len(scores) == len(labels) == len(whole)
        return torch.tensor(float(len(scores)))

    x, y = torch.randn(10, 2).double(), torch.zeros(10, dtype=torch.long)
    found = lesions(scales(1, 2), [(x[:7], y[:7]), (x[7:], y[7:])], metrics=[spread, "kl"], chunk=4, swaps=())
    assert found.method == "growing"
    assert found.metrics == ("spread", "kl")
    assert {each.values["spread"] for each in found.single} == {(7 * 7 + 3 * 3) / 10}


@pytest.mark.parametrize("method", ["growing", "naive"])
def test_no_number_names_the_metric_and_the_lesion(method: Any) -> None:
    def strange(scores: Tensor, labels: Tensor | None, whole: Tensor) -> Tensor:
        return torch.log(scores.norm(dim=-1) - whole.norm(dim=-1) / 2 + 1e-3)  # NaN where less than half is left

    net = scales(0.1, 2)
    with pytest.raises(ReslabError, match=r"^with merge 1 \(1\) disabled: metric 'strange' is nan"):
        lesions(net, [(torch.ones(3, 2).double(), None)], metrics=[strange], ks=(), method=method)
    with pytest.raises(ReslabError, match=r"^the intact model: metric 'drift' is nan"):
        lesions(net, [(torch.full((3, 2), torch.nan).double(), None)], method=method)


def test_wrong_options() -> None:
    net, x, y = scales(1, 2), torch.randn(3, 2).double(), torch.tensor([0, 1, 0])
    for options, words in [
        ({"repeats": 0}, "repeats must be at least 1, got 0"),
        ({"ks": (1, 3)}, "k must be from 1 to 2, the number of merges, got 3"),
        ({"ks": (0,)}, "got 0"),
        ({"chunk": 1}, "chunk must be at least 2 rows, a sample and its lesioned copy, got 1"),
        ({"method": "fast"}, "method must be auto, growing or naive, got 'fast'"),
        ({"metrics": ["eror"]}, "did you mean 'error'"),
    ]:
        with pytest.raises(UsageError, match=words):
            lesions(net, [(x, y)], **options)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="there are no batches"):
        lesions(net, [])
    with pytest.raises(UsageError, match="some batches have labels"):
        lesions(net, [(x, y), (x, None)])
    with pytest.raises(UsageError, match="every label is -100"):
        lesions(net, [(x, torch.full((3,), -100))])
    with pytest.raises(UsageError, match="needs labels"):
        lesions(net, [(x, None)], metrics=["loss"])
    with pytest.raises(UsageError, match="labels range from 0 to 7, but the model has 2 classes"):
        lesions(net, [(x, torch.tensor([0, 1, 7]))])


def test_a_part_of_the_merges() -> None:
    net, x = scales(1, 2, 4), torch.randn(3, 2).double()
    merges = [merge for merge in find(net, x) if merge.index != 1]
    found = lesions(net, [(x, None)], merges=merges, ks=(2,), repeats=3, swaps=())
    assert [each.merge for each in found.single] == [0, 2]
    assert found.random[0].values["drift"] == pytest.approx([1 - 1 / 10] * 3)


@pytest.mark.parametrize("how", ["done", "failed"])
def test_the_model_comes_back_as_it_was(how: str) -> None:
    net = reslab.net("resnet8").train()
    net.stages[0][0].eval()
    state = {name: value.clone() for name, value in net.state_dict().items()}
    flags = [module.training for module in net.modules()]
    x, y = torch.randn(4, 3, 16, 16), torch.arange(4)
    before = torch.random.get_rng_state()

    def fails(scores: Tensor, labels: Tensor | None, whole: Tensor) -> Tensor:
        if how == "failed" and not torch.equal(scores, whole):
            raise RuntimeError("stop")
        return torch.zeros(len(scores))

    try:
        lesions(net, [(x, y)], metrics=[fails], repeats=1, layers=True)
        assert how == "done"
    except RuntimeError:
        assert how == "failed"
    assert torch.equal(before, torch.random.get_rng_state())
    assert [module.training for module in net.modules()] == flags
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())
    assert all(p.requires_grad and p.grad is None for p in net.parameters())


@pytest.mark.slow
def test_only_downsampling_blocks_of_a_trained_net_matter(shared: Path) -> None:
    """Veit et al., Figure 3, on akamaster's ResNet-56 and 1,000 images (lossy: see the shared README)."""
    from reslab.images.data import load, measure

    data = load(str(shared / "data" / "cifar10-jpeg"))
    part = data.test.subset(torch.arange(1000))
    x, y = measure(data.train, mean="imagenet", std=True)(part.pixels), part.labels
    (file,) = (shared / "data" / "weights" / "akamaster").glob("resnet56-*.th")
    net = reslab.load(file, "resnet56", shortcut="A-both")
    found = lesions(net, list(zip(x.split(100), y.split(100), strict=True)), ks=(), swaps=())
    assert found.method == "growing"
    assert found.whole["error"] == pytest.approx(0.165, abs=0.002)
    errors = {each.module: each.values["error"] for each in found.single}
    down = [each.module for each in found.single if each.kind == "projection"]
    assert down == ["stages.1.0", "stages.2.0"]
    assert [errors[module] for module in down] == pytest.approx([0.514, 0.345], abs=0.003)
    # One identity block of the first stage stands out too (0.360); the other 24 cost at most 8 points.
    identity = sorted(error for module, error in errors.items() if module not in down)
    assert identity[-1] == errors["stages.0.7"] == pytest.approx(0.36, abs=0.003)
    assert 0.165 < identity[0] < identity[-2] < 0.25
    several = lesions(net, [(x[:200], y[:200])], ks=(1, 3, 10), repeats=5, swaps=(), metrics=["error"])
    one, three, ten = (sorted(each.values["error"])[2] for each in several.random)
    assert one < 0.2 < three < 0.4 < 0.7 < ten


@pytest.mark.parametrize("method", ["growing", "naive"])
def test_the_spread_of_a_difference_by_hand(method: Any) -> None:
    """x - 2 x has the other class: disabled, the block makes right answers wrong (1) and wrong ones right (-1)."""
    x = torch.tensor([[1.0, 0.0]] * 6, dtype=torch.float64)
    for labels, error, differences in (([1] * 6, 0, [1] * 6), ([1, 1, 0, 1, 0, 1], 1 / 3, [1, 1, -1, 1, -1, 1])):
        parts = [(x[:4], torch.tensor(labels[:4])), (x[4:], torch.tensor(labels[4:]))]
        found = lesions(scales(-2), parts, metrics=["error", "kl"], method=method, ks=(), swaps=())
        single = found.single[0]
        assert (found.whole["error"], single.values["error"]) == pytest.approx((error, 1 - error))
        assert single.spread["error"] == pytest.approx(statistics.stdev(differences), abs=1e-7)
        assert single.spread["kl"] == pytest.approx(0, abs=1e-6)  # the same for each sample
