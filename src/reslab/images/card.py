"""The model card of a run: README.md in its folder, with the numbers measured in the run."""

import re
from typing import Any

from reslab.errors import one_line, python
from reslab.run import Run
from reslab.train.folder import read_recipe
from reslab.train.recipe import Recipe


def write_card(run: Run, result: dict[str, Any]) -> None:
    """Write what was trained on which data, the errors, and how to use and reproduce the net."""
    data = run.read_json("data.json", "name", "about", "fingerprint")
    env = run.read_json("env.json", "device_name", "device", "threads", "torch", "reslab")
    choice = result["choice"]
    how = "".join(f" {word}" for key, word in (("fused", "fused"), ("compile", "compiled")) if choice.get(key))
    n = f"{result['test_n']}{kept(result)}"
    decided = "share of wrong labels" if result.get("several") else "top-1"
    run.write_text(
        "README.md",
        f"""# {result["net"]} on {one_line(data["name"])}

{result["parameters"]:,} parameters, {result["macs"]:,} multiply-adds per image. {one_line(data["about"])}

| | |
|---|---|
| test error | {result["test_error"]:.2f} % ({choice["precision"]}, {decided}, single view, n = {n}) |
{beside(result)}
| training error | {training_error(run, result)} |
| trained for | {result["iterations"]:,} steps of {result["batch"]}, seed {result["seed"]}, {result["seconds"]:,.0f} s |
| device | {env["device_name"]} ({env["device"]}), {env["threads"]} threads, torch {env["torch"]} |
| precision | {choice["precision"]} {choice["memory_format"]}{how} |
| data fingerprint | {data["fingerprint"][:16]} |

```python
import reslab

net = reslab.load({python(str(run.folder))})  # a torch.nn.Module in eval mode
print(net.predict("image.png"))  # images are read, resized and normalized as in training
```

Trained with {code(result["command"])}, reslab {env["reslab"]}. Recipe: recipe.toml. Report: report.html.
""",
    )


def training_error(run: Run, result: dict[str, Any]) -> str:
    """The training error in words: during the last epoch, or of the trained net where the images were mixed.

    Under mixup and cutmix the one of the epoch counts shares of images, which is no error of classes.
    """
    recipe = read_recipe(run) if run.has("recipe.toml") else Recipe()
    if (recipe.mixup or recipe.cutmix) and result.get("train_error_eval") is not None:
        return f"{result['train_error_eval']:.2f} % (of the trained net, without mixing images)"
    return f"{result['train_error']:.2f} % (during the last epoch)"


def kept(result: dict[str, Any]) -> str:
    """Which net was kept, if it is not the last."""
    iteration = result.get("kept_iteration")
    return "" if iteration is None else f"; best by validation, iteration {iteration:,}"


def beside(result: dict[str, Any]) -> str:
    """The rows of the balanced error, of what a net that learned nothing would get, and of several labels' scores."""
    rows = {"balanced test error": "test_balanced", "error of always predicting the most frequent class":
            "test_majority"}  # fmt: skip
    if result.get("several"):
        rows = {"balanced test error, mean over labels": "test_balanced",
                "error of always predicting each label's more frequent value": "test_majority",
                "images with a wrong label": "test_exact_error", "F1 of all decisions": "test_f1_micro",
                "mean F1 of the labels": "test_f1_macro", "mean average precision": "test_mean_ap"}  # fmt: skip
    found = ((name, result.get(key)) for name, key in rows.items())
    return "\n".join(f"| {name} | {value:.2f} % |" for name, value in found if value is not None)


def code(text: str) -> str:
    """Text as inline code of Markdown, fenced by more backticks than it holds in a row."""
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    space = " " * (len(fence) > 1)
    return f"{fence}{space}{one_line(text)}{space}{fence}"
