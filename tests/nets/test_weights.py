"""Weights of our own and of strangers: what loads, where each tensor goes, and what is refused in a sentence."""

import json
import re
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import reslab
from reslab.errors import ReslabError, UsageError
from reslab.nets import build, insert, match, net, read_state, spec, to_dict
from reslab.run import Run
from reslab.train.checkpoint import write_weights

GOLDEN = Path(__file__).parents[1] / "golden"
AKAMASTER = {20: "12fca82f", 32: "d509ac18", 44: "014dd654", 56: "4bfd9763"}


def peer(whose: str, name: str) -> dict[str, torch.Tensor]:
    """Tensors of the names and shapes of a peer's net; bench/peers_outputs.py --golden wrote them."""
    stored = json.loads((GOLDEN / f"{whose}_{name}.json").read_text())
    return {key: torch.empty(shape, device="meta") for key, shape in stored["tensors"]}


def meta(name: str, **options: object) -> nn.Module:
    with torch.device("meta"):
        return net(name, init="torch", **options)


def ours_by_rule(theirs: str) -> str:
    """torchvision's name in our words: written down apart from `match`, which goes by order alone."""
    name = re.sub(r"^layer(\d)\.(\d+)\.", lambda m: f"stages.{int(m[1]) - 1}.{m[2]}.", theirs)
    name = re.sub(r"^conv1\.", "stem.conv.", re.sub(r"^bn1\.", "stem.norm.", name))
    name = re.sub(r"\.(conv\d)\.", r".branch.\1.", re.sub(r"\.bn(\d)\.", r".branch.norm\1.", name))
    name = name.replace(".downsample.0.", ".shortcut.conv.").replace(".downsample.1.", ".shortcut.norm.")
    return re.sub(r"^fc\.", "head.", name)


@pytest.mark.parametrize("whose", ["torchvision", "timm"])
@pytest.mark.parametrize(("theirs", "ours"), [("resnet18", "resnet18"), ("resnet50", "resnet50_v1.5")])
def test_peers_tensors_go_to_their_places(whose: str, theirs: str, ours: str) -> None:
    state = peer(whose, theirs)
    found = match(meta(ours), state)
    assert found.how == "by order and shape"
    assert found.warning is None
    pairs = dict(found.pairs)
    assert pairs["stem.conv.weight"] == "conv1.weight"
    assert pairs["stages.1.0.shortcut.conv.weight"] == "layer2.0.downsample.0.weight"
    assert pairs["stages.3.1.branch.norm2.running_var"] == "layer4.1.bn2.running_var"
    assert pairs["head.bias"] == "fc.bias"
    assert found.pairs == tuple((ours_by_rule(k), k) for k in state if not k.endswith("num_batches_tracked"))
    assert len(found.pairs) == {"resnet18": 102, "resnet50": 267}[theirs]


def test_the_peers_stride_is_warned_about() -> None:
    for whose in ("torchvision", "timm"):
        found = match(meta("resnet50"), peer(whose, "resnet50"))
        assert 'stride_on="3x3" (resnet50_v1.5)' in (found.warning or "")
        assert match(meta("resnet18"), peer(whose, "resnet18")).warning is None


def test_load_warns_of_the_peers_stride(tmp_path: Path) -> None:
    small = spec("resnet11", block="bottleneck", shortcut="B", classes=2)
    state = build(small).state_dict()
    named = {re.sub(r"^stages\.(\d)\.", lambda m: f"layer{int(m[1]) + 1}.", k).replace("branch.", ""): v
             for k, v in state.items()}  # fmt: skip
    torch.save(named, tmp_path / "peer.pth")
    with pytest.warns(UserWarning, match="whose stride is on the 3x3"):
        loaded = reslab.load(tmp_path / "peer.pth", small)
    assert "stride" in str(loaded.match)


def test_akamasters_padding_is_warned_about() -> None:
    """His names on a net that pads at the end alone: the same shapes, another function."""
    theirs = {re.sub(r"^stages\.(\d)\.", lambda m: f"layer{int(m[1]) + 1}.", k).replace("branch.", "")
              .replace("head.", "linear."): v for k, v in net("resnet8").state_dict().items()}  # fmt: skip
    assert 'with shortcut="A-both", or' in (match(net("resnet8"), theirs).warning or "")
    assert match(net("resnet8", shortcut="A-both"), theirs).warning is None


@pytest.mark.parametrize("depth", AKAMASTER)
def test_akamasters_files_load_by_order_and_shape(depth: int, shared: Path) -> None:
    file = shared / "data" / "weights" / "akamaster" / f"resnet{depth}-{AKAMASTER[depth]}.th"
    state = read_state(file)
    assert next(iter(state)) == "conv1.weight"  # DataParallel's "module." is gone
    loaded = reslab.load(file, f"resnet{depth}", shortcut="A-both")
    assert loaded.match.how == "by order and shape"
    assert not loaded.training
    pairs = dict(loaded.match.pairs)
    assert pairs["stages.1.0.branch.conv1.weight"] == "layer2.0.conv1.weight"
    assert pairs["head.weight"] == "linear.weight"
    values = loaded.state_dict()
    assert len(pairs) == len([k for k in values if not k.endswith("num_batches_tracked")])
    assert all(torch.equal(values[a], state[b]) for a, b in pairs.items())


