"""Files of torch.save made to be slow: refused before they are read, while real checkpoints pass."""

import io
import time
import zipfile
from pathlib import Path

import pytest
import torch

from reslab.errors import ReslabError
from reslab.stored.pickles import check_bounds
from reslab.stored.tensors import inside, read_saved

N = 2_000_000
PICKLES = {
    "nested": b"\x80\x02" + b"]" * N + b"a" * (N - 1) + b".",
    "empty": b"\x80\x02](" + b"]" * N + b"e.",
    "dictionaries": b"\x80\x02](" + b"}" * N + b"e.",
    "tuples": b"\x80\x02)" + b"\x85" * N + b".",
}


def archive(path: Path, content: dict[str, bytes], *, deflated: bool = False) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if deflated else zipfile.ZIP_STORED) as file:
        for name, data in content.items():
            file.writestr(f"a/{name}", data)
    return path


def refused(path: Path, said: str) -> None:
    began = time.process_time()
    with pytest.raises(ReslabError, match=rf"{path.name} is damaged or not a checkpoint: {said}"):
        read_saved(path)
    assert time.process_time() - began < 2


@pytest.mark.parametrize("what", PICKLES)
@pytest.mark.parametrize("how", ["stored", "deflated", "legacy"])
def test_millions_of_lists_are_refused_at_once(what: str, how: str, tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    if how == "legacy":
        buffer = io.BytesIO()
        torch.save([], buffer, _use_new_zipfile_serialization=False)
        start = buffer.getvalue()
        path.write_bytes(start[: start.index(b"]q\x00.") - 2] + PICKLES[what])
    else:
        archive(path, {"data.pkl": PICKLES[what], "version": b"3\n"}, deflated=how == "deflated")
    refused(path, "its pickle has more than 300,[0-9]+ steps")


def test_a_record_that_claims_far_more_than_the_file_has(tmp_path: Path) -> None:
    """200 MB of zeros, deflated a thousandfold."""
    path = archive(tmp_path / "x.pt", {"data.pkl": b"\x80\x02].", "data/0": bytes(200_000_000)}, deflated=True)
    refused(path, "its 2 records claim 200,000,004 bytes, and the file has")


@pytest.mark.parametrize("new", [True, False])
def test_a_checkpoint_of_many_tensors_passes(new: bool, tmp_path: Path) -> None:
    """5,000 tensors with long names; in each format a tensor takes fewer than 40 steps of its pickle."""
    state = {f"encoder.layers.{k}.attention.projection.weight": torch.full((2,), float(k)) for k in range(5000)}
    torch.save({"model": state, "epoch": 3}, tmp_path / "x.pt", _use_new_zipfile_serialization=new)
    assert read_saved(tmp_path / "x.pt")["model"]["encoder.layers.7.attention.projection.weight"].tolist() == [7, 7]


def test_a_small_checkpoint_may_be_deflated(tmp_path: Path) -> None:
    torch.save({"w": torch.zeros(10_000)}, tmp_path / "x.pt")
    with zipfile.ZipFile(tmp_path / "x.pt") as file:
        content = {one.partition("/")[2]: file.read(one) for one in file.namelist()}
    assert check_bounds(archive(tmp_path / "y.pt", content, deflated=True)) is None


def test_lists_that_hold_one_another_many_times_are_searched_once() -> None:
    """A thousand times a thousand ... eight levels deep: 10**24 ways to one tensor."""
    value: list[object] = [torch.zeros(1)]
    for _ in range(8):
        value = [value] * 1000
    assert sum(1 for _ in inside(value[0], torch.Tensor)) == 1
