"""Two network namespaces of this machine as two hosts: they share the disk and nothing of the network but one cable."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from launch_trainings import QUICK, changed, counted, end, ranks_of, start

from reslab.run import Run

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="network namespaces")]
ADDRESSES = ("10.231.77.1", "10.231.77.2")


def ip(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["ip", *words], capture_output=True, text=True, check=False)


@pytest.fixture
def hosts() -> Iterator[list[tuple[str, ...]]]:
    """For each of two hosts, the words before a command that runs it there. Skips where they are not permitted."""
    names = [f"reslab{os.getpid()}{k}" for k in "ab"]
    try:
        made = [ip("netns", "add", name) for name in names]
    except FileNotFoundError:
        pytest.skip("there is no `ip` here")
    try:
        for one in made:
            if one.returncode:
                pytest.skip(f"network namespaces are not permitted here: {one.stderr.strip()}")
        cables = [f"rl{os.getpid() % 100_000}{k}" for k in "ab"]
        cable = ["type", "veth", "peer", "name", cables[1], "netns", names[1]]
        words = [["link", "add", cables[0], "netns", names[0], *cable]]
        for name, cable_end, address in zip(names, cables, ADDRESSES, strict=True):
            words.append(["-n", name, "addr", "add", f"{address}/24", "dev", cable_end])
            words += [["-n", name, "link", "set", device, "up"] for device in (cable_end, "lo")]
        for one in words:
            done = ip(*one)
            if done.returncode:
                pytest.skip(f"ip {' '.join(one)}: {done.stderr.strip()}")
        yield [("ip", "netns", "exec", name) for name in names]
    finally:
        for name in names:
            ip("netns", "del", name)


@pytest.mark.timeout(3600)
def test_a_rank_of_the_other_host_is_killed(
    hosts: list[tuple[str, ...]], pngs: Path, tmp_path: Path, same_end: Any
) -> None:
    """The bits of an unbroken training by as many processes on one machine; each example once in each epoch."""
    whole, broken = Run(tmp_path / "whole"), Run(tmp_path / "broken")
    words = {run: ["train", "--net", "resnet8", "--recipe", "digits", "--data", str(pngs), "--out", str(run.folder),
                   "--batch", "8", "--iterations", "300", "--checkpoint-seconds", "0.3", *QUICK]
             for run in (whole, broken)}  # fmt: skip
    alone = start(tmp_path / "notes-whole", words[whole], nproc=2)
    try:
        assert alone.wait(timeout=1200) == 0
    finally:
        end(alone)
    notes = tmp_path / "notes-broken"
    both = [start(notes, words[broken], before=before, nproc=1, nodes=2, node=node, master=f"{ADDRESSES[0]}:29400")
            for node, before in enumerate(hosts)]  # fmt: skip
    limit = time.monotonic() + 1200
    try:
        first = 0
        while not first or changed(broken) == first:  # the second checkpoint, which is in the middle of the training
            assert time.monotonic() < limit, "there was no checkpoint"
            time.sleep(0.05)
            first = first or changed(broken)
        (rank,) = ranks_of(both[1].pid)
        os.kill(rank, signal.SIGKILL)
        codes = [one.wait(timeout=1200) for one in both]
    finally:
        end(*both)
        printed = [(notes / f"printed.{node}").read_text() for node in (0, 1)]
        print(*printed, sep="\n--- the other host:\n")
    assert codes == [0, 0]
    why = "machine 1: rank 1 was killed by signal 9 (SIGKILL; out of memory?); restarting all processes"
    assert [text.count(why) for text in printed] == [1, 1]
    assert "trained resnet8" in printed[0]
    assert "trained resnet8" not in printed[1]
    assert all(set(epoch.values()) == {1} for epoch in counted(notes, examples=48))
    same_end(whole, broken)
