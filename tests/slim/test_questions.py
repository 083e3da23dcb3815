"""A reader with fewer layers: cut, stored, loaded, healed, trained anew; on a few facts and tiny nets."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from text_models import trained

import reslab
from reslab import slim
from reslab.errors import UsageError
from reslab.nets.heads import Scores
from reslab.qa.data.question import Answer, Question
from reslab.qa.net.net import QANet
from reslab.qa.net.pretrained import pretrained
from reslab.run import Run
from reslab.slim.families.questions import Questions
from reslab.slim.families.reader import removed_from, shorter, untrained
from reslab.slim.families.spans import of_spans, score_of
from reslab.slim.finding import find_blocks
from reslab.train.signals import Interrupted

pytest.importorskip("transformers")


@pytest.fixture(params=["ours", "bert"])
def family(request: pytest.FixtureRequest, tmp_path: Path, facts: Path, bert: tuple[Path, Any]) -> Questions:
    encoder, tokenizer = bert if request.param == "bert" else (None, None)
    return Questions(trained(tmp_path / "run", facts, encoder=encoder, tokenizer=tokenizer), device="cpu")


def layers(family: Questions) -> str:
    """The path of the encoder's list of layers."""
    return "encoder.model.encoder.layer" if isinstance(family.spec.encoder, str) else "encoder.layers"


def test_a_cut_reader_loads_and_answers(family: Questions, tmp_path: Path) -> None:
    """Equal to passing by the layers by hand; its folder is read by reslab.qa.load, with the same scores."""
    whole = family.model
    assert isinstance(whole, QANet)
    small = slim.cut(whole, [f"{layers(family)}.1", "head.layers.0"], example=family.example)
    cut = small.model
    assert isinstance(cut, QANet)
    assert (small.form, small.difference < 1e-5) == ("spec", True)
    kept = [f"{layers(family)}.{i}" for i in (0, 2)]
    hooks = [whole.get_submodule(path).register_forward_hook(lambda module, args, out: args[0])
             for path in (f"{layers(family)}.1", "head.layers.0")]  # fmt: skip
    with torch.no_grad():
        torch.testing.assert_close(cut.eval()(**family.example).span, whole(**family.example).span, rtol=0, atol=1e-5)
    for hook in hooks:
        hook.remove()
    assert (cut.encoder.depth, cut.spec.depth, len(cut.head.layers)) == (2, 1, 1)
    assert removed_from(whole, cut) == [f"{layers(family)}.1", "head.layers.0"]
    ours, theirs = (dict(net.named_parameters()) for net in (cut, whole))
    assert all(torch.equal(ours[name.replace(kept[1], f"{layers(family)}.1")], theirs[name])
               for name in theirs if name.startswith((*kept, "head.span")))  # fmt: skip
    small.save(tmp_path / "plain")
    assert reslab.qa.load(tmp_path / "plain", device="cpu").settings == family.settings
    family.save(cut, tmp_path / "small")
    reader = reslab.qa.load(tmp_path / "small", device="cpu", precision="fp32")
    with torch.no_grad():
        assert torch.equal(reader.net(**family.example).span, cut(**family.example).span)
    assert reader.ask("Where was Eve born?", "Eve was born in Lima in 1847.", top=1)
    assert family.evaluate(cut).n == len(family.data.test)
    with pytest.raises(UsageError, match="keep one"):
        shorter(whole, [f"{layers(family)}.{i}" for i in range(3)], example=family.example)
    with pytest.raises(UsageError, match=r"encoder.norm cannot be removed from a reader"):
        shorter(whole, ["encoder.norm"], example=family.example)


def test_the_plan_sees_the_dev_part_alone(family: Questions) -> None:
    """Each window counts once, with the mean cross-entropy of its answer's ends; test windows are not among them."""
    batches = family.batches()
    dev = {one.question for one in family.data.dev}
    assert dev.isdisjoint(one.question for one in family.data.test)
    assert sum(len(labels) for _, labels in batches) == len(family.sampled) == len(family.parts["dev"])
    (metric,) = family.metrics()
    with torch.no_grad():
        span = family.model(**batches[0][0]).span
    labels = batches[0][1]
    byhand = [-(F.log_softmax(span[b, :, 0], 0)[labels[b, 0]] + F.log_softmax(span[b, :, 1], 0)[labels[b, 1]]) / 2
              for b in range(len(labels))]  # fmt: skip
    torch.testing.assert_close(metric(span, labels, span), torch.stack(byhand))
    assert "dev part" in family.planned_on()
    found = find_blocks(family.model, family.example)
    expected = [f"{layers(family)}.{i}" for i in range(3)] + ["head.layers.0", "head.layers.1"]
    assert [block.module for block in found.removable] == expected


