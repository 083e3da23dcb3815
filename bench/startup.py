"""How much CPU time the command line takes before it answers, against Python's own start and `import torch`.

    python bench/startup.py [--rounds 9]

User and system seconds of a whole process, bytecode cached; the median of the rounds, each round running all rows in
turn. `reslab --help` should stay under 0.4 s and `reslab nets` under 1.5 s: neither may import torch.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys

ROWS = {
    "python alone": ["-c", ""],
    "import torch": ["-c", "import torch"],
    "reslab --help": ["-m", "reslab", "--help"],
    "reslab train --help": ["-m", "reslab", "train", "--help"],
    "reslab nets": ["-m", "reslab", "nets"],
    "reslab nets resnet50": ["-m", "reslab", "nets", "resnet50"],
    "reslab doctor": ["-m", "reslab", "doctor"],
}


def spent(words: list[str]) -> float:
    """CPU seconds of one process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, *words], stdout=subprocess.DEVNULL, env=environment, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    found: dict[str, list[float]] = {name: [] for name in ROWS}
    for words in ROWS.values():
        spent(words)  # writes the bytecode
    for _ in range(rounds):
        for name, words in ROWS.items():
            found[name].append(spent(words))
    for name, seconds in found.items():
        print(f"{name:<22} {statistics.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f}, n={rounds})")


if __name__ == "__main__":
    main()
