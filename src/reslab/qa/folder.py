"""The run folder of a question-answering net: make it, read it, and cut its questions into windows of tokens.

Besides the files of every run: tokenizer/, the encoder's shape in encoder/, and finally qa.json and predictions.json.
"""

import json
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from reslab.errors import ReslabWarning, Sentence, UsageError, arg
from reslab.extras import need
from reslab.nets.hub import loading, location, quiet
from reslab.nets.specs import make
from reslab.qa.answers import MAX_TOKENS
from reslab.qa.data.question import Question, Report
from reslab.qa.data.questions import DEV, QuestionData, load_questions
from reslab.qa.data.windows import Windows, windows
from reslab.qa.net.encoder import EncoderSpec
from reslab.qa.net.net import QASpec, read_qa_spec, to_dict
from reslab.qa.rules import judged, rule_for, rule_of
from reslab.qa.settings import SHAPE, TOKENIZER, check_seal, read_tokenizer, seal
from reslab.run import Run, absolute
from reslab.train.life import Pair, prepare_run, refuse_changed
from reslab.train.order import shuffled
from reslab.train.recipe import IMAGES, Recipe, refuse_images
from reslab.train.start import Start, refuse_other_reading

PARTS = ("train", "dev", "test")
MADE = ("tokenizer", "encoder")  # folders that `prepare` and `train` make


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How questions are read and scored: stored in data.json, beside the description of the data."""

    rule: str  # of scores.RULES; "": the one that the questions ask for
    stride: int = 128  # tokens that neighboring windows share
    share: float = DEV  # of the questions, for a dev or test part that is missing
    questions: int | None = None  # number of training questions, sampled at random; None: all
    strict: bool = False  # the first bad question stops
    max_answer: int | None = None  # tokens in an answer; None: the longest training answer, at least MAX_TOKENS

    def check(self) -> None:
        """Raise UsageError for invalid values."""
        rule_of(self.rule)
        if self.questions is not None and self.questions < 1:
            raise UsageError(f"questions must be positive, got {self.questions}")
        if self.max_answer is not None and self.max_answer < 1:
            raise UsageError(arg("max_answer"), f" must be positive, got {self.max_answer}")


def load(word: str, reading: Reading) -> tuple[Reading, QuestionData]:
    """(the reading, with the rule that fits if it was ""; the questions that `word` names).

    `about` of the questions says which rule was chosen, and why. Raises UsageError if the rule cannot score them.
    """
    data = load_questions(word, share=reading.share, strict=reading.strict)
    if not reading.rule:
        fitting = rule_for(data.train + data.dev + data.test)
        reading = replace(reading, rule=fitting.rule)
        data = replace(data, about=f"{data.about}; scored by the rule {fitting.rule}: {fitting.why}")
    reading.check()
    judged(data.dev + data.test, reading.rule)
    return reading, fewer(data, reading.questions)


def fewer(data: QuestionData, many: int | None) -> QuestionData:
    """The data with `many` of its training questions, always the same ones, in their order."""
    if many is None or many >= len(data.train):
        return data
    rows = sorted(shuffled(len(data.train), 0)[:many].tolist())
    about = f"{data.about}; {many:,} of its {len(data.train):,} training questions, sampled at random"
    return replace(data, train=tuple(data.train[row] for row in rows), about=about)


def prepare(
    folder: Path | str, *, spec: QASpec, tokenizer: Any, data: QuestionData, word: str, reading: Reading,
    recipe: Recipe, command: str = "", start: Path | str | Start | None = None, shape: Any = None,
) -> Run:  # fmt: skip
    """Make a run folder with the net's spec, the recipe and the questions' description, or find the same run in it.

    `start`: a run folder whose weights the training starts from, with the same tokenizer; or weights. `shape`: the
    transformers config of an encoder whose weights are in `start`, if it is not the one that the spec names. Raises
    UsageError if the folder holds another run, naming what differs.
    """
    run = Run(folder)
    spec.check()
    recipe.check()
    reading.check()
    refuse_images(recipe)
    about = {"word": absolute(word), "reading": asdict(reading), **data.describe()}
    if isinstance(spec.encoder, str) and Path(os.path.expanduser(spec.encoder)).is_dir():
        spec = replace(spec, encoder=str(Path(os.path.expanduser(spec.encoder)).resolve()))

    def stored() -> dict[str, Pair]:
        return {"net": (to_dict(read_qa_spec(run)), to_dict(spec)),
                "reading": (asdict(read_reading(run)), asdict(reading))}  # fmt: skip

    def fill() -> None:
        tokenizer.save_pretrained(run.path(TOKENIZER))
        seal(run, TOKENIZER)
        if shape is not None:
            shape.save_pretrained(run.path(SHAPE))
            seal(run, SHAPE)

    if start is not None and not isinstance(start, Start):
        same = same_tokenizers(read_tokenizer(Run(start)), tokenizer)
        refuse_other_reading(start, same=same, what="tokenizer")
    return prepare_run(
        run, spec=to_dict(spec), recipe=recipe, about=about, stored=stored, made=MADE, without=IMAGES, command=command,
        fill=fill, start=start,
    )  # fmt: skip


def same_tokenizers(one: Any, other: Any) -> bool:
    """Whether two tokenizers make the same tokens; `other`: of transformers."""
    parts = ("model", "normalizer", "pre_tokenizer", "added_tokens", "post_processor")
    contents = [json.loads(text) for text in (one.to_str(), other.backend_tokenizer.to_str())]
    return all(contents[0].get(part) == contents[1].get(part) for part in parts)


def load_tokenizer(where: Path | str) -> Any:
    """The fast tokenizer in an encoder's folder, or of that name on the Hugging Face Hub. No downloaded code is run.

    Raises UsageError without the extra `text` and for a missing folder, ReslabError if it cannot be read.
    """
    transformers = need("transformers", extra="text", why=f"the tokenizer {where}")
    name = location(where)
    with loading(name, f"the tokenizer {name}"), quiet(transformers):
        return transformers.AutoTokenizer.from_pretrained(name, trust_remote_code=False)


def small(data: QuestionData, *, vocabulary: int = 8000, length: int = 512, **shape: Any) -> tuple[EncoderSpec, Any]:
    """reslab's small encoder and its tokenizer, built from the training questions and their contexts."""
    from reslab.qa.data.vocabulary import build_vocabulary

    texts = (text for one in data.train for text in (one.context, one.question))
    tokenizer = build_vocabulary(texts, size=vocabulary)
    return EncoderSpec(vocab=len(tokenizer), length=length, **shape), tokenizer


