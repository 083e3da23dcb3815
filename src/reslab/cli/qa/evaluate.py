"""reslab qa eval: scores of a trained reader, or of a file of predictions."""

import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from reslab.cli import say
from reslab.cli.models import opened
from reslab.cli.options import Json, whole
from reslab.cli.qa.train import DATA, Rule, scores
from reslab.cli.stored import ending
from reslab.errors import ReslabError, UsageError, one_line, tell
from reslab.progress import shown
from reslab.run import Run, command_line, slug

if TYPE_CHECKING:
    from reslab.qa.rules import Fitting


def evaluate(
    model: Annotated[
        Path | None, Parameter(help="A run folder, or an exported model; omit it to score --predictions on --data.")
    ] = None,
    /,
    *,
    data: Annotated[str | None, Parameter(help=f"{DATA} Default: the test part of the run's own questions.")] = None,
    rule: Annotated[
        Rule | None, Parameter(help="Scoring rules (default: those of the run, or those that fit the questions).")
    ] = None,
    predictions: Annotated[
        Path | None, Parameter(help="Score this JSON file of predictions, {id: text}, instead of a net.")
    ] = None,
    na_prob_file: Annotated[
        Path | None,
        Parameter(help='With --predictions: JSON file of P("no answer"), {id: number}; adds SQuAD 2\'s curves.'),
    ] = None,
    max_answer: Annotated[
        int | None, Parameter(help="Most tokens in an answer of the net (default: as in training).", converter=whole)
    ] = None,
    device: Annotated[str, Parameter(help="Device: auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    json: Json = False,
) -> None:
    """Compute exact match and F1 by the rules of SQuAD 1.1, SQuAD 2.0, KorQuAD or by characters; write predictions.

    If the file does not hold the answers (a leaderboard's test part), only the predictions are written.
    """
    if (model is None) == (predictions is None):
        raise UsageError("name a run folder, or a file of --predictions with its --data")
    if predictions is not None:
        if max_answer is not None:
            raise UsageError("--max-answer needs a run folder: predictions are scored as they are")
        result = of_file(predictions, data, rule, na_prob_file)
    else:
        if na_prob_file is not None:
            raise UsageError("--na-prob-file needs --predictions: a net gives its own probabilities")
        assert model is not None
        result = of_run(model, data, rule, device, max_answer)
    if json:
        say.as_json(result)
        return
    print(f"{model or predictions} on {result['data']['name']}, {result['part']} questions")
    for line in lines(result):
        print(line)


def lines(result: dict[str, Any]) -> list[str]:
    """What an evaluation found, a line each."""
    found = []
    if result.get("exact") is None:
        found.append(f"the answers to all {result['hidden']:,} questions are hidden: predictions only, no scores")
    else:
        found.append(scores(result))
        if result.get("rule_why"):
            found.append(f"scored by the rule {result['rule']}: {result['rule_why']}; --rule takes another")
        if result["hidden"]:
            found.append(f"warning: {result['hidden']:,} questions have hidden answers: answered, not scored")
        if result["missing"]:
            found.append(f"warning: {result['missing']} questions have no prediction and score 0")
    if best := result.get("curves"):
        found.append(f"best exact match {best['best_exact']:.2f} % (threshold {best['best_exact_threshold']:.4g}), "
                     f"best F1 {best['best_f1']:.2f} % (threshold {best['best_f1_threshold']:.4g})")  # fmt: skip
        if best["exact_ap"] is not None:
            found.append(f"average precision: exact match {best['exact_ap']:.2f} %, F1 {best['f1_ap']:.2f} %, "
                         f"answerable or not {best['oracle_ap']:.2f} %")  # fmt: skip
    if result.get("ece") is not None:
        found.append(f"expected calibration error {100 * result['ece']:.1f} %, measured in {result['precision']}")
    found += [f"{what}: {result[key]}" for key, what in FILES.items() if result.get(key)]
    return found


CERTAIN = 1.0  # SQuAD 2's script takes this threshold by default: only scores that are no probabilities are above it
FILES = {"predictions": "predictions", "no_answer_file": "probabilities of no answer"}


def of_run(
    model: Path, data: str | None, rule: str | None, device: str, max_answer: int | None, *, out: Path | None = None
) -> dict[str, Any]:
    """Answer the questions with a model and score the answers; stored in its run folder.

    Of an exported model, which stays as it was sealed, the predictions are written to `out` alone.
    """
    from reslab.qa.account import line_of
    from reslab.qa.judge import weigh
    from reslab.qa.no_answer import curves
    from reslab.qa.rules import RULES, judged
    from reslab.qa.scores import write_predictions
    from reslab.ship.folder import is_exported

    run = Run(model)
    exported = is_exported(model)
    reader = opened(model, "questions", device=device, precision="auto" if exported else precision_of(run))
    own = data is None
    if own and exported:
        raise UsageError(f"{model} is an exported folder, which holds no questions: name some with --data")
    if own:
        from reslab.qa.folder import stored_data

        found = stored_data(run)
        about, part, questions, why = found.describe(), "test", found.test, None
        chosen = rule or reader.settings.rule
    else:
        about, part, questions, fits = questions_of(data or "")
        blind = all(one.hidden for one in questions)
        why = None if rule or blind else fits.why
        chosen = rule or (reader.settings.rule if blind else fits.rule)
    judged(questions, chosen)
    tell("%s: %s", about["name"], line_of(questions))
    known = chosen == reader.settings.rule
    with shown("reading", unit="windows") as progress:
        spans = reader.spans(questions, most=max_answer, progress=progress)
    weighed = weigh(questions, spans, rule=chosen, temperature=reader.settings.temperature,
                    threshold=reader.settings.threshold if known else None)  # fmt: skip
    suffix = "" if own else f"-{slug(Path(data or '').stem)}"
    suffix += f"-{chosen}" if own and not known else ""  # another reader than the run's: its files stay
    suffix += f"-answers-of-{max_answer}" if max_answer not in (None, reader.settings.max_answer) else ""
    result: dict[str, Any] = {
        **(asdict(weighed.evaluation) if weighed.evaluation else {"rule": chosen}), "rule_why": why,
        "ece": weighed.reliability.ece if weighed.reliability else None,
        "reliability": asdict(weighed.reliability) if weighed.reliability else None,
        "hidden": sum(one.hidden for one in questions), "max_answer": max_answer or reader.settings.max_answer,
        "precision": reader.config.precision if exported else reader.choice.precision, "part": part,
        "data": about, "predictions": None,
        "command": command_line(),
    }  # fmt: skip
    if weighed.evaluation and RULES[chosen].empty:
        known_ones = [one for one in questions if not one.hidden]
        result["curves"] = asdict(curves(known_ones, weighed.texts, weighed.no_answer, rule=chosen))
    if exported:
        if out is not None:
            result["predictions"] = str(write_predictions(out, weighed.predictions))
        return result
    of = result["of"] = "" if own else str(Path(data or "").resolve())
    try:
        suffix += ending(run, f"qa-eval{suffix}", of)
        result["predictions"] = str(write_predictions(run.path(f"predictions{suffix}.json"), weighed.predictions))
        if RULES[chosen].empty:
            file = write_predictions(run.path(f"no_answer{suffix}.json"), weighed.no_answer)
            result["no_answer_file"] = str(file)
        run.write_json(f"results/qa-eval{suffix}.json", result)
    except ReslabError as error:  # e.g. a read-only folder: the scores are printed anyway
        print(f"warning: the result is not stored: {one_line(say.words(error))}", file=sys.stderr)
    return result


def precision_of(run: Run) -> Any:
    """The precision in which training measured the test part, so that both give the same numbers; else "auto"."""
    trained = run.read_json("results/train.json") if run.has("results/train.json") else {}
    known = (trained.get("choice") or {}).get("precision")
    return known if known in ("fp32", "bf16") else "auto"


def of_file(path: Path, data: str | None, rule: str | None, na_prob_file: Path | None) -> dict[str, Any]:
    """Score a file of predictions in the official format."""
    from reslab.qa.no_answer import curves
    from reslab.qa.rules import EMPTY, RULES, judged
    from reslab.qa.scores import evaluate as score
    from reslab.qa.scores import read_no_answer, read_predictions

    if data is None:
        raise UsageError(f"{path} holds predictions: name the questions that they answer with --data")
    about, part, questions, fits = questions_of(data)
    known = [one for one in questions if not one.hidden]
    if not known:
        raise UsageError(f"{data} does not hold the answers to its questions, so predictions cannot be scored on it")
    chosen = rule or fits.rule
    judged(known, chosen)
    given = read_predictions(path)
    if not any(one.id in given for one in known):
        raise UsageError(f"{path} has no prediction for any question of {data}: their ids differ")
    null = None
    if na_prob_file is not None:
        if not RULES[chosen].empty:
            raise UsageError(
                f"--na-prob-file needs the rule {' or '.join(EMPTY)}, got {chosen}: take --rule {EMPTY[0]}"
            )
        null = read_no_answer(na_prob_file)
    above = null is not None and any(value > CERTAIN for value in null.values())
    found = score(known, given, rule=chosen, no_answer=null, threshold=CERTAIN if above else None)
    result = {**asdict(found), "rule_why": None if rule else fits.why, "hidden": len(questions) - len(known),
              "part": part, "data": about, "command": command_line()}  # fmt: skip
    if null is not None:
        result["curves"] = asdict(curves(known, given, null, rule=chosen))
    return result


def questions_of(word: str) -> tuple[dict[str, Any], str, Any, "Fitting"]:
    """(facts, part, questions, the rule that fits): all questions of a file, or the test part of a folder."""
    from reslab.qa.data.question import Report
    from reslab.qa.data.questions import fingerprint, load_questions, read_questions
    from reslab.qa.rules import rule_for

    if word.startswith("hf:") or Path(os.path.expanduser(word)).is_dir():
        data = load_questions(word)
        say.problems(data.report)
        return data.describe(), "test", data.test, rule_for(data.test)
    report = Report()
    found = read_questions(word, report=report)
    say.problems(report)
    about = {"name": word, "test": len(found), "fingerprint": fingerprint({"all": found}), "problems": report.counts}
    return about, "all", found, rule_for(found)
