"""The heads: the published numbers for the same weights, nothing out of padding, two convolutions folded into one."""

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from reslab import look
from reslab.blocks import Residual
from reslab.errors import UsageError
from reslab.nets.heads import OUTSIDE, BiLSTMHead, ConvSDSHead, ConvSDSLayer, Head, LinearHead, TokenConvHead

HEADS = {
    "linear": lambda **options: LinearHead(8, **options),
    "sds": lambda **options: ConvSDSHead(3, 12, 8, **options),
    "tokens": lambda **options: TokenConvHead(3, 8, **options),
    "bilstm": lambda **options: BiLSTMHead(2, 8, **options),
}
LAYERS = {"linear": 0, "sds": 3, "tokens": 3, "bilstm": 2}
each = pytest.mark.parametrize("name", list(HEADS))


def make(name: str, **options: bool) -> Head:
    torch.manual_seed(0)
    head = HEADS[name](**options)
    for parameter in head.parameters():  # norms' gains and biases too, that nothing hides behind ones and zeros
        nn.init.normal_(parameter, std=0.5)
    return head.eval()


def published(x: Tensor, state: dict[str, Tensor], n_layers: int) -> Tensor:
    """The forward pass of the published head, for given weights."""
    for i in range(n_layers):
        w = {key: state[f"layers.{i}.{key}"] for key in ("branch.conv1.weight", "branch.conv1.bias",
             "branch.conv2.weight", "branch.conv2.bias", "after.weight", "after.bias")}  # fmt: skip
        y = F.conv1d(x, w["branch.conv1.weight"], w["branch.conv1.bias"], padding=1)
        y = F.conv1d(y, w["branch.conv2.weight"], w["branch.conv2.bias"])
        x = F.layer_norm(x + F.relu(y), x.shape[-1:], w["after.weight"], w["after.bias"])
    return F.linear(x, state["span.weight"], state["span.bias"])


def test_the_published_head_by_hand() -> None:
    head = ConvSDSHead()
    x = torch.randn(1, 512, 768)
    with torch.no_grad():
        assert head(x).shape == (1, 512, 2)
        assert torch.equal(head(x), head(x))  # the published one makes new layers at each call
    conv1, conv2, norm = 1024 * 512 * 3 + 1024, 512 * 1024 * 1 + 512, 2 * 768
    assert sum(p.numel() for p in head.parameters()) == 5 * (conv1 + conv2 + norm) + 768 * 2 + 2 == 10_502_658
    weights = sum(p.numel() for p in head.layers[0].branch.parameters() if p.dim() > 1)
    assert weights == 8 * 512**2


def test_the_published_outputs_for_the_same_weights() -> None:
    head = make("sds").double()
    x = torch.randn(2, 12, 8, dtype=torch.double)
    torch.testing.assert_close(head(x), published(x, head.state_dict(), 3))


def test_a_layer_with_weights_chosen_by_hand() -> None:
    """Two tokens, hidden 3. conv1's channel 0 is token 0's left neighbor on the hidden axis plus 1; conv2 copies it."""
    layer = ConvSDSLayer(2, 3)
    for parameter in layer.branch.parameters():
        nn.init.zeros_(parameter)
    layer.after = nn.Identity()
    with torch.no_grad():
        layer.branch.conv1.weight[0, 0, 0] = 1
        layer.branch.conv1.bias[0] = 1
        layer.branch.conv2.weight[1, 0, 0] = 1
    x = torch.tensor([[[5.0, -7.0, 2.0], [10.0, 20.0, 30.0]]])
    assert layer(x).tolist() == [[[5, -7, 2], [10 + 1, 20 + 6, 30 + 0]]]  # left of 5 is a zero; -7 + 1 meets the ReLU


@each
def test_look_finds_every_layer(name: str) -> None:
    merges = look.find(make(name), torch.randn(2, 12, 8))
    assert len(merges) == LAYERS[name]
    assert [merge.module for merge in merges] == [f"layers.{i}" for i in range(LAYERS[name])]
    assert all(merge.kind == "identity" and merge.reachable for merge in merges)
    assert sum(isinstance(m, Residual) for m in make(name).modules()) == LAYERS[name]


@each
def test_gradients_reach_every_parameter(name: str) -> None:
    head = make(name, answerable=True).train()
    scores = head.scores(torch.randn(2, 12, 8))
    (scores.span.square().sum() + scores.answerable.square().sum()).backward()
    for key, parameter in head.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.abs().sum() > 0, key


@each
def test_weights_saved_and_loaded_give_the_same_scores(name: str, tmp_path) -> None:
    head, x = make(name, answerable=True), torch.randn(2, 12, 8)
    save_file(head.state_dict(), tmp_path / "head.safetensors")
    torch.manual_seed(99)
    other = HEADS[name](answerable=True).eval()
    assert not torch.equal(other(x), head(x))
    other.load_state_dict(load_file(tmp_path / "head.safetensors"))
    assert torch.equal(other(x), head(x))
    assert all(p.device.type == "meta" for p in other.to("meta").parameters())


