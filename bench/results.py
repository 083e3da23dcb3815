"""The table and the verdicts of a degradation study as docs/results.md shows them: python bench/results.py runs/demo"""

import sys
from pathlib import Path

from reslab.run import Run
from reslab.statistics import plus_minus


def lines(study: dict) -> list[str]:
    """Markdown: a line per net with mean ± standard deviation over seeds, then an item per question."""
    head = "| net | n | training error, last epoch | training error, final weights | test error |"
    found = [head, "|---|---|---|---|---|"]
    for row in study["table"]:
        parts = ("train", "train_eval", "test")
        errors = [plus_minus(row[f"{part}_mean"], row[f"{part}_std"], unit="%") for part in parts]
        found.append(f"| {row['net']} | {row['n']} | {' | '.join(errors)} |")
    found.append("")
    for one in study["verdicts"]:
        found.append(f"- {one['question']} **{one['answer']}**. {one['sentence']} {one['statistic']['words']}.")
    return found


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python bench/results.py FOLDER, the folder of a finished study")
    study = Run(Path(sys.argv[1])).read_json("study.json")
    print(f"{study['runs'][0]['iterations']:,} iterations of {study['recipe']['batch']}, {study['command']}\n")
    print("\n".join(lines(study)))
