"""A trained reader as something to export: its graph with the head folded, the tokenizer beside it."""

import copy
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from reslab.errors import ReslabError, UsageError, one_line
from reslab.nets.heads import ConvSDSHead
from reslab.qa.answers import best_spans, rank
from reslab.qa.asking import inputs_of
from reslab.qa.data.question import Question
from reslab.qa.data.questions import QuestionData
from reslab.qa.folder import stored_data, stored_word
from reslab.qa.net.net import read_qa_spec
from reslab.qa.net.pretrained import Pretrained
from reslab.qa.reader import load, trained_net
from reslab.qa.rules import RULES, score
from reslab.qa.settings import TOKENIZER
from reslab.ship.export.passes import evenly
from reslab.ship.export.reading import Reading, sliced
from reslab.ship.exportable import RANDOM, Arrays, Examples, Graph
from reslab.ship.record import Kind

LENGTH = 24  # tokens of the graph's example and of random inputs, where the net takes so many
QUESTION = 6  # of them of the question
LONGEST = 2**16  # tokens: more than any window has


class QuestionExport:
    """See `exportable.Exportable`. An example is a window; how right an answer is, is counted by question."""

    kind: Kind = "questions"
    unit = "exact match"

    def __init__(self, run: Path | str) -> None:
        """`run`: of a finished training, or a folder that a reader was saved to. Raises as `qa.load` does.

        Raises UsageError for a BiLSTM head: torch.export unrolls an LSTM to one number of tokens.
        """
        self.reader = load(run, device="cpu", precision="fp32")
        self.run, self.spec = self.reader.run, read_qa_spec(self.reader.run)
        if self.spec.head == "bilstm":
            raise UsageError(f"{run} has a BiLSTM head, which can be exported for one number of tokens only: train "
                             "another head")  # fmt: skip
        self.original = trained_net(self.run, self.spec).eval().requires_grad_(False)
        self.name, self.word, self.notes = self.run.folder.resolve().name, str(run), list[str]()
        encoder = self.reader.net.encoder
        self.typed = not isinstance(encoder, Pretrained) or encoder.takes_types
        table = encoder.model.get_input_embeddings() if isinstance(encoder, Pretrained) else encoder.tokens
        self.vocabulary = int(table.num_embeddings)

    def graphs(self) -> list[Graph]:
        example = {name: torch.from_numpy(array) for name, array in self.random_windows(2, seed=0).items()}
        net = copy.deepcopy(self.reader.net)
        sliced(net.head)
        return [Graph(
            module=Reading(net).eval().requires_grad_(False), example=example, outputs=self.outputs,
            dynamic={name: {0: "batch", 1: "length"} for name in example}, most={"length": self.longest},
        )]  # fmt: skip

    @property
    def longest(self) -> int:
        """The most tokens in a window that the graph takes."""
        encoder, head = self.reader.net.encoder.longest, self.reader.net.head
        return min(encoder or LONGEST, self.spec.length if isinstance(head, ConvSDSHead) else LONGEST)

    @property
    def outputs(self) -> tuple[str, ...]:
        return ("span",) if self.reader.net.head.answerable is None else ("span", "answerable")

    @torch.inference_mode()
    def reference(self, which: int, inputs: Arrays) -> dict[str, np.ndarray]:
        given = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in inputs.items()}
        found = Reading(self.original)(**given)
        return {name: one.float().numpy() for name, one in zip(self.outputs, found, strict=True)}

    def proof(self, n: int) -> list[Examples]:
        return self.part("dev", n)

    def calibration(self, n: int) -> list[Examples]:
        return self.part("train", n)

    def part(self, part: str, n: int) -> list[Examples]:
        """At most n windows of evenly spaced questions of a part; random ones if the run has no questions."""
        data = self.data
        if data is None:
            return [Examples(inputs=self.random_windows(n, seed=1), where=RANDOM)]
        whole: tuple[Question, ...] = getattr(data, part)
        questions = [whole[row] for row in evenly(len(whole), n)]
        cut, _ = self.reader.cut(questions)
        kept = len(cut)
        if kept > n:  # whole questions alone, unless the first has more windows than n
            kept = int(np.searchsorted(cut.question, cut.question[n])) or n
        arrays = cut.arrays(np.arange(kept))
        questions = questions[: int(arrays.question[-1]) + 1]
        where = f"{len(questions):,} of the {len(whole):,} {part} questions of {stored_word(self.run)}"
        return [Examples(inputs=inputs_of(arrays, types=self.typed), targets=(questions, arrays), where=where)]

    @cached_property
    def data(self) -> QuestionData | None:
        """The run's questions; None, with a note, if it has none or they have changed."""
        try:
            if not self.run.has("data.json"):
                raise UsageError(f"{self.run.folder} holds a reader without its questions")
            return stored_data(self.run)
        except ReslabError as error:
            self.notes.append(f"compared on random inputs: {one_line(str(error))}")
            return None

    def random_windows(self, n: int, *, seed: int) -> dict[str, np.ndarray]:
        """n windows of random tokens, the second half of them shorter, as they come from `inputs_of`."""
        draws, length = np.random.default_rng(seed), min(LENGTH, self.spec.length)
        first = min(QUESTION, length // 2)
        sizes = np.where(np.arange(n) < (n + 1) // 2, length, max(first + 1, length - 3))
        mask = np.arange(length) < sizes[:, None]
        context = mask & (np.arange(length) >= first)
        types = context.astype(np.int64) if self.reader_types > 1 else np.zeros((n, length), np.int64)
        context[:, 0] = True
        found = {"mask": mask, "context": context, "ids": draws.integers(0, self.vocabulary, (n, length)) * mask}
        return found | ({"types": types} if self.typed else {})

    @property
    def reader_types(self) -> int:
        encoder = self.reader.net.encoder
        return int(encoder.model.config.type_vocab_size if isinstance(encoder, Pretrained) else encoder.spec.types)

    def decisions(self, outputs: Sequence[Arrays]) -> np.ndarray:
        """The best start and the best end of each window, and whether it holds an answer, if the net says so."""
        found = [np.asarray(outputs[0]["span"]).argmax(axis=1)]
        if "answerable" in outputs[0]:
            found.append((np.asarray(outputs[0]["answerable"]) > 0).astype(np.int64)[:, None])
        return np.concatenate(found, axis=1)

    def right(self, outputs: Sequence[Arrays], examples: Sequence[Examples]) -> np.ndarray | None:
        """The exact match of each question's answer, decided as the reader decides it."""
        if examples[0].targets is None:
            return None
        questions, arrays = examples[0].targets
        settings = self.reader.settings
        spans = best_spans(
            outputs[0]["span"], arrays, answerable=outputs[0].get("answerable"), most=settings.max_answer
        )
        ranked = rank(spans, len(questions), no_answer=RULES[settings.rule].empty, temperature=settings.temperature)
        found = []
        for question, one in zip(questions, ranked, strict=True):
            answer = one.decided(settings.threshold)
            text = question.context[answer.start : answer.end] if answer else ""
            found.append(score(question, text, rule=settings.rule)[0])
        return np.array(found)

    def about(self) -> dict[str, Any]:
        return {**asdict(self.reader.settings), "vocabulary": self.vocabulary, "types": self.typed}

    def beside(self, folder: Path) -> None:
        shutil.copytree(self.run.path(TOKENIZER), folder / TOKENIZER)