@each
@pytest.mark.parametrize("garbage", [0.0, 1e4, float("nan"), float("inf")])
@pytest.mark.parametrize("width", [7, 9, 12])
def test_padding_changes_no_real_token(name: str, garbage: float, width: int) -> None:
    head, x = make(name, answerable=True), torch.randn(2, 7, 8)
    alone = head.scores(x)
    padded = torch.cat([x, torch.full((2, width - 7, 8), garbage)], dim=1)
    mask = (torch.arange(width) < 7).expand(2, width)
    scores = head.scores(padded, mask)
    torch.testing.assert_close(scores.span[:, :7], alone.span)
    torch.testing.assert_close(scores.answerable, alone.answerable)
    assert (scores.span[:, 7:] == OUTSIDE).all()
    torch.testing.assert_close(head.scores(padded, mask.long()).span, scores.span)  # transformers' masks are integers


@each
def test_padding_gives_no_gradient(name: str) -> None:
    head = make(name, answerable=True)
    x = torch.randn(2, 12, 8)
    x[:, 7:] = float("nan")
    x.requires_grad_()
    span, answerable = head.scores(x, (torch.arange(12) < 7).expand(2, 12))
    (span[:, :7].sum() + answerable.sum()).backward()
    assert x.grad[:, :7].abs().sum() > 0
    assert not x.grad[:, 7:].any()
    assert all(p.grad.isfinite().all() for p in head.parameters())


@pytest.mark.parametrize("name", ["linear", "bilstm"])
def test_padding_may_stand_anywhere_where_places_do_not_count(name: str) -> None:
    head, x = make(name, answerable=True), torch.randn(1, 5, 8)
    mask = torch.tensor([[0, 1, 1, 0, 1, 0, 0, 1, 1, 0]]).bool()
    spread = torch.full((1, 10, 8), 1e3).masked_scatter(mask[..., None], x)
    alone, scores = head.scores(x), head.scores(spread, mask)
    torch.testing.assert_close(scores.span[mask], alone.span[0])
    torch.testing.assert_close(scores.answerable, alone.answerable)


def test_the_bilstm_reads_as_torch_s_own_does() -> None:
    """One layer, rows of different lengths, against a packed bidirectional LSTM with the same weights."""
    torch.manual_seed(1)
    head, x, lengths = BiLSTMHead(1, 8), torch.randn(3, 6, 8), [6, 2, 4]
    branch, both = head.layers[0].branch, nn.LSTM(8, 4, batch_first=True, bidirectional=True)
    theirs = dict(branch.ahead.state_dict())
    theirs |= {f"{key}_reverse": value for key, value in branch.back.state_dict().items()}
    both.load_state_dict(theirs)
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    y, _ = nn.utils.rnn.pad_packed_sequence(both(packed)[0], batch_first=True)
    mask = torch.arange(6) < torch.tensor(lengths)[:, None]
    expected = head.span(F.layer_norm(x + branch.linear(y), (8,)))
    torch.testing.assert_close(head(x, mask)[mask], expected[mask])


@each
def test_the_context_alone_may_be_an_answer(name: str) -> None:
    head, x = make(name), torch.randn(2, 12, 8)
    mask = (torch.arange(12) < 10).expand(2, 12)
    context = ((torch.arange(12) >= 4) & (torch.arange(12) < 11)).expand(2, 12)  # token 10 is padding all the same
    free, held = head(x, mask), head(x, mask, context)
    assert torch.equal(held[:, 4:10], free[:, 4:10])
    outside = torch.cat([held[:, :4], held[:, 10:]], dim=1)
    assert (outside == OUTSIDE).all()
    probabilities = held[..., 0].softmax(dim=1)
    assert not probabilities[:, :4].any()
    torch.testing.assert_close(probabilities[:, 4:10].sum(dim=1), torch.ones(2))


@each
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_what_stands_for_minus_infinity_survives_half_precision(name: str, dtype: torch.dtype) -> None:
    head = make(name, answerable=True).to(dtype)
    nobody = torch.zeros(2, 12)  # not even a context: nothing may become NaN
    scores = head.scores(torch.randn(2, 12, 8).to(dtype), torch.ones(2, 12), nobody)
    assert scores.span.dtype == scores.answerable.dtype == torch.float32
    start, end = scores.span.unbind(dim=-1)
    assert (start[:, :, None] + end[:, None, :]).isfinite().all()
    assert scores.span.bfloat16().isfinite().all()
    assert scores.span.softmax(dim=1).isfinite().all()
    assert head.scores(torch.randn(2, 12, 8).to(dtype), nobody).answerable.isfinite().all()


