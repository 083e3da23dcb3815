"""What people type that is not here gets a true sentence; every command and flag in it exists."""

import re
import shlex

import pytest

from reslab.cli import app, guesses, main


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("train --pretrained", "`reslab train` has no option --pretrained: the weights to start from are named with"),
        ("tables train --pretrained", "has no option --pretrained: the weights to start from are named with --weights"),
        ("qa train --pretrained", "to start from a pretrained encoder, name it with --encoder"),
        ("train --gpu 0", "choose the device with --device: auto (the default), cpu, cuda, cuda:1 or mps"),
        ("train --gpu=0", "`reslab train` has no option --gpu: choose the device with --device"),
        ("train --no-cuda", "`reslab train` has no option --no-cuda: choose the device with --device"),
        ("nets --gpu", "`reslab nets` has no option --gpu; see `reslab nets --help`"),
        ("train --wandb", "only TensorBoard is supported: --tensorboard"),
        ("report runs/x --wandb", "`reslab train --tensorboard` writes TensorBoard events too"),
        ("train --find-lr", "`reslab train` has no option --find-lr: a learning rate is found by --lr-find"),
        ("train --grad-accum 4", "has no option --grad-accum: gradients are accumulated with --accumulate"),
        ("qa train --grad-accum 4", "gradient accumulation is for images only"),
        ("qa train --lr-find", "there is no search for a learning rate; the recipe sets one and --lr replaces it"),
        ("compare", "`reslab` has no command 'compare': list and compare runs: `reslab runs`"),
        ("train --resume-from x", "--resume continues the newest unfinished run; --out RUN --resume a certain one"),
        ("train --batch_size 3", "has no option --batch_size: the batch size is set with --batch"),
        ("tables train t.csv --dropout 1", "the dropout is set with --sizes, such as --sizes dropout=0.3"),
        ("train --dropout 1", "these nets have no dropout; --stochastic-depth drops whole residual blocks"),
        ("train --epoch 3", "`reslab train` has no option --epoch; did you mean --epochs?"),
        ("eval --epochs 3", "--epochs; it is an option of `reslab train`, `reslab qa train`, `reslab qa compare`, ..."),
        ("train --zzz", "`reslab train` has no option --zzz; see `reslab train --help`"),
        ("train resnet50", "`reslab train` takes no argument 'resnet50'; see `reslab train --help`"),
        ("classify runs/x", "predict new images, rows or questions with a finished run: `reslab predict RUN FILE`"),
        ("qa predict runs/x", "`reslab qa` has no command 'predict': answer questions with `reslab qa ask`"),
        ("deploy", "`reslab` has no command 'deploy': export a model to OpenVINO or ONNX: `reslab export MODEL`"),
        ("prune", "`reslab` has no command 'prune': remove the blocks that matter least: `reslab slim MODEL`"),
        ("quantize x", "models are quantized where they are exported: `reslab export MODEL --precision int8`"),
        ("trian", "`reslab` has no command 'trian'; did you mean `reslab train`?"),
        ("exprt", "`reslab` has no command 'exprt'; did you mean `reslab export`?"),
        ("xyzzy", "`reslab` has no command 'xyzzy' (available: nets, train, eval, look,"),
        ("merges x", "`reslab` has no command 'merges'; did you mean `reslab look merges`?"),
        ("tables fit", "`reslab tables` has no command 'fit': train a net: `reslab train`, `reslab tables train`"),
        ("look runs/x", "name an analysis before the model, such as `reslab look all runs/x` (available: merges,"),
        ("--gpu", "`reslab` has no option --gpu; name a command first (available: nets, train,"),
        ("-v", "`reslab` has no option -v; name a command first (available: nets, train,"),
        ("eval", "`reslab eval` needs a MODEL, such as `reslab eval RUN`"),
        ("look responses", "`reslab look responses` needs a MODEL, such as `reslab look responses RUN`"),
        ("report", "`reslab report` needs a FOLDER, such as `reslab report RUN`"),
        ("tables predict x", "`reslab tables predict` needs a FILE, such as `reslab tables predict RUN FILE`"),
        ("qa ask x", "`reslab qa ask` needs --context; see `reslab qa ask --help`"),
        ("train --out", "--out needs a value; see `reslab train --help`"),
        ("nets --size", "--size needs a value; see `reslab nets --help`"),
    ],
)
def test_what_people_type(words: str, sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words.split()) == 2
    assert sentence in capsys.readouterr().err


TEXTS = sorted({*guesses.VERBS.values(), *(text for texts in guesses.OPTIONS.values() for text in texts)})
KNOWN = {" ".join(("reslab", *path)): names for path, names in guesses.commands(app)}
GROUPS = {name.rpartition(" ")[0] for name in KNOWN if name.count(" ") > 1}


@pytest.mark.parametrize("text", TEXTS)
def test_every_command_in_a_sentence_exists(text: str) -> None:
    """`reslab X Y --flag` names a command and an option of it; an option by itself is one of some command."""
    for command in re.findall(r"`(reslab [^`]*)`", text):
        words = shlex.split(command)
        flags = {word for word in words if word.startswith("--")}
        path = " ".join(word for word in words if re.fullmatch("[a-z]+", word))
        if flags & {"--help", "--version"}:
            assert path == "reslab"
        elif flags:
            assert flags <= KNOWN[next(name for name in KNOWN if command.startswith(name))]
        else:
            assert path in {*KNOWN, *GROUPS}
    assert any(set(guesses.flags_of(text)) <= names for names in KNOWN.values())


def test_no_row_stands_for_an_option_of_every_command() -> None:
    """A row for a name that every command has would never be shown."""
    every = set.intersection(*KNOWN.values())
    assert not {f"--{name}" for name in guesses.OPTIONS} & every
