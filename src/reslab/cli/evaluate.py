"""reslab eval: the error of a trained net."""

import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from shlex import quote
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from reslab.cli import errors, ranks, say
from reslab.cli.options import DataFlags, Json, NetFlags, data_options, given
from reslab.cli.resume import use_of
from reslab.cli.stored import store
from reslab.errors import ReslabError, UsageError
from reslab.run import Run, command_line, slug
from reslab.stored.shards import Name

EVALUATED_BY = {"questions": "reslab qa eval {}", "tables": "reslab tables eval {} FILE"}


def evaluate(
    model: Annotated[Path, Parameter(help="A run folder, or a checkpoint file with --net and --data.")],
    /,
    *,
    net: Annotated[str | None, Parameter(help="The net that a checkpoint file belongs to.")] = None,
    data: Annotated[str | None, Parameter(help="Data to evaluate on (default: the run's own).")] = None,
    part: Annotated[
        Name | None,
        Parameter(help="Which part of the data to use (default: test, or all images of data that have no test part)."),
    ] = None,
    crops: Annotated[
        Literal[1, 10], Parameter(help="1: single view; 10: corners, center and their mirror images.")
    ] = 1,
    tta: Annotated[
        Literal["none", "flip"],
        Parameter(
            help="flip: also measure the error of the mean prediction of each image and its mirror image; it is "
            "shown beside the error and never in its place."
        ),
    ] = "none",
    scales: Annotated[
        list[str] | None,
        Parameter(
            help="Evaluate fully convolutionally, averaged over these lengths of the shorter side, in pixels.",
            negative=(),
            consume_multiple=True,
        ),
    ] = None,
    normalize: Annotated[
        Literal["pixel", "channel", "imagenet", "none"] | None,
        Parameter(help="For a checkpoint file: the normalization it was trained with (default: imagenet)."),
    ] = None,
    mean_std: Annotated[
        tuple[float, ...] | None,
        Parameter(
            help="For a checkpoint file: the mean and std of pixels in 0 to 1 that it was trained with, instead of "
            "--normalize: two numbers, or three and three.",
            negative=(),
            consume_multiple=True,
        ),
    ] = None,
    precise_bn: Annotated[
        bool, Parameter(help="First average the BatchNorm statistics over the training images.", negative=())
    ] = False,
    device: Annotated[str, Parameter(help="Device: auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    net_flags: NetFlags | None = None,
    data_flags: DataFlags | None = None,
    json: Json = False,
) -> None:
    """Measure the test error with a 95 % interval; add per-class errors and the confusion matrix to the run's page."""
    from reslab.images.data.parts import described
    from reslab.images.evaluate import evaluate as measure_error
    from reslab.images.parts import measured_part, trained_part
    from reslab.images.precise import average_norms
    from reslab.nets.weights import refuse_nan
    from reslab.train.exchange import of_all

    if normalize and mean_std:
        raise UsageError("--normalize and --mean-std exclude each other: remove one")
    norms, shorter = {"normalize": normalize, "mean_std": mean_std}, sides(scales or [])
    with ranks.together() as world:

        def read() -> tuple[Any, ...]:
            place = world.device(device)
            module, images, *norm = gather(model, net, data, norms, given(net_flags), data_options(data_flags))
            chosen = measured_part(model, images, part, word=data)
            refuse_nan(module, str(model))
            return place, module, images, *norm, *chosen

        place, module, images, normalizer, how, chosen, part_name = world.agreed(read)
        images.announce()
        module, normalizer = module.to(place), normalizer.to(place)
        if precise_bn:
            trained = world.agreed(lambda: trained_part(model, images))
            average_norms(module, trained, normalizer, place, world=world)
        measured = partial(
            measure_error,
            module,
            chosen,
            normalize=normalizer,
            device=place,
            crops=crops,
            scales=shorter,
            pad=max(1, min(images.shape[1:]) // 8),  # the paper's 4 for 32 pixels
            world=world,
        )
        found = measured()
        mirrored = measured(mirror=True) if tta == "flip" else None
        if math.isnan(found.loss):
            raise of_all(ReslabError(f"{model} returns NaN or infinite values, so nothing can be measured"))
    if not world.leads:
        return
    found = found.detailed(images.classes)
    result = {**found.as_dict(), "part": part_name, "precise_bn": precise_bn, "classes": list(images.classes),
              "data": images.describe(), "command": command_line()}  # fmt: skip
    if mirrored:
        result["mirrored"] = {key: getattr(mirrored, key) for key in ("error", "error_low", "error_high", "loss")}
    if not json:
        print(f"{model}: {replace(module.match, warning=None)}")  # the warning was shown when it was loaded
        what = "share of wrong labels" if images.several else "error"
        told5 = not images.several and len(images.classes) > 5
        top5 = f"top-5 error {say.percent(found.top5)}, " if told5 else ""
        print(
            f"{what} {found.error:.2f} % (95 % interval {found.error_low:.2f} to {found.error_high:.2f}), "
            f"{errors.beside(found.balanced, found.majority, several=images.several)}, "
            f"{top5}loss {found.loss:.4f}, n = {found.n}, {found.views} in "
            f"{found.precision}, {described(part_name, len(chosen), len(chosen), images.name)}; normalization: {how}"
        )
        if mirrored:
            print(
                f"averaged with each mirror image: {what} {mirrored.error:.2f} % (95 % interval "
                f"{mirrored.error_low:.2f} to {mirrored.error_high:.2f}), loss {mirrored.loss:.4f}"
            )
        errors.explain(result, classes=len(images.classes))
    report = keep(model, result, lambda run: keep_pictures(run, images, found))
    if json:
        say.as_json({**result, "match": str(module.match), "report": report})
    elif report:
        if of_its_data(Run(model), result) and result["part"] == "test":
            errors.repeats(Run(model))
        print(f"{which_counts(Run(model), result)}report: {report}\nnext:   reslab predict {quote(str(model))} FILES")
    elif not model.is_dir():
        print("next:   reslab train --help")


def sides(words: list[str]) -> tuple[int, ...]:
    """Pixels from 224,256 or 224 256."""
    numbers = [word for text in words for word in text.split(",") if word]
    if not all(word.isdigit() and int(word) > 0 for word in numbers):
        raise UsageError(f"scales must be pixels such as 224,256,384, got {','.join(words)}")
    return tuple(map(int, numbers))


def gather(
    model: Path, net: str | None, data: str | None, norms: dict[str, Any], net_options: dict[str, Any],
    options: dict[str, Any],
) -> tuple[Any, Any, Any, str]:  # fmt: skip
    """The net, the data and the normalization with its name, from a run folder or from the flags."""
    from reslab.images.data import Normalize, load, measure
    from reslab.images.matching import fitted
    from reslab.images.train import like_run, stored_data
    from reslab.nets import load as load_net

    if model.is_dir():
        run = Run(model)
        refuse_other_uses(run)
        asked = {key: value for key, value in norms.items() if value}
        alone = {**asked, **(options if data is None else {})}
        if alone:
            left_out = " ".join(say.flags(alone)) + ("" if asked else ", or add --data")
            raise UsageError(f"{model} is a run folder and has its own data and normalization: leave out {left_out}")
        module = load_net(model, net, **net_options)
        images = stored_data(run) if data is None else load(data, **{**like_run(run, data), **options})
        about = run.read_json("data.json")
        images = fitted(module.spec, images, about.get("classes"), several=bool(about.get("several")))
        return module, images, Normalize.from_dict(run.read_json("normalize.json", "mean", "std")), "the run's"
    if not model.exists():
        raise UsageError(f"{model}: no such run folder or file")
    if net is None or data is None:
        raise UsageError(f"{model} is a checkpoint file: name its net with --net and the data with --data")
    images = load(data, **options)
    channels, height, width = images.shape
    sizes = {"classes": len(images.classes), "channels": channels, "size": min(height, width)}
    module = load_net(model, net, **{**sizes, **net_options})
    if norms["mean_std"]:
        from reslab.images.data.normalize import given as own

        numbers = " ".join(f"{value:g}" for value in norms["mean_std"])
        return module, images, own(norms["mean_std"], channels=channels), f"mean and std {numbers}"
    chosen: Any = norms["normalize"] or "imagenet"
    return module, images, measure(images.train, mean=chosen, std=chosen == "imagenet"), chosen


def refuse_other_uses(run: Run) -> None:
    """Raise UsageError if the run's net is not for images, naming the command that evaluates it."""
    if not run.has("spec.json"):
        return
    use = use_of(run.folder)
    if use in EVALUATED_BY:
        command = EVALUATED_BY[use].format(quote(str(run.folder)))
        raise UsageError(f"{run.folder} holds a net for {use}, not for images; use `{command}`")


def of_its_data(run: Run, result: dict[str, Any]) -> bool:
    return bool(run.read_json("data.json").get("fingerprint") == result["data"]["fingerprint"])


def which_counts(run: Run, result: dict[str, Any]) -> str:
    """Which of two test errors is the run's, if they differ in nothing but the precision they were measured in."""
    if result["part"] != "test" or result["views"] != "single view" or result["precise_bn"]:
        return ""
    if not of_its_data(run, result) or not run.has("results/train.json"):
        return ""
    trained = run.read_json("results/train.json")
    before, error = (trained.get("choice") or {}).get("precision"), trained.get("test_error")
    if error is None or before in (None, result["precision"]):
        return ""
    return (f"the run's test error is this one, measured in {result['precision']}; at the end of training it was "
            f"{error:.2f} %, measured in {before}\n")  # fmt: skip


def keep_pictures(run: Run, images: Any, found: Any) -> None:
    """Store what the page shows of single test images of the run's own data."""
    from reslab.images.pictures.keep import keep as keep_them

    single = found.views == "single view"  # the temperature was fitted on its scores, not on means of several views
    trained = run.read_json("results/train.json") if single and run.has("results/train.json") else {}
    keep_them(run, images, (found.scores, images.test.labels), views=found.views, precision=found.precision,
              error=found.error, balanced=found.balanced, majority=found.majority,
              temperature=(trained.get("temperature") or {}).get("temperature"))  # fmt: skip


def keep(model: Path, result: dict[str, Any], pictures: Callable[[Run], None]) -> str | None:
    """Store the result in a run folder and redraw its page; for a checkpoint file, do nothing.

    eval.json is the test error on the run's own data, the headline of its page; other data get separate files.
    `pictures` stores what belongs to the headline.
    """
    if not model.is_dir():
        return None
    from reslab.report import write

    run = Run(model)
    own = of_its_data(run, result)
    parts = ["eval", *([] if own else [slug(result["data"]["name"])])]
    parts += [result["part"]] if result["part"] in ("train", "validation") else []
    try:
        store(run, "-".join(parts), result, of=result["data"]["fingerprint"])
        if parts == ["eval"] and result["part"] == "test":
            pictures(run)
        return str(write(model))
    except ReslabError as error:
        # The measurement is printed anyway. The error's advice is omitted: there is no --out here.
        warnings.warn(f"the result is not on the page of the run: {say.words(error).partition(';')[0]}", stacklevel=2)
        return None
