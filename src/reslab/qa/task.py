"""Finding answers as a task for the training loop: from windows to start and end positions."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reslab.errors import Sentence, UsageError, arg
from reslab.nets.heads import Scores
from reslab.qa.answers import MAX_TOKENS, Spans, predictions, rank
from reslab.qa.data.windows import Windows
from reslab.qa.features import Features
from reslab.qa.net.net import QANet
from reslab.qa.no_answer import best_threshold
from reslab.qa.predict import inputs, predict
from reslab.qa.rules import RULES
from reslab.qa.scores import evaluate
from reslab.train.batch import Batch
from reslab.train.order import batch_indices, shuffled
from reslab.train.recipe import Recipe
from reslab.train.tune import Choice
from reslab.train.world import ALONE, World

GROUP = 16  # batches whose windows are sorted by length, to reduce padding
BUCKETS = 32  # a random stream separate from the order's


class QATask:
    """Predict the start and end tokens of an answer: cross-entropy of both; "no answer" is [CLS]."""

    unit = "windows"
    shorter = Sentence("fewer ", arg("epochs"))
    validates = False

    def __init__(
        self,
        parts: dict[str, Windows],
        recipe: Recipe,
        device: torch.device,
        *,
        rule: str,
        features: dict[str, Features] | None = None,
        most: int = MAX_TOKENS,
        world: World = ALONE,
    ) -> None:
        self.parts, self.recipe, self.device, self.rule = parts, recipe, device, rule
        self.features, self.most = features or {}, most  # most: tokens in an answer
        self.world, self.share = world, world.part(recipe.batch)  # of each batch, that this process takes
        self.spans: dict[str, Spans] = {}  # of "validation" and "test", from the last evaluation
        train = parts["train"]
        self.known = np.flatnonzero(train.known)
        self.examples = len(self.known)
        if not self.examples:
            raise UsageError("no window holds an answer, so there is nothing to train on")
        self.sizes = train.sizes(self.known)

    def rows(self, iteration: int) -> list[int]:
        """The windows of one iteration; among GROUP batches of the stream, windows of similar length share a batch."""
        batch, seed = self.recipe.batch, self.recipe.seed
        group, place = divmod(iteration, GROUP)
        drawn = batch_indices(self.examples, batch=GROUP * batch, iteration=group, seed=seed).numpy()
        drawn = drawn[np.argsort(self.sizes[drawn], kind="stable")]
        chosen = int(shuffled(GROUP, seed, group, BUCKETS)[place])
        return self.known[drawn[chosen * batch : (chosen + 1) * batch]].tolist()

    def batches(self, start: int, stop: int) -> Iterator[Batch]:
        windows, features = self.parts["train"], self.features.get("train")
        for i in range(start, stop):
            rows = self.rows(i)[self.share.start : self.share.stop]
            found = windows.batch(rows).to(self.device)
            x = inputs(found, None if features is None else features.batch(rows, found.ids.shape[1]))
            y = torch.stack([found.start, found.end], dim=1)
            yield Batch(x=x, y=y, index=torch.as_tensor(rows), iteration=i)

    def loss(self, out: Scores, y: Tensor) -> Tensor:
        """The mean cross-entropy of start and end, plus the binary cross-entropy of an answerability output."""
        span = F.cross_entropy(out.span.transpose(1, 2).flatten(0, 1), y.flatten())
        if out.answerable is None:
            return span
        return span + F.binary_cross_entropy_with_logits(out.answerable, (y[:, 0] > 0).to(out.answerable))

    def wrong(self, out: Scores, y: Tensor) -> Tensor:
        """Number of windows whose predicted start or end is wrong."""
        return (out.span.argmax(dim=1) != y).any(dim=1).sum()

    def evaluate(self, net: nn.Module, part: str, choice: Choice) -> dict[str, Any] | None:
        """Exact match and F1 (%) on "validation" (the dev part) or "test"; not on the training part."""
        name = {"validation": "dev"}.get(part, part)
        if name not in self.parts or part == "train":
            return None
        assert isinstance(net, QANet)
        windows, features = self.parts[name], self.features.get(name)
        spans = self.spans[part] = predict(
            net, windows, device=self.device, choice=choice, features=features, most=self.most, world=self.world
        )
        found: dict[str, Any] = self.world.first(lambda: self.scored(windows, spans))
        return found

    def scored(self, windows: Windows, spans: Spans) -> dict[str, Any]:
        """The scores of the best spans of all windows of a part."""
        questions, empty = windows.questions, RULES[self.rule].empty
        texts, null = predictions(questions, rank(spans, len(questions), no_answer=empty))
        # During training each part uses its own best threshold: this is for curves, not a result.
        threshold = best_threshold(questions, texts, null, rule=self.rule).threshold if empty else None
        found = evaluate(questions, texts, rule=self.rule, no_answer=null if empty else None, threshold=threshold)
        return {"error": 100 - found.exact, "exact": found.exact, "f1": found.f1, "n": found.n}

    def average_norms(self, net: nn.Module) -> None:
        raise UsageError("precise_bn needs BatchNorm, which nets for questions do not have")
