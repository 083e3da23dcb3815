"""reslab train: from a net, data and a recipe to a run folder."""

from pathlib import Path
from shlex import quote
from typing import Annotated, Any

from cyclopts import Parameter

from reslab.cli import errors, ranks, say
from reslab.cli import lr_find as lr_find_verb
from reslab.cli.launch import ProcessFlags, launched
from reslab.cli.options import DataFlags, Json, NetFlags, RecipeFlags, data_options, given
from reslab.cli.resume import Resume, to_resume
from reslab.errors import UsageError
from reslab.run import Run, command_line
from reslab.train.made_once import for_all


def train(
    *,
    net: Annotated[
        str | None,
        Parameter(
            help="Name of a net (`reslab nets` lists them; default: by the size of the images), timm:NAME, "
            "torchvision:NAME, hf:NAME, a Hugging Face folder, or FILE.py:FUNCTION (your Python file is run)."
        ),
    ] = None,
    data: Annotated[
        str | None,
        Parameter(
            help="digits (default; with --weights RUN, the run's own data), cifar10, cifar100, mnist, fashion-mnist, a "
            "folder, a CSV list, a parquet file, .tar shards or hf:NAME (Hugging Face)."
        ),
    ] = None,
    recipe: Annotated[
        str | None, Parameter(help="Name of a recipe or a TOML file (default: one that suits the data).")
    ] = None,
    out: Annotated[Path | None, Parameter(help="Run folder (default: runs/DATA-NET-RECIPE-OPTIONS-sSEED).")] = None,
    start: Annotated[
        str | None,
        Parameter(
            name=("--weights", "--start"),
            help="Start from the weights of a run or checkpoint file, or `default`: the pretrained ones of the net's "
            "library. The head is replaced if the classes differ.",
        ),
    ] = None,
    resume: Resume = False,
    lr_find: Annotated[
        bool,
        Parameter(
            help="Do not train: find a learning rate by the range test, draw it as lr-find.html (or as --out, an HTML "
            "file), and print the command that uses it.",
            negative=(),
        ),
    ] = False,
    device: Annotated[str, Parameter(help="Device: auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    net_flags: NetFlags | None = None,
    data_flags: DataFlags | None = None,
    recipe_flags: RecipeFlags | None = None,
    processes: ProcessFlags | None = None,
    json: Json = False,
) -> None:
    """Train a net. Run the same command again to resume; if the run is already finished, nothing happens."""
    if resume and lr_find:
        raise UsageError("--lr-find finds a rate for a new run: leave out --resume")
    if lr_find and processes:
        raise UsageError("--lr-find runs in one process: leave out --nproc")
    if lr_find:
        ranks.refuse_several("--lr-find")
    launched(processes)
    settings, options = given(recipe_flags), data_options(data_flags)
    with ranks.together() as world:
        world.agreed(lambda: world.device(device))  # before a folder is made
        if resume:
            asked = {"net": net, "data": data, "recipe": recipe, "start": start, **given(net_flags), **options}
            run, loaded = for_all(world, lambda: (to_resume("images", out, {**asked, **settings}), None))
        else:
            from reslab.images.plan import Asked
            from reslab.images.setup import set_up

            asked_for = Asked(data=data, net=net, net_options=given(net_flags), recipe=recipe, changes=settings,
                              options=options, start=start, command=command_line())  # fmt: skip
            if lr_find:
                lr_find_verb.find(asked_for, out=out, device=device, json=json)
                return
            run, loaded = for_all(world, lambda: set_up(asked_for, out))
        from reslab.subject.train import train_and_show
        from reslab.train.folder import finished

        before = finished(run.folder)
        result, page = train_and_show(run, loaded, device=device, world=world)
        if world.leads:
            show(run, result, page, before=before, json=json)


def show(run: Run, result: dict[str, Any], page: Path, *, before: bool, json: bool) -> None:
    """Print the result of a training. `before`: it was finished already."""
    from reslab.images.card import training_error

    if json:
        say.as_json({"folder": str(run.folder), "report": str(page), **result})
        return
    print(
        f"{run.folder} is already finished; nothing to do" if before else f"trained {result['net']} on {result['data']}"
    )
    print(
        f"test error {say.percent(result['test_error'])} (n = {result['test_n']}, in "
        f"{result['choice']['precision']}{kept(result)}), "
        f"training error {training_error(run, result)}, {result['iterations']} iterations, "
        f"{result['seconds']:.0f} s"
    )
    print(errors.beside(result.get("test_balanced"), result.get("test_majority"), several="several" in result,
                        part="test "))  # fmt: skip
    errors.explain(result, classes=len(run.read_json("data.json").get("classes") or ()), start="test_")
    say.skipped(result["skipped"])
    errors.repeats(run)
    print(f"report: {page}\nnext:   reslab eval {quote(str(run.folder))}")


def kept(result: dict[str, Any]) -> str:
    """Which net was kept, if it is the one with the best validation."""
    iteration = result.get("kept_iteration")
    return "" if iteration is None else f"; best by validation, iteration {iteration:,} of {result['iterations']:,}"
