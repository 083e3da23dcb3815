"""Files that cannot be read: each in one sentence that names the file, what is wrong with it, and what to do."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from reslab.errors import ReslabError, UsageError
from reslab.nets import load, read_state
from reslab.run import Run
from reslab.stored import records
from reslab.stored.files import DEEPEST, depth, named, read_text
from reslab.stored.read import read_events, read_json, read_toml
from reslab.stored.tensors import read_inside, read_saved, read_tensors
from reslab.stored.typed import Mistyped, typed
from reslab.tables.model import load as load_table

GOLDEN = Path(__file__).parents[1] / "golden" / "folders"
READERS = (read_json, read_toml, read_events, read_tensors, read_saved)
ROOT = not hasattr(os, "geteuid") or os.geteuid() == 0


def files() -> list[Path]:
    return sorted(path for path in GOLDEN.rglob("*.json") if path.is_file())


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(GOLDEN)))
def test_stored_folders_are_of_the_types_that_the_records_say(path: Path) -> None:
    name = f"results/{path.name}" if path.parent.name == "results" else path.name
    assert read_json(path, records.kind_of(name)) == json.loads(path.read_text())


@pytest.mark.parametrize("read", READERS)
def test_a_file_that_is_not_there_or_is_a_folder(read: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere\.json: no such file"):
        read(tmp_path / "nowhere.json")
    with pytest.raises(UsageError, match="the name is too long"):
        read(tmp_path / ("n" * 300))
    with pytest.raises(UsageError, match=r"a\\x00b is not a valid file name"):
        read("a\x00b")
    with pytest.raises(ReslabError, match=r"cannot read .*: it is a folder") as caught:
        read(tmp_path)
    assert not isinstance(caught.value, UsageError)


@pytest.mark.parametrize("read", READERS)
def test_a_file_without_permission(read: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "closed.json"
    path.write_text("{}")
    path.chmod(0)
    if ROOT:  # who may read everything

        def closed(*args: Any, **more: Any) -> Any:
            raise PermissionError(13, "Permission denied", str(path))

        monkeypatch.setattr("builtins.open", closed)
        monkeypatch.setattr(Path, "read_bytes", closed)
    with pytest.raises(ReslabError, match=r"cannot read .*closed\.json: you have no permission to read it"):
        read(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfe{}", "byte 0 is not UTF-8"),
        (b"{", "Expecting property name"),
        (b"[" * 3000 + b"]" * 3000, "it is nested more than 100 levels deep"),
        (b"[" * 200000, "it is nested more than 100 levels deep"),
        (b'{"seconds": NaN}', "NaN is not JSON"),
        (b'{"seconds": -Infinity}', "-Infinity is not JSON"),
        (b'{"seconds": 1e999}', r"\.seconds must be a number of at most 1e\+200, got Infinity"),
        (b'{"iterations": 1' + b"0" * 400 + b"}", r"\.iterations must be a whole .*, got a number of more than 60"),
        (b'{"iterations": 1' + b"0" * 5000 + b"}", "Exceeds the limit"),
        (b'{"test": {"accuracy": "high"}}', r"\.test\.accuracy must be a number or null, got 'high'"),
        (
            b'{"test": {"intervals": {"f1": [1, 2], "auc": [1, "x"]}}}',
            r"\.test\.intervals\.auc\[1\] must be a number",
        ),
        (b'{"residuals": {"true": []}}', r"\.residuals lacks predicted"),
        (b"[1]", "it must be an object, got a list of 1"),
        (b'{"choice": {}, "test": []}', r"\.test must be an object, got an empty list"),
        (b"[]", "it must be an object, got an empty list"),
        (b'{"\\ud800": 1}', "it holds half a character"),
    ],
)
def test_what_is_wrong_is_said_by_field_and_value(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "train.json"
    path.write_bytes(content)
    with pytest.raises(ReslabError, match=rf"train\.json is damaged: {said}.*; restore a copy of it"):
        read_json(path, records.kind_of("results/train.json"))


def test_keys_of_later_versions_stay() -> None:
    later = {"event": "train", "iteration": 3, "entropy": {"of": ["later"]}}
    assert typed(records.folders.Event, later) is later


def test_a_text_may_hold_half_a_character_but_no_key(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.write_json("data.json", {"word": "photos\udcff"})  # a folder's name of bytes that are no text
    assert run.read_json("data.json")["word"] == "photos\udcff"


def test_depth_is_counted_to_just_above_the_limit() -> None:
    assert [depth(value) for value in (3, [], {}, [[1]], {"a": [{}]})] == [0, 1, 1, 2, 3]
    deep: Any = []
    for _ in range(3 * DEEPEST):
        deep = [deep]
    assert depth(deep) == DEEPEST + 1


def test_a_path_is_said_on_one_line_and_shortly() -> None:
    assert named("a\nb\t\u202ec") == r"a\nb\t\u202ec"
    assert len(named("x" * 5000)) == 201


def test_a_byte_order_mark_is_no_damage(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes(b"\xef\xbb\xbflr = 1")
    assert read_toml(tmp_path / "a.toml") == {"lr": 1}
    assert read_text(tmp_path / "a.toml") == "lr = 1"


def test_one_reader_of_metrics_names_a_line_of_the_wrong_type(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    lines = ['{"event": "train", "iteration": 1}', '{"event": "train", "iteration": "two"}', '{"event": 3}', "",
             '{"event": "train", "iteration": 4}', '{"event": "tra']  # fmt: skip
    path.write_text("\n".join(lines))
    with pytest.warns(UserWarning, match="skipped") as told:
        events = read_events(path)
    assert [event["iteration"] for event in events] == [1, 4]
    said = [str(one.message).partition(": ")[2] for one in told]
    assert said[0] == "line 2 is damaged and skipped (.iteration must be a whole number, got 'two')"
    assert said[1] == "line 3 is damaged and skipped (.event must be a text, got 3)"
    assert said[2].startswith("line 4 is damaged and skipped (Expecting value")
    assert len(said) == 3  # the last line was cut by a crash: that is no damage


@pytest.mark.parametrize("word", ["null", "1", "{", "[]", '"x"'])
def test_the_words_in_a_head_of_weights(word: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file({"a": torch.zeros(2)}, path, metadata={"reslab": word})
    with pytest.raises(ReslabError, match=r"the reslab in the metadata of .*weights\.safetensors is damaged"):
        load(path)
    save_file({"a": torch.zeros(2)}, path)
    assert read_inside(path, "reslab") is None


@pytest.mark.parametrize(
    ("tensor", "said"),
    [
        (lambda: torch.eye(3).to_sparse(), "sparse"),
        (lambda: torch.eye(3, device="meta"), "without data"),
        (lambda: torch.quantize_per_tensor(torch.eye(3), 0.1, 0, torch.qint8), "quantized"),
        (lambda: torch.eye(3, dtype=torch.complex64), "complex"),
    ],
    ids=["sparse", "meta", "quantized", "complex"],
)
@pytest.mark.filterwarnings("ignore")
def test_tensors_that_no_net_has(tensor: Callable[[], torch.Tensor], said: str, tmp_path: Path) -> None:
    torch.save({"stem.conv.weight": tensor()}, tmp_path / "a.pt")
    with pytest.raises(ReslabError, match=rf"a\.pt: the tensor stem\.conv\.weight is {said}|is damaged"):
        read_state(tmp_path / "a.pt")


@pytest.mark.parametrize("name", ["spec.json", "encoder.json", "target.json", "weights.safetensors",
                                  "encoder.safetensors"])  # fmt: skip
def test_a_folder_in_place_of_a_file_of_a_table(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(GOLDEN / "tables-finished", folder)
    (folder / name).unlink()
    (folder / name).mkdir()
    with pytest.raises(ReslabError) as caught:
        load_table(folder)
    assert "\n" not in str(caught.value)


def test_a_word_that_is_none_of_the_known() -> None:
    from reslab.tables.net.spec import TableSpec

    with pytest.raises(Mistyped, match=r"\.net must be one of gated, mlp, resnet, got 'gatd'"):
        typed(TableSpec, json.loads((GOLDEN / "tables-finished" / "spec.json").read_text()) | {"net": "gatd"})
