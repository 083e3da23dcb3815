"""reslab qa eval: scores of a trained reader, or of a file of predictions."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from reslab.cli import say
from reslab.cli.options import Json
from reslab.cli.qa.train import DATA, Rule, scores
from reslab.cli.stored import ending
from reslab.errors import ReslabError, UsageError, one_line
from reslab.progress import shown
from reslab.run import Run, command_line, slug


def evaluate(
    model: Annotated[Path | None, Parameter(help="A run folder; omit it to score --predictions on --data.")] = None,
    /,
    *,
    data: Annotated[str | None, Parameter(help=f"{DATA} Default: the test part of the run's own questions.")] = None,
    rule: Annotated[
        Rule | None, Parameter(help="Scoring rules (default: those of the run, or those that fit the questions).")
    ] = None,
    predictions: Annotated[
        Path | None, Parameter(help="Score this JSON file of predictions, {id: text}, instead of a net.")
    ] = None,
    device: Annotated[str, Parameter(help="Device: auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    json: Json = False,
) -> None:
    """Compute exact match and F1 by the rules of SQuAD 1.1, SQuAD 2.0 or KorQuAD; write predictions in their format."""
    if (model is None) == (predictions is None):
        raise UsageError("name a run folder, or a file of --predictions with its --data")
    if predictions is not None:
        result = of_file(predictions, data, rule)
    else:
        assert model is not None
        result = of_run(model, data, rule, device)
    if json:
        say.as_json(result)
        return
    print(f"{model or predictions} on {result['data']['name']}, {result['part']} questions\n{scores(result)}")
    if result["missing"]:
        print(f"warning: {result['missing']} questions have no prediction and score 0")
    if model:
        print(f"expected calibration error {100 * result['ece']:.1f} %, measured in {result['precision']}")
        if result["predictions"]:
            print(f"predictions: {result['predictions']}")


def of_run(model: Path, data: str | None, rule: str | None, device: str) -> dict[str, Any]:
    """Answer the questions with a run's net and score the answers; stored in the run folder."""
    from reslab.qa.folder import judged, stored_data
    from reslab.qa.judge import weigh
    from reslab.qa.reader import load as load_reader
    from reslab.qa.scores import write_predictions

    run = Run(model)
    reader = load_reader(model, device=device, precision=precision_of(run))
    own = data is None
    if own:
        found = stored_data(run)
        about, part, questions = found.describe(), "test", found.test
        chosen = rule or reader.settings.rule
    else:
        about, part, questions, fits = questions_of(data or "")
        chosen = rule or fits
    judged(questions, chosen)
    known = chosen == reader.settings.rule
    with shown("reading", unit="windows") as progress:
        spans = reader.spans(questions, progress=progress)
    weighed = weigh(questions, spans, rule=chosen, temperature=reader.settings.temperature,
                    threshold=reader.settings.threshold if known else None)  # fmt: skip
    suffix = "" if own else f"-{slug(Path(data or '').stem)}"
    result: dict[str, Any] = {
        **asdict(weighed.evaluation), "ece": weighed.reliability.ece, "reliability": asdict(weighed.reliability),
        "precision": reader.choice.precision, "part": part, "data": about, "predictions": None,
        "command": command_line(),
    }  # fmt: skip
    of = result["of"] = "" if own else str(Path(data or "").resolve())
    try:
        suffix += ending(run, f"qa-eval{suffix}", of)
        result["predictions"] = str(write_predictions(run.path(f"predictions{suffix}.json"), weighed.predictions))
        run.write_json(f"results/qa-eval{suffix}.json", result)
    except ReslabError as error:  # e.g. a read-only folder: the scores are printed anyway
        print(f"warning: the result is not stored: {one_line(say.words(error))}", file=sys.stderr)
    return result


def precision_of(run: Run) -> Any:
    """The precision in which training measured the test part, so that both give the same numbers; else "auto"."""
    trained = run.read_json("results/train.json") if run.has("results/train.json") else {}
    known = (trained.get("choice") or {}).get("precision")
    return known if known in ("fp32", "bf16") else "auto"


def of_file(path: Path, data: str | None, rule: str | None) -> dict[str, Any]:
    """Score a file of predictions in the official format."""
    from reslab.qa.folder import judged
    from reslab.qa.scores import evaluate as score
    from reslab.qa.scores import read_predictions

    if data is None:
        raise UsageError(f"{path} holds predictions: name the questions that they answer with --data")
    about, part, questions, fits = questions_of(data)
    judged(questions, rule or fits)
    given = read_predictions(path)
    if not any(one.id in given for one in questions):
        raise UsageError(f"{path} has no prediction for any question of {data}: their ids differ")
    found = score(questions, given, rule=rule or fits)
    return {**asdict(found), "part": part, "data": about, "command": command_line()}


def questions_of(word: str) -> tuple[dict[str, Any], str, Any, str]:
    """(facts, part, questions, default rule): all questions of a file, or the test part of a folder."""
    from reslab.qa.data.question import Report
    from reslab.qa.data.questions import fingerprint, load_questions, read_questions
    from reslab.qa.folder import rule_for

    if word.startswith("hf:") or Path(word).expanduser().is_dir():
        data = load_questions(word)
        say.problems(data.report)
        return data.describe(), "test", data.test, rule_for(data.test)
    report = Report()
    found = read_questions(word, report=report)
    say.problems(report)
    about = {"name": word, "test": len(found), "fingerprint": fingerprint({"all": found}), "problems": report.counts}
    return about, "all", found, rule_for(found)
