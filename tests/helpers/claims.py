"""Records of `reslab claims` with invented numbers: forty claims of eight papers, of every verdict and figure."""

import json
import random
from pathlib import Path
from typing import Any

from reslab.run import Run
from reslab.statistics import mean, mean_interval

ENV = {"reslab": "0.1.0", "torch": "2.13.0", "python": "3.11.2", "device": "cpu", "device_name": "a CPU", "threads": 1}
DATA = {"name": "digits", "train": 1437, "test": 360, "classes": [str(d) for d in range(10)], "shape": [1, 8, 8],
        "fingerprint": "9f2c61d0a7b4", "about": "scikit-learn's 8 by 8 handwritten digits"}  # fmt: skip
SEEDS = [0, 1, 2, 3, 4]
PAPERS = [
    {"key": key, "authors": authors, "year": year, "title": title, "link": f"https://arxiv.org/abs/{link}"}
    for key, authors, year, title, link in (
        ("he2015", "He, Zhang, Ren and Sun", 2015, "Deep Residual Learning for Image Recognition", "1512.03385"),
        ("veit2016", "Veit, Wilber and Belongie", 2016,
         "Residual Networks Behave Like Ensembles of Relatively Shallow Networks", "1605.06431"),
        ("he2016", "He, Zhang, Ren and Sun", 2016, "Identity Mappings in Deep Residual Networks", "1603.05027"),
        ("ioffe2015", "Ioffe and Szegedy", 2015,
         "Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate Shift", "1502.03167"),
        ("greff2017", "Greff, Srivastava and Schmidhuber", 2017,
         "Highway and Residual Networks learn Unrolled Iterative Estimation", "1612.07771"),
        ("shortgpt2024", "Men et al.", 2024,
         "ShortGPT: Layers in Large Language Models are More Redundant Than You Expect", "2403.03853"),
        ("rezero2020", "Bachlechner et al.", 2020, "ReZero is All You Need: Fast Convergence at Large Depth",
         "2003.04887"),
        ("mhc2025", "Xie et al.", 2025, "mHC: Manifold-Constrained Hyper-Connections", "2512.24880"),
    )
]  # fmt: skip
TEXTS = (  # title, where, sentence, formula, three sentences, quantity
    ("Deeper plain nets train worse", "section 1, Figure 1; section 4.2, Figure 6 (left)",
     "With depth, the training error of plain nets gets higher: an optimization problem, not overfitting.",
     "train_error(plain, deep) − train_error(plain, shallow) > 0",
     ("A deeper net contains the shallower one: its added layers could be identities, so it should train at least as "
      "well.", "Plain nets, without shortcuts, do not find that solution.",
      "The error is that of the training images, so this is not overfitting."),
     "training error of plain-56 minus that of plain-20, same seed"),
    ("One block out is harmless", "section 4.1, Figure 3",
     "A trained residual net loses little when one block is disabled, but for the downsampling blocks.",
     "median_i err(net without F_i) − err(net) ≤ m",
     ("Each block can be passed by its skip, so a signal finds other paths.",
      "A plain net has one path alone: any lesion breaks it.", "Blocks that change the shape stand out."),
     "median test error with one block disabled minus that of the intact net"),
    ("The gradient through a path falls with its length", "section 4.3, Figure 6",
     "The norm of the gradient that flows through paths of length k falls exponentially with k.",
     "log ‖∂L/∂x‖_k = a − b k,  b > 0\ny = x + F(x),  dy/dx = 1 + F'(x)",
     ("The gradient splits at each block: one part takes the skip, one the branch.",
      "Each branch multiplies it by a number that is usually below one.", "Long paths therefore carry little."),
     "slope of log10 of the mean norm over path length"),
)  # fmt: skip
SHAPES = {  # verdict: direction, threshold, margin, mean, spread, p
    "holds": ("above", 0.0, 1.0, 14.2, 4.0, 0.0004), "contradicted": ("below", 0.0, 0.5, 3.1, 0.9, 0.0012),
    "equivalent": ("above", 0.0, 1.0, 0.12, 0.35, 0.52), "not shown": ("above", 0.0, 0.5, 0.9, 1.6, 0.31),
    "not run": ("same", 0.5, 0.05, 0.0, 0.0, 1.0),
}  # fmt: skip
ORDER = ("holds",) * 4 + ("not shown", "holds", "contradicted", "equivalent", "holds", "not run")