def same(a: nn.Module, b: nn.Module) -> bool:
    one, two = a.state_dict(), b.state_dict()
    return list(one) == list(two) and all(torch.equal(one[k], two[k]) for k in one)


def test_ours_as_safetensors_load_by_name(tmp_path: Path) -> None:
    trained = net("resnet8", classes=3)
    trained(torch.randn(4, 3, 8, 8))  # statistics of its own
    # safetensors keeps no order that one may lean on: these go in backwards.
    save_file(dict(reversed(trained.state_dict().items())), tmp_path / "w.safetensors")
    loaded = reslab.load(tmp_path / "w.safetensors", "resnet8", classes=3)
    assert loaded.match.how == "by name"
    for (key, a), b in zip(trained.state_dict().items(), loaded.state_dict().values(), strict=True):
        assert key.endswith("num_batches_tracked") or torch.equal(a, b), key


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "_orig_mod.module.", "module._orig_mod.", "model."])
@pytest.mark.parametrize("wrapper", [None, "state_dict", "model_state_dict", "model", "net"])
def test_wrappers_are_taken_off(prefix: str, wrapper: str | None, tmp_path: Path) -> None:
    trained = net("resnet8")
    state: dict = {prefix + key: value for key, value in trained.state_dict().items()}
    torch.save({wrapper: state, "epoch": 3, "best": 0.5} if wrapper else state, tmp_path / "w.pth")
    loaded = reslab.load(tmp_path / "w.pth", "resnet8")
    assert loaded.match.how == "by name"
    assert same(loaded, trained)


def test_a_run_folder_names_its_own_net(tmp_path: Path) -> None:
    run, trained = Run(tmp_path / "run"), net("resnet8", classes=4)
    run.make()
    run.write_json("spec.json", to_dict(trained.spec))
    with pytest.raises(UsageError, match="has no weights yet"):
        reslab.load(run.folder)
    save_file(trained.state_dict(), run.path("weights.safetensors"))
    loaded = reslab.load(run.folder)
    assert loaded.spec == trained.spec
    assert same(loaded, trained)
    with pytest.raises(UsageError, match="which stores its net"):
        reslab.load(run.folder, "resnet8")


def test_load_says_which_net_it_needs(tmp_path: Path) -> None:
    file = tmp_path / "w.pth"
    torch.save(net("resnet8").state_dict(), file)
    with pytest.raises(UsageError, match=r"name its net, such as net='?\"?resnet8\"? \(it looks like resnet8\)"):
        reslab.load(file)
    torch.save({"a.weight": torch.zeros(3, 4)}, tmp_path / "other.pth")
    with pytest.raises(UsageError, match=r"resnet56.* \(no known net was recognized in it\)"):
        reslab.load(tmp_path / "other.pth")
    with pytest.raises(UsageError, match="options classes need the name of a net"):
        reslab.load(file, spec("resnet8"), classes=5)
    with pytest.raises(UsageError, match=r"is not a run folder: it has no spec\.json"):
        reslab.load(tmp_path)
    with pytest.raises(UsageError, match="nope: no such run folder or file"):
        reslab.load(tmp_path / "nope")
    with pytest.raises(UsageError, match="net must be a name such as 'resnet56' or a spec, got 3"):
        reslab.load(file, 3)


