"""Answer questions with an exported folder, as `qa.Reader.ask` does, by the folder's engine.

No torch for OpenVINO and ONNX.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reslab.errors import ReslabError, UsageError
from reslab.nets.specs import make
from reslab.progress import Steps
from reslab.qa.answers import Spans, best_spans
from reslab.qa.asking import Asker, inputs_of
from reslab.qa.data.windows import CPU_TOKENS, Windows, refuse_tokens
from reslab.qa.settings import Settings, read_tokenizer
from reslab.run import Run
from reslab.ship.engines import Engine, engine
from reslab.ship.folder import CONFIG
from reslab.ship.record import Config
from reslab.stored import ships
from reslab.stored.files import named
from reslab.stored.read import held

INPUTS, OUTPUTS = {"ids", "mask", "context"}, {"span"}  # that the graph of every reader has
OWN = ("vocabulary", "types")  # keys of `about` that are no settings


class QuestionPredictor(Asker):
    """What `reslab.predict(FOLDER)` gives for questions; `ask` is that of `qa.load(RUN)`, with the same answers.

    Several threads may ask at once.
    """

    def __init__(self, engine: Engine, config: Config, *, tokenizer: Any, settings: Settings) -> None:
        super().__init__(tokenizer, settings)
        self.engine, self.config = engine, config
        self.version = ""  # a digest of the folder

    def read(self, cut: Windows, most: int, progress: Steps | None) -> Spans:
        refuse_tokens(cut, self.config.about["vocabulary"])
        parts, done = [], 0
        for rows in cut.grouped(CPU_TOKENS):
            arrays = cut.arrays(rows)
            found = self.engine.run(inputs_of(arrays, types=self.config.about["types"]))
            parts.append(best_spans(found["span"], arrays, answerable=found.get("answerable"), most=most))
            done += len(rows)
            if progress:
                progress(done, len(cut))
        return Spans.join(parts)

    def __repr__(self) -> str:
        one = self.config
        return f"<{one.name}: a reader for {one.engine} in {one.precision}, windows of {self.settings.length} tokens>"


def load(folder: Path, config: Config, *, threads: int = 0, device: str = "auto") -> QuestionPredictor:
    """The predictor of an exported folder. Raises ReslabError for a damaged one, and as `engines.engine` does."""
    about = held(ships.QuestionsConfig, {"about": config.about}, folder / CONFIG)["about"]
    try:
        settings: Settings = make(Settings, settings_of(about), "its content")
    except UsageError as error:
        raise ReslabError(f"{named(folder / CONFIG)} is damaged: {error}; export the model again") from error
    ports = ({one.name for one in config.inputs}, {one.name for one in config.outputs})
    asked = INPUTS | ({"types"} if about["types"] else set())
    if ports[0] != asked or not ports[1] >= OUTPUTS:
        raise ReslabError(f"{named(folder / CONFIG)} is damaged: a reader's graph takes {', '.join(sorted(asked))} and "
                          f"gives span, not {', '.join(sorted(ports[0]))} and {', '.join(sorted(ports[1]))}; export "
                          "the model again")  # fmt: skip
    tokenizer = read_tokenizer(Run(folder))
    made = engine(folder, config, threads=threads, device=device)
    return QuestionPredictor(made, config, tokenizer=tokenizer, settings=settings)


def settings_of(about: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in about.items() if key not in OWN}
