"""reslab qa ask: answer questions from text files with a trained reader."""

import re
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from reslab.cli import say
from reslab.cli.models import opened
from reslab.cli.options import Json, whole
from reslab.errors import ReslabError, UsageError
from reslab.progress import shown
from reslab.run import finite

STDIN = "-"
AROUND = 160  # characters shown on either side of an answer
END = re.compile(r"[.!?…]+[\"'”’)\]]*\s+|[。！？]+[」』”]*|\n\s*\n")  # of a sentence, with the space after it
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")  # control characters, which a terminal would act on
MANY = 300_000  # characters in all texts together, above which progress is shown


def ask(
    run: Annotated[
        Path, Parameter(help="Run folder of a finished `reslab qa train`, a saved reader, or an exported one.")
    ],
    /,
    *questions: Annotated[str, Parameter(help="One or more questions, each in quotes.")],
    context: Annotated[
        list[str], Parameter(help="Text files, folders of .txt files, - for stdin.", consume_multiple=True, negative=())
    ],
    # cyclopts treats every word that begins with a hyphen as an option, - included.
    stdin: Annotated[
        bool, Parameter(name=STDIN, help="After --context: read standard input.", negative=(), show_default=False)
    ] = False,
    top: Annotated[int, Parameter(help="How many answers to show, 1 to 20.", converter=whole)] = 3,
    no_answer: Annotated[
        bool | None,
        Parameter(
            negative="--always-answer",
            help='Allow "no answer" (default: if the model was trained with unanswerable questions).',
        ),
    ] = None,
    max_answer: Annotated[
        int | None, Parameter(help="Most tokens in an answer (default: as in training).", converter=whole)
    ] = None,
    precision: Annotated[
        Literal["auto", "fp32", "bf16"], Parameter(help="Numeric precision; auto: bf16 where the processor has it.")
    ] = "auto",
    device: Annotated[str, Parameter(help="Device: auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    json: Json = False,
) -> None:
    """Answer questions from texts of any length, with the position and probability of each answer."""
    if not questions:
        raise UsageError(f'there is no question: reslab qa ask {run} "Who wrote it?" --context FILE')
    texts = read([*context, *([STDIN] if stdin else [])])
    reader = opened(run, "questions", device=device, precision=precision)
    if sum(map(len, texts.values())) > MANY:
        with shown("reading", unit="windows") as progress:
            found = reader.ask(questions, texts, top=top, no_answer=no_answer, max_answer=max_answer, progress=progress)
    else:
        found = reader.ask(questions, texts, top=top, no_answer=no_answer, max_answer=max_answer)
    if json:
        asked = [{"question": one, "answers": [vars(answer) for answer in answers]}
                 for one, answers in zip(questions, found, strict=True)]  # fmt: skip
        say.as_json(finite({"reader": str(run), "ece": reader.settings.ece, "questions": asked}))
        return
    for number, (one, answers) in enumerate(zip(questions, found, strict=True)):
        print(f"\n{one}" if number else one)
        show(answers, texts)


def read(places: Sequence[str]) -> dict[str, str]:
    """The texts of files, folders' .txt files and standard input, by name; empty ones are ignored with a warning."""
    texts, empty = {}, []
    for place in places:
        for name in [place] if place == STDIN else files(Path(place)):
            try:
                data = sys.stdin.buffer.read() if name == STDIN else Path(name).read_bytes()
                text = data.decode("utf-8-sig")  # line ends stay as they are: offsets refer to the file
            except UnicodeDecodeError as error:
                raise ReslabError(f"{name} is not UTF-8 text: {error.reason} at byte {error.start}") from error
            except OSError as error:
                raise ReslabError(f"cannot read {name}: {error.strerror or error}") from error
            if text.strip():
                texts[name] = text
            else:
                empty.append("standard input" if name == STDIN else name)
    if not places:
        raise UsageError("there is no text to search: name files, folders or - after --context")
    if not texts:
        raise UsageError(f"there is no text to search: {', '.join(empty[:3])} {'are' if empty[1:] else 'is'} empty")
    if empty:
        more = ", ..." if empty[3:] else ""
        warnings.warn(f"empty files ignored: {len(empty)} ({', '.join(empty[:3])}{more})", stacklevel=2)
    return texts


def files(place: Path) -> list[str]:
    """The file, or the .txt files in the folder and those below it, in order."""
    if not place.exists():
        raise UsageError(f"{place}: no such file or folder")
    if not place.is_dir():
        return [str(place)]
    found = sorted(str(path) for path in place.rglob("*.txt") if path.is_file())
    if not found:
        raise UsageError(f"{place} contains no .txt files; name other files individually")
    return found


def show(answers: Sequence[Any], texts: dict[str, str]) -> None:
    """Print each answer with its probability, the sentence around it and its position."""
    console = Console(highlight=False)
    for number, one in enumerate(answers, 1):
        lead = f"{number:>2}  {100 * one.probability:>3.0f} %  "
        answer = "no answer in these texts" if one.document is None else flat(one.text)
        put(console, Text.assemble(lead, (answer, "bold")), 0)
        if one.document is not None:
            name = "standard input" if one.document == STDIN else one.document
            put(console, in_sentence(texts[one.document], one.start, one.end), len(lead))
            put(console, Text(f"{name}, characters {one.start} to {one.end}", style="dim"), len(lead))


def put(console: Console, text: Text, indent: int) -> None:
    """Print text indented; in a pipe as one line, however long."""
    if console.is_terminal:
        console.print(Padding(text, (0, 0, 0, indent), expand=False))
    else:
        print(" " * indent + text.plain)


def in_sentence(text: str, start: int, end: int) -> Text:
    """The sentence around text[start:end], with that part highlighted; a long one is shortened."""
    ends = [found.end() for found in END.finditer(text, 0, start)]
    first = ends[-1] if ends else 0
    after = END.search(text, max(start, end - 1))  # the answer may end in the period itself
    last = max(end, after.end() if after else len(text))
    a, b = max(first, start - AROUND), min(last, end + AROUND)
    before, behind = flat(text[a:start], left=a == first), flat(text[end:b], right=b == last)
    return Text.assemble("…" * (a > first), before, (flat(text[start:end]), "bold reverse"), behind, "…" * (b < last))


def flat(text: str, *, left: bool = False, right: bool = False) -> str:
    """The text in one line."""
    text = CONTROL.sub("\ufffd", re.sub(r"\s+", " ", text))
    text = text.lstrip() if left else text
    return text.rstrip() if right else text
