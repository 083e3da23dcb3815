"""What all tests share: one thread (the nets are tiny), and where the shared data lie."""

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # for the processes that tests start, too

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The shared folder with real data; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("RESLAB_SHARED", Path(__file__).parents[2] / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"no shared data at {folder} (RESLAB_SHARED names another place)")
    return folder


@pytest.fixture(scope="session")
def colors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a net that finds colors, whatever is asked: its scores are known, so are its answers.

    Start and end logit of "crimson" 3, "green" 2, "blue" 1, no answer 0, any other word -60. Windows of 24 tokens that
    share 6. A token is a word or a sign; an unknown one is [UNK].
    """
    tokenizers = pytest.importorskip("tokenizers")
    from safetensors.torch import save_file

    from reslab.nets.encoder import EncoderSpec
    from reslab.nets.qa_net import QASpec, build_qa, to_dict
    from reslab.run import Run

    words = "[CLS] crimson green blue [PAD] [SEP] [UNK] what color is the".split()
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    backend.normalizer = tokenizers.normalizers.Lowercase()
    backend.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 0), ("[SEP]", 5)]
    )
    encoder = EncoderSpec(vocab=len(words), hidden=8, layers=1, heads=1, length=24, dropout=0.0)
    spec = QASpec(name="colors", encoder=encoder, head="linear", length=24)
    net, logits = build_qa(spec), torch.tensor([0.0, 3.0, 2.0, 1.0, -60.0, 0.0, 0.0, 0.0])
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()  # branches add nothing, norms give only their bias
        kind = torch.arange(len(words)).clamp(max=4)
        net.encoder.tokens.weight[torch.arange(len(words)), kind] = 1e3  # so large that the norm's epsilon is nothing
        net.encoder.norm.weight.fill_(7**0.5 / 8)  # of 8 numbers one of which is not 0: √7 and seven times -1/√7
        net.encoder.norm.bias.fill_(1 / 8)  # so they come out as 1 and 0
        net.head.span.weight.copy_(logits.expand(2, 8))
    run = Run(tmp_path_factory.mktemp("colors") / "run")
    run.write_json("spec.json", to_dict(spec))
    run.write_json("qa.json", {"rule": "squad1", "length": 24, "stride": 6, "temperature": 2.0, "threshold": None})
    save_file(net.state_dict(), run.path("weights.safetensors"))
    run.path("tokenizer").mkdir()
    backend.save(str(run.path("tokenizer") / "tokenizer.json"))
    return run.folder
