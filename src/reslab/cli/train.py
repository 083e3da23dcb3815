"""reslab train: from a net, data and a recipe to a run folder."""

from pathlib import Path
from shlex import quote
from typing import Annotated, Any

from cyclopts import Parameter

from reslab.cli import say
from reslab.cli.folders import changed, prepared, source, words
from reslab.cli.options import DataFlags, Json, NetFlags, RecipeFlags, data_options, given
from reslab.cli.resume import Resume, to_resume
from reslab.run import Run, command_line, slug
from reslab.train.recipe import Recipe, draft, read

RECIPES = {"digits": "digits", "cifar10": "paper-cifar", "cifar100": "paper-cifar", "mnist": "mnist"}


def train(
    *,
    net: Annotated[
        str | None,
        Parameter(
            help="Name of a net (`reslab nets` lists them; default: resnet20), timm:NAME, torchvision:NAME, hf:NAME, a "
            "Hugging Face folder, or FILE.py:FUNCTION (your Python file is run)."
        ),
    ] = None,
    data: Annotated[
        str | None,
        Parameter(
            help="digits (default), cifar10, cifar100, mnist, fashion-mnist, a folder, a CSV list, a parquet file "
            "or hf:NAME (Hugging Face)."
        ),
    ] = None,
    recipe: Annotated[
        str | None, Parameter(help="Name of a recipe or a TOML file (default: the recipe made for the data).")
    ] = None,
    out: Annotated[Path | None, Parameter(help="Run folder (default: runs/DATA-NET-RECIPE-OPTIONS-sSEED).")] = None,
    start: Annotated[str | None, Parameter(help="Start from the weights of this run or checkpoint file.")] = None,
    resume: Resume = False,
    device: Annotated[str, Parameter(help="Device: auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    net_flags: NetFlags | None = None,
    data_flags: DataFlags | None = None,
    recipe_flags: RecipeFlags | None = None,
    json: Json = False,
) -> None:
    """Train a net. Run the same command again to resume; if the run is already finished, nothing happens."""
    run, loaded = None, None
    if resume:
        asked = {
            "net": net,
            "data": data,
            "recipe": recipe,
            "start": start,
            **given(net_flags),
            **data_options(data_flags),
        }
        run = to_resume("images", out, {**asked, **given(recipe_flags)})
    from reslab.images.data import load
    from reslab.images.train import prepare
    from reslab.nets import spec
    from reslab.train.folder import finished, pick_device

    pick_device(device)  # before a folder is made
    if run is None:
        net, data = net or "resnet20", "digits" if data is None else data
        name = recipe or RECIPES.get(data, "paper-cifar")
        chosen, _ = draft(name, given(recipe_flags))
        options = loading(data_flags, chosen)
        loaded = load(data, **options)
        if recipe is None and loaded.digits and chosen.flip:
            name = "mnist"
        chosen = read(name, **given(recipe_flags))
        built = spec(net, **given(net_flags))
        about: dict[str, Any] = {"net": built, "data": loaded, "word": data, "recipe": chosen, "options": options,
                                 "command": command_line(), "start": start}  # fmt: skip
        if out:
            run = prepare(out, **about)
        else:
            plain = spec(net)
            changes = {key: value for key, value in given(net_flags).items() if spec(net, **{key: value}) != plain}
            changes |= {key: value for key, value in options.items() if key == "size"}
            first, mark = f"{slug(loaded.name)}-{plain.name}-{slug(Path(name).stem)}", f"-s{chosen.seed}"
            named = f"{first}{words({**changes, **changed(given(recipe_flags), name), **source(start)})}{mark}"
            run = prepared((named, first + mark), lambda folder: prepare(folder, **about))
        loaded.announce()
    before = finished(run.folder)
    result = work(run, loaded, device)
    page = run.path("report.html")
    if not before or not page.exists():
        from reslab.report import write as write_report

        page = write_report(run.folder)
    if json:
        say.as_json({"folder": str(run.folder), "report": str(page), **result})
        return
    print(
        f"{run.folder} is already finished; nothing to do" if before else f"trained {result['net']} on {result['data']}"
    )
    print(
        f"test error {say.percent(result['test_error'])} (n = {result['test_n']}, in {result['choice']['precision']}), "
        f"training error {say.percent(result['train_error'])} in the last epoch, {result['iterations']} iterations, "
        f"{result['seconds']:.0f} s"
    )
    say.balanced(result.get("test_balanced"), result.get("test_majority"),
                 len(run.read_json("data.json").get("classes") or ()))  # fmt: skip
    say.skipped(result["skipped"])
    print(f"report: {page}\nnext:   reslab eval {quote(str(run.folder))}")


def work(run: Run, data: Any, device: str) -> dict[str, Any]:
    """Train with a progress bar."""
    from reslab.images.train import train as train_folder
    from reslab.progress import shown

    with shown(run.folder.name) as progress:
        return train_folder(run.folder, data=data, device=device, progress=progress)


def loading(flags: Any, recipe: Recipe) -> dict[str, Any]:
    """The data's flags, with the loading options that the recipe needs."""
    # `scale` decodes the file again for every size, so nothing is kept decoded; `resized-crop` crops original images.
    needed: dict[str, dict[str, Any]] = {"scale": {"memory": 0}, "resized-crop": {"crops": True}}
    return {**data_options(flags), **needed.get(recipe.augment, {})}
