"""README.md of a published model: metadata that the Hub reads, as YAML, and the same numbers for people."""

import json
from typing import Any

from reslab.errors import one_line
from reslab.ship.hub.record import Facts, Metric
from reslab.version import __version__

HUB_LICENSES = frozenset(
    "apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0 "
    "bigcode-openrail-m afl-3.0 artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear c-uda cc cc0-1.0 "
    "cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 "
    "cc-by-nd-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 "
    "cdla-sharing-1.0 cdla-permissive-1.0 cdla-permissive-2.0 wtfpl ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 "
    "eupl-1.2 agpl-3.0 gfdl gpl gpl-2.0 gpl-3.0 lgpl lgpl-2.1 lgpl-3.0 isc lppl-1.3c ms-pl mpl-2.0 odc-by odbl "
    "openrail++ osl-3.0 postgresql ofl-1.1 ncsa unlicense zlib pddl unknown other".split()
)
USE = {
    "images": ('net = reslab.load("hf:OWNER/NAME")  # or the path of this folder; a torch.nn.Module in eval mode',
               'print(net.predict("image.png"))  # read, resized and normalized as in training'),
    "questions": ('reader = reslab.load("hf:OWNER/NAME")  # or the path of this folder',
                  'print(reader.ask("Who wrote it?", "Ada wrote it."))'),
    "tables": ('model = reslab.load("hf:OWNER/NAME")  # or the path of this folder',
               'print(model.predict("rows.csv"))'),
}  # fmt: skip


def license_of(name: str) -> dict[str, str]:
    """The license as the Hub's metadata have it: an SPDX name is lower case there; one it lacks is `other`."""
    if not name:
        return {}
    low = name.lower()
    for end in ("-only", "-or-later"):  # of SPDX, which the Hub does not have
        if low.removesuffix(end) in HUB_LICENSES:
            return {"license": low.removesuffix(end)}
    return {"license": low} if low in HUB_LICENSES else {"license": "other", "license_name": name}


def metadata(facts: Facts) -> dict[str, Any]:
    """What stands between the lines --- : for the Hub's filters and its table of results."""
    found: dict[str, Any] = {"library_name": "reslab", "pipeline_tag": facts.task,
                             "tags": ["reslab", "residual-network", *facts.tags]}  # fmt: skip
    found |= license_of(facts.license)
    if facts.hub_data:
        found["datasets"] = [facts.hub_data]
    if facts.base:
        found["base_model"] = facts.base
    if facts.metrics:
        found["metrics"] = list(dict.fromkeys(one.kind for one in facts.metrics))
        data = {"name": facts.data, "type": facts.hub_data or slug(facts.data)}
        data |= {"split": facts.part} if facts.part else {}
        found["model-index"] = [{"name": facts.name, "results": [
            {"task": {"type": facts.task}, "dataset": data,
             "metrics": [{"type": one.kind, "name": one.name, "value": one.value} for one in facts.metrics]},
        ]}]  # fmt: skip
    return found


def slug(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in name.lower()).strip("-.") or "data"


def yaml(value: Any, indent: int = 0) -> str:
    """Objects and lists as YAML blocks; strings as JSON writes them, which YAML reads alike."""
    space = "  " * indent
    lines = []
    pairs = value.items() if isinstance(value, dict) else ((None, one) for one in value)
    for key, one in pairs:
        head = f"{space}- " if key is None else f"{space}{key}:"
        if isinstance(one, dict | list) and one:
            inner = yaml(one, indent + 1)
            lines.append(f"{space}- {inner.lstrip()}" if key is None else f"{head}\n{inner}")
        else:
            lines.append(f"{head}{'' if key is None else ' '}{json.dumps(one, ensure_ascii=False)}")
    return "\n".join(lines)


def front(facts: Facts) -> str:
    return f"---\n{yaml(metadata(facts))}\n---\n"


def card(facts: Facts) -> str:
    """The whole README.md."""
    use = "\n".join(USE[facts.kind])
    said = "\n".join(f"- {one_line(line)}" for line in facts.lines)
    granted = (f"License of the weights: {one_line(facts.license)}." if facts.license
               else "No license is named for the weights: ask the owner before you use them.")  # fmt: skip
    return (f"{front(facts)}\n# {one_line(facts.name)}\n\n{one_line(facts.title)}\n\n{results(facts)}\n"
            f"```python\nimport reslab\n\n{use}\n```\n\n{said}\n\n{granted}\n\n"
            f"Published by reslab {__version__}. `config.json` holds the spec of the net, `model.safetensors` its "
            "weights; nothing here is pickled, and no code is run to load it.\n")  # fmt: skip


def results(facts: Facts) -> str:
    if not facts.metrics:
        return "Nothing is known of how good it is: its folder holds no result of a held-out part.\n"
    rows = "\n".join(f"| {one.name} | {shown(one)} |" for one in facts.metrics)
    return f"| {one_line(facts.data)}, {facts.part} part, n = {facts.n:,} | |\n|---|---|\n{rows}\n"


def shown(one: Metric) -> str:
    around = "" if one.low is None or one.high is None else f" (95 % interval {one.low:.4g} to {one.high:.4g})"
    return f"{one.value:.4g}{around}"
