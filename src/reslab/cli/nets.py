"""reslab nets: which nets can be built, and what they cost."""

import shlex
from dataclasses import asdict
from typing import Annotated, Any

from cyclopts import Parameter

from reslab.cli import say
from reslab.cli.options import Json, NetFlags, given
from reslab.errors import UsageError
from reslab.nets.listing import listing


def nets(
    name: Annotated[str | None, Parameter(help="A net to show stage by stage.")] = None,
    /,
    *,
    classes: Annotated[int | None, Parameter(help="Number of classes.")] = None,
    channels: Annotated[int | None, Parameter(help="Channels of the input image.")] = None,
    size: Annotated[int | None, Parameter(help="Side of the input image in pixels.")] = None,
    net: NetFlags | None = None,
    json: Json = False,
) -> None:
    """List the networks with depth, parameters, multiply-adds and receptive field, or show one stage by stage."""
    sizes = {"classes": classes, "channels": channels, "size": size}
    options = {**given(net), **{key: value for key, value in sizes.items() if value is not None}}
    if name is not None:
        draw_one(name, options, given(net), json)
        return
    rows, refusals = count_all(options) if options else (listing(), [])
    if json:
        say.as_json(rows)
        return
    columns = ("net", "depth", "image", "parameters", "MACs", "receptive field")
    say.table(columns, [
        (r["net"], r["depth"], f"{r['size']}x{r['size']}", f"{r['parameters']:,}", say.millions(r["macs"]),
         f"{r['receptive_field']} px") for r in rows
    ])  # fmt: skip
    if refusals:
        print(
            f"{len(refusals)} of {len(rows) + len(refusals)} nets do not accept these options "
            f"and are omitted: {refusals[0]}"
        )
    print("plain50 is resnet50 without shortcuts; every CIFAR depth 6n+2 has a name\nnext:   reslab nets resnet50")


def count_all(options: dict[str, Any]) -> tuple[list[dict[str, Any]], list[UsageError]]:
    """(rows of the nets that accept these options, errors of the others). Raises UsageError if none accepts them."""
    from reslab.nets import count, names, spec

    rows: list[dict[str, Any]] = []
    refusals = []
    for known in names():
        try:
            one = spec(known, **options)
        except UsageError as error:
            refusals.append(error)
            continue
        rows.append({"net": known, "depth": one.depth, "size": one.size, **asdict(count(one))})
    if not rows:
        raise refusals[0]
    return rows, refusals


def draw_one(name: str, options: dict[str, Any], changed: dict[str, Any], json: bool) -> None:
    """Print one net, stage by stage or as JSON."""
    from reslab.nets import count, layers, spec, suited, to_dict

    one = spec(name, **options)
    one = suited(one, classes=one.classes, shape=(one.channels, one.size, one.size))
    counts, found = count(one), layers(one)
    if json:
        say.as_json({"spec": to_dict(one), **asdict(counts), "depth": one.depth, "layers": [asdict(v) for v in found]})
        return
    draw(one, counts, found)
    print("next:  ", shlex.join(["reslab", "train", "--net", name, *say.flags(changed)]))


def draw(one: Any, counts: Any, found: list[Any]) -> None:
    """Print one net as a table of its stages, with repeated blocks folded as in the paper's Table 1."""
    rows = [
        (stage, f"{count} x [ {body} ]" if count > 1 else body, "x".join(map(str, shape)), f"{held:,}",
         say.millions(macs), field or "–")
        for stage, body, count, shape, held, macs, field in folded(found)
    ]  # fmt: skip
    say.table(("stage", "layers", "output", "parameters", "MACs", "receptive field"), rows, title=one.name)
    print(
        f"depth {one.depth}, {counts.parameters:,} parameters (norms and biases included), {counts.macs:,} MACs at "
        f"{one.size}x{one.size}" + (f", receptive field {counts.receptive_field} px" if counts.receptive_field else "")
    )
    shortcut = getattr(one, "shortcut", None)
    if shortcut:
        print(f"shortcuts {shortcut}, {one.activation}-activation, stride on the {one.stride_on}" if shortcut != "none"
              else f"no shortcuts: the plain twin, {one.activation}-activation")  # fmt: skip
        options = [f"{key} {getattr(one, key)}" for key in ("scale", "gate", "streams") if getattr(one, key) != "none"]
        if options:
            print(", ".join(options))


def folded(found: list[Any]) -> list[tuple[str, str, int, tuple[int, ...], int, int, int | None]]:
    """(stage, layers of one block, blocks, output shape, parameters, MACs, receptive field) of each stage."""
    blocks: dict[str, list[Any]] = {}
    for layer in found:
        parts = layer.path.split(".")
        blocks.setdefault(".".join(parts[:3]) if parts[0] == "stages" else layer.path, []).append(layer)
    rows: list[Any] = []
    for key, inside in blocks.items():
        stage = f"stage {key.split('.')[1]}" if key.startswith("stages") else key.split(".")[0]
        path = [layer for layer in inside if layer.receptive_field or layer.kind == "linear"] or inside
        body = ", ".join(f"{layer.kind} {layer.shape[-1 if layer.kind == 'linear' else 0]}" for layer in path)
        held, macs = sum(v.parameters for v in inside), sum(v.macs for v in inside)
        last = path[-1]
        if rows and rows[-1][:2] == (stage, body) and stage.startswith("stage"):
            before = rows[-1]
            rows[-1] = (
                stage,
                body,
                before[2] + 1,
                last.shape,
                before[4] + held,
                before[5] + macs,
                last.receptive_field,
            )
        else:
            rows.append((stage, body, 1, last.shape, held, macs, last.receptive_field))
    return rows
