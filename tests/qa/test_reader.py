"""A reader's answers by hand, of a net whose scores are known (tests/conftest.py), and those of true nets."""

import json
import math
import pickle
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import reslab
from reslab.errors import ReslabError, ReslabWarning, UsageError
from reslab.nets.checkpoints import read_state
from reslab.qa import Answer, load
from reslab.qa.data.question import Answer as Gold
from reslab.qa.data.question import Question
from reslab.qa.net.encoder import EncoderSpec
from reslab.qa.net.net import QASpec, build_qa, to_dict
from reslab.qa.predict import inputs
from reslab.qa.settings import Settings
from reslab.run import Run
from reslab.train.checkpoint import write_weights

FILLING = "the " * 30


def softmax(*scores: float, temperature: float = 2.0) -> list[float]:
    parts = [math.exp(score / temperature) for score in scores]
    return [part / sum(parts) for part in parts]


def changed(folder: Path, to: Path, **settings: object) -> Path:
    """A copy of a run folder with other settings."""
    shutil.copytree(folder, to)
    (to / "qa.json").write_text(json.dumps({**Run(to).read_json("qa.json"), **settings}))
    return to


def test_answers_by_hand(colors: Path) -> None:
    """Start plus end: crimson 3 + 3, "crimson, Green" 3 + 2, Green 2 + 2; all other spans 57 below and more."""
    found = load(colors, precision="fp32").ask("What color?", "A boat: crimson, Green.")
    assert [(a.text, a.document, a.start, a.end) for a in found] == [
        ("crimson", 0, 8, 15), ("crimson, Green", 0, 8, 22), ("Green", 0, 17, 22)
    ]  # fmt: skip
    assert [a.score for a in found] == pytest.approx([6, 5, 4], abs=1e-4)
    assert [a.probability for a in found] == pytest.approx(softmax(6, 5, 4), abs=1e-4)


def test_the_answer_of_a_far_window_has_its_characters(colors: Path) -> None:
    text = FILLING + "crimson " + FILLING
    (found,) = load(colors).ask("What color?", text, top=1)
    assert text[found.start : found.end] == found.text == "crimson"
    assert found.start == 120


def test_what_two_windows_show_is_one_answer(colors: Path) -> None:
    """Windows show 24 - 2 - 3 = 19 words of the text and share 6: word 15 is in both."""
    text = "the " * 15 + "crimson " + FILLING
    found = load(colors, precision="fp32").ask("What color", text)
    assert [a.text for a in found].count("crimson") == 1
    assert found[0].probability == pytest.approx(1, abs=1e-3)


def test_documents_compete_and_keep_their_names(colors: Path) -> None:
    texts = {"sea.txt": "A blue boat.", "wood.txt": "A green tree.", "sand.txt": "A dune."}
    found = load(colors, precision="fp32").ask("What color?", texts, top=2)
    assert [(a.text, a.document, a.start) for a in found] == [("green", "wood.txt", 2), ("blue", "sea.txt", 2)]
    assert [a.probability for a in found] == pytest.approx(softmax(4, 2), abs=1e-3)
    assert [a.document for a in load(colors).ask("What color?", list(texts.values()), top=2)] == [1, 0]


def test_the_same_text_twice_is_two_answers_of_half_the_probability(colors: Path) -> None:
    found = load(colors, precision="fp32").ask("What color?", ["A crimson boat."] * 2, top=2)
    assert [(a.text, a.document) for a in found] == [("crimson", 0), ("crimson", 1)]
    assert [a.probability for a in found] == pytest.approx([0.5, 0.5], abs=1e-3)


def test_many_questions_at_once_are_each_as_alone(colors: Path) -> None:
    reader, texts = load(colors), ["A crimson boat.", FILLING + "blue"]
    asked = ["What color?", "What is the color?"]
    assert reader.ask(asked, texts) == [reader.ask(one, texts) for one in asked]


def test_no_answer_is_said_where_it_is_the_best(colors: Path, tmp_path: Path) -> None:
    """[CLS] has 0 + 0 = 0; without a color every span has -120; a blue one has 1 + 1 = 2."""
    squad1 = load(colors, precision="fp32")
    squad2 = load(changed(colors, tmp_path / "run", rule="squad2"), precision="fp32")
    (none, *rest) = squad2.ask("What color?", "A dune and a tree.")
    assert (none.text, none.document, none.start, none.end) == ("", None, 0, 0)
    assert (none.score, none.probability) == pytest.approx((0, 1), abs=1e-4)
    assert len(rest) == 2
    assert all(a.text for a in rest)
    assert squad2.ask("What color?", "A dune.", no_answer=False)[0].text != ""
    assert squad1.ask("What color?", "A dune.")[0].text != ""
    assert squad1.ask("What color?", "A dune.", no_answer=True)[0].text == ""
    (blue,) = squad2.ask("What color?", "A blue dune.", top=1)
    assert blue.text == "blue"
    assert blue.probability == pytest.approx(softmax(2, 0)[0], abs=1e-4)
    assert len(squad2.ask("What color?", "A dune.", top=1)) == 1


