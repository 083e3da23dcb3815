"""reslab qa compare: compare heads on one encoder."""

from pathlib import Path
from shlex import quote
from typing import Annotated, Any

from cyclopts import Parameter

from reslab.cli import say
from reslab.cli.options import Json, TextRecipeFlags, given
from reslab.cli.qa.train import DATA, SMALL, Head, ReadingFlags, _Reading, asked, length_of
from reslab.errors import UsageError
from reslab.run import command_line, slug
from reslab.statistics import plus_minus
from reslab.train.naming import changed, of_several
from reslab.train.recipe import read


def compare(
    *,
    data: Annotated[str, Parameter(help=DATA)],
    encoder: Annotated[str, Parameter(help="A Transformers encoder: a folder, or a name on the Hugging Face Hub.")],
    heads: Annotated[
        list[Head] | None, Parameter(help="Heads to compare (default: all).", consume_multiple=True, negative=())
    ] = None,
    seeds: Annotated[int, Parameter(help="Trainings per head.")] = 3,
    rates: Annotated[
        list[str] | None,
        Parameter(help="Learning rates of single heads, such as linear=3e-3.", consume_multiple=True, negative=()),
    ] = None,
    frozen: Annotated[
        bool,
        Parameter(negative="--fine-tune", help="Train only the heads (--frozen), or the encoder too (--fine-tune)."),
    ] = True,
    out: Annotated[
        Path | None, Parameter(help="Folder (default: runs/compare-DATA-frozen-OPTIONS or -tuned-OPTIONS).")
    ] = None,
    device: Annotated[str, Parameter(help="Device: auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    reading: ReadingFlags | None = None,
    recipe_flags: TextRecipeFlags | None = None,
    json: Json = False,
) -> None:
    """Train every head with every seed on the same windows and compare exact match and F1."""
    from reslab.progress import board
    from reslab.qa.account import announce
    from reslab.qa.compare import Trial
    from reslab.qa.compare import compare as compare_heads
    from reslab.qa.folder import load_tokenizer
    from reslab.qa.net.net import LAYERS, QASpec
    from reslab.qa.rules import RULES
    from reslab.report import write as write_report

    if encoder == SMALL:
        raise UsageError("compare needs a pretrained encoder: a Transformers folder, or a name on the Hugging Face Hub")
    flags = reading or _Reading()
    name = "qa-frozen" if frozen else "qa"
    recipe = read(name, **given(recipe_flags))
    own = head_rates(rates or [], heads or list(LAYERS))
    how, questions = asked(data, flags)
    spec = QASpec(name=slug(Path(encoder).name), encoder=encoder, length=length_of(flags),
                  train_last=0 if frozen else None, answerable=RULES[how.rule].empty)  # fmt: skip
    trial = Trial(data=questions, word=data, reading=how, spec=spec, tokenizer=load_tokenizer(encoder), recipe=recipe,
                  seeds=seeds, rates=own)  # fmt: skip
    folder = out or of_several(
        f"compare-{slug(Path(data).stem)}-{'frozen' if frozen else 'tuned'}", changed(given(recipe_flags), name)
    )
    announce(questions)
    with board() as row:
        result = compare_heads(folder, trial, heads or list(LAYERS), device=device, command=command_line(), rows=row)
    page = write_report(folder)
    if json:
        say.as_json({"folder": str(folder), "report": str(page), **result})
        return
    rows = [
        [row["head"], f"{row['head_parameters']:,}", plus_minus(row["exact"], row["exact_std"]),
         plus_minus(row["f1"], row["f1_std"]), f"{row['step_milliseconds']:,.1f}", f"{row['lr']:g}"]
        for row in result["heads"]
    ]  # fmt: skip
    say.table(["head", "head parameters", "exact %", "F1 %", "ms/step", "lr"], rows)
    print(f"mean ± standard deviation over {seeds} seeds; {questions.about}")
    print(f"report: {page}\nnext:   reslab qa eval {quote(str(folder / result['heads'][0]['head']))}-s0")


def head_rates(words: list[str], heads: list[Any]) -> dict[str, float]:
    """{"linear": 0.003} from linear=3e-3."""
    found = {}
    for word in words:
        head, _, rate = word.partition("=")
        try:
            found[head] = float(rate)
        except ValueError:
            raise UsageError(f"rates must be HEAD=RATE, such as linear=3e-3, got {word!r}") from None
        if head not in heads:
            raise UsageError(f"rates: this comparison has no head {head!r} (available: {', '.join(heads)})")
    return found