def test_healed_stopped_and_resumed_is_bit_identical(tmp_path: Path, facts: Path, stopped_after: Any) -> None:
    family = Questions(trained(tmp_path / "run", facts), device="cpu")
    whole = family.model
    assert isinstance(whole, QANet)
    cut = shorter(whole, ["encoder.layers.0"], example=family.example)
    heal: Any = {"what": "healed", "net": cut, "teacher": whole, "epochs": 2, "seed": 1}
    arm = family.train(tmp_path / "a", **heal)
    with stopped_after(2), pytest.raises(Interrupted):
        family.train(tmp_path / "b", **heal)
    assert family.train(tmp_path / "b", **heal).score == arm.score
    ours, theirs = (tmp_path / name / "weights.safetensors" for name in "ab")
    assert ours.read_bytes() == theirs.read_bytes()
    assert family.train(tmp_path / "a", **heal) == arm  # found again
    assert (arm.what, arm.seed, arm.epochs, arm.score.n) == ("healed", 1, 2, len(family.data.test))
    assert reslab.qa.load(tmp_path / "a", device="cpu").net.encoder.depth == 2


def test_from_nothing_the_pretrained_layers_that_remain_are_kept(
    tmp_path: Path, facts: Path, bert: tuple[Path, Any]
) -> None:
    """Only the head is random: a pretrained encoder from random weights would be no fair opponent."""
    family = Questions(trained(tmp_path / "run", facts, encoder=bert[0], tokenizer=bert[1]), device="cpu")
    whole = family.model
    assert isinstance(whole, QANet)
    cut = shorter(whole, ["encoder.model.encoder.layer.0"], example=family.example)
    begun = untrained(whole, cut, seed=1, example=family.example)
    given = pretrained(bert[0]).model.encoder.layer
    for ours, theirs in zip(begun.encoder.model.encoder.layer, list(given)[1:], strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))
    assert not torch.equal(begun.head.span.weight, cut.head.span.weight)
    arm = family.train(tmp_path / "c", what="scratch", net=cut, teacher=None, epochs=1, seed=1)
    assert (arm.epochs, reslab.qa.load(tmp_path / "c", device="cpu").net.encoder.depth) == (1, 2)


def test_scores_are_resampled_by_context() -> None:
    """Two contexts of 9 and 1 questions: as one resample of two has either twice, the interval is 0 to 100."""

    def ask(k: int, context: str) -> Question:
        return Question(id=f"{k}", question="?", context=context, answers=(Answer(text="x", start=0),))

    asked = [ask(k, "x b") for k in range(9)] + [ask(9, "x c")]
    found = score_of(asked, {f"{k}": "x" for k in range(9)}, rule="squad1")
    assert (found.value, found.low, found.high, found.n) == (90, 0, 100, 10)
    assert (found.more["exact"], found.more["contexts"]) == (90, 2)


def test_the_divergence_of_spans_is_the_mean_of_both_ends() -> None:
    p, q = (torch.randn(2, 5, 2, generator=torch.Generator().manual_seed(i)) for i in (0, 1))
    each = [F.kl_div(F.log_softmax(q[b, :, e] / 3, 0), F.softmax(p[b, :, e] / 3, 0), reduction="sum")
            for b in range(2) for e in range(2)]  # fmt: skip
    found = of_spans(Scores(q, None), Scores(p, None), 3.0)
    torch.testing.assert_close(found, torch.stack(each).view(2, 2).mean(1))
    more = of_spans(Scores(q, torch.zeros(2)), Scores(p, torch.zeros(2)), 3.0)
    torch.testing.assert_close(more, found)  # equal answerability adds nothing


def test_runs_that_cannot_be_slimmed(tmp_path: Path, facts: Path) -> None:
    run = trained(tmp_path / "run", facts)
    saved = reslab.qa.load(run, device="cpu").save(tmp_path / "saved")
    with pytest.raises(UsageError, match="without its questions"):
        Questions(saved)
    Run(run).path("weights.safetensors").unlink()
    with pytest.raises(UsageError, match="is not finished"):
        Questions(run)
