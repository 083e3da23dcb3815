"""The settings of a claim's file: which keys each experiment, look and model has, and of what type."""

from dataclasses import dataclass
from typing import Any, Literal

Table = dict[str, Any]
Count = Literal["parameters", "macs", "receptive_field", "parameters_held", "macs_run", "receptive_field_seen"]
Scale = Literal["difference", "decades"]


@dataclass(frozen=True)
class Key:
    """One key of a table of settings."""

    kind: Any
    about: str
    needed: bool = False


TRAIN = {
    "recipe": Key(str, "name of a recipe of reslab"),
    "net": Key(str, "name of a net, such as plain20"),
    "options": Key(Table, "options of the net, such as widths = [8, 16, 32]"),
    "changes": Key(Table, "changes of the recipe, such as epochs = 20"),
}
ARM = {
    "label": Key(str, "its name on the page"),
    "metric": Key(str, "its own metric"),
    "look": Key(Table, "what it changes of settings.look"),
}
CURVE = {
    "x": Key(str, "name of a list in the work's values", needed=True),
    "y": Key(str, "name of a list in the work's values", needed=True),
    "x_axis": Key(str, "title with its unit", needed=True),
    "y_axis": Key(str, "title with its unit", needed=True),
    "kind": Key(Literal["lines", "bars"], "of the figure (default: lines)"),
    "log_x": Key(bool, "logarithmic axis"),
    "log_y": Key(bool, "logarithmic axis"),
    "beside": Key(tuple[str, str], "name of a second list that is drawn, and what the page calls it"),
}
MADE = {
    "train": Key(Table, "the training of a net on images: recipe, net, options, changes"),
    "model": Key(Table, "or another model that is trained: its work and the settings of that work"),
    "look": Key(Table, "a measurement of the trained model: its work and the settings of that work"),
}
AXIS = {"axis": Key(str, "title of the figure's axis, with its unit", needed=True)}
METRIC = {"metric": Key(str, 'name of a number in the values of the last work; also "one - another"', needed=True)}
ARMS = {"a": Key(Table, "an arm: what it changes of train (or model) and look", needed=True),
        "b": Key(Table, "the other arm")}  # fmt: skip
