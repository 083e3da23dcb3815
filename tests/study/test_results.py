"""What docs/results.md shows of a study is printed from its study.json."""

import subprocess
import sys
from pathlib import Path

from reslab.run import Run
from reslab.study.degradation import summarize
from reslab.study.verdict import verdicts

ROOT = Path(__file__).parents[2]


def test_the_table_and_the_verdicts_in_markdown(tmp_path: Path) -> None:
    errors = {"plain20": (0.0, 0.0), "plain56": (90.0, 80.0), "resnet20": (0.0, 1.0), "resnet56": (0.0, 0.0)}
    runs = [
        {"net": net, "kind": "plain" if net[0] == "p" else "residual", "depth": int(net[-2:]), "seed": seed,
         "parameters": 7, "train_n": 1000, "test_n": 1000, "train_error": error, "train_error_eval": error,
         "test_error": error + 2, "iterations": 225}
        for net, each in errors.items() for seed, error in enumerate(each)
    ]  # fmt: skip
    found = verdicts(runs)
    study = {"runs": runs, "recipe": {"batch": 128}, "command": "reslab study degradation"}
    Run(tmp_path).write_json("study.json", {**study, "table": summarize(runs), "verdicts": found})
    words = [sys.executable, str(ROOT / "bench" / "results.py"), str(tmp_path)]
    printed = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
    assert printed[0] == "225 iterations of 128, reslab study degradation"
    assert printed[5] == "| plain56 | 2 | 85.00 ± 7.07 % | 85.00 ± 7.07 % | 87.00 ± 7.07 % |"
    first = found[0]
    assert printed[9] == (
        f"- Does depth hurt the plain net's training error? **{first['answer']}**. {first['sentence']} "
        f"{first['statistic']['words']}."
    )