def test_a_threshold_decides_where_there_is_one(colors: Path, tmp_path: Path) -> None:
    """Of a blue dune "no answer" has softmax(2, 0)[1] = 0.269."""
    for threshold, text in ((0.26, ""), (0.28, "blue")):
        reader = load(changed(colors, tmp_path / f"{threshold}", rule="squad2", threshold=threshold), precision="fp32")
        assert reader.ask("What color?", "A blue dune.")[0].text == text
    below = load(changed(colors, tmp_path / "below", rule="squad2", threshold=-5e-324), precision="fp32")
    assert below.ask("What color?", "A blue dune.")[0].text == ""
    assert below.ask("What color?", "A blue dune.", no_answer=False)[0].text == "blue"


def test_characters_beyond_ascii(colors: Path) -> None:
    """A sign of two UTF-16 units is one character of Python; half of one, which no tokenizer reads, moves nothing."""
    for text in ("빨간 🚤 crimson 배", "half \ud83d crimson"):
        (found,) = load(colors).ask("What color?", text, top=1)
        assert text[found.start : found.end] == "crimson"


def test_a_text_without_tokens_has_no_answer(colors: Path) -> None:
    (found,) = load(colors).ask("What color?", "\u200b", top=1)
    assert (found.text in ("", "\u200b"), found.probability) == (True, 1)


@pytest.mark.parametrize(
    ("question", "contexts", "top", "said"),
    [
        ("", "A boat.", 3, "the question is empty"),
        (["What?", " "], "A boat.", 3, "question 1 is empty"),
        ([], "A boat.", 3, "give at least one question"),
        ("What?", "\n", 3, "the context is empty"),
        ("What?", {"a.txt": " ", "b.txt": ""}, 3, "all 2 contexts are empty"),
        ("What?", [], 3, "give at least one context"),
        ("What?", {}, 3, "give at least one context"),
        ("What?", ["A boat.", None], 3, "context 1 must be a text, got NoneType"),
        ("What?", "A boat.", 0, "top must be from 1 to 20, got 0"),
        ("What?", "A boat.", 21, "top must be from 1 to 20, got 21"),
    ],
)
def test_what_cannot_be_answered(colors: Path, question: object, contexts: object, top: int, said: str) -> None:
    with pytest.raises(UsageError, match=f"^{said}$"):
        load(colors).ask(question, contexts, top=top)  # type: ignore[call-overload]


def test_a_question_too_long_for_a_window_is_cut_and_said(colors: Path) -> None:
    with pytest.warns(UserWarning, match="question 1: it has 40 tokens; truncated to the first 12"):
        (found,) = load(colors).ask("what " * 40, FILLING + "crimson", top=1)
    assert found.text == "crimson"


def test_windows_that_share_nearly_all(colors: Path, tmp_path: Path) -> None:
    """As trained with, on short questions; a longer one is cut rather than refused."""
    reader = load(changed(colors, tmp_path / "run", stride=23), precision="fp32")
    with pytest.warns(UserWarning, match="truncated to the first 1"):
        (found,) = reader.ask("What color?", FILLING + "crimson", top=1)
    assert (found.text, found.start) == ("crimson", 120)