@pytest.mark.parametrize(
    ("checkpoint", "into", "said"),
    [
        (
            {"name": "resnet8", "classes": 3},
            {"name": "resnet8"},
            "has another head: head.weight 3x64, head.bias 3 in the place of head.weight 10x64",
        ),
        ({"name": "resnet14"}, {"name": "resnet8"}, "stages.0.1.branch.conv1.weight 16x16x3x3 is not in the net"),
        ({"name": "resnet8"}, {"name": "resnet14"}, "stages.0.1.branch.conv1.weight 16x16x3x3 is missing"),
        ({"name": "resnet8"}, {"name": "resnet56"}, "37 tensors in the checkpoint, 277 in the net"),
    ],
)
def test_another_net_s_weights_are_refused_with_few_names_and_shapes(checkpoint: dict, into: dict, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        match(net(**into), net(**checkpoint).state_dict())
    message = str(caught.value)
    assert said in message
    assert len(message) < 600
    assert "\n" not in message


def test_strangers_weights_of_another_net_are_refused_likewise(shared: Path) -> None:
    file = shared / "data" / "weights" / "akamaster" / f"resnet20-{AKAMASTER[20]}.th"
    with pytest.raises(UsageError) as caught:
        reslab.load(file, "resnet20", shortcut="B")
    assert (
        "layer2.1.conv1.weight 32x32x3x3 is in the place of the net's stages.1.0.shortcut.conv.weight 32x16x1x1"
        in str(caught.value)
    )
    assert len(str(caught.value)) < 600


def test_not_strict_leaves_out_what_differs() -> None:
    old, new = net("resnet8", classes=3), net("resnet8", classes=10)
    head = new.head.weight.clone()
    found = insert(new, old.state_dict(), strict=False)
    assert found.missing == found.unused == ("head.weight", "head.bias")
    assert "35 tensors matched by name; 2 missing, 2 unused" in str(found)
    assert torch.equal(new.head.weight, head)
    assert torch.equal(new.stem.conv.weight, old.stem.conv.weight)


def test_not_strict_still_refuses_where_nothing_agrees() -> None:
    """Loading no tensor at all would leave a random net that looks loaded."""
    state = {f"x{key}": value for key, value in net("resnet8").state_dict().items()}
    with pytest.raises(UsageError, match="not of this net"):
        insert(net("resnet14"), state, strict=False)


def test_order_alone_does_not_pair_a_mean_with_a_variance() -> None:
    """One shape, but another kind: shapes would fit, outputs would not."""
    state = {f"x{key}": value for key, value in net("resnet8").state_dict().items()}
    swap = {
        "xstem.norm.running_mean": "x.stem.norm.running_var",
        "xstem.norm.running_var": "x.stem.norm.running_mean",
    }
    with pytest.raises(UsageError, match=r"running_var 16 is in the place of the net's stem\.norm\.running_mean 16"):
        match(net("resnet8"), {swap.get(key, key): value for key, value in state.items()})


def test_match_loads_nothing() -> None:
    module, other = net("resnet8"), net("resnet8")
    before = module.stem.conv.weight.clone()
    match(module, other.state_dict())
    assert torch.equal(module.stem.conv.weight, before)


class Touch:
    """Unpickled, it makes a file: what a hostile checkpoint would do."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("zipped", [True, False])
def test_pickled_objects_are_refused_and_not_run(zipped: bool, tmp_path: Path) -> None:
    trap, file = tmp_path / "created", tmp_path / "w.pth"
    torch.save({"state_dict": {"w": torch.ones(1)}, "x": Touch(trap)}, file, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ReslabError, match=r"w\.pth holds pickled Python objects.*save only the weights"):
        read_state(file)
    assert not trap.exists()
    torch.load(file, weights_only=False)  # the trap does work
    assert trap.exists()


def test_a_whole_pickled_net_is_refused(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2), tmp_path / "net.pth")
    with pytest.raises(ReslabError, match="holds pickled Python objects"):
        read_state(tmp_path / "net.pth")


@pytest.mark.parametrize(
    "content", [b"", b"hello, no checkpoint\n", b"the", b"GIF89a", b"\x80\x02", b"PK\x03\x04", b"{}"]
)
@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_what_is_no_checkpoint(content: bytes, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ReslabError, match=rf"{name} is damaged or not a checkpoint$"):
        read_state(tmp_path / name)


@pytest.mark.parametrize("form", ["zip", "legacy", "safetensors"])
def test_files_cut_anywhere_are_refused(form: str, tmp_path: Path) -> None:
    state, file = {"a.weight": torch.arange(60.0), "b.bias": torch.ones(3)}, tmp_path / "whole"
    if form == "safetensors":
        file = tmp_path / "whole.safetensors"
        save_file(state, file)
    else:
        torch.save(state, file, _use_new_zipfile_serialization=form == "zip")
    assert list(read_state(file)) == list(state)
    data, cut = file.read_bytes(), file.with_stem("cut")
    for end in range(0, len(data), max(1, len(data) // 40)):
        cut.write_bytes(data[:end])
        with pytest.raises(ReslabError):
            read_state(cut)


def test_a_missing_file_and_files_without_weights(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nope\.pth: no such file"):
        read_state(tmp_path / "nope.pth")
    for content in ([1, 2], {"epoch": 3}, {"state_dict": {}}, torch.ones(3)):
        torch.save(content, tmp_path / "w.pth")
        with pytest.raises(ReslabError, match="holds no weights"):
            read_state(tmp_path / "w.pth")
    torch.save({0: torch.ones(1)}, tmp_path / "w.pth")
    assert list(read_state(tmp_path / "w.pth")) == ["0"]
    with zipfile.ZipFile(tmp_path / "w.pth", "w") as archive:
        archive.writestr("readme.txt", "no weights")
    with pytest.raises(ReslabError, match="damaged or not a checkpoint"):
        read_state(tmp_path / "w.pth")


def test_weights_of_a_run_load_alone(tmp_path: Path) -> None:
    made = net("resnet8", classes=3, channels=1, size=8)
    write_weights(Run(tmp_path), made, to_dict(made.spec))
    loaded = reslab.load(tmp_path / "weights.safetensors")
    assert loaded.spec == made.spec
    assert all(torch.equal(a, b) for a, b in zip(made.state_dict().values(), loaded.state_dict().values(), strict=True))
