"""Run as a program: an epoch over a data set that stays encoded, and the memory of all its processes on the way.

python memory.py WORD CACHE WORKERS -> {"images": 4000, "early": [bytes of each process], "late": [...]}
"""

import json
import os
import sys
from pathlib import Path

import torch

from reslab.images.data import Augment, Normalize, load, training_batches

BATCH = 50


def memory(pid: int | str) -> int:
    """Resident bytes, with those of mapped files."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def processes() -> list[int]:
    """The memory of this process and of its workers."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [memory("self"), *map(memory, children)]


def main(word: str, cache: str, workers: int) -> None:
    torch.set_num_threads(1)
    data = load(word, memory=0, root=Path(cache))
    steps, seen, early, late = len(data.train) // BATCH, 0, [], []
    zero = Normalize.from_dict({"mean": [[[0.0]]] * 3, "std": [[[1.0]]] * 3})
    stream = training_batches(data.train, batch=BATCH, start=0, stop=steps, seed=0, augment=Augment(kind="none"),
                              normalize=zero, device="cpu", workers=workers)  # fmt: skip
    for batch in stream:
        seen += len(batch.index)
        if batch.iteration == steps // 8:
            early = processes()
        if batch.iteration == steps - 5:  # the workers end with the last step
            late = processes()
    print(json.dumps({"images": seen, "early": early, "late": late}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