def test_a_folder_that_is_no_reader(colors: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a run folder"):
        load(tmp_path / "none")
    for name in ("weights.safetensors", "qa.json"):
        copy = changed(colors, tmp_path / name)
        (copy / name).unlink()
        with pytest.raises(UsageError, match="its training is not finished"):
            load(copy)
    with pytest.raises(UsageError, match="precision must be auto, fp32 or bf16, got 'fp8'"):
        load(colors, precision="fp8")  # type: ignore[arg-type]
    Run(tmp_path / "image").write_json("spec.json", {"family": "resnet", "name": "resnet20"})
    with pytest.raises(UsageError, match="holds resnet20, a net for images, not for questions"):
        load(tmp_path / "image")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"temperature": 0}, "temperature must be positive, got 0"),
        ({"temperature": None}, "temperature must be positive, got None"),
        ({"rule": "squad3"}, "rule must be one of squad1, squad2, korquad, characters, characters2, got 'squad3'"),
        ({"stride": 24}, "stride must be from 0 to less than length, got 24 of 24"),
        ({"length": 48}, "length 48 exceeds the net's 24"),
        ({"treshold": 0.5}, "unknown field 'treshold'; did you mean 'threshold'"),
        ({"threshold": "low"}, "threshold must be a number, got 'low'"),
        ({"rule": ["squad1"]}, "rule must be one of squad1, squad2, korquad, characters, characters2, got ['squad1']"),
        ({"rule": "squad2", "threshold": float("nan")}, "NaN is not JSON"),
        ({"threshold": 0.5}, "a threshold needs the rule squad2 or characters2, got squad1"),
        ({"ece": "low"}, "ece must be a number, got 'low'"),
    ],
)
def test_damaged_settings(colors: Path, tmp_path: Path, settings: dict[str, object], said: str) -> None:
    with pytest.raises(ReslabError, match=rf"qa\.json is damaged: .*{re.escape(said)}"):
        load(changed(colors, tmp_path / "run", **settings))


def test_damaged_files(colors: Path, tmp_path: Path) -> None:
    """What is pickled is refused, whatever its name; nothing of it is run."""
    tokenizer, weights = changed(colors, tmp_path / "t"), changed(colors, tmp_path / "w")
    (tokenizer / "tokenizer" / "tokenizer.json").write_text("{}")
    with pytest.raises(ReslabError, match=r"tokenizer\.json is damaged"):
        load(tokenizer)
    (tokenizer / "tokenizer" / "tokenizer.json").unlink()
    with pytest.raises(ReslabError, match=r"tokenizer\.json is missing"):
        load(tokenizer)
    (weights / "weights.safetensors").write_bytes(pickle.dumps({"a": torch.zeros(1)}))
    with pytest.raises(ReslabError, match=r"weights\.safetensors is damaged or not a checkpoint"):
        load(weights)


