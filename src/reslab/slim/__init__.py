"""Remove the residual blocks that do nothing, heal what is left, and end in a model that anyone loads.

    plan = reslab.slim.plan(model, batches, remove=6)     # which blocks, in which order, at what cost
    small = reslab.slim.cut(model, plan, example=x)       # a model without them, equal to those blocks disabled
    small.save("small")                                   # loads without reslab where its library can express it
    found = reslab.slim.family("runs/cifar")              # a model with its data
    reslab.slim.heal(found, small, out="healed")          # BatchNorm statistics, then distillation
    reslab.slim.slim(found, out="runs/slim", speedup=1.5) # all of it in one folder, with what it is compared with

`reslab slim MODEL --data WORD` does all of it in one folder, beside the intact model trained as long and a net of the
same final shape trained from nothing. Modules are imported on first use.
"""

from typing import TYPE_CHECKING

from reslab.lazy import lazy

if TYPE_CHECKING:
    from reslab.slim.block import Block, Blocks
    from reslab.slim.cutting.merging import Merged, merge
    from reslab.slim.cutting.removal import Cut, cut
    from reslab.slim.families.named import Wanted, family
    from reslab.slim.families.small_language import language_model
    from reslab.slim.finding import find_blocks
    from reslab.slim.generating import Generation, generation
    from reslab.slim.healing.distilled import Distillation
    from reslab.slim.healing.healed import heal
    from reslab.slim.job import planned, slim
    from reslab.slim.planning.planner import plan
    from reslab.slim.planning.timing import speedup
    from reslab.slim.record import Plan, Slimmed, Step

HOME = {  # public name: its module here
    "Block": ".block",
    "Blocks": ".block",
    "Cut": ".cutting.removal",
    "Distillation": ".healing.distilled",
    "Generation": ".generating",
    "Merged": ".cutting.merging",
    "Plan": ".record",
    "Slimmed": ".record",
    "Step": ".record",
    "Wanted": ".families.named",
    "cut": ".cutting.removal",
    "family": ".families.named",
    "find_blocks": ".finding",
    "generation": ".generating",
    "heal": ".healing.healed",
    "language_model": ".families.small_language",
    "merge": ".cutting.merging",
    "plan": ".planning.planner",
    "planned": ".job",
    "slim": ".job",
    "speedup": ".planning.timing",
}

__all__ = [
    "Block",
    "Blocks",
    "Cut",
    "Distillation",
    "Generation",
    "Merged",
    "Plan",
    "Slimmed",
    "Step",
    "Wanted",
    "cut",
    "family",
    "find_blocks",
    "generation",
    "heal",
    "language_model",
    "merge",
    "plan",
    "planned",
    "slim",
    "speedup",
]

if not TYPE_CHECKING:  # otherwise a type checker accepts any name
    __getattr__, __dir__ = lazy(__name__, HOME, __all__)
