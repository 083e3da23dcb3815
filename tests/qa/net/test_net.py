"""Encoder and head together: ours and transformers', frozen or trained, from a spec and back."""

import json
import warnings

import pytest
import torch
from torch import nn

from reslab import look
from reslab.errors import ReslabError, UsageError
from reslab.nets import read_spec
from reslab.nets.heads import OUTSIDE, ConvSDSHead, LinearHead
from reslab.qa.net.encoder import Encoder, EncoderSpec
from reslab.qa.net.net import QANet, QASpec, build_head, build_qa, from_dict, parameters, read_qa_spec, to_dict
from reslab.qa.net.pretrained import Pretrained, pretrained
from reslab.run import Run

OURS = EncoderSpec(vocab=30, hidden=8, layers=3, heads=2, length=16)
SIZES = {"vocab_size": 30, "hidden_size": 8, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 16}
KINDS = {  # model: (what its config adds, whether it takes types, the most tokens that it takes)
    "bert": ({"max_position_embeddings": 16}, True, 16),
    "roberta": ({"max_position_embeddings": 18, "type_vocab_size": 1, "pad_token_id": 1}, False, 16),
    "electra": ({"max_position_embeddings": 16, "embedding_size": 4}, True, 16),
    "xlm-roberta": ({"max_position_embeddings": 18, "type_vocab_size": 1, "pad_token_id": 1}, False, 16),
    "deberta": ({"max_position_embeddings": 16, "relative_attention": True, "type_vocab_size": 0,
                 "pos_att_type": ["c2p", "p2c"]}, False, 16),
    "deberta-v2": ({"max_position_embeddings": 16, "relative_attention": True, "position_biased_input": False,
                    "type_vocab_size": 0, "pos_att_type": ["c2p", "p2c"]}, False, None),
}  # fmt: skip
each = pytest.mark.parametrize("kind", list(KINDS))


def model(kind: str) -> nn.Module:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(kind, **SIZES, **KINDS[kind][0])
    return transformers.AutoModel.from_config(config).eval()


def net(kind: str, **options: int | None) -> QANet:
    encoder = Encoder(OURS) if kind == "ours" else Pretrained(model(kind))
    return QANet(encoder, ConvSDSHead(2, 16, 8, answerable=True), **options)


def batch(padded: int = 0) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    ids, n = torch.randint(5, 30, (2, 10)), 10 + padded
    mask = (torch.arange(n) < 10).expand(2, n)
    ids = torch.nn.functional.pad(ids, (0, padded), value=1)
    context = (torch.arange(n) >= 4).expand(2, n)
    return {"ids": ids, "mask": mask, "types": context.long(), "context": context}


