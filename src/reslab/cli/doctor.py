"""reslab doctor: versions, device and speed of this machine; known problems and how to fix them."""

import platform
import subprocess
import sys
from typing import Annotated, Any

from cyclopts import Parameter

from reslab.cli import doctor_ship, say
from reslab.cli.options import Json
from reslab.extras import installed
from reslab.version import __version__

PACKAGES = ("torch", "numpy", "pillow", "simplejpeg", "safetensors", "scikit-learn", "torchvision", "timm",
            "transformers", "datasets", "pyarrow", "tensorboard", *doctor_ship.PACKAGES)  # fmt: skip
CURE = (
    "torchvision cannot be imported with this torch, which breaks timm, torchmetrics and transformers too: they are "
    "different builds. Install both from one index (README, Install) or `pip uninstall torchvision`; reslab itself "
    "does not need it."
)


def doctor(
    *,
    export: Annotated[
        bool,
        Parameter(help="Also import what exports models and export a tiny net in every way; takes about a minute.",
                  negative=()),
    ] = False,
    json: Json = False,
) -> None:  # fmt: skip
    """Show versions, device, precision and threads; report known problems and how to fix them."""
    facts, faults = look()
    pairs, notes, unmet = doctor_ship.table()
    faults += unmet
    tried = list(doctor_ship.tried()) if export else []
    faults += [f"{what} fails: {why}" for what, why in tried if why]
    if json:
        told = [dict(zip(doctor_ship.COLUMNS, row, strict=True)) for row in pairs]
        trials = {what: why or "works" for what, why in tried}
        say.as_json({"facts": facts, "export": told, "tried": trials, "notes": notes, "faults": faults})
        return
    for key, value in facts.items():
        print(f"{key:<14} {value}")
    if pairs:
        print()
        say.table(doctor_ship.COLUMNS, pairs, left=4)
    for what, why in tried:
        print(f"{what}: {'fails' if why else 'works'}")
    for note in notes:
        print(f"note: {note}")
    for fault in faults:
        print(f"\nproblem: {fault}")
    if not faults:
        print("\nno known problem found\nnext:   reslab study degradation")


def look() -> tuple[dict[str, Any], list[str]]:
    import torch

    from reslab.run import processor
    from reslab.train.cores import usable_cores
    from reslab.train.folder import pick_device
    from reslab.train.tune import native_bf16

    device, cores = pick_device(), usable_cores()
    facts: dict[str, Any] = {
        "reslab": __version__,
        "python": f"{platform.python_version()} ({sys.executable})",
        "system": platform.platform(terse=True),
        "device": f"{device} ({torch.cuda.get_device_name() if device.type == 'cuda' else processor()})",
        "bf16": "native" if native_bf16(device) else "not native: --precision auto stays with fp32",
        "threads": f"{torch.get_num_threads()} of {cores} usable cores",
    }
    faults = []
    for name in PACKAGES:
        version = installed(name)
        if version:
            facts[name] = version
    if "torchvision" in facts and not imports("torchvision"):
        faults.append(CURE)
    if device.type == "cpu" and torch.get_num_threads() > cores:
        faults.append(f"more threads than the {cores} cores this process may use: set OMP_NUM_THREADS={cores}")
    return facts, faults


def imports(name: str) -> bool:
    """Whether a package can be imported, tried in a separate process, which a broken package may crash."""
    done = subprocess.run([sys.executable, "-c", f"import {name}"], capture_output=True, check=False)
    return done.returncode == 0
