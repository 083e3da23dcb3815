"""Quick trainings on a few facts: an encoder of our own, or a tiny BERT made on the spot."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from clocks import leap

from reslab.qa.folder import Reading, load, prepare
from reslab.qa.folder import small as small_encoder
from reslab.qa.net.encoder import EncoderSpec
from reslab.qa.net.net import QASpec
from reslab.run import Run
from reslab.train.recipe import Recipe, change

__all__ = ["leap"]
QUICK = Recipe(
    iterations=6, batch=4, optimizer="adamw", lr=1e-3, schedule="linear", decay_all=False, precision="fp32",
    compile="off", threads=1, checkpoint_seconds=1e9,
)  # fmt: skip
READING = Reading(rule="", stride=8, share=0.2)
SPEC = QASpec(name="net", encoder=EncoderSpec(vocab=1), head="tokens", layers=1, length=48)

Begin = Callable[..., Run]


@pytest.fixture
def begin(facts: Path) -> Begin:
    """begin(folder, word, head="sds", reading={...}, lr=0.1): a run folder ready to train."""

    def make(
        folder: Path, word: Path = facts, *, encoder: Path | None = None, tokenizer: Any = None,
        reading: dict[str, Any] | None = None, net: dict[str, Any] | None = None,
        small: dict[str, Any] | None = None, **changes: Any,
    ) -> Run:  # fmt: skip
        how, data = load(str(word), replace(READING, **(reading or {})))
        built: Any = str(encoder)
        if encoder is None:
            shape = {"hidden": 16, "layers": 1, "heads": 2, "length": 48, **(small or {})}
            built, tokenizer = small_encoder(data, vocabulary=300, **shape)
        spec = replace(SPEC, encoder=built, **(net or {}))
        return prepare(folder, spec=spec, tokenizer=tokenizer, data=data, word=str(word), reading=how,
                       recipe=change(QUICK, **changes))  # fmt: skip

    return make
