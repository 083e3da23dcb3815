"""Sentences for options and commands that people expect but that do not exist, shown if all flags they name exist."""

import difflib
import re
from collections.abc import Iterator
from functools import reduce

from cyclopts import App, CycloptsError, UnknownOptionError
from cyclopts.exceptions import MissingArgumentError, UnknownCommandError, UnusedCliTokensError

CUTOFF = 0.8  # of difflib: below it a guess misleads more often than it helps

FROM_WEIGHTS = (
    "to start from a pretrained encoder, name it with --encoder",
    "the weights to start from are named with --weights: a run, a checkpoint file or default, the library's own",
)
DEVICE = ("choose the device with --device: auto (the default), cpu, cuda, cuda:1 or mps",)
TRACKING = (
    "only TensorBoard is supported: --tensorboard; every number is also in metrics.jsonl in the run folder",
    "every number of a training is in metrics.jsonl in its run folder; `reslab train --tensorboard` writes TensorBoard "
    "events too",
)
RESUME = ("--resume continues the newest unfinished run; --out RUN --resume a certain one",)
OUT = ("the folder or file of the results is set with --out",)
BATCH = ("the batch size is set with --batch",)
POLICY = ("the policy is set with --policy: trivial (TrivialAugment) or rand (RandAugment)",)
CROPS = ("random crops of any area and aspect ratio: --augment resized-crop, with --area and --aspect",)
JITTER = ("color jitter is set with --brightness, --contrast, --saturation and --hue",)
PRECISION = ("use --precision bf16 or --precision fp16",)
ACCUMULATE = (
    "gradients are accumulated with --accumulate, the number of parts into which each batch is cut",
    "gradient accumulation is for images only, in `reslab train`; --batch sets the examples per update",
)
SEED = ("the random seed is set with --seed",)
TEST_SHARE = ("the share of rows kept for testing is set with --test-share",)
VALIDATION = ("the validation part is set with --validation, as a share or a number of examples",)
SEVERAL = ("a training runs on one device; `reslab study` runs several trainings in parallel (--jobs)",)
QUIET = ("progress is written to standard error; add 2>/dev/null to hide it",)

OPTIONS: dict[str, tuple[str, ...]] = {  # by option; the first sentence whose flags the command has is shown
    **dict.fromkeys(("pretrained", "weights", "init-from", "from-pretrained", "checkpoint", "ckpt", "finetune",
                     "from-checkpoint", "load"), FROM_WEIGHTS),
    **dict.fromkeys(("gpu", "gpus", "cuda", "cpu", "mps", "use-gpu", "no-cuda", "accelerator"), DEVICE),
    **dict.fromkeys(("wandb", "mlflow", "comet", "logger", "log-dir", "logdir", "use-wandb", "project"), TRACKING),
    **dict.fromkeys(("lr-find", "find-lr", "auto-lr", "lr-finder"), (
        "a learning rate is found by --lr-find, the range test",
        "there is no search for a learning rate; the recipe sets one and --lr replaces it")),
    **dict.fromkeys(("resume-from", "resume-from-checkpoint", "continue"), RESUME),
    **dict.fromkeys(("output", "output-dir", "save-dir", "save", "dir", "folder", "run-dir", "name"), OUT),
    **dict.fromkeys(("batch-size", "batchsize", "bs", "train-batch-size"), BATCH),
    **dict.fromkeys(("learning-rate", "learningrate", "base-lr"), ("the learning rate is set with --lr",)),
    **dict.fromkeys(("num-epochs", "max-epochs", "n-epochs"), ("the number of epochs is set with --epochs",)),
    **dict.fromkeys(("steps", "max-steps", "num-steps"), ("the number of updates is set with --iterations",)),
    **dict.fromkeys(("wd", "l2"), ("weight decay is set with --weight-decay",)),
    **dict.fromkeys(("optim", "opt", "adam", "adamw", "sgd"), ("the optimizer is set with --optimizer",)),
    **dict.fromkeys(("scheduler", "lr-scheduler"), ("the learning-rate schedule is set with --schedule",)),
    **dict.fromkeys(("warmup-epochs", "warmup-steps"), ("the warm-up is set with --warmup",)),
    **dict.fromkeys(("dataset", "data-dir", "data-path", "train-dir"), ("the data are set with --data",)),
    **dict.fromkeys(("model", "arch", "architecture", "backbone"), ("the net is set with --net",)),
    **dict.fromkeys(("num-workers", "n-jobs"), ("the number of decoding processes is set with --workers",)),
    **dict.fromkeys(("img-size", "image-size", "imgsz", "resolution"), ("the image size is set with --size",)),
    **dict.fromkeys(("amp", "fp16", "bf16", "half", "mixed-precision"), PRECISION),
    **dict.fromkeys(("randaugment", "rand-augment", "trivialaugment", "auto-augment", "autoaugment", "aa"), POLICY),
    **dict.fromkeys(("rrc", "random-resized-crop", "scale-range", "ratio"), CROPS),
    **dict.fromkeys(("color-jitter", "jitter", "colorjitter"), JITTER),
    **dict.fromkeys(("hflip", "mirror", "horizontal-flip"), ("images are mirrored with --flip",)),
    **dict.fromkeys(("reprob", "random-erase", "random-erasing"), (
        "random rectangles are erased with --erase",)),
    **dict.fromkeys(("mixup-alpha", "cutmix-alpha"), ("their alphas are set with --mixup and --cutmix",)),
    **dict.fromkeys(("grad-accum", "accumulate", "gradient-accumulation-steps", "accum"), ACCUMULATE),
    **dict.fromkeys(("clip-grad", "gradient-clipping", "max-norm", "clip-norm"), (
        "gradients are clipped with --clip",)),
    **dict.fromkeys(("early-stopping",), ("early stopping is set with --early-stop",)),
    **dict.fromkeys(("random-state", "random-seed", "manual-seed"), SEED),
    **dict.fromkeys(("test-size", "test-split"), TEST_SHARE),
    **dict.fromkeys(("val", "val-split", "validation-split", "val-size"), VALIDATION),
    **dict.fromkeys(("label", "label-column", "target-column", "y"), ("the column to predict is set with --target",)),
    **dict.fromkeys(("num-classes", "nb-classes"), (
        "the number of classes is set with --classes", "the number of classes is taken from the data")),
    "dropout": ("the dropout is set with --sizes, such as --sizes dropout=0.3",
                "these nets have no dropout; --stochastic-depth drops whole residual blocks"),
    **dict.fromkeys(("depth", "layers", "width"), (
        "the sizes of the net are set with --sizes, such as --sizes depth=6 width=128",
        "the depth is part of the net's name, such as --net resnet56")),
    **dict.fromkeys(("ddp", "distributed", "multi-gpu", "nproc"), SEVERAL),
    **dict.fromkeys(("verbose", "v", "quiet", "q", "silent", "progress"), QUIET),
    **dict.fromkeys(("log", "csv", "format"), ("results are printed as JSON with --json",)),
}  # fmt: skip