EXPERIMENTS: dict[str, dict[str, Key]] = {
    "both": {**MADE, "a": ARMS["a"], "b": Key(Table, "the other arm", needed=True), **AXIS,
             "metrics": Key(dict[str, str], "NAME = what the page calls it, of numbers in the values", needed=True)},
    "by-depth": {**MADE, **ARMS, **METRIC, **AXIS,
                 "depths": Key(list[int], "in increasing order", needed=True),
                 "scale": Key(Scale, "a - b, or log10(a / b)", needed=True),
                 "effect": Key(Literal["least", "greatest", "greatest of a", "growth"],
                               "of the depths' differences the least or the greatest; of arm a alone the greatest "
                               "number, or the growth from the least depth to the greatest", needed=True)},
    "compare": {**MADE, **ARMS, "metric": Key(str, METRIC["metric"].about),
                "statistic": Key(Literal["rank", "slope", "power", "largest_step"],
                                 "instead of metric: a number that says the form of the curve"),
                "curve": Key(Table, "what the figure shows: x, y, x_axis, y_axis, kind, log_x, log_y, beside"),
                "scale": Key(Scale, "a - b (default), or log10(a / b)"), "axis": Key(str, AXIS["axis"].about)},
    "counted": {"pairs": Key(list[tuple[str, str]], "the two nets of each case", needed=True),
                "options": Key(dict[Literal["a", "b"], Table], "a and b: options of the first and the second nets"),
                "metrics": Key(list[Count], "each is an effect of each pair", needed=True),
                "names": Key(tuple[str, str], "of the first and the second nets, for the figure"),
                "scale": Key(Literal["difference", "percent", "per layer"],
                             "a - b, 100 (a / b - 1), or (a - b) / (layers of a - layers of b)", needed=True),
                "field": Key(bool, "measure the receptive field, too"), **AXIS},
    "rates": {"train": MADE["train"], "nets": Key(tuple[str, str], "the shallower and the deeper", needed=True),
              "rates": Key(list[float], "learning rates, rising by one factor", needed=True),
              "guess": Key(float, "the loss of guessing: log of the number of classes", needed=True), **AXIS},
    "spread": {"train": MADE["train"], "look": MADE["look"], **METRIC, **AXIS,
               "arms": Key(dict[str, Table], "NAME = an arm, in the order of the page", needed=True),
               "nets": Key(list[str], "from the shallowest to the deepest", needed=True)},
}  # fmt: skip
OPENED = {
    "new": Key(bool, "look at the net as the training would begin with it; nothing is trained"),
    "samples": Key(int, "number of images (default 200)"),
    "part": Key(Literal["test", "train"], "of the data (default: test)"),
    "batch": Key(int, "images per pass (default: all)"),
    "gain": Key(float, "of a new net: factor of the weights of every convolution"),
    "side": Key(int, "enlarge the images to side x side pixels"),
    "wide": Key(bool, "compute in float64"),
}
LOOKS: dict[str, dict[str, Key]] = {
    "branches": OPENED,
    "depths": {**OPENED, "nets": Key(list[str], "by depth", needed=True), "rate": Key(float, "of the one step")},
    "drops": {"places": Key(list[float], "where the rate is divided, as shares of the run", needed=True),
              "window": Key(int, "lines of the log on each side"), "near": Key(int, "lines that count as one place"),
              "errors": Key(float, "standard errors that make a drop")},
    "field": {**OPENED, "share": Key(float, "of the squared gradient"), "canvases": Key(int, "images to average over")},
    "gradients": OPENED,
    "influence": OPENED,
    "jacobian": OPENED,
    "layers": {"share": Key(float, "of the layers that are removed", needed=True),
               "order": Key(Literal["least", "most"], "by influence: the least (default) or the most influential"),
               "removal": Key(Literal["cut", "deleted"], "for good by reslab.slim (default), or from the list alone")},
    "lengths": OPENED,
    "lesions": {**OPENED, "most": Key(int, "disable 1, 2, ... up to so many at random (default: none)"),
                "repeats": Key(int, "random draws for each number (default 5)"),
                "swaps": Key(list[int], "numbers of random pairs to swap")},
    "mixers": {**OPENED, "spread": Key(float, "of the random numbers added to the mixing"),
               "draws": Key(int, "how often they are drawn (default 1)")},
    "norms": {},
    "padded": OPENED,
    "paths": {**OPENED, "paths": Key(int, "sampled per length and image")},
    "readout": OPENED,
    "responses": OPENED,
    "slim": {"remove": Key(int, "number of blocks", needed=True),
             "epochs": Key(float, "of healing, and of the trainings beside it (default: none)"),
             "against": Key(Literal["norms"], "compare the disabled blocks with the cut net whose norms were averaged"),
             "heal_iterations": Key(int, "of the healing alone, instead of epochs")},
}  # fmt: skip
MODELS: dict[str, dict[str, Key]] = {
    "answers": {"encoder": Key(dict[Literal["hidden", "layers", "heads", "dropout"], float], "of random weights",
                               needed=True),
                "shortcut": Key(Literal["identity", "none"], "of the SDS head", needed=True),
                "vocabulary": Key(int, "entries", needed=True),
                "length": Key(int, "tokens of a window", needed=True), "stride": Key(int, "between windows"),
                "train_last": Key(Literal["all"] | int, "layers of the encoder that are trained", needed=True),
                "recipe": Key(str, TRAIN["recipe"].about, needed=True), "changes": TRAIN["changes"]},
    "identity": {"kind": Key(Literal["linear", "conv"], "of the layers", needed=True),
                 "residual": Key(bool, "with shortcuts"), "norm": Key(bool, "with BatchNorm (default: true)"),
                 "small": Key(float, "size of the function beside the identity"), "depth": Key(int, "layers"),
                 "rates": Key(list[float], "learning rates to choose from"), "steps": Key(int, "of each fit")},
    "table": {"preset": Key(str, "of the gated net", needed=True), "sizes": Key(Table, "of the net", needed=True),
              "changes": TRAIN["changes"]},
    "texts": {"layers": Key(int, "of the language model", needed=True), "hidden": Key(int, "width", needed=True),
              "heads": Key(int, "of attention", needed=True), "vocabulary": Key(int, "tokens", needed=True),
              "length": Key(int, "tokens of a window", needed=True), "changes": TRAIN["changes"]},
}  # fmt: skip
