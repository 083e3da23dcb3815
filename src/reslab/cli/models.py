"""The model of a folder, whatever it came from: a run's net in torch, or an exported one without torch."""

from pathlib import Path
from typing import Any, Literal

from reslab.errors import UsageError

Use = Literal["questions", "tables"]


def opened(folder: Path, use: Use, *, device: str = "auto", precision: str = "auto") -> Any:
    """A qa.Reader or a TableModel of a run; a QuestionPredictor or a TablePredictor of an exported folder.

    Raises UsageError for an exported folder of another kind, or if its precision is not the one asked for.
    """
    from reslab.ship.folder import is_exported, read_config

    if not is_exported(folder):
        if use == "tables":
            from reslab.tables.model import load as load_table

            return load_table(folder, device=device)
        from reslab.qa.reader import load

        return load(folder, device=device, precision=precision)  # type: ignore[arg-type]
    config = read_config(folder)
    if config.kind != use:
        raise UsageError(f"{folder} holds an exported net for {config.kind}, not for {use}: `reslab predict {folder}` "
                         "uses any")  # fmt: skip
    if precision not in ("auto", config.precision):
        raise UsageError(f"{folder} was exported in {config.precision}: leave out --precision")
    if device not in ("auto", "cpu") and config.engine != "torch":
        raise UsageError(f"{folder} was exported for {config.engine}, which runs on the CPU: leave out --device")
    from reslab.ship.predict import predict

    return predict(folder, device=device)


def config_of(model: Any) -> Any:
    """The Config of an exported model; None for the model of a run."""
    return getattr(model, "config", None)