PREDICT = "predict new images, rows or questions with a finished run: `reslab predict RUN FILE`"
VERBS: dict[str, str] = {
    **dict.fromkeys(("predict", "infer", "inference", "classify", "run"), PREDICT),
    **dict.fromkeys(("onnx", "openvino", "convert", "ship", "deploy"), (
        "export a model to OpenVINO or ONNX: `reslab export MODEL`")),
    **dict.fromkeys(("host", "api", "server", "rest"), "serve models over HTTP: `reslab serve FOLDER`"),
    **dict.fromkeys(("test", "evaluate", "validate", "val", "score", "benchmark"), (
        "measure a trained net: `reslab eval`")),
    **dict.fromkeys(("finetune", "fine-tune", "transfer"), (
        "`reslab train --weights RUN` starts from the weights of a run or checkpoint file, "
        "`reslab qa train --encoder NAME` from a pretrained encoder")),
    **dict.fromkeys(("prune", "cut", "compress", "shrink", "distill", "thin"), (
        "remove the blocks that matter least: `reslab slim MODEL`")),
    "quantize": "models are quantized where they are exported: `reslab export MODEL --precision int8`",
    **dict.fromkeys(("claim", "verdict", "verdicts", "hypothesis", "hypotheses", "reproduce", "replicate", "papers"), (
        "test the claims of papers: `reslab claims`")),
    **dict.fromkeys(("fit", "learn"), "train a net: `reslab train`, `reslab tables train` or `reslab qa train`"),
    "resume": "resume a stopped training: `reslab train --resume`",
    **dict.fromkeys(("ls", "history", "experiments", "compare"), "list and compare runs: `reslab runs`"),
    **dict.fromkeys(("lr-find", "find-lr"), "find a learning rate: `reslab train --lr-find`"),
    **dict.fromkeys(("list", "models", "model", "info", "summary"), "list and describe the nets: `reslab nets`"),
    **dict.fromkeys(("plot", "show", "view", "page", "dashboard"), "write the page of a run: `reslab report RUN`"),
    **dict.fromkeys(("inspect", "analyze", "analyse", "explain", "visualize"), (
        "look inside a model: `reslab look all MODEL`")),
    **dict.fromkeys(("check", "env", "device", "devices"), "show versions and devices: `reslab doctor`"),
    "download": "data sets are downloaded where they are used: `reslab train --data cifar10 --download`",
    "help": "see `reslab --help`",
    "version": "see `reslab --version`",
}  # fmt: skip


