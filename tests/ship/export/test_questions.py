"""What a reader brings to its export: its own dev questions, the exact match of its run, the folded net."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shipping import reader, ship

from reslab.errors import UsageError
from reslab.nets.heads import AcrossTokens, ConvSDSHead
from reslab.qa.folder import stored_data
from reslab.qa.judge import weigh
from reslab.qa.net.net import build_qa, to_dict
from reslab.qa.reader import load as load_run
from reslab.run import Run
from reslab.ship.export.compared import tied
from reslab.ship.export.questions import QuestionExport
from reslab.ship.export.reading import SlicedAcrossTokens
from reslab.ship.exportable import RANDOM
from reslab.ship.folder import read_config
from reslab.ship.predict.questions import load


@pytest.fixture(scope="module")
def subject(tiny_reader: Path) -> QuestionExport:
    return QuestionExport(tiny_reader)


def test_the_graph_is_folded_and_the_reference_is_not(subject: QuestionExport) -> None:
    (graph,) = subject.graphs()
    kinds = [type(module) for module in graph.module.modules()]
    assert SlicedAcrossTokens in kinds
    assert isinstance(subject.original.head, ConvSDSHead)
    assert AcrossTokens not in kinds
    found = graph.module(*graph.example.values())
    wanted = subject.reference(0, {name: one.numpy() for name, one in graph.example.items()})
    assert graph.outputs == tuple(wanted) == ("span", "answerable")
    for one, other in zip(found, wanted.values(), strict=True):
        np.testing.assert_allclose(one.numpy(), other, atol=1e-5)
    allowed = graph.example["context"].numpy()
    assert np.isneginf(wanted["span"][~allowed]).all()
    assert np.abs(wanted["span"][allowed]).max() < 100


def test_the_proof_scores_as_the_evaluation_does(subject: QuestionExport) -> None:
    """On all dev questions: the exact match that `reslab qa eval` would find."""
    (examples,) = subject.proof(1000)
    outputs = [subject.reference(0, examples.inputs)]
    right = subject.right(outputs, [examples])
    assert right is not None
    dev = stored_data(Run(subject.word)).dev
    model = load_run(subject.word, device="cpu", precision="fp32")
    weighed = weigh(dev, model.spans(dev), rule="squad2", temperature=model.settings.temperature,
                    threshold=model.settings.threshold)  # fmt: skip
    assert weighed.evaluation is not None
    assert 100 * right.mean() == pytest.approx(weighed.evaluation.exact)
    assert (
        examples.where
        == f"{len(dev)} of the {len(dev)} dev questions of {Run(subject.word).read_json('data.json')['word']}"
    )
    said = subject.decisions(outputs)
    assert said.shape == (len(examples), 3)  # start, end, whether there is an answer
    span = outputs[0]["span"]
    assert [tuple(row) for row in said[:, :2]] == [(one[:, 0].argmax(), one[:, 1].argmax()) for one in span]


def test_scores_that_differ_are_no_ties(subject: QuestionExport) -> None:
    """Where no answer is allowed, a huge number would hide every difference from the proof."""
    (examples,) = subject.proof(4)
    one = subject.reference(0, examples.inputs)
    assert tied([one], [one]).all()
    assert not tied([one], [{**one, "span": one["span"] + 0.01}]).any()


def test_few_examples_are_whole_questions(subject: QuestionExport) -> None:
    (examples,) = subject.proof(2)
    questions, arrays = examples.targets
    assert 1 <= len(examples) <= 2
    assert len(questions) == len(np.unique(arrays.question))
    assert len(subject.calibration(3)[0]) <= 3


def test_a_reader_without_its_questions_is_compared_on_random_windows(subject: QuestionExport, tmp_path: Path) -> None:
    saved = QuestionExport(load_run(subject.word, device="cpu").save(tmp_path / "saved"))
    (examples,) = saved.proof(5)
    assert (examples.where, len(examples)) == (RANDOM, 5)
    outputs = [saved.reference(0, examples.inputs)]
    assert saved.right(outputs, [examples]) is None
    assert (np.isfinite(outputs[0]["span"]).all(axis=2) == examples.inputs["context"]).all()
    assert saved.notes == [f"compared on random inputs: {tmp_path / 'saved'} holds a reader without its questions"]


@pytest.mark.slow
@pytest.mark.parametrize("head", ["linear", "tokens"])
@pytest.mark.parametrize("engine", ["openvino", "onnx"])
def test_every_head(head: str, engine: str, tmp_path: Path) -> None:
    subject = QuestionExport(reader(tmp_path, head=head, answerable=False, iterations=4))
    folder = ship(subject, engine, tmp_path / "shipped")
    shipped, run = load(folder, read_config(folder)), subject.reader
    texts = [f"{'very ' * k}old Ada was born in Paris." for k in range(20)]
    found, wanted = (model.ask("Where was Ada born?", texts, top=9) for model in (shipped, run))
    assert [(a.text, a.document, a.start) for a in found] == [(a.text, a.document, a.start) for a in wanted]
    assert [a.score for a in found] == pytest.approx([a.score for a in wanted], abs=1e-4)


@pytest.mark.slow
def test_an_lstm_is_refused(tmp_path: Path) -> None:
    folder = reader(tmp_path, head="bilstm", answerable=False, iterations=2)
    with pytest.raises(UsageError, match="has a BiLSTM head, which can be exported for one number of tokens only"):
        QuestionExport(folder)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["openvino", "onnx"])
@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_encoders_of_transformers(engine: str, family: str, bert: Any, tmp_path: Path) -> None:
    """BERT takes token types; RoBERTa takes none, and its positions depend on the padding."""
    transformers = pytest.importorskip("transformers")
    subject = QuestionExport(pretrained_reader(transformers, family, bert[1], tmp_path))
    folder = ship(subject, engine, tmp_path / "shipped")
    config = read_config(folder)
    assert ("types" in [one.name for one in config.inputs]) == config.about["types"] == (family == "bert")
    shipped, run = load(folder, config), subject.reader
    texts = [f"{'very ' * k}old Ada was born in Paris." for k in range(20)]
    found, wanted = (model.ask("Where was Ada born?", texts, top=9) for model in (shipped, run))
    assert [(a.text, a.document, a.start) for a in found] == [(a.text, a.document, a.start) for a in wanted]
    assert [a.score for a in found] == pytest.approx([a.score for a in wanted], abs=1e-4)


def pretrained_reader(transformers: Any, family: str, tokenizer: Any, folder: Path) -> Path:
    """A saved reader whose encoder is a BERT or a RoBERTa with random weights."""
    from dataclasses import asdict

    from reslab.qa.net.net import QASpec
    from reslab.qa.settings import Settings
    from reslab.train.checkpoint import write_weights

    shape = {"vocab_size": len(tokenizer), "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
             "intermediate_size": 32, "max_position_embeddings": 64}  # fmt: skip
    if family == "bert":
        model = transformers.BertModel(transformers.BertConfig(**shape))
    else:
        config = transformers.RobertaConfig(**shape, type_vocab_size=1, pad_token_id=tokenizer.pad_token_id)
        model = transformers.RobertaModel(config)
    model.save_pretrained(folder / "encoder")
    spec = QASpec(name=family, encoder=str(folder / "encoder"), head="sds", layers=1, length=48)
    run = Run(folder / "run")
    run.make()
    write_weights(run, build_qa(spec), to_dict(spec))
    model.config.save_pretrained(run.path("encoder"))
    tokenizer.save_pretrained(run.path("tokenizer"))
    run.write_json("qa.json", asdict(Settings(rule="squad1", length=48, stride=8)))
    run.write_json("spec.json", to_dict(spec))
    return run.folder
