"""The growing pass is the naive loop on others' models: small random ones of transformers, and torchvision's where
it works beside this torch (run with it in the peers' environment)."""

import contextlib
import importlib
from typing import Any

import pytest
import torch
from torch import nn

from reslab.look.lesion.lesion import Lesions, lesions
from reslab.look.measure import Batch

pytestmark = pytest.mark.filterwarnings("ignore")  # others' deprecations

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48, "vocab_size": 50}
WORDS = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
MODELS: dict[str, dict[str, Any]] = {
    "bert": SMALL,
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": 50},
    "llama": {**SMALL, "num_key_value_heads": 2},
    "gpt_neox": SMALL,  # attention and MLP side by side: one merge with two branches
    "mixtral": {**SMALL, "num_key_value_heads": 2, "num_local_experts": 2},
    "albert": {**SMALL, "embedding_size": 16},  # one layer that runs twice
}
IDS = torch.randint(3, 50, (5, 7), generator=torch.Generator().manual_seed(0))
MASK = torch.ones(5, 7, dtype=torch.long)
MASK[1, 5:] = MASK[3, 2:] = 0


def both_ways(model: nn.Module, batches: list[Batch], **options: Any) -> Lesions:
    """Asserts that the two agree to 1e-6 in every number, that the fast way was gone, and that lesions are felt."""
    grown, naive = (
        lesions(model, batches, repeats=3, swaps=(), method=method, **options) for method in ("auto", "naive")
    )
    assert (grown.method, grown.why) == ("growing", "")
    for one, two in [*zip(grown.single, naive.single, strict=True), *zip(grown.random, naive.random, strict=True)]:
        for name in grown.metrics:
            assert one.values[name] == pytest.approx(two.values[name], rel=1e-6, abs=1e-6)
    assert all(any(abs(value - grown.whole[name]) > 1e-6 for name, value in each.values.items())
               for each in grown.single)  # fmt: skip
    return grown


def of_transformers(kind: str, head: str = "AutoModel", **options: Any) -> nn.Module:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(kind, **MODELS.get(kind, {}), **WORDS, **options)
    return getattr(transformers, head).from_config(config)


@pytest.mark.parametrize("kind", MODELS)
def test_transformers(kind: str) -> None:
    """Padded texts: masks are made of five rows before the batch grows, and of one where a sample goes at a time."""
    example = {"input_ids": IDS, "attention_mask": MASK}
    model = of_transformers(kind)
    both_ways(model, [(example, None)], chunk=100)
    found = both_ways(model, [(example, None)], chunk=6)
    assert found.n == 28  # of 35 tokens, 7 are padding


def test_a_language_model_is_asked_a_word_at_a_time() -> None:
    model = of_transformers("gpt2", "AutoModelForCausalLM")
    labels = torch.where(MASK.bool(), IDS, -100).roll(-1, dims=1)
    labels[:, -1] = -100
    found = both_ways(model, [({"input_ids": IDS, "attention_mask": MASK}, labels)])
    assert found.metrics == ("error", "loss", "kl")
    assert found.n == (labels != -100).sum()


def test_a_classifier_of_texts() -> None:
    model = of_transformers("bert", "AutoModelForSequenceClassification", num_labels=3)
    found = both_ways(model, [({"input_ids": IDS, "attention_mask": MASK}, torch.tensor([0, 1, 2, 0, 1]))])
    assert found.n == 5


def test_encoder_and_decoder() -> None:
    """T5's decoder starts small again, beside an encoder's output that has grown."""
    options = {"d_model": 32, "num_layers": 2, "num_decoder_layers": 2, "num_heads": 4, "d_kv": 8, "d_ff": 48}
    model = of_transformers("t5", **options, vocab_size=50)
    example = {"input_ids": IDS, "decoder_input_ids": IDS.flip(1)[:, :4]}
    for chunk in (6, 100):
        assert len(both_ways(model, [(example, None)], chunk=chunk).single) == 2 * 2 + 3 * 2


def test_rows_of_tokens_fall_back() -> None:
    """OPT adds its MLP to (N L, H) tensors, all samples' tokens in one dimension."""
    options = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "ffn_dim": 48, "vocab_size": 50}
    model = of_transformers("opt", **options, word_embed_proj_dim=32)
    found = lesions(model, [({"input_ids": IDS}, None)], ks=(), swaps=())
    assert found.method == "naive"
    assert "whose rows are not the" in found.why
    assert len({each.values["drift"] for each in found.single}) == 4


@pytest.mark.parametrize("masked", [False, True])
def test_pytorchs_own_encoder(masked: bool) -> None:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    encoder = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)
    example = {"src": torch.randn(5, 7, 16)} | ({"src_key_padding_mask": MASK == 0} if masked else {})
    assert len(both_ways(encoder, [(example, None)]).single) == 6


@pytest.mark.parametrize("tokens", [5, 6, 7])
def test_tokens_before_samples_fall_back(tokens: int) -> None:
    """(L, N, H): the first dimension is not the batch, even if it has the same size."""
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=False)
    encoder = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)
    x = torch.randn(tokens, 6, 16)
    found = lesions(encoder, [(x, None)], ks=(2,), swaps=(), repeats=2)
    naive = lesions(encoder, [(x, None)], ks=(2,), swaps=(), repeats=2, method="naive")
    assert found.method == "naive"
    assert (found.single, found.random) == (naive.single, naive.random)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "convnext_tiny", "swin_t"])
def test_torchvision(name: str) -> None:
    """In-place additions, bottlenecks, windows, layer scale."""
    try:
        with contextlib.suppress(ImportError):
            importlib.import_module("torchvision_cpu")  # the peers' environment mends torchvision with it
        torchvision = importlib.import_module("torchvision")
    except (ImportError, RuntimeError, OSError) as error:
        pytest.skip(f"torchvision is not installed or does not work beside this torch: {error}")
    torch.manual_seed(0)
    model = torchvision.models.get_model(name, num_classes=10)
    # Layer scale begins at 1e-6: branches that nobody hears.
    for parameter in [p for key, p in model.named_parameters() if key.endswith("layer_scale")]:
        nn.init.ones_(parameter)
    x = torch.randn(3, 3, 32, 32)
    both_ways(model, [(x, torch.tensor([1, 2, 3]))], ks=(3,), metrics=["error", "loss", "kl", "drift"], chunk=80)
