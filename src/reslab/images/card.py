"""The model card of a run: README.md in its folder, with the numbers that the run measured."""

from typing import Any

from reslab.run import Run


def write_card(run: Run, result: dict[str, Any]) -> None:
    """Say what was trained on what, how well it does, and how to use and repeat it."""
    data, env = run.read_json("data.json"), run.read_json("env.json")
    choice = result["choice"]
    run.write_text(
        "README.md",
        f"""# {result["net"]} on {data["name"]}

{result["parameters"]:,} parameters, {result["macs"]:,} multiply-adds an image. {data["about"]}

| | |
|---|---|
| test error | {result["test_error"]:.2f} % (top-1, single view, n = {result["test_n"]}, one seed) |
| training error | {result["train_error"]:.2f} % (last epoch, while training) |
| length | {result["iterations"]:,} iterations of {result["batch"]}, seed {result["seed"]}, {result["seconds"]:,.0f} s |
| on | {env["device_name"]} ({env["device"]}), {env["threads"]} threads, torch {env["torch"]} |
| in | {choice["precision"]} {choice["memory_format"]}{" compiled" if choice["compile"] else ""} |
| data fingerprint | {data["fingerprint"][:16]} |

```python
import reslab

net = reslab.load("{run.folder}")  # in eval mode; inputs normalized as normalize.json says
```

Made by `{result["command"]}`, reslab {env["reslab"]}. The recipe is recipe.toml; the page is report.html.
""",
    )
