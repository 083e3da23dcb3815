"""Predict with an exported folder or a run: `reslab.predict(FOLDER)`. No torch for OpenVINO and ONNX folders."""

import os
from importlib import import_module
from pathlib import Path
from typing import Any

from reslab.errors import UsageError
from reslab.ship.folder import is_exported, read_config, verify
from reslab.ship.record import Config
from reslab.stored.files import named

HOME = {"images": "images", "questions": "questions", "tables": "tables"}  # kind of a net: its module here
HUB = "hf:"
WEIGHTS = "weights.safetensors"


def predict(folder: Path | str, *, threads: int = 0, device: str = "auto", check: bool = True) -> Any:
    """A folder's model, ready to predict.

        model = reslab.predict("shipped")
        model("a.jpg")                              # images: a Prediction, as reslab.load(RUN).predict gives it
        model.ask("Who wrote it?", text)            # questions: Answers, as reslab.qa.load gives them
        model.predict("new.csv")                    # tables: as reslab.tables.load

    folder: what `reslab export` wrote, whose files are compared with their checksums unless `check` is False; or a run
    folder, whose net then runs in torch; or either on the Hugging Face Hub, hf:OWNER/NAME. `threads` of the engine; 0:
    its own choice (for a run: torch's threads, of the whole process). `device`: for what runs in torch; OpenVINO and
    ONNX folders run on the CPU.
    Raises UsageError for no such folder or a missing package, ReslabError for a damaged folder.
    """
    path = Path(folder)
    if str(folder).startswith(HUB):
        from reslab.nets.published import local

        path = local(folder)
    if type(threads) is not int or threads < 0:
        raise UsageError(f"threads must be zero or more, got {threads!r}")
    if is_exported(path):
        return of_export(path, threads=threads, device=device, check=check)
    if not os.path.lexists(path):
        raise UsageError(f"{named(path)}: no such folder")
    return of_run(path, threads=threads, device=device)


def of_export(folder: Path, *, threads: int, device: str, check: bool) -> Any:
    """The model of an exported folder, with its `config` and, if checked, its `version`: a digest of all files."""
    version = verify(folder) if check else ""
    config = read_config(folder)
    model = loader(config)(folder, config, threads=threads, device=device)
    model.version = version
    return model


def loader(config: Config) -> Any:
    return import_module(f"reslab.ship.predict.{HOME[config.kind]}").load


def of_run(run: Path, *, threads: int, device: str) -> Any:
    """What predicts in torch with the net of a run: an images.model.Predictor, a qa.Reader or a tables.TableModel."""
    if threads:
        import torch

        torch.set_num_threads(threads)
    from reslab.images.model import other_use, predictor
    from reslab.nets import load
    from reslab.nets.specs import MODULES
    from reslab.nets.weights import refuse_nan
    from reslab.run import Run
    from reslab.train.folder import pick_device

    if use := other_use(run):
        return import_module(MODULES[use]).load(run, device=device)
    if run.is_file() and run.name != WEIGHTS:
        raise UsageError(f"{named(run)} is no run folder: predicting needs one, which knows its classes and how images "
                         "are read")  # fmt: skip
    place = pick_device(device)
    net = load(run)
    refuse_nan(net, str(run))
    return predictor(net.to(place), Run(run.parent if run.is_file() else run))