def read_reading(run: Run) -> Reading:
    """How a run folder's questions are read."""
    return make(Reading, run.read_json("data.json", "reading")["reading"], f"{run.path('data.json')}")


def stored_data(run: Run) -> QuestionData:
    """The questions of a run folder. Raises ReslabError if they have changed since."""
    data = load_stored(run)
    refuse_changed(run, stored_word(run), data.fingerprint, "questions")
    return data


def load_stored(run: Run) -> QuestionData:
    """The questions that a run folder names, whether or not they have changed."""
    return load(stored_word(run), read_reading(run))[1]


def stored_word(run: Run) -> str:
    """The word by which a run folder's questions are loaded."""
    return str(run.read_json("data.json", "word")["word"])


def cut(questions: Sequence[Question], run: Run, spec: QASpec, *, report: Report | None = None) -> Windows:
    """The questions as windows of the net's length."""
    check_seal(run, TOKENIZER)
    return windows(questions, load_tokenizer(run.path(TOKENIZER)), length=spec.length,
                   stride=read_reading(run).stride, report=report)  # fmt: skip


def answer_limit(parts: Mapping[str, Windows], reading: Reading, report: Report) -> int:
    """The most tokens that an answer may have; answers that are longer, and so can never be given, are reported.

    By default the longest training answer, at least MAX_TOKENS.
    """
    most = reading.max_answer or max(MAX_TOKENS, int(parts["train"].answer_sizes().max(initial=0)))
    for part, found in parts.items():
        sizes = found.answer_sizes()
        for row in np.flatnonzero(sizes > most).tolist():
            report.add("answer too long", found.questions[row].id, Sentence(f"{part}: an answer of {sizes[row]} tokens "
                       f"can never be given: ", arg("max_answer", most)))  # fmt: skip
        if many := int((sizes > most).sum()):
            warnings.warn(ReslabWarning(
                f"{many:,} of {len(sizes):,} {part} questions have an answer of more than {most} tokens, which can "
                "never be given; raise ", arg("max_answer")), stacklevel=3)  # fmt: skip
    return most