@pytest.mark.parametrize("kind", ["ours", *KINDS])
def test_any_encoder_gives_scores_that_know_no_padding(kind: str) -> None:
    whole = net(kind).eval()
    alone, padded = whole(**batch()), whole(**batch(padded=6))
    assert alone.span.shape == (2, 10, 2)
    assert alone.answerable.shape == (2,)
    torch.testing.assert_close(padded.span[:, :10], alone.span, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(padded.answerable, alone.answerable, atol=1e-4, rtol=1e-4)
    assert (alone.span[:, :4] == OUTSIDE).all()
    assert (padded.span[:, 10:] == OUTSIDE).all()


@each
def test_what_transformers_itself_gives(kind: str) -> None:
    """Types go to the models that know two of them, and to no other: a RoBERTa knows but one."""
    theirs, given = model(kind), batch()
    encoder = Pretrained(model(kind))
    _, types, longest = KINDS[kind]
    with torch.no_grad():
        extra = {"token_type_ids": given["types"]} if types else {}
        expected = theirs(input_ids=given["ids"], attention_mask=given["mask"].long(), **extra).last_hidden_state
        torch.testing.assert_close(encoder(given["ids"], given["mask"], given["types"]), expected)
        unlike = encoder(given["ids"], given["mask"], 1 - given["types"])
    assert torch.equal(unlike, expected) != types
    assert encoder.longest == longest
    assert encoder.hidden == 8
    assert not any("pooler" in key for key, _ in encoder.named_parameters())


@pytest.mark.parametrize("kind", ["ours", *KINDS])
def test_look_finds_the_merges_of_the_whole(kind: str) -> None:
    merges = look.find(net(kind), batch())
    paths = [merge.module for merge in merges if merge.kind == "identity"]
    assert len(paths) == 2 * 3 + 2  # attention and MLP of each layer, the head's layers
    assert paths[-2:] == ["head.layers.0", "head.layers.1"]
    assert all(path.startswith("encoder.") for path in paths[:-2])


@pytest.mark.parametrize("kind", ["ours", "bert", "deberta-v2"])
@pytest.mark.parametrize("last", [None, 0, 1, 3])
def test_what_is_trained(kind: str, last: int | None) -> None:
    whole = net(kind, train_last=last).train()
    layers = whole.encoder.layers if kind == "ours" else whole.encoder.model.encoder.layer
    tail = [] if last == 0 else [*layers[3 - last :], *([whole.encoder.norm] if kind == "ours" else [])] if last else []
    expected = {id(p) for m in (whole.head, *tail) for p in m.parameters()}
    if last is None:
        expected |= {id(p) for p in whole.encoder.parameters()}
    assert {id(p) for p in whole.parameters() if p.requires_grad} == expected
    everything, trained = parameters(whole)
    assert everything == sum(p.numel() for p in whole.parameters())
    assert trained == sum(p.numel() for p in whole.parameters() if id(p) in expected)
    dropouts = [m.training for m in whole.encoder.modules() if isinstance(m, nn.Dropout)]
    assert any(dropouts) == (last != 0)
    assert all(dropouts) == (last is None)
    assert not any(m.training for m in whole.eval().modules())

    whole.train()
    span, answerable = whole(**batch())
    (span[:, 4:].square().sum() + answerable.sum()).backward()
    for key, p in whole.named_parameters():
        assert p.requires_grad or p.grad is None, key
    assert all(p.grad is not None for p in whole.head.parameters())


def test_a_frozen_encoder_may_come_from_a_cache() -> None:
    whole, given = net("bert", train_last=0).train(), batch()
    cached = whole.encoder(given.pop("ids"), given["mask"], given.pop("types"))
    assert not cached.requires_grad
    one, two = whole(features=cached, **given), whole(**batch())
    assert torch.equal(one.span, two.span)
    half = whole(features=cached.bfloat16(), **given)
    assert torch.equal(half.span, whole(features=cached.bfloat16().float(), **given).span)


@pytest.mark.parametrize("kind", ["ours", "bert", "roberta"])
def test_checkpointing_computes_layers_again_and_changes_no_gradient(kind: str) -> None:
    whole, grads, calls = net(kind, train_last=2), [], []
    layers = whole.encoder.layers if kind == "ours" else whole.encoder.model.encoder.layer
    part = layers[2].mlp.branch if kind == "ours" else layers[2].output
    part.register_forward_pre_hook(lambda *_: calls.append(1))
    for on in (False, True, False):
        whole.train().checkpoint(on)
        whole.zero_grad()
        torch.manual_seed(3)
        whole(**batch()).span[:, 4:].square().sum().backward()
        grads.append([p.grad.clone() for p in whole.parameters() if p.grad is not None])
    assert len(calls) == 1 + 2 + 1
    for a, b in zip(grads[0], grads[1], strict=True):
        torch.testing.assert_close(a, b)


def test_too_many_layers_to_train() -> None:
    for kind in ("ours", "bert"):
        with pytest.raises(UsageError, match="train_last must be at most the encoder's 3 layers, got 4"):
            net(kind, train_last=4)


def test_a_bare_model_is_taken_too_and_one_with_a_decoder_is_not() -> None:
    assert QANet(model("bert"), LinearHead(8))(torch.randint(30, (1, 5))).span.shape == (1, 5, 2)
    transformers = pytest.importorskip("transformers")
    config = transformers.T5Config(vocab_size=30, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)
    with pytest.raises(UsageError, match="T5Model has a decoder"):
        QANet(transformers.T5Model(config), LinearHead(8))


def test_from_a_folder_in_float32_whatever_it_was_saved_in(tmp_path) -> None:
    saved = model("bert").to(torch.bfloat16)
    saved.save_pretrained(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = pretrained(tmp_path)
    ours, theirs = loaded.model.state_dict(), saved.state_dict()
    assert all(torch.equal(ours[key], theirs[key].float()) for key in ours)
    assert all(p.dtype == torch.float32 for p in loaded.parameters())

    shape = pretrained(tmp_path, weights=False)
    assert list(shape.state_dict()) == list(loaded.state_dict())
    assert not torch.equal(shape.model.embeddings.word_embeddings.weight, ours["embeddings.word_embeddings.weight"])


def test_weights_that_are_not_there_are_named(tmp_path) -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    model("bert").save_pretrained(tmp_path)
    state = safetensors.load_file(tmp_path / "model.safetensors")
    state.pop("encoder.layer.1.output.dense.weight")
    safetensors.save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.warns(UserWarning, match="has no values for 1 tensors, which are random: encoder.layer.1.output.dense"):
        pretrained(tmp_path)


def test_pickled_weights_are_not_read(tmp_path) -> None:
    saved = model("bert")
    saved.config.save_pretrained(tmp_path)
    torch.save(saved.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(UsageError, match=r"has no model\.safetensors"):
        pretrained(tmp_path)


def test_no_such_encoder(tmp_path) -> None:
    for word in (tmp_path / "nowhere", str(tmp_path / "nowhere"), "./nowhere", "a/b/c"):
        with pytest.raises(UsageError, match="no such folder"):
            pretrained(word)
    with pytest.raises(ReslabError, match="cannot be loaded"):
        pretrained(tmp_path)


@pytest.mark.parametrize(
    ("head", "layers"), [("linear", None), ("sds", None), ("sds", 2), ("tokens", 3), ("bilstm", None)]
)
def test_a_spec_goes_to_json_and_back(head: str, layers: int | None, tmp_path) -> None:
    spec = QASpec(name="small", encoder=OURS, head=head, layers=layers, length=16, train_last=1, answerable=True)
    torch.manual_seed(0)
    one = build_qa(spec)
    run = Run(tmp_path)
    run.write_json("spec.json", to_dict(spec))
    again = read_qa_spec(run)
    assert again.depth == spec.depth == len(one.head.layers)
    assert to_dict(again) == to_dict(spec) == json.loads(json.dumps(to_dict(spec)))
    assert again.encoder == OURS
    torch.manual_seed(0)
    two = build_qa(again)
    assert two.spec == again
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))
    assert two(**batch()).answerable is not None


def test_a_net_of_transformers_is_built_again_from_its_shape_and_its_own_weights(tmp_path) -> None:
    model("bert").save_pretrained(tmp_path / "model")
    spec = QASpec(name="x", encoder=str(tmp_path / "model"), head="tokens", layers=1, length=16)
    one = build_qa(spec).eval()
    one.encoder.model.config.save_pretrained(tmp_path / "run")
    state = one.state_dict()
    (tmp_path / "model" / "model.safetensors").unlink()
    two = build_qa(spec, shape=tmp_path / "run").eval()
    two.load_state_dict(state)
    assert torch.equal(two(**batch()).span, one(**batch()).span)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"head": "sdss"}, "head must be one of linear, sds, tokens, bilstm, got 'sdss'; did you mean 'sds'?"),
        ({"layers": -1}, "layers must be a whole number of at least 0, got -1"),
        ({"length": None}, "length must be a whole number of at least 1, got None"),
        ({"train_last": 1.5}, "train_last must be a whole number of at least 0, got 1.5"),
        ({"head": "linear", "layers": 3}, "the linear head has no layers, got 3"),
        ({"shortcut": "some"}, "shortcut must be identity or none, got 'some'"),
        ({"head": "tokens", "shortcut": "none"}, "shortcut 'none' is the plain twin of the head 'sds', but this head"),
        ({"answerable": 1}, "answerable must be true or false, got 1"),
        ({"encoder": ""}, "encoder must be an EncoderSpec"),
        ({"length": 17}, "length must be at most 16, the encoder's limit, got 17"),
    ],
)
def test_what_cannot_be_built_is_said(change: dict, sentence: str) -> None:
    values = {"name": "x", "encoder": OURS, "length": 16, **change}
    with pytest.raises(UsageError) as error:
        build_qa(QASpec(**values))
    assert str(error.value).startswith(sentence)


