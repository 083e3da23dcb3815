"""`reslab.slim.heal`: BatchNorm statistics first, then fine-tuning beside the intact model."""

from pathlib import Path

from reslab.progress import Progress, silent
from reslab.slim.cutting.removal import Cut
from reslab.slim.family import Family
from reslab.slim.healing.norms import averaged
from reslab.slim.record import Arm


def heal(
    family: Family, small: Cut, *, out: str | Path, epochs: float | None = None, seed: int = 0,
    progress: Progress = silent,
) -> Arm:  # fmt: skip
    """Train a cut model to answer as the intact one: a run folder out/healed-sSEED, with its score on the test part.

    found = reslab.slim.family("runs/cifar"); heal(found, cut(found.model, plan, example=found.example), out="healed").
    BatchNorm statistics are averaged over the training part first; then the net is fine-tuned on labels and on the
    intact model's predictions (slim/healing/distilled.py), for `epochs` (None: chosen by the family). The cut model is
    left as it was. The same call resumes, bit-identically, or finds the finished run again. `reslab.slim.slim` does the
    same beside what it is to be compared with. Raises as `slim` does.
    """
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    family.know(small, folder)
    net = averaged(family, small, folder)
    net = small.model if net is None else net
    return family.train(folder / f"healed-s{seed}", what="healed", net=net, teacher=family.model,
                        epochs=family.heal_epochs if epochs is None else epochs, seed=seed,
                        progress=progress)  # fmt: skip