@each
def test_answerable_is_asked_for(name: str) -> None:
    x = torch.randn(3, 12, 8)
    assert make(name).scores(x).answerable is None
    head = make(name, answerable=True)
    span, answerable = head.scores(x)
    assert span.shape == (3, 12, 2)
    assert answerable.shape == (3,)
    assert torch.equal(head(x), span)
    extra = sum(p.numel() for p in head.parameters()) - sum(p.numel() for p in make(name).parameters())
    assert extra == 2 * 8 + 1  # the first token and the mean


def test_fewer_tokens_count_as_padded_with_zeros_before_every_layer() -> None:
    head, x = make("sds"), torch.randn(2, 7, 8)
    mask, padded = torch.arange(12) < 7, F.pad(x, (0, 0, 0, 5))
    h = padded
    for layer in head.layers:  # the published layers, with zeroed padding between
        h = layer(h * mask[:, None])
    torch.testing.assert_close(head(x), head.span(h)[:, :7])


def test_more_tokens_than_the_length_are_refused() -> None:
    with pytest.raises(UsageError, match="windows of 13 tokens do not fit an SDS layer of length 12: cut them"):
        make("sds")(torch.randn(1, 13, 8))
    assert make("tokens")(torch.randn(1, 500, 8)).shape == make("bilstm")(torch.randn(1, 500, 8)).shape == (1, 500, 2)


def test_the_token_convolutions_see_one_neighbor_a_layer() -> None:
    head, x = make("tokens"), torch.randn(1, 12, 8)
    other = x.clone()
    other[0, 0] += 1
    changed = (head(x) - head(other)).abs().amax(dim=(0, 2)) > 1e-6
    assert changed.tolist() == [True] * 4 + [False] * 8  # three layers


@pytest.mark.parametrize("length", [12, 7])
def test_folded_the_scores_are_the_same(length: int) -> None:
    """Large biases: they meet the border, where x is padded and the bias is not."""
    head, x = make("sds", answerable=True), torch.randn(2, length, 8)
    for layer in head.layers:
        nn.init.normal_(layer.branch.conv1.bias, std=5)
        nn.init.normal_(layer.branch.conv2.bias, std=5)
    folded = head.fold()
    with torch.no_grad():
        one, two = head.scores(x), folded.scores(x)
    torch.testing.assert_close(two.span, one.span, rtol=0, atol=1e-5)
    torch.testing.assert_close(two.answerable, one.answerable, rtol=0, atol=1e-5)
    assert len(look.find(folded, x)) == 3
    # 3 length² weights and length biases in a layer, for 8 length² and 3 length
    before, after = (sum(p.numel() for p in h.layers[0].branch.parameters()) for h in (head, folded))
    assert (before, after) == (8 * 144 + 3 * 12, 3 * 144 + 12)
    assert not any(p.requires_grad for p in folded.parameters())
    assert all(p.requires_grad for p in head.parameters())


def test_folding_is_exact_at_the_border() -> None:
    """In double precision, each place of the hidden axis by itself; the first and the last are the border."""
    layer = ConvSDSLayer(6, 5).double()
    nn.init.normal_(layer.branch.conv1.bias, std=5)
    x = torch.randn(4, 6, 5, dtype=torch.double)
    one, two = layer.branch(x), layer.fold().branch(x)
    for place in range(5):
        torch.testing.assert_close(two[..., place], one[..., place], rtol=1e-12, atol=1e-12)


def test_at_the_published_size_folding_keeps_the_scores_to_1e5() -> None:
    torch.manual_seed(0)
    head, x = ConvSDSHead().eval(), torch.randn(1, 512, 768)
    with torch.no_grad():
        torch.testing.assert_close(head.fold()(x), head(x), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["linear", "tokens", "bilstm"])
def test_other_heads_have_nothing_to_fold(name: str) -> None:
    head = make(name)
    assert head.fold() is head


def test_the_plain_sds_head_adds_no_input_and_folds_as_well() -> None:
    """One layer, whose branch gives zeros: with the shortcut its norm sees x, without it zeros."""
    x = torch.tensor([[[1.0, 2.0, 3.0], [4.0, 0.0, 5.0]]])
    kept, plain = (ConvSDSLayer(2, 3, skip=skip) for skip in (True, False))
    for layer in (kept, plain):
        nn.init.zeros_(layer.branch.conv2.weight)
        nn.init.constant_(layer.branch.conv2.bias, -1)
    torch.testing.assert_close(kept(x), F.layer_norm(x, (3,)))
    assert plain(x).abs().max() == 0
    torch.manual_seed(0)
    head = ConvSDSHead(3, 12, 8, skip=False).double().eval()
    rows = torch.randn(2, 12, 8).double()
    assert len(look.find(head, rows)) == 0
    torch.testing.assert_close(head.fold()(rows), head(rows), rtol=0, atol=1e-5)
