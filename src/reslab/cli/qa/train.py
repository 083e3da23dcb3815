"""reslab qa train: train a net that answers questions."""

from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from reslab.cli import ranks, say
from reslab.cli.launch import ProcessFlags, launched
from reslab.cli.options import Json, TextRecipeFlags, given, whole
from reslab.cli.resume import Resume, to_resume
from reslab.errors import UsageError
from reslab.run import Run, command_line, slug
from reslab.train.made_once import for_all
from reslab.train.naming import changed, prepared, source, words
from reslab.train.recipe import read

Head = Literal["linear", "sds", "tokens", "bilstm"]
Rule = Literal["squad1", "squad2", "korquad", "characters", "characters2"]
SMALL = "small"  # reslab's own encoder

LENGTH = 384  # default tokens per window, as in BERT's run_squad
DATA = "A folder of questions, a file (.json in SQuAD's format, .jsonl or .parquet), or hf:NAME (Hugging Face)."
ENCODER = "A Transformers folder, a name on the Hugging Face Hub, or small: reslab's encoder, trained from scratch."


@dataclass(frozen=True, kw_only=True)
class _Reading:
    rule: Annotated[
        Rule | None,
        Parameter(
            help="Scoring rules (default: what fits the questions). Words: squad1; squad2 with unanswerable questions. "
            "Characters, for languages without spaces between words: characters; characters2 with unanswerable "
            "questions; korquad for Korean."
        ),
    ] = None
    length: Annotated[
        int | None, Parameter(help="Tokens per window, question and context together (default: 384).", converter=whole)
    ] = None
    stride: Annotated[
        int | None,
        Parameter(
            help="Tokens shared by neighboring windows (default: a third of --length, at most 128).", converter=whole
        ),
    ] = None
    max_answer: Annotated[
        int | None,
        Parameter(
            help="Most tokens in an answer (default: those of the longest training answer, at least 30).",
            converter=whole,
        ),
    ] = None
    questions: Annotated[
        int | None, Parameter(help="Use only this many randomly chosen training questions.", converter=whole)
    ] = None
    strict: Annotated[bool | None, Parameter(help="Stop at the first invalid question.", negative=())] = None


@dataclass(frozen=True, kw_only=True)
class _Net:
    head: Annotated[Head | None, Parameter(help="Head on top of the encoder (default: sds).")] = None
    layers: Annotated[int | None, Parameter(help="Number of layers of the head.", converter=whole)] = None
    train_last: Annotated[
        int | None,
        Parameter(help="Train only the last N layers of the encoder; 0: frozen (default: all).", converter=whole),
    ] = None
    answerable: Annotated[
        bool | None,
        Parameter(
            help="Add a separate output that predicts whether the question is answerable (default: if some are not)."
        ),
    ] = None
    vocabulary: Annotated[
        int | None, Parameter(help="Vocabulary size of a small encoder (default: 8000).", converter=whole)
    ] = None
    hidden: Annotated[int | None, Parameter(help="Width of a small encoder (default: 128).", converter=whole)] = None
    encoder_layers: Annotated[
        int | None, Parameter(help="Number of layers of a small encoder (default: 4).", converter=whole)
    ] = None


ReadingFlags = Annotated[_Reading, Parameter(name="*", group="Questions")]
NetFlags = Annotated[_Net, Parameter(name="*", group="Net")]


