"""The whole job in one folder: plan, cut, norms, heal, the trainings beside it, and the record of all of it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from reslab.errors import UsageError, arg, tell
from reslab.look.graph.example import rows
from reslab.progress import Phase, Rows, quiet
from reslab.run import environment
from reslab.slim.budget import Budget, Compare, announced, budget, spent
from reslab.slim.compare import caveats, compared, verdict
from reslab.slim.cutting.removal import Cut, cut
from reslab.slim.delivered import best_of, deliver
from reslab.slim.family import Family
from reslab.slim.healing.norms import averaged
from reslab.slim.kept import DONE, PLAN, Kept
from reslab.slim.next_steps import next_steps
from reslab.slim.planning.choices import Keep, listed
from reslab.slim.planning.planner import plan as plan_blocks
from reslab.slim.planning.state import digest_of_data
from reslab.slim.record import Arm, By, Plan, Slimmed, What
from reslab.slim.sizes import sizes
from reslab.train.checkpoint import as_file
from reslab.train.start import mark_of

Method = Literal["remove", "merge"]
MERGE = "merge: "  # how the notes of folded layers begin
TIMED = 32  # examples in the pass that is timed, as in the plan
FOLDERS: dict[What, str] = {"healed": "healed", "intact-longer": "intact-longer", "scratch": "scratch"}


def slim(
    family: Family, *, out: str | Path, remove: int | None = None, speedup: float | None = None,
    max_macs: float | None = None, keep_error: float | None = None, by: By = "disabling", beam: int = 1,
    parts: bool = False, keep: Keep = (), epochs: float | None = None, seeds: int = 1,
    compare: Compare = "all", method: Method = "remove", word: str = "", progress: Rows = quiet,
    on_plan: Callable[[Plan], None] | None = None,
) -> Slimmed:  # fmt: skip
    """Plan, cut and heal a model, train what it is compared with, and store all of it in the folder `out`.

    The target (one of four) and `by`, `beam`, `parts`, `keep`: as for `reslab.slim.plan`. `epochs` of healing: None,
    what the family chooses; 0 trains nothing. `seeds`: trainings of each kind, from seed 0. `compare`: "all": the
    intact model trained as long, and a net of the final shape from nothing with the budget of both trainings together;
    "intact": without the latter; "none". `method`: "merge" also folds layers of the final model that are linear
    together (see `merge`), into a copy in merged/. `word`: the model's. `on_plan` is called with the plan before
    anything is cut.

    In the folder: results/slim-plan.json, cut/, norms/ (BatchNorm statistics averaged), a run folder for each training,
    model/ (the healed model, in its own form), results/slim.json. The same call resumes; a finished job is found again.
    Raises UsageError for a target that cannot be reached or a folder of other settings, Interrupted (Ctrl-C), after
    which the same call resumes.
    """
    if isinstance(seeds, bool) or seeds < 1:
        raise UsageError(f"seeds must be positive, got {seeds}")
    if epochs is not None and not 0 <= epochs < float("inf"):
        raise UsageError(f"epochs must be zero or more, got {epochs:g}")
    kept = Kept(out)
    goals: dict[str, Any] = {"remove": remove, "speedup": speedup, "max_macs": max_macs, "keep_error": keep_error}
    how: dict[str, Any] = {"by": by, "beam": beam, "parts": parts, "keep": listed(keep)}
    length = family.heal_epochs if epochs is None else epochs
    asked = {**plan_asked(family, goals, how), "epochs": float(length), **family.identity()}
    begun = kept.compare(asked)
    kept.run.make()
    with kept.run.lock():
        kept.sweep()
        plan = plan_in(kept, family, begun, {**goals, **how}, progress)
        if on_plan is not None:
            on_plan(plan)
        if not plan.chosen:
            raise UsageError(f"no block of {plan.model} can be removed within this target, so there is nothing to cut; "
                             f"the plan is in {kept.run.path(PLAN)}")  # fmt: skip
        job = Job(family, kept, plan, word or family.word, seeds=seeds, compare=compare, epochs=length,
                  method=method, progress=progress, begin=lambda: None if begun else kept.begin(asked))  # fmt: skip
        return job.result()


def planned(
    family: Family, *, out: str | Path, by: By = "disabling", beam: int = 1, parts: bool = False,
    keep: Keep = (), progress: Rows = quiet, **goals: Any,
) -> Plan:  # fmt: skip
    """The first stage of `slim` alone, in the folder `out`: the plan, from which `slim` continues there.

    `goals`: the target, as for `slim`. The plan of a job that was begun is given again. Raises as `slim` does.
    """
    kept, how = Kept(out), {"by": by, "beam": beam, "parts": parts, "keep": listed(keep)}
    begun = kept.compare(plan_asked(family, goals, how))
    kept.run.make()
    with kept.run.lock():
        return plan_in(kept, family, begun, {**goals, **how}, progress)


def plan_asked(family: Family, goals: Mapping[str, Any], how: Mapping[str, Any]) -> dict[str, Any]:
    """What a plan belongs to, for the folder."""
    target = {key: value for key, value in goals.items() if value is not None}
    return {**target, **how, "model": mark_of(as_file(family.model.state_dict())),
            "planned_on": digest_of_data(family.batches())}  # fmt: skip


def plan_in(kept: Kept, family: Family, begun: bool, options: Mapping[str, Any], progress: Rows) -> Plan:
    """The plan of the job that was `begun`, or a new one, which is stored."""
    plan = kept.plan() if begun else None
    if plan is None:
        plan = plan_blocks(family.model, family.batches(), example=family.example, metrics=family.metrics(),
                           data=family.planned_on(), progress=progress("plan"), folder=kept.folder,
                           **options)  # fmt: skip
        kept.run.write_json(PLAN, plan.as_dict())
    return plan


class Job:
    """A job whose plan is made."""

    def __init__(
        self, family: Family, kept: Kept, plan: Plan, word: str, *, seeds: int, compare: Compare, epochs: float,
        method: Method, progress: Rows, begin: Callable[[], None],
    ) -> None:  # fmt: skip
        self.family, self.kept, self.plan, self.word = family, kept, plan, word
        self.seeds, self.progress, self.method, self.begin = seeds, progress, method, begin
        self.untrained = ""  # why no net of this shape can be trained, if so
        self.budget: Budget = budget(family, plan, epochs=epochs, compare=compare)

    @property
    def wanted(self) -> list[tuple[What, int | None]]:
        """The trainings: all of one seed before the next, so that a stopped job has whole comparisons."""
        return [(what, seed) for seed in range(self.seeds) for what in self.budget.trainings]

    def result(self) -> Slimmed:
        """Do what is left to do."""
        done, there = self.kept.done(), {(arm.what, arm.seed) for arm in self.kept.arms()}
        merged = done is not None and any(note.startswith(MERGE) for note in done.notes)
        whole = there >= set(self.wanted) and (self.kept.folder / "model").is_dir()
        if done is not None and whole and (merged or self.method == "remove"):
            tell("%s is finished; nothing is left to do", self.kept.folder)
            return done
        tell("%s", announced(self.budget, self.plan, seeds=self.seeds))
        if self.budget.note:
            tell("%s", self.budget.note)
        small = cut(self.family.model, self.plan, example=self.family.example, word=self.word)
        try:
            self.family.know(small, self.kept.folder)
        except UsageError as error:
            if self.budget.epochs:
                raise UsageError(error, "; 0 epochs save it as it is, without training: ", arg("epochs")) from error
            self.untrained = str(error)
        self.begin()  # not before it is known that the job can be done: other settings may be tried in this folder
        arms, net = self.measured(small)
        for what, seed in self.wanted:
            assert seed is not None
            arms.append(self.trained(what, seed, net))
        return self.record(small, net, arms)

    def measured(self, small: Cut) -> tuple[list[Arm], nn.Module]:
        """The arms without training, and the cut net with averaged norms, which is healed."""
        kept, family = self.kept, self.family

        def plain(what: What, net: nn.Module) -> Arm:
            self.progress("evaluation")(0, 1, Phase(f"{what} on the test part"))
            return kept.arm(what, None, lambda: Arm(what=what, score=family.evaluate(net)))

        arms = [plain("intact", family.model), plain("cut", small.model)]

        def alone(model: nn.Module, folder: Path) -> None:
            small.save(folder, model=model)

        save = alone if self.untrained else None
        kept.whole("cut", lambda folder: (save or family.save)(small.model, folder))
        net = averaged(family, small, kept.folder, save=save)
        if net is None:
            return arms, small.model
        return [*arms, plain("norms", net)], net

    def trained(self, what: What, seed: int, net: nn.Module) -> Arm:
        """One training, found again if it is finished."""
        intact = self.family.model
        name = f"{FOLDERS[what]}-s{seed}"

        def train() -> Arm:
            return self.family.train(
                self.kept.folder / name, what=what, net=intact if what == "intact-longer" else net,
                teacher=intact if what == "healed" else None, epochs=self.budget.epochs[what], seed=seed,
                progress=self.progress(name),
            )  # fmt: skip

        return self.kept.arm(what, seed, train)

    def record(self, small: Cut, net: nn.Module, arms: Sequence[Arm]) -> Slimmed:
        """Save the model in its own form, measure both, and store the record."""
        family, kept = self.family, self.kept
        seed, chosen = best_of(kept.folder, arms)
        self.progress("sizes")(0, 1, Phase("timing both models in turn"))
        timed = rows(family.batches()[0][0], 0, TIMED)
        loads, final = deliver(kept, small, net, seed)
        before, after, (times, low, high) = sizes(family.model, final, family.example, timed)
        folds = self.folded(small, final) if self.method == "merge" else ()
        pairs = compared(arms, measure=family.measure)
        healed = "" if seed is None else f"model/ is the healed net of seed {seed}" + (
            ", the best on the validation part" if chosen else "")  # fmt: skip
        distill = float(family.identity()["healing"]["distill"])
        made = Slimmed(
            model={"word": self.word, "name": family.title, "class": self.plan.model},
            family=family.name, measure=family.measure, lower_is_better=family.lower_is_better,
            data={"name": family.data_name, "planned_on": family.planned_on(), "n": arms[0].score.n},
            before=before, after=after, speedup=times, speedup_low=low, speedup_high=high, form=small.form,
            loads=loads, removed=small.removed, difference=small.difference, arms=tuple(arms),
            budget=spent(self.budget, arms),
            verdict=verdict(arms, pairs, measure=family.measure, lower_is_better=family.lower_is_better),
            comparisons=pairs, notes=tuple(filter(None, (*small.notes, *folds, self.budget.note, self.untrained, healed,
                                                         self.missed(times), *caveats(arms, distill=distill)))),
            generation=family.generation(final), commands=self.commands(),
            environment=environment(self.plan.timing.device, torch.get_num_threads()),
        )  # fmt: skip
        kept.run.write_json(DONE, made.as_dict())
        return made

    def missed(self, times: float) -> str:
        """That the model itself is slower than was asked for, though the plan reached it; "" if it is not."""
        if self.plan.goal != "speedup" or times >= self.plan.target:
            return ""
        return (f"timed in turn with the intact one, model/ is {times:.2f}x as fast, not {self.plan.target:g}x as "
                "asked for")  # fmt: skip

    def folded(self, small: Cut, final: nn.Module) -> tuple[str, ...]:
        """Write merged/, if there is anything to fold; what was folded, or why it was not."""
        found = small.fold(final)
        if found.made is not small.made:
            self.kept.replaced("merged", lambda folder: found.save(folder))
        return tuple(f"{MERGE}{note}" for note in found.notes[len(small.notes) :])

    def commands(self) -> tuple[str, ...]:
        """What to do next: with model/ if it is a run folder, else with the run whose net is in it."""
        folder, name = self.kept.folder, "model"
        if not (folder / name / "spec.json").is_file():
            seed, _ = best_of(folder, self.kept.arms())
            name = f"healed-s{seed}" if seed is not None else "norms" if (folder / "norms").is_dir() else "cut"
        return next_steps(self.family.name, folder / name, folder / "model")