def claim(k: int) -> dict[str, Any]:
    """The k-th claim: verdicts, papers, texts and figures in turn, each with its own numbers."""
    title, where, sentence, formula, meaning, quantity = TEXTS[k % len(TEXTS)]
    verdict, dice = ORDER[k % len(ORDER)], random.Random(k)
    direction, threshold, margin, middle, spread, p = SHAPES[verdict]
    if verdict == "holds" and k % 3 == 1:
        direction, threshold, margin, middle, spread = ("same", 1.0, 0.2, 1.02, 0.05)
    elif verdict == "holds" and k % 9 == 5:
        direction, threshold, margin, middle, spread = ("exact", 0.0, 1e-6, 0.0, 1e-8)
    effects = [round(dice.gauss(middle, spread), 9) for _ in SEEDS]
    around = mean_interval(effects)
    assert around is not None
    name = "plain-degrades" if k == 0 else f"claim-of-{PAPERS[k // 5]['key']}-{k}"
    found = {
        "name": name, "group": PAPERS[k // 5]["key"], "title": title if k < 3 else f"{title}, {k}",
        "paper": PAPERS[k // 5]["key"], "where": where, "sentence": sentence, "formula": formula,
        "meaning": list(meaning), "experiment": "compare",
        "prediction": {"quantity": quantity, "unit": ("points", "", "decades")[k % 3], "direction": direction,
                       "threshold": threshold, "margin": margin,
                       "why": "On CIFAR-10 the plain nets differ by several points; one point is the least that "
                              "matters here."},
        "fixed": "2026-11-30", "hash": f"{k:02x}" + "9f2c61d0a7b4e8f1" * 3,
        "settings": {"metric": "train_error", "train": {"recipe": "digits", "changes": {"epochs": 20}}},
        "deviations": ["Widths 8, 16, 32 instead of 16, 32, 64.", "20 epochs of digits, not 164 of CIFAR-10."],
        "turns": "Depths at which plain nets still train (try 8 and 14), or a much longer training.",
        "command": f"reslab claims --only {name} --data digits", "seconds": 41.5 + k, "verdict": verdict,
    }  # fmt: skip
    if verdict == "not run":
        return found | {"why_not": "needs a trained language model: give texts with --data FOLDER"}
    unit = found["prediction"]["unit"]
    return found | {
        "answer": f"The mean effect is {mean(effects):.3g} {unit} (95 % interval {around.low:.3g} to "
                  f"{around.high:.3g}) over 5 seeds; the prediction was {direction} {threshold:g}.",
        "judged": {"n": len(SEEDS), "mean": mean(effects), "low": around.low, "high": around.high,
                   "test": f"t test of the mean over seeds against {threshold:g}", "p": p, "p_holm": min(1.0, 12 * p),
                   "p_equivalent": 0.0003 if verdict == "equivalent" else 0.7, "effects": effects,
                   "p_opposite": 0.0003 if verdict == "equivalent" else 0.7,
                   "p_opposite_holm": 0.01 if verdict == "equivalent" else 1.0, "family": 36,
                   "cases": [f"seed {seed}" for seed in SEEDS], "sees": 1.8 * margin, "power": ""},
        "figure": figure(k), "numbers": {"plain56": "24.3 %", "plain20": "8.12 %"},
    }  # fmt: skip


def figure(k: int) -> dict[str, Any]:
    """Pairs, lines with bars, lines with bands, upright bars, flat bars, in turn."""
    dice, kind = random.Random(100 + k), ("pairs", "lines", "lines", "bars", "bars")[k % 5]
    if kind == "pairs":
        series = [{"name": f"seed {s}", "x": ["plain20", "plain56"],
                   "y": [8 + dice.gauss(0, 1), 22 + dice.gauss(0, 3)]} for s in SEEDS]  # fmt: skip
        return {"kind": kind, "x": "", "y": "training error, %", "series": series, "log_y": k % 2 == 1}
    if kind == "lines":
        xs = [8, 14, 20, 32, 56] if k % 5 == 1 else list(range(1, 40))
        series = []
        for name, slope in (("plain nets", 0.4), ("residual nets", 0.05), ("initialized with N(0, 0.02)", 0.2)):
            ys = [5 + slope * x + dice.random() for x in xs]
            series.append({"name": name, "x": xs, "y": ys, "low": [y * 0.9 for y in ys], "high": [y * 1.1 for y in ys]})
        return {"kind": kind, "x": "depth, layers", "y": "gradient norm at the first layer", "series": series,
                "log_y": k % 2 == 0}  # fmt: skip
    names = ["plain20", "plain56", "resnet20", "resnet56"] if k % 5 == 3 else [
        "stages.1.0 (downsampling)", "stages.2.0 (downsampling)", "median of all other blocks",
        "the intact net"]  # fmt: skip
    ys = [10 * dice.random() + 2 for _ in names]
    made = {"name": "test error", "x": names, "y": ys, "low": [y - 1 for y in ys], "high": [y + 1 for y in ys]}
    return {"kind": kind, "x": "", "y": "test error, %", "series": [made]}


def claims(n: int = 40) -> dict[str, Any]:
    """results/claims.json of n claims."""
    return {
        "claims": [claim(k) for k in range(n)], "papers": PAPERS, "data": DATA, "edition": "quick", "seeds": SEEDS,
        "env": ENV, "command": "reslab claims --data digits --out runs/claims", "created": "2026-12-01",
        "seconds": 1093.0, "wall_seconds": 571.0,
        "families": "The tests of all predictions of this page are one family.",
        "notes": ["Seeds were lowered from 6 to 5 to stay within 20 minutes."],
    }  # fmt: skip


def write(folder: Path, stored: dict[str, Any]) -> Path:
    """A folder of `reslab claims`."""
    (folder / "results").mkdir(parents=True, exist_ok=True)
    Run(folder).write_json("results/claims.json", json.loads(json.dumps(stored)))
    return folder
