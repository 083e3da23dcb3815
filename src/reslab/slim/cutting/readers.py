"""A net for questions without layers of its encoder or head: a smaller spec in a folder that reslab.qa.load takes."""

from pathlib import Path

from torch import nn

from reslab.errors import ReslabError
from reslab.qa.net.net import QANet, QASpec, read_qa_spec
from reslab.qa.reader import trained_net
from reslab.qa.settings import read_settings
from reslab.run import Run
from reslab.slim.cutting.forms import FOLDER, Given, Made
from reslab.slim.cutting.written import write_checked
from reslab.slim.families.reader import shorter, write_reader


def express(given: Given) -> Made | None:
    """The net of a smaller spec; None for any other model. Raises UsageError for a part of a layer."""
    net = given.model
    if not isinstance(net, QANet) or not isinstance(getattr(net, "spec", None), QASpec):
        return None
    made = shorter(net, [block.module for block in given.removed], example=given.example)
    made.train(net.training)
    source = getattr(net, "folder", None)

    def write(model: nn.Module, folder: Path) -> None:
        if source is None:
            raise ReslabError("this net for questions came without its run folder, so its tokenizer is not known; "
                              "load it with reslab.slim.families.questions.Questions(RUN)")  # fmt: skip
        assert isinstance(model, QANet)
        run = Run(source)
        write_reader(model, folder, run, read_settings(run, most=read_qa_spec(run).length))

    def save(model: nn.Module, folder: Path) -> tuple[str, ...]:
        return write_checked(model, folder, write=write, read=read, example=given.example)

    return Made(
        form="spec",
        model=made,
        loads=f'reslab.qa.load("{FOLDER}")',
        save=save,
        notes=("its temperature is that of the intact reader; reslab.qa.load(FOLDER).calibrate fits it anew",),
    )


def read(folder: Path) -> nn.Module:
    run = Run(folder)
    return trained_net(run, read_qa_spec(run)).eval()
