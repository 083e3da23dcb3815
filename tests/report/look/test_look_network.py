"""The network's rows: stages, names, bars, and the numbers of an opened block."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from reslab.report.look.blocks import blocks, common, staged
from reslab.report.look.folder import read_look
from reslab.report.look.network import network

Facts = dict[str, Any]
MakeLook = Callable[..., Path]


def drawn(folder: Path) -> Facts:
    look = read_look(folder)
    found = network(look, blocks(look))
    assert found is not None
    return found


def test_a_stage_ends_where_the_shape_changes(make_look: MakeLook) -> None:
    found = drawn(make_look())
    headings = {row["index"]: row["stage"] for row in found["rows"] if row["stage"]}
    assert list(headings) == [0, 9, 18]
    assert headings[9] == {"number": 1, "shape": "32 × 16 × 16", "first": 9, "last": 17}
    assert len({row["color"] for row in found["rows"]}) == 3


def test_what_lies_in_a_branch_is_in_its_owners_stage() -> None:
    merges = [
        {"index": 0, "shape": [2, 4], "parent": None},
        {"index": 1, "shape": [2, 9], "parent": 2},
        {"index": 2, "shape": [2, 8], "parent": 3},
        {"index": 3, "shape": [2, 6], "parent": None},
    ]
    assert staged(merges, 2) == {0: 0, 1: 1, 2: 1, 3: 1}
    merges[3]["parent"] = 2  # each in the other, as only a damaged file says: no endless walk
    assert set(staged(merges, 2)) <= {0, 1, 2, 3}


def test_the_shared_path_is_said_once(make_look: MakeLook, net: Callable[..., Facts]) -> None:
    assert common(["encoder.layer.0.attn", "encoder.layer.1.attn"]) == "encoder.layer"
    assert common(["a", "a.b"]) == ""
    assert common(["only.one"]) == ""
    found = drawn(make_look("llama", net((4,), module="model.layers.{block}.mlp")))
    assert found["prefix"] == "model.layers"
    assert [row["name"] for row in found["rows"]] == ["0.mlp", "1.mlp", "2.mlp", "3.mlp"]


def test_bars_are_in_percent_of_the_largest_and_errors_start_at_the_whole(
    make_look: MakeLook, net: Callable[..., Facts]
) -> None:
    results = net((4,))
    for i, (error, cosine) in enumerate(((0.168, -0.1), (0.268, 0.05), (0.1, None), (0.218, 0.0))):
        results["lesions"]["single"][i]["values"]["error"] = error
        results["influence"]["merges"][i]["cosine"] = cosine
    found = drawn(make_look("four", results))
    place = {column["key"]: i for i, column in enumerate(found["columns"])}
    cells = [row["cells"] for row in found["rows"]]
    errors, cosines = ([row[place[key]] for row in cells] for key in ("without:error", "influence:cosine"))
    assert [cell["bar"] for cell in errors] == ["", "--b:100%", "", "--b:50%"]
    assert [cell["text"].replace("\u00a0", " ") for cell in errors] == ["16.8 %", "26.8 %", "10.0 %", "21.8 %"]
    assert [cell["bar"] for cell in cosines] == ["--a:0%;--b:50%", "--a:50%;--b:75%", "", ""]
    assert cosines[2]["text"] == "–"
    assert found["data"]["values"][place["influence:cosine"]] == [-0.1, 0.05, None, 0.0]


def test_only_what_was_measured_has_a_column(make_look: MakeLook, net: Callable[..., Facts]) -> None:
    results = net((3, 3))
    found = drawn(make_look("merges", {"merges": results["merges"]}))
    assert [column["key"] for column in found["columns"]] == ["params", "macs"]
    found = drawn(make_look("influence", {"influence": results["influence"]}))  # merges known from what was measured
    assert [column["key"] for column in found["columns"]] == [
        f"influence:{k}" for k in ("influence", "ratio", "cosine")
    ]


def test_the_answers_read_out_stand_at_the_block_they_follow(make_look: MakeLook, net: Callable[..., Facts]) -> None:
    results = net((4,))
    results["merges"]["merges"][1]["out"] = None  # hidden in a fused kernel: no depth of its own
    results["readout"]["depths"] = [{"depth": d, "values": {"error": d / 10}} for d in range(4)]
    found = blocks(read_look(make_look("four", results)))
    assert [block.values.get("read:error") for block in found] == [0.1, None, 0.2, 0.3]


def test_macs_are_of_one_sample(make_look: MakeLook) -> None:
    found = drawn(make_look())
    at = next(i for i, column in enumerate(found["columns"]) if column["key"] == "macs")
    assert found["rows"][0]["cells"][at]["text"].replace("\u00a0", " ") == "4.72 M"  # 9,437,184 for a batch of two


def test_an_opened_block_tells_everything(make_look: MakeLook) -> None:
    data = drawn(make_look())["data"]
    told = dict(zip(data["labels"], data["facts"][9], strict=True))
    assert told["can it be removed?"] == "no: its shortcut maps the shape"
    assert told["shape"] == "16 × 32 × 32 → 32 × 16 × 16"
    assert told["kind"].startswith("projection")
    assert told["parameters of the branch"] == "18,688"
    assert "added in module" in told
    assert "nested in the branch of block" not in told  # no block here does
    assert [row[0] for row in data["layers"]["rows"][9]] == ["stages.1.0.branch.conv1", "stages.1.0.branch.conv2"]


def test_a_model_without_merges_is_shown_as_its_layers(make_look: MakeLook, plain: Callable[..., Facts]) -> None:
    found = drawn(make_look("vgg16", plain(12)))
    assert found["kind"] == "layers"
    assert [row["glyph"] for row in found["rows"]] == ["layer"] * 12
    assert [row["cells"][0]["text"].replace("\u00a0", " ") for row in found["rows"][:2]] == ["80.0 %", "–"]
