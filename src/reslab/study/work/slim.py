"""Remove blocks of a trained net of images, heal it, and train beside it what it is compared with: reslab.slim's parts.

The trainings' seed is the cell's own: `reslab slim` itself counts its seeds from 0, on one intact model.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from reslab.look.edit.edits import silence
from reslab.look.edit.intervene import intervene
from reslab.nets import count, suited
from reslab.progress import Progress
from reslab.run import Run
from reslab.slim import Cut, cut, find_blocks, planned
from reslab.slim.budget import budget
from reslab.slim.families.images import Images
from reslab.slim.families.named import Wanted, family
from reslab.slim.healing.norms import averaged
from reslab.slim.record import What
from reslab.study.work.train import PER_LAYER, PER_SECOND, RUN, loaded, net_of
from reslab.train.folder import DONE

BATCH = 128
SAMPLES = 300  # images that the plan is measured on
EXAMPLES = 100  # test images on which the cut net is compared with the disabled blocks
BEFORE = 5.0  # seconds: finding blocks, timing, the evaluations
FOLDERS: dict[What, str] = {"healed": "healed", "intact-longer": "intact_longer", "scratch": "scratch"}


def work(
    folder: Path, settings: dict[str, Any], needs: Sequence[Path], *, device: str, progress: Progress
) -> dict[str, Any]:
    """Slim the net of the run that it needs, of work "train": `remove` blocks, planned by the loss without each.

    With `epochs` it is healed (BatchNorm statistics averaged, then distilled from the intact net), and beside it the
    intact net is trained as long, and a net of the cut's shape from nothing, for the epochs of both trainings together.
    `heal_iterations` shortens healing alone.
    Errors in percent on the test images, and the loss there, of every net: "healed_error", "healed_loss", ...
    """
    one = family(str(needs[0] / RUN), Wanted(samples=SAMPLES, device=device))
    assert isinstance(one, Images)
    plan = planned(one, out=folder / "plan", remove=settings["remove"], progress=lambda name: progress)
    small = cut(one.model, plan, example=one.example, word=one.word)
    one.know(small, folder)
    net = averaged(one, small, folder) or small.model
    nets: dict[str, nn.Module] = {"intact": one.model, "cut": small.model, "norms": net}
    values: dict[str, Any] = {"removed": [block.index for block in small.removed], "blocks": len(plan.blocks)}
    for name, model in nets.items():
        score = one.evaluate(model)
        values |= {f"{name}_error": score.value, f"{name}_loss": score.more["loss"]}
    whom = net if settings.get("against") == "norms" else small.model
    values["disabled_apart"] = apart(one, small, whom)
    lengths = dict(budget(one, plan, epochs=settings.get("epochs", 0), compare="all").epochs)
    if "heal_iterations" in settings:
        lengths["healed"] = settings["heal_iterations"] * one.recipe.batch / one.examples
    for what, epochs in lengths.items():
        arm = one.train(
            folder / FOLDERS[what], what=what, net=one.model if what == "intact-longer" else net,
            teacher=one.model if what == "healed" else None, epochs=epochs, seed=settings["seed"], progress=progress,
        )  # fmt: skip
        done = Run(folder / FOLDERS[what]).read_json(DONE)
        values |= {f"{FOLDERS[what]}_error": arm.score.value, f"{FOLDERS[what]}_loss": arm.score.more["loss"],
                   f"{FOLDERS[what]}_train_loss": done["train_loss_eval"]}  # fmt: skip
    return values


def cost(settings: dict[str, Any]) -> float:
    """CPU seconds, about, on the machine of docs/claims.md; the first training is taken for four times the healing.

    In epochs of forward passes of the intact net, with half of it removed: healing 2.5 (its teacher is run, too), the
    intact net 3, and the net from nothing 7.5 for each epoch of healing; and a pass of the plan for each candidate.
    """
    data = loaded(settings["data"])
    net = suited(net_of(settings), classes=len(data.classes), shape=data.shape)
    passes = 13 * settings.get("epochs", 0) * len(data.train) + SAMPLES * settings["remove"] * net.depth / 2
    each = count(net).macs / PER_SECOND + PER_LAYER * net.depth / 3 / BATCH
    return BEFORE + passes * each


@torch.no_grad()
def apart(one: Images, small: Cut, net: nn.Module) -> float:
    """The largest difference of `net`'s scores from the intact net's with the removed blocks disabled, as a share of
    the largest score, on test images."""
    part = one.subject.data.test
    x = torch.cat([views[0] for views, _, _ in one.views(part.subset(torch.arange(min(EXAMPLES, len(part)))))])
    known = find_blocks(one.model, one.example)
    edits = {i: silence() for block in small.removed for i in block.merges}
    with intervene(one.model, known.merges, edits):
        wanted = one.model.eval()(x)
    return float((net.eval()(x) - wanted).abs().max() / wanted.abs().max())
