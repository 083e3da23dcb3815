"""Small models of others, made on the spot: nothing is fetched."""

import contextlib
import importlib
from pathlib import Path
from typing import Any

import pytest

WORDS = "the of and a to in is was that for it on as with by at from be his he".split()
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
VOCABULARY = {word: i for i, word in enumerate(SPECIAL + WORDS)}
BERT: dict[str, Any] = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48,
    "vocab_size": len(VOCABULARY), "max_position_embeddings": 64,
}  # fmt: skip
OWN = """
import torch
from torch import nn

class Turn(nn.Module):
    "h = x - 2 x: every answer is turned round."
    def __init__(self):
        super().__init__()
        self.branch = nn.Linear(2, 2, bias=False)
        self.branch.weight.data = torch.tensor([[-2.0, 0.0], [0.0, -2.0]])
    def forward(self, x):
        return x + self.branch(x)

x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [3.0, 1.0]])

def bare(): return Turn()
def example(): return Turn(), x
def labelled(): return Turn(), x, torch.tensor([0, 1, 0])
def keywords(): return Turn(), {"x": x}
def odd_labels(): return Turn(), x, torch.tensor([0, 1])
def nothing(): return {"no": "model"}
def text(): return Turn(), "hello"
def empty(): return Turn(), x[:0]
def breaks():
    return 1 / 0
def nan_weights():
    model = Turn()
    model.branch.weight.data[0, 0] = float("nan")
    return model, x
def nan_input(): return Turn(), x * float("nan")
def infinite(): return Turn(), x * 1e38 * 3
def plain(): return nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2)), x, torch.tensor([0, 1, 0])
def leaves():
    raise SystemExit(3)
class Leaver(Turn):
    def forward(self, x):
        raise SystemExit(0)
def leaver(): return Leaver(), x
def pictures(): return nn.Sequential(nn.Flatten(), nn.Linear(64, 7))
def quad(): return Turn(), x, torch.tensor([0, 1, 0]), 5
def swapped(): return x, Turn()
def void(): return []
def float_labels(): return Turn(), x, torch.tensor([0.0, 1.0, 0.0])
def word_labels(): return Turn(), x, ["a", "b", "a"]
def seven(): return Turn(), x, [7, 7, 7]
def one_hot(): return Turn(), x, torch.eye(3)[:, :2].long()
def short_labels(): return Turn(), x, torch.tensor([0, 1, 0], dtype=torch.int16)
"""


def peer(name: str) -> Any:
    """A library of others, or a skip that says why; a mismatched torchvision breaks on import in many ways."""
    try:
        if name != "transformers":
            with contextlib.suppress(ImportError):
                importlib.import_module("torchvision_cpu")  # the peers' environment mends torchvision with it
        return importlib.import_module(name)
    except (ImportError, RuntimeError, OSError) as error:
        pytest.skip(f"{name} is not installed or does not work beside this torch: {error}")


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand in, with a stranger's file of models."""
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text(OWN)
    return tmp_path


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of Hugging Face's: bert (no head), masked, causal (GPT-2), vit (10 classes of 8x8 gray images)."""
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    folder = tmp_path_factory.mktemp("zoo")
    for causal in (False, True):
        inner = Tokenizer(models.WordLevel(VOCABULARY, unk_token="[UNK]"))
        inner.pre_tokenizer = pre_tokenizers.Whitespace()
        if not causal:
            ends = [("[CLS]", VOCABULARY["[CLS]"]), ("[SEP]", VOCABULARY["[SEP]"])]
            inner.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
        mask = {} if causal else {"mask_token": "[MASK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
        tokenizer = transformers.PreTrainedTokenizerFast(
            tokenizer_object=inner, unk_token="[UNK]", pad_token="[PAD]", eos_token="[SEP]", **mask
        )
        for name in ("causal",) if causal else ("bert", "masked"):
            tokenizer.save_pretrained(folder / name)
    gpt2 = transformers.GPT2Config(n_embd=32, n_layer=2, n_head=4, vocab_size=len(VOCABULARY), n_positions=64,
                                   bos_token_id=3, eos_token_id=3)  # fmt: skip
    vit = transformers.ViTConfig(
        **{key: BERT[key] for key in ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")},
        image_size=8, patch_size=4, num_channels=1, num_labels=10,
    )  # fmt: skip
    transformers.BertModel(transformers.BertConfig(**BERT)).save_pretrained(folder / "bert")
    transformers.BertForMaskedLM(transformers.BertConfig(**BERT)).save_pretrained(folder / "masked")
    transformers.GPT2LMHeadModel(gpt2).save_pretrained(folder / "causal")
    transformers.ViTForImageClassification(vit).save_pretrained(folder / "vit")
    (folder / "words.txt").write_text("\n\n".join(" ".join(WORDS[i:] + WORDS[:i]) for i in range(len(WORDS))))
    return folder
