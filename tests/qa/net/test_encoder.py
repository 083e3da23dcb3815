"""reslab's encoder: counted by hand, unaffected by padding, two merges per layer, initialized independent of depth."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from reslab import look
from reslab.blocks import Residual
from reslab.errors import UsageError
from reslab.qa.net.encoder import Encoder, EncoderSpec

SMALL = EncoderSpec(vocab=30, hidden=8, layers=2, heads=2, length=12)


def make(spec: EncoderSpec = SMALL) -> Encoder:
    torch.manual_seed(0)
    return Encoder(spec).eval()


def test_parameters_by_hand() -> None:
    embeddings = (30 + 12 + 2) * 8
    attention = 2 * 8 + (8 * 24 + 24) + (8 * 8 + 8)
    mlp = 2 * 8 + (8 * 32 + 32) + (32 * 8 + 8)
    assert sum(p.numel() for p in make().parameters()) == embeddings + 2 * (attention + mlp) + 2 * 8


def test_the_forward_pass_written_again() -> None:
    encoder, ids = make(), torch.randint(30, (2, 9))
    types = torch.randint(2, (2, 9))
    x = encoder.tokens.weight[ids] + encoder.types.weight[types] + encoder.positions.weight[:9]
    for layer in encoder.layers:
        a, m = layer.attention.branch, layer.mlp.branch
        q, k, v = a.qkv(F.layer_norm(x, (8,))).split(8, dim=2)
        heads = []
        for at in (slice(0, 4), slice(4, 8)):
            weights = (q[..., at] @ k[..., at].transpose(1, 2) / math.sqrt(4)).softmax(dim=2)
            heads.append(weights @ v[..., at])
        x = x + a.out(torch.cat(heads, dim=2))
        x = x + m[3](F.gelu(m[1](F.layer_norm(x, (8,)))))
    torch.testing.assert_close(encoder(ids, types=types), F.layer_norm(x, (8,)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_padding_changes_no_real_token(dtype: torch.dtype) -> None:
    encoder, ids = make().to(dtype), torch.randint(30, (2, 7))
    alone = encoder(ids)
    mask = (torch.arange(12) < 7).expand(2, 12)
    for filler in (0, 29):
        padded = F.pad(ids, (0, 5), value=filler)
        out = encoder(padded, mask, torch.where(mask, 0, 1))
        torch.testing.assert_close(out[:, :7], alone)
        assert out.isfinite().all()
    assert not torch.allclose(encoder(F.pad(ids, (0, 5)))[:, :7], alone)  # without a mask it is no padding
    assert encoder(ids, torch.zeros(2, 7)).isfinite().all()


def test_padding_gives_no_gradient() -> None:
    encoder, mask = make(), (torch.arange(12) < 7).expand(1, 12)
    ids = torch.arange(12)[None]  # every token once
    encoder(ids, mask)[:, :7].square().sum().backward()
    used = encoder.tokens.weight.grad.abs().sum(dim=1) > 0
    assert used.tolist() == [True] * 7 + [False] * 23


def test_look_finds_two_merges_a_layer() -> None:
    encoder = make()
    example = {"ids": torch.randint(30, (2, 9)), "mask": torch.ones(2, 9), "types": torch.randint(2, (2, 9))}
    merges = look.find(encoder, example)
    assert [m.path for m in merges] == [f"layers.{i}.{part}" for i in range(2) for part in ("attention", "mlp")]
    assert [m.params for m in merges] == [2 * 8 + 8 * 24 + 24 + 8 * 8 + 8, 2 * 8 + 8 * 32 + 32 + 32 * 8 + 8] * 2
    assert all(m.kind == "identity" and m.cuttable for m in merges)  # pre-norm: nothing follows the addition
    assert len([m for m in encoder.modules() if isinstance(m, Residual)]) == 4


def test_with_silent_branches_the_stream_is_clean() -> None:
    encoder, ids = make(), torch.randint(30, (2, 9))
    for block in encoder.modules():
        if isinstance(block, Residual):
            last = [m for m in block.branch.modules() if isinstance(m, nn.Linear)][-1]
            nn.init.zeros_(last.weight)
    x = encoder.tokens.weight[ids] + encoder.types.weight[0] + encoder.positions.weight[:9]
    assert torch.equal(encoder(ids), encoder.norm(x))


def test_initial_weights() -> None:
    encoder = make(EncoderSpec(vocab=5000, hidden=128, layers=8))
    block = encoder.layers[0]
    for weight in (encoder.tokens.weight, block.attention.branch.qkv.weight, block.mlp.branch[1].weight):
        assert weight.std().item() == pytest.approx(0.02, rel=0.02)
    for weight in (block.attention.branch.out.weight, block.mlp.branch[3].weight):
        assert weight.std().item() == pytest.approx(0.02 / 4, rel=0.03)  # 1 / sqrt(2 * 8)
    assert not any(m.bias.any() for m in encoder.modules() if isinstance(m, nn.Linear))


@pytest.mark.parametrize("layers", [2, 32])
def test_what_the_branches_add_does_not_grow_with_depth(layers: int) -> None:
    encoder, ids = make(EncoderSpec(vocab=100, hidden=64, layers=layers)), torch.randint(100, (4, 32))
    stream = {}
    encoder.layers[0].register_forward_pre_hook(lambda _, args: stream.update(before=args[0]))
    encoder.norm.register_forward_pre_hook(lambda _, args: stream.update(after=args[0]))
    with torch.no_grad():
        encoder(ids)
    assert (stream["after"] - stream["before"]).std() < 0.03  # the tokens' own: 0.02 * sqrt(3) = 0.035


def test_dropout_only_in_training_and_checkpointing_changes_no_gradient() -> None:
    encoder, ids = make(), torch.randint(30, (2, 9))
    assert torch.equal(encoder(ids), encoder(ids))
    grads = []
    for on in (False, True):
        encoder.train().checkpoint(on)
        encoder.zero_grad()
        torch.manual_seed(7)
        out = encoder(ids, torch.ones(2, 9))
        out.square().sum().backward()
        grads.append([out.detach(), *(p.grad for p in encoder.parameters())])
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b)
    assert not torch.equal(grads[0][0], encoder.eval()(ids))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"hidden": 10, "heads": 4}, "hidden must be a multiple of its heads, got 10 and 4"),
        ({"layers": 0}, "layers must be a positive whole number, got 0"),
        ({"dropout": 1.0}, "dropout must be from 0 to below 1, got 1.0"),
    ],
)
def test_what_cannot_be_built_is_said(change: dict, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        Encoder(EncoderSpec(vocab=30, **change))


def test_more_tokens_than_positions_are_refused() -> None:
    with pytest.raises(UsageError, match="windows of 13 tokens do not fit this encoder; use windows of at most 12"):
        make()(torch.zeros(1, 13, dtype=torch.long))