def train(
    *,
    data: Annotated[str | None, Parameter(help=DATA)] = None,
    encoder: Annotated[str | None, Parameter(help=f"{ENCODER} Default: small.")] = None,
    recipe: Annotated[
        str | None, Parameter(help="Name of a recipe or a TOML file (default: qa, qa-frozen or qa-small).")
    ] = None,
    out: Annotated[
        Path | None, Parameter(help="Run folder (default: runs/qa-DATA-ENCODER-HEAD-OPTIONS-sSEED).")
    ] = None,
    start: Annotated[
        str | None, Parameter(name=("--weights", "--start"), help="Start from the weights of this run.")
    ] = None,
    resume: Resume = False,
    device: Annotated[str, Parameter(help="Device: auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    net: NetFlags | None = None,
    reading: ReadingFlags | None = None,
    recipe_flags: TextRecipeFlags | None = None,
    processes: ProcessFlags | None = None,
    json: Json = False,
) -> None:
    """Train a net that answers questions. Run the same command again to resume; a finished run is not changed."""
    launched(processes)
    with ranks.together() as world:
        world.agreed(lambda: world.device(device))  # before a folder is made

        def make() -> tuple[Run, Any]:
            if resume:
                asked = {"data": data, "encoder": encoder, "recipe": recipe, "start": start, **given(net)}
                return to_resume("questions", out, {**asked, **given(reading), **given(recipe_flags)}), None
            if data is None:
                raise UsageError(f"name the questions to train on with --data: {DATA[0].lower()}{DATA[1:]}")
            flags = net or _Net(), reading or _Reading()
            return made(data, encoder or SMALL, recipe, out, *flags, recipe_flags, start)

        run, loaded = for_all(world, make)
        from reslab.qa.train import train as train_folder
        from reslab.train.folder import finished

        before = finished(run.folder)
        with ranks.shown(world, run.folder.name) as progress:
            result = train_folder(run.folder, data=loaded, device=device, progress=progress, world=world)
        if world.leads:
            show(run, result, before=before, json=json)


def show(run: Run, result: dict[str, Any], *, before: bool, json: bool) -> None:
    """Write the page and print the result of a training. `before`: it was finished already."""
    from reslab.report import write as write_report

    page = run.path("report.html")
    if not before or not page.exists():
        page = write_report(run.folder)
    if json:
        say.as_json({"folder": str(run.folder), "report": str(page), **result})
        return
    print(
        f"{run.folder} is already finished; nothing to do" if before else f"trained {result['net']} on {result['data']}"
    )
    sure = f"expected calibration error {100 * result['ece']:.1f} %, measured in {result['choice']['precision']}"
    print(f"{scores(result['test'])}; {sure}")
    print(f"{result['iterations']} iterations, {result['seconds']:.0f} s")
    print(f"report: {page}\nnext:   reslab qa ask {quote(str(run.folder))} QUESTION --context FILE")


def made(
    data: str, encoder: str, recipe: str | None, out: Path | None, net: _Net, reading: _Reading, flags: Any,
    start: str | None = None,
) -> tuple[Run, Any]:  # fmt: skip
    """The run folder that the flags of `train` describe, and its questions."""
    from reslab.qa.folder import load_tokenizer, prepare, small
    from reslab.qa.net.net import QASpec
    from reslab.qa.rules import RULES

    how, questions = asked(data, reading)
    name = recipe or ("qa-small" if encoder == SMALL else "qa-frozen" if net.train_last == 0 else "qa")
    chosen = read(name, **given(flags))
    length, head = length_of(reading), net.head or "sds"
    sizes = {"vocabulary": net.vocabulary, "hidden": net.hidden, "layers": net.encoder_layers}
    asked_for = {key: value for key, value in sizes.items() if value is not None}
    if encoder == SMALL:
        built, tokenizer = small(questions, length=length, **asked_for)
    elif asked_for:
        raise UsageError(f"the encoder {encoder} has its own sizes: leave out --vocabulary, --hidden, --encoder-layers")
    else:
        built, tokenizer = encoder, load_tokenizer(encoder)  # type: ignore[assignment]
    short = slug(Path(encoder).resolve().name if Path(encoder).is_dir() else encoder)
    spec = QASpec(
        name=f"{short}-{head}", encoder=built, head=head, layers=net.layers, length=length, train_last=net.train_last,
        answerable=RULES[how.rule].empty if net.answerable is None else net.answerable,
    )  # fmt: skip
    about: dict[str, Any] = {"spec": spec, "tokenizer": tokenizer, "data": questions, "word": data, "reading": how,
                             "recipe": chosen, "command": command_line(), "start": start}  # fmt: skip
    if out:
        return prepare(out, **about), questions
    first, mark = f"qa-{slug(Path(data).stem)}-{short}-{head}", f"-s{chosen.seed}"
    options = {key: value for key, value in {**given(net), **given(reading)}.items() if key not in ("head", "strict")}
    named = f"{first}{words({**options, **changed(given(flags), name), **source(start)})}{mark}"
    return prepared((named, first + mark), lambda folder: prepare(folder, **about)), questions


def length_of(flags: _Reading) -> int:
    return LENGTH if flags.length is None else flags.length


def asked(word: str, flags: _Reading) -> tuple[Any, Any]:
    """(how questions are read, the questions); problems found in them are shown as warnings."""
    from reslab.qa.folder import Reading, load

    stride = max(0, min(128, length_of(flags) // 3)) if flags.stride is None else flags.stride
    how = Reading(rule=flags.rule or "", stride=stride, questions=flags.questions, strict=bool(flags.strict),
                  max_answer=flags.max_answer)  # fmt: skip
    how, found = load(word, how)
    say.problems(found.report)
    return how, found


def scores(found: dict[str, Any]) -> str:
    """The scores on the test part, in one line."""
    around = {
        key: f" (95 % interval {low:.2f} to {high:.2f})" for key, (low, high) in found.get("intervals", {}).items()
    }
    exact, f1 = (f"{found[key]:.2f} %{around.get(key, '')}" for key in ("exact", "f1"))
    parts = [f"exact match {exact}, F1 {f1} by {found['rule']} (n = {found['n']})"]
    for key, name in (("has_answer", "with an answer"), ("no_answer", "without")):
        if found.get(key):
            parts.append(f"{name} {found[key]['exact']:.2f} / {found[key]['f1']:.2f} % (n = {found[key]['n']})")
    return "; ".join(parts)
