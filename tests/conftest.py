"""What all tests share: one thread (the nets are tiny), where the shared data lie, trainings that are stopped."""

import contextlib
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # for the processes that tests start, too

import pytest
import torch
from browsers import chromium, tab  # noqa: F401 - fixtures

from reslab.run import Run
from reslab.train.training import Training

torch.set_num_threads(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--overwrite", action="store_true", help="write the files of tests/golden (and counts.json) again")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """CPU seconds of this process and of all that it started: workers, and the commands that tests ran."""
    with contextlib.suppress(ImportError):  # Windows has none
        import resource

        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        terminalreporter.write_line(f"CPU time: {sum(u.ru_utime + u.ru_stime for u in used):.0f} s")


@pytest.fixture(scope="session", autouse=True)
def _own_state(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The list of Python files that may be run again is not the developer's; processes that tests start have it too."""
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state"))


@pytest.fixture(scope="session")
def overwrite(request: pytest.FixtureRequest) -> bool:
    """Whether to write golden files again instead of comparing them."""
    return bool(request.config.getoption("--overwrite"))


SPEEDS = (
    "examples_per_second",
    "images_per_second",
    "windows_per_second",
    "rows_per_second",
    "seconds",
    "milliseconds",
)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The shared folder with real data; tests that need it are skipped if it is absent."""
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
    from reslab.qa.net.encoder import EncoderSpec
    from reslab.qa.net.net import QASpec, build_qa, to_dict
    from reslab.train.checkpoint import write_weights

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
    write_weights(run, net, to_dict(spec))
    run.path("tokenizer").mkdir()
    backend.save(str(run.path("tokenizer") / "tokenizer.json"))
    return run.folder


@pytest.fixture
def stopped_after() -> Callable[..., contextlib.AbstractContextManager[None]]:
    """with stopped_after(k): SIGTERM (or another) arrives during iteration k, whose checkpoint is then the last."""

    @contextlib.contextmanager
    def stopping(k: int, number: int = signal.SIGTERM) -> Iterator[None]:
        plain = Training.step

        def step(self: Training, batch: Any) -> None:
            plain(self, batch)
            if self.iteration == k:
                os.kill(os.getpid(), number)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Training, "step", step)
            yield

    return stopping


@pytest.fixture
def story() -> Callable[[Run], list[dict[str, Any]]]:
    """What metrics.jsonl tells, without what may differ: resumes and speeds."""

    def told(run: Run) -> list[dict[str, Any]]:
        events = [event for event in run.metrics() if event["event"] != "resume"]
        return [{key: value for key, value in event.items() if key not in SPEEDS} for event in events]

    return told


@pytest.fixture
def same_end(story: Callable[[Run], Any]) -> Callable[[Run, Run], None]:
    """Assert that two runs ended alike to the last bit: weights, metrics, result, nothing left aside."""

    def check(one: Run, other: Run) -> None:
        assert one.path("weights.safetensors").read_bytes() == other.path("weights.safetensors").read_bytes()
        assert story(one) == story(other)
        results = [run.read_json("results/train.json") for run in (one, other)]
        for result in results:
            for key in (*SPEEDS, "command"):
                result.pop(key, None)
        assert results[0] == results[1]
        assert not list(one.folder.glob(".*.*"))

    return check


PLACES = {"Ada": "Paris", "Bob": "London", "Cleo": "Rome", "Dan": "Oslo", "Eve": "Lima", "Finn": "Cairo"}


@pytest.fixture
def facts(tmp_path: Path) -> Path:
    """A file of SQuAD's form: six articles of one context, each with two questions, "where" and "when"."""
    articles = []
    for n, (name, place) in enumerate(PLACES.items()):
        context = f"{name} was born in {place} in 18{n}7. Later {name} went away."
        asked = {"Where": place, "When": f"18{n}7"}
        answered = [
            {"id": f"{name} {word}", "question": f"{word} was {name} born?",
             "answers": [{"text": text, "answer_start": context.index(text)}]} for word, text in asked.items()
        ]  # fmt: skip
        articles.append({"title": name, "paragraphs": [{"context": context, "qas": answered}]})
    path = tmp_path / "facts.json"
    path.write_text(json.dumps({"data": articles}))
    return path


@pytest.fixture
def bert(tmp_path: Path, facts: Path) -> tuple[Path, Any]:
    """A folder with a BERT of three layers and random weights, and a tokenizer for it."""
    transformers = pytest.importorskip("transformers")
    from reslab.qa.data.vocabulary import build_vocabulary

    tokenizer = build_vocabulary([facts.read_text()], size=300)
    config = transformers.BertConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=64,
    )  # fmt: skip
    folder = tmp_path / "bert"
    transformers.BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder, tokenizer
