"""reslab qa: nets that answer questions, trained, judged and compared."""

from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from reslab.cli import say
from reslab.cli.options import Json, RecipeFlags, given
from reslab.errors import UsageError
from reslab.run import command_line
from reslab.train.recipe import read

app = App(name="qa", help="Answer questions: a residual head on any encoder of texts.")

Head = Literal["linear", "sds", "tokens", "bilstm"]
Rule = Literal["squad1", "squad2", "korquad"]


@dataclass(frozen=True, kw_only=True)
class _Reading:
    rule: Annotated[
        Rule | None, Parameter(help="How answers are judged (default: squad2 where some have none, else squad1).")
    ] = None
    length: Annotated[int, Parameter(help="Tokens of a window, question and context together.")] = 384
    stride: Annotated[int | None, Parameter(help="Tokens that neighboring windows share (default: a third).")] = None
    questions: Annotated[int | None, Parameter(help="So many training questions only, drawn by chance.")] = None
    strict: Annotated[bool, Parameter(help="Stop at the first bad question.", negative=())] = False


ReadingFlags = Annotated[_Reading, Parameter(name="*", group="Questions")]


@app.command
def compare(
    *,
    data: Annotated[str, Parameter(help="A folder of questions, a .json of SQuAD's form, .jsonl, hf:NAME.")],
    encoder: Annotated[str, Parameter(help="A folder of transformers, or a name on the hub.")],
    heads: Annotated[list[Head] | None, Parameter(help="By default all.", consume_multiple=True, negative=())] = None,
    seeds: Annotated[int, Parameter(help="Trainings of each head.")] = 3,
    rates: Annotated[
        list[str] | None,
        Parameter(help="Learning rates of some heads, linear=3e-3.", consume_multiple=True, negative=()),
    ] = None,
    frozen: Annotated[bool, Parameter(negative="--fine-tune", help="Train heads alone, or the encoder too.")] = True,
    out: Annotated[Path | None, Parameter(help="Folder of the comparison.")] = None,
    device: Annotated[str, Parameter(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    reading: ReadingFlags | None = None,
    recipe_flags: RecipeFlags | None = None,
    json: Json = False,
) -> None:
    """Train every head from every seed on the same windows, and compare exact match and F1."""
    from reslab.nets.qa_net import LAYERS, QASpec
    from reslab.qa.compare import Trial
    from reslab.qa.compare import compare as compare_heads
    from reslab.qa.folder import load_tokenizer
    from reslab.train.progress import shown

    flags = reading or _Reading()
    how, loaded = questions(data, flags)
    recipe = read("qa-frozen" if frozen else "qa", **given(recipe_flags))
    spec = QASpec(name=Path(encoder).name, encoder=encoder, length=flags.length, train_last=0 if frozen else None)
    trial = Trial(data=loaded, word=data, reading=how, spec=spec, tokenizer=load_tokenizer(encoder), recipe=recipe,
                  seeds=seeds, rates=head_rates(rates or []))  # fmt: skip
    folder = out or Path("runs") / f"compare-{'frozen' if frozen else 'tuned'}"
    with shown(folder.name) as tell:
        result = compare_heads(folder, trial, heads or list(LAYERS), device=device, tell=tell, command=command_line())
    if json:
        say.as_json({"folder": str(folder), **result})
        return
    spread = [[row["head"], f"{row['head_parameters']:,}", *(plus_minus(row, key) for key in ("exact", "f1")),
               f"{row['step_milliseconds']:.1f}", row["lr"], row["seeds"]] for row in result["heads"]]  # fmt: skip
    say.table(["head", "its parameters", "exact %", "F1 %", "ms a step", "lr", "seeds"], spread)
    print(f"{loaded.about}\nstored: {quote(str(folder / 'results' / 'compare.json'))}")


def head_rates(words: list[str]) -> dict[str, float]:
    """{"linear": 0.003} from linear=3e-3."""
    found = {}
    for word in words:
        head, _, rate = word.partition("=")
        try:
            found[head] = float(rate)
        except ValueError:
            raise UsageError(f"rates are given as HEAD=RATE, such as linear=3e-3, got {word!r}") from None
    return found


def plus_minus(row: dict[str, Any], key: str) -> str:
    spread = row[f"{key}_std"]
    return f"{row[key]:.2f}" + (f" ± {spread:.2f}" if spread is not None else "")


def questions(word: str, flags: _Reading) -> tuple[Any, Any]:
    """(how they are read, the questions)."""
    from reslab.qa.folder import Reading, load

    if flags.length < 16:
        raise UsageError(f"length must be at least 16 tokens, got {flags.length}")
    stride = min(128, flags.length // 3) if flags.stride is None else flags.stride
    how = Reading(rule=flags.rule or "squad1", stride=stride, questions=flags.questions, strict=flags.strict)
    return how, load(word, how)