def sentence(error: CycloptsError, app: App) -> str:
    """One sentence for what the command line could not parse."""
    chain = error.command_chain or ()
    command = " ".join(("reslab", *chain))
    if isinstance(error, UnknownOptionError):
        word = (error.token.keyword or error.token.value).partition("=")[0]
        if word.startswith("-") and not re.fullmatch(r"-[a-zA-Z]{2,}|-\d.*", word):
            known = {name for one in error.argument_collection if one.parse for name in one.names}
            return option(word, command, known, app)
    if isinstance(error, UnknownCommandError) and error.unused_tokens:
        return verb(error.unused_tokens[0], command, error.app or app, app)
    if isinstance(error, UnusedCliTokensError) and error.unused_tokens:
        return f"`{command}` takes no argument {error.unused_tokens[0]!r}; see `{command} --help`"
    if isinstance(error, MissingArgumentError) and error.argument is not None:
        return missing(error, command, reduce(App.__getitem__, chain, app))
    return " ".join(str(error).split())


def missing(error: MissingArgumentError, command: str, one: App) -> str:
    """The sentence for an option without its value, or a required argument that is not there."""
    argument = error.argument
    assert argument is not None
    keyword = error.keyword or next((token.keyword for token in reversed(argument.tokens) if token.keyword), None)
    if keyword:
        return f"{keyword} needs a value; see `{command} --help`"
    if argument.name.startswith("-"):
        return f"`{command}` needs {argument.name}; see `{command} --help`"
    name = argument.name.removesuffix("S")  # MODELS: one is enough
    needed = [each.name.removesuffix("S") for each in one.assemble_argument_collection()
              if each.required and not each.name.startswith("-")]  # fmt: skip
    example = " ".join("RUN" if each in ("MODEL", "FOLDER") else each for each in needed)
    return f"`{command}` needs a {name}, such as `{command} {example}`"


def option(word: str, command: str, known: set[str], app: App) -> str:
    """The sentence for an option that the command does not have."""
    name = word.lstrip("-").replace("_", "-").lower()
    for text in OPTIONS.get(name.removeprefix("no-"), ()):
        if set(flags_of(text)) <= known:
            return f"`{command}` has no option {word}: {text}"
    if near := difflib.get_close_matches(f"--{name}", sorted(known), n=1, cutoff=CUTOFF):
        return f"`{command}` has no option {word}; did you mean {near[0]}?"
    others = [" ".join(("reslab", *path)) for path, names in commands(app) if f"--{name}" in names]
    if others:
        several = ", ".join(f"`{other}`" for other in others[:3]) + ", ..." * (len(others) > 3)
        return f"`{command}` has no option {word}; it is an option of {several}"
    return f"`{command}` has no option {word}; see `{command} --help`"


def flags_of(text: str) -> list[str]:
    """The flags in a sentence, except those within `another command`."""
    return re.findall(r"--[a-z][a-z-]*", re.sub(r"`[^`]*`|\(--[a-z]+\)", "", text))


def verb(word: str, command: str, group: App, app: App) -> str:
    """The sentence for a command that does not exist."""
    here = [name for name in group if not name.startswith("-")]
    if command == "reslab look" and re.search(r"[:/.]", word):
        return f"name an analysis before the model, such as `{command} all {word}` (available: {', '.join(here)})"
    if word.startswith("-"):
        return f"`{command}` has no option {word}; name a command first (available: {', '.join(here)})"
    if text := VERBS.get(word.lower()):
        if text is PREDICT:
            text = {"reslab qa": "answer questions with `reslab qa ask`",
                    "reslab tables": "predict rows with `reslab tables predict`"}.get(command, text)  # fmt: skip
        return f"`{command}` has no command {word!r}: {text}"
    if near := difflib.get_close_matches(word.lower(), here, n=1, cutoff=CUTOFF):
        return f"`{command}` has no command {word!r}; did you mean `{command} {near[0]}`?"
    inside = [" ".join(("reslab", *path)) for path, _ in commands(app) if path[-1] == word and len(path) > 1]
    if inside:
        return f"`{command}` has no command {word!r}; did you mean {' or '.join(f'`{one}`' for one in inside)}?"
    return f"`{command}` has no command {word!r} (available: {', '.join(here)})"


def commands(app: App) -> Iterator[tuple[tuple[str, ...], set[str]]]:
    """Every runnable command, with the names of its options."""

    def below(group: App, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], set[str]]]:
        for name in group:
            if name.startswith("-"):
                continue
            if one := group[name]:
                if one.default_command is None:
                    yield from below(one, (*path, name))
                else:
                    collection = one.assemble_argument_collection()
                    yield (*path, name), {flag for argument in collection for flag in argument.names}

    return below(app, ())
