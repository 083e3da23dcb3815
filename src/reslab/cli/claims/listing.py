"""reslab claims list, reslab claims show."""

import json as json_
import sys
from dataclasses import asdict
from typing import Annotated, Any

from cyclopts import Parameter

from reslab.cli import say
from reslab.cli.claims.flags import Data, Own, Seeds
from reslab.cli.options import DataFlags, Json, data_options
from reslab.errors import UsageError, one_line


def list_(*, own: Own = None, json: Json = False) -> None:
    """List all claims."""
    from reslab.study.claims.reading import claims, papers
    from reslab.study.claims.words import group

    faults: dict[str, UsageError] = {}
    found, known = claims(own, faults=faults), papers(own)
    for error in faults.values():
        print(one_line(str(error)), file=sys.stderr)
    if json:
        say.as_json([asdict(one) for one in found.values()])
        return
    rows = [(one.name, group(known[one.paper]), one.title, ", ".join(data_of(one))) for one in found.values()]
    say.fitting(["claim", "paper", "title", "data"], rows, left=4, least=["data", "title"])
    print(f"{len(found)} claims of {len({one.paper for one in found.values()})} papers")


def show(
    name: Annotated[str, Parameter(help="The claim's name, as in `reslab claims list`.")],
    /,
    *,
    data: Data = "digits",
    seeds: Seeds = None,
    own: Own = None,
    data_flags: DataFlags | None = None,
    json: Json = False,
) -> None:
    """Show one claim: what is predicted and when that was fixed, the experiment, its cost and power."""
    from reslab.study.claims.plan import plan
    from reslab.study.claims.prepare import prepare
    from reslab.study.claims.reading import claims
    from reslab.study.claims.words import cost_of, group, plan_of, powers, predicted, sealed

    ready = prepare(
        only=name, data=data, options=data_options(data_flags), seeds=seeds, own=own, budget=None, limit=False
    )
    (one,) = ready.runs
    page = plan(list(claims(own, faults={}).values()), ready.asked)
    family = sum(bool(each.cells) and each.claim.prediction.direction != "exact" for each in page)
    claim, paper = one.claim, ready.papers[one.claim.paper]
    if json:
        say.as_json({**asdict(claim), **plan_of(ready)["claims"][0]})
        return
    run = [("cost", cost_of(one, ready)), ("power", powers(one, family=family))] if one.cells else []
    lines = [
        ("claim", claim.sentence),
        ("paper", f"{group(paper)}, {paper['title']}, {claim.where} {paper.get('link', '')}"),
        ("formula", claim.formula), ("meaning", " ".join(claim.meaning)),
        ("prediction", predicted(claim.prediction)), ("why", claim.prediction.why), ("fixed", sealed(claim)),
        ("experiment", claim.experiment), ("settings", settings_of(one.settings or claim.settings)), *run,
        *([("not run", one.why_not)] if one.why_not else []),
        ("deviations", " ".join(one.deviations or claim.deviations) or "none"), ("turns", claim.turns),
        ("false for", settings_of(claim.false)), ("command", f"reslab claims --only {claim.name}"),
    ]  # fmt: skip
    print(one_line(f"{claim.title} ({claim.name})"))
    for key, text in lines:
        print(one_line(f"{key + ':':12} {text}".rstrip()))


def settings_of(settings: Any) -> str:
    """`train.net = plain56; metric = train_error`."""

    def flat(value: Any, path: str) -> list[str]:
        if isinstance(value, dict) and value:
            return [line for key, one in value.items() for line in flat(one, f"{path}.{key}" if path else str(key))]
        return [f"{path} = {value if isinstance(value, str) else json_.dumps(value, ensure_ascii=False)}"]

    return "; ".join(flat(settings, "")) if settings else "none"


def experiments(
    name: Annotated[str, Parameter(help="One of them, or a look or a model (default: list them).")] = "", /
) -> None:
    """What the settings of a claim of your own may say: experiments, looks (measurements) and models."""
    from reslab.study.claims.manual import described, listed

    print(described(name) if name else listed())


def data_of(one: Any) -> list[str]:
    return [kind for kind, table in one.data.items() if "needs" not in table]
