"""Nets that answer questions, trained through the one loop: what a run holds, resumed exactly, refused in one line."""

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from reslab.errors import ReslabError, ReslabWarning, UsageError
from reslab.qa import load
from reslab.qa.data.question import Answer, Question
from reslab.qa.folder import Reading, load_stored, load_tokenizer, prepare, read_reading, small, stored_word
from reslab.qa.net.net import QANet, build_qa, read_qa_spec
from reslab.qa.rules import rule_for
from reslab.qa.scores import read_predictions
from reslab.qa.train import train
from reslab.run import Run
from reslab.train.folder import read_recipe
from reslab.train.recipe import change
from reslab.train.signals import Interrupted

Begin = Callable[..., Run]
pytest.importorskip("transformers")


def learned(run: Run) -> dict[str, Any]:
    return train(run.folder, device="cpu")


def test_a_run_holds_all_and_answers(begin: Begin, facts: Path, tmp_path: Path) -> None:
    """Trained on all six articles (the test part is the same file): every answer is found."""
    folder = tmp_path / "facts"
    folder.mkdir()
    for part in ("train", "dev", "test"):
        shutil.copy(facts, folder / f"{part}.json")
    run = begin(tmp_path / "run", folder, iterations=150, batch=12, lr=1e-2, warmup=0.1, clip=1.0, evaluate_every=1000,
                small={"dropout": 0.0})  # fmt: skip
    result = learned(run)
    assert (result["exact"], result["f1"], result["test_n"], result["train_error"]) == (100, 100, 12, 0)
    assert result["test"]["n"] == result["dev"]["n"] == 12
    held = "spec.json recipe.toml data.json env.json metrics.jsonl last.pt weights.safetensors qa.json tokenizer"
    assert set(held.split()) <= {path.name for path in run.folder.iterdir()}
    gold = {one["id"]: one["answers"][0]["text"] for article in json.loads(facts.read_text())["data"]
            for one in article["paragraphs"][0]["qas"]}  # fmt: skip
    assert read_predictions(run.path("predictions.json")) == gold
    settings = run.read_json("qa.json")
    assert (settings["rule"], settings["length"], settings["stride"]) == ("squad1", 48, 8)
    (answer,) = load(run.folder, device="cpu", precision="fp32").ask(
        "When was Eve born?", "Eve was born in Lima in 1847. Later Eve went away.", top=1
    )
    assert answer.text == "1847"
    assert learned(run) == run.read_json("results/train.json")  # finished: nothing is done


@pytest.mark.parametrize("encoder", ["ours", "bert"])
def test_stopped_and_resumed_is_bit_identical(
    encoder: str, begin: Begin, bert: tuple[Path, Any], tmp_path: Path, stopped_after: Any, same_end: Any
) -> None:
    """Dropout included; and the encoder's own folder is not needed any more."""
    where = {} if encoder == "ours" else dict(zip(("encoder", "tokenizer"), bert, strict=True))
    whole, broken = (begin(tmp_path / name, **where) for name in ("whole", "broken"))
    learned(whole)
    for k in (2, 4):
        with stopped_after(k), pytest.raises(Interrupted):
            learned(broken)
        shutil.rmtree(bert[0], ignore_errors=True)
    learned(broken)
    same_end(whole, broken)


def test_a_folder_loads_alone(begin: Begin, bert: tuple[Path, Any], tmp_path: Path) -> None:
    run = begin(tmp_path / "run", encoder=bert[0], tokenizer=bert[1], iterations=2)
    learned(run)
    shutil.rmtree(bert[0])
    moved = shutil.move(run.folder, tmp_path / "elsewhere")
    assert len(load(moved, device="cpu").ask("Who?", "Ada was born.", top=2)) == 2


def test_only_the_last_layers_learn(begin: Begin, bert: tuple[Path, Any], tmp_path: Path) -> None:
    run = begin(tmp_path / "run", encoder=bert[0], tokenizer=bert[1], net={"train_last": 1}, iterations=2)
    before = build_qa(read_qa_spec(run)).state_dict()
    result = learned(run)
    after = torch.load(run.path("last.pt"), weights_only=True)["net"]
    changed = {key for key in before if key.startswith("encoder.") and not torch.equal(before[key], after[key])}
    assert changed
    assert {key.split("layer.")[1][0] for key in changed} == {"2"}  # the last of three
    assert result["trained_parameters"] < result["parameters"]
    gradients = [event for event in run.metrics() if event["event"] == "gradients"]
    frozen = [norm for name, norm in zip(gradients[0]["layers"], gradients[0]["gradients"], strict=True)
              if "layer.0." in name]  # fmt: skip
    assert frozen == [0.0] * 6  # query, key, value, output, two of the MLP


