"""The run that the same command made in an older version of reslab, which had other defaults."""

import shlex
from dataclasses import replace
from pathlib import Path

from reslab.errors import OtherSettings, UsageError
from reslab.images.data import load
from reslab.images.defaults import MADE_FOR, Chosen
from reslab.images.plan import Plan
from reslab.nets import spec
from reslab.run import Run, slug
from reslab.train.folder import first_comment
from reslab.train.naming import changed, holds, source, words
from reslab.train.recipe import draft

NET, RECIPE = "resnet20", "paper-cifar"  # the defaults until version 0.1.0


def older_run(plan: Plan) -> tuple[Run, Plan] | None:
    """The run and what it trains, if a folder under runs/ holds one of the same command with the former defaults.

    These were resnet20, paper-cifar (for digits: mnist), images at their size, and a rate that does not follow the
    batch.
    """
    asked = plan.asked
    if not isinstance(asked.data, str):
        return None
    try:
        name, old = former(plan)
    except UsageError:  # not a complete recipe, or no net of ours
        return None
    net = {key: value for key, value in asked.net_options.items() if key in old.named_net()}
    size = {key: value for key, value in asked.options.items() if key == "size"}
    first, mark = f"{slug(old.data.name)}-{old.word}-{slug(Path(name).stem)}", f"-s{old.chosen.recipe.seed}"
    change = words({**net, **size, **changed(asked.changes, name), **source(asked.start)})
    for folder in dict.fromkeys((f"{first}{change}{mark}", f"{first}{mark}")):
        if not (holds(folder) and same_command(Run(Path("runs") / folder), plan)):
            continue
        try:
            old = with_data(old)
            return old.prepare(Path("runs") / folder), old
        except OtherSettings:
            continue
    return None


def former(plan: Plan) -> tuple[str, Plan]:
    """(the recipe's name, the plan) that an older version made of the same request, with today's data."""
    asked = plan.asked
    word = asked.net or NET
    name = asked.recipe or MADE_FOR.get(asked.word, RECIPE)
    recipe = draft(name, dict(asked.changes))[0]
    if asked.recipe is None and plan.data.digits and recipe.flip:
        name = "mnist"
        recipe = draft(name, dict(asked.changes))[0]
    reason = f"of an older version of reslab, with its defaults: net {word}, recipe {name}, rate {recipe.lr:g}"
    chosen = Chosen(name=name, recipe=recipe, named={}, fitted=(), reasons=())
    return name, replace(plan, net=spec(word, **asked.net_options), base=spec(word), word=word, chosen=chosen,
                         reasons=(f"this run is {reason}",))  # fmt: skip


def same_command(run: Run, plan: Plan) -> bool:
    """Whether the command that made the run left the same things to the defaults."""
    try:
        made = shlex.split(first_comment(run))
    except (ValueError, OSError):
        return False
    asked = plan.asked
    left = {"net": asked.net, "recipe": asked.recipe, "lr": asked.changes.get("lr")}
    named = {word.partition("=")[0].removeprefix("--") for word in made if word.startswith("--")}
    return made[:2] == ["reslab", "train"] and not any(key in named for key, value in left.items() if value is None)


def with_data(plan: Plan) -> Plan:
    """The plan with the data as the older version read them."""
    asked = plan.asked
    assert isinstance(asked.data, str)
    options = {**asked.options, **({"memory": 0} if plan.chosen.recipe.augment == "scale" else {})}
    if options == plan.options:
        return plan
    return replace(plan, options=options, data=load(asked.data, **options))