def test_nothing_is_unpickled(colors: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise AssertionError("unpickled")

    for module, name in ((torch, "load"), (pickle, "load"), (pickle, "loads"), (pickle, "Unpickler")):
        monkeypatch.setattr(module, name, refuse)
    assert load(colors).ask("What color?", "A blue boat.")[0].text == "blue"


def test_loading_takes_no_random_numbers(colors: Path) -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    load(colors)
    assert torch.equal(torch.rand(1), expected)


def test_saved_alone(colors: Path, tmp_path: Path) -> None:
    first = load(changed(colors, tmp_path / "run", temperature=3.0))
    saved = first.save(tmp_path / "saved")
    texts = ["A crimson boat.", "A green tree."]
    expected = first.ask("What color?", texts)
    assert sorted(path.name for path in saved.iterdir()) == ["qa.json", "spec.json", "tokenizer", "weights.safetensors"]
    with pytest.raises(UsageError, match="is not an empty folder"):
        first.save(saved)
    shutil.rmtree(tmp_path / "run")
    assert load(saved).ask("What color?", texts) == expected
    with pytest.raises(ReslabError, match=r"no longer has weights\.safetensors"):
        first.save(tmp_path / "again")


def question(number: int, text: str, *answers: str) -> Question:
    gold = tuple(Gold(answer, text.index(answer)) for answer in answers)
    return Question(id=f"{number}", question="What color?", context=text, answers=gold, impossible=not gold)


def test_calibration(colors: Path, tmp_path: Path) -> None:
    """Green has 2 + 2, blue 1 + 1; the better is right in 3 of 4, say: softmax(2 / T) = 3 / 4, T = 2 / ln 3.

    No span has both: more than 30 words lie between them.
    """
    text = "green " + "the " * 31 + "blue"
    questions = [question(k, f"{text} {'the ' * k}", "blue" if k % 4 == 0 else "green") for k in range(16)]
    reader = load(changed(colors, tmp_path / "run", temperature=1.0), precision="fp32")
    found = reader.calibrate(questions)
    assert found.dev.n == found.evaluation.n == 8
    right = found.dev.exact / 100
    assert 0.5 < right < 1
    expected = 2 / math.log(right / (1 - right))
    assert reader.settings.temperature == found.temperature.temperature == pytest.approx(expected, rel=1e-3)
    assert reader.settings.ece == found.after.ece
    stored = Run(tmp_path / "run").read_json("qa.json")
    assert Settings(**stored) == reader.settings
    assert reader.ask("What color?", text)[0].probability == pytest.approx(right, abs=1e-3)


def test_calibration_by_squad2_finds_the_threshold(colors: Path, tmp_path: Path) -> None:
    """Only crimson is ever right: of blue and green things "no answer" is."""
    texts = [(f"A {color} thing number {k}", color) for k in range(8) for color in ("crimson", "green", "blue")]
    questions = [question(k, text, *([color] if color == "crimson" else [])) for k, (text, color) in enumerate(texts)]
    reader = load(changed(colors, tmp_path / "run", rule="squad2"), precision="fp32")
    found = reader.calibrate(questions)
    assert found.dev.exact == found.evaluation.exact == 100
    for color in ("crimson", "green", "blue"):
        answer = reader.ask("What color?", f"A {color} thing number 9")[0].text
        assert answer == ("crimson" if color == "crimson" else "")


SIZES = {"vocab_size": 600, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
         "intermediate_size": 32, "max_position_embeddings": 66}  # fmt: skip
TEXTS = [
    "Ada Lind built the old mill of Morn in 1874, and lost it in a storm. " * 9,
    "Nobody knows who built the bridge.",
]
ASKED = ["Who built the mill?", "When?"]


def made(folder: Path, encoder: str, head: str) -> Path:
    """A run folder of random weights: our own encoder, or one of transformers."""
    pytest.importorskip("transformers")
    import transformers

    from reslab.qa.data.vocabulary import build_vocabulary

    run = Run(folder)
    tokenizer = build_vocabulary([*TEXTS, *ASKED], size=300)
    torch.manual_seed(0)
    if encoder == "ours":
        spec = QASpec(name="small", encoder=EncoderSpec(vocab=300, hidden=16, layers=2, heads=2, length=64),
                      head=head, length=64, layers=None if head == "linear" else 1)  # type: ignore[arg-type]  # fmt: skip
    else:
        config = transformers.AutoConfig.for_model(encoder, **SIZES, pad_token_id=1 if "roberta" in encoder else 0)
        transformers.AutoModel.from_config(config).save_pretrained(folder / "original")
        config.save_pretrained(folder / "encoder")
        spec = QASpec(name=encoder, encoder=str(folder / "original"), head=head, length=64,  # type: ignore[arg-type]
                      layers=None if head == "linear" else 1)  # fmt: skip
    net = build_qa(spec)
    with torch.no_grad():
        net.head.span.weight.mul_(20)  # random scores are near each other
    run.write_json("spec.json", to_dict(spec))
    run.write_json("qa.json", {"rule": "squad1", "length": 64, "stride": 16, "temperature": 1.0, "threshold": None})
    tokenizer.save_pretrained(folder / "tokenizer")
    write_weights(run, net, to_dict(spec))
    shutil.rmtree(folder / "original", ignore_errors=True)  # the run's own folder is enough
    return folder


KINDS = [("ours", "linear"), ("ours", "sds"), ("ours", "tokens"), ("ours", "bilstm"), ("bert", "sds"),
         ("roberta", "linear"), ("electra", "linear"), ("deberta-v2", "linear")]  # fmt: skip


@pytest.mark.parametrize(("encoder", "head"), KINDS)
def test_of_any_encoder_and_head(tmp_path: Path, encoder: str, head: str) -> None:
    """Folded, batched and padded little, a true net scores as itself, each window alone; in bf16 as under autocast."""
    folder = made(tmp_path / "run", encoder, head)
    for precision in ("fp32", "bf16"):
        reader = load(folder, precision=precision)  # type: ignore[arg-type]
        found = reader.ask(ASKED, TEXTS, top=20)
        assert all(TEXTS[a.document][a.start : a.end] == a.text for answers in found for a in answers)
        plain = build_qa(reader.net.spec, shape=folder / "encoder").eval()  # type: ignore[arg-type]
        plain.load_state_dict(read_state(folder / "weights.safetensors"))
        best = alone(plain, reader, precision)
        bound = 1e-4 if precision == "fp32" else 0.5 if head == "sds" else 1e-1
        assert [answers[0].score for answers in found] == pytest.approx(best, rel=1e-3, abs=bound)


@torch.no_grad()
def alone(net: torch.nn.Module, reader: object, precision: str) -> list[float]:
    """The best score of each of ASKED, every window by itself, all pairs of tokens tried."""
    from reslab.qa.data.windows import windows

    pairs = [Question(id="", question=one, context=text) for one in ASKED for text in TEXTS]
    cut, best = windows(pairs, reader.tokenizer, length=64, stride=16), [-math.inf] * len(ASKED)  # type: ignore
    for row in range(len(cut)):
        batch = cut.batch([row], length=64)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            span = net(**inputs(batch)).span[0]
        places = torch.nonzero(batch.context[0])[:, 0].tolist()
        highest = max((span[i, 0] + span[j, 1]).item() for i in places for j in places if i <= j < i + 30)
        best[int(batch.question[0]) // 2] = max(best[int(batch.question[0]) // 2], highest)
    return best


def test_an_encoder_of_transformers_loads_and_saves_alone(tmp_path: Path) -> None:
    reader = load(made(tmp_path / "run", "bert", "sds"), precision="fp32")
    saved = reader.save(tmp_path / "saved")
    shutil.rmtree(tmp_path / "run")
    assert load(saved, precision="fp32").ask(ASKED, TEXTS) == reader.ask(ASKED, TEXTS)


def test_public_names(colors: Path) -> None:
    """`reslab.qa` needs no separate import, and reading with reslab's encoder does not need transformers."""
    code = (
        "import sys, reslab\n"
        f"print(reslab.qa.load({str(colors)!r}).ask('What color?', 'A blue boat.')[0].text)\n"
        "assert 'transformers' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("blue\n", "")
    assert reslab.qa.Answer is Answer


def test_a_tokenizer_of_another_net(colors: Path, tmp_path: Path) -> None:
    """It has a token more than the encoder, and uses it."""
    from tokenizers import Tokenizer

    shutil.copytree(colors, tmp_path / "run")
    path = tmp_path / "run" / "tokenizer" / "tokenizer.json"
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.add_tokens(["boat"])
    tokenizer.save(str(path))
    reader = load(tmp_path / "run")
    with pytest.raises(ReslabError, match="it gives token 11, but the encoder has only 11 tokens"):
        reader.ask("What color?", "A crimson boat.")


@pytest.mark.parametrize(
    ("question", "contexts", "top", "said"),
    [
        (None, "A.", 1, "question must be a text or a list of texts, got NoneType"),
        ("What?", 3, 1, "contexts must be a text or a list of texts, got int"),
        ("What?", b"A.", 1, "contexts must be a text or a list of texts, got bytes"),
        ("What?", "A.", "3", "top must be from 1 to 20, got '3'"),
        ("What?", "A.", 1.5, "top must be from 1 to 20, got 1.5"),
    ],
)
def test_what_is_no_text(colors: Path, question: object, contexts: object, top: object, said: str) -> None:
    with pytest.raises(UsageError, match=f"^{said}$"):
        load(colors).ask(question, contexts, top=top)  # type: ignore[call-overload]


def test_an_answer_has_as_many_tokens_as_allowed(colors: Path, tmp_path: Path) -> None:
    """ "crimson, Green" is three tokens: with at most two, only one-word answers (and half ones) are left."""
    boat = "A boat: crimson, Green."
    reader = load(colors, precision="fp32")
    assert "crimson, Green" in [one.text for one in reader.ask("What color?", boat)]
    assert "crimson, Green" not in [one.text for one in reader.ask("What color?", boat, top=20, max_answer=2)]
    stored = load(changed(colors, tmp_path / "run", max_answer=2), precision="fp32")
    assert stored.ask("What color?", boat, top=20) == reader.ask("What color?", boat, top=20, max_answer=2)
    with pytest.raises(UsageError, match="max_answer must be from 1 to 100000, got 0"):
        reader.ask("What color?", boat, max_answer=0)
    with pytest.raises(ReslabError, match=r"qa\.json is damaged: .*max_answer must be from 1 to 100000, got -3"):
        load(changed(colors, tmp_path / "bad", max_answer=-3))


def test_a_blank_text_among_others_is_left_out(colors: Path) -> None:
    reader = load(colors, precision="fp32")
    texts = {"a": "A boat: crimson.", "b": " ", "c": "Green.", "d": ""}
    with pytest.warns(ReslabWarning, match=r"empty contexts left out: 2 \(b, d\)"):
        found = reader.ask("What color?", texts)
    assert found == reader.ask("What color?", {"a": "A boat: crimson.", "c": "Green."})
    with pytest.warns(ReslabWarning, match=r"empty contexts left out: 1 \(0\)"):
        (one, *_) = reader.ask("What color?", ["", "Green."])
    assert (one.text, one.document) == ("Green", 1)  # the index in the caller's list