def test_a_frozen_encoder_is_run_once(
    begin: Begin, bert: tuple[Path, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its cached vectors, rounded to bfloat16, teach the head the same as running it in each step."""
    cached, live = (begin(tmp_path / name, encoder=bert[0], tokenizer=bert[1], net={"train_last": 0}, iterations=3)
                    for name in ("cached", "live"))  # fmt: skip
    assert learned(cached)["frozen_features"] is True
    monkeypatch.setattr("reslab.qa.train.CACHE", 0)
    assert learned(live)["frozen_features"] is False
    nets = [torch.load(run.path("last.pt"), weights_only=True)["net"] for run in (cached, live)]
    for key, value in nets[0].items():
        assert torch.allclose(value, nets[1][key], atol=1e-2), key
        assert torch.equal(value, nets[1][key]) or not key.startswith("encoder.")


def test_checkpointing_changes_no_bit(begin: Begin, bert: tuple[Path, Any], tmp_path: Path) -> None:
    for where in ({}, dict(zip(("encoder", "tokenizer"), bert, strict=True))):
        nets = []
        for on in (False, True):
            run = begin(tmp_path / f"{len(where)}{on}", checkpointing=on, iterations=3, **where)
            learned(run)
            nets.append(run.path("weights.safetensors").read_bytes())
        assert nets[0] == nets[1]


def test_layers_for_their_rates(begin: Begin, bert: tuple[Path, Any], tmp_path: Path) -> None:
    """Embeddings, the layers from the input on, the head: every parameter once. The last of ours holds its norm."""
    for where, layers in (({}, 1), (dict(zip(("encoder", "tokenizer"), bert, strict=True)), 3)):
        run = begin(tmp_path / f"run{layers}", iterations=1, layer_decay=0.5, **where)
        net = build_qa(read_qa_spec(run))
        told = net.rate_layers()
        assert len(told) == layers + 2
        assert sorted(id(p) for layer in told for p in layer) == sorted(id(p) for p in net.parameters())
        assert told[-1] == list(net.head.parameters())
        assert any(p is net.get_parameter(embedding(net)) for p in told[0])
        learned(run)
        saved = torch.load(run.path("last.pt"), weights_only=True)["optimizer"]["param_groups"]
        assert sorted({group["scale"] for group in saved}, reverse=True) == [0.5**k for k in range(layers + 2)]


def embedding(net: QANet) -> str:
    return next(name for name, _ in net.named_parameters() if "tokens.weight" in name or "word_embeddings" in name)


def test_the_time_of_questions_includes_scoring_them(begin: Begin, tmp_path: Path, leap: Any) -> None:
    leap("reslab.qa.train.judge", 1000)
    assert 1000 < learned(begin(tmp_path / "run", iterations=1))["seconds"] < 1100


def test_bfloat16_trains(begin: Begin, tmp_path: Path) -> None:
    assert learned(begin(tmp_path / "run", precision="bf16"))["choice"]["precision"] == "bf16"


def test_unanswerable_questions_have_a_threshold_from_dev(begin: Begin, facts: Path, tmp_path: Path) -> None:
    """Every second question loses its answer; the head's own output learns which."""
    data = json.loads(facts.read_text())
    for article in data["data"]:
        article["paragraphs"][0]["qas"][1] |= {"answers": [], "is_impossible": True}
    facts.write_text(json.dumps(data))
    run = begin(tmp_path / "run", facts, net={"answerable": True})
    result = learned(run)
    assert (result["rule"], result["test"]["has_answer"]["n"], result["test"]["no_answer"]["n"]) == ("squad2", 1, 1)
    settings = run.read_json("qa.json")
    assert settings["threshold"] == result["test"]["threshold"]
    texts, null = (json.loads(run.path(f"{name}.json").read_text()) for name in ("predictions", "no_answer"))
    assert {id: text == "" for id, text in texts.items()} == {id: p > settings["threshold"] for id, p in null.items()}


def test_bad_questions_are_counted_and_training_goes_on(begin: Begin, facts: Path, tmp_path: Path) -> None:
    data = json.loads(facts.read_text())
    asked = [article["paragraphs"][0]["qas"] for article in data["data"]]
    asked[0][0]["answers"][0]["answer_start"] = 1000
    asked[1][0]["id"] = asked[2][0]["id"]
    asked[3][0]["question"] = " "
    facts.write_text(json.dumps(data))
    run = begin(tmp_path / "run", facts, iterations=1)
    assert learned(run)["problems"] == {"misplaced answer": 1, "duplicate id": 1, "empty question": 1}
    with pytest.raises(UsageError, match="question Ada Where: 'Paris' at 1000 is outside its context"):
        begin(tmp_path / "strict", facts, reading={"strict": True})
    assert not (tmp_path / "strict").exists()


def test_strict_stops_where_a_window_cuts_an_answer(begin: Begin, facts: Path, tmp_path: Path) -> None:
    text = "Ada was born in Paris in 1807. " * 8
    data = json.loads(facts.read_text())
    paragraph = data["data"][0]["paragraphs"][0]
    paragraph["context"] = text
    paragraph["qas"][0]["answers"] = [{"text": text.strip(), "answer_start": 0}]
    facts.write_text(json.dumps(data))
    lenient = begin(tmp_path / "run", facts, iterations=1, reading={"share": 0.1})
    counts = learned(lenient)["problems"]
    assert counts == {"answer in no window": 1} or not counts  # as the article may be in the test part
    if counts:
        strict = begin(tmp_path / "strict", facts, reading={"strict": True, "share": 0.1})
        with pytest.raises(UsageError, match=r"its answer of .* tokens is complete in no window"):
            learned(strict)
        assert not strict.folder.exists()


def test_another_run_is_not_touched(begin: Begin, facts: Path, tmp_path: Path) -> None:
    run = begin(tmp_path / "run")
    with pytest.raises(UsageError, match=r"different settings \(head: tokens there, linear requested"):
        begin(run.folder, net={"head": "linear", "layers": None})
    with pytest.raises(UsageError, match=r"different settings \(lr: 0.001 there, 0.1 requested\)"):
        begin(run.folder, lr=0.1)
    with pytest.raises(UsageError, match=r"different settings \(stride: 8 there, 9 requested\)"):
        begin(run.folder, reading={"stride": 9})
    facts.write_text(facts.read_text().replace("Paris", "Basel"))
    with pytest.raises(UsageError, match=r"already contains a run on different data"):
        begin(run.folder)
    with pytest.raises(ReslabError, match=r"differ from those that .* started with"):
        learned(run)


def test_a_stranger_s_folder_is_not_written_into(begin: Begin, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("mine")
    with pytest.raises(UsageError, match="is not empty and not a run folder"):
        begin(tmp_path / "notes")


def test_what_cannot_begin_leaves_no_folder(begin: Begin, bert: tuple[Path, Any], tmp_path: Path) -> None:
    run = begin(tmp_path / "run", encoder=bert[0], tokenizer=bert[1], net={"length": 65})
    with pytest.raises(UsageError, match="length must be at most 64, the encoder's limit, got 65"):
        learned(run)
    assert not run.folder.exists()


def test_what_says_nothing_of_texts_is_refused(begin: Begin, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"label_smoothing is for images only, got 0\.1; leave it out"):
        begin(tmp_path / "run", label_smoothing=0.1)


def test_fewer_questions_are_always_the_same(begin: Begin, tmp_path: Path) -> None:
    about = [begin(tmp_path / f"{n}", reading={"questions": 3}).read_json("data.json") for n in (1, 2)]
    assert about[0]["train"] == 3
    assert about[0]["fingerprint"] == about[1]["fingerprint"]
    assert about[0]["about"].endswith("3 of its 8 training questions, sampled at random")


def test_the_rule_that_questions_ask_for() -> None:
    def one(context: str, *answers: Any) -> Question:
        return Question(id="a", question="b", context=context, answers=tuple(Answer(*given) for given in answers))

    assert rule_for([one("Ada", ("Ada", 0))]).rule == "squad1"
    assert rule_for([one("서울은 한국의 수도이다", ("서울", 0))]).rule == "korquad"
    assert rule_for([one("Ada", ("Ada", 0)), one("Ada")]).rule == "squad2"
    with pytest.raises(UsageError, match="questions must be positive, got 0"):
        Reading(rule="squad1", questions=0).check()
    with pytest.raises(UsageError, match="no rule named 'squad'"):
        Reading(rule="squad").check()


def test_the_rule_of_a_run_is_kept(begin: Begin, tmp_path: Path) -> None:
    assert read_reading(begin(tmp_path / "run")).rule == "squad1"


def test_a_tokenizer_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ReslabError, match="cannot be loaded"):
        load_tokenizer(tmp_path)


def test_the_signal_is_what_the_process_leaves_with(begin: Begin, tmp_path: Path, stopped_after: Any) -> None:
    with stopped_after(3, signal.SIGINT), pytest.raises(Interrupted, match="stopped at iteration 3 of 6"):
        learned(begin(tmp_path / "run"))


LONG = " ".join(f"w{k}" for k in range(45))  # 45 words: more tokens than run_squad's 30


@pytest.fixture
def long_answers(tmp_path: Path) -> Path:
    """Eight contexts whose answer has 45 words, which is at least 45 tokens."""
    path = tmp_path / "long.jsonl"
    rows = [{"id": f"{k}", "question": "What?", "context": f"Start{k} {LONG} end{k}.",
             "answers": [{"text": LONG, "answer_start": len(f"Start{k} ")}]} for k in range(8)]  # fmt: skip
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_the_longest_training_answer_can_be_given(begin: Begin, long_answers: Path, tmp_path: Path) -> None:
    """With a limit of 30 tokens this very net has an exact match of 0 %, whatever it learned."""
    run = begin(tmp_path / "run", long_answers, net={"length": 128}, small={"length": 128}, iterations=60, lr=1e-2)
    found = train(run.folder)
    settings = run.read_json("qa.json")
    assert settings["max_answer"] == found["max_answer"] >= 45
    assert "answer too long" not in found["problems"]
    assert found["exact"] == 100
    short = load(run.folder).ask("What?", f"Start9 {LONG} end9.", max_answer=30)
    assert all(len(one.text.split()) < 45 for one in short)


def test_answers_that_can_never_be_given_are_counted(begin: Begin, long_answers: Path, tmp_path: Path) -> None:
    run = begin(tmp_path / "run", long_answers, net={"length": 128}, small={"length": 128}, iterations=1,
                reading={"max_answer": 20})  # fmt: skip
    with pytest.warns(ReslabWarning, match="can never be given; raise max_answer") as warned:
        found = train(run.folder)
    counts = [int(str(one.message).split()[0]) for one in warned if "can never be given" in str(one.message)]
    assert sum(counts) == found["problems"]["answer too long"] == 8
    assert run.read_json("qa.json")["max_answer"] == 20
    with pytest.raises(UsageError, match="max_answer must be positive, got 0"):
        Reading(rule="squad1", max_answer=0).check()


def test_a_run_starts_from_the_weights_of_another(begin: Begin, tmp_path: Path) -> None:
    """With a rate of next to nothing it ends as the other did; another tokenizer would give its words other vectors."""
    other = begin(tmp_path / "other", lr=0.01)
    train(other.folder, device="cpu")
    data = load_stored(other)
    about: dict[str, Any] = {"spec": read_qa_spec(other), "data": data, "word": stored_word(other)}
    about |= {
        "reading": read_reading(other),
        "recipe": change(read_recipe(other), lr=1e-30, weight_decay=0.0, iterations=1),
    }
    tokenizer = load_tokenizer(other.path("tokenizer"))
    run = prepare(tmp_path / "run", tokenizer=tokenizer, start=other.folder, **about)
    train(run.folder, data=data, device="cpu")
    ended, found = (load_file(one.path("weights.safetensors")) for one in (other, run))
    assert all(torch.equal(found[name], ended[name]) for name in ended)
    _, smaller = small(data, vocabulary=270, length=48, hidden=16, layers=1, heads=2)
    with pytest.raises(UsageError, match="do not fit: its tokenizer is another one than this run's"):
        prepare(tmp_path / "third", tokenizer=smaller, start=other.folder, **about)