def test_a_spec_of_another_kind_is_told_apart(tmp_path) -> None:
    spec = QASpec(name="small", encoder=OURS, length=16)
    questions, images = Run(tmp_path / "questions"), Run(tmp_path / "images")
    questions.make()
    images.make()
    questions.write_json("spec.json", to_dict(spec))
    images.write_json("spec.json", {"family": "resnet", "name": "resnet20", "stages": [3, 3, 3], "widths": [1, 2, 3]})
    with pytest.raises(
        UsageError, match=r"questions holds small, a net for questions, not for images; reslab\.qa\.load opens it"
    ):
        read_spec(questions)
    tables = Run(tmp_path / "tables")
    tables.make()
    tables.write_json("spec.json", {"family": "table", "name": "gated"})
    with pytest.raises(
        UsageError, match=r"tables holds gated, a net for tables, not for images; reslab\.tables\.load opens it"
    ):
        read_spec(tables)
    with pytest.raises(UsageError, match="images holds resnet20, a net for images, not for questions"):
        read_qa_spec(images)
    with pytest.raises(UsageError, match=r"unknown field 'lenght'; did you mean 'length'\?"):
        from_dict({**to_dict(spec), "lenght": 3})
    questions.write_json("spec.json", {**to_dict(spec), "length": 0})
    with pytest.raises(ReslabError, match="is damaged: length must be a whole number of at least 1, got 0; restore"):
        read_qa_spec(questions)


@pytest.mark.parametrize("head", ["linear", "sds", "tokens", "bilstm"])
def test_heads_of_a_spec(head: str) -> None:
    spec = QASpec(name="x", encoder="anything", head=head, length=6)
    built = build_head(spec, 8)
    assert built(torch.randn(2, 6, 8)).shape == (2, 6, 2)
    assert len(built.layers) == {"linear": 0, "sds": 5, "tokens": 5, "bilstm": 1}[head]
